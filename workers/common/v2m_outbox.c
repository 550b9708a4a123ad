#include "v2m_outbox.h"

#include <stdlib.h>
#include <string.h>

#include "v2m_jobs.h"
#include "v2m_jobs_mail.h"
#include "v2m_message.h"
#include "v2m_pause.h"

#define V2M_OUTBOX_HEARTBEAT_S 30
#define V2M_OUTBOX_TIMEOUT_MS  5000
#define V2M_OUTBOX_CONFIRM_MS  10000

typedef struct {
    uint64_t tag;
    int      settled;
    int      refused;
} v2m_outbox_item_t;


int
v2m_outbox_connect(v2m_amqp_t **amqp, const char *url, const char *name,
                   v2m_error_t *error)
{
    int                rc;
    v2m_amqp_options_t options;

    options.name = name;
    options.heartbeat_s = V2M_OUTBOX_HEARTBEAT_S;
    options.timeout_ms = V2M_OUTBOX_TIMEOUT_MS;

    rc = v2m_amqp_connect(amqp, url, &options, error);
    if (rc != V2M_OK) {
        *amqp = NULL;
        return rc;
    }

    rc = v2m_amqp_confirms(*amqp, error);
    if (rc != V2M_OK) {
        v2m_amqp_close(*amqp);
        *amqp = NULL;
    }

    return rc;
}


static int
v2m_outbox_send(v2m_amqp_t *amqp, const char *queue, v2m_outbox_kind_t kind,
                const v2m_job_t *job, uint64_t *tag, v2m_error_t *error)
{
    int           rc;
    char         *body;
    v2m_message_t message;

    memset(&message, 0, sizeof(message));
    memcpy(message.video_fid, job->id, sizeof(message.video_fid));
    message.username = job->username;
    message.name = job->name;
    memcpy(message.traceparent, job->traceparent, sizeof(message.traceparent));

    if (kind == V2M_OUTBOX_MAILS) {
        memcpy(message.mp3_fid, job->mp3_fid, sizeof(message.mp3_fid));
        message.error = job->reason;
    }

    body = v2m_message_format(&message);
    if (body == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    rc = v2m_amqp_publish(amqp, queue, body, strlen(body), job->id, tag, error);

    free(body);

    return rc;
}


static int
v2m_outbox_note(v2m_mongo_t *mongo, v2m_outbox_kind_t kind,
                const v2m_job_t *job, v2m_error_t *error)
{
    return kind == V2M_OUTBOX_MAILS ? v2m_jobs_mail_published(mongo, job, error)
                                    : v2m_jobs_published(mongo, job->id, error);
}


/* Takes one word of the broker.  Returns how many messages it settles. */
static size_t
v2m_outbox_event(v2m_outbox_item_t *items, const v2m_job_t *jobs, size_t count,
                 const v2m_amqp_event_t *event)
{
    size_t i, settled;

    settled = 0;

    for (i = 0; i < count; i++) {
        if (event->type == V2M_AMQP_RETURN
            && strcmp(jobs[i].id, event->message_id) == 0)
        {
            items[i].refused = 1;
        }

        if ((event->type == V2M_AMQP_ACK || event->type == V2M_AMQP_NACK)
            && !items[i].settled
            && (items[i].tag == event->tag
                || (event->multiple && items[i].tag < event->tag)))
        {
            items[i].settled = 1;
            items[i].refused |= event->type == V2M_AMQP_NACK;
            settled++;
        }
    }

    return settled;
}


static int
v2m_outbox_await(v2m_amqp_t *amqp, v2m_outbox_item_t *items,
                 const v2m_job_t *jobs, size_t count, v2m_error_t *error)
{
    int              rc;
    size_t           left;
    int64_t          now, until;
    v2m_amqp_event_t event;

    until = v2m_clock_ms() + V2M_OUTBOX_CONFIRM_MS;

    for (left = count; left > 0;) {
        now = v2m_clock_ms();

        if (now >= until) {
            return v2m_error_set(error, V2M_UNAVAILABLE,
                                 "the broker did not confirm in time");
        }

        rc = v2m_amqp_wait(amqp, -1, (int) (until - now), &event, error);
        if (rc != V2M_OK) {
            return rc;
        }

        left -= v2m_outbox_event(items, jobs, count, &event);
    }

    return V2M_OK;
}


int
v2m_outbox_publish(v2m_amqp_t *amqp, v2m_mongo_t *mongo, const char *queue,
                   v2m_outbox_kind_t kind, const v2m_job_t *jobs, size_t count,
                   size_t *published, v2m_error_t *error)
{
    int               rc, noted;
    size_t            i;
    v2m_error_t       trouble;
    v2m_outbox_item_t items[V2M_OUTBOX_MAX];

    rc = V2M_OK;
    *published = 0;
    memset(items, 0, sizeof(items));

    for (i = 0; rc == V2M_OK && i < count; i++) {
        rc = v2m_outbox_send(amqp, queue, kind, &jobs[i], &items[i].tag, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_outbox_await(amqp, items, jobs, count, error);
    }

    /* what was confirmed is noted even if the rest failed */
    for (i = 0; i < count; i++) {
        if (!items[i].settled) {
            continue;
        }

        if (items[i].refused) {
            rc = v2m_error_set(error, V2M_UNAVAILABLE,
                               "the broker did not take the message of job %s",
                               jobs[i].id);
            continue;
        }

        noted = v2m_outbox_note(mongo, kind, &jobs[i], &trouble);

        if (noted == V2M_OK) {
            (*published)++;

        } else if (noted != V2M_CONFLICT && rc == V2M_OK) {
            /* a conflict is a job that was deleted or changed meanwhile */
            *error = trouble;
            rc = noted;
        }
    }

    return rc;
}
