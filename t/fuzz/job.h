/* The record of a job: BSON, whose length and end are put right, and the JSON
 * that is made of it. */

#ifndef FUZZ_JOB_H
#define FUZZ_JOB_H

#include <jansson.h>

#include "fuzz.h"
#include "v2m_job_bson.h"


static inline void
fuzz_job_json(const v2m_job_t *job)
{
    char   *text;
    json_t *root;

    text = v2m_job_json(job, 0);
    FUZZ_CHECK(text != NULL);
    root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    FUZZ_CHECK(json_is_object(root));
    FUZZ_CHECK(json_is_string(json_object_get(root, "state")));
    json_decref(root);
    free(text);

    text = v2m_job_list_json(job, 1, job->id, 0);
    FUZZ_CHECK(text != NULL);
    root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    FUZZ_CHECK(json_array_size(json_object_get(root, "jobs")) == 1);
    json_decref(root);
    free(text);
}


/* The options of a record come back as they were, when they are ones that a
 * job can have. */
static inline void
fuzz_job_options(const v2m_job_t *job)
{
    bson_t      record;
    bson_oid_t  oid;
    v2m_job_t   again;
    v2m_error_t error;

    if (v2m_options_check(&job->options, &error) != V2M_OK) {
        FUZZ_CHECK(error.code == V2M_INVALID);
        return;
    }

    bson_init(&record);
    bson_oid_init_from_string(&oid, job->id);
    BSON_APPEND_OID(&record, "_id", &oid);
    BSON_APPEND_UTF8(&record, "username", "a@example.com");
    v2m_job_append_options(&record, &job->options);

    FUZZ_CHECK(v2m_job_from_bson(&again, &record, &error) == V2M_OK);
    FUZZ_CHECK(memcmp(&again.options, &job->options, sizeof(v2m_options_t))
               == 0);
    FUZZ_CHECK(strcmp(again.id, job->id) == 0);

    v2m_job_free(&again);
    bson_destroy(&record);
}


static inline int
fuzz_job(const uint8_t *bytes, size_t length)
{
    bson_t      record;
    uint8_t    *copy;
    uint32_t    little;
    v2m_job_t   job;
    v2m_error_t error;

    if (length < 5) {
        return 0;
    }

    copy = fuzz_copy(bytes, length);
    little = BSON_UINT32_TO_LE((uint32_t) length);
    memcpy(copy, &little, sizeof(little));
    copy[length - 1] = 0;

    if (bson_init_static(&record, copy, length)) {
        if (v2m_job_from_bson(&job, &record, &error) == V2M_OK) {
            FUZZ_CHECK(job.username != NULL && job.id[0] != '\0');
            fuzz_job_json(&job);
            fuzz_job_options(&job);

        } else {
            FUZZ_CHECK(error.code == V2M_CORRUPT);
        }

        v2m_job_free(&job);
    }

    free(copy);

    return 0;
}

#endif /* FUZZ_JOB_H */
