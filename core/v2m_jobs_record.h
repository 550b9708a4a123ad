/*
 * How a record of v2m.jobs is changed and found: what v2m_jobs*.c share.  All
 * that blocks may be called from any thread; results as in v2m_mongo.h.
 */

#ifndef V2M_JOBS_RECORD_H
#define V2M_JOBS_RECORD_H

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_id.h"
#include "v2m_job.h"
#include "v2m_mongo.h"

#define V2M_JOBS_DATABASE   "v2m"
#define V2M_JOBS_COLLECTION "jobs"

/* A change of one record: which, and what becomes of it. */
typedef struct {
    bson_t filter;
    bson_t update;
    bson_t set; /* {$set: ...} in update, open until the change is ended */
} v2m_jobs_change_t;

/* The end states, -1 at the end: there is a mail about these. */
extern const int v2m_jobs_ended[];

/* Sets the job's state uploading and its created and updated times, and appends
 * all that its record begins with. */
void v2m_jobs_append_new(bson_t *record, v2m_job_t *job);

void v2m_jobs_append_id(bson_t *document, const char *field, const v2m_id_t id);

/* A text for a person.  It is made UTF-8, or other readers of the record
 * would fail. */
void v2m_jobs_append_text(bson_t *document, const char *field,
                          const char *text);

/* {field: {operator: time}}, for "$lt" and its like. */
void v2m_jobs_append_range(bson_t *filter, const char *field,
                           const char *operator, int64_t time_ms);

/* {field: {$exists: ...}} */
void v2m_jobs_append_exists(bson_t *filter, const char *field, bool exists);

/* {_id: {$lt: id}}: what was made before, as an id begins with the time of its
 * making. */
void v2m_jobs_append_before(bson_t *filter, const v2m_id_t id);

/* {state: {$in: [...]}}; a state of -1 ends the list. */
void v2m_jobs_append_states(bson_t *filter, const int *states);

/* {$unset: ...} of the fields; NULL ends the list. */
void v2m_jobs_append_unset(bson_t *update, const char *const *fields);

/* A filter {_id, state: {$in: [...]}}; a state of -1 ends the list, which may
 * be NULL: any state. */
void v2m_jobs_filter(bson_t *filter, const v2m_id_t id, const int *states);

/* Begins {$set: {updated: now}} on one record in one of the states. */
void v2m_jobs_change_begin(v2m_jobs_change_t *change, const v2m_id_t id,
                           const int *states);

/* Likewise, but it leaves the time of change alone. */
void v2m_jobs_change_begin_quietly(v2m_jobs_change_t *change, const v2m_id_t id,
                                   const int *states);

/* Carries the change out and frees it; V2M_CONFLICT when no record met the
 * filter.  The first is for a change whose $set was closed by the caller. */
int v2m_jobs_change_run(v2m_mongo_t *mongo, v2m_jobs_change_t *change,
                        v2m_error_t *error);
int v2m_jobs_change_end(v2m_mongo_t *mongo, v2m_jobs_change_t *change,
                        v2m_error_t *error);

/* Runs a query, sorted by one field, and frees the filter; *jobs as with
 * v2m_jobs_list(). */
int v2m_jobs_query(v2m_mongo_t *mongo, bson_t *filter, const char *sort,
                   int direction, size_t limit, v2m_job_t **jobs, size_t *count,
                   v2m_error_t *error);

#endif /* V2M_JOBS_RECORD_H */
