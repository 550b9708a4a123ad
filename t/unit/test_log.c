/* The workers' log: one whole line per event, nothing forged, nothing below
 * its level. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
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


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_level),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
