#include "v2m_usage.h"

#include <string.h>

#include "v2m_job.h"
#include "v2m_jobs_record.h"

typedef struct {
    const char  *except;
    v2m_usage_t *usage;
} v2m_usage_sum_t;


/* The length of an upload is what its client says, so the sum may be beyond
 * all bounds. */
static void
v2m_usage_add_bytes(v2m_usage_t *usage, int64_t bytes)
{
    if (bytes > INT64_MAX - usage->bytes) {
        usage->bytes = INT64_MAX;

    } else if (bytes > 0) {
        usage->bytes += bytes;
    }
}


static int
v2m_usage_add(void *data, const bson_t *document, v2m_error_t *error)
{
    int              video_removed;
    int64_t          video, mp3;
    v2m_id_t         id;
    bson_iter_t      iter;
    v2m_job_state_t  state;
    v2m_usage_sum_t *sum = data;

    (void) error;

    video = 0;
    mp3 = 0;
    video_removed = 0;
    state = V2M_JOB_READY;

    if (!bson_iter_init(&iter, document)) {
        return V2M_OK;
    }

    while (bson_iter_next(&iter)) {
        const char *key = bson_iter_key(&iter);

        if (strcmp(key, "_id") == 0 && BSON_ITER_HOLDS_OID(&iter)) {
            bson_oid_to_string(bson_iter_oid(&iter), id);

            if (strcmp(id, sum->except) == 0) {
                return V2M_OK;
            }

        } else if (strcmp(key, "state") == 0 && BSON_ITER_HOLDS_UTF8(&iter)) {
            v2m_job_state_parse(&state, bson_iter_utf8(&iter, NULL));

        } else if (strcmp(key, "size") == 0) {
            video = bson_iter_as_int64(&iter);

        } else if (strcmp(key, "mp3_size") == 0) {
            mp3 = bson_iter_as_int64(&iter);

        } else if (strcmp(key, "video_removed") == 0) {
            video_removed = bson_iter_as_bool(&iter);
        }
    }

    v2m_usage_add_bytes(sum->usage, mp3);
    v2m_usage_add_bytes(sum->usage, video_removed ? 0 : video);

    if (state != V2M_JOB_READY && state != V2M_JOB_FAILED) {
        sum->usage->jobs++;
    }

    return V2M_OK;
}


int
v2m_usage(v2m_mongo_t *mongo, const char *username, const v2m_id_t except,
          v2m_usage_t *usage, v2m_error_t *error)
{
    int             rc;
    bson_t          filter, opts, fields;
    v2m_usage_sum_t sum;

    static const char *const names[] = { "state", "size", "mp3_size",
                                         "video_removed" };

    memset(usage, 0, sizeof(v2m_usage_t));
    sum.except = except;
    sum.usage = usage;

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "username", username);

    bson_init(&opts);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &fields);

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        BSON_APPEND_INT32(&fields, names[i], 1);
    }

    bson_append_document_end(&opts, &fields);

    rc = v2m_mongo_find(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION, &filter,
                        &opts, v2m_usage_add, &sum, error);

    bson_destroy(&opts);
    bson_destroy(&filter);

    return rc;
}
