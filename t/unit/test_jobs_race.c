/* Many threads that want the same job at the same time: each transition has
 * one winner, and the record is the winner's.  Against the server in
 * V2M_MONGO_URI, skipped without it. */

#include "jobs_store.h"

#define TEST_THREADS 8
#define TEST_ROUNDS  20

typedef struct test_racer_s test_racer_t;

typedef int (*test_run_pt)(test_racer_t *racer);

struct test_racer_s {
    pthread_barrier_t *start;
    test_run_pt        run;
    v2m_id_t           id;
    v2m_id_t           mp3;
    char               text[32]; /* this racer's own */
    int                number;
    int                rc;
};


static void *
race(void *data)
{
    test_racer_t *racer = data;

    pthread_barrier_wait(racer->start);
    racer->rc = racer->run(racer);

    return NULL;
}


/* Lets the threads go at once, half of them with each function.  Returns how
 * many got V2M_OK; *winner is the last of these. */
static int
run_race(const v2m_id_t id, test_run_pt even, test_run_pt odd,
         test_racer_t racers[TEST_THREADS], int *winner)
{
    int               i, won;
    pthread_t         threads[TEST_THREADS];
    pthread_barrier_t start;

    assert_int_equal(pthread_barrier_init(&start, NULL, TEST_THREADS), 0);

    for (i = 0; i < TEST_THREADS; i++) {
        racers[i].start = &start;
        racers[i].run = i % 2 == 0 ? even : odd;
        racers[i].number = i;
        memcpy(racers[i].id, id, sizeof(v2m_id_t));
        v2m_id_generate(racers[i].mp3);
        snprintf(racers[i].text, sizeof(racers[i].text), "racer %d", i);
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]),
                         0);
    }

    for (i = 0, won = 0; i < TEST_THREADS; i++) {
        pthread_join(threads[i], NULL);

        if (racers[i].rc == V2M_OK) {
            *winner = i;
            won++;
        } else {
            assert_int_equal(racers[i].rc, V2M_CONFLICT);
        }
    }

    pthread_barrier_destroy(&start);

    return won;
}


static int
run_begin(test_racer_t *racer)
{
    v2m_job_t job;

    v2m_job_init(&job);
    memcpy(job.id, racer->id, sizeof(v2m_id_t));
    job.username = owner;
    job.name = racer->text;

    return v2m_jobs_begin(mongo, &job, NULL);
}


static int
run_queue(test_racer_t *racer)
{
    return v2m_jobs_queue(mongo, racer->id, racer->text, racer->number, NULL);
}


static int
run_abandon(test_racer_t *racer)
{
    return v2m_jobs_abandon(mongo, racer->id, now_ms() + 1000, NULL);
}


static int
run_ready(test_racer_t *racer)
{
    return v2m_jobs_ready(mongo, racer->id, racer->mp3, racer->number, 1, NULL);
}


static int
run_fail(test_racer_t *racer)
{
    return v2m_jobs_fail(mongo, racer->id, racer->text, NULL);
}


static int
run_notified(test_racer_t *racer)
{
    return v2m_jobs_notified(mongo, racer->id,
                             racer->number % 3 ? V2M_NOTIFIED_SENT
                                               : V2M_NOTIFIED_FAILED,
                             NULL, NULL);
}


static int
run_remove(test_racer_t *racer)
{
    int rc;

    rc = v2m_jobs_remove(mongo, racer->id, NULL);

    return rc == V2M_NOT_FOUND ? V2M_CONFLICT : rc;
}


static int
run_adopt(test_racer_t *racer)
{
    v2m_gridfs_file_t video;

    memset(&video, 0, sizeof(video));
    memcpy(video.id, racer->id, sizeof(v2m_id_t));
    video.length = racer->number;
    video.filename = racer->text;

    return v2m_jobs_adopt(mongo, owner, &video, NULL);
}


static void
test_begin(void **state)
{
    int          round, winner;
    v2m_id_t     id;
    v2m_job_t    job;
    test_racer_t racers[TEST_THREADS];

    (void) state;

    need_store();

    for (round = 0; round < TEST_ROUNDS; round++) {
        new_id(id);
        assert_int_equal(run_race(id, run_begin, run_begin, racers, &winner),
                         1);
        job = get(id);
        assert_string_equal(job.name, racers[winner].text);
        v2m_job_free(&job);
    }
}


static void
test_queue(void **state)
{
    int          round, winner;
    v2m_id_t     id;
    v2m_job_t    job;
    test_racer_t racers[TEST_THREADS];

    (void) state;

    need_store();

    for (round = 0; round < TEST_ROUNDS; round++) {
        make(id, V2M_JOB_UPLOADING);
        assert_int_equal(run_race(id, run_queue, run_queue, racers, &winner),
                         1);
        job = get(id);
        assert_string_equal(job.name, racers[winner].text);
        assert_int_equal(job.size, winner);
        v2m_job_free(&job);
    }
}


/* Either the upload is queued, or it is given up: never both. */
static void
test_queue_or_abandon(void **state)
{
    int          i, round, winner, queued, abandoned;
    v2m_id_t     id;
    v2m_job_t    job;
    test_racer_t racers[TEST_THREADS];

    (void) state;

    need_store();

    for (round = 0; round < TEST_ROUNDS; round++) {
        make(id, V2M_JOB_UPLOADING);
        assert_true(run_race(id, run_queue, run_abandon, racers, &winner) > 0);

        for (i = 0, queued = abandoned = 0; i < TEST_THREADS; i++) {
            queued += i % 2 == 0 && racers[i].rc == V2M_OK;
            abandoned += i % 2 == 1 && racers[i].rc == V2M_OK;
        }

        assert_true((queued == 1 && abandoned == 0)
                    || (queued == 0 && abandoned > 0));
        job = get(id);
        assert_int_equal(job.state,
                         queued ? V2M_JOB_QUEUED : V2M_JOB_UPLOADING);
        v2m_job_free(&job);
    }
}


static void
test_ready(void **state)
{
    int          round, winner;
    v2m_id_t     id;
    v2m_job_t    job;
    test_racer_t racers[TEST_THREADS];

    (void) state;

    need_store();

    for (round = 0; round < TEST_ROUNDS; round++) {
        make(id, round % 2 ? V2M_JOB_QUEUED : V2M_JOB_CONVERTING);
        assert_int_equal(run_race(id, run_ready, run_ready, racers, &winner),
                         1);
        job = get(id);
        assert_int_equal(job.state, V2M_JOB_READY);
        assert_string_equal(job.mp3_fid, racers[winner].mp3);
        assert_int_equal(job.mp3_size, winner);
        v2m_job_free(&job);
    }
}


static void
test_ready_or_failed(void **state)
{
    int          round, winner;
    v2m_id_t     id;
    v2m_job_t    job;
    test_racer_t racers[TEST_THREADS];

    (void) state;

    need_store();

    for (round = 0; round < TEST_ROUNDS; round++) {
        make(id, V2M_JOB_CONVERTING);
        assert_int_equal(run_race(id, run_ready, run_fail, racers, &winner), 1);
        job = get(id);

        if (winner % 2 == 0) {
            assert_int_equal(job.state, V2M_JOB_READY);
            assert_string_equal(job.mp3_fid, racers[winner].mp3);
            assert_null(job.reason);
        } else {
            assert_int_equal(job.state, V2M_JOB_FAILED);
            assert_string_equal(job.reason, racers[winner].text);
            assert_string_equal(job.mp3_fid, "");
        }

        v2m_job_free(&job);
    }
}


static void
test_notified(void **state)
{
    int          round, winner;
    v2m_id_t     id;
    v2m_job_t    job;
    test_racer_t racers[TEST_THREADS];

    (void) state;

    need_store();

    for (round = 0; round < TEST_ROUNDS; round++) {
        make(id, V2M_JOB_READY);
        assert_int_equal(
            run_race(id, run_notified, run_notified, racers, &winner), 1);
        job = get(id);
        assert_int_equal(job.notified,
                         winner % 3 ? V2M_NOTIFIED_SENT : V2M_NOTIFIED_FAILED);
        v2m_job_free(&job);
    }
}


static void
test_remove(void **state)
{
    int          round, winner;
    v2m_id_t     id;
    test_racer_t racers[TEST_THREADS];

    (void) state;

    need_store();

    for (round = 0; round < TEST_ROUNDS; round++) {
        make(id, V2M_JOB_READY);
        assert_int_equal(run_race(id, run_remove, run_remove, racers, &winner),
                         1);
    }
}


/* All succeed, as the record is there; it is of one of them. */
static void
test_adopt(void **state)
{
    int          round, winner;
    size_t       count;
    v2m_id_t     id;
    v2m_job_t   *jobs;
    v2m_error_t  error;
    test_racer_t racers[TEST_THREADS];

    (void) state;

    need_store();

    for (round = 0; round < TEST_ROUNDS; round++) {
        new_id(id);
        assert_int_equal(run_race(id, run_adopt, run_adopt, racers, &winner),
                         TEST_THREADS);
        assert_ok(
            v2m_jobs_list(mongo, owner, NULL, 1000, &jobs, &count, &error),
            &error);
        assert_int_equal(count, round + 1);
        assert_string_equal(jobs[0].id, id);
        assert_in_range(jobs[0].size, 0, TEST_THREADS - 1);
        assert_string_equal(jobs[0].name, racers[jobs[0].size].text);
        v2m_jobs_free(jobs, count);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_begin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queue_or_abandon, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ready, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ready_or_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notified, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_adopt, setup, teardown),
    };

    return cmocka_run_group_tests(tests, setup_store, teardown_store);
}
