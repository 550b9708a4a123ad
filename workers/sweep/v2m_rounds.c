#include "v2m_rounds.h"

#include <time.h>

#include "v2m_amqp.h"
#include "v2m_gridfs.h"
#include "v2m_jobs.h"
#include "v2m_log.h"
#include "v2m_outbox.h"

#define V2M_ROUNDS_HEARTBEAT_S 30
#define V2M_ROUNDS_TIMEOUT_MS  5000

/* how many jobs a dry run tells of */
#define V2M_ROUNDS_DRY_LIMIT 1000

typedef int (*v2m_rounds_query_pt)(v2m_mongo_t *mongo, int64_t before_ms,
                                   size_t limit, v2m_job_t **jobs,
                                   size_t *count, v2m_error_t *error);


static int64_t
v2m_rounds_before(int64_t age_ms)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000 - age_ms;
}


int
v2m_rounds_prepare(const v2m_rounds_options_t *options, v2m_error_t *error)
{
    int rc;

    rc = v2m_jobs_prepare(options->mongo, error);

    if (rc == V2M_OK) {
        rc = v2m_gridfs_prepare(options->mongo, V2M_VIDEOS, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_gridfs_prepare(options->mongo, V2M_MP3S, error);
    }

    return rc;
}


static int
v2m_rounds_tell(const v2m_rounds_options_t *options, v2m_rounds_query_pt query,
                int64_t age_ms, const char *what, v2m_error_t *error)
{
    int        rc;
    size_t     i, count;
    v2m_job_t *jobs;

    rc = query(options->mongo, v2m_rounds_before(age_ms), V2M_ROUNDS_DRY_LIMIT,
               &jobs, &count, error);
    if (rc != V2M_OK) {
        return rc;
    }

    for (i = 0; i < count; i++) {
        v2m_log(V2M_LOG_INFO, jobs[i].id, "would be %s", what);
    }

    v2m_log(V2M_LOG_INFO, NULL, "%s%zu would be %s",
            count == V2M_ROUNDS_DRY_LIMIT ? "at least " : "", count, what);

    v2m_jobs_free(jobs, count);

    return V2M_OK;
}


static int
v2m_rounds_connect(const v2m_rounds_options_t *options, v2m_amqp_t **amqp,
                   v2m_error_t *error)
{
    int                rc;
    v2m_amqp_options_t amqp_options;

    amqp_options.name = "v2m-sweep";
    amqp_options.heartbeat_s = V2M_ROUNDS_HEARTBEAT_S;
    amqp_options.timeout_ms = V2M_ROUNDS_TIMEOUT_MS;

    rc = v2m_amqp_connect(amqp, options->amqp_url, &amqp_options, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_amqp_declare(*amqp, options->queue, options->attempts, error);

    if (rc == V2M_OK) {
        rc = v2m_amqp_confirms(*amqp, error);
    }

    if (rc != V2M_OK) {
        v2m_amqp_close(*amqp);
    }

    return rc;
}


/* Connects to the broker only when there is something to publish. */
static int
v2m_rounds_publish(const v2m_rounds_options_t *options, size_t *total,
                   v2m_error_t *error)
{
    int         rc;
    size_t      count, published;
    int64_t     before;
    v2m_job_t  *jobs;
    v2m_amqp_t *amqp;

    amqp = NULL;
    before = v2m_rounds_before(options->unpublished_ms);

    do {
        rc = v2m_jobs_unpublished(options->mongo, before, V2M_OUTBOX_MAX, &jobs,
                                  &count, error);
        if (rc != V2M_OK) {
            break;
        }

        if (count > 0 && amqp == NULL) {
            rc = v2m_rounds_connect(options, &amqp, error);
            amqp = rc == V2M_OK ? amqp : NULL;
        }

        if (count > 0 && rc == V2M_OK) {
            rc = v2m_outbox_publish(amqp, options->mongo, options->queue, jobs,
                                    count, &published, error);
            *total += published;
        }

        v2m_jobs_free(jobs, count);

    } while (rc == V2M_OK && count == V2M_OUTBOX_MAX);

    v2m_amqp_close(amqp);

    return rc;
}


static int
v2m_rounds_republish(const v2m_rounds_options_t *options, v2m_error_t *error)
{
    int    rc;
    size_t total;

    if (options->dry_run) {
        return v2m_rounds_tell(options, v2m_jobs_unpublished,
                               options->unpublished_ms, "published", error);
    }

    total = 0;
    rc = v2m_rounds_publish(options, &total, error);

    if (total > 0) {
        v2m_log(V2M_LOG_INFO, NULL, "%zu published to queue \"%s\"", total,
                options->queue);
    }

    return rc;
}


/* Marked first, nobody can finish the upload any more, so that no chunk is
 * taken from under a file; the record goes last, so that a sweep that was cut
 * short is made up for by the next. */
static int
v2m_rounds_remove_upload(const v2m_rounds_options_t *options, const v2m_id_t id,
                         int64_t before_ms, v2m_error_t *error)
{
    int rc;

    rc = v2m_jobs_abandon(options->mongo, id, before_ms, error);

    if (rc == V2M_CONFLICT) {
        return V2M_OK;
    }

    if (rc == V2M_OK) {
        rc = v2m_gridfs_delete(options->mongo, V2M_VIDEOS, id, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_jobs_remove(options->mongo, id, error);
    }

    if (rc == V2M_OK) {
        v2m_log(V2M_LOG_INFO, id, "removed: an upload that did not finish");
    }

    /* another sweep was first */

    return rc == V2M_NOT_FOUND ? V2M_OK : rc;
}


static int
v2m_rounds_clean(const v2m_rounds_options_t *options, v2m_error_t *error)
{
    int        rc;
    size_t     i, count;
    int64_t    before;
    v2m_job_t *jobs;

    if (options->dry_run) {
        return v2m_rounds_tell(options, v2m_jobs_stale_uploads,
                               options->uploads_ms,
                               "removed: an upload that did not finish", error);
    }

    before = v2m_rounds_before(options->uploads_ms);

    do {
        rc = v2m_jobs_stale_uploads(options->mongo, before, V2M_OUTBOX_MAX,
                                    &jobs, &count, error);
        if (rc != V2M_OK) {
            return rc;
        }

        for (i = 0; rc == V2M_OK && i < count; i++) {
            rc = v2m_rounds_remove_upload(options, jobs[i].id, before, error);
        }

        v2m_jobs_free(jobs, count);

    } while (rc == V2M_OK && count == V2M_OUTBOX_MAX);

    return rc;
}


int
v2m_rounds_run(const v2m_rounds_options_t *options, v2m_error_t *error)
{
    int         rc, cleaned;
    v2m_error_t trouble;

    rc = v2m_rounds_republish(options, error);
    cleaned = v2m_rounds_clean(options, &trouble);

    if (rc == V2M_OK && cleaned != V2M_OK) {
        *error = trouble;
        rc = cleaned;
    }

    return rc;
}
