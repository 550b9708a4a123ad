#include "v2m_round.h"

#include "v2m_jobs.h"
#include "v2m_log.h"
#include "v2m_pause.h"

/* how many jobs a dry run tells of */
#define V2M_ROUND_DRY_LIMIT 1000


int64_t
v2m_round_before(int64_t age_ms)
{
    return v2m_wall_ms() - age_ms;
}


void
v2m_round_disconnect(v2m_round_t *round)
{
    v2m_amqp_close(round->amqp);
    round->amqp = NULL;
}


int
v2m_round_queue(v2m_round_t *round, const char *queue, v2m_error_t *error)
{
    int rc;

    rc = round->amqp == NULL ? v2m_outbox_connect(
             &round->amqp, round->options->amqp_url, "v2m-sweep", error)
                             : V2M_OK;

    return rc == V2M_OK ? v2m_amqp_declare(round->amqp, queue,
                                           round->options->attempts, error)
                        : rc;
}


int
v2m_round_queue_empty(v2m_round_t *round, const char *queue, int *empty,
                      v2m_error_t *error)
{
    int     rc;
    int64_t messages;

    rc = v2m_round_queue(round, queue, error);

    if (rc == V2M_OK) {
        rc = v2m_amqp_depth(round->amqp, queue, &messages, error);
    }

    if (rc == V2M_OK) {
        *empty = messages == 0;
    }

    return rc;
}


int
v2m_round_tell(const v2m_round_t *round, v2m_round_query_pt query,
               int64_t before_ms, const char *what, v2m_error_t *error)
{
    int        rc;
    size_t     i, count;
    v2m_job_t *jobs;

    rc = query(round->options->mongo, before_ms, V2M_ROUND_DRY_LIMIT, &jobs,
               &count, error);
    if (rc != V2M_OK) {
        return rc;
    }

    for (i = 0; i < count; i++) {
        v2m_log(V2M_LOG_INFO, jobs[i].id, "would be %s", what);
    }

    v2m_log(V2M_LOG_INFO, NULL, "%s%zu would be %s",
            count == V2M_ROUND_DRY_LIMIT ? "at least " : "", count, what);

    v2m_jobs_free(jobs, count);

    return V2M_OK;
}


int
v2m_round_publish(v2m_round_t *round, v2m_round_query_pt query,
                  int64_t before_ms, v2m_outbox_kind_t kind, v2m_error_t *error)
{
    int         rc;
    size_t      count, published, total;
    v2m_job_t  *jobs;
    const char *queue;

    if (round->options->dry_run) {
        return v2m_round_tell(round, query, before_ms,
                              kind == V2M_OUTBOX_MAILS
                                  ? "published: its mail is due"
                                  : "published",
                              error);
    }

    queue = kind == V2M_OUTBOX_MAILS ? round->options->mp3_queue
                                     : round->options->queue;
    total = 0;

    do {
        rc = query(round->options->mongo, before_ms, V2M_OUTBOX_MAX, &jobs,
                   &count, error);
        if (rc != V2M_OK) {
            break;
        }

        /* to the broker only when there is something for it */

        if (count > 0) {
            rc = v2m_round_queue(round, queue, error);
        }

        if (count > 0 && rc == V2M_OK) {
            rc = v2m_outbox_publish(round->amqp, round->options->mongo, queue,
                                    kind, jobs, count, &published, error);
            total += published;
        }

        v2m_jobs_free(jobs, count);

    } while (rc == V2M_OK && count == V2M_OUTBOX_MAX);

    if (total > 0) {
        v2m_log(V2M_LOG_INFO, NULL, "%zu published to queue \"%s\"", total,
                queue);
    }

    return rc;
}


int
v2m_round_each(v2m_round_t *round, v2m_round_query_pt query, int64_t before_ms,
               v2m_round_each_pt each, const char *what, v2m_error_t *error)
{
    int        rc;
    size_t     i, count;
    v2m_job_t *jobs;

    if (round->options->dry_run) {
        return v2m_round_tell(round, query, before_ms, what, error);
    }

    do {
        rc = query(round->options->mongo, before_ms, V2M_OUTBOX_MAX, &jobs,
                   &count, error);
        if (rc != V2M_OK) {
            return rc;
        }

        for (i = 0; rc == V2M_OK && i < count; i++) {
            rc = each(round->options->mongo, &jobs[i], before_ms, error);

            /* changed meanwhile, or another sweep was first */
            rc = rc == V2M_CONFLICT || rc == V2M_NOT_FOUND ? V2M_OK : rc;
        }

        v2m_jobs_free(jobs, count);

    } while (rc == V2M_OK && count == V2M_OUTBOX_MAX);

    return rc;
}
