#include "v2m_rounds.h"

#include "v2m_gridfs.h"
#include "v2m_jobs.h"
#include "v2m_jobs_upkeep.h"
#include "v2m_log.h"
#include "v2m_outbox.h"
#include "v2m_requests.h"
#include "v2m_round.h"

int
v2m_rounds_prepare(const v2m_rounds_options_t *options, v2m_error_t *error)
{
    int rc;

    rc = v2m_jobs_prepare(options->mongo, error);

    if (rc == V2M_OK) {
        rc = v2m_requests_prepare(options->mongo, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_gridfs_prepare(options->mongo, V2M_VIDEOS, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_gridfs_prepare(options->mongo, V2M_MP3S, error);
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
v2m_rounds_clean(v2m_round_t *round, v2m_error_t *error)
{
    int                         rc;
    size_t                      i, count;
    int64_t                     before;
    v2m_job_t                  *jobs;
    const v2m_rounds_options_t *options;

    options = round->options;
    before = v2m_round_before(options->uploads_ms);

    if (options->dry_run) {
        return v2m_round_tell(round, v2m_jobs_stale_uploads, before,
                              "removed: an upload that did not finish", error);
    }

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


static int
v2m_rounds_republish(v2m_round_t *round, v2m_error_t *error)
{
    return v2m_round_publish(round, v2m_jobs_unpublished,
                             v2m_round_before(round->options->unpublished_ms),
                             V2M_OUTBOX_VIDEOS, error);
}


int
v2m_rounds_run(const v2m_rounds_options_t *options, v2m_error_t *error)
{
    int         rc, done;
    size_t      i;
    v2m_error_t trouble;
    v2m_round_t round;

    static int (*const duties[])(v2m_round_t *, v2m_error_t *) = {
        v2m_rounds_republish,
        v2m_lost_run,
        v2m_rounds_clean,
        v2m_retention_run,
    };

    rc = V2M_OK;
    round.options = options;
    round.amqp = NULL;

    for (i = 0; i < sizeof(duties) / sizeof(duties[0]); i++) {
        done = duties[i](&round, &trouble);

        if (done != V2M_OK) {
            v2m_round_disconnect(&round);
        }

        if (done != V2M_OK && rc == V2M_OK) {
            *error = trouble;
            rc = done;
        }
    }

    v2m_round_disconnect(&round);

    return rc;
}
