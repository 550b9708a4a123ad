/* The messages of the queues: what of other producers is taken, what is
 * refused, and what we write ourselves. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_message.h"

#define ID    "65f000000000000000000abc"
#define TRACE "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define MP3   "65f000000000000000000def"
#define MINE  "\"video_fid\":\"" ID "\",\"mp3_fid\":null,\"username\":\"a@b.c\""


static int
parse(v2m_message_t *message, const char *text, size_t length)
{
    int         rc;
    char       *copy;
    v2m_error_t error;

    copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    error.code = V2M_OK;

    rc = v2m_message_parse(message, copy, length, &error);

    free(copy);
    assert_int_equal(error.code, rc);

    return rc;
}


static void
assert_refused_bytes(const char *text, size_t length)
{
    v2m_message_t message;

    if (parse(&message, text, length) != V2M_INVALID) {
        fail_msg("taken: %s", text);
    }

    v2m_message_free(&message);
}


static void
assert_refused(const char *text)
{
    assert_refused_bytes(text, strlen(text));
}


/* Texts that are NULL are expected to be NULL. */
static void
assert_taken(const char *text, const char *mp3_fid, const char *name,
             const char *error)
{
    v2m_message_t message;

    if (parse(&message, text, strlen(text)) != V2M_OK) {
        fail_msg("refused: %s", text);
    }

    assert_string_equal(message.video_fid, ID);
    assert_string_equal(message.mp3_fid, mp3_fid);
    assert_string_equal(message.username, "a@b.c");

    if (name != NULL) {
        assert_non_null(message.name);
        assert_string_equal(message.name, name);
    } else {
        assert_null(message.name);
    }

    if (error != NULL) {
        assert_non_null(message.error);
        assert_string_equal(message.error, error);
    } else {
        assert_null(message.error);
    }

    v2m_message_free(&message);
    assert_null(message.username);
    assert_string_equal(message.video_fid, "");
}


static void
test_other_producers(void **state)
{
    (void) state;

    /* as Python's json.dumps() writes it */
    assert_taken("{\"video_fid\": \"" ID "\", \"mp3_fid\": null, "
                 "\"username\": \"a@b.c\"}",
                 "", NULL, NULL);
    assert_taken("{\"video_fid\": \"" ID "\", \"mp3_fid\": \"" MP3 "\", "
                 "\"username\": \"a@b.c\"}",
                 MP3, NULL, NULL);

    assert_taken(" \r\n\t{\"username\":\"a@b.c\",\"video_fid\":"
                 "\"65F000000000000000000ABC\"}\n",
                 "", NULL, NULL);
    assert_taken("{\"video_fid\":\"" ID "\",\"mp3_fid\":\"\","
                 "\"username\":\"\\u0061@b.c\"}",
                 "", NULL, NULL);
}


static void
test_our_fields(void **state)
{
    (void) state;

    assert_taken("{" MINE ",\"name\":\"a.mp4\",\"version\":1}", "", "a.mp4",
                 NULL);
    assert_taken("{" MINE ",\"error\":\"no audio\",\"version\":1}", "", NULL,
                 "no audio");
    assert_taken("{" MINE ",\"name\":\"../x/\\u00e4\\r\\nBcc: y.mp4\"}", "",
                 "\xC3\xA4"
                 "Bcc: y.mp4",
                 NULL);
    assert_taken("{" MINE ",\"name\":null,\"error\":null,\"version\":null}", "",
                 NULL, NULL);
    assert_taken("{" MINE ",\"name\":\"\",\"error\":\"\"}", "", NULL, NULL);
    assert_taken("{" MINE ",\"name\":\"\\n\"}", "", NULL, NULL);

    /* ours, but of another type or version: not ours */
    assert_taken("{" MINE ",\"name\":1,\"error\":[\"x\"],\"version\":\"2\"}",
                 "", NULL, NULL);
    assert_taken("{" MINE ",\"name\":{},\"error\":true,\"version\":999}", "",
                 NULL, NULL);
}


/* A message is ours by its version, of whatever it may be. */
static void
assert_ours(const char *text, int ours)
{
    v2m_message_t message;

    assert_int_equal(parse(&message, text, strlen(text)), V2M_OK);
    assert_int_equal(message.ours, ours);
    v2m_message_free(&message);
}


static void
test_ours(void **state)
{
    (void) state;

    assert_ours("{" MINE "}", 0);
    assert_ours("{" MINE ",\"name\":\"a.mp4\"}", 0);
    assert_ours("{" MINE ",\"version\":1}", 1);
    assert_ours("{" MINE ",\"version\":2}", 1);
    assert_ours("{" MINE ",\"version\":null}", 0);
    assert_ours("{" MINE ",\"version\":\"1\"}", 0);
}


static void
test_unknown_fields(void **state)
{
    (void) state;

    assert_taken("{" MINE ",\"x\":1,\"y\":[{\"z\":{}}],\"\":\"\"}", "", NULL,
                 NULL);
    assert_taken("{" MINE ",\"Video_fid\":1,\"video_fid \":1}", "", NULL, NULL);
    assert_taken("{\"x\":99999999999999999999999,\"y\":-1.5e300," MINE "}", "",
                 NULL, NULL);
}


static void
test_no_json(void **state)
{
    (void) state;

    assert_refused("");
    assert_refused(" ");
    assert_refused("x");
    assert_refused(ID);
    assert_refused("\"" ID "\"");
    assert_refused("null");
    assert_refused("1");
    assert_refused("[]");
    assert_refused("[{" MINE "}]");
    assert_refused("{");
    assert_refused("{}");
    assert_refused("{" MINE);
    assert_refused("{" MINE ",}");
    assert_refused("{" MINE "}}");
    assert_refused("{" MINE "} {" MINE "}");
    assert_refused("{" MINE ",\"x\":NaN}");
    assert_refused("{" MINE ",\"x\":'y'}");
    assert_refused("{" MINE ",\"x\":1e999}");
    assert_refused("\xEF\xBB\xBF{" MINE "}");
    assert_refused("{'video_fid': '" ID "', 'username': 'a@b.c'}");
}


static void
test_fields_that_count(void **state)
{
    static const char *const ids[] = {
        "null",
        "1",
        "true",
        "[]",
        "{}",
        "\"\"",
        "\"65f00000000000000000abc\"",
        "\"65f0000000000000000000abc\"",
        "\"65f00000000000000000 abc\"",
        "\"g5f000000000000000000abc\"",
        "[\"" ID "\"]",
        "{\"$oid\":\"" ID "\"}",
        "{\"$ne\":null}",
        "\"ObjectId('" ID "')\"",
    };
    static const char *const usernames[] = {
        "null",
        "1",
        "[]",
        "{}",
        "\"\"",
        "\"a@b.c\\n\"",
        "\"a@b.c\\r\\nBcc: d\"",
        "\"a\\u007f@b.c\"",
        "\"a\\tb\"",
    };

    char   text[1024];
    size_t i;

    (void) state;

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        snprintf(text, sizeof(text),
                 "{\"video_fid\":%s,\"username\":\"a@b.c\"}", ids[i]);
        assert_refused(text);

        /* null and empty mean that there is none yet */

        if (strcmp(ids[i], "null") != 0 && strcmp(ids[i], "\"\"") != 0) {
            snprintf(text, sizeof(text),
                     "{\"video_fid\":\"" ID "\",\"mp3_fid\":%s,"
                     "\"username\":\"a@b.c\"}",
                     ids[i]);
            assert_refused(text);
        }
    }

    for (i = 0; i < sizeof(usernames) / sizeof(usernames[0]); i++) {
        snprintf(text, sizeof(text),
                 "{\"video_fid\":\"" ID "\",\"username\":%s}", usernames[i]);
        assert_refused(text);
    }

    assert_refused("{\"username\":\"a@b.c\"}");
    assert_refused("{\"video_fid\":\"" ID "\"}");

    /* which of two would count? */

    assert_refused("{" MINE ",\"username\":\"d@e.f\"}");
    assert_refused("{" MINE ",\"video_fid\":\"" ID "\"}");
}


static void
test_username_length(void **state)
{
    int           length;
    char          name[300], text[512];
    v2m_message_t message;

    (void) state;

    memset(name, 'n', sizeof(name));

    for (length = 250; length < 260; length++) {
        snprintf(text, sizeof(text),
                 "{\"video_fid\":\"" ID "\",\"username\":\"%.*s\"}", length,
                 name);
        assert_int_equal(parse(&message, text, strlen(text)),
                         length <= 255 ? V2M_OK : V2M_INVALID);
        v2m_message_free(&message);
    }
}


static void
test_bytes(void **state)
{
    (void) state;

    assert_refused_bytes("\0", 1);
    assert_refused_bytes("{" MINE "}\0", sizeof("{" MINE "}"));
    assert_refused_bytes("{" MINE ",\"x\":\"\0\"}",
                         sizeof("{" MINE ",\"x\":\"\0\"}") - 1);
    assert_refused("{" MINE ",\"x\":\"\\u0000\"}");
    assert_refused("{\"video_fid\":\"" ID "\",\"username\":\"a\\u0000b\"}");
    assert_refused("{" MINE ",\"x\":\"\xFF\"}");
    assert_refused("{" MINE ",\"x\":\"\xC0\xAF\"}");
    assert_refused("{" MINE ",\"x\":\"\xED\xA0\x80\"}");
    assert_refused("{" MINE ",\"x\":\"\\ud800\"}");
    assert_refused("{" MINE ",\"x\":\"\n\"}");
}


/* A message of that many brackets within each other. */
static char *
nested(char bracket, size_t depth)
{
    char  *text;
    size_t i, length;

    text = malloc(sizeof("{" MINE ",\"x\":}") + depth * 8);
    assert_non_null(text);
    strcpy(text, "{" MINE ",\"x\":");
    length = strlen(text);

    for (i = 0; i < depth; i++) {
        length += (size_t) sprintf(text + length, "%s",
                                   bracket == '[' ? "[" : "{\"a\":");
    }

    length += (size_t) sprintf(text + length, "1");

    for (i = 0; i < depth; i++) {
        text[length++] = bracket == '[' ? ']' : '}';
    }

    strcpy(text + length, "}");

    return text;
}


static void
test_depth(void **state)
{
    char *text;

    (void) state;

    text = nested('[', 500);
    assert_taken(text, "", NULL, NULL);
    free(text);

    text = nested('{', 500);
    assert_taken(text, "", NULL, NULL);
    free(text);

    text = nested('[', 1000000);
    assert_refused(text);
    text[strlen(text) / 2] = '\0';
    assert_refused(text);
    free(text);

    text = nested('{', 1000000);
    assert_refused(text);
    free(text);
}


static void
assert_format(v2m_message_t message, const char *expected)
{
    char *text;

    text = v2m_message_format(&message);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}


static void
test_format(void **state)
{
    (void) state;

    assert_format(
        (v2m_message_t){ .video_fid = ID, .username = (char *) "a@b.c" },
        "{\"video_fid\":\"" ID "\",\"mp3_fid\":null,"
        "\"username\":\"a@b.c\",\"version\":1}");
    assert_format((v2m_message_t){ .video_fid = ID,
                                   .mp3_fid = MP3,
                                   .username = (char *) "a@b.c",
                                   .name = (char *) "say \"\xC3\xA4\"\\.mp4",
                                   .error = (char *) "why\n" },
                  "{\"video_fid\":\"" ID "\",\"mp3_fid\":\"" MP3 "\","
                  "\"username\":\"a@b.c\","
                  "\"name\":\"say \\\"\xC3\xA4\\\"\\\\.mp4\","
                  "\"error\":\"why\\n\",\"version\":1}");
    assert_format(
        (v2m_message_t){ .video_fid = ID, .username = (char *) "a\xE4" },
        "{\"video_fid\":\"" ID "\",\"mp3_fid\":null,"
        "\"username\":\"a\xEF\xBF\xBD\",\"version\":1}");
}


static void
test_round_trip(void **state)
{
    char         *text;
    v2m_message_t message, read;

    (void) state;

    message = (v2m_message_t){ .video_fid = ID,
                               .mp3_fid = MP3,
                               .username = (char *) "\xC3\xA4\"\\@b.c",
                               .name = (char *) "n \xF0\x9F\x8E\xB5\".mp4",
                               .error = (char *) "line 1\nline 2",
                               .traceparent = TRACE };

    text = v2m_message_format(&message);
    assert_non_null(text);
    assert_int_equal(parse(&read, text, strlen(text)), V2M_OK);
    free(text);

    assert_string_equal(read.video_fid, message.video_fid);
    assert_string_equal(read.mp3_fid, message.mp3_fid);
    assert_string_equal(read.username, message.username);
    assert_string_equal(read.name, message.name);
    assert_string_equal(read.error, message.error);
    assert_string_equal(read.traceparent, TRACE);
    v2m_message_free(&read);
}


static void
test_traceparent(void **state)
{
    size_t        i;
    char          text[512];
    v2m_message_t message;

    /* as good as none */
    static const char *const malformed[] = {
        "\"\"",
        "7",
        "null",
        "\"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01\"",
        "\"00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01\"",
        "\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0\"",
        "\"" TRACE "0\"",
        "\"00-00000000000000000000000000000000-b7ad6b7169203331-01\"",
    };

    (void) state;

    for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        snprintf(text, sizeof(text),
                 "{\"video_fid\":\"" ID
                 "\",\"username\":\"a\",\"traceparent\":%s}",
                 malformed[i]);
        assert_int_equal(parse(&message, text, strlen(text)), V2M_OK);
        assert_string_equal(message.traceparent, "");
        v2m_message_free(&message);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_producers),
        cmocka_unit_test(test_our_fields),
        cmocka_unit_test(test_ours),
        cmocka_unit_test(test_unknown_fields),
        cmocka_unit_test(test_no_json),
        cmocka_unit_test(test_fields_that_count),
        cmocka_unit_test(test_username_length),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_traceparent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
