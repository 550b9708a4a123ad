/* The job record's two forms: the JSON that clients see, to the byte, and the
 * BSON of the store. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_job.h"
#include "v2m_job_bson.h"

#define ID  "65f000000000000000000abc"
#define MP3 "65f000000000000000000def"

/* 2023-11-14 22:13:20 UTC */
#define CREATED INT64_C(1700000000000)

#define CREATED_JSON "\"created\":\"2023-11-14T22:13:20.000Z\""


static void
assert_json(const v2m_job_t *job, const char *expected)
{
    char *text;

    text = v2m_job_json(job, 0);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}


static v2m_job_t
example(v2m_job_state_t state)
{
    v2m_job_t job;

    v2m_job_init(&job);
    strcpy(job.id, ID);
    job.username = (char *) "a@b.c";
    job.name = (char *) "a.mp4";
    job.state = state;
    job.size = 1234567890123;
    job.created_ms = CREATED;
    job.updated_ms = CREATED + 1007;

    return job;
}


static void
test_json_states(void **state)
{
    v2m_job_t job;

    (void) state;

    job = example(V2M_JOB_UPLOADING);
    assert_json(&job, "{\"id\":\"" ID "\",\"state\":\"uploading\","
                      "\"name\":\"a.mp4\",\"size\":1234567890123,"
                      "\"progress\":null," CREATED_JSON ","
                      "\"updated\":\"2023-11-14T22:13:21.007Z\","
                      "\"notified\":\"none\",\"options\":{}}");

    job = example(V2M_JOB_QUEUED);
    job.name = NULL;
    job.published = 1;
    assert_json(&job, "{\"id\":\"" ID "\",\"state\":\"queued\","
                      "\"name\":null,\"size\":1234567890123,"
                      "\"progress\":null," CREATED_JSON ","
                      "\"updated\":\"2023-11-14T22:13:21.007Z\","
                      "\"notified\":\"none\",\"options\":{}}");

    job = example(V2M_JOB_CONVERTING);
    job.progress = 0;
    assert_json(&job, "{\"id\":\"" ID "\",\"state\":\"converting\","
                      "\"name\":\"a.mp4\",\"size\":1234567890123,"
                      "\"progress\":0," CREATED_JSON ","
                      "\"updated\":\"2023-11-14T22:13:21.007Z\","
                      "\"notified\":\"none\",\"options\":{}}");

    job = example(V2M_JOB_READY);
    job.progress = 100;
    strcpy(job.phase, "encoding");
    job.notified = V2M_NOTIFIED_SENT;
    job.mp3_size = 4321;
    job.duration_ms = 83500;
    strcpy(job.mp3_fid, MP3);
    assert_json(&job, "{\"id\":\"" ID "\",\"state\":\"ready\","
                      "\"name\":\"a.mp4\",\"size\":1234567890123,"
                      "\"progress\":100,\"mp3_fid\":\"" MP3 "\","
                      "\"mp3_size\":4321,\"duration\":83.5,"
                      "\"download\":\"/download?fid=" ID "\"," CREATED_JSON ","
                      "\"updated\":\"2023-11-14T22:13:21.007Z\","
                      "\"notified\":\"sent\",\"options\":{}}");

    job = example(V2M_JOB_FAILED);
    job.reason = (char *) "the file has no audio track";
    job.notified = V2M_NOTIFIED_FAILED;
    assert_json(&job, "{\"id\":\"" ID "\",\"state\":\"failed\","
                      "\"name\":\"a.mp4\",\"size\":1234567890123,"
                      "\"progress\":null,"
                      "\"reason\":\"the file has no audio track\"," CREATED_JSON
                      ",\"updated\":\"2023-11-14T22:13:21.007Z\","
                      "\"notified\":\"failed\",\"options\":{}}");
}


static void
assert_json_has(const v2m_job_t *job, const char *part)
{
    char *text;

    text = v2m_job_json(job, 0);
    assert_non_null(text);

    if (strstr(text, part) == NULL) {
        fail_msg("no %s in %s", part, text);
    }

    free(text);
}


static void
test_json_texts(void **state)
{
    v2m_job_t job;

    (void) state;

    job = example(V2M_JOB_FAILED);
    job.name = (char *) "say \"hi\"\\ \xC3\xA4\xFF\n</script>.mp4";
    job.reason = NULL;
    assert_json_has(&job, "\"name\":\"say \\\"hi\\\"\\\\ \xC3\xA4\xEF\xBF\xBD"
                          "\\n</script>.mp4\"");
    assert_json_has(&job, "\"reason\":null");
}


static void
test_json_times(void **state)
{
    size_t    i;
    v2m_job_t job;

    static const struct {
        int64_t     time_ms;
        const char *json;
    } times[] = {
        { 0, "\"1970-01-01T00:00:00.000Z\"" },
        { 1, "\"1970-01-01T00:00:00.001Z\"" },
        { 999, "\"1970-01-01T00:00:00.999Z\"" },
        { -1, "\"1969-12-31T23:59:59.999Z\"" },
        { -1000, "\"1969-12-31T23:59:59.000Z\"" },
        { INT64_C(951782400000), "\"2000-02-29T00:00:00.000Z\"" },
        { INT64_C(2147483648050), "\"2038-01-19T03:14:08.050Z\"" },
        { INT64_MAX, "\"292278994-08-17T07:12:55.807Z\"" },
    };

    (void) state;

    /* a local time must not show */

    setenv("TZ", "America/New_York", 1);

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        job = example(V2M_JOB_QUEUED);
        job.updated_ms = times[i].time_ms;
        assert_json_has(&job, times[i].json);
    }

    unsetenv("TZ");

    /* durations: milliseconds, without the binary fraction's tail */

    job = example(V2M_JOB_READY);
    assert_json_has(&job, "\"duration\":null,");
    job.duration_ms = 0;
    assert_json_has(&job, "\"duration\":0,");
    job.duration_ms = 1;
    assert_json_has(&job, "\"duration\":0.001,");
    job.duration_ms = 100;
    assert_json_has(&job, "\"duration\":0.1,");
    job.duration_ms = 60000;
    assert_json_has(&job, "\"duration\":60,");
    job.duration_ms = 360000001;
    assert_json_has(&job, "\"duration\":360000.001,");
}


static void
test_json_options(void **state)
{
    v2m_job_t job;

    (void) state;

    job = example(V2M_JOB_QUEUED);
    job.options.bitrate = 128;
    job.options.track = 2;
    job.options.start_ms = 0;
    job.options.end_ms = 83456;
    job.options.samplerate = 44100;
    job.options.channels = 1;
    job.options.loudness = 165;
    assert_json_has(&job,
                    "\"options\":{\"bitrate\":128,\"track\":2,\"start\":0,"
                    "\"end\":83.456,\"samplerate\":44100,\"channels\":1,"
                    "\"loudnorm\":-16.5}}");

    job.state = V2M_JOB_CONVERTING;
    job.progress = 0;
    strcpy(job.phase, "encoding");
    assert_json_has(&job, "\"progress\":0,\"phase\":\"encoding\","
                          "\"remaining\":null,\"created\"");
    job.remaining_s = 0;
    assert_json_has(&job, "\"remaining\":0,");

    v2m_options_init(&job.options);
    job.options.quality = 0;
    assert_json_has(&job, "\"options\":{\"quality\":0}}");
}


static void
test_list(void **state)
{
    char     *text, *one, *expected;
    v2m_job_t jobs[2];

    (void) state;

    text = v2m_job_list_json(NULL, 0, NULL, 0);
    assert_string_equal(text, "{\"jobs\":[],\"next\":null}");
    free(text);

    jobs[0] = example(V2M_JOB_QUEUED);
    jobs[1] = example(V2M_JOB_FAILED);
    jobs[1].name = (char *) "\xFF";
    one = v2m_job_json(&jobs[0], 0);
    text = v2m_job_json(&jobs[1], 0);
    assert_int_not_equal(asprintf(&expected,
                                  "{\"jobs\":[%s,%s],\"next\":\"" ID "\"}", one,
                                  text),
                         -1);
    free(one);
    free(text);

    text = v2m_job_list_json(jobs, 2, ID, 0);
    assert_string_equal(text, expected);
    free(text);
    free(expected);
}


static void
test_names(void **state)
{
    int                i;
    v2m_job_state_t    job_state;
    v2m_job_notified_t notified;

    (void) state;

    for (i = V2M_JOB_UPLOADING; i <= V2M_JOB_FAILED; i++) {
        assert_int_equal(
            v2m_job_state_parse(&job_state,
                                v2m_job_state_name((v2m_job_state_t) i)),
            V2M_OK);
        assert_int_equal(job_state, i);
    }

    for (i = V2M_NOTIFIED_NONE; i <= V2M_NOTIFIED_FAILED; i++) {
        assert_int_equal(
            v2m_job_notified_parse(
                &notified, v2m_job_notified_name((v2m_job_notified_t) i)),
            V2M_OK);
        assert_int_equal(notified, i);
    }

    assert_int_equal(v2m_job_state_parse(&job_state, ""), V2M_INVALID);
    assert_int_equal(v2m_job_state_parse(&job_state, "Ready"), V2M_INVALID);
    assert_int_equal(v2m_job_state_parse(&job_state, "sent"), V2M_INVALID);
    assert_int_equal(v2m_job_notified_parse(&notified, "ready"), V2M_INVALID);
}


static void
append_id(bson_t *record, const char *field, const char *id)
{
    bson_oid_t oid;

    bson_oid_init_from_string(&oid, id);
    BSON_APPEND_OID(record, field, &oid);
}


static void
assert_options(const v2m_options_t *options, const v2m_options_t *expected)
{
    assert_int_equal(options->bitrate, expected->bitrate);
    assert_int_equal(options->quality, expected->quality);
    assert_int_equal(options->track, expected->track);
    assert_int_equal(options->start_ms, expected->start_ms);
    assert_int_equal(options->end_ms, expected->end_ms);
    assert_int_equal(options->samplerate, expected->samplerate);
    assert_int_equal(options->channels, expected->channels);
    assert_int_equal(options->loudness, expected->loudness);
}


static void
test_bson(void **state)
{
    bson_t        record;
    v2m_job_t     job;
    v2m_error_t   error;
    v2m_options_t options;

    (void) state;

    v2m_options_init(&options);
    options.quality = 0;
    options.start_ms = 1500;
    options.end_ms = INT64_C(360000000);
    options.channels = 2;
    options.loudness = 160;

    bson_init(&record);
    BSON_APPEND_UTF8(&record, "state", "ready");
    append_id(&record, "_id", ID);
    append_id(&record, "mp3_fid", MP3);
    BSON_APPEND_UTF8(&record, "username", "a@b.c");
    BSON_APPEND_UTF8(&record, "name", "a.mp4");
    BSON_APPEND_UTF8(&record, "reason", "why");
    BSON_APPEND_UTF8(&record, "notified", "sent");
    BSON_APPEND_BOOL(&record, "published", true);
    BSON_APPEND_INT32(&record, "progress", 100);
    BSON_APPEND_INT32(&record, "remaining", 12);
    BSON_APPEND_UTF8(&record, "phase", "a word that is far too long");
    BSON_APPEND_INT64(&record, "size", INT64_C(5000000000));
    BSON_APPEND_DOUBLE(&record, "mp3_size", 4321);
    BSON_APPEND_INT32(&record, "duration_ms", 83500);
    BSON_APPEND_DATE_TIME(&record, "created", CREATED);
    BSON_APPEND_DATE_TIME(&record, "updated", CREATED + 7);
    BSON_APPEND_INT32(&record, "version", 1);
    BSON_APPEND_UTF8(&record, "of a later release", "x");
    v2m_job_append_options(&record, &options);

    assert_int_equal(v2m_job_from_bson(&job, &record, &error), V2M_OK);
    bson_destroy(&record);

    assert_string_equal(job.id, ID);
    assert_string_equal(job.mp3_fid, MP3);
    assert_string_equal(job.username, "a@b.c");
    assert_string_equal(job.name, "a.mp4");
    assert_string_equal(job.reason, "why");
    assert_int_equal(job.state, V2M_JOB_READY);
    assert_int_equal(job.notified, V2M_NOTIFIED_SENT);
    assert_int_equal(job.published, 1);
    assert_int_equal(job.progress, 100);
    assert_int_equal(job.remaining_s, 12);
    assert_string_equal(job.phase, "a word that is ");
    assert_int_equal(job.size, INT64_C(5000000000));
    assert_int_equal(job.mp3_size, 4321);
    assert_int_equal(job.duration_ms, 83500);
    assert_int_equal(job.created_ms, CREATED);
    assert_int_equal(job.updated_ms, CREATED + 7);
    assert_options(&job.options, &options);

    v2m_job_free(&job);
    assert_null(job.username);
    assert_string_equal(job.id, "");
    assert_int_equal(job.progress, -1);
}


static void
test_bson_little(void **state)
{
    bson_t        record;
    v2m_job_t     job;
    v2m_error_t   error;
    v2m_options_t none;

    (void) state;

    v2m_options_init(&none);
    bson_init(&record);
    append_id(&record, "_id", ID);
    BSON_APPEND_UTF8(&record, "username", "a@b.c");

    assert_int_equal(v2m_job_from_bson(&job, &record, &error), V2M_OK);
    assert_int_equal(job.state, V2M_JOB_UPLOADING);
    assert_int_equal(job.notified, V2M_NOTIFIED_NONE);
    assert_int_equal(job.progress, -1);
    assert_int_equal(job.published, 0);
    assert_null(job.name);
    assert_null(job.reason);
    assert_options(&job.options, &none);
    v2m_job_free(&job);

    /* values of other types are as none */

    BSON_APPEND_INT32(&record, "name", 1);
    BSON_APPEND_NULL(&record, "reason");
    BSON_APPEND_UTF8(&record, "mp3_fid", MP3);
    BSON_APPEND_INT32(&record, "state", 3);
    BSON_APPEND_BOOL(&record, "notified", true);
    BSON_APPEND_UTF8(&record, "created", "2023-11-14");
    BSON_APPEND_UTF8(&record, "options", "bitrate=128");

    assert_int_equal(v2m_job_from_bson(&job, &record, &error), V2M_OK);
    assert_int_equal(job.state, V2M_JOB_UPLOADING);
    assert_int_equal(job.notified, V2M_NOTIFIED_NONE);
    assert_null(job.name);
    assert_null(job.reason);
    assert_string_equal(job.mp3_fid, "");
    assert_int_equal(job.created_ms, 0);
    assert_options(&job.options, &none);
    v2m_job_free(&job);
    bson_destroy(&record);
}


static void
test_bson_corrupt(void **state)
{
    bson_t      record;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;

    bson_init(&record);
    assert_int_equal(v2m_job_from_bson(&job, &record, &error), V2M_CORRUPT);
    v2m_job_free(&job);

    BSON_APPEND_UTF8(&record, "name", "a.mp4");
    BSON_APPEND_UTF8(&record, "_id", ID);
    BSON_APPEND_UTF8(&record, "username", "a@b.c");
    assert_int_equal(v2m_job_from_bson(&job, &record, &error), V2M_CORRUPT);
    assert_int_equal(error.code, V2M_CORRUPT);
    v2m_job_free(&job);
    bson_destroy(&record);

    bson_init(&record);
    append_id(&record, "_id", ID);
    BSON_APPEND_UTF8(&record, "name", "a.mp4");
    assert_int_equal(v2m_job_from_bson(&job, &record, &error), V2M_CORRUPT);
    v2m_job_free(&job);
    bson_destroy(&record);
}


/* Numbers of options that no 32 bits hold must not become others that do. */
static void
test_bson_options(void **state)
{
    bson_t      record, options;
    v2m_job_t   job;
    v2m_error_t error;

    (void) state;

    bson_init(&record);
    append_id(&record, "_id", ID);
    BSON_APPEND_UTF8(&record, "username", "a@b.c");
    BSON_APPEND_DOCUMENT_BEGIN(&record, "options", &options);
    BSON_APPEND_INT64(&options, "bitrate", (INT64_C(1) << 32) + 128);
    BSON_APPEND_INT64(&options, "track", (INT64_C(1) << 32) - 1);
    BSON_APPEND_INT64(&options, "channels", INT64_MIN + 2);
    BSON_APPEND_UTF8(&options, "quality", "x");
    BSON_APPEND_INT32(&options, "of a later release", 1);
    bson_append_document_end(&record, &options);

    assert_int_equal(v2m_job_from_bson(&job, &record, &error), V2M_OK);
    assert_int_not_equal(job.options.bitrate, 128);
    assert_int_not_equal(job.options.track, -1);
    assert_int_not_equal(job.options.channels, 2);
    assert_int_equal(job.options.quality, -1);
    assert_int_equal(v2m_options_check(&job.options, &error), V2M_INVALID);

    v2m_job_free(&job);
    bson_destroy(&record);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_states),
        cmocka_unit_test(test_json_texts),
        cmocka_unit_test(test_json_times),
        cmocka_unit_test(test_json_options),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bson),
        cmocka_unit_test(test_bson_little),
        cmocka_unit_test(test_bson_corrupt),
        cmocka_unit_test(test_bson_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
