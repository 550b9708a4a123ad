/* The keys of uploads and what a user takes up, against the server in
 * V2M_MONGO_URI; skipped without it. */

#include "jobs_store.h"

#include "v2m_jobs_upkeep.h"
#include "v2m_requests.h"
#include "v2m_usage.h"

#define TEST_THREADS 8

typedef struct {
    pthread_barrier_t *start;
    v2m_job_t          job;
    v2m_job_t          found;
    int                rc;
} test_racer_t;


/* A job of the owner that is not begun. */
static v2m_job_t
fresh(void)
{
    v2m_job_t job;

    v2m_job_init(&job);
    new_id(job.id);
    job.username = owner;

    return job;
}


/* The key becomes the job's. */
static void
take(const char *key, v2m_job_t *job)
{
    v2m_job_t   found;
    v2m_error_t error;

    assert_ok(v2m_requests_begin(mongo, key, job, NULL, &found, &error),
              &error);
}


/* The key is the other job's. */
static void
refuse(const char *key, v2m_job_t *job, const v2m_job_t *other)
{
    v2m_job_t   found;
    v2m_error_t error;

    assert_int_equal(v2m_requests_begin(mongo, key, job, NULL, &found, &error),
                     V2M_CONFLICT);
    assert_string_equal(found.id, other->id);
    v2m_job_free(&found);
}


static void
test_first_and_again(void **state)
{
    v2m_job_t   first, again, found;
    v2m_error_t error;

    (void) state;
    need_store();

    first = fresh();
    again = fresh();

    take("key", &first);
    assert_int_equal(
        v2m_requests_begin(mongo, "key", &again, NULL, &found, &error),
        V2M_CONFLICT);
    assert_string_equal(found.id, first.id);
    assert_int_equal(found.state, V2M_JOB_UPLOADING);
    v2m_job_free(&found);

    assert_int_equal(v2m_jobs_find(mongo, again.id, owner, &found, &error),
                     V2M_NOT_FOUND);
}


static void
test_key_of_a_job_that_is_gone(void **state)
{
    v2m_job_t   first, again;
    v2m_error_t error;

    (void) state;
    need_store();

    first = fresh();
    again = fresh();

    take("key", &first);
    assert_ok(v2m_jobs_remove(mongo, first.id, &error), &error);
    take("key", &again);
}


/* Makes a job's last change that old. */
static void
make_silent(const v2m_id_t id, int64_t age_ms)
{
    bson_t      filter, update, set;
    int64_t     matched;
    bson_oid_t  oid;
    v2m_error_t error;

    bson_oid_init_from_string(&oid, id);
    bson_init(&filter);
    BSON_APPEND_OID(&filter, "_id", &oid);
    bson_init(&update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
    BSON_APPEND_DATE_TIME(&set, "updated", now_ms() - age_ms);
    bson_append_document_end(&update, &set);

    assert_ok(v2m_mongo_update(mongo, "v2m", "jobs", &filter, &update, NULL,
                               &matched, &error),
              &error);
    assert_int_equal(matched, 1);

    bson_destroy(&update);
    bson_destroy(&filter);
}


static void
test_key_of_an_upload_that_died(void **state)
{
    v2m_job_t   first, again;
    v2m_error_t error;

    (void) state;
    need_store();

    first = fresh();
    again = fresh();

    take("key", &first);

    /* slow is not dead */

    make_silent(first.id, V2M_REQUESTS_SILENT_MS - 60000);
    refuse("key", &again, &first);
    assert_ok(v2m_jobs_touch(mongo, first.id, &error), &error);

    /* nobody finishes it any more */

    make_silent(first.id, V2M_REQUESTS_SILENT_MS + 1000);
    take("key", &again);
    assert_int_equal(v2m_jobs_queue(mongo, first.id, "a", 1, &error),
                     V2M_CONFLICT);
    assert_ok(v2m_jobs_queue(mongo, again.id, "a", 1, &error), &error);

    /* what is waited for is not silent */

    make_silent(again.id, 10 * V2M_REQUESTS_SILENT_MS);
    first = fresh();
    refuse("key", &first, &again);
}


static void
test_users_share_no_key(void **state)
{
    v2m_job_t mine, other;

    (void) state;
    need_store();

    mine = fresh();
    other = fresh();
    other.username = (char *) "other@example.com";

    take(owner, &mine);
    take(owner, &other);
}


static void *
race(void *data)
{
    v2m_error_t   error;
    test_racer_t *racer = data;

    pthread_barrier_wait(racer->start);
    racer->rc = v2m_requests_begin(mongo, "raced", &racer->job, NULL,
                                   &racer->found, &error);

    return NULL;
}


/* Of those who begin at the same moment one wins, and its job stays alone;
 * gone: the key is that of a job that was removed. */
static void
run_race(int gone)
{
    int               i, won;
    size_t            count;
    v2m_job_t         old, *jobs;
    pthread_t         threads[TEST_THREADS];
    v2m_error_t       error;
    test_racer_t      racers[TEST_THREADS];
    pthread_barrier_t start;

    need_store();

    if (gone) {
        old = fresh();
        take("raced", &old);
        assert_ok(v2m_jobs_remove(mongo, old.id, &error), &error);
    }

    pthread_barrier_init(&start, NULL, TEST_THREADS);

    for (i = 0; i < TEST_THREADS; i++) {
        racers[i].start = &start;
        racers[i].job = fresh();
        pthread_create(&threads[i], NULL, race, &racers[i]);
    }

    won = -1;

    for (i = 0; i < TEST_THREADS; i++) {
        pthread_join(threads[i], NULL);

        if (racers[i].rc == V2M_OK) {
            assert_int_equal(won, -1);
            won = i;
        }
    }

    pthread_barrier_destroy(&start);
    assert_int_not_equal(won, -1);

    for (i = 0; i < TEST_THREADS; i++) {
        if (i != won) {
            assert_int_equal(racers[i].rc, V2M_CONFLICT);
            assert_string_equal(racers[i].found.id, racers[won].job.id);
            v2m_job_free(&racers[i].found);
        }
    }

    assert_ok(v2m_jobs_list(mongo, owner, NULL, 100, &jobs, &count, &error),
              &error);
    assert_int_equal(count, 1);
    assert_string_equal(jobs[0].id, racers[won].job.id);
    v2m_jobs_free(jobs, count);
}


static void
test_race(void **state)
{
    (void) state;
    run_race(0);
}


static void
test_race_for_a_key_that_is_free_again(void **state)
{
    (void) state;
    run_race(1);
}


static void
test_forget(void **state)
{
    int64_t     count;
    v2m_job_t   first, again, found;
    v2m_error_t error;

    (void) state;
    need_store();

    first = fresh();
    again = fresh();

    assert_ok(v2m_requests_prepare(mongo, &error), &error);
    take("key", &first);
    assert_ok(v2m_requests_forget(mongo, first.created_ms, &count, &error),
              &error);
    assert_int_equal(
        v2m_requests_begin(mongo, "key", &again, NULL, &found, &error),
        V2M_CONFLICT);
    v2m_job_free(&found);

    assert_ok(v2m_requests_forget(mongo, first.created_ms + 1, &count, &error),
              &error);
    assert_true(count >= 1);
    take("key", &again);
}


static void
test_usage(void **state)
{
    int         i;
    v2m_id_t    id, other;
    v2m_job_t   job, ready;
    v2m_error_t error;
    v2m_usage_t usage;

    static const v2m_id_t none = "";

    (void) state;
    need_store();

    assert_ok(v2m_usage(mongo, owner, none, &usage, &error), &error);
    assert_int_equal(usage.jobs, 0);
    assert_int_equal(usage.bytes, 0);

    make(id, V2M_JOB_QUEUED);     /* 1000 */
    make(id, V2M_JOB_CONVERTING); /* 1000 */
    make(id, V2M_JOB_FAILED);     /* 1000 */
    make(other, V2M_JOB_READY);   /* 1000 and 500 */

    job = fresh();
    job.size = 70000; /* announced */
    assert_ok(v2m_jobs_begin(mongo, &job, &error), &error);

    assert_ok(v2m_usage(mongo, owner, none, &usage, &error), &error);
    assert_int_equal(usage.jobs, 3);
    assert_int_equal(usage.bytes, 74500);

    assert_ok(v2m_usage(mongo, owner, job.id, &usage, &error), &error);
    assert_int_equal(usage.jobs, 2);
    assert_int_equal(usage.bytes, 4500);

    ready = get(other);
    assert_ok(v2m_jobs_video_removing(mongo, &ready, &error), &error);
    v2m_job_free(&ready);
    assert_ok(v2m_usage(mongo, owner, job.id, &usage, &error), &error);
    assert_int_equal(usage.bytes, 4500);

    assert_ok(v2m_jobs_video_removed(mongo, other, &error), &error);
    assert_ok(v2m_usage(mongo, owner, job.id, &usage, &error), &error);
    assert_int_equal(usage.bytes, 3500);

    /* whatever uploads announce */

    for (i = 0; i < 2; i++) {
        job = fresh();
        job.size = INT64_MAX - 1;
        assert_ok(v2m_jobs_begin(mongo, &job, &error), &error);
    }

    assert_ok(v2m_usage(mongo, owner, none, &usage, &error), &error);
    assert_true(usage.bytes == INT64_MAX);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_and_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_of_a_job_that_is_gone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_key_of_an_upload_that_died, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_users_share_no_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_race, setup, teardown),
        cmocka_unit_test_setup_teardown(test_race_for_a_key_that_is_free_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
    };

    return cmocka_run_group_tests(tests, setup_store, teardown_store);
}
