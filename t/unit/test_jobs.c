/* The collection of jobs: every transition from every state, and what each
 * query finds.  Against the server in V2M_MONGO_URI, skipped without it. */

#include "jobs_store.h"


static void
test_begin(void **state)
{
    int64_t     before;
    v2m_job_t   job, found;
    v2m_error_t error;

    (void) state;

    need_store();
    before = now_ms();

    v2m_job_init(&job);
    new_id(job.id);
    job.username = owner;
    job.name = (char *) "say \"hi\" \xC3\xA4\xFF.mp4";
    job.options.quality = 0;
    job.options.start_ms = 1500;
    assert_ok(v2m_jobs_begin(mongo, &job, &error), &error);
    assert_int_equal(job.state, V2M_JOB_UPLOADING);

    found = get(job.id);
    assert_string_equal(found.id, job.id);
    assert_string_equal(found.username, owner);
    assert_string_equal(found.name, "say \"hi\" \xC3\xA4\xEF\xBF\xBD.mp4");
    assert_null(found.reason);
    assert_int_equal(found.state, V2M_JOB_UPLOADING);
    assert_int_equal(found.notified, V2M_NOTIFIED_NONE);
    assert_int_equal(found.published, 0);
    assert_int_equal(found.progress, -1);
    assert_int_equal(found.options.quality, 0);
    assert_int_equal(found.options.start_ms, 1500);
    assert_int_equal(found.options.bitrate, -1);
    assert_int_equal(found.created_ms, job.created_ms);
    assert_int_equal(found.updated_ms, job.created_ms);
    assert_true(found.created_ms >= before && found.created_ms <= now_ms());
    v2m_job_free(&found);

    /* an id is of one job */

    assert_int_equal(v2m_jobs_begin(mongo, &job, &error), V2M_CONFLICT);
}


typedef enum {
    TEST_QUEUE,
    TEST_TOUCH,
    TEST_ABANDON,
    TEST_START,
    TEST_PROGRESS,
    TEST_READY,
    TEST_FAIL,
    TEST_PUBLISHED,
    TEST_NOTIFIED,
    TEST_TRANSITIONS
} test_transition_t;


static int
apply(const v2m_id_t id, test_transition_t transition)
{
    v2m_error_t error;

    switch (transition) {
    case TEST_QUEUE:
        return v2m_jobs_queue(mongo, id, "b.mp4", 77, &error);
    case TEST_TOUCH:
        return v2m_jobs_touch(mongo, id, &error);
    case TEST_ABANDON:
        return v2m_jobs_abandon(mongo, id, now_ms() + 1000, &error);
    case TEST_START:
        return v2m_jobs_start(mongo, id, id, &error);
    case TEST_PROGRESS:
        return v2m_jobs_progress(mongo, id, 42, 7, "encoding", &error);
    case TEST_READY:
        return v2m_jobs_ready(mongo, id, id, 5, 7, &error);
    case TEST_FAIL:
        return v2m_jobs_fail(mongo, id, "b", &error);
    case TEST_PUBLISHED:
        return v2m_jobs_published(mongo, id, &error);
    default:
        return v2m_jobs_notified(mongo, id, V2M_NOTIFIED_SENT, NULL, &error);
    }
}


/* From each state: what it becomes, or -1 where the transition is lost. */
static void
test_transitions(void **state)
{
    int       from, transition, becomes;
    char     *before, *after;
    v2m_id_t  id;
    v2m_job_t job;

    static const int becoming[TEST_TRANSITIONS][5] = {
        [TEST_QUEUE] = { V2M_JOB_QUEUED, -1, -1, -1, -1 },
        [TEST_TOUCH] = { V2M_JOB_UPLOADING, -1, -1, -1, -1 },
        [TEST_ABANDON] = { V2M_JOB_UPLOADING, -1, -1, -1, -1 },
        [TEST_START] = { -1, V2M_JOB_CONVERTING, V2M_JOB_CONVERTING, -1, -1 },
        [TEST_PROGRESS] = { -1, -1, V2M_JOB_CONVERTING, -1, -1 },
        [TEST_READY] = { -1, V2M_JOB_READY, V2M_JOB_READY, -1, -1 },
        [TEST_FAIL] = { -1, V2M_JOB_FAILED, V2M_JOB_FAILED, -1, -1 },
        [TEST_PUBLISHED] = { V2M_JOB_UPLOADING, V2M_JOB_QUEUED,
                             V2M_JOB_CONVERTING, V2M_JOB_READY,
                             V2M_JOB_FAILED },
        [TEST_NOTIFIED] = { -1, -1, -1, V2M_JOB_READY, V2M_JOB_FAILED },
    };

    (void) state;

    need_store();

    for (transition = 0; transition < TEST_TRANSITIONS; transition++) {
        for (from = V2M_JOB_UPLOADING; from <= V2M_JOB_FAILED; from++) {
            becomes = becoming[transition][from];

            make(id, (v2m_job_state_t) from);
            job = get(id);
            before = v2m_job_json(&job, 0);
            v2m_job_free(&job);

            /* a progress that comes too late is no news */

            if (apply(id, (test_transition_t) transition)
                != (becomes != -1 || transition == TEST_PROGRESS
                        ? V2M_OK
                        : V2M_CONFLICT))
            {
                fail_msg("transition %d from %d", transition, from);
            }

            job = get(id);
            after = v2m_job_json(&job, 0);

            if (becomes == -1) {
                assert_string_equal(before, after);
            } else {
                assert_int_equal(job.state, becomes);
            }

            v2m_job_free(&job);
            free(before);
            free(after);
        }
    }
}


static void
test_gone(void **state)
{
    int         transition;
    v2m_id_t    id;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;

    need_store();

    make(id, V2M_JOB_QUEUED);
    assert_ok(v2m_jobs_remove(mongo, id, &error), &error);
    assert_int_equal(v2m_jobs_remove(mongo, id, &error), V2M_NOT_FOUND);

    for (transition = 0; transition < TEST_TRANSITIONS; transition++) {
        assert_int_equal(apply(id, (test_transition_t) transition),
                         transition == TEST_PROGRESS ? V2M_OK : V2M_CONFLICT);
    }

    /* nothing made it anew */

    assert_int_equal(v2m_jobs_find(mongo, id, NULL, &job, &error),
                     V2M_NOT_FOUND);
}


static void
test_fields(void **state)
{
    v2m_id_t    id, mp3;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;

    need_store();

    begin(id, owner);
    assert_ok(
        v2m_jobs_queue(mongo, id, "n\xFF.mp4", INT64_C(5000000000), &error),
        &error);
    job = get(id);
    assert_string_equal(job.name, "n\xEF\xBF\xBD.mp4");
    assert_int_equal(job.size, INT64_C(5000000000));
    assert_int_equal(job.published, 0);
    v2m_job_free(&job);

    assert_ok(v2m_jobs_published(mongo, id, &error), &error);
    assert_ok(v2m_jobs_start(mongo, id, id, &error), &error);
    job = get(id);
    assert_int_equal(job.published, 1);
    assert_int_equal(job.progress, 0);
    v2m_job_free(&job);

    assert_ok(v2m_jobs_progress(mongo, id, 42, 7, "encoding", &error), &error);
    job = get(id);
    assert_int_equal(job.progress, 42);
    v2m_job_free(&job);

    /* a second attempt begins at the begin */

    assert_ok(v2m_jobs_start(mongo, id, id, &error), &error);
    job = get(id);
    assert_int_equal(job.progress, 0);
    v2m_job_free(&job);

    v2m_id_generate(mp3);
    assert_ok(v2m_jobs_ready(mongo, id, mp3, INT64_C(6000000000),
                             INT64_C(360000000), &error),
              &error);
    job = get(id);
    assert_string_equal(job.mp3_fid, mp3);
    assert_int_equal(job.mp3_size, INT64_C(6000000000));
    assert_int_equal(job.duration_ms, 360000000);
    assert_int_equal(job.progress, 100);
    assert_int_equal(job.size, INT64_C(5000000000));
    v2m_job_free(&job);

    /* without a name it keeps the one it has; an unknown duration */

    begin(id, owner);
    assert_ok(v2m_jobs_queue(mongo, id, NULL, 1, &error), &error);
    assert_ok(v2m_jobs_ready(mongo, id, mp3, 1, -1, &error), &error);
    job = get(id);
    assert_null(job.name);
    assert_int_equal(job.duration_ms, -1);
    v2m_job_free(&job);

    make(id, V2M_JOB_QUEUED);
    assert_ok(v2m_jobs_fail(mongo, id, "\"$x\" \xE2\x82\n", &error), &error);
    job = get(id);
    assert_string_equal(job.reason, "\"$x\" \xEF\xBF\xBD\xEF\xBF\xBD\n");
    v2m_job_free(&job);
}


static void
test_notified(void **state)
{
    v2m_id_t    id;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;

    need_store();

    make(id, V2M_JOB_READY);
    assert_ok(v2m_jobs_notified(mongo, id, V2M_NOTIFIED_FAILED, NULL, &error),
              &error);
    assert_int_equal(
        v2m_jobs_notified(mongo, id, V2M_NOTIFIED_SENT, NULL, &error),
        V2M_CONFLICT);
    job = get(id);
    assert_int_equal(job.notified, V2M_NOTIFIED_FAILED);
    v2m_job_free(&job);
}


static void
assert_not_found(const v2m_id_t id, const char *who)
{
    v2m_job_t   job;
    v2m_error_t error;

    assert_int_equal(v2m_jobs_find(mongo, id, who, &job, &error),
                     V2M_NOT_FOUND);
    v2m_job_free(&job);
    assert_int_equal(v2m_jobs_find_by_fid(mongo, id, who, &job, &error),
                     V2M_NOT_FOUND);
    v2m_job_free(&job);
}


static void
test_find(void **state)
{
    size_t      i;
    v2m_id_t    id, mp3, unknown;
    v2m_job_t   job;
    v2m_error_t error;

    static const char *const others[] = {
        "", "x@example.com", "{\"$ne\":null}", "$ne", ".*", "' OR '1'='1",
    };

    (void) state;

    need_store();

    v2m_id_generate(mp3);
    v2m_id_generate(unknown);
    make(id, V2M_JOB_QUEUED);
    assert_ok(v2m_jobs_ready(mongo, id, mp3, 1, 1, &error), &error);

    assert_ok(v2m_jobs_find(mongo, id, NULL, &job, &error), &error);
    assert_string_equal(job.id, id);
    v2m_job_free(&job);

    assert_ok(v2m_jobs_find_by_fid(mongo, id, owner, &job, &error), &error);
    assert_string_equal(job.id, id);
    v2m_job_free(&job);

    assert_ok(v2m_jobs_find_by_fid(mongo, mp3, owner, &job, &error), &error);
    assert_string_equal(job.id, id);
    v2m_job_free(&job);

    assert_ok(v2m_jobs_find_by_fid(mongo, mp3, NULL, &job, &error), &error);
    v2m_job_free(&job);

    assert_int_equal(v2m_jobs_find(mongo, mp3, owner, &job, &error),
                     V2M_NOT_FOUND);
    v2m_job_free(&job);

    assert_not_found(unknown, owner);
    assert_not_found(unknown, NULL);

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_not_found(id, others[i]);
        assert_not_found(mp3, others[i]);
    }
}


/* The owner's pages of that size, one behind the other, hold these ids from
 * the last to the first. */
static void
assert_pages(v2m_id_t *ids, size_t total, size_t limit)
{
    size_t      i, count, seen;
    v2m_id_t    after;
    v2m_job_t  *jobs;
    v2m_error_t error;

    after[0] = '\0';
    seen = 0;

    do {
        assert_ok(
            v2m_jobs_list(mongo, owner, after, limit, &jobs, &count, &error),
            &error);
        assert_int_equal(count, total - seen < limit ? total - seen : limit);

        for (i = 0; i < count; i++, seen++) {
            assert_string_equal(jobs[i].id, ids[total - 1 - seen]);
            assert_string_equal(jobs[i].username, owner);
            memcpy(after, jobs[i].id, sizeof(after));
        }

        v2m_jobs_free(jobs, count);
    } while (count > 0);

    assert_int_equal(seen, total);
}


static void
test_list(void **state)
{
    size_t      i, count;
    v2m_id_t    ids[23], other;
    v2m_job_t  *jobs;
    v2m_error_t error;

    (void) state;

    need_store();

    assert_ok(v2m_jobs_list(mongo, owner, NULL, 10, &jobs, &count, &error),
              &error);
    assert_int_equal(count, 0);
    v2m_jobs_free(jobs, count);

    for (i = 0; i < 23; i++) {
        make(ids[i], (v2m_job_state_t) (i % 5));
        begin(other, "other@example.com");
    }

    assert_pages(ids, 23, 1);
    assert_pages(ids, 23, 7);
    assert_pages(ids, 23, 23);
    assert_pages(ids, 23, 100);

    /* after an id that is none of the owner's, or of nobody */

    assert_ok(v2m_jobs_list(mongo, owner, other, 100, &jobs, &count, &error),
              &error);
    assert_int_equal(count, 23);
    v2m_jobs_free(jobs, count);

    assert_ok(v2m_jobs_list(mongo, owner, "000000000000000000000000", 100,
                            &jobs, &count, &error),
              &error);
    assert_int_equal(count, 0);
    v2m_jobs_free(jobs, count);
}


/* The place of the job in a list, or -1. */
static int
place_of(const v2m_id_t id, const v2m_job_t *jobs, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (strcmp(jobs[i].id, id) == 0) {
            return (int) i;
        }
    }

    return -1;
}


/* The places of the jobs in what the sweep is to see. */
static void
sweep_places(int uploads, int64_t before_ms, v2m_id_t *ids, int *places,
             size_t count)
{
    size_t      i, found;
    v2m_job_t  *jobs;
    v2m_error_t error;

    assert_ok(uploads ? v2m_jobs_stale_uploads(mongo, before_ms, 10000, &jobs,
                                               &found, &error)
                      : v2m_jobs_unpublished(mongo, before_ms, 10000, &jobs,
                                             &found, &error),
              &error);

    for (i = 1; i < found; i++) {
        assert_true(jobs[i - 1].updated_ms <= jobs[i].updated_ms);
    }

    for (i = 0; i < count; i++) {
        places[i] = place_of(ids[i], jobs, found);
    }

    v2m_jobs_free(jobs, found);
}


/* Lets the clock of the records move on. */
static void
next_millisecond(void)
{
    int64_t now;

    for (now = now_ms(); now_ms() == now;) {
        /* void */
    }
}


static void
test_remove_unchanged(void **state)
{
    int         change;
    v2m_id_t    id;
    v2m_job_t   job;
    v2m_error_t error;

    static const test_transition_t changes[] = { TEST_START, TEST_PROGRESS,
                                                 TEST_READY };

    (void) state;

    need_store();

    make(id, V2M_JOB_QUEUED);
    job = get(id);

    for (change = 0; change < 3; change++) {
        v2m_job_free(&job);
        job = get(id);
        next_millisecond();

        assert_ok(apply(id, changes[change]), &error);
        assert_int_equal(v2m_jobs_remove_unchanged(mongo, &job, &error),
                         V2M_CONFLICT);
    }

    v2m_job_free(&job);
    job = get(id);
    assert_ok(v2m_jobs_remove_unchanged(mongo, &job, &error), &error);
    assert_int_equal(v2m_jobs_remove_unchanged(mongo, &job, &error),
                     V2M_CONFLICT);
    v2m_job_free(&job);
}


static void
test_sweep(void **state)
{
    int         i, places[6];
    size_t      count;
    v2m_id_t    ids[6];
    v2m_job_t   job, *jobs;
    v2m_error_t error;

    (void) state;

    need_store();

    /* uploading, queued (unpublished), converting, ready, failed, queued */

    for (i = 0; i < 5; i++) {
        make(ids[i], (v2m_job_state_t) i);
    }

    make(ids[5], V2M_JOB_QUEUED);
    assert_ok(v2m_jobs_published(mongo, ids[5], &error), &error);

    sweep_places(0, now_ms() + 1000, ids, places, 6);

    for (i = 0; i < 6; i++) {
        assert_int_equal(places[i] != -1, i == 1);
    }

    sweep_places(1, now_ms() + 1000, ids, places, 6);

    for (i = 0; i < 6; i++) {
        assert_int_equal(places[i] != -1, i == 0);
    }

    /* only what is older, to the millisecond */

    job = get(ids[1]);
    sweep_places(0, job.updated_ms, &ids[1], places, 1);
    assert_int_equal(places[0], -1);
    sweep_places(0, job.updated_ms + 1, &ids[1], places, 1);
    assert_int_not_equal(places[0], -1);
    v2m_job_free(&job);

    /* a touch makes it young */

    next_millisecond();
    make(ids[2], V2M_JOB_UPLOADING);
    next_millisecond();
    assert_ok(v2m_jobs_touch(mongo, ids[0], &error), &error);
    sweep_places(1, now_ms() + 1000, ids, places, 3);
    assert_true(places[2] != -1 && places[2] < places[0]);

    /* so many and no more */

    assert_ok(v2m_jobs_stale_uploads(mongo, now_ms() + 1000, 1, &jobs, &count,
                                     &error),
              &error);
    assert_int_equal(count, 1);
    v2m_jobs_free(jobs, count);
}


static void
test_abandon(void **state)
{
    int         place;
    v2m_id_t    id;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;

    need_store();

    /* one that has changed since is not given up */

    make(id, V2M_JOB_UPLOADING);
    job = get(id);
    assert_int_equal(v2m_jobs_abandon(mongo, id, job.updated_ms, &error),
                     V2M_CONFLICT);
    assert_ok(v2m_jobs_touch(mongo, id, &error), &error);
    v2m_job_free(&job);

    job = get(id);
    assert_ok(v2m_jobs_abandon(mongo, id, job.updated_ms + 1, &error), &error);
    v2m_job_free(&job);

    /* from now on its upload has lost, and the sweep still sees it */

    assert_int_equal(v2m_jobs_touch(mongo, id, &error), V2M_CONFLICT);
    assert_int_equal(v2m_jobs_queue(mongo, id, NULL, 1, &error), V2M_CONFLICT);
    sweep_places(1, now_ms() + 1000, &id, &place, 1);
    assert_int_not_equal(place, -1);
    assert_ok(v2m_jobs_abandon(mongo, id, now_ms() + 1000, &error), &error);
    assert_ok(v2m_jobs_remove(mongo, id, &error), &error);
}


static void
test_adopt(void **state)
{
    char             *before, *after;
    v2m_id_t          id;
    v2m_job_t         job;
    v2m_error_t       error;
    v2m_gridfs_file_t video;

    (void) state;

    need_store();

    memset(&video, 0, sizeof(video));
    new_id(video.id);
    video.length = 12345;
    video.filename = (char *) "C:\\x\\\xFF.mp4";
    assert_ok(v2m_jobs_adopt(mongo, owner, &video, &error), &error);

    job = get(video.id);
    assert_int_equal(job.state, V2M_JOB_QUEUED);
    assert_int_equal(job.published, 1);
    assert_int_equal(job.size, 12345);
    assert_string_equal(job.name, "\xEF\xBF\xBD.mp4");
    assert_int_equal(job.notified, V2M_NOTIFIED_NONE);
    assert_int_equal(job.created_ms, job.updated_ms);
    v2m_job_free(&job);

    assert_ok(v2m_jobs_start(mongo, video.id, video.id, &error), &error);

    /* again, by someone else: nothing changes */

    job = get(video.id);
    before = v2m_job_json(&job, 0);
    v2m_job_free(&job);
    assert_ok(v2m_jobs_adopt(mongo, "other@example.com", &video, &error),
              &error);
    job = get(video.id);
    after = v2m_job_json(&job, 0);
    v2m_job_free(&job);
    assert_string_equal(before, after);
    free(before);
    free(after);

    /* nor for a job of our own; and a video may have no name */

    make(id, V2M_JOB_FAILED);
    memcpy(video.id, id, sizeof(id));
    assert_ok(v2m_jobs_adopt(mongo, owner, &video, &error), &error);
    job = get(id);
    assert_int_equal(job.state, V2M_JOB_FAILED);
    v2m_job_free(&job);

    new_id(video.id);
    video.filename = NULL;
    assert_ok(v2m_jobs_adopt(mongo, owner, &video, &error), &error);
    job = get(video.id);
    assert_null(job.name);
    v2m_job_free(&job);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_begin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_transitions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notified, setup, teardown),
        cmocka_unit_test_setup_teardown(test_find, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove_unchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abandon, setup, teardown),
        cmocka_unit_test_setup_teardown(test_adopt, setup, teardown),
    };

    return cmocka_run_group_tests(tests, setup_store, teardown_store);
}
