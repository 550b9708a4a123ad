/* The conversion options: the border of each, every way to write a time, and
 * which go together. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_options.h"

#define HOURS_100 INT64_C(360000000) /* in milliseconds */

typedef struct {
    const char *text;
    int64_t     value; /* -1: refused */
} test_value_t;


/* From exactly sized memory, as the query of a request has no final zero. */
static int
set_bytes(v2m_options_t *options, const char *name, const char *value,
          size_t length, v2m_error_t *error)
{
    int   rc;
    char *name_copy, *value_copy;

    name_copy = malloc(strlen(name) + (*name == '\0'));
    value_copy = malloc(length + (length == 0));
    assert_non_null(name_copy);
    assert_non_null(value_copy);
    memcpy(name_copy, name, strlen(name));
    memcpy(value_copy, value, length);

    rc = v2m_options_set(options, name_copy, strlen(name), value_copy, length,
                         error);

    free(value_copy);
    free(name_copy);

    return rc;
}


static int64_t
field(const v2m_options_t *options, const char *name)
{
    return strcmp(name, "bitrate") == 0      ? options->bitrate
           : strcmp(name, "quality") == 0    ? options->quality
           : strcmp(name, "track") == 0      ? options->track
           : strcmp(name, "start") == 0      ? options->start_ms
           : strcmp(name, "end") == 0        ? options->end_ms
           : strcmp(name, "samplerate") == 0 ? options->samplerate
           : strcmp(name, "channels") == 0   ? options->channels
           : strcmp(name, "loudnorm") == 0   ? options->loudness
                                             : -2;
}


/* Sets one option and sees that it alone has changed, or nothing. */
static void
assert_set(const char *name, const char *text, int64_t expected)
{
    int           rc;
    size_t        i;
    v2m_error_t   error;
    v2m_options_t options;

    static const char *const names[] = { "bitrate",  "quality", "track",
                                         "start",    "end",     "samplerate",
                                         "channels", "loudnorm" };

    v2m_options_init(&options);
    error.code = V2M_OK;

    rc = set_bytes(&options, name, text, strlen(text), &error);

    if (rc != (expected >= 0 ? V2M_OK : V2M_INVALID)) {
        fail_msg("%s=%s gives %d", name, text, rc);
    }

    if (rc != V2M_OK) {
        assert_int_equal(error.code, V2M_INVALID);
        assert_non_null(strstr(error.text, name));
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (field(&options, names[i])
            != (strcmp(name, names[i]) == 0 ? expected : -1)) {
            fail_msg("%s=%s makes %s %ld", name, text, names[i],
                     (long) field(&options, names[i]));
        }
    }
}


static void
assert_all(const char *name, const test_value_t *values, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        assert_set(name, values[i].text, values[i].value);
    }
}

#define ASSERT_ALL(name, values)                                               \
    assert_all(name, values, sizeof(values) / sizeof(values[0]))


/* What is no number for any option. */
static void
assert_refuses_nonsense(const char *name)
{
    static const test_value_t nonsense[] = {
        { "", -1 },
        { " ", -1 },
        { "x", -1 },
        { "-", -1 },
        { "-1", -1 },
        { "+1", -1 },
        { " 1", -1 },
        { "1 ", -1 },
        { "1\n", -1 },
        { "1,5", -1 },
        { "1x", -1 },
        { "0x10", -1 },
        { "1e3", -1 },
        { "NaN", -1 },
        { "\xD9\xA1", -1 }, /* a digit, but no ASCII one */
        { "1000000000", -1 },
        { "2147483648", -1 },
        { "4294967424", -1 },           /* 128 in 32 bits */
        { "18446744073709551744", -1 }, /* 128 in 64 bits */
        { "99999999999999999999999999999999999999999999999999", -1 },
    };

    ASSERT_ALL(name, nonsense);
}


static void
test_bitrate(void **state)
{
    char    text[16];
    int     i, accepted;
    int64_t listed;

    v2m_options_t options;

    (void) state;

    /* each number is either in MPEG-1's table or refused */

    for (i = 0, accepted = 0; i <= 400; i++) {
        listed = i == 32 || i == 40 || i == 48 || i == 56 || i == 64 || i == 80
                 || i == 96 || i == 112 || i == 128 || i == 160 || i == 192
                 || i == 224 || i == 256 || i == 320;

        v2m_options_init(&options);
        snprintf(text, sizeof(text), "%d", i);
        assert_int_equal(
            set_bytes(&options, "bitrate", text, strlen(text), NULL),
            listed ? V2M_OK : V2M_INVALID);
        assert_int_equal(options.bitrate, listed ? i : -1);
        accepted += (int) listed;
    }

    assert_int_equal(accepted, 14);
    assert_set("bitrate", "128k", -1);
    assert_set("bitrate", "128.0", -1);
    assert_refuses_nonsense("bitrate");
}


static void
test_quality(void **state)
{
    static const test_value_t values[] = {
        { "0", 0 },   { "1", 1 },    { "9", 9 },
        { "10", -1 }, { "1.5", -1 }, { "99", -1 },
    };

    (void) state;

    ASSERT_ALL("quality", values);
    assert_refuses_nonsense("quality");
}


static void
test_track(void **state)
{
    static const test_value_t values[] = {
        { "1", 1 },
        { "100", 100 },
        { "0", -1 },
        { "101", -1 },
    };

    (void) state;

    ASSERT_ALL("track", values);
    assert_refuses_nonsense("track");
}


static void
test_samplerate(void **state)
{
    static const test_value_t values[] = {
        { "8000", 8000 },   { "11025", 11025 }, { "12000", 12000 },
        { "16000", 16000 }, { "22050", 22050 }, { "24000", 24000 },
        { "32000", 32000 }, { "44100", 44100 }, { "48000", 48000 },
        { "0", -1 },        { "7999", -1 },     { "8001", -1 },
        { "44101", -1 },    { "96000", -1 },    { "44.1", -1 },
    };

    (void) state;

    ASSERT_ALL("samplerate", values);
    assert_refuses_nonsense("samplerate");
}


static void
test_channels(void **state)
{
    static const test_value_t values[] = {
        { "1", 1 },  { "2", 2 },  { "0", -1 },
        { "3", -1 }, { "6", -1 }, { "mono", -1 },
    };

    (void) state;

    ASSERT_ALL("channels", values);
}


static void
test_loudnorm(void **state)
{
    static const test_value_t values[] = {
        { "on", 160 },    { "-16", 160 },   { "-16.5", 165 },
        { "-8", 80 },     { "-8.0", 80 },   { "-31", 310 },
        { "-31.0", 310 }, { "-7.9", -1 },   { "-31.1", -1 },
        { "16", -1 },     { "+16", -1 },    { "-", -1 },
        { "-16.", -1 },   { "-16.55", -1 }, { "-16,5", -1 },
        { "--16", -1 },   { "-16 ", -1 },   { "off", -1 },
        { "On", -1 },     { "1", -1 },      { "-.5", -1 },
        { "-1e1", -1 },   { "-0x10", -1 },  { "-9999999999", -1 },
    };

    (void) state;

    ASSERT_ALL("loudnorm", values);
}


static void
test_times(void **state)
{
    static const test_value_t values[] = {
        { "0", 0 },
        { "0.0", 0 },
        { "0.001", 1 },
        { "0.01", 10 },
        { "0.1", 100 },
        { "1", 1000 },
        { "83.5", 83500 },
        { "83.500", 83500 },
        { "0083.5", 83500 },
        { "90", 90000 },
        { "3600", 3600000 },
        { "1:23", 83000 },
        { "01:23.456", 83456 },
        { "0:00", 0 },
        { "0:59", 59000 },
        { "90:00", 5400000 }, /* minutes that lead may be many */
        { "1:02:03", 3723000 },
        { "1:02:03.5", 3723500 },
        { "0:00:00.001", 1 },
        { "23:59:59.999", 86399999 },
        { "100:00:00", HOURS_100 },
        { "6000:00", HOURS_100 },
        { "360000", HOURS_100 },
        { "360000.000", HOURS_100 },

        { "100:00:00.001", -1 },
        { "360000.001", -1 },
        { "360001", -1 },
        { "999999999:59:59.999", -1 },
        { "1:2", -1 },
        { "1:60", -1 },
        { "1:002", -1 },
        { "1:2:03", -1 },
        { "1:02:3", -1 },
        { "1:60:00", -1 },
        { "1:02:60", -1 },
        { "1:02:03:04", -1 },
        { "1:", -1 },
        { ":1", -1 },
        { ":01", -1 },
        { "1::02", -1 },
        { "1:02:", -1 },
        { "1:02:03:", -1 },
        { ".5", -1 },
        { "5.", -1 },
        { ".", -1 },
        { "1:02.", -1 },
        { "1.2.3", -1 },
        { "1.5:00", -1 },
        { "1.0005", -1 },
        { "1.-5", -1 },
        { "1:-2", -1 },
        { "1s", -1 },
        { "1.5s", -1 },
        { "1:02:03,5", -1 },
    };

    (void) state;

    ASSERT_ALL("start", values);
    ASSERT_ALL("end", values);
    assert_refuses_nonsense("start");
    assert_refuses_nonsense("end");
}


static void
test_names(void **state)
{
    size_t        i;
    v2m_error_t   error;
    v2m_options_t options;

    static const char *const names[] = { "",          "bitrat",   "bitrates",
                                         "Bitrate",   "start_ms", " start",
                                         "channels ", "fid",      "name" };

    (void) state;

    v2m_options_init(&options);

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(set_bytes(&options, names[i], "1", 1, &error),
                         V2M_NOT_FOUND);
        assert_int_equal(error.code, V2M_NOT_FOUND);
    }

    /* the last one wins */

    assert_int_equal(set_bytes(&options, "track", "1", 1, &error), V2M_OK);
    assert_int_equal(set_bytes(&options, "track", "2", 1, &error), V2M_OK);
    assert_int_equal(options.track, 2);
    assert_int_equal(set_bytes(&options, "track", "x", 1, &error), V2M_INVALID);
    assert_int_equal(options.track, 2);
}


/* The text is for a person, of any length and any bytes of the value. */
static void
test_error_text(void **state)
{
    size_t        i, length;
    char          value[4096];
    v2m_error_t   error;
    v2m_options_t options;

    (void) state;

    v2m_options_init(&options);

    assert_int_equal(set_bytes(&options, "channels", "3", 1, &error),
                     V2M_INVALID);
    assert_string_equal(error.text,
                        "option \"channels\" must be one of 1, 2; not \"3\"");

    assert_int_equal(set_bytes(&options, "quality",
                               "a\"\r\n\0\xFF"
                               "b",
                               7, &error),
                     V2M_INVALID);
    assert_string_equal(error.text, "option \"quality\" must be a whole number "
                                    "from 0 to 9; not \"a?????b\"");

    for (length = 20; length <= sizeof(value); length += length < 30 ? 1 : 999)
    {
        memset(value, 'x', length);
        assert_int_equal(
            set_bytes(&options, "samplerate", value, length, &error),
            V2M_INVALID);
        assert_non_null(
            strstr(error.text, ", 48000; not \"xxxxxxxxxxxxxxxxxxxx"));
        assert_string_equal(error.text + strlen(error.text) - 4,
                            length > 24 ? "...\"" : "xxx\"");

        assert_int_equal(set_bytes(&options, "start", value, length, &error),
                         V2M_INVALID);
        assert_non_null(strstr(error.text, "up to 100 hours; not \"xxx"));
    }

    memset(value, '\n', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    assert_int_equal(set_bytes(&options, value, "1", 1, &error), V2M_NOT_FOUND);

    for (i = 0; error.text[i] != '\0'; i++) {
        assert_true(error.text[i] >= 0x20 && error.text[i] < 0x7F);
    }
}


/* "name=value&..." as an upload has it. */
static void
assert_check(const char *query, int expected)
{
    char          copy[256], *name, *value, *rest;
    v2m_error_t   error;
    v2m_options_t options;

    v2m_options_init(&options);
    strcpy(copy, query);

    for (name = strtok_r(copy, "&", &rest); name != NULL;
         name = strtok_r(NULL, "&", &rest))
    {
        value = strchr(name, '=');
        *value++ = '\0';
        assert_int_equal(set_bytes(&options, name, value, strlen(value), NULL),
                         V2M_OK);
    }

    if (v2m_options_check(&options, &error) != expected) {
        fail_msg("%s does not give %d", query, expected);
    }

    if (expected != V2M_OK) {
        assert_int_equal(error.code, expected);
    }
}


static void
test_check(void **state)
{
    (void) state;

    assert_check("", V2M_OK);
    assert_check("bitrate=320&track=2&start=1&end=2&channels=1", V2M_OK);
    assert_check("quality=0&samplerate=8000", V2M_OK);
    assert_check("bitrate=32&quality=0", V2M_INVALID);

    assert_check("end=0.001", V2M_OK);
    assert_check("end=0", V2M_INVALID);
    assert_check("start=0", V2M_OK);
    assert_check("start=0&end=0", V2M_INVALID);
    assert_check("start=5&end=5", V2M_INVALID);
    assert_check("start=5&end=4.999", V2M_INVALID);
    assert_check("start=5&end=5.001", V2M_OK);
    assert_check("start=100:00:00", V2M_OK);

    /* MPEG-1, MPEG-2 and MPEG-2.5 */
    assert_check("samplerate=32000&bitrate=320", V2M_OK);
    assert_check("samplerate=24000&bitrate=160", V2M_OK);
    assert_check("samplerate=24000&bitrate=192", V2M_INVALID);
    assert_check("samplerate=16000&bitrate=160", V2M_OK);
    assert_check("samplerate=16000&bitrate=192", V2M_INVALID);
    assert_check("samplerate=12000&bitrate=64", V2M_OK);
    assert_check("samplerate=12000&bitrate=80", V2M_INVALID);
    assert_check("samplerate=8000&bitrate=64", V2M_OK);
    assert_check("samplerate=8000&bitrate=80", V2M_INVALID);
    assert_check("samplerate=8000&bitrate=32", V2M_OK);
    assert_check("samplerate=8000&quality=9", V2M_OK);
}


/* Values that were not set from text: of a record that others wrote. */
static void
test_impossible_values(void **state)
{
    size_t        i;
    v2m_error_t   error;
    v2m_options_t options;

    static const int64_t values[][8] = {
        { 0, -1, -1, -1, -1, -1, -1, -1 },
        { 129, -1, -1, -1, -1, -1, -1, -1 },
        { -2, -1, -1, -1, -1, -1, -1, -1 },
        { -1, 10, -1, -1, -1, -1, -1, -1 },
        { -1, -2, -1, -1, -1, -1, -1, -1 },
        { -1, -1, 0, -1, -1, -1, -1, -1 },
        { -1, -1, 101, -1, -1, -1, -1, -1 },
        { -1, -1, -1, -2, -1, -1, -1, -1 },
        { -1, -1, -1, HOURS_100 + 1, -1, -1, -1, -1 },
        { -1, -1, -1, -1, INT64_MAX, -1, -1, -1 },
        { -1, -1, -1, -1, INT64_MIN, -1, -1, -1 },
        { -1, -1, -1, -1, -1, 0, -1, -1 },
        { -1, -1, -1, -1, -1, INT32_MAX, -1, -1 },
        { -1, -1, -1, -1, -1, -1, 0, -1 },
        { -1, -1, -1, -1, -1, -1, 3, -1 },
        { -1, -1, -1, -1, -1, -1, -1, 0 },
        { -1, -1, -1, -1, -1, -1, -1, 79 },
        { -1, -1, -1, -1, -1, -1, -1, 311 },
    };

    (void) state;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        v2m_options_init(&options);
        options.bitrate = (int32_t) values[i][0];
        options.quality = (int32_t) values[i][1];
        options.track = (int32_t) values[i][2];
        options.start_ms = values[i][3];
        options.end_ms = values[i][4];
        options.samplerate = (int32_t) values[i][5];
        options.channels = (int32_t) values[i][6];
        options.loudness = (int32_t) values[i][7];

        assert_int_equal(v2m_options_check(&options, &error), V2M_INVALID);
    }

    v2m_options_init(&options);
    assert_int_equal(v2m_options_check(&options, &error), V2M_OK);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bitrate),
        cmocka_unit_test(test_quality),
        cmocka_unit_test(test_track),
        cmocka_unit_test(test_samplerate),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_loudnorm),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_error_text),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_impossible_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
