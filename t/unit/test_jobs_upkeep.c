/*
 * What the sweep and the operator do with jobs that nobody goes on with, and
 * with old ones.
 */

#include "jobs_store.h"

typedef int (*query_pt)(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                        v2m_job_t **jobs, size_t *count, v2m_error_t *error);


static int
found(query_pt query, int64_t before_ms, const v2m_id_t id)
{
    int         there;
    size_t      i, count;
    v2m_job_t  *jobs;
    v2m_error_t error;

    assert_ok(query(mongo, before_ms, 10000, &jobs, &count, &error), &error);

    for (i = 0, there = 0; i < count; i++) {
        there |= strcmp(jobs[i].id, id) == 0;
    }

    v2m_jobs_free(jobs, count);

    return there;
}


static void
test_stuck(void **state)
{
    v2m_id_t    id;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;

    need_store();

    /* what was not published is the outbox's */

    make(id, V2M_JOB_QUEUED);
    assert_int_equal(found(v2m_jobs_stuck_queued, INT64_MAX, id), 0);
    assert_int_equal(found(v2m_jobs_unpublished, INT64_MAX, id), 1);
    assert_ok(v2m_jobs_published(mongo, id, &error), &error);
    assert_int_equal(found(v2m_jobs_stuck_queued, INT64_MAX, id), 1);
    job = get(id);
    assert_int_equal(found(v2m_jobs_stuck_queued, job.updated_ms, id), 0);
    assert_int_equal(found(v2m_jobs_stuck_converting, INT64_MAX, id), 0);
    v2m_job_free(&job);

    /* a converter that shows progress is alive */

    make(id, V2M_JOB_CONVERTING);
    job = get(id);
    assert_int_equal(found(v2m_jobs_stuck_converting, job.updated_ms + 1, id),
                     1);
    while (now_ms() <= job.updated_ms + 1) {
    }
    assert_ok(v2m_jobs_progress(mongo, id, 0, -1, "copying", &error), &error);
    assert_int_equal(found(v2m_jobs_stuck_converting, job.updated_ms + 1, id),
                     0);
    v2m_job_free(&job);

    make(id, V2M_JOB_READY);
    assert_int_equal(found(v2m_jobs_stuck_queued, INT64_MAX, id), 0);
    assert_int_equal(found(v2m_jobs_stuck_converting, INT64_MAX, id), 0);
}


static void
test_requeue(void **state)
{
    v2m_id_t    id, mp3;
    v2m_job_t   job, old;
    v2m_error_t error;

    (void) state;

    need_store();
    v2m_id_generate(mp3);

    make(id, V2M_JOB_CONVERTING);
    assert_ok(v2m_jobs_published(mongo, id, &error), &error);
    old = get(id);
    assert_ok(v2m_jobs_requeue(mongo, &old, &error), &error);

    job = get(id);
    assert_int_equal(job.state, V2M_JOB_QUEUED);
    assert_int_equal(job.published, 0);
    assert_int_equal(job.requeued, 1);

    /* another sweep that saw the same is too late */

    assert_int_equal(v2m_jobs_requeue(mongo, &old, &error), V2M_CONFLICT);
    assert_int_equal(v2m_jobs_give_up(mongo, &old, "why", &error),
                     V2M_CONFLICT);
    v2m_job_free(&job);
    v2m_job_free(&old);

    /* and so is one that saw it before the frozen converter committed */

    job = get(id);
    assert_ok(v2m_jobs_ready(mongo, id, mp3, 5, 5, &error), &error);
    assert_int_equal(v2m_jobs_requeue(mongo, &job, &error), V2M_CONFLICT);
    assert_int_equal(v2m_jobs_give_up(mongo, &job, "why", &error),
                     V2M_CONFLICT);
    v2m_job_free(&job);
}


static void
test_give_up(void **state)
{
    v2m_id_t    id;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;

    need_store();

    make(id, V2M_JOB_CONVERTING);
    job = get(id);
    assert_ok(v2m_jobs_give_up(mongo, &job, "why not", &error), &error);
    v2m_job_free(&job);

    job = get(id);
    assert_int_equal(job.state, V2M_JOB_FAILED);
    assert_string_equal(job.reason, "why not");
    assert_int_not_equal(job.finished_ms, 0);
    v2m_job_free(&job);
    assert_int_equal(found(v2m_jobs_due_mails, now_ms() + 1000, id), 1);

    /* a converter that wakes up changes nothing */

    assert_int_equal(v2m_jobs_ready(mongo, id, id, 5, 5, &error), V2M_CONFLICT);
    assert_int_equal(v2m_jobs_fail(mongo, id, "late", &error), V2M_CONFLICT);
}


static void
test_retry(void **state)
{
    int         i;
    v2m_id_t    id, claimer;
    v2m_job_t   job;
    v2m_error_t error;

    static const v2m_job_state_t others[] = { V2M_JOB_UPLOADING, V2M_JOB_QUEUED,
                                              V2M_JOB_CONVERTING,
                                              V2M_JOB_READY };

    (void) state;

    need_store();
    v2m_id_generate(claimer);

    for (i = 0; i < 4; i++) {
        make(id, others[i]);
        assert_int_equal(v2m_jobs_retry(mongo, id, &error), V2M_CONFLICT);
    }

    make(id, V2M_JOB_FAILED);
    assert_ok(v2m_jobs_claim_mail(mongo, id, claimer, 60000, &error), &error);
    assert_ok(v2m_jobs_notified(mongo, id, V2M_NOTIFIED_SENT, NULL, &error),
              &error);
    assert_ok(v2m_jobs_retry(mongo, id, &error), &error);
    assert_int_equal(v2m_jobs_retry(mongo, id, &error), V2M_CONFLICT);

    job = get(id);
    assert_int_equal(job.state, V2M_JOB_QUEUED);
    assert_int_equal(job.notified, V2M_NOTIFIED_NONE);
    assert_int_equal(job.published, 0);
    assert_null(job.reason);
    assert_int_equal(job.finished_ms, 0);
    assert_int_equal(job.mail.until_ms, 0);
    v2m_job_free(&job);

    /* not without its video */

    make(id, V2M_JOB_FAILED);
    job = get(id);
    assert_ok(v2m_jobs_video_removing(mongo, &job, &error), &error);
    assert_int_equal(v2m_jobs_retry(mongo, id, &error), V2M_CONFLICT);
    v2m_job_free(&job);

    make(id, V2M_JOB_FAILED);
    job = get(id);
    assert_ok(v2m_jobs_expire(mongo, &job, &error), &error);
    assert_int_equal(v2m_jobs_retry(mongo, id, &error), V2M_CONFLICT);
    v2m_job_free(&job);

    /* what it came to then is not what a sweep read before */

    make(id, V2M_JOB_FAILED);
    job = get(id);
    while (now_ms() <= job.updated_ms) {
    }
    assert_ok(v2m_jobs_retry(mongo, id, &error), &error);
    assert_ok(v2m_jobs_ready(mongo, id, claimer, 5, 5, &error), &error);
    assert_int_equal(v2m_jobs_video_removing(mongo, &job, &error),
                     V2M_CONFLICT);
    assert_int_equal(v2m_jobs_expire(mongo, &job, &error), V2M_CONFLICT);
    v2m_job_free(&job);
}


static void
test_old(void **state)
{
    v2m_id_t    id;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;

    need_store();

    make(id, V2M_JOB_READY);
    job = get(id);
    assert_int_not_equal(job.finished_ms, 0);
    assert_int_equal(found(v2m_jobs_old_videos, job.finished_ms, id), 0);
    assert_int_equal(found(v2m_jobs_old_videos, job.finished_ms + 1, id), 1);
    assert_int_equal(found(v2m_jobs_old, job.finished_ms, id), 0);
    assert_int_equal(found(v2m_jobs_old, job.finished_ms + 1, id), 1);

    /* what was cut short is found again, what is done is not */

    assert_ok(v2m_jobs_video_removing(mongo, &job, &error), &error);
    assert_int_equal(found(v2m_jobs_old_videos, job.finished_ms + 1, id), 1);
    assert_ok(v2m_jobs_video_removed(mongo, id, &error), &error);
    assert_int_equal(found(v2m_jobs_old_videos, job.finished_ms + 1, id), 0);
    assert_ok(v2m_jobs_expire(mongo, &job, &error), &error);
    assert_int_equal(found(v2m_jobs_old, job.finished_ms + 1, id), 1);
    v2m_job_free(&job);

    /* a job under way is never old */

    make(id, V2M_JOB_CONVERTING);
    job = get(id);
    assert_int_equal(found(v2m_jobs_old_videos, INT64_MAX, id), 0);
    assert_int_equal(found(v2m_jobs_old, INT64_MAX, id), 0);
    assert_int_equal(v2m_jobs_video_removing(mongo, &job, &error),
                     V2M_CONFLICT);
    assert_int_equal(v2m_jobs_expire(mongo, &job, &error), V2M_CONFLICT);
    v2m_job_free(&job);

    /* nor one whose mail is put aside */

    make(id, V2M_JOB_CONVERTING);
    job = get(id);
    assert_ok(v2m_jobs_give_up(mongo, &job, "why", &error), &error);
    v2m_job_free(&job);
    assert_int_equal(found(v2m_jobs_old, INT64_MAX, id), 0);
}


static void
test_old_and_told(void **state)
{
    v2m_id_t    id;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;

    need_store();

    make(id, V2M_JOB_READY);
    assert_int_equal(found(v2m_jobs_old, INT64_MAX, id), 1);
    assert_int_equal(found(v2m_jobs_old_told, INT64_MAX, id), 0);

    /* how long it is kept counts from when the owner was told */

    assert_ok(v2m_jobs_notified(mongo, id, V2M_NOTIFIED_SENT, NULL, &error),
              &error);
    job = get(id);
    assert_true(job.updated_ms >= job.finished_ms);
    assert_int_equal(found(v2m_jobs_old_told, job.updated_ms, id), 0);
    assert_int_equal(found(v2m_jobs_old_told, job.updated_ms + 1, id), 1);

    /* what is cut short is found again */

    assert_ok(v2m_jobs_expire(mongo, &job, &error), &error);
    assert_int_equal(found(v2m_jobs_old_told, job.updated_ms + 1, id), 1);
    v2m_job_free(&job);

    make(id, V2M_JOB_FAILED);
    assert_ok(v2m_jobs_notified(mongo, id, V2M_NOTIFIED_FAILED, NULL, &error),
              &error);
    assert_int_equal(found(v2m_jobs_old_told, INT64_MAX, id), 1);
}


static void
test_list_all(void **state)
{
    size_t      count;
    v2m_id_t    first, second;
    v2m_job_t  *jobs;
    v2m_error_t error;

    (void) state;

    need_store();
    make(first, V2M_JOB_READY);
    make(second, V2M_JOB_FAILED);

    assert_ok(
        v2m_jobs_list_all(mongo, -1, owner, NULL, 10, &jobs, &count, &error),
        &error);
    assert_int_equal(count, 2);
    assert_string_equal(jobs[0].id, second);
    v2m_jobs_free(jobs, count);

    assert_ok(
        v2m_jobs_list_all(mongo, -1, owner, second, 10, &jobs, &count, &error),
        &error);
    assert_int_equal(count, 1);
    assert_string_equal(jobs[0].id, first);
    v2m_jobs_free(jobs, count);

    assert_ok(v2m_jobs_list_all(mongo, V2M_JOB_FAILED, owner, NULL, 10, &jobs,
                                &count, &error),
              &error);
    assert_int_equal(count, 1);
    assert_string_equal(jobs[0].id, second);
    v2m_jobs_free(jobs, count);

    assert_ok(v2m_jobs_list_all(mongo, V2M_JOB_FAILED, NULL, NULL, 1, &jobs,
                                &count, &error),
              &error);
    assert_int_equal(count, 1);
    v2m_jobs_free(jobs, count);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stuck, setup, teardown),
        cmocka_unit_test_setup_teardown(test_requeue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_give_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_and_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_all, setup, teardown),
    };

    return cmocka_run_group_tests(tests, setup_store, teardown_store);
}
