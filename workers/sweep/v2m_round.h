/*
 * What the duties of one round of the sweep share.
 */

#ifndef V2M_ROUND_H
#define V2M_ROUND_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_amqp.h"
#include "v2m_error.h"
#include "v2m_job.h"
#include "v2m_mongo.h"
#include "v2m_outbox.h"
#include "v2m_rounds.h"

typedef struct {
    const v2m_rounds_options_t *options;
    v2m_amqp_t                 *amqp; /* NULL: nothing was to be sent yet */
} v2m_round_t;

/* One of the queries of v2m_jobs_upkeep.h and v2m_jobs_mail.h. */
typedef int (*v2m_round_query_pt)(v2m_mongo_t *mongo, int64_t before_ms,
                                  size_t limit, v2m_job_t **jobs, size_t *count,
                                  v2m_error_t *error);

/* What becomes of one job, found with a time.  V2M_CONFLICT and V2M_NOT_FOUND:
 * somebody else was first. */
typedef int (*v2m_round_each_pt)(v2m_mongo_t *mongo, const v2m_job_t *job,
                                 int64_t before_ms, v2m_error_t *error);

/* The time so many milliseconds ago, since the epoch. */
int64_t v2m_round_before(int64_t age_ms);

/* Connects to the broker, if need be, and makes sure of the queue. */
int v2m_round_queue(v2m_round_t *round, const char *queue, v2m_error_t *error);

/* Closes the connection, which may be broken. */
void v2m_round_disconnect(v2m_round_t *round);

/* Likewise; *empty: no message waits there for a consumer. */
int v2m_round_queue_empty(v2m_round_t *round, const char *queue, int *empty,
                          v2m_error_t *error);

/* For a dry run: says of each job found what would become of it. */
int v2m_round_tell(const v2m_round_t *round, v2m_round_query_pt query,
                   int64_t before_ms, const char *what, v2m_error_t *error);

/* Calls the function with each job that the query finds, which must not find
 * it again; in a dry run only says what would become of it. */
int v2m_round_each(v2m_round_t *round, v2m_round_query_pt query,
                   int64_t before_ms, v2m_round_each_pt each, const char *what,
                   v2m_error_t *error);

/* Publishes the messages of all the jobs that the query finds.  Each must be
 * found no more once it is published. */
int v2m_round_publish(v2m_round_t *round, v2m_round_query_pt query,
                      int64_t before_ms, v2m_outbox_kind_t kind,
                      v2m_error_t *error);

/* The duties: jobs and mails that nobody goes on with; what is old. */
int v2m_lost_run(v2m_round_t *round, v2m_error_t *error);
int v2m_retention_run(v2m_round_t *round, v2m_error_t *error);

#endif /* V2M_ROUND_H */
