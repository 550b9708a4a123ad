/*
 * The collection v2m.jobs: the single source of truth for a job, and every
 * transition between its states, each as one compare-and-set.
 *
 *   uploading -> queued -> converting -> ready | failed(reason)
 *
 * The mail about a job's end is in v2m_jobs_mail.h, what only the sweep and
 * the operator do in v2m_jobs_upkeep.h.
 *
 * All functions block and may be called from any thread; beside the results
 * named at each, those of v2m_mongo.h.
 */

#ifndef V2M_JOBS_H
#define V2M_JOBS_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_gridfs.h"
#include "v2m_id.h"
#include "v2m_job.h"
#include "v2m_mongo.h"

/* Inserts the job in state uploading, with id, username, name, options,
 * webhook, traceparent and the announced size (0: none) of the job given; sets
 * its created and updated times. */
int v2m_jobs_begin(v2m_mongo_t *mongo, v2m_job_t *job, v2m_error_t *error);

/* uploading -> queued, not yet published.  V2M_CONFLICT: it was not
 * uploading any more (the sweep took it for abandoned). */
int v2m_jobs_queue(v2m_mongo_t *mongo, const v2m_id_t id, const char *name,
                   int64_t size, v2m_error_t *error);

/* Notes that the broker confirmed the job's message. */
int v2m_jobs_published(v2m_mongo_t *mongo, const v2m_id_t id,
                       v2m_error_t *error);

/* Makes a queued, published record for a message of a producer that knows no
 * job records, with name and size of the video; changes nothing when the
 * record is there. */
int v2m_jobs_adopt(v2m_mongo_t *mongo, const char *username,
                   const v2m_gridfs_file_t *video, v2m_error_t *error);

/* The owner may be NULL: anyone's.  V2M_NOT_FOUND: unknown id, or another
 * owner's.  The job is to be freed with v2m_job_free(). */
int v2m_jobs_find(v2m_mongo_t *mongo, const v2m_id_t id, const char *owner,
                  v2m_job_t *job, v2m_error_t *error);

/* As v2m_jobs_find(), by the job's id or by its MP3's file id. */
int v2m_jobs_find_by_fid(v2m_mongo_t *mongo, const v2m_id_t fid,
                         const char *owner, v2m_job_t *job, v2m_error_t *error);

/*
 * The owner's jobs (NULL: everyone's), newest first, from the one after the
 * given id (may be NULL or empty: from the newest), at most limit of them.
 * *jobs is malloc'ed; to be freed with v2m_jobs_free().
 */
int v2m_jobs_list(v2m_mongo_t *mongo, const char *owner, const char *after,
                  size_t limit, v2m_job_t **jobs, size_t *count,
                  v2m_error_t *error);

void v2m_jobs_free(v2m_job_t *jobs, size_t count);

/* queued | converting -> converting, for a worker that begins an attempt. Notes
 * under which file id the attempt will write its MP3: what a converter that
 * dies leaves behind is found by that.  V2M_CONFLICT: the job has its end
 * state, or is still uploading. */
int v2m_jobs_start(v2m_mongo_t *mongo, const v2m_id_t id,
                   const v2m_id_t mp3_fid, v2m_error_t *error);

/* Deletes what the attempts that the job's record tells of left in the store,
 * but for the job's MP3. */
int v2m_jobs_discard_attempts(v2m_mongo_t *mongo, const v2m_job_t *job,
                              v2m_error_t *error);

/* Notes how far a conversion is: percent and seconds that are left, -1:
 * unknown, and a word for what it is at (shorter than V2M_JOB_PHASE); ignored
 * unless converting. */
int v2m_jobs_progress(v2m_mongo_t *mongo, const v2m_id_t id, int32_t percent,
                      int32_t remaining_s, const char *phase,
                      v2m_error_t *error);

/*
 * queued | converting -> ready with this MP3; a duration of -1 is unknown.
 * V2M_CONFLICT: another attempt committed first (delete the MP3 of this one),
 * or the job is gone.
 */
int v2m_jobs_ready(v2m_mongo_t *mongo, const v2m_id_t id,
                   const v2m_id_t mp3_fid, int64_t mp3_size,
                   int64_t duration_ms, v2m_error_t *error);

/* queued | converting -> failed, with a reason for a person.
 * V2M_CONFLICT: the job has its end state already, or is gone. */
int v2m_jobs_fail(v2m_mongo_t *mongo, const v2m_id_t id, const char *reason,
                  v2m_error_t *error);

/* Removes the record only.  V2M_NOT_FOUND: there was none. */
int v2m_jobs_remove(v2m_mongo_t *mongo, const v2m_id_t id, v2m_error_t *error);

/* Removes the record only, if it is as it was when the job was read.
 * V2M_CONFLICT: it was changed since, or is gone. */
int v2m_jobs_remove_unchanged(v2m_mongo_t *mongo, const v2m_job_t *job,
                              v2m_error_t *error);

/* Deletes the video, the MP3 and what other attempts left, whichever of them
 * exist. */
int v2m_jobs_delete_blobs(v2m_mongo_t *mongo, const v2m_job_t *job,
                          v2m_error_t *error);

/*
 * Finds a job as v2m_jobs_find() does and removes it with its blobs, in such an
 * order that what is cut short can be repeated, and again when it changed
 * meanwhile.  *job is what was found last; to be freed with v2m_job_free(),
 * whatever the result.  V2M_CONFLICT: its upload is still under way, as the
 * error says, and is none that can be resumed (see v2m_tus.h); V2M_UNAVAILABLE
 * as well: it changed each time.
 */
int v2m_jobs_drop(v2m_mongo_t *mongo, const v2m_id_t id, const char *owner,
                  v2m_job_t *job, v2m_error_t *error);

/*
 * Marks an upload without a change since the given time (ms since the epoch)
 * as abandoned: from then on it can be neither queued nor touched.  Whoever
 * marks it deletes its blob and then, as the last thing, the record with
 * v2m_jobs_remove(); if that is cut short, the sweep finds the record again.
 * V2M_CONFLICT: it was changed since, is in another state, or is gone.
 */
int v2m_jobs_abandon(v2m_mongo_t *mongo, const v2m_id_t id, int64_t before_ms,
                     v2m_error_t *error);

/* Moves an upload's time of change, so that the sweep leaves it alone. */
int v2m_jobs_touch(v2m_mongo_t *mongo, const v2m_id_t id, v2m_error_t *error);

#endif /* V2M_JOBS_H */
