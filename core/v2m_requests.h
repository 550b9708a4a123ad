/*
 * The collection v2m.requests: which job a client's Idempotency-Key stands
 * for, so that a repeated upload gives the job of the first one
 * (draft-ietf-httpapi-idempotency-key-header).
 *
 * Its record {_id: "KEY\nUSERNAME", job, created} is made after the job's own
 * and points at it; a record whose job is gone, or an upload that was silent
 * for long, is free to be taken.  So a failure at any moment leaves a key that
 * can be used again.
 *
 * All functions block and may be called from any thread; beside the results
 * named at each, those of v2m_mongo.h.
 */

#ifndef V2M_REQUESTS_H
#define V2M_REQUESTS_H

#include <stdint.h>

#include "v2m_error.h"
#include "v2m_job.h"
#include "v2m_mongo.h"
#include "v2m_tus.h"

/* How long a key is remembered, at least: a day, in milliseconds. */
#define V2M_REQUESTS_KEEP_MS (24 * 3600 * 1000)

/* How long an upload may be silent before its key is free, in milliseconds.
 * One under way shows every five minutes that it is alive. */
#define V2M_REQUESTS_SILENT_MS (15 * 60 * 1000)

/* Makes the collection's index if it is not there. */
int v2m_requests_prepare(v2m_mongo_t *mongo, v2m_error_t *error);

/*
 * Begins the job (see v2m_jobs_begin(), or with tus v2m_tus_begin()) as the one
 * of its user's key, printable ASCII.  V2M_CONFLICT: the key is that of another
 * job, which is in *found, to be freed with v2m_job_free(), and this one is not
 * begun.  After any other failure the job's record may be there.
 */
int v2m_requests_begin(v2m_mongo_t *mongo, const char *key, v2m_job_t *job,
                       v2m_tus_t *tus, v2m_job_t *found, v2m_error_t *error);

/* Removes the keys first used before the given time (ms since the epoch);
 * *count: how many. */
int v2m_requests_forget(v2m_mongo_t *mongo, int64_t before_ms, int64_t *count,
                        v2m_error_t *error);

#endif /* V2M_REQUESTS_H */
