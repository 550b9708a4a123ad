#include "v2m_jobs_watch.h"

#include "v2m_jobs_record.h"


/* {owner is one of them, updated since then} */
static void
v2m_jobs_append_changed(bson_t *filter, const v2m_jobs_watch_t *watch)
{
    char        buffer[16];
    size_t      i;
    bson_t      in, list;
    const char *key;

    BSON_APPEND_DOCUMENT_BEGIN(filter, "username", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list);

    for (i = 0; i < watch->owner_count; i++) {
        bson_uint32_to_string((uint32_t) i, &key, buffer, sizeof(buffer));
        BSON_APPEND_UTF8(&list, key, watch->owners[i]);
    }

    bson_append_array_end(&in, &list);
    bson_append_document_end(filter, &in);

    v2m_jobs_append_range(filter, "updated", "$gte", watch->since_ms);
}


static void
v2m_jobs_append_ids(bson_t *filter, const v2m_jobs_watch_t *watch)
{
    char        buffer[16];
    size_t      i;
    bson_t      in, list;
    const char *key;

    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list);

    for (i = 0; i < watch->id_count; i++) {
        bson_uint32_to_string((uint32_t) i, &key, buffer, sizeof(buffer));
        v2m_jobs_append_id(&list, key, watch->ids[i]);
    }

    bson_append_array_end(&in, &list);
    bson_append_document_end(filter, &in);
}


int
v2m_jobs_watch(v2m_mongo_t *mongo, const v2m_jobs_watch_t *watch,
               v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    bson_t filter, either, one;

    bson_init(&filter);

    if (watch->id_count == 0) {
        v2m_jobs_append_changed(&filter, watch);

    } else {
        BSON_APPEND_ARRAY_BEGIN(&filter, "$or", &either);

        BSON_APPEND_DOCUMENT_BEGIN(&either, "0", &one);
        v2m_jobs_append_changed(&one, watch);
        bson_append_document_end(&either, &one);

        BSON_APPEND_DOCUMENT_BEGIN(&either, "1", &one);
        v2m_jobs_append_ids(&one, watch);
        bson_append_document_end(&either, &one);

        bson_append_array_end(&filter, &either);
    }

    return v2m_jobs_query(mongo, &filter, "updated", 1, 0, jobs, count, error);
}


int
v2m_jobs_current(v2m_mongo_t *mongo, const char *owner, int64_t since_ms,
                 size_t limit, v2m_job_t **jobs, size_t *count,
                 v2m_error_t *error)
{
    bson_t filter, either, one;

    static const int states[] = { V2M_JOB_UPLOADING, V2M_JOB_QUEUED,
                                  V2M_JOB_CONVERTING, -1 };

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "username", owner);
    BSON_APPEND_ARRAY_BEGIN(&filter, "$or", &either);

    BSON_APPEND_DOCUMENT_BEGIN(&either, "0", &one);
    v2m_jobs_append_states(&one, states);
    bson_append_document_end(&either, &one);

    BSON_APPEND_DOCUMENT_BEGIN(&either, "1", &one);
    v2m_jobs_append_range(&one, "updated", "$gte", since_ms);
    bson_append_document_end(&either, &one);

    bson_append_array_end(&filter, &either);

    return v2m_jobs_query(mongo, &filter, "updated", -1, limit, jobs, count,
                          error);
}
