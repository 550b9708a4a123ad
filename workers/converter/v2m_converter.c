/*
 * v2m-converter: consumes the queue "video", turns each video into an MP3 and
 * tells the queue "mp3".
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_child.h"
#include "v2m_config.h"
#include "v2m_convert.h"
#include "v2m_cores.h"
#include "v2m_health.h"
#include "v2m_log.h"
#include "v2m_mongo.h"
#include "v2m_worker.h"

/* A slow store is not one that is away. */
#define V2M_CONVERTER_MONGO_TIMEOUT_MS 15000

/* Of what V2M_JOBS and V2M_THREADS may be. */
#define V2M_CONVERTER_CORES 256

typedef struct {
    char   *mongo_uri;
    char   *amqp_url;
    char   *queue;
    char   *reply_queue;
    char   *transcoder;
    char   *health_listen;
    int64_t jobs;
    int64_t threads;
    int64_t attempts;
    int64_t drain_s;
    int64_t limit_s;
    int64_t stall_s;
} v2m_converter_settings_t;

static const char v2m_converter_help[] =
    "Usage: v2m-converter [--help]\n"
    "\n"
    "Consumes the queue of uploaded videos and makes an MP3 of each.  "
    "Settings\n"
    "come from the environment; each NAME can be given as NAME_FILE, the path\n"
    "of a file that holds the value.\n"
    "\n"
    "  V2M_MONGO_URI    MongoDB, mongodb://HOST:PORT (required)\n"
    "  V2M_AMQP_URL     RabbitMQ, amqp://USER:PASSWORD@HOST:PORT (required)\n"
    "  VIDEO_QUEUE      the queue to consume (video)\n"
    "  MP3_QUEUE        the queue of finished jobs (mp3)\n"
    "  V2M_JOBS         conversions at a time, 1 to 256 (the number of cores)\n"
    "  V2M_THREADS      threads that one conversion may use, 1 to 256 (the\n"
    "                   number of cores)\n"
    "  V2M_ATTEMPTS     attempts before a message goes to the dead letters,\n"
    "                   1 to 1000 (5)\n"
    "  V2M_DRAIN        on SIGTERM, seconds to finish what is under way (25)\n"
    "  V2M_TIME_LIMIT   seconds that a conversion may take (14400)\n"
    "  V2M_STALL_LIMIT  seconds that it may stand still (60)\n"
    "  V2M_TRANSCODE    the program for the media (v2m-transcode, beside this\n"
    "                   one)\n"
    "  V2M_HEALTH_LISTEN\n"
    "                   where /healthz, /readyz and /metrics answer,\n"
    "                   [HOST:]PORT (nowhere)\n"
    "  V2M_LOG_FORMAT   text or json (text)\n"
    "  V2M_LOG_LEVEL    debug, info, warning or error (info)\n";


static int
v2m_converter_read(v2m_converter_settings_t *settings, v2m_error_t *error)
{
    int     rc;
    int64_t cores;

    cores = v2m_cores("");
    cores = cores > V2M_CONVERTER_CORES ? V2M_CONVERTER_CORES : cores;

    if ((rc = v2m_config_required("V2M_MONGO_URI", &settings->mongo_uri, error))
            != V2M_OK
        || (rc =
                v2m_config_required("V2M_AMQP_URL", &settings->amqp_url, error))
               != V2M_OK
        || (rc = v2m_config_string("VIDEO_QUEUE", "video", &settings->queue,
                                   error))
               != V2M_OK
        || (rc = v2m_config_string("MP3_QUEUE", "mp3", &settings->reply_queue,
                                   error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_JOBS", cores, 1, V2M_CONVERTER_CORES,
                                    &settings->jobs, error))
               != V2M_OK
        || (rc =
                v2m_config_integer("V2M_THREADS", cores, 1, V2M_CONVERTER_CORES,
                                   &settings->threads, error))
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
        || (rc = v2m_config_integer("V2M_TIME_LIMIT", 14400, 1, 604800,
                                    &settings->limit_s, error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_STALL_LIMIT", 60, 1, 86400,
                                    &settings->stall_s, error))
               != V2M_OK)
    {
        return rc;
    }

    if (strcmp(settings->queue, settings->reply_queue) == 0) {
        return v2m_error_set(error, V2M_INVALID,
                             "VIDEO_QUEUE and MP3_QUEUE must be two queues");
    }

    return v2m_child_find(&settings->transcoder, error);
}


static void
v2m_converter_free(v2m_converter_settings_t *settings)
{
    v2m_config_wipe(settings->mongo_uri);
    v2m_config_wipe(settings->amqp_url);
    free(settings->queue);
    free(settings->reply_queue);
    free(settings->transcoder);
    free(settings->health_listen);
}


static int
v2m_converter_start(const v2m_converter_settings_t *settings,
                    v2m_error_t                    *error)
{
    int                  rc;
    v2m_health_t        *health;
    v2m_convert_t        convert;
    v2m_mongo_options_t  mongo;
    v2m_worker_options_t worker;

    memset(&convert, 0, sizeof(convert));
    convert.reply_queue = settings->reply_queue;
    convert.settings.transcoder = settings->transcoder;
    convert.settings.threads = (int) settings->threads;
    convert.settings.limit_ms = settings->limit_s * 1000;
    convert.settings.stall_ms = settings->stall_s * 1000;
    convert.settings.stopping = v2m_worker_stopping;

    mongo.application = "v2m-converter";
    mongo.timeout_ms = V2M_CONVERTER_MONGO_TIMEOUT_MS;

    rc = v2m_mongo_create(&convert.mongo, settings->mongo_uri, &mongo, error);
    if (rc != V2M_OK) {
        return rc;
    }

    memset(&worker, 0, sizeof(worker));
    worker.name = "v2m-converter";
    worker.url = settings->amqp_url;
    worker.queue = settings->queue;
    worker.reply_queue = settings->reply_queue;
    worker.jobs = (int) settings->jobs;
    worker.delivery_limit = (int) settings->attempts;
    worker.drain_ms = (int) settings->drain_s * 1000;
    worker.handle = v2m_convert_handle;
    worker.data = &convert;

    rc = v2m_health_start(&health, settings->health_listen, convert.mongo,
                          error);

    if (rc == V2M_OK) {
        rc = v2m_worker_run(&worker, error);
        v2m_health_stop(health);
    }

    v2m_mongo_destroy(convert.mongo);

    return rc;
}


int
main(int argc, char **argv)
{
    int                      rc;
    v2m_error_t              error;
    v2m_converter_settings_t settings;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(v2m_converter_help, stdout);
        return EXIT_SUCCESS;
    }

    if (argc != 1) {
        fputs(v2m_converter_help, stderr);
        return 2;
    }

    v2m_log_init("v2m-converter");
    memset(&settings, 0, sizeof(settings));

    rc = v2m_converter_read(&settings, &error);

    if (rc == V2M_OK) {
        rc = v2m_converter_start(&settings, &error);
    }

    if (rc != V2M_OK) {
        v2m_log(V2M_LOG_ERROR, NULL, "%s", error.text);
    }

    v2m_converter_free(&settings);

    return rc == V2M_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
