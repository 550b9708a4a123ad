/*
 * v2m-sweep: publishes what was queued but not published, what got lost and
 * what is due, removes uploads that did not finish and what is old, and makes
 * the indexes; once or again and again.
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "v2m_amqp.h"
#include "v2m_config.h"
#include "v2m_log.h"
#include "v2m_mongo.h"
#include "v2m_pause.h"
#include "v2m_rounds.h"

#define V2M_SWEEP_MONGO_TIMEOUT_MS 5000

/* pauses while a backend is away, unless rounds are more frequent */
#define V2M_SWEEP_FIRST_MS 1000
#define V2M_SWEEP_MOST_MS  30000

#define V2M_SWEEP_EVERY_MOST_S 86400

typedef struct {
    int                  every_s; /* 0: once */
    char                *mongo_uri;
    char                *amqp_url;
    char                *queue;
    char                *mp3_queue;
    v2m_rounds_options_t rounds;
} v2m_sweep_settings_t;

static const char v2m_sweep_help[] =
    "Usage: v2m-sweep [--every SECONDS] [--dry-run] [--help]\n"
    "\n"
    "Publishes the jobs that were queued but not published, those whose\n"
    "message got lost and those whose mail is due, removes uploads that did\n"
    "not finish and what is old, and makes the database's indexes.\n"
    "\n"
    "  --every SECONDS  go on, a round every so many seconds (1 to 86400),\n"
    "                   and wait while a backend is away\n"
    "  --dry-run        only say what would be done\n"
    "\n"
    "Settings come from the environment; each NAME can be given as NAME_FILE,\n"
    "the path of a file that holds the value.\n"
    "\n"
    "  V2M_MONGO_URI          MongoDB, mongodb://HOST:PORT (required)\n"
    "  V2M_AMQP_URL           RabbitMQ, amqp://USER:PASSWORD@HOST:PORT\n"
    "                         (required)\n"
    "  VIDEO_QUEUE            the queue to publish to (video)\n"
    "  V2M_SWEEP_UNPUBLISHED  seconds that a job may stay queued without "
    "being\n"
    "                         published (30)\n"
    "  V2M_SWEEP_UPLOADS      seconds that an upload may stay without a "
    "change\n"
    "                         (900)\n"
    "  MP3_QUEUE              the queue of finished jobs (mp3)\n"
    "  V2M_SWEEP_LOST         how long a job may stay without a change before\n"
    "                         it counts as lost, such as 90s, 15m or 2h; 0:\n"
    "                         never (15m)\n"
    "  V2M_SWEEP_REPUBLISH    how often a lost job is published anew before\n"
    "                         it fails (3)\n"
    "  V2M_KEEP_VIDEO         how long a video is kept after its job's end,\n"
    "                         such as 12h, 7d or forever (1d)\n"
    "  V2M_KEEP_MP3           how long the MP3 is, and the job with it\n"
    "                         (forever)\n"
    "  V2M_ATTEMPTS           attempts before a message goes to the dead\n"
    "                         letters, for a queue that is made, 1 to 1000 "
    "(5)\n"
    "  V2M_LOG_LEVEL          debug, info, warning or error (info)\n"
    "  V2M_LOG_FORMAT         text or json (text)\n";


static void
v2m_sweep_stop(int signal_number)
{
    (void) signal_number;

    /* every step can be repeated, so there is nothing to finish */
    _exit(EXIT_SUCCESS);
}


/* As the first process of a container nothing ends it unless asked for. */
static void
v2m_sweep_install_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);

    action.sa_handler = v2m_sweep_stop;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}


/* Returns 1 to go on, else the program's exit status is in *status. */
static int
v2m_sweep_arguments(v2m_sweep_settings_t *settings, int argc, char **argv,
                    int *status)
{
    int   option;
    long  seconds;
    char *end;

    static const struct option options[] = {
        { "every", required_argument, NULL, 'e' },
        { "dry-run", no_argument, NULL, 'n' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };

    *status = 2;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'e':
            errno = 0;
            seconds = strtol(optarg, &end, 10);

            if (errno != 0 || *end != '\0' || end == optarg || seconds < 1
                || seconds > V2M_SWEEP_EVERY_MOST_S)
            {
                fprintf(stderr, "--every takes 1 to %d seconds\n",
                        V2M_SWEEP_EVERY_MOST_S);
                return 0;
            }

            settings->every_s = (int) seconds;
            break;

        case 'n':
            settings->rounds.dry_run = 1;
            break;

        case 'h':
            fputs(v2m_sweep_help, stdout);
            *status = EXIT_SUCCESS;
            return 0;

        default:
            fputs(v2m_sweep_help, stderr);
            return 0;
        }
    }

    if (optind != argc) {
        fputs(v2m_sweep_help, stderr);
        return 0;
    }

    return 1;
}


static int
v2m_sweep_read(v2m_sweep_settings_t *settings, v2m_error_t *error)
{
    int     rc;
    int64_t attempts, unpublished_s, uploads_s, lost_s, requeues;
    int64_t keep_video_s, keep_mp3_s;

    if ((rc = v2m_config_required("V2M_MONGO_URI", &settings->mongo_uri, error))
            != V2M_OK
        || (rc =
                v2m_config_required("V2M_AMQP_URL", &settings->amqp_url, error))
               != V2M_OK
        || (rc = v2m_amqp_check_url(settings->amqp_url, error)) != V2M_OK
        || (rc = v2m_config_string("VIDEO_QUEUE", "video", &settings->queue,
                                   error))
               != V2M_OK
        || (rc = v2m_config_string("MP3_QUEUE", "mp3", &settings->mp3_queue,
                                   error))
               != V2M_OK
        || (rc = v2m_config_duration("V2M_SWEEP_LOST", "15m", 0, 31536000, 0,
                                     &lost_s, error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_SWEEP_REPUBLISH", 3, 0, 1000,
                                    &requeues, error))
               != V2M_OK
        || (rc = v2m_config_duration("V2M_KEEP_VIDEO", "1d", 0, 315360000, 1,
                                     &keep_video_s, error))
               != V2M_OK
        || (rc = v2m_config_duration("V2M_KEEP_MP3", "forever", 0, 315360000, 1,
                                     &keep_mp3_s, error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_ATTEMPTS", 5, 1, 1000, &attempts,
                                    error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_SWEEP_UNPUBLISHED", 30, 0, 86400,
                                    &unpublished_s, error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_SWEEP_UPLOADS", 900, 0, 31536000,
                                    &uploads_s, error))
               != V2M_OK)
    {
        return rc;
    }

    settings->rounds.amqp_url = settings->amqp_url;
    settings->rounds.queue = settings->queue;
    settings->rounds.attempts = (int) attempts;
    settings->rounds.unpublished_ms = unpublished_s * 1000;
    settings->rounds.uploads_ms = uploads_s * 1000;
    settings->rounds.mp3_queue = settings->mp3_queue;
    settings->rounds.lost_ms = lost_s * 1000;
    settings->rounds.requeues = (int) requeues;
    settings->rounds.keep_video_ms =
        keep_video_s < 0 ? -1 : keep_video_s * 1000;
    settings->rounds.keep_mp3_ms = keep_mp3_s < 0 ? -1 : keep_mp3_s * 1000;

    return V2M_OK;
}


static void
v2m_sweep_sleep(int64_t milliseconds)
{
    struct timespec time;

    time.tv_sec = milliseconds / 1000;
    time.tv_nsec = (milliseconds % 1000) * 1000000;

    while (nanosleep(&time, &time) == -1 && errno == EINTR) {
    }
}


static int
v2m_sweep_round(const v2m_sweep_settings_t *settings, int *prepared,
                v2m_error_t *error)
{
    int rc;

    if (!*prepared && !settings->rounds.dry_run) {
        rc = v2m_rounds_prepare(&settings->rounds, error);
        if (rc != V2M_OK) {
            return rc;
        }

        *prepared = 1;
    }

    return v2m_rounds_run(&settings->rounds, error);
}


static void
v2m_sweep_go_on(const v2m_sweep_settings_t *settings)
{
    int         prepared, failures;
    int64_t     pause;
    v2m_error_t error;

    prepared = 0;
    failures = 0;

    for (;;) {
        pause = (int64_t) settings->every_s * 1000;

        if (v2m_sweep_round(settings, &prepared, &error) == V2M_OK) {
            if (failures > 0) {
                v2m_log(V2M_LOG_INFO, NULL, "works again");
            }

            failures = 0;
            v2m_sweep_sleep(pause);
            continue;
        }

        if (failures == 0) {
            v2m_log(V2M_LOG_WARNING, NULL, "not done, trying again: %s",
                    error.text);
        }

        if (pause > V2M_SWEEP_MOST_MS) {
            pause = V2M_SWEEP_MOST_MS;
        }

        v2m_sweep_sleep(v2m_pause_ms(failures, V2M_SWEEP_FIRST_MS, pause));

        if (failures < 16) {
            failures++;
        }
    }
}


static int
v2m_sweep_start(v2m_sweep_settings_t *settings, v2m_error_t *error)
{
    int                 rc, prepared;
    v2m_mongo_options_t options;

    options.application = "v2m-sweep";
    options.timeout_ms = V2M_SWEEP_MONGO_TIMEOUT_MS;

    rc = v2m_mongo_create(&settings->rounds.mongo, settings->mongo_uri,
                          &options, error);
    if (rc != V2M_OK) {
        return rc;
    }

    if (settings->every_s != 0) {
        v2m_sweep_go_on(settings);
    }

    prepared = 0;
    rc = v2m_sweep_round(settings, &prepared, error);

    v2m_mongo_destroy(settings->rounds.mongo);

    return rc;
}


int
main(int argc, char **argv)
{
    int                  rc, status;
    v2m_error_t          error;
    v2m_sweep_settings_t settings;

    memset(&settings, 0, sizeof(settings));

    if (!v2m_sweep_arguments(&settings, argc, argv, &status)) {
        return status;
    }

    v2m_log_init("v2m-sweep");
    v2m_sweep_install_signals();

    rc = v2m_sweep_read(&settings, &error);

    if (rc == V2M_OK) {
        rc = v2m_sweep_start(&settings, &error);
    }

    if (rc != V2M_OK) {
        v2m_log(V2M_LOG_ERROR, NULL, "%s", error.text);
    }

    v2m_config_wipe(settings.mongo_uri);
    v2m_config_wipe(settings.amqp_url);
    free(settings.queue);
    free(settings.mp3_queue);

    return rc == V2M_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
