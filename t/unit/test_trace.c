/* W3C Trace Context: what is a traceparent, and new ones. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "v2m_trace.h"

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"
#define GOOD   "00-" TRACE "-" PARENT "-01"

#define TEST_MANY 1000


static void
test_good(void **state)
{
    size_t            i;
    v2m_traceparent_t trace;

    /* those of later versions as far as this one goes */
    static const char *const good[] = {
        GOOD,
        "01-" TRACE "-" PARENT "-01",
        "cc-" TRACE "-" PARENT "-01-what-the-future-will-be-like",
        "cc-" TRACE "-" PARENT "-01-",
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(v2m_trace_parse(trace, good[i], strlen(good[i])));
        assert_string_equal(trace, GOOD);
    }

    assert_true(v2m_trace_parse(trace, "00-" TRACE "-" PARENT "-00", 55));
    assert_string_equal(trace, "00-" TRACE "-" PARENT "-00");
}


static void
test_bad(void **state)
{
    size_t            i;
    v2m_traceparent_t trace;

    static const char *const bad[] = {
        "",
        "00",
        GOOD "-",
        GOOD "0",
        "01-" TRACE "-" PARENT "-01.what",
        "ff-" TRACE "-" PARENT "-01",
        "0-0" TRACE "-" PARENT "-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00-" TRACE "-" PARENT "-0x",
        "00-" TRACE "." PARENT "-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        strcpy(trace, "before");
        assert_false(v2m_trace_parse(trace, bad[i], strlen(bad[i])));
        assert_string_equal(trace, "");
    }

    /* cut anywhere */

    for (i = 0; i < strlen(GOOD); i++) {
        assert_false(v2m_trace_parse(trace, GOOD, i));
    }

    assert_false(v2m_trace_parse(trace, NULL, 0));
}


static void
test_new(void **state)
{
    size_t                   i, n;
    v2m_traceparent_t        again;
    static v2m_traceparent_t made[TEST_MANY];

    (void) state;

    for (i = 0; i < TEST_MANY; i++) {
        v2m_trace_begin(made[i]);
        assert_int_equal(strlen(made[i]), V2M_TRACEPARENT_LENGTH);
        assert_true(v2m_trace_parse(again, made[i], strlen(made[i])));
        assert_string_equal(again, made[i]);

        for (n = 0; n < i; n++) {
            assert_string_not_equal(made[n], made[i]);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
