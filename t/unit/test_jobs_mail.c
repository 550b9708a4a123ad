/*
 * The mail about a job's end, as its record keeps it: claims, what is put off,
 * and what the sweep finds.
 */

#include "jobs_store.h"

#define LEASE_MS 60000
#define RACERS   8

typedef struct {
    v2m_id_t job;
    v2m_id_t owner;
    int      rc;
} racer_t;


static int
claim(const v2m_id_t id, const v2m_id_t claimer, int64_t lease_ms)
{
    v2m_error_t error;

    return v2m_jobs_claim_mail(mongo, id, claimer, lease_ms, &error);
}


static void
test_claim(void **state)
{
    v2m_id_t    id, ann, bob;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;

    need_store();
    v2m_id_generate(ann);
    v2m_id_generate(bob);

    /* there is no mail before the job's end */

    make(id, V2M_JOB_CONVERTING);
    assert_int_equal(claim(id, ann, LEASE_MS), V2M_CONFLICT);

    make(id, V2M_JOB_FAILED);
    assert_int_equal(claim(id, ann, LEASE_MS), V2M_OK);
    assert_int_equal(claim(id, bob, LEASE_MS), V2M_CONFLICT);
    job = get(id);
    assert_in_range(job.mail.until_ms, now_ms() + LEASE_MS / 2,
                    now_ms() + LEASE_MS);
    v2m_job_free(&job);

    /* its owner prolongs it; when it is over anyone may have it */

    assert_int_equal(claim(id, ann, -1000), V2M_OK);
    assert_int_equal(claim(id, bob, LEASE_MS), V2M_OK);
    assert_int_equal(claim(id, ann, LEASE_MS), V2M_CONFLICT);

    /* what was noted stays */

    assert_ok(v2m_jobs_notified(mongo, id, V2M_NOTIFIED_SENT, NULL, &error),
              &error);
    assert_int_equal(claim(id, bob, LEASE_MS), V2M_CONFLICT);

    /* of no job */

    v2m_id_generate(id);
    assert_int_equal(claim(id, ann, LEASE_MS), V2M_CONFLICT);
}


static void *
race(void *data)
{
    racer_t *racer = data;

    racer->rc = claim(racer->job, racer->owner, LEASE_MS);

    return NULL;
}


static void
test_claim_race(void **state)
{
    int       i, round, won;
    racer_t   racers[RACERS];
    v2m_id_t  id;
    pthread_t threads[RACERS];

    (void) state;

    need_store();

    for (round = 0; round < 10; round++) {
        make(id, V2M_JOB_READY);

        for (i = 0; i < RACERS; i++) {
            memcpy(racers[i].job, id, sizeof(id));
            v2m_id_generate(racers[i].owner);
            assert_int_equal(
                pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        }

        for (i = 0, won = 0; i < RACERS; i++) {
            pthread_join(threads[i], NULL);
            assert_true(racers[i].rc == V2M_OK || racers[i].rc == V2M_CONFLICT);
            won += racers[i].rc == V2M_OK;
        }

        assert_int_equal(won, 1);
    }
}


static void
test_put_off(void **state)
{
    v2m_id_t       id, ann, bob;
    v2m_job_t      job;
    v2m_error_t    error;
    v2m_job_mail_t mail = { .tries = 3, .since_ms = 1000, .due_ms = 2000 };

    (void) state;

    need_store();
    v2m_id_generate(ann);
    v2m_id_generate(bob);
    make(id, V2M_JOB_READY);

    assert_int_equal(v2m_jobs_put_mail_off(mongo, id, ann, &mail, &error),
                     V2M_CONFLICT);
    assert_int_equal(claim(id, ann, LEASE_MS), V2M_OK);
    assert_int_equal(v2m_jobs_put_mail_off(mongo, id, bob, &mail, &error),
                     V2M_CONFLICT);
    assert_ok(v2m_jobs_put_mail_off(mongo, id, ann, &mail, &error), &error);

    job = get(id);
    assert_int_equal(job.mail.tries, 3);
    assert_int_equal(job.mail.since_ms, 1000);
    assert_int_equal(job.mail.due_ms, 2000);
    assert_int_equal(job.mail.until_ms, 0);
    assert_int_equal(job.notified, V2M_NOTIFIED_NONE);
    v2m_job_free(&job);

    /* the claim is free, and what was noted survives one that notes less */

    assert_int_equal(claim(id, bob, LEASE_MS), V2M_OK);
    mail.tries = 4;
    mail.since_ms = 0;
    mail.due_ms = 0;
    assert_ok(v2m_jobs_put_mail_off(mongo, id, bob, &mail, &error), &error);
    job = get(id);
    assert_int_equal(job.mail.tries, 4);
    assert_int_equal(job.mail.since_ms, 1000);
    v2m_job_free(&job);
}


/* 1 when the sweep's query finds the job. */
static int
found(int due, int64_t before_ms, const v2m_id_t id)
{
    int         there;
    size_t      i, count;
    v2m_job_t  *jobs;
    v2m_error_t error;

    assert_ok(
        due ? v2m_jobs_due_mails(mongo, before_ms, 10000, &jobs, &count, &error)
            : v2m_jobs_lost_mails(mongo, before_ms, 10000, &jobs, &count,
                                  &error),
        &error);

    for (i = 0, there = 0; i < count; i++) {
        there |= strcmp(jobs[i].id, id) == 0;
    }

    v2m_jobs_free(jobs, count);

    return there;
}


static void
test_due(void **state)
{
    v2m_id_t       id, ann;
    v2m_job_t      job;
    v2m_error_t    error;
    v2m_job_mail_t mail = { .tries = 1, .since_ms = 1000 };

    (void) state;

    need_store();
    v2m_id_generate(ann);
    make(id, V2M_JOB_FAILED);
    assert_int_equal(found(1, INT64_MAX, id), 0);

    assert_int_equal(claim(id, ann, LEASE_MS), V2M_OK);
    mail.due_ms = now_ms() + 5000;
    assert_ok(v2m_jobs_put_mail_off(mongo, id, ann, &mail, &error), &error);
    assert_int_equal(found(1, mail.due_ms, id), 0);
    assert_int_equal(found(1, mail.due_ms + 1, id), 1);

    /* put aside is not lost */

    assert_int_equal(found(0, now_ms() + 3600000, id), 0);

    /* once published it is not due any more; a second sweep notes nothing */

    job = get(id);
    assert_ok(v2m_jobs_mail_published(mongo, &job, &error), &error);
    assert_int_equal(v2m_jobs_mail_published(mongo, &job, &error),
                     V2M_CONFLICT);
    assert_int_equal(found(1, INT64_MAX, id), 0);
    v2m_job_free(&job);
    job = get(id);
    assert_int_equal(job.mail.due_ms, 0);
    assert_int_equal(job.mail.tries, 1);
    assert_int_equal(job.mail.requeued, 0);
    v2m_job_free(&job);

    /* nor when it was sent */

    assert_int_equal(claim(id, ann, LEASE_MS), V2M_OK);
    assert_ok(v2m_jobs_put_mail_off(mongo, id, ann, &mail, &error), &error);
    assert_ok(v2m_jobs_notified(mongo, id, V2M_NOTIFIED_SENT, NULL, &error),
              &error);
    assert_int_equal(found(1, INT64_MAX, id), 0);
}


static void
test_lost(void **state)
{
    v2m_id_t       id, ann;
    v2m_job_t      job;
    v2m_error_t    error;
    v2m_job_mail_t mail = { .tries = 0 };

    (void) state;

    need_store();
    v2m_id_generate(ann);
    make(id, V2M_JOB_READY);
    job = get(id);
    assert_int_equal(found(0, job.updated_ms, id), 0);
    assert_int_equal(found(0, job.updated_ms + 1, id), 1);

    /* not while a notifier is at it */

    assert_int_equal(claim(id, ann, LEASE_MS), V2M_OK);
    assert_int_equal(found(0, now_ms() + LEASE_MS / 2, id), 0);
    assert_int_equal(found(0, now_ms() + 2 * LEASE_MS, id), 1);

    /* nor while one waits for the mail server, and keeps no claim */

    while (now_ms() <= job.updated_ms + 1) {
    }
    assert_ok(v2m_jobs_put_mail_off(mongo, id, ann, &mail, &error), &error);
    assert_int_equal(found(0, job.updated_ms + 1, id), 0);
    assert_int_equal(found(0, INT64_MAX, id), 1);

    assert_ok(v2m_jobs_mail_published(mongo, &job, &error), &error);
    v2m_job_free(&job);
    job = get(id);
    assert_int_equal(job.mail.requeued, 1);
    v2m_job_free(&job);

    assert_ok(v2m_jobs_notified(mongo, id, V2M_NOTIFIED_FAILED, NULL, &error),
              &error);
    assert_int_equal(found(0, INT64_MAX, id), 0);

    make(id, V2M_JOB_CONVERTING);
    assert_int_equal(found(0, INT64_MAX, id), 0);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_claim, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claim_race, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_due, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
    };

    return cmocka_run_group_tests(tests, setup_store, teardown_store);
}
