/*
 * Lets a test written in another language use v2m_worker.h:
 *
 *   drive_worker URL QUEUE REPLY_QUEUE JOBS ATTEMPTS DRAIN_MS
 *
 * consumes messages that say what to do with them, steps parted by spaces:
 * NAME, then any of "sleep=MS", "until=FILE" (is there), "wait" (until the
 * worker is told to return), "reply", "long" (a reply that is too long) and, at
 * the end, "done", "retry" or "reject".  Writes "begin NAME DELIVERY_COUNT
 * LAST" and "end NAME".
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "v2m_amqp.h"
#include "v2m_log.h"
#include "v2m_worker.h"


static void
sleep_ms(long milliseconds)
{
    struct timespec time;

    time.tv_sec = milliseconds / 1000;
    time.tv_nsec = milliseconds % 1000 * 1000000;
    nanosleep(&time, NULL);
}


static void
step(const char *name, const char *word, v2m_worker_reply_t *reply,
     const char *reply_queue, v2m_worker_outcome_t *outcome)
{
    if (strncmp(word, "sleep=", 6) == 0) {
        sleep_ms(atol(word + 6));

    } else if (strncmp(word, "until=", 6) == 0) {
        while (access(word + 6, F_OK) != 0) {
            sleep_ms(10);
        }

    } else if (strcmp(word, "wait") == 0) {
        while (!v2m_worker_stopping()) {
            sleep_ms(10);
        }

    } else if (strcmp(word, "reply") == 0) {
        reply->queue = reply_queue;
        reply->body = strdup(name);
        snprintf(reply->message_id, sizeof(reply->message_id), "%.32s", name);

    } else if (strcmp(word, "long") == 0) {
        reply->queue = reply_queue;
        reply->body = malloc(V2M_AMQP_BODY_MAX + 2);
        memset(reply->body, 'x', V2M_AMQP_BODY_MAX + 1);
        reply->body[V2M_AMQP_BODY_MAX + 1] = '\0';

    } else if (strcmp(word, "retry") == 0) {
        *outcome = V2M_WORKER_RETRY;

    } else if (strcmp(word, "reject") == 0) {
        *outcome = V2M_WORKER_REJECT;
    }
}


static v2m_worker_outcome_t
handle(void *data, const v2m_worker_delivery_t *delivery,
       v2m_worker_reply_t *reply)
{
    char                *text, *name, *word, *rest;
    v2m_worker_outcome_t outcome;

    outcome = V2M_WORKER_DONE;
    text = strndup(delivery->body, delivery->length);
    name = strtok_r(text, " ", &rest);
    name = name != NULL ? name : "-";

    printf("begin %s %d %d\n", name, delivery->delivery_count, delivery->last);

    while ((word = strtok_r(NULL, " ", &rest)) != NULL) {
        step(name, word, reply, data, &outcome);
    }

    printf("end %s\n", name);
    free(text);

    return outcome;
}


int
main(int argc, char **argv)
{
    v2m_error_t          error;
    v2m_worker_options_t options;

    if (argc != 7) {
        fputs("drive_worker URL QUEUE REPLY_QUEUE JOBS ATTEMPTS DRAIN_MS\n",
              stderr);
        return 2;
    }

    setvbuf(stdout, NULL, _IOLBF, 0);
    v2m_log_init("drive_worker");
    memset(&options, 0, sizeof(options));

    options.name = "v2m-drive-worker";
    options.url = argv[1];
    options.queue = argv[2];
    options.reply_queue = argv[3];
    options.jobs = atoi(argv[4]);
    options.delivery_limit = atoi(argv[5]);
    options.drain_ms = atoi(argv[6]);
    options.handle = handle;
    options.data = argv[3];

    if (v2m_worker_run(&options, &error) != V2M_OK) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }

    return EXIT_SUCCESS;
}
