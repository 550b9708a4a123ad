/* The versions of the jobs' collection, and records of a later release.
 * Against the server in V2M_MONGO_URI, skipped without it. */

#include "jobs_store.h"

#include "v2m_jobs_record.h"

#define TEST_LATER 99 /* a version */

static const char *const schema_id = "jobs";


static int
read_version(void *data, const bson_t *document, v2m_error_t *error)
{
    bson_iter_t iter;
    int64_t    *version = data;

    (void) error;

    assert_int_equal(*version, -1);
    assert_true(bson_iter_init_find(&iter, document, "version"));
    *version = bson_iter_as_int64(&iter);

    return V2M_OK;
}


/* -1: there is none. */
static int64_t
schema_version(void)
{
    bson_t      filter;
    int64_t     version;
    v2m_error_t error;

    version = -1;
    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "_id", schema_id);
    assert_ok(v2m_mongo_find(mongo, "v2m", "schema", &filter, NULL,
                             read_version, &version, &error),
              &error);
    bson_destroy(&filter);

    return version;
}


static void
set_schema_version(int32_t version)
{
    bson_t      filter, update, set;
    v2m_error_t error;

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "_id", schema_id);

    bson_init(&update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
    BSON_APPEND_INT32(&set, "version", version);
    bson_append_document_end(&update, &set);

    assert_ok(v2m_mongo_update(mongo, "v2m", "schema", &filter, &update, NULL,
                               NULL, &error),
              &error);

    bson_destroy(&update);
    bson_destroy(&filter);
}


static void *
prepare(void *data)
{
    v2m_error_t error;

    (void) data;

    return v2m_jobs_prepare(mongo, &error) == V2M_OK ? &mongo : NULL;
}


static void
test_prepare(void **state)
{
    int         i;
    void       *done;
    bson_t      filter;
    pthread_t   threads[8];
    v2m_error_t error;

    (void) state;

    need_store();

    /* none, and many programs that come at once */

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "_id", schema_id);
    assert_ok(v2m_mongo_delete(mongo, "v2m", "schema", &filter, NULL, &error),
              &error);
    bson_destroy(&filter);
    assert_int_equal(schema_version(), -1);

    for (i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, prepare, NULL), 0);
    }

    for (i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], &done), 0);
        assert_non_null(done);
    }

    assert_int_equal(schema_version(), V2M_JOBS_VERSION);

    /* from an earlier version, and never down */

    set_schema_version(V2M_JOBS_VERSION - 1);
    assert_ok(v2m_jobs_prepare(mongo, &error), &error);
    assert_int_equal(schema_version(), V2M_JOBS_VERSION);

    set_schema_version(TEST_LATER);
    assert_ok(v2m_jobs_prepare(mongo, &error), &error);
    assert_int_equal(schema_version(), TEST_LATER);
    set_schema_version(V2M_JOBS_VERSION);
}


/* Makes a record one of a later release, whose fields nobody knows here. */
static void
make_later(const v2m_id_t id)
{
    bson_t      filter, update, set, field;
    bson_oid_t  oid;
    v2m_error_t error;

    bson_oid_init_from_string(&oid, id);
    bson_init(&filter);
    BSON_APPEND_OID(&filter, "_id", &oid);

    bson_init(&update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
    BSON_APPEND_INT32(&set, "version", TEST_LATER);
    BSON_APPEND_DOCUMENT_BEGIN(&set, "later", &field);
    BSON_APPEND_UTF8(&field, "word", "kept");
    bson_append_document_end(&set, &field);
    bson_append_document_end(&update, &set);

    assert_ok(v2m_mongo_update(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION,
                               &filter, &update, NULL, NULL, &error),
              &error);

    bson_destroy(&update);
    bson_destroy(&filter);
}


static int
check_later(void *data, const bson_t *document, v2m_error_t *error)
{
    int        *found = data;
    bson_iter_t iter, word;

    (void) error;

    (*found)++;
    assert_true(bson_iter_init_find(&iter, document, "version"));
    assert_int_equal(bson_iter_as_int64(&iter), TEST_LATER);
    assert_true(bson_iter_init(&iter, document)
                && bson_iter_find_descendant(&iter, "later.word", &word));
    assert_string_equal(bson_iter_utf8(&word, NULL), "kept");

    return V2M_OK;
}


/* After an update, with its result: it was made, and kept what it does not
 * know. */
static void
assert_kept(int rc, const v2m_id_t id, const v2m_error_t *error)
{
    int         found;
    bson_t      filter;
    bson_oid_t  oid;
    v2m_error_t reading;

    assert_ok(rc, error);

    found = 0;
    bson_oid_init_from_string(&oid, id);
    bson_init(&filter);
    BSON_APPEND_OID(&filter, "_id", &oid);
    assert_ok(v2m_mongo_find(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION,
                             &filter, NULL, check_later, &found, &reading),
              &reading);
    bson_destroy(&filter);

    assert_int_equal(found, 1);
}


static void
test_later_upload(void **state)
{
    v2m_id_t          id;
    v2m_error_t       e;
    v2m_gridfs_file_t video;

    (void) state;

    need_store();

    make(id, V2M_JOB_UPLOADING);
    make_later(id);
    assert_kept(v2m_jobs_touch(mongo, id, &e), id, &e);
    assert_kept(v2m_jobs_abandon(mongo, id, now_ms() + 1000, &e), id, &e);

    make(id, V2M_JOB_UPLOADING);
    make_later(id);
    assert_kept(v2m_jobs_queue(mongo, id, "a.mp4", 1000, &e), id, &e);
    assert_kept(v2m_jobs_published(mongo, id, &e), id, &e);

    memset(&video, 0, sizeof(video));
    memcpy(video.id, id, sizeof(v2m_id_t));
    assert_kept(v2m_jobs_adopt(mongo, owner, &video, &e), id, &e);
}


static void
test_later_conversion(void **state)
{
    v2m_id_t    id;
    v2m_job_t   job;
    v2m_error_t e;

    (void) state;

    need_store();

    make(id, V2M_JOB_QUEUED);
    make_later(id);
    assert_kept(v2m_jobs_start(mongo, id, id, &e), id, &e);
    assert_kept(v2m_jobs_progress(mongo, id, 50, 10, "encoding", &e), id, &e);

    job = get(id);
    assert_kept(v2m_jobs_requeue(mongo, &job, &e), id, &e);
    v2m_job_free(&job);

    job = get(id);
    assert_kept(v2m_jobs_give_up(mongo, &job, "lost", &e), id, &e);
    v2m_job_free(&job);

    assert_kept(v2m_jobs_retry(mongo, id, &e), id, &e);
    assert_kept(v2m_jobs_fail(mongo, id, "why", &e), id, &e);
    assert_kept(v2m_jobs_retry(mongo, id, &e), id, &e);
    assert_kept(v2m_jobs_ready(mongo, id, id, 500, 60000, &e), id, &e);
}


static void
test_later_end(void **state)
{
    v2m_id_t       id, claim;
    v2m_job_t      job;
    v2m_error_t    e;
    v2m_job_mail_t mail = { 0 };

    (void) state;

    need_store();

    make(id, V2M_JOB_READY);
    make_later(id);
    v2m_id_generate(claim);
    mail.tries = 1;
    mail.due_ms = now_ms();

    assert_kept(v2m_jobs_claim_mail(mongo, id, claim, 60000, &e), id, &e);
    assert_kept(v2m_jobs_put_mail_off(mongo, id, claim, &mail, &e), id, &e);

    job = get(id);
    assert_kept(v2m_jobs_mail_published(mongo, &job, &e), id, &e);
    v2m_job_free(&job);

    assert_kept(v2m_jobs_notified(mongo, id, V2M_NOTIFIED_FAILED, NULL, &e), id,
                &e);
    assert_kept(v2m_jobs_notify_again(mongo, id, &e), id, &e);
    assert_kept(v2m_jobs_notified(mongo, id, V2M_NOTIFIED_SENT, NULL, &e), id,
                &e);

    job = get(id);
    assert_kept(v2m_jobs_video_removing(mongo, &job, &e), id, &e);
    v2m_job_free(&job);
    assert_kept(v2m_jobs_video_removed(mongo, id, &e), id, &e);

    job = get(id);
    assert_kept(v2m_jobs_expire(mongo, &job, &e), id, &e);
    v2m_job_free(&job);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_prepare, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_upload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_conversion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_end, setup, teardown),
    };

    return cmocka_run_group_tests(tests, setup_store, teardown_store);
}
