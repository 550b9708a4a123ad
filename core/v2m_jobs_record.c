#include "v2m_jobs_record.h"

#include <stdlib.h>
#include <string.h>

#include "v2m_job_bson.h"
#include "v2m_jobs.h"
#include "v2m_pause.h"
#include "v2m_utf8.h"

/* A growing list of jobs, filled by v2m_jobs_take(). */
typedef struct {
    v2m_job_t *jobs;
    size_t     count;
    size_t     capacity;
} v2m_jobs_found_t;

const int v2m_jobs_ended[] = { V2M_JOB_READY, V2M_JOB_FAILED, -1 };


void
v2m_jobs_append_id(bson_t *document, const char *field, const v2m_id_t id)
{
    bson_oid_t oid;

    bson_oid_init_from_string(&oid, id);
    BSON_APPEND_OID(document, field, &oid);
}


void
v2m_jobs_append_text(bson_t *document, const char *field, const char *text)
{
    char *repaired;

    repaired = v2m_utf8_repair(text);
    if (repaired == NULL) {
        return;
    }

    BSON_APPEND_UTF8(document, field, repaired);
    free(repaired);
}


void
v2m_jobs_append_range(bson_t *filter, const char *field, const char *operator,
                      int64_t time_ms)
{
    bson_t range;

    BSON_APPEND_DOCUMENT_BEGIN(filter, field, &range);
    BSON_APPEND_DATE_TIME(&range, operator, time_ms);
    bson_append_document_end(filter, &range);
}


void
v2m_jobs_append_exists(bson_t *filter, const char *field, bool exists)
{
    bson_t condition;

    BSON_APPEND_DOCUMENT_BEGIN(filter, field, &condition);
    BSON_APPEND_BOOL(&condition, "$exists", exists);
    bson_append_document_end(filter, &condition);
}


void
v2m_jobs_append_before(bson_t *filter, const v2m_id_t id)
{
    bson_t range;

    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &range);
    v2m_jobs_append_id(&range, "$lt", id);
    bson_append_document_end(filter, &range);
}


void
v2m_jobs_append_unset(bson_t *update, const char *const *fields)
{
    bson_t unset;

    BSON_APPEND_DOCUMENT_BEGIN(update, "$unset", &unset);

    for (; *fields != NULL; fields++) {
        bson_append_bool(&unset, *fields, -1, true);
    }

    bson_append_document_end(update, &unset);
}


void
v2m_jobs_append_states(bson_t *filter, const int *states)
{
    bson_t in, list;
    char   key[16];

    BSON_APPEND_DOCUMENT_BEGIN(filter, "state", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list);

    for (int i = 0; states[i] != -1; i++) {
        bson_snprintf(key, sizeof(key), "%d", i);
        BSON_APPEND_UTF8(&list, key,
                         v2m_job_state_name((v2m_job_state_t) states[i]));
    }

    bson_append_array_end(&in, &list);
    bson_append_document_end(filter, &in);
}


void
v2m_jobs_filter(bson_t *filter, const v2m_id_t id, const int *states)
{
    v2m_jobs_append_id(filter, "_id", id);

    if (states != NULL) {
        v2m_jobs_append_states(filter, states);
    }
}


void
v2m_jobs_change_begin_quietly(v2m_jobs_change_t *change, const v2m_id_t id,
                              const int *states)
{
    bson_init(&change->filter);
    v2m_jobs_filter(&change->filter, id, states);

    bson_init(&change->update);
    BSON_APPEND_DOCUMENT_BEGIN(&change->update, "$set", &change->set);
}


void
v2m_jobs_change_begin(v2m_jobs_change_t *change, const v2m_id_t id,
                      const int *states)
{
    v2m_jobs_change_begin_quietly(change, id, states);
    BSON_APPEND_DATE_TIME(&change->set, "updated", v2m_wall_ms());
}


int
v2m_jobs_change_run(v2m_mongo_t *mongo, v2m_jobs_change_t *change,
                    v2m_error_t *error)
{
    int     rc;
    int64_t matched;

    rc = v2m_mongo_update(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION,
                          &change->filter, &change->update, NULL, &matched,
                          error);

    bson_destroy(&change->filter);
    bson_destroy(&change->update);

    if (rc == V2M_OK && matched == 0) {
        rc = v2m_error_set(error, V2M_CONFLICT,
                           "the job is gone or in another state");
    }

    return rc;
}


int
v2m_jobs_change_end(v2m_mongo_t *mongo, v2m_jobs_change_t *change,
                    v2m_error_t *error)
{
    bson_append_document_end(&change->update, &change->set);

    return v2m_jobs_change_run(mongo, change, error);
}


static int
v2m_jobs_take(void *data, const bson_t *document, v2m_error_t *error)
{
    v2m_job_t        *grown;
    v2m_jobs_found_t *found = data;

    if (found->count == found->capacity) {
        found->capacity = found->capacity ? found->capacity * 2 : 4;

        grown = realloc(found->jobs, found->capacity * sizeof(v2m_job_t));
        if (grown == NULL) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }

        found->jobs = grown;
    }

    return v2m_job_from_bson(&found->jobs[found->count++], document, error);
}


int
v2m_jobs_query(v2m_mongo_t *mongo, bson_t *filter, const char *sort,
               int direction, size_t limit, v2m_job_t **jobs, size_t *count,
               v2m_error_t *error)
{
    int              rc;
    bson_t           opts, order;
    v2m_jobs_found_t found;

    memset(&found, 0, sizeof(found));

    bson_init(&opts);
    BSON_APPEND_INT64(&opts, "limit", (int64_t) limit);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &order);
    BSON_APPEND_INT32(&order, sort, direction);
    bson_append_document_end(&opts, &order);

    rc = v2m_mongo_find(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION, filter,
                        &opts, v2m_jobs_take, &found, error);

    bson_destroy(&opts);
    bson_destroy(filter);

    if (rc != V2M_OK) {
        v2m_jobs_free(found.jobs, found.count);
        return rc;
    }

    *jobs = found.jobs;
    *count = found.count;

    return V2M_OK;
}
