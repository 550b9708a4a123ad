#include "v2m_gridfs.h"
#include "v2m_jobs.h"
#include "v2m_jobs_upkeep.h"
#include "v2m_log.h"
#include "v2m_requests.h"
#include "v2m_round.h"

/*
 * What is old: videos that were converted, whole jobs, and the keys of
 * uploads.  A job is marked first, so that it cannot be sent anew, and what is
 * cut short is found again.
 */

static int
v2m_retention_video(v2m_mongo_t *mongo, const v2m_job_t *job, int64_t before_ms,
                    v2m_error_t *error)
{
    int rc;

    (void) before_ms;

    rc = v2m_jobs_video_removing(mongo, job, error);

    if (rc == V2M_OK) {
        rc = v2m_gridfs_delete(mongo, V2M_VIDEOS, job->id, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_jobs_video_removed(mongo, job->id, error);
    }

    if (rc == V2M_OK) {
        v2m_log(V2M_LOG_INFO, job->id, "the video was removed, as it is old");
    }

    return rc;
}


static int
v2m_retention_job(v2m_mongo_t *mongo, const v2m_job_t *job, int64_t before_ms,
                  v2m_error_t *error)
{
    int rc;

    (void) before_ms;

    rc = v2m_jobs_expire(mongo, job, error);

    if (rc == V2M_OK) {
        rc = v2m_jobs_delete_blobs(mongo, job, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_jobs_remove(mongo, job->id, error);
    }

    if (rc == V2M_OK) {
        v2m_log(V2M_LOG_INFO, job->id,
                "the job was removed with its files, as it is old");
    }

    return rc;
}


static int
v2m_retention_duty(v2m_round_t *round, v2m_round_query_pt query,
                   int64_t keep_ms, v2m_round_each_pt each, const char *what,
                   v2m_error_t *error)
{
    return keep_ms < 0 ? V2M_OK
                       : v2m_round_each(round, query, v2m_round_before(keep_ms),
                                        each, what, error);
}


/* Keys say nothing of interest to an operator, so a dry run passes them by. */
static int
v2m_retention_keys(v2m_round_t *round, v2m_error_t *error)
{
    int     rc;
    int64_t count;

    if (round->options->dry_run) {
        return V2M_OK;
    }

    rc = v2m_requests_forget(round->options->mongo,
                             v2m_round_before(V2M_REQUESTS_KEEP_MS), &count,
                             error);

    if (rc == V2M_OK && count > 0) {
        v2m_log(V2M_LOG_INFO, NULL, "%lld keys of uploads were forgotten",
                (long long) count);
    }

    return rc;
}


int
v2m_retention_run(v2m_round_t *round, v2m_error_t *error)
{
    int rc;

    /* a mail about an MP3 that is gone would be no use.  Without a look for
     * what is lost nobody can be relied on to note that the owner was told. */

    rc = v2m_retention_duty(
        round, round->options->lost_ms > 0 ? v2m_jobs_old_told : v2m_jobs_old,
        round->options->keep_mp3_ms, v2m_retention_job,
        "removed with its files: it is old", error);

    if (rc == V2M_OK) {
        rc = v2m_retention_duty(
            round, v2m_jobs_old_videos, round->options->keep_video_ms,
            v2m_retention_video, "without its video: that is old", error);
    }

    return rc == V2M_OK ? v2m_retention_keys(round, error) : rc;
}
