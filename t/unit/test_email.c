/* Which texts are e-mail addresses. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "v2m_email.h"


static int
check(const char *email)
{
    return v2m_email_check(email, NULL);
}


static void
test_addresses(void **state)
{
    size_t i;

    static const char *const good[] = {
        "a@b",
        "a@example.org",
        "first.last@example.org",
        "a+tag@example.org",
        "!#$%&'*+-/=?^_`{|}~@example.org",
        "o'brien@example.org",
        "1@2.3",
        "A@EXAMPLE.ORG",
        "a@xn--bcher-kva.example",
        "root@localhost",
        "first.last+tag@sub.example.org",
        "a@a-b.example",
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (check(good[i]) != V2M_OK) {
            fail_msg("refused: %s", good[i]);
        }
    }
}


static void
test_others(void **state)
{
    size_t      i;
    v2m_error_t error;

    static const char *const bad[] = {
        "",
        "a",
        "@",
        "a@",
        "@b",
        "a@@b",
        "a@b@c",
        "a b@example.org",
        " a@example.org",
        "a@example.org ",
        "a@example.org\n",
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org,b@example.org",
        ".a@example.org",
        "a.@example.org",
        "a..b@example.org",
        "a@.example.org",
        "a@example..org",
        "a@example.org.",
        "a@exa_mple.org",
        "\"a b\"@example.org",
        "a@[127.0.0.1]",
        "<a@example.org>",
        "A <a@example.org>",
        "a@example.org\x7f",
        "j\xc3\xbcrgen@example.org",
        ("a@b\xc3\xbc"
         "cher.example"),
        "\xff@example.org",
        "a;b@example.org",
        "a\\b@example.org",
        "' OR '1'='1",
        "a@b'--",
        "a@b';DROP TABLE user",
        "a@-example.org",
        "a@example-.org",
        "a@example.-org",
        "a@-",
        "a@example.org>",
        "a@example.org RCPT TO:<x@y>",
        ("a\x01"
         "b@example.org"),
    };

    (void) state;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (v2m_email_check(bad[i], &error) != V2M_INVALID) {
            fail_msg("accepted: %s", bad[i]);
        }

        assert_int_equal(error.code, V2M_INVALID);
        assert_string_equal(error.text, "this is not an e-mail address");
    }
}


static void
test_length(void **state)
{
    size_t i;
    char   email[V2M_EMAIL_MAX + 2];

    (void) state;

    memset(email, 'a', sizeof(email));
    email[64] = '@';

    for (i = 64 + 64; i < V2M_EMAIL_MAX; i += 64) {
        email[i] = '.';
    }

    email[V2M_EMAIL_MAX + 1] = '\0';
    assert_int_equal(check(email), V2M_INVALID);
    email[V2M_EMAIL_MAX] = '\0';
    assert_int_equal(check(email), V2M_OK);

    /* one more in a label, then one more before the "@" */

    email[64 + 64] = 'a';
    assert_int_equal(check(email), V2M_INVALID);
    strcpy(email + 64 + 64, ".b");
    assert_int_equal(check(email), V2M_OK);

    memcpy(email + 64, "a@b", 4);
    assert_int_equal(check(email), V2M_INVALID);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
