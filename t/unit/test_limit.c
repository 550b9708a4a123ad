/* Limits as people write them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "v2m_limit.h"
#include "v2m_users.h"


typedef struct {
    const char *text;
    int         units;
    int64_t     limit;
    const char *printed;
} test_limit_t;

static const test_limit_t good[] = {
    { "default", 0, V2M_QUOTA_DEFAULT, "default" },
    { "unlimited", 1, 0, "unlimited" },
    { "1", 0, 1, "1" },
    { "0005", 0, 5, "5" },
    { "10k", 1, 10240, "10240" },
    { "2M", 1, INT64_C(2) << 20, "2097152" },
    { "3g", 1, INT64_C(3) << 30, "3221225472" },
    { "1t", 1, INT64_C(1) << 40, "1099511627776" },
    { "8388607t", 1, INT64_C(8388607) << 40, "9223370937343148032" },
    { "9223372036854775807", 1, INT64_MAX, "9223372036854775807" },
};

static const char *const bad[] = {
    "",
    "0",
    "0k",
    "-1",
    "+1",
    " 1",
    "1 ",
    "1.5",
    "1e3",
    "1kb",
    "1x",
    "k",
    "0x10",
    "one",
    "Default",
    "1,0",
    "8388608t",
    "9223372036854775808",
    "99999999999999999999999999",
};


static void
test_good(void **state)
{
    char        text[V2M_LIMIT_TEXT];
    size_t      i;
    int64_t     limit;
    v2m_error_t error;

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(
            v2m_limit_parse(good[i].text, good[i].units, &limit, &error),
            V2M_OK);
        assert_int_equal(limit, good[i].limit);

        v2m_limit_print(text, limit);
        assert_string_equal(text, good[i].printed);
    }
}


static void
test_bad(void **state)
{
    size_t      i;
    int64_t     limit;
    v2m_error_t error;

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (v2m_limit_parse(bad[i], 1, &limit, &error) != V2M_INVALID) {
            fail_msg("taken: %s", bad[i]);
        }

        assert_non_null(strstr(error.text, "k, m, g or t"));
    }

    assert_int_equal(v2m_limit_parse("1k", 0, &limit, &error), V2M_INVALID);
    assert_null(strstr(error.text, "k, m, g or t"));
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
