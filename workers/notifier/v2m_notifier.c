/*
 * v2m-notifier: consumes the queue "mp3" and tells each job's owner by e-mail,
 * or by the job's webhook, what became of the video.  Beside that it sends the
 * mails about accounts, where it has a database user for them.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_account_mailer.h"
#include "v2m_config.h"
#include "v2m_database.h"
#include "v2m_health.h"
#include "v2m_http.h"
#include "v2m_log.h"
#include "v2m_mail.h"
#include "v2m_mail_account.h"
#include "v2m_mongo.h"
#include "v2m_notify.h"
#include "v2m_smtp.h"
#include "v2m_webhook.h"
#include "v2m_worker.h"

#define V2M_NOTIFIER_MONGO_TIMEOUT_MS 5000
#define V2M_NOTIFIER_MYSQL_TIMEOUT_MS 5000

/* How much longer a claim lasts than a mail that is sent over a connection
 * that has to be made anew, or a call of a webhook; clocks may differ by so
 * much. */
#define V2M_NOTIFIER_LEASE_MS 10000

typedef struct {
    char                *mongo_uri;
    char                *amqp_url;
    char                *queue;
    char                *public_url;
    char                *smtp_url;
    char                *smtp_user;
    char                *smtp_password;
    char                *smtp_ca;
    char                *health_listen;
    char                *webhook_ca;
    v2m_mail_sender_t    sender;
    v2m_smtp_tls_t       tls;
    int64_t              smtp_timeout_s;
    int64_t              patience_s;
    v2m_webhook_keys_t   webhook_keys;
    v2m_networks_t       webhook_allowed;
    int                  webhook_http;
    int64_t              webhook_timeout_s;
    int64_t              webhook_patience_s;
    char                *mysql_host;
    int64_t              mysql_port;
    char                *mysql_user;
    char                *mysql_password; /* NULL: no mails about accounts */
    char                *mysql_database;
    v2m_mail_templates_t templates;
    int64_t              jobs;
    int64_t              attempts;
    int64_t              drain_s;
} v2m_notifier_settings_t;

static const char v2m_notifier_help[] =
    "Usage: v2m-notifier [--help]\n"
    "\n"
    "Consumes the queue of finished jobs and sends each owner one e-mail, or\n"
    "calls the job's webhook.  Where people may register and reset their\n"
    "passwords, it sends the mails for that.\n"
    "Settings come from the environment; each NAME can be given as NAME_FILE,\n"
    "the path of a file that holds the value.\n"
    "\n"
    "  V2M_MONGO_URI      MongoDB, mongodb://HOST:PORT (required)\n"
    "  V2M_AMQP_URL       RabbitMQ, amqp://USER:PASSWORD@HOST:PORT (required)\n"
    "  V2M_SMTP_URL       mail server, smtp://HOST:PORT or smtps://HOST:PORT\n"
    "                     (required)\n"
    "  V2M_SMTP_USER      login at the mail server (none)\n"
    "  V2M_SMTP_PASSWORD  its password (none)\n"
    "  V2M_SMTP_TLS       STARTTLS with smtp://: never, opportunistic or\n"
    "                     required (opportunistic; required with a login)\n"
    "  V2M_SMTP_CA        authorities to trust, as PEM text (the system's)\n"
    "  V2M_SMTP_TIMEOUT   for one mail, in seconds (60)\n"
    "  V2M_MAIL_PATIENCE  how long a mail is tried again that the server puts\n"
    "                     off, such as 90s, 30m, 12h or 1d (1d)\n"
    "  V2M_MAIL_FROM      the sender (v2m <v2m@localhost>)\n"
    "  V2M_PUBLIC_URL     the gateway as users reach it, for the links\n"
    "                     (http://127.0.0.1:8080)\n"
    "  V2M_WEBHOOK_KEY    from which the secrets of users' webhooks come "
    "(there\n"
    "                     are no webhooks)\n"
    "  V2M_WEBHOOK_HTTP   plain http:// for webhooks: allow or refuse "
    "(refuse)\n"
    "  V2M_WEBHOOK_ALLOW  networks that webhooks may be in beside public\n"
    "                     addresses, such as 10.1.0.0/16 (none)\n"
    "  V2M_WEBHOOK_CA     authorities to trust, as PEM text (the system's)\n"
    "  V2M_WEBHOOK_TIMEOUT  for one call, in seconds (15)\n"
    "  V2M_WEBHOOK_PATIENCE  how long a call is tried again, as with mails "
    "(1d)\n"
    "  MYSQL_NOTIFIER_PASSWORD  of the database user for mails about accounts\n"
    "                     (there are no such mails)\n"
    "  MYSQL_NOTIFIER_USER  its name (v2m_notifier)\n"
    "  MYSQL_HOST         MariaDB or MySQL (127.0.0.1)\n"
    "  MYSQL_PORT         its port (3306)\n"
    "  MYSQL_DB           the users' database (auth)\n"
    "  V2M_MAIL_TEMPLATES  a directory with texts of such mails (built in)\n"
    "  MP3_QUEUE          the queue to consume (mp3)\n"
    "  V2M_JOBS           mails or webhooks at a time, 1 to 64 (4)\n"
    "  V2M_ATTEMPTS       attempts before a message goes to the dead letters,\n"
    "                     1 to 1000 (5)\n"
    "  V2M_DRAIN          on SIGTERM, seconds to finish what is under way "
    "(25)\n"
    "  V2M_HEALTH_LISTEN  where /healthz, /readyz and /metrics answer,\n"
    "                     [HOST:]PORT (nowhere)\n"
    "  V2M_LOG_FORMAT     text or json (text)\n"
    "  V2M_LOG_LEVEL      debug, info, warning or error (info)\n";


static int
v2m_notifier_read_tls(v2m_notifier_settings_t *settings, v2m_error_t *error)
{
    int   i, rc;
    char *text;

    static const char *const names[] = {
        [V2M_SMTP_TLS_NEVER] = "never",
        [V2M_SMTP_TLS_OPPORTUNISTIC] = "opportunistic",
        [V2M_SMTP_TLS_REQUIRED] = "required",
    };

    rc = v2m_config_string("V2M_SMTP_TLS",
                           settings->smtp_user != NULL ? "required"
                                                       : "opportunistic",
                           &text, error);
    if (rc != V2M_OK) {
        return rc;
    }

    for (i = V2M_SMTP_TLS_REQUIRED; i >= 0; i--) {
        if (strcmp(text, names[i]) == 0) {
            break;
        }
    }

    free(text);

    if (i < 0) {
        return v2m_error_set(error, V2M_INVALID,
                             "V2M_SMTP_TLS must be never, opportunistic or "
                             "required");
    }

    settings->tls = (v2m_smtp_tls_t) i;

    if (strncmp(settings->smtp_url, "smtps:", 6) == 0) {
        settings->tls = V2M_SMTP_TLS_REQUIRED;
    }

    if (settings->smtp_user != NULL && settings->tls != V2M_SMTP_TLS_REQUIRED) {
        return v2m_error_set(error, V2M_INVALID,
                             "V2M_SMTP_TLS must be required, or left out, "
                             "where V2M_SMTP_USER is set: the password would "
                             "be sent in clear");
    }

    return V2M_OK;
}


static int
v2m_notifier_read_smtp(v2m_notifier_settings_t *settings, v2m_error_t *error)
{
    int   rc;
    char *from;

    if ((rc = v2m_config_required("V2M_SMTP_URL", &settings->smtp_url, error))
            != V2M_OK
        || (rc = v2m_config_string("V2M_SMTP_USER", NULL, &settings->smtp_user,
                                   error))
               != V2M_OK
        || (rc = v2m_config_string("V2M_SMTP_PASSWORD", NULL,
                                   &settings->smtp_password, error))
               != V2M_OK
        || (rc = v2m_config_string("V2M_SMTP_CA", NULL, &settings->smtp_ca,
                                   error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_SMTP_TIMEOUT", 60, 1, 600,
                                    &settings->smtp_timeout_s, error))
               != V2M_OK
        || (rc = v2m_config_duration("V2M_MAIL_PATIENCE", "1d", 1, 2592000, 0,
                                     &settings->patience_s, error))
               != V2M_OK)
    {
        return rc;
    }

    if ((settings->smtp_user == NULL) != (settings->smtp_password == NULL)) {
        return v2m_error_set(error, V2M_INVALID,
                             "V2M_SMTP_USER and V2M_SMTP_PASSWORD must be set "
                             "both or neither");
    }

    rc =
        v2m_config_string("V2M_MAIL_FROM", "v2m <v2m@localhost>", &from, error);

    if (rc == V2M_OK) {
        rc = v2m_mail_sender_parse(&settings->sender, from, error);
        free(from);
    }

    return rc == V2M_OK ? v2m_notifier_read_tls(settings, error) : rc;
}


static int
v2m_notifier_read_url(v2m_notifier_settings_t *settings, v2m_error_t *error)
{
    int    rc;
    char  *url, *p;
    size_t length;

    rc = v2m_config_string("V2M_PUBLIC_URL", "http://127.0.0.1:8080",
                           &settings->public_url, error);
    if (rc != V2M_OK) {
        return rc;
    }

    url = settings->public_url;

    for (length = strlen(url); length > 0 && url[length - 1] == '/'; length--) {
        url[length - 1] = '\0';
    }

    for (p = url; *p > ' ' && *p < 0x7f && strchr("\"<>\\", *p) == NULL; p++) {
    }

    if (*p != '\0'
        || (strncmp(url, "http://", 7) != 0
            && strncmp(url, "https://", 8) != 0))
    {
        return v2m_error_set(error, V2M_INVALID,
                             "V2M_PUBLIC_URL must be http://... or https://... "
                             "without spaces or quotes");
    }

    return V2M_OK;
}


static int
v2m_notifier_read_webhooks(v2m_notifier_settings_t *settings,
                           v2m_error_t             *error)
{
    int         rc;
    char       *allowed;
    v2m_error_t cause;

    if ((rc = v2m_webhook_read_keys(&settings->webhook_keys, error)) != V2M_OK
        || (rc = v2m_webhook_read_http(&settings->webhook_http, error))
               != V2M_OK
        || (rc = v2m_config_string("V2M_WEBHOOK_CA", NULL,
                                   &settings->webhook_ca, error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_WEBHOOK_TIMEOUT", 15, 1, 600,
                                    &settings->webhook_timeout_s, error))
               != V2M_OK
        || (rc = v2m_config_duration("V2M_WEBHOOK_PATIENCE", "1d", 1, 2592000,
                                     0, &settings->webhook_patience_s, error))
               != V2M_OK
        || (rc = v2m_config_string("V2M_WEBHOOK_ALLOW", "", &allowed, error))
               != V2M_OK)
    {
        return rc;
    }

    rc = v2m_networks_parse(&settings->webhook_allowed, allowed, &cause);
    free(allowed);

    return rc == V2M_OK
               ? V2M_OK
               : v2m_error_set(error, rc, "V2M_WEBHOOK_ALLOW: %s", cause.text);
}


static int
v2m_notifier_read_accounts(v2m_notifier_settings_t *settings,
                           v2m_error_t             *error)
{
    int   rc;
    char *directory;

    if ((rc = v2m_config_string("MYSQL_NOTIFIER_PASSWORD", NULL,
                                &settings->mysql_password, error))
            != V2M_OK
        || (rc = v2m_config_string("MYSQL_NOTIFIER_USER", "v2m_notifier",
                                   &settings->mysql_user, error))
               != V2M_OK
        || (rc = v2m_config_string("MYSQL_HOST", "127.0.0.1",
                                   &settings->mysql_host, error))
               != V2M_OK
        || (rc = v2m_config_integer("MYSQL_PORT", 3306, 1, 65535,
                                    &settings->mysql_port, error))
               != V2M_OK
        || (rc = v2m_config_string("MYSQL_DB", "auth",
                                   &settings->mysql_database, error))
               != V2M_OK
        || (rc = v2m_config_string("V2M_MAIL_TEMPLATES", NULL, &directory,
                                   error))
               != V2M_OK)
    {
        return rc;
    }

    rc = v2m_mail_templates_read(settings->templates, directory, error);
    free(directory);

    return rc;
}


static int
v2m_notifier_read(v2m_notifier_settings_t *settings, v2m_error_t *error)
{
    int rc;

    if ((rc = v2m_config_required("V2M_MONGO_URI", &settings->mongo_uri, error))
            != V2M_OK
        || (rc =
                v2m_config_required("V2M_AMQP_URL", &settings->amqp_url, error))
               != V2M_OK
        || (rc = v2m_config_string("MP3_QUEUE", "mp3", &settings->queue, error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_JOBS", 4, 1, 64, &settings->jobs,
                                    error))
               != V2M_OK
        || (rc = v2m_config_string("V2M_HEALTH_LISTEN", NULL,
                                   &settings->health_listen, error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_ATTEMPTS", 5, 1, 1000,
                                    &settings->attempts, error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_DRAIN", 25, 0, 86400,
                                    &settings->drain_s, error))
               != V2M_OK
        || (rc = v2m_notifier_read_url(settings, error)) != V2M_OK
        || (rc = v2m_notifier_read_webhooks(settings, error)) != V2M_OK
        || (rc = v2m_notifier_read_accounts(settings, error)) != V2M_OK)
    {
        return rc;
    }

    return v2m_notifier_read_smtp(settings, error);
}


static void
v2m_notifier_free(v2m_notifier_settings_t *settings)
{
    v2m_config_wipe(settings->mongo_uri);
    v2m_config_wipe(settings->amqp_url);
    v2m_config_wipe(settings->smtp_password);
    v2m_config_wipe(settings->mysql_password);
    free(settings->mysql_host);
    free(settings->mysql_user);
    free(settings->mysql_database);
    v2m_mail_templates_free(settings->templates);
    free(settings->queue);
    free(settings->health_listen);
    free(settings->public_url);
    free(settings->smtp_url);
    free(settings->smtp_user);
    free(settings->smtp_ca);
    free(settings->webhook_ca);
    v2m_webhook_keys_wipe(&settings->webhook_keys);
    v2m_networks_free(&settings->webhook_allowed);
    v2m_mail_sender_free(&settings->sender);
}


/* Longer than one try can take. */
static int64_t
v2m_notifier_lease_ms(const v2m_notifier_settings_t *settings)
{
    int64_t mail, hook;

    mail = 3 * settings->smtp_timeout_s;
    hook = 2 * settings->webhook_timeout_s;

    return (mail > hook ? mail : hook) * 1000 + V2M_NOTIFIER_LEASE_MS;
}


/* *users is NULL where there are no mails about accounts. */
static int
v2m_notifier_open_users(const v2m_notifier_settings_t *settings,
                        v2m_database_t **users, v2m_error_t *error)
{
    v2m_database_options_t options;

    *users = NULL;

    if (settings->mysql_password == NULL) {
        return V2M_OK;
    }

    options.host = settings->mysql_host;
    options.port = (int) settings->mysql_port;
    options.user = settings->mysql_user;
    options.password = settings->mysql_password;
    options.database = settings->mysql_database;
    options.timeout_ms = V2M_NOTIFIER_MYSQL_TIMEOUT_MS;

    return v2m_database_create(users, &options, error);
}


/* Runs the worker, and the mails about accounts beside it. */
static int
v2m_notifier_run(const v2m_notifier_settings_t *settings,
                 const v2m_notify_options_t    *notify,
                 const v2m_worker_options_t *worker, v2m_error_t *error)
{
    int                          rc;
    v2m_database_t              *users;
    v2m_account_mailer_t        *mailer;
    v2m_account_mailer_options_t options;

    mailer = NULL;

    rc = v2m_notifier_open_users(settings, &users, error);

    if (rc == V2M_OK && users != NULL) {
        options.users = users;
        options.smtp = notify->smtp;
        options.sender = notify->sender;
        options.templates = settings->templates;
        options.url = notify->url;
        options.lease_s = notify->lease_ms / 1000;

        rc = v2m_account_mailer_start(&mailer, &options, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_worker_run(worker, error);
    }

    v2m_account_mailer_stop(mailer);
    v2m_database_destroy(users);

    return rc;
}


static int
v2m_notifier_work(const v2m_notifier_settings_t *settings, v2m_mongo_t *mongo,
                  v2m_smtp_t *smtp, const v2m_http_t *http, v2m_error_t *error)
{
    int                  rc;
    v2m_health_t        *health;
    v2m_breaker_t        breaker;
    v2m_notify_options_t options;
    v2m_worker_options_t worker;

    v2m_breaker_init(&breaker);

    options.mongo = mongo;
    options.smtp = smtp;
    options.sender = &settings->sender;
    options.url = settings->public_url;
    options.hook.http = http;
    options.hook.keys = &settings->webhook_keys;
    options.breaker = &breaker;
    options.lease_ms = v2m_notifier_lease_ms(settings);
    options.mail_patience_ms = settings->patience_s * 1000;
    options.hook_patience_ms = settings->webhook_patience_s * 1000;

    memset(&worker, 0, sizeof(worker));
    worker.name = "v2m-notifier";
    worker.url = settings->amqp_url;
    worker.queue = settings->queue;
    worker.jobs = (int) settings->jobs;
    worker.delivery_limit = (int) settings->attempts;
    worker.drain_ms = (int) settings->drain_s * 1000;
    worker.handle = v2m_notify_handle;
    worker.data = &options;

    rc = v2m_health_start(&health, settings->health_listen, mongo, error);

    if (rc == V2M_OK) {
        rc = v2m_notifier_run(settings, &options, &worker, error);
        v2m_health_stop(health);
    }

    v2m_breaker_destroy(&breaker);

    return rc;
}


static int
v2m_notifier_connect(const v2m_notifier_settings_t *settings, v2m_smtp_t *smtp,
                     const v2m_http_t *http, v2m_error_t *error)
{
    int                 rc;
    v2m_mongo_t        *mongo;
    v2m_mongo_options_t mongo_options;

    mongo_options.application = "v2m-notifier";
    mongo_options.timeout_ms = V2M_NOTIFIER_MONGO_TIMEOUT_MS;

    rc = v2m_mongo_create(&mongo, settings->mongo_uri, &mongo_options, error);

    if (rc == V2M_OK) {
        rc = v2m_notifier_work(settings, mongo, smtp, http, error);
        v2m_mongo_destroy(mongo);
    }

    return rc;
}


static int
v2m_notifier_start(const v2m_notifier_settings_t *settings, v2m_error_t *error)
{
    int                rc;
    v2m_smtp_t        *smtp;
    v2m_http_t        *http;
    v2m_smtp_options_t smtp_options;
    v2m_http_options_t http_options;

    smtp_options.url = settings->smtp_url;
    smtp_options.user = settings->smtp_user;
    smtp_options.password = settings->smtp_password;
    smtp_options.ca = settings->smtp_ca;
    smtp_options.tls = settings->tls;
    smtp_options.timeout_ms = (int) settings->smtp_timeout_s * 1000;
    smtp_options.stopping = v2m_account_mailer_late;

    rc = v2m_smtp_create(&smtp, &smtp_options, error);
    if (rc != V2M_OK) {
        return rc;
    }

    http_options.ca = settings->webhook_ca;
    http_options.http = settings->webhook_http;
    http_options.allowed = &settings->webhook_allowed;
    http_options.timeout_ms = (int) settings->webhook_timeout_s * 1000;
    http_options.stopping = v2m_worker_stopping;

    rc = v2m_http_create(&http, &http_options, error);

    if (rc == V2M_OK) {
        rc = v2m_notifier_connect(settings, smtp, http, error);
        v2m_http_destroy(http);
    }

    v2m_smtp_destroy(smtp);

    return rc;
}


int
main(int argc, char **argv)
{
    int                     rc;
    v2m_error_t             error;
    v2m_notifier_settings_t settings;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(v2m_notifier_help, stdout);
        return EXIT_SUCCESS;
    }

    if (argc != 1) {
        fputs(v2m_notifier_help, stderr);
        return 2;
    }

    v2m_log_init("v2m-notifier");
    memset(&settings, 0, sizeof(settings));

    rc = v2m_notifier_read(&settings, &error);

    if (rc == V2M_OK) {
        rc = v2m_notifier_start(&settings, &error);
    }

    if (rc != V2M_OK) {
        v2m_log(V2M_LOG_ERROR, NULL, "%s", error.text);
    }

    v2m_notifier_free(&settings);

    return rc == V2M_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
