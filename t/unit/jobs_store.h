/*
 * The store of the job tests: the server in V2M_MONGO_URI, an owner whom
 * nobody else has, and jobs that are gone when a test is over.
 */

#ifndef JOBS_STORE_H
#define JOBS_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "v2m_jobs.h"
#include "v2m_jobs_mail.h"
#include "v2m_jobs_schema.h"
#include "v2m_jobs_upkeep.h"

#define TEST_JOBS 1000 /* of one test, at most */

static v2m_mongo_t *mongo;
static char         owner[64];
static v2m_id_t     made[TEST_JOBS];
static size_t       made_count;


static inline int
setup_store(void **state)
{
    v2m_error_t         error;
    v2m_mongo_options_t options = { "v2m-test", 20000 };

    (void) state;

    if (getenv("V2M_MONGO_URI") == NULL) {
        return 0;
    }

    if (v2m_mongo_create(&mongo, getenv("V2M_MONGO_URI"), &options, &error)
            != V2M_OK
        || v2m_jobs_prepare(mongo, &error) != V2M_OK)
    {
        print_error("%s\n", error.text);
        return -1;
    }

    return 0;
}


static inline int
teardown_store(void **state)
{
    (void) state;

    v2m_mongo_destroy(mongo);

    return 0;
}


static inline int
setup(void **state)
{
    v2m_id_t id;

    (void) state;

    v2m_id_generate(id);
    snprintf(owner, sizeof(owner), "%s@example.com", id);
    made_count = 0;

    return 0;
}


static inline int
teardown(void **state)
{
    size_t i;

    (void) state;

    for (i = 0; i < made_count; i++) {
        v2m_jobs_remove(mongo, made[i], NULL);
    }

    return 0;
}


static inline void
need_store(void)
{
    if (mongo == NULL) {
        skip();
    }
}


static inline void
assert_ok(int rc, const v2m_error_t *error)
{
    if (rc != V2M_OK) {
        fail_msg("%d: %s", rc, error->text);
    }
}


/* Takes a fresh id for a job that is to be removed in the end. */
static inline void
new_id(v2m_id_t id)
{
    assert_true(made_count < TEST_JOBS);
    v2m_id_generate(id);
    memcpy(made[made_count++], id, sizeof(v2m_id_t));
}


static inline void
begin(v2m_id_t id, const char *username)
{
    v2m_job_t   job;
    v2m_error_t error;

    new_id(id);
    v2m_job_init(&job);
    memcpy(job.id, id, sizeof(v2m_id_t));
    job.username = (char *) username;
    assert_ok(v2m_jobs_begin(mongo, &job, &error), &error);
}


/* Makes a job in the state. */
static inline void
make(v2m_id_t id, v2m_job_state_t job_state)
{
    v2m_error_t error;

    begin(id, owner);

    if (job_state >= V2M_JOB_QUEUED) {
        assert_ok(v2m_jobs_queue(mongo, id, "a.mp4", 1000, &error), &error);
    }

    if (job_state >= V2M_JOB_CONVERTING) {
        assert_ok(v2m_jobs_start(mongo, id, id, &error), &error);
    }

    if (job_state == V2M_JOB_READY) {
        assert_ok(v2m_jobs_ready(mongo, id, id, 500, 60000, &error), &error);
    }

    if (job_state == V2M_JOB_FAILED) {
        assert_ok(v2m_jobs_fail(mongo, id, "why", &error), &error);
    }
}


/* The job, to be freed. */
static inline v2m_job_t
get(const v2m_id_t id)
{
    v2m_job_t   job;
    v2m_error_t error;

    assert_ok(v2m_jobs_find(mongo, id, owner, &job, &error), &error);

    return job;
}


static inline int64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif /* JOBS_STORE_H */
