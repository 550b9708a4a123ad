/* Resumable uploads, against the server in V2M_MONGO_URI; skipped without
 * it. */

#include "jobs_store.h"

#include "v2m_gridfs.h"
#include "v2m_tus.h"

#define TEST_CHUNK   16384
#define TEST_THREADS 8
#define TEST_KEEP    3600000 /* ms */

static unsigned char video[5 * TEST_CHUNK];

typedef struct {
    pthread_barrier_t *start;
    v2m_tus_t          tus;
    int                rc;
} test_racer_t;


static int
setup_video(void **state)
{
    for (size_t i = 0; i < sizeof(video); i++) {
        video[i] = (unsigned char) (rand() >> 4);
    }

    return setup_store(state);
}


/* An upload that was made, and nothing more. */
static v2m_tus_t
create(int64_t length)
{
    v2m_job_t   job;
    v2m_tus_t   tus;
    v2m_error_t error;

    v2m_job_init(&job);
    new_id(job.id);
    job.username = owner;
    job.size = length > 0 ? length : 0;

    memset(&tus, 0, sizeof(tus));
    tus.chunk_size = TEST_CHUNK;
    tus.length = length;
    tus.keep_ms = TEST_KEEP;
    tus.metadata = "filename YQ==";

    assert_ok(v2m_tus_begin(mongo, &job, &tus, &error), &error);

    return tus;
}


/* As the record has it; to be freed. */
static v2m_tus_t
find(const v2m_id_t id)
{
    v2m_job_t   job;
    v2m_tus_t   tus;
    v2m_error_t error;

    assert_ok(v2m_tus_find(mongo, id, owner, &job, &tus, &error), &error);
    v2m_job_free(&job);

    return tus;
}


/* Takes the lease, as the next request does. */
static v2m_tus_t
acquire(const v2m_id_t id)
{
    v2m_tus_t   tus;
    v2m_error_t error;

    tus = find(id);
    tus.keep_ms = TEST_KEEP;
    v2m_id_generate(tus.owner);
    assert_ok(v2m_tus_acquire(mongo, &tus, -1, &error), &error);

    return tus;
}


/* Stores the video's bytes from the offset of tus up to the end, chunk by chunk
 * and with what is left at the end. */
static int
send(const v2m_tus_t *tus, int64_t end, v2m_error_t *error)
{
    int32_t            n;
    v2m_tus_piece_t    piece;
    v2m_gridfs_chunk_t chunks[sizeof(video) / TEST_CHUNK];

    memset(&piece, 0, sizeof(piece));
    piece.offset = end;
    piece.first = (int32_t) (tus->offset / TEST_CHUNK);
    piece.chunks = chunks;

    for (n = piece.first; (n + 1) * TEST_CHUNK <= end; n++) {
        chunks[piece.count].data = video + n * TEST_CHUNK;
        chunks[piece.count++].length = TEST_CHUNK;
    }

    piece.tail.data = video + n * TEST_CHUNK;
    piece.tail.length = (size_t) (end - n * TEST_CHUNK);

    return v2m_tus_pause(mongo, tus, &piece, error);
}


static void
send_piece(const v2m_id_t id, int64_t end)
{
    v2m_tus_t   tus;
    v2m_error_t error;

    tus = acquire(id);
    assert_ok(send(&tus, end, &error), &error);
    v2m_tus_free(&tus);
}


/* Stores the last chunk, and makes a file of it all. */
static int
finish(const v2m_tus_t *tus, int64_t length, v2m_error_t *error)
{
    int                rc;
    int32_t            n;
    v2m_gridfs_file_t  file;
    v2m_gridfs_chunk_t chunk;

    n = (int32_t) (tus->offset / TEST_CHUNK);
    chunk.data = video + n * TEST_CHUNK;
    chunk.length = (size_t) (length - n * TEST_CHUNK);

    memset(&file, 0, sizeof(file));
    memcpy(file.id, tus->id, sizeof(v2m_id_t));
    file.length = length;
    file.chunk_size = TEST_CHUNK;
    file.filename = "a.mp4";

    rc = v2m_tus_insert(mongo, tus, n, &chunk, 1, error);

    return rc == V2M_OK ? v2m_tus_finish(mongo, tus, &file, error) : rc;
}


/* The chunks of a file, at most count. */
static size_t
count_chunks(const v2m_id_t id)
{
    size_t      count;
    bson_t      ids;
    v2m_error_t error;

    bson_init(&ids);
    assert_ok(
        v2m_gridfs_list_chunks(mongo, V2M_VIDEOS, id, 0, 1000, &ids, &error),
        &error);
    count = bson_count_keys(&ids);
    bson_destroy(&ids);

    return count;
}


static void
assert_finished(const v2m_tus_t *tus, int64_t length)
{
    int32_t           count;
    v2m_job_t         job;
    v2m_error_t       error;
    unsigned char     stored[sizeof(video)];
    v2m_gridfs_file_t file;

    job = get(tus->id);
    assert_int_equal(job.state, V2M_JOB_QUEUED);
    assert_int_equal(job.size, length);
    v2m_job_free(&job);

    assert_ok(v2m_gridfs_find_file(mongo, V2M_VIDEOS, tus->id, &file, &error),
              &error);
    assert_int_equal(file.length, length);
    count = (int32_t) ((length + TEST_CHUNK - 1) / TEST_CHUNK);
    assert_ok(v2m_gridfs_read_chunks(mongo, V2M_VIDEOS, &file, 0, count, stored,
                                     &error),
              &error);
    assert_memory_equal(stored, video, (size_t) length);
    assert_int_equal(count_chunks(tus->id), count);
    assert_int_equal(count_chunks(tus->tails), 0);

    v2m_gridfs_file_free(&file);
    assert_ok(v2m_gridfs_delete(mongo, V2M_VIDEOS, tus->id, &error), &error);
}


/* Moves a time in the record. */
static void
set_time(const v2m_id_t id, const char *field, int64_t time_ms)
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
    BSON_APPEND_DATE_TIME(&set, field, time_ms);
    bson_append_document_end(&update, &set);

    assert_ok(v2m_mongo_update(mongo, "v2m", "jobs", &filter, &update, NULL,
                               &matched, &error),
              &error);
    assert_int_equal(matched, 1);

    bson_destroy(&update);
    bson_destroy(&filter);
}


static void
test_in_pieces(void **state)
{
    size_t        i;
    v2m_tus_t     tus;
    v2m_error_t   error;
    unsigned char tail[TEST_CHUNK];

    static const int64_t ends[] = { 1,
                                    100,
                                    TEST_CHUNK - 1,
                                    TEST_CHUNK + 1,
                                    2 * TEST_CHUNK,
                                    4 * TEST_CHUNK + 7 };

    (void) state;
    need_store();

    tus = create(sizeof(video));

    for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        send_piece(tus.id, ends[i]);

        tus = acquire(tus.id);
        assert_int_equal(tus.offset, ends[i]);
        assert_int_equal(tus.length, sizeof(video));
        assert_string_equal(tus.metadata, "filename YQ==");
        assert_ok(v2m_tus_read_tail(mongo, &tus, tail, &error), &error);
        assert_memory_equal(tail, video + ends[i] / TEST_CHUNK * TEST_CHUNK,
                            (size_t) (ends[i] % TEST_CHUNK));
        assert_true(count_chunks(tus.tails) <= 1);

        /* a request that brings nothing changes nothing */
        assert_ok(send(&tus, ends[i], &error), &error);
        v2m_tus_free(&tus);
    }

    tus = acquire(tus.id);
    assert_ok(finish(&tus, sizeof(video), &error), &error);
    assert_finished(&tus, sizeof(video));
    v2m_tus_free(&tus);

    tus = find(tus.id);
    assert_int_equal(tus.offset, sizeof(video));
    v2m_tus_free(&tus);
}


static void
test_length_told_later(void **state)
{
    v2m_tus_t   tus;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;
    need_store();

    tus = create(-1);
    send_piece(tus.id, TEST_CHUNK + 10);

    tus = find(tus.id);
    assert_int_equal(tus.length, -1);
    job = get(tus.id);
    assert_int_equal(job.size, TEST_CHUNK + 10);
    v2m_job_free(&job);

    tus.keep_ms = TEST_KEEP;
    v2m_id_generate(tus.owner);
    assert_ok(v2m_tus_acquire(mongo, &tus, TEST_CHUNK + 20, &error), &error);
    assert_int_equal(tus.length, TEST_CHUNK + 20);
    assert_ok(finish(&tus, TEST_CHUNK + 20, &error), &error);
    assert_finished(&tus, TEST_CHUNK + 20);
    v2m_tus_free(&tus);
}


static void
test_of_others(void **state)
{
    v2m_id_t    id;
    v2m_job_t   job;
    v2m_tus_t   tus, found;
    v2m_error_t error;

    (void) state;
    need_store();

    tus = create(100);
    assert_int_equal(v2m_tus_find(mongo, tus.id, "other", &job, &found, &error),
                     V2M_NOT_FOUND);

    v2m_id_generate(id);
    assert_int_equal(v2m_tus_find(mongo, id, owner, &job, &found, &error),
                     V2M_NOT_FOUND);

    make(id, V2M_JOB_UPLOADING);
    assert_int_equal(v2m_tus_find(mongo, id, owner, &job, &found, &error),
                     V2M_NOT_FOUND);
}


static void *
race(void *data)
{
    test_racer_t *racer = data;

    pthread_barrier_wait(racer->start);
    racer->rc = v2m_tus_acquire(mongo, &racer->tus, -1, NULL);

    return NULL;
}


static void
test_one_of_many(void **state)
{
    int               winners;
    size_t            i, round;
    pthread_t         threads[TEST_THREADS];
    v2m_tus_t         tus;
    test_racer_t      racers[TEST_THREADS];
    pthread_barrier_t start;

    (void) state;
    need_store();

    pthread_barrier_init(&start, NULL, TEST_THREADS);

    for (round = 0; round < 10; round++) {
        tus = create(100);

        for (i = 0; i < TEST_THREADS; i++) {
            racers[i].start = &start;
            racers[i].tus = tus;
            v2m_id_generate(racers[i].tus.owner);
            pthread_create(&threads[i], NULL, race, &racers[i]);
        }

        for (i = 0, winners = 0; i < TEST_THREADS; i++) {
            pthread_join(threads[i], NULL);
            winners += racers[i].rc == V2M_OK;
            assert_true(racers[i].rc == V2M_OK || racers[i].rc == V2M_CONFLICT);
        }

        assert_int_equal(winners, 1);
    }

    pthread_barrier_destroy(&start);
}


/* A request that does not know yet that another went on. */
static void
test_late_request(void **state)
{
    v2m_tus_t          late, next;
    v2m_error_t        error;
    unsigned char      wrong[TEST_CHUNK];
    v2m_gridfs_chunk_t chunk = { wrong, sizeof(wrong) };

    (void) state;
    need_store();

    memset(wrong, 0x55, sizeof(wrong));

    next = create(sizeof(video));
    send_piece(next.id, 10);
    late = acquire(next.id);
    assert_ok(v2m_tus_note(mongo, &late, late.offset, &error), &error);

    /* nobody else as long as the lease lasts */

    next = find(late.id);
    next.keep_ms = TEST_KEEP;
    v2m_id_generate(next.owner);
    assert_int_equal(v2m_tus_acquire(mongo, &next, -1, &error), V2M_CONFLICT);
    set_time(late.id, "tus_until", now_ms() - 1);
    assert_ok(v2m_tus_acquire(mongo, &next, -1, &error), &error);

    /* it inserts chunks before the other does, which do not count */

    assert_ok(v2m_tus_insert(mongo, &late, 0, &chunk, 1, &error), &error);
    assert_ok(v2m_tus_insert(mongo, &late, 2, &chunk, 1, &error), &error);
    assert_int_equal(v2m_tus_note(mongo, &late, TEST_CHUNK, &error),
                     V2M_CONFLICT);
    assert_ok(send(&next, 3 * TEST_CHUNK + 5, &error), &error);
    v2m_tus_free(&next);

    /* and cannot do so after it */

    assert_int_equal(v2m_tus_insert(mongo, &late, 1, &chunk, 1, &error),
                     V2M_CONFLICT);
    assert_int_equal(send(&late, 5, &error), V2M_CONFLICT);
    assert_int_equal(finish(&late, TEST_CHUNK, &error), V2M_CONFLICT);
    v2m_tus_clean(mongo, &late);
    v2m_tus_free(&late);

    /* what it put behind the end goes when the file is made */

    next = acquire(next.id);
    assert_int_equal(next.offset, 3 * TEST_CHUNK + 5);
    assert_ok(v2m_tus_insert(mongo, &next, 9, &chunk, 1, &error), &error);
    assert_ok(send(&next, 4 * TEST_CHUNK + 5, &error), &error);
    v2m_tus_free(&next);
    next = acquire(next.id);
    assert_ok(finish(&next, sizeof(video), &error), &error);
    assert_finished(&next, sizeof(video));
    v2m_tus_free(&next);
}


/* A request that died after it had made the file, before it could say so. */
static void
test_finished_twice(void **state)
{
    v2m_tus_t         tus;
    v2m_error_t       error;
    v2m_gridfs_file_t file;

    (void) state;
    need_store();

    tus = create(10);
    tus = acquire(tus.id);

    memset(&file, 0, sizeof(file));
    memcpy(file.id, tus.id, sizeof(v2m_id_t));
    file.length = 10;
    file.chunk_size = TEST_CHUNK;
    assert_ok(v2m_gridfs_insert_file(mongo, V2M_VIDEOS, &file, &error), &error);

    assert_ok(finish(&tus, 10, &error), &error);
    assert_finished(&tus, 10);
    v2m_tus_free(&tus);
}


static void
assert_gone(const v2m_tus_t *tus)
{
    v2m_job_t   job;
    v2m_error_t error;

    assert_int_equal(v2m_jobs_find(mongo, tus->id, owner, &job, &error),
                     V2M_NOT_FOUND);
    assert_int_equal(count_chunks(tus->id), 0);
    assert_int_equal(count_chunks(tus->tails), 0);
}


static void
test_terminated(void **state)
{
    v2m_job_t          job, none;
    v2m_tus_t          tus, found;
    v2m_error_t        error;
    v2m_gridfs_chunk_t chunk = { video, TEST_CHUNK };

    (void) state;
    need_store();

    tus = create(sizeof(video));
    send_piece(tus.id, TEST_CHUNK + 10);
    tus = acquire(tus.id);

    job = get(tus.id);
    assert_ok(v2m_tus_terminate(mongo, &job, &error), &error);
    assert_gone(&tus);
    assert_int_equal(v2m_tus_find(mongo, tus.id, owner, &none, &found, &error),
                     V2M_NOT_FOUND);

    /* the request that was at it leaves nothing */

    assert_ok(v2m_tus_insert(mongo, &tus, 1, &chunk, 1, &error), &error);
    assert_int_equal(v2m_tus_note(mongo, &tus, TEST_CHUNK, &error),
                     V2M_CONFLICT);
    v2m_tus_clean(mongo, &tus);
    assert_gone(&tus);
    v2m_tus_free(&tus);

    assert_int_equal(v2m_tus_terminate(mongo, &job, &error), V2M_CONFLICT);
    v2m_job_free(&job);
}


static void *
race_finish(void *data)
{
    test_racer_t *racer = data;

    pthread_barrier_wait(racer->start);
    racer->rc = finish(&racer->tus, 10, NULL);

    return NULL;
}


/* At the same time as its last bytes make it a job: then that goes. */
static void
test_dropped_as_it_ends(void **state)
{
    v2m_job_t         job;
    v2m_tus_t         tus;
    pthread_t         thread;
    v2m_error_t       error;
    test_racer_t      racer;
    pthread_barrier_t start;

    (void) state;
    need_store();

    pthread_barrier_init(&start, NULL, 2);
    racer.start = &start;

    for (useconds_t pause = 0; pause < 6000; pause += 300) {
        tus = create(10);
        racer.tus = acquire(tus.id);
        assert_int_equal(pthread_create(&thread, NULL, race_finish, &racer), 0);
        pthread_barrier_wait(&start);
        usleep(pause);

        assert_ok(v2m_jobs_drop(mongo, tus.id, owner, &job, &error), &error);
        v2m_job_free(&job);

        pthread_join(thread, NULL);

        if (racer.rc != V2M_OK) {
            assert_int_equal(racer.rc, V2M_CONFLICT);
            v2m_tus_clean(mongo, &racer.tus);
        }

        assert_gone(&racer.tus);
        v2m_tus_free(&racer.tus);
    }

    pthread_barrier_destroy(&start);
}


static void
test_not_resumable(void **state)
{
    v2m_id_t    id;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;
    need_store();

    make(id, V2M_JOB_UPLOADING);
    job = get(id);
    assert_int_equal(v2m_tus_terminate(mongo, &job, &error), V2M_CONFLICT);
    v2m_job_free(&job);
}


/* Whether the sweep would find it. */
static int
is_found(const v2m_id_t id, int stale)
{
    int         found;
    size_t      i, count;
    v2m_job_t  *jobs;
    v2m_error_t error;

    assert_ok(
        stale ? v2m_jobs_stale_uploads(mongo, now_ms() + 1000, 10000, &jobs,
                                       &count, &error)
              : v2m_tus_expired(mongo, now_ms(), 10000, &jobs, &count, &error),
        &error);

    for (i = 0, found = 0; i < count; i++) {
        found |= strcmp(jobs[i].id, id) == 0;
    }

    v2m_jobs_free(jobs, count);

    return found;
}


static void
test_expired(void **state)
{
    v2m_job_t   job;
    v2m_tus_t   tus, found;
    v2m_error_t error;

    (void) state;
    need_store();

    tus = create(sizeof(video));
    send_piece(tus.id, TEST_CHUNK + 10);
    set_time(tus.id, "updated", now_ms() - 100 * 3600 * 1000LL);
    assert_int_equal(is_found(tus.id, 1), 0);
    assert_int_equal(is_found(tus.id, 0), 0);

    job = get(tus.id);
    assert_int_equal(v2m_tus_expire(mongo, &job, now_ms(), &error),
                     V2M_CONFLICT);

    set_time(tus.id, "tus_expires", now_ms() - 1000);
    assert_int_equal(is_found(tus.id, 1), 0);
    assert_int_equal(is_found(tus.id, 0), 1);
    v2m_job_free(&job);
    assert_int_equal(v2m_tus_find(mongo, tus.id, owner, &job, &found, &error),
                     V2M_NOT_FOUND);

    job = get(tus.id);
    assert_ok(v2m_tus_expire(mongo, &job, now_ms(), &error), &error);
    assert_gone(&tus);
    v2m_job_free(&job);
}


/* What a request goes on with is put off. */
static void
test_goes_on_before_it_expires(void **state)
{
    v2m_tus_t   tus;
    v2m_error_t error;

    (void) state;
    need_store();

    tus = create(sizeof(video));
    set_time(tus.id, "tus_expires", now_ms() + 10000);
    tus = acquire(tus.id);
    v2m_tus_free(&tus);
    tus.metadata = NULL;
    set_time(tus.id, "tus_expires", now_ms() + 10000);
    assert_ok(v2m_tus_note(mongo, &tus, 0, &error), &error);
    tus = find(tus.id);
    assert_true(tus.expires_ms > now_ms() + TEST_KEEP / 2);
    v2m_tus_free(&tus);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_length_told_later, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_of_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_of_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_finished_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_terminated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dropped_as_it_ends, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_not_resumable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expired, setup, teardown),
        cmocka_unit_test_setup_teardown(test_goes_on_before_it_expires, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, setup_video, teardown_store);
}
