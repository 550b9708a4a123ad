/*
 * What the sweep and the operator do with jobs: finding those that nobody goes
 * on with, sending them anew, and removing what is old.
 *
 * Lists are malloc'ed and to be freed with v2m_jobs_free(); times are in ms
 * since the epoch.  Beside the results named at each, those of v2m_mongo.h.
 */

#ifndef V2M_JOBS_UPKEEP_H
#define V2M_JOBS_UPKEEP_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_id.h"
#include "v2m_job.h"
#include "v2m_mongo.h"

/* Queued jobs that the broker did not confirm, and uploads that cannot be
 * resumed, without a change since before the given time, oldest first. */
int v2m_jobs_unpublished(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                         v2m_job_t **jobs, size_t *count, v2m_error_t *error);
int v2m_jobs_stale_uploads(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                           v2m_job_t **jobs, size_t *count, v2m_error_t *error);

/* Jobs without a change since before the given time: queued ones that the
 * broker confirmed, and ones in conversion, whose converter shows every now
 * and then that it lives.  Oldest first. */
int v2m_jobs_stuck_queued(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                          v2m_job_t **jobs, size_t *count, v2m_error_t *error);
int v2m_jobs_stuck_converting(v2m_mongo_t *mongo, int64_t before_ms,
                              size_t limit, v2m_job_t **jobs, size_t *count,
                              v2m_error_t *error);

/* queued | converting -> queued, not published, and counts how often, if the
 * job is as it was when it was read.  V2M_CONFLICT: it is not. */
int v2m_jobs_requeue(v2m_mongo_t *mongo, const v2m_job_t *job,
                     v2m_error_t *error);

/* queued | converting -> failed, likewise; its mail is due at once. */
int v2m_jobs_give_up(v2m_mongo_t *mongo, const v2m_job_t *job,
                     const char *reason, v2m_error_t *error);

/* failed -> queued, not published, not notified, as if it had never been
 * tried.  V2M_CONFLICT: it is in another state, or its video was removed. */
int v2m_jobs_retry(v2m_mongo_t *mongo, const v2m_id_t id, v2m_error_t *error);

/* Jobs that came to their end before the given time: those whose video is
 * still there; all whose mail is not put aside; and, of these, such whose owner
 * was told before that time as well, or cannot be. */
int v2m_jobs_old_videos(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                        v2m_job_t **jobs, size_t *count, v2m_error_t *error);
int v2m_jobs_old(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                 v2m_job_t **jobs, size_t *count, v2m_error_t *error);
int v2m_jobs_old_told(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                      v2m_job_t **jobs, size_t *count, v2m_error_t *error);

/*
 * Of a job that came to its end: notes that its video is being removed, then
 * that it was; and that everything of it is.  From then on it cannot be sent
 * anew.  Whoever notes it removes the blob, or blobs and record, as the last
 * thing; what is cut short is found again.  V2M_CONFLICT: it is in another
 * state, was changed since it was read, or is gone.
 */
int v2m_jobs_video_removing(v2m_mongo_t *mongo, const v2m_job_t *job,
                            v2m_error_t *error);
int v2m_jobs_video_removed(v2m_mongo_t *mongo, const v2m_id_t id,
                           v2m_error_t *error);
int v2m_jobs_expire(v2m_mongo_t *mongo, const v2m_job_t *job,
                    v2m_error_t *error);

/* Everyone's jobs of a state (-1: any), newest first, from the one after the
 * given id (may be NULL). */
int v2m_jobs_list_all(v2m_mongo_t *mongo, int state, const char *owner,
                      const char *after, size_t limit, v2m_job_t **jobs,
                      size_t *count, v2m_error_t *error);

#endif /* V2M_JOBS_UPKEEP_H */
