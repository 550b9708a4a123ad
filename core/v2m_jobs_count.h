/*
 * How many jobs there are, for operators.
 */

#ifndef V2M_JOBS_COUNT_H
#define V2M_JOBS_COUNT_H

#include <stdint.h>

#include "v2m_error.h"
#include "v2m_job.h"
#include "v2m_mongo.h"

#define V2M_JOB_STATES (V2M_JOB_FAILED + 1)

typedef struct {
    int64_t states[V2M_JOB_STATES];
    int64_t queued_ms; /* since when the one queued for longest is, in ms since
                          the epoch; 0: none is */
} v2m_jobs_count_t;

/* Asks the store, which reads an index and one job.  Blocks; any thread.
 * Results as in v2m_mongo.h. */
int v2m_jobs_count(v2m_mongo_t *mongo, v2m_jobs_count_t *count,
                   v2m_error_t *error);

#endif /* V2M_JOBS_COUNT_H */
