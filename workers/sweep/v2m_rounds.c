#include "v2m_rounds.h"

#include "v2m_gridfs.h"
#include "v2m_jobs.h"
#include "v2m_jobs_schema.h"
#include "v2m_jobs_upkeep.h"
#include "v2m_log.h"
#include "v2m_outbox.h"
#include "v2m_requests.h"
#include "v2m_round.h"
#include "v2m_tus.h"

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
v2m_rounds_remove_upload(v2m_mongo_t *mongo, const v2m_job_t *job,
                         int64_t before_ms, v2m_error_t *error)
{
    int rc;

    rc = v2m_jobs_abandon(mongo, job->id, before_ms, error);

    if (rc == V2M_OK) {
        rc = v2m_gridfs_delete(mongo, V2M_VIDEOS, job->id, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_jobs_remove(mongo, job->id, error);
    }

    if (rc == V2M_OK) {
        v2m_log(V2M_LOG_INFO, job->id,
                "removed: an upload that did not finish");
    }

    return rc;
}


/* A resumable upload, which says itself when it expires. */
static int
v2m_rounds_remove_expired(v2m_mongo_t *mongo, const v2m_job_t *job,
                          int64_t before_ms, v2m_error_t *error)
{
    int rc;

    rc = v2m_tus_expire(mongo, job, before_ms, error);

    if (rc == V2M_OK) {
        v2m_log(V2M_LOG_INFO, job->id,
                "removed: a resumable upload that expired");
    }

    return rc;
}


static int
v2m_rounds_clean(v2m_round_t *round, v2m_error_t *error)
{
    int rc;

    rc = v2m_round_each(round, v2m_jobs_stale_uploads,
                        v2m_round_before(round->options->uploads_ms),
                        v2m_rounds_remove_upload,
                        "removed: an upload that did not finish", error);

    return rc == V2M_OK
               ? v2m_round_each(round, v2m_tus_expired, v2m_round_before(0),
                                v2m_rounds_remove_expired,
                                "removed: a resumable upload that expired",
                                error)
               : rc;
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
    v2m_error_t later;
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
        /* what failed first is told */
        done = duties[i](&round, rc == V2M_OK ? error : &later);

        if (done != V2M_OK) {
            v2m_round_disconnect(&round);
            rc = rc == V2M_OK ? done : rc;
        }
    }

    v2m_round_disconnect(&round);

    return rc;
}
