/*
 * The job record between BSON and C; used by v2m_jobs*.c only.
 */

#ifndef V2M_JOB_BSON_H
#define V2M_JOB_BSON_H

#include <bson/bson.h>

#include "v2m_error.h"
#include "v2m_job.h"

/*
 * Fills the job, which is initialized first, from a record; fields it does
 * not know are ignored.  V2M_CORRUPT: no id or no username.  To be freed with
 * v2m_job_free() in either case.
 */
int v2m_job_from_bson(v2m_job_t *job, const bson_t *record, v2m_error_t *error);

/* Appends the field "options" with those options that were given. */
void v2m_job_append_options(bson_t *record, const v2m_options_t *options);

#endif /* V2M_JOB_BSON_H */
