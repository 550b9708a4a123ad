/* The hosts in an AMQP URL. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "v2m_amqp_hosts.h"
#include "v2m_error.h"


static void
expect_host(const char *url, size_t number, const char *expected)
{
    int   rc;
    char *found;

    found = NULL;
    rc = v2m_amqp_host_url(&found, url, number);

    if (expected == NULL) {
        assert_int_equal(rc, V2M_INVALID);
        assert_null(found);

    } else {
        assert_int_equal(rc, V2M_OK);
        assert_string_equal(found, expected);
    }

    free(found);
}


/* As it was, whatever is in it. */
static void
test_one_host(void **state)
{
    size_t i;

    static const char *const urls[] = {
        "",
        "nonsense",
        "amqp://",
        "amqp:///vhost",
        "amqp://localhost",
        "amqp://localhost/a,b",
        "amqps://user:pass@[::1]:5671/%2F",
        "amqp://us,er:pa,ss@host:5672/vhost",
        "amqp://user:pass@",
    };

    (void) state;

    for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        assert_int_equal(v2m_amqp_hosts(urls[i]), 1);
        expect_host(urls[i], 0, urls[i]);
        expect_host(urls[i], 1, NULL);
    }
}


static void
test_several_hosts(void **state)
{
    const char *url = "amqp://us,er:pa,ss@one:5672,[::1]:5673,three/v,h";

    (void) state;

    assert_int_equal(v2m_amqp_hosts(url), 3);
    expect_host(url, 0, "amqp://us,er:pa,ss@one:5672/v,h");
    expect_host(url, 1, "amqp://us,er:pa,ss@[::1]:5673/v,h");
    expect_host(url, 2, "amqp://us,er:pa,ss@three/v,h");
    expect_host(url, 3, NULL);

    assert_int_equal(v2m_amqp_hosts("amqps://one,two"), 2);
    expect_host("amqps://one,two", 0, "amqps://one");
    expect_host("amqps://one,two", 1, "amqps://two");
}


/* Nobody means localhost by it. */
static void
test_gaps(void **state)
{
    (void) state;

    assert_int_equal(v2m_amqp_hosts("amqp://one,/"), 2);
    expect_host("amqp://one,/", 0, "amqp://one/");
    expect_host("amqp://one,/", 1, NULL);
    expect_host("amqp://,two/", 0, NULL);
    expect_host("amqp://,two/", 1, "amqp://two/");
    expect_host("amqp://one,,three/", 1, NULL);
    expect_host("amqp://user:pass@,", 0, NULL);
    expect_host("amqp://user:pass@,", 1, NULL);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_host),
        cmocka_unit_test(test_several_hosts),
        cmocka_unit_test(test_gaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
