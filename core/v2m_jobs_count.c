#include "v2m_jobs_count.h"

#include <string.h>

#include "v2m_jobs.h"
#include "v2m_jobs_record.h"


/* {_id: state, n: number} */
static int
v2m_jobs_count_take(void *data, const bson_t *document, v2m_error_t *error)
{
    bson_iter_t       iter;
    v2m_job_state_t   state;
    v2m_jobs_count_t *count = data;

    (void) error;

    if (bson_iter_init_find(&iter, document, "_id")
        && BSON_ITER_HOLDS_UTF8(&iter)
        && v2m_job_state_parse(&state, bson_iter_utf8(&iter, NULL)) == V2M_OK
        && bson_iter_init_find(&iter, document, "n"))
    {
        count->states[state] = bson_iter_as_int64(&iter);
    }

    return V2M_OK;
}


/* Naming the states lets the server read the index over them alone. */
static int
v2m_jobs_count_states(v2m_mongo_t *mongo, v2m_jobs_count_t *count,
                      v2m_error_t *error)
{
    int    rc;
    bson_t pipeline, stages, stage, match, group, sum;

    static const int states[] = { V2M_JOB_UPLOADING,  V2M_JOB_QUEUED,
                                  V2M_JOB_CONVERTING, V2M_JOB_READY,
                                  V2M_JOB_FAILED,     -1 };

    bson_init(&pipeline);
    BSON_APPEND_ARRAY_BEGIN(&pipeline, "pipeline", &stages);

    BSON_APPEND_DOCUMENT_BEGIN(&stages, "0", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$match", &match);
    v2m_jobs_append_states(&match, states);
    bson_append_document_end(&stage, &match);
    bson_append_document_end(&stages, &stage);

    BSON_APPEND_DOCUMENT_BEGIN(&stages, "1", &stage);
    BSON_APPEND_DOCUMENT_BEGIN(&stage, "$group", &group);
    BSON_APPEND_UTF8(&group, "_id", "$state");
    BSON_APPEND_DOCUMENT_BEGIN(&group, "n", &sum);
    BSON_APPEND_INT32(&sum, "$sum", 1);
    bson_append_document_end(&group, &sum);
    bson_append_document_end(&stage, &group);
    bson_append_document_end(&stages, &stage);

    bson_append_array_end(&pipeline, &stages);

    rc = v2m_mongo_aggregate(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION,
                             &pipeline, v2m_jobs_count_take, count, error);

    bson_destroy(&pipeline);

    return rc;
}


int
v2m_jobs_count(v2m_mongo_t *mongo, v2m_jobs_count_t *count, v2m_error_t *error)
{
    int        rc;
    size_t     found;
    bson_t     filter;
    v2m_job_t *jobs;

    memset(count, 0, sizeof(v2m_jobs_count_t));

    rc = v2m_jobs_count_states(mongo, count, error);
    if (rc != V2M_OK) {
        return rc;
    }

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "state", v2m_job_state_name(V2M_JOB_QUEUED));

    rc = v2m_jobs_query(mongo, &filter, "updated", 1, 1, &jobs, &found, error);

    if (rc == V2M_OK) {
        count->queued_ms = found > 0 ? jobs[0].updated_ms : 0;
        v2m_jobs_free(jobs, found);
    }

    return rc;
}
