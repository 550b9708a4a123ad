#include "v2m_jobs_schema.h"

#include "v2m_jobs_record.h"


static int
v2m_jobs_make_indexes(v2m_mongo_t *mongo, v2m_error_t *error)
{
    int    rc;
    size_t i;
    bson_t keys;

    static const char *const indexes[][2] = {
        { "username", "_id" },
        { "username", "updated" },
        { "state", "updated" },
        { "mp3_fid", NULL },
    };

    rc = V2M_OK;

    for (i = 0; rc == V2M_OK && i < sizeof(indexes) / sizeof(indexes[0]); i++) {
        bson_init(&keys);
        BSON_APPEND_INT32(&keys, indexes[i][0], 1);

        if (indexes[i][1] != NULL) {
            BSON_APPEND_INT32(&keys, indexes[i][1], 1);
        }

        rc = v2m_mongo_index(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION,
                             &keys, 0, error);

        bson_destroy(&keys);
    }

    return rc;
}


/* The version never goes down: a program of an earlier release may come later.
 */
static int
v2m_jobs_note_version(v2m_mongo_t *mongo, v2m_error_t *error)
{
    int    rc;
    bson_t filter, update, most, opts;

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "_id", V2M_JOBS_COLLECTION);

    bson_init(&update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$max", &most);
    BSON_APPEND_INT32(&most, "version", V2M_JOBS_VERSION);
    bson_append_document_end(&update, &most);

    bson_init(&opts);
    BSON_APPEND_BOOL(&opts, "upsert", true);

    rc = v2m_mongo_update(mongo, V2M_JOBS_DATABASE, V2M_JOBS_SCHEMA_COLLECTION,
                          &filter, &update, &opts, NULL, error);

    bson_destroy(&opts);
    bson_destroy(&update);
    bson_destroy(&filter);

    /* two that raced made the document: it is there, which is all we want */

    return rc == V2M_CONFLICT ? V2M_OK : rc;
}


int
v2m_jobs_prepare(v2m_mongo_t *mongo, v2m_error_t *error)
{
    int rc;

    rc = v2m_jobs_make_indexes(mongo, error);

    return rc == V2M_OK ? v2m_jobs_note_version(mongo, error) : rc;
}
