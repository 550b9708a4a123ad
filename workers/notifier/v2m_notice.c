#include "v2m_notice.h"

#include <stdlib.h>
#include <time.h>

#include "v2m_jobs.h"
#include "v2m_jobs_mail.h"
#include "v2m_log.h"
#include "v2m_mail_job.h"
#include "v2m_metrics.h"
#include "v2m_pause.h"
#include "v2m_point.h"

/* Pauses while the mail server is away, and how long a message is kept for
 * that: brokers take messages from who keeps them too long. */
#define V2M_NOTICE_AWAY_FIRST_MS 500
#define V2M_NOTICE_AWAY_MOST_MS  30000
#define V2M_NOTICE_AWAY_MS       600000

/* Pauses after a mail was put off. */
#define V2M_NOTICE_FIRST_MS 1000
#define V2M_NOTICE_MOST_MS  1800000

/* How long a pause may be that the worker's loop waits for, and for how many
 * mails at a time. */
#define V2M_NOTICE_HOLD_MS 30000
#define V2M_NOTICE_HELD    16

/* How often it is looked whether another notifier has sent the mail. */
#define V2M_NOTICE_LOOK_LEAST_MS 200
#define V2M_NOTICE_LOOK_MOST_MS  5000

/* Pauses while the store is away, in which a sent mail cannot be noted. */
#define V2M_NOTICE_NOTE_FIRST_MS 200
#define V2M_NOTICE_NOTE_MOST_MS  5000


int
v2m_notice_store_trouble(const v2m_id_t id, const v2m_error_t *error)
{
    if (error->code == V2M_INVALID || error->code == V2M_CORRUPT) {
        v2m_log(V2M_LOG_ERROR, id, "cannot notify: %s", error->text);
        return V2M_WORKER_REJECT;
    }

    return V2M_WORKER_RETRY;
}


/* What is sent, for logs. */
static const char *
v2m_notice_kind(const v2m_notice_t *notice)
{
    return notice->job.webhook != NULL ? "webhook" : "mail";
}


static void
v2m_notice_count(const v2m_notice_t *notice, v2m_metrics_counter_t mail,
                 v2m_metrics_counter_t hook)
{
    v2m_metrics_count(notice->job.webhook != NULL ? hook : mail);
}


/* Notes what became of it, however long the store is away: another notifier
 * would send it once more. */
static void
v2m_notice_note(v2m_notice_t *notice, v2m_job_notified_t notified,
                const char *reason)
{
    int         i, rc;
    v2m_error_t error;

    for (i = 0;; i++) {
        rc = v2m_jobs_notified(notice->options->mongo, notice->id, notified,
                               reason, &error);

        if ((rc == V2M_OK || rc == V2M_CONFLICT)
            && notified == V2M_NOTIFIED_SENT) {
            v2m_notice_count(notice, V2M_METRICS_SENT, V2M_METRICS_HOOK_SENT);
            return;
        }

        if (rc == V2M_OK || rc == V2M_CONFLICT) {
            v2m_notice_count(notice, V2M_METRICS_REFUSED,
                             V2M_METRICS_HOOK_REFUSED);
            return;
        }

        if (rc != V2M_UNAVAILABLE) {
            break;
        }

        if (!v2m_patience_sleep(v2m_pause_ms(i, V2M_NOTICE_NOTE_FIRST_MS,
                                             V2M_NOTICE_NOTE_MOST_MS),
                                v2m_worker_stopping))
        {
            break;
        }
    }

    v2m_log(V2M_LOG_ERROR, notice->id,
            "cannot note in the job's record \"%s\": %s",
            v2m_job_notified_name(notified), error.text);
}


static int
v2m_notice_compose(v2m_notice_t *notice, char **text, size_t *length,
                   v2m_error_t *error)
{
    v2m_mail_job_t              mail;
    const v2m_job_t            *job;
    const v2m_notify_options_t *options;

    job = &notice->job;
    options = notice->options;

    mail.sender = options->sender;
    mail.to = job->username;
    mail.id = job->id;
    mail.name = job->name;
    mail.url = options->url;
    mail.date = (int64_t) time(NULL);
    mail.reason = NULL;

    if (job->state == V2M_JOB_FAILED) {
        mail.reason =
            job->reason != NULL ? job->reason : "it is not known any more";
    }

    return v2m_mail_job_compose(&mail, text, length, error);
}


/* Gives the claim back, and notes what the job's record shall know of the
 * mail.  Returns 0 when that did not work: the claim ends by itself. */
static int
v2m_notice_put_off(v2m_notice_t *notice)
{
    int         rc;
    v2m_error_t error;

    do {
        rc = v2m_jobs_put_mail_off(notice->options->mongo, notice->id,
                                   notice->owner, &notice->job.mail, &error);
    } while (v2m_patience_wait(&notice->patience, rc, &error));

    if (rc != V2M_OK && rc != V2M_CONFLICT) {
        v2m_log(V2M_LOG_WARNING, notice->id,
                "cannot note that the %s was put off: %s",
                v2m_notice_kind(notice), error.text);
    }

    return rc == V2M_OK;
}


/* Somebody else is at this mail, or was faster. */
static int
v2m_notice_taken(v2m_notice_t *notice)
{
    int         rc;
    int64_t     pause;
    v2m_error_t error;

    do {
        v2m_job_free(&notice->job);
        rc = v2m_jobs_find(notice->options->mongo, notice->id, NULL,
                           &notice->job, &error);
    } while (v2m_patience_wait(&notice->patience, rc, &error));

    if (rc == V2M_NOT_FOUND) {
        return V2M_WORKER_DONE;
    }

    if (rc != V2M_OK) {
        return v2m_notice_store_trouble(notice->id, &error);
    }

    if (notice->job.notified != V2M_NOTIFIED_NONE) {
        v2m_log(V2M_LOG_DEBUG, notice->id, "no %s: noted as %s meanwhile",
                v2m_notice_kind(notice),
                v2m_job_notified_name(notice->job.notified));
        return V2M_WORKER_DONE;
    }

    pause = notice->job.mail.until_ms - v2m_wall_ms();

    notice->reply->pause_ms =
        pause < V2M_NOTICE_LOOK_LEAST_MS  ? V2M_NOTICE_LOOK_LEAST_MS
        : pause > V2M_NOTICE_LOOK_MOST_MS ? V2M_NOTICE_LOOK_MOST_MS
                                          : pause;

    return V2M_WORKER_WAIT;
}


static int
v2m_notice_claim(v2m_notice_t *notice)
{
    int         rc;
    v2m_error_t error;

    do {
        notice->claimed_ms = v2m_clock_ms();
        rc = v2m_jobs_claim_mail(notice->options->mongo, notice->id,
                                 notice->owner, notice->options->lease_ms,
                                 &error);
    } while (v2m_patience_wait(&notice->patience, rc, &error));

    if (rc == V2M_CONFLICT) {
        return v2m_notice_taken(notice);
    }

    return rc == V2M_OK ? V2M_NOTICE_GO_ON
                        : v2m_notice_store_trouble(notice->id, &error);
}


static int
v2m_notice_give_up(v2m_notice_t *notice, const v2m_error_t *error)
{
    v2m_log(V2M_LOG_ERROR, notice->id, "%s not sent: %s",
            v2m_notice_kind(notice), error->text);

    /* what the mail server says is the operator's to know */
    v2m_notice_note(notice, V2M_NOTIFIED_FAILED,
                    notice->job.webhook != NULL ? error->text : NULL);

    return V2M_WORKER_REJECT;
}


/* How long to wait before the next try; 0: there is none, as the patience is
 * at its end. */
static int64_t
v2m_notice_pause(v2m_notice_t *notice, int64_t now)
{
    int64_t         left, pause;
    v2m_job_mail_t *mail;

    mail = &notice->job.mail;

    left = (notice->job.webhook != NULL ? notice->options->hook_patience_ms
                                        : notice->options->mail_patience_ms)
           - (now - mail->since_ms);

    if (left <= 0) {
        return 0;
    }

    pause =
        v2m_pause_ms(mail->tries++, V2M_NOTICE_FIRST_MS, V2M_NOTICE_MOST_MS);

    if (pause < notice->retry_after_ms) {
        pause = notice->retry_after_ms;
    }

    return pause < left ? pause : left;
}


/* The server put off this very mail or call.  Others are not held up: short
 * pauses are the loop's, for a longer one it is put aside. */
static int
v2m_notice_later(v2m_notice_t *notice, const v2m_error_t *error)
{
    int             kept;
    int64_t         now, pause;
    v2m_job_mail_t *mail;

    mail = &notice->job.mail;
    now = v2m_wall_ms();

    if (mail->since_ms == 0) {
        mail->since_ms = now;
    }

    pause = v2m_notice_pause(notice, now);

    if (pause == 0) {
        return v2m_notice_give_up(notice, error);
    }

    kept = pause <= V2M_NOTICE_HOLD_MS && notice->held < V2M_NOTICE_HELD;
    mail->due_ms = kept ? 0 : now + pause;

    v2m_notice_count(notice, V2M_METRICS_PUT_OFF, V2M_METRICS_HOOK_PUT_OFF);
    v2m_log(V2M_LOG_WARNING, notice->id, "%s not sent yet: %s, next in %d s",
            v2m_notice_kind(notice), error->text, (int) (pause / 1000));

    if (kept) {
        notice->reply->pause_ms = pause;
    }

    /* what could not be put aside stays with the broker */

    if (!v2m_notice_put_off(notice) && !kept) {
        return V2M_WORKER_RETRY;
    }

    return kept ? V2M_WORKER_WAIT : V2M_WORKER_DONE;
}


/* The server is away, or wants nothing of us: that says nothing about the
 * mail.  Returns V2M_NOTICE_GO_ON after a pause. */
static int
v2m_notice_away(v2m_notice_t *notice, const v2m_error_t *error)
{
    int64_t now;

    now = v2m_clock_ms();

    if (notice->away_ms == 0) {
        notice->away_ms = now;
    }

    v2m_log(V2M_LOG_WARNING, notice->id, "mail not sent yet: %s", error->text);

    if (now - notice->away_ms >= V2M_NOTICE_AWAY_MS) {
        notice->job.mail.due_ms = v2m_wall_ms();
        return v2m_notice_put_off(notice) ? V2M_WORKER_DONE : V2M_WORKER_RETRY;
    }

    /* the claim is not kept while nothing is sent */

    notice->job.mail.due_ms = 0;
    v2m_notice_put_off(notice);

    return v2m_patience_sleep(v2m_pause_ms(notice->waits++,
                                           V2M_NOTICE_AWAY_FIRST_MS,
                                           V2M_NOTICE_AWAY_MOST_MS),
                              v2m_worker_draining)
               ? V2M_NOTICE_GO_ON
               : V2M_WORKER_RETRY;
}


static int
v2m_notice_not_sent(v2m_notice_t *notice, const v2m_error_t *error)
{
    if (v2m_worker_stopping()) {
        notice->job.mail.due_ms = 0;
        v2m_notice_put_off(notice);
        return V2M_WORKER_RETRY;
    }

    switch (error->code) {
    case V2M_INVALID:
        return v2m_notice_give_up(notice, error);

    case V2M_CONFLICT:
        return v2m_notice_later(notice, error);

    default:
        return v2m_notice_away(notice, error);
    }
}


/* Calls the webhook, unless others of this user took long just now. */
static int
v2m_notice_call(v2m_notice_t *notice, v2m_error_t *error)
{
    int                         rc;
    int64_t                     took;
    const char                 *username;
    const v2m_notify_options_t *options;

    options = notice->options;
    username = notice->job.username;

    notice->retry_after_ms =
        v2m_breaker_wait_ms(options->breaker, username, v2m_clock_ms());

    if (notice->retry_after_ms > 0) {
        return v2m_error_set(error, V2M_CONFLICT,
                             "the webhook has to wait: calls of the same user "
                             "took long");
    }

    took = v2m_clock_us();
    rc = v2m_hook_call(&options->hook, &notice->job, &notice->retry_after_ms,
                       error);
    took = v2m_clock_us() - took;

    v2m_metrics_took(V2M_METRICS_HOOKING, took);
    v2m_breaker_note(options->breaker, username, took / 1000, v2m_clock_ms());

    return rc;
}


/* Sends a mail that is composed, or calls the webhook when there is none. */
static int
v2m_notice_deliver(v2m_notice_t *notice, const char *text, size_t length,
                   v2m_error_t *error)
{
    int                         rc;
    int64_t                     began;
    const v2m_notify_options_t *options;

    if (notice->job.webhook != NULL) {
        return v2m_notice_call(notice, error);
    }

    options = notice->options;
    began = v2m_clock_us();
    rc = v2m_smtp_send(options->smtp, options->sender->address,
                       notice->job.username, text, length, error);
    v2m_metrics_took(V2M_METRICS_MAILING, v2m_clock_us() - began);

    return rc;
}


int
v2m_notice_send(v2m_notice_t *notice)
{
    int         rc;
    char       *text;
    size_t      length;
    v2m_error_t error;

    rc = v2m_notice_claim(notice);
    if (rc != V2M_NOTICE_GO_ON) {
        return rc;
    }

    text = NULL;
    length = 0;
    rc = notice->job.webhook == NULL
             ? v2m_notice_compose(notice, &text, &length, &error)
             : V2M_OK;

    if (rc == V2M_INVALID) {
        v2m_log(V2M_LOG_WARNING, notice->id, "no mail: %s", error.text);
        v2m_notice_note(notice, V2M_NOTIFIED_FAILED, NULL);
        return V2M_WORKER_DONE;
    }

    if (rc != V2M_OK) {
        return v2m_notice_not_sent(notice, &error);
    }

    v2m_point("claimed");

    /* a process that was stopped for a while may have lost its claim */

    if (v2m_clock_ms() - notice->claimed_ms > notice->options->lease_ms / 4) {
        free(text);
        return V2M_NOTICE_GO_ON;
    }

    rc = v2m_notice_deliver(notice, text, length, &error);
    free(text);

    if (rc != V2M_OK) {
        return v2m_notice_not_sent(notice, &error);
    }

    v2m_point("sent");
    v2m_log(V2M_LOG_INFO, notice->id, "%s sent: the job is %s",
            v2m_notice_kind(notice), v2m_job_state_name(notice->job.state));
    v2m_notice_note(notice, V2M_NOTIFIED_SENT, NULL);

    return V2M_WORKER_DONE;
}
