#include "v2m_jobs.h"
#include "v2m_jobs_mail.h"
#include "v2m_jobs_upkeep.h"
#include "v2m_log.h"
#include "v2m_round.h"

/*
 * Jobs that nobody goes on with: the broker gave up their message, or lost it
 * after it had confirmed it.  A message that comes twice does no harm, so this
 * may be wrong now and then; but it must come to an end.
 */

typedef int (*v2m_lost_each_pt)(v2m_round_t *round, const v2m_job_t *job,
                                v2m_error_t *error);


/* Removes what dead attempts left. */
static void
v2m_lost_discard(v2m_round_t *round, const v2m_job_t *job)
{
    v2m_error_t error;

    if (v2m_jobs_discard_attempts(round->options->mongo, job, &error) != V2M_OK)
    {
        v2m_log(V2M_LOG_WARNING, job->id,
                "the rest of a lost attempt stays in the store: %s",
                error.text);
    }
}


/* Whoever is still at it, or another sweep, was first: then the job changed. */
static int
v2m_lost_job(v2m_round_t *round, const v2m_job_t *job, v2m_error_t *error)
{
    int rc;

    if (job->requeued < round->options->requeues) {
        rc = v2m_jobs_requeue(round->options->mongo, job, error);

        if (rc == V2M_OK) {
            v2m_log(V2M_LOG_WARNING, job->id,
                    "to be published anew: it was %s and nobody went on with "
                    "it",
                    v2m_job_state_name(job->state));
        }

        return rc == V2M_CONFLICT ? V2M_OK : rc;
    }

    rc = v2m_jobs_give_up(round->options->mongo, job,
                          "the conversion was begun several times and never "
                          "came to an end, through no fault of yours; please "
                          "upload the video again",
                          error);

    if (rc == V2M_OK) {
        v2m_log(V2M_LOG_ERROR, job->id,
                "failed: it was published anew %d times, and nobody brought it "
                "to an end",
                job->requeued);
        v2m_lost_discard(round, job);
    }

    return rc == V2M_CONFLICT ? V2M_OK : rc;
}


/* A job whose mail got lost as often as may be. */
static int
v2m_lost_mail(v2m_round_t *round, const v2m_job_t *job, v2m_error_t *error)
{
    int rc;

    if (job->mail.requeued < round->options->requeues) {
        return V2M_OK;
    }

    rc = v2m_jobs_notified(round->options->mongo, job->id, V2M_NOTIFIED_FAILED,
                           NULL, error);

    if (rc == V2M_OK) {
        v2m_log(V2M_LOG_ERROR, job->id,
                "no mail: it was published %d times anew, and no notifier "
                "noted anything",
                job->mail.requeued);
    }

    return rc == V2M_CONFLICT ? V2M_OK : rc;
}


static int
v2m_lost_each(v2m_round_t *round, v2m_round_query_pt query, int64_t before_ms,
              v2m_lost_each_pt each, v2m_error_t *error)
{
    int        rc;
    size_t     i, count;
    v2m_job_t *jobs;

    rc = query(round->options->mongo, before_ms, V2M_OUTBOX_MAX, &jobs, &count,
               error);
    if (rc != V2M_OK) {
        return rc;
    }

    for (i = 0; rc == V2M_OK && i < count; i++) {
        rc = each(round, &jobs[i], error);
    }

    v2m_jobs_free(jobs, count);

    return rc;
}


/* Whether the query finds anything, and the queue holds nothing that it could
 * still wait for there. */
static int
v2m_lost_found(v2m_round_t *round, v2m_round_query_pt query, int64_t before_ms,
               const char *queue, int *found, v2m_error_t *error)
{
    int        rc;
    size_t     count;
    v2m_job_t *jobs;

    *found = 0;

    rc = query(round->options->mongo, before_ms, 1, &jobs, &count, error);
    if (rc != V2M_OK) {
        return rc;
    }

    v2m_jobs_free(jobs, count);

    return count > 0 ? v2m_round_queue_empty(round, queue, found, error)
                     : V2M_OK;
}


static int
v2m_lost_jobs(v2m_round_t *round, int64_t before_ms, v2m_error_t *error)
{
    int rc, found;

    if (round->options->dry_run) {
        rc = v2m_round_tell(round, v2m_jobs_stuck_converting, before_ms,
                            "published anew: nobody goes on with it", error);

        return rc == V2M_OK
                   ? v2m_round_tell(round, v2m_jobs_stuck_queued, before_ms,
                                    "published anew, were the queue "
                                    "empty",
                                    error)
                   : rc;
    }

    rc = v2m_lost_each(round, v2m_jobs_stuck_converting, before_ms,
                       v2m_lost_job, error);

    if (rc == V2M_OK) {
        rc = v2m_lost_found(round, v2m_jobs_stuck_queued, before_ms,
                            round->options->queue, &found, error);
    }

    if (rc == V2M_OK && found) {
        rc = v2m_lost_each(round, v2m_jobs_stuck_queued, before_ms,
                           v2m_lost_job, error);
    }

    return rc;
}


static int
v2m_lost_mails(v2m_round_t *round, int64_t before_ms, v2m_error_t *error)
{
    int rc, found;

    if (round->options->dry_run) {
        return v2m_round_tell(round, v2m_jobs_lost_mails, before_ms,
                              "published: nobody sent its mail, were the "
                              "queue empty",
                              error);
    }

    rc = v2m_lost_found(round, v2m_jobs_lost_mails, before_ms,
                        round->options->mp3_queue, &found, error);

    if (rc != V2M_OK || !found) {
        return rc;
    }

    rc = v2m_lost_each(round, v2m_jobs_lost_mails, before_ms, v2m_lost_mail,
                       error);

    return rc == V2M_OK ? v2m_round_publish(round, v2m_jobs_lost_mails,
                                            before_ms, V2M_OUTBOX_MAILS, error)
                        : rc;
}


int
v2m_lost_run(v2m_round_t *round, v2m_error_t *error)
{
    int     rc;
    int64_t before;

    rc = V2M_OK;

    if (round->options->lost_ms > 0) {
        before = v2m_round_before(round->options->lost_ms);
        rc = v2m_lost_jobs(round, before, error);

        if (rc == V2M_OK) {
            rc = v2m_lost_mails(round, before, error);
        }
    }

    return rc == V2M_OK
               ? v2m_round_publish(round, v2m_jobs_due_mails,
                                   v2m_round_before(0), V2M_OUTBOX_MAILS, error)
               : rc;
}
