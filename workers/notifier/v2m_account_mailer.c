#include "v2m_account_mailer.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "v2m_accounts.h"
#include "v2m_config.h"
#include "v2m_log.h"
#include "v2m_metrics.h"
#include "v2m_patience.h"
#include "v2m_pause.h"
#include "v2m_point.h"
#include "v2m_worker.h"

/* How often it is looked for what is due. */
#define V2M_ACCOUNT_MAILER_LOOK_MS 1000

/* How often what has expired is deleted. */
#define V2M_ACCOUNT_MAILER_TIDY_MS 60000

/* Pauses after a mail was put off. */
#define V2M_ACCOUNT_MAILER_FIRST_MS 1000
#define V2M_ACCOUNT_MAILER_MOST_MS  600000

/* Pauses while mail server or database are away. */
#define V2M_ACCOUNT_MAILER_AWAY_FIRST_MS 500
#define V2M_ACCOUNT_MAILER_AWAY_MOST_MS  30000

/* Pauses while what became of a mail cannot be noted. */
#define V2M_ACCOUNT_MAILER_NOTE_FIRST_MS 200
#define V2M_ACCOUNT_MAILER_NOTE_MOST_MS  5000

/* For a mail under way, once told to stop. */
#define V2M_ACCOUNT_MAILER_GRACE_MS 3000

/* ID of the Message-ID: the claim's owner, and what tells it from others */
#define V2M_ACCOUNT_MAILER_ID(request)                                         \
    sizeof((request)->owner) + sizeof(".account")

struct v2m_account_mailer_s {
    const v2m_account_mailer_options_t *options;
    pthread_t                           thread;
    v2m_error_t trouble; /* of the database, as the log had it; or "" */
    int         waits;   /* for the database, in a row */
    int         aways;   /* of the mail server, in a row */
    int64_t     tidy_ms; /* when to delete what has expired */
};

/* When a mail under way is given up; 0: it goes on. */
static _Atomic int64_t v2m_account_mailer_end_ms;


int
v2m_account_mailer_late(void)
{
    int64_t end;

    end = atomic_load(&v2m_account_mailer_end_ms);

    return v2m_worker_stopping() || (end != 0 && v2m_clock_ms() >= end);
}


static int
v2m_account_mailer_ending(void)
{
    return v2m_worker_draining()
           || atomic_load(&v2m_account_mailer_end_ms) != 0;
}


static void __attribute__((format(printf, 3, 4)))
v2m_account_mailer_log(v2m_log_level_t              level,
                       const v2m_account_request_t *request, const char *format,
                       ...)
{
    char    text[V2M_ERROR_TEXT + 64];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);

    v2m_log(level, NULL, "account request %lld (%s): %s",
            (long long) request->id, v2m_account_purpose_name(request->purpose),
            text);
}


/* Logs that the database is away, or refuses us: not every attempt, only what
 * is new. */
static void
v2m_account_mailer_tell(v2m_account_mailer_t *mailer, const v2m_error_t *error)
{
    if (strcmp(error->text, mailer->trouble.text) != 0) {
        v2m_log(error->code == V2M_UNAVAILABLE ? V2M_LOG_WARNING
                                               : V2M_LOG_ERROR,
                NULL, "mails about accounts wait for the users' database: %s",
                error->text);
        mailer->trouble = *error;
    }
}


/* What became of a request. */
typedef enum {
    V2M_ACCOUNT_MAILER_SENT,
    V2M_ACCOUNT_MAILER_DROPPED,
    V2M_ACCOUNT_MAILER_PUT_OFF
} v2m_account_mailer_end_t;


static int
v2m_account_mailer_write(v2m_database_t              *users,
                         const v2m_account_request_t *request,
                         v2m_account_mailer_end_t end, int64_t delay_s,
                         v2m_error_t *error)
{
    switch (end) {
    case V2M_ACCOUNT_MAILER_SENT:
        return v2m_accounts_sent(users, request, error);

    case V2M_ACCOUNT_MAILER_DROPPED:
        return v2m_accounts_drop(users, request, error);

    default:
        return v2m_accounts_put_off(users, request, delay_s, error);
    }
}


/* Notes what became of it, however long the database is away: else the mail
 * would be sent once more, or late, when the claim has ended by itself. */
static void
v2m_account_mailer_note(v2m_account_mailer_t        *mailer,
                        const v2m_account_request_t *request,
                        v2m_account_mailer_end_t end, int64_t delay_s)
{
    int         i, rc;
    v2m_error_t error;

    for (i = 0;; i++) {
        rc = v2m_account_mailer_write(mailer->options->users, request, end,
                                      delay_s, &error);

        if (rc != V2M_UNAVAILABLE) {
            break;
        }

        v2m_account_mailer_tell(mailer, &error);

        if (!v2m_patience_sleep(v2m_pause_ms(i,
                                             V2M_ACCOUNT_MAILER_NOTE_FIRST_MS,
                                             V2M_ACCOUNT_MAILER_NOTE_MOST_MS),
                                v2m_account_mailer_late))
        {
            break;
        }
    }

    if (rc != V2M_OK) {
        v2m_account_mailer_log(V2M_LOG_WARNING, request,
                               "cannot note what became of it: %s", error.text);
    }
}


static void
v2m_account_mailer_put_off(v2m_account_mailer_t        *mailer,
                           const v2m_account_request_t *request,
                           int64_t                      delay_s)
{
    v2m_account_mailer_note(mailer, request, V2M_ACCOUNT_MAILER_PUT_OFF,
                            delay_s);
}


/* The server is away, or wants nothing of us: that says nothing about this
 * mail. */
static void
v2m_account_mailer_away(v2m_account_mailer_t        *mailer,
                        const v2m_account_request_t *request,
                        const v2m_error_t           *error)
{
    v2m_account_mailer_log(V2M_LOG_WARNING, request, "mail not sent yet: %s",
                           error->text);
    v2m_account_mailer_put_off(mailer, request, 0);

    v2m_patience_sleep(v2m_pause_ms(mailer->aways++,
                                    V2M_ACCOUNT_MAILER_AWAY_FIRST_MS,
                                    V2M_ACCOUNT_MAILER_AWAY_MOST_MS),
                       v2m_account_mailer_ending);
}


static void
v2m_account_mailer_later(v2m_account_mailer_t  *mailer,
                         v2m_account_request_t *request,
                         const v2m_error_t     *error)
{
    int64_t delay_s;

    /* rounded up: the table has seconds */
    delay_s = (v2m_pause_ms((int) request->tries, V2M_ACCOUNT_MAILER_FIRST_MS,
                            V2M_ACCOUNT_MAILER_MOST_MS)
               + 999)
              / 1000;
    request->tries++;

    v2m_metrics_count(V2M_METRICS_ACCOUNT_PUT_OFF);
    v2m_account_mailer_log(V2M_LOG_WARNING, request,
                           "mail not sent yet: %s, next in %d s", error->text,
                           (int) delay_s);
    v2m_account_mailer_put_off(mailer, request, delay_s);
}


static void
v2m_account_mailer_not_sent(v2m_account_mailer_t  *mailer,
                            v2m_account_request_t *request,
                            const v2m_error_t     *error)
{
    if (v2m_account_mailer_late()) {
        v2m_account_mailer_put_off(mailer, request, 0);
        return;
    }

    switch (error->code) {
    case V2M_INVALID:
        mailer->aways = 0;
        v2m_metrics_count(V2M_METRICS_ACCOUNT_REFUSED);
        v2m_account_mailer_log(V2M_LOG_WARNING, request, "mail not sent: %s",
                               error->text);
        v2m_account_mailer_note(mailer, request, V2M_ACCOUNT_MAILER_DROPPED, 0);
        return;

    case V2M_CONFLICT:
        mailer->aways = 0;
        v2m_account_mailer_later(mailer, request, error);
        return;

    default:
        v2m_account_mailer_away(mailer, request, error);
    }
}


/* The link; malloc'ed, NULL: out of memory. */
static char *
v2m_account_mailer_link(const v2m_account_mailer_t *mailer,
                        v2m_mail_kind_t kind, const char *token)
{
    char *link;

    /* browsers send no server what follows the "#", so it is in no log */

    if (asprintf(&link, "%s/#%s%s", mailer->options->url,
                 kind == V2M_MAIL_KNOWN ? "reset" : "password=", token)
        < 0)
    {
        return NULL;
    }

    return link;
}


static int
v2m_account_mailer_compose(const v2m_account_mailer_t  *mailer,
                           const v2m_account_request_t *request,
                           v2m_mail_kind_t kind, const char *token, char **text,
                           size_t *length, v2m_error_t *error)
{
    int                rc;
    char               id[V2M_ACCOUNT_MAILER_ID(request)], *link;
    v2m_mail_account_t mail;

    *text = NULL;

    link = v2m_account_mailer_link(mailer, kind, token);
    if (link == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    snprintf(id, sizeof(id), "%s.account", request->owner);

    mail.sender = mailer->options->sender;
    mail.to = request->email;
    mail.id = id;
    mail.url = link;
    mail.date = (int64_t) time(NULL);
    mail.until = mail.date + request->lifetime;

    rc = v2m_mail_account_compose(&mail, &mailer->options->templates[kind],
                                  text, length, error);
    v2m_config_wipe(link);

    return rc;
}


static void
v2m_account_mailer_send(v2m_account_mailer_t  *mailer,
                        v2m_account_request_t *request, const char *text,
                        size_t length)
{
    int         rc;
    int64_t     began;
    v2m_error_t error;

    began = v2m_clock_us();
    rc = v2m_smtp_send(mailer->options->smtp, mailer->options->sender->address,
                       request->email, text, length, &error);
    v2m_metrics_took(V2M_METRICS_MAILING, v2m_clock_us() - began);

    if (rc != V2M_OK) {
        v2m_account_mailer_not_sent(mailer, request, &error);
        return;
    }

    v2m_point("account-sent");
    mailer->aways = 0;
    v2m_metrics_count(V2M_METRICS_ACCOUNT_SENT);
    v2m_account_mailer_log(V2M_LOG_INFO, request, "mail sent");
    v2m_account_mailer_note(mailer, request, V2M_ACCOUNT_MAILER_SENT, 0);
}


/* Which mail it leads to; 0: to none. */
static int
v2m_account_mailer_kind(const v2m_account_request_t *request,
                        v2m_mail_kind_t             *kind)
{
    if (request->purpose == V2M_ACCOUNT_REGISTER) {
        *kind = request->state == V2M_ACCOUNT_UNKNOWN ? V2M_MAIL_REGISTER
                                                      : V2M_MAIL_KNOWN;
        return request->state != V2M_ACCOUNT_DISABLED;
    }

    *kind = V2M_MAIL_RESET;
    return request->state == V2M_ACCOUNT_KNOWN;
}


static void
v2m_account_mailer_mail(v2m_account_mailer_t  *mailer,
                        v2m_account_request_t *request, v2m_mail_kind_t kind)
{
    int         rc;
    char        token[V2M_ACCOUNTS_TOKEN + 1], *text;
    size_t      length;
    int64_t     claimed_ms;
    v2m_error_t error;

    token[0] = '\0';
    claimed_ms = v2m_clock_ms();

    rc = kind == V2M_MAIL_KNOWN
             ? V2M_OK
             : v2m_accounts_make_token(mailer->options->users, request, token,
                                       &error);

    if (rc != V2M_OK) {
        v2m_account_mailer_log(V2M_LOG_WARNING, request,
                               "cannot make its token: %s", error.text);
        v2m_account_mailer_put_off(mailer, request, 0);
        return;
    }

    rc = v2m_account_mailer_compose(mailer, request, kind, token, &text,
                                    &length, &error);
    explicit_bzero(token, sizeof(token));

    v2m_point("account-token");

    if (rc != V2M_OK) {
        v2m_account_mailer_not_sent(mailer, request, &error);

    } else if (v2m_clock_ms() - claimed_ms
               > mailer->options->lease_s * 1000 / 4) {
        /* a process that was stopped for a while may have lost its claim */
        v2m_account_mailer_put_off(mailer, request, 0);

    } else {
        v2m_account_mailer_send(mailer, request, text, length);
    }

    v2m_config_wipe(text);
}


static void
v2m_account_mailer_handle(v2m_account_mailer_t  *mailer,
                          v2m_account_request_t *request)
{
    v2m_mail_kind_t kind;

    if (v2m_account_mailer_kind(request, &kind)) {
        v2m_account_mailer_mail(mailer, request, kind);
        return;
    }

    v2m_account_mailer_log(V2M_LOG_INFO, request,
                           "no mail: there is no "
                           "account that it is for");
    v2m_account_mailer_note(mailer, request, V2M_ACCOUNT_MAILER_DROPPED, 0);
}


static void
v2m_account_mailer_wait(v2m_account_mailer_t *mailer, const v2m_error_t *error)
{
    v2m_account_mailer_tell(mailer, error);
    v2m_patience_sleep(v2m_pause_ms(mailer->waits++,
                                    V2M_ACCOUNT_MAILER_AWAY_FIRST_MS,
                                    V2M_ACCOUNT_MAILER_AWAY_MOST_MS),
                       v2m_account_mailer_ending);
}


static void
v2m_account_mailer_works(v2m_account_mailer_t *mailer)
{
    if (mailer->trouble.text[0] != '\0') {
        v2m_log(V2M_LOG_INFO, NULL, "the users' database is back");
        mailer->trouble.text[0] = '\0';
    }

    mailer->waits = 0;
}


static int
v2m_account_mailer_tidy(v2m_account_mailer_t *mailer, v2m_error_t *error)
{
    int     rc;
    int64_t now, count;

    now = v2m_clock_ms();

    if (now < mailer->tidy_ms) {
        return V2M_OK;
    }

    rc = v2m_accounts_delete_expired(mailer->options->users, &count, error);

    if (rc == V2M_OK) {
        mailer->tidy_ms = now
                          + v2m_pause_ms(0, V2M_ACCOUNT_MAILER_TIDY_MS,
                                         V2M_ACCOUNT_MAILER_TIDY_MS);

        if (count > 0) {
            v2m_log(V2M_LOG_INFO, NULL, "account requests that expired: %lld",
                    (long long) count);
        }
    }

    return rc;
}


static void *
v2m_account_mailer_run(void *data)
{
    int                   rc;
    v2m_error_t           error;
    v2m_account_mailer_t *mailer;
    v2m_account_request_t request;

    mailer = data;

    while (!v2m_account_mailer_ending()) {
        rc = v2m_account_mailer_tidy(mailer, &error);

        if (rc == V2M_OK) {
            rc = v2m_accounts_claim(mailer->options->users,
                                    mailer->options->lease_s, &request, &error);
        }

        if (rc == V2M_OK) {
            v2m_account_mailer_works(mailer);
            v2m_account_mailer_handle(mailer, &request);

        } else if (rc == V2M_NOT_FOUND) {
            v2m_account_mailer_works(mailer);
            v2m_patience_sleep(v2m_pause_ms(0, V2M_ACCOUNT_MAILER_LOOK_MS,
                                            V2M_ACCOUNT_MAILER_LOOK_MS),
                               v2m_account_mailer_ending);

        } else {
            v2m_account_mailer_wait(mailer, &error);
        }
    }

    return NULL;
}


int
v2m_account_mailer_start(v2m_account_mailer_t              **mailer,
                         const v2m_account_mailer_options_t *options,
                         v2m_error_t                        *error)
{
    int                   rc;
    v2m_account_mailer_t *made;

    made = calloc(1, sizeof(v2m_account_mailer_t));
    if (made == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    made->options = options;
    atomic_store(&v2m_account_mailer_end_ms, 0);

    rc = pthread_create(&made->thread, NULL, v2m_account_mailer_run, made);
    if (rc != 0) {
        free(made);
        return v2m_error_set(error, V2M_ERROR, "pthread_create() failed: %s",
                             strerror(rc));
    }

    *mailer = made;
    return V2M_OK;
}


void
v2m_account_mailer_stop(v2m_account_mailer_t *mailer)
{
    if (mailer == NULL) {
        return;
    }

    atomic_store(&v2m_account_mailer_end_ms,
                 v2m_clock_ms() + V2M_ACCOUNT_MAILER_GRACE_MS);
    pthread_join(mailer->thread, NULL);
    free(mailer);
}
