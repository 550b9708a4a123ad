/*
 * What those who watch jobs ask the store: which changed.  How it blocks and
 * what it returns is as in v2m_jobs.h; *jobs is to be freed with
 * v2m_jobs_free().
 */

#ifndef V2M_JOBS_WATCH_H
#define V2M_JOBS_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_id.h"
#include "v2m_job.h"
#include "v2m_mongo.h"

/* A change is stored a while after the time that it is given, by a clock that
 * may differ from that of whoever watches: to miss none, ask from this long
 * before the time until which all is known. */
#define V2M_JOBS_WATCH_OVERLAP_MS 10000

/* Whose changes since when (ms since the epoch), and beside them which jobs,
 * changed or not. */
typedef struct {
    const char    **owners;
    size_t          owner_count; /* at least one */
    int64_t         since_ms;
    const v2m_id_t *ids;
    size_t          id_count;
} v2m_jobs_watch_t;

/* All that the watch asks for, in one query. */
int v2m_jobs_watch(v2m_mongo_t *mongo, const v2m_jobs_watch_t *watch,
                   v2m_job_t **jobs, size_t *count, v2m_error_t *error);

/* The owner's jobs that have no end state or changed since then, those that
 * changed last first, at most limit of them. */
int v2m_jobs_current(v2m_mongo_t *mongo, const char *owner, int64_t since_ms,
                     size_t limit, v2m_job_t **jobs, size_t *count,
                     v2m_error_t *error);

#endif /* V2M_JOBS_WATCH_H */
