/* Digests in pieces, against the examples of FIPS 180. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "v2m_digest.h"


static void
assert_digest(const char *name, const char *first, const char *second,
              const char *expected)
{
    char          text[2 * V2M_DIGEST_MAX + 1];
    size_t        size;
    v2m_error_t   error;
    unsigned char value[V2M_DIGEST_MAX];
    v2m_digest_t *digest;

    assert_int_equal(
        v2m_digest_create(&digest, name, strlen(name), &size, &error), V2M_OK);
    v2m_digest_update(digest, first, strlen(first));
    v2m_digest_update(digest, second, strlen(second));
    v2m_digest_final(digest, value);
    v2m_digest_free(digest);

    for (size_t i = 0; i < size; i++) {
        snprintf(text + 2 * i, 3, "%02x", value[i]);
    }

    assert_string_equal(text, expected);
}


static void
test_digests(void **state)
{
    (void) state;

    assert_digest("sha1", "a", "bc",
                  "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_digest("sha256", "ab", "c",
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f200"
                  "15ad");
    assert_digest("sha512", "", "abc",
                  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55"
                  "d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94f"
                  "a54ca49f");
}


static void
test_names(void **state)
{
    size_t        i, size;
    v2m_error_t   error;
    v2m_digest_t *digest;

    static const char *const unknown[] = { "", "md5", "SHA1", "sha", "sha1 " };

    (void) state;

    for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        assert_int_equal(v2m_digest_create(&digest, unknown[i],
                                           strlen(unknown[i]), &size, &error),
                         V2M_NOT_FOUND);
        assert_non_null(strstr(error.text, V2M_DIGEST_NAMES));
    }

    v2m_digest_free(NULL);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
