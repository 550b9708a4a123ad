/* The workers' log: one whole line per event, nothing forged, nothing below
 * its level. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "v2m_log.h"

static char line[8192];


/* Runs one v2m_log() with standard error in a pipe; the line is in line[]. */
#define CAPTURE(...)                                                           \
    do {                                                                       \
        int saved = begin_capture();                                           \
        v2m_log(__VA_ARGS__);                                                  \
        end_capture(saved);                                                    \
    } while (0)

static int ends[2];


static int
begin_capture(void)
{
    int saved;

    assert_int_equal(pipe(ends), 0);
    saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);

    return saved;
}


static void
end_capture(int saved)
{
    ssize_t length;

    dup2(saved, STDERR_FILENO);
    close(saved);

    length = read(ends[0], line, sizeof(line) - 1);
    close(ends[0]);

    line[length > 0 ? length : 0] = '\0';
}


static void
test_form(void **state)
{
    int         i;
    const char *form = "dddd-dd-ddTdd:dd:dd.dddZ ";

    (void) state;

    v2m_log_init("v2m-test");
    CAPTURE(V2M_LOG_INFO, "65f000000000000000000abc", "number %d", 7);

    for (i = 0; form[i] != '\0'; i++) {
        if (form[i] == 'd') {
            assert_true(isdigit((unsigned char) line[i]));
        } else {
            assert_int_equal(line[i], form[i]);
        }
    }

    assert_string_equal(line + i,
                        "info v2m-test 65f000000000000000000abc: number 7\n");

    CAPTURE(V2M_LOG_ERROR, NULL, "x");
    assert_string_equal(line + i, "error v2m-test: x\n");
}


static void
test_control_characters(void **state)
{
    (void) state;

    v2m_log_init("v2m-test");
    CAPTURE(V2M_LOG_WARNING, NULL, "%s",
            "a\nforged line\r\x1b[31m\x7f\xc2\x9b \xc3\xa4");

    assert_non_null(strstr(
        line, ": a\\x0aforged line\\x0d\\x1b[31m\\x7f\\xc2\\x9b \xc3\xa4\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}


static void
test_long(void **state)
{
    char text[6000];

    (void) state;

    memset(text, '\n', sizeof(text));
    text[sizeof(text) - 1] = '\0';

    v2m_log_init("v2m-test");
    CAPTURE(V2M_LOG_INFO, NULL, "%s", text);

    assert_in_range(strlen(line), 1000, 2048);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}


static void
test_level(void **state)
{
    (void) state;

    setenv("V2M_LOG_LEVEL", "warning", 1);
    v2m_log_init("v2m-test");
    CAPTURE(V2M_LOG_INFO, NULL, "hidden");
    assert_string_equal(line, "");
    CAPTURE(V2M_LOG_WARNING, NULL, "shown");
    assert_string_not_equal(line, "");

    unsetenv("V2M_LOG_LEVEL");
    v2m_log_init("v2m-test");
    CAPTURE(V2M_LOG_DEBUG, NULL, "hidden");
    assert_string_equal(line, "");
}


static void
test_context(void **state)
{
    (void) state;

    v2m_log_init("v2m-test");
    v2m_log_context("65f000000000000000000abc",
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    CAPTURE(V2M_LOG_INFO, NULL, "x");
    assert_non_null(strstr(line,
                           "v2m-test 65f000000000000000000abc "
                           "trace=0af7651916cd43dd8448eb211c80319c: x\n"));

    CAPTURE(V2M_LOG_INFO, "65f000000000000000000def", "x");
    assert_non_null(strstr(line, "v2m-test 65f000000000000000000def trace="));

    v2m_log_context(NULL, NULL);
    CAPTURE(V2M_LOG_INFO, NULL, "x");
    assert_non_null(strstr(line, "info v2m-test: x\n"));
}


static void
test_json(void **state)
{
    char    text[6000];
    json_t *object;

    (void) state;

    setenv("V2M_LOG_FORMAT", "json", 1);
    v2m_log_init("v2m-test");
    v2m_log_context(NULL,
                    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    CAPTURE(V2M_LOG_WARNING, "65f000000000000000000abc", "%s",
            "a \"b\" \\ \n\x1b \xc3\xa4");
    object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    assert_int_equal(json_object_size(object), 6);
    assert_string_equal(json_string_value(json_object_get(object, "level")),
                        "warning");
    assert_string_equal(json_string_value(json_object_get(object, "program")),
                        "v2m-test");
    assert_string_equal(json_string_value(json_object_get(object, "job")),
                        "65f000000000000000000abc");
    assert_string_equal(json_string_value(json_object_get(object, "trace")),
                        "0af7651916cd43dd8448eb211c80319c");
    assert_string_equal(json_string_value(json_object_get(object, "message")),
                        "a \"b\" \\ \n\x1b \xc3\xa4");
    json_decref(object);

    /* what is no UTF-8 would make it unreadable */

    CAPTURE(V2M_LOG_INFO, NULL, "a\xff\xc3z");
    object = json_loads(line, 0, NULL);
    assert_non_null(object);
    json_decref(object);

    /* one line, whole, however long the text */

    v2m_log_context(NULL, NULL);
    memset(text, '\n', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    CAPTURE(V2M_LOG_INFO, NULL, "%s", text);
    object = json_loads(line, 0, NULL);
    assert_non_null(object);
    assert_int_equal(json_object_size(object), 4);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    json_decref(object);

    setenv("V2M_LOG_FORMAT", "xml", 1);
    CAPTURE(V2M_LOG_INFO, NULL, "still json");
    v2m_log_init("v2m-test");
    CAPTURE(V2M_LOG_INFO, NULL, "text again");
    assert_non_null(strstr(line, "v2m-test: text again\n"));
    unsetenv("V2M_LOG_FORMAT");
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
