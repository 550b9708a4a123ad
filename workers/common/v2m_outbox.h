/*
 * Publishing of jobs whose message the broker did not confirm, or lost: the
 * job's record is the outbox.
 */

#ifndef V2M_OUTBOX_H
#define V2M_OUTBOX_H

#include <stddef.h>

#include "v2m_amqp.h"
#include "v2m_error.h"
#include "v2m_job.h"
#include "v2m_mongo.h"

#define V2M_OUTBOX_MAX 100 /* jobs in one call */

typedef enum {
    V2M_OUTBOX_VIDEOS, /* to be converted */
    V2M_OUTBOX_MAILS   /* about their end, found as v2m_jobs_mail.h has it */
} v2m_outbox_kind_t;

/* Connects to the broker, with confirms turned on.  After a failure *amqp is
 * NULL.  name: what the broker shows. */
int v2m_outbox_connect(v2m_amqp_t **amqp, const char *url, const char *name,
                       v2m_error_t *error);

/*
 * Publishes the message of each job and notes in its record what the broker
 * confirmed.  *published is the number of these, also after a failure.  The
 * queue must be declared.
 * V2M_UNAVAILABLE: the broker or the store is away, or the broker did not take
 * every message.
 */
int v2m_outbox_publish(v2m_amqp_t *amqp, v2m_mongo_t *mongo, const char *queue,
                       v2m_outbox_kind_t kind, const v2m_job_t *jobs,
                       size_t count, size_t *published, v2m_error_t *error);

#endif /* V2M_OUTBOX_H */
