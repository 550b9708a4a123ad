/* File names of clients, made harmless. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "v2m_filename.h"

#define BAD "\xEF\xBF\xBD"


static void
assert_clean(const char *path, size_t length, const char *expected)
{
    char *copy, name[V2M_FILENAME_MAX + 1];

    copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, path, length);
    memset(name, 'x', sizeof(name));

    v2m_filename_clean(name, copy, length);

    free(copy);
    assert_string_equal(name, expected);
}

#define ASSERT_CLEAN(path, expected)                                           \
    assert_clean(path, sizeof(path) - 1, expected)


static void
test_directories(void **state)
{
    (void) state;

    ASSERT_CLEAN("", "");
    ASSERT_CLEAN("a.mp4", "a.mp4");
    ASSERT_CLEAN("/a.mp4", "a.mp4");
    ASSERT_CLEAN("../../etc/a.mp4", "a.mp4");
    ASSERT_CLEAN("C:\\x\\a.mp4", "a.mp4");
    ASSERT_CLEAN("C:\\x/y\\a.mp4", "a.mp4");
    ASSERT_CLEAN("a/b\\", "");
    ASSERT_CLEAN("/", "");
    ASSERT_CLEAN("\\\\server\\share\\a.mp4", "a.mp4");
    ASSERT_CLEAN("a:b.mp4", "a:b.mp4");
}


static void
test_characters(void **state)
{
    (void) state;

    ASSERT_CLEAN("a b\"c'.mp4", "a b\"c'.mp4");
    ASSERT_CLEAN("a\r\nBcc: x\0\t\x1B[1m\x7F.mp4", "aBcc: x[1m.mp4");
    ASSERT_CLEAN("\xC2\x80\xC2\x85\xC2\x9F\xC2\xA0|", "\xC2\xA0|");
    ASSERT_CLEAN("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\xB5",
                 "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\xB5");
    ASSERT_CLEAN("\xE4.mp4", BAD ".mp4");
    ASSERT_CLEAN("a\xE2\x82", "a" BAD BAD);

    /* a slash in more bytes than it has is no slash */

    ASSERT_CLEAN("a\xC0\xAF\x62", "a" BAD BAD "b");
}


static void
test_length(void **state)
{
    size_t i;
    char   path[2048], expected[V2M_FILENAME_MAX + 1];

    (void) state;

    memset(path, 'n', sizeof(path));
    memset(expected, 'n', sizeof(expected));
    expected[V2M_FILENAME_MAX] = '\0';

    assert_clean(path, V2M_FILENAME_MAX, expected);
    assert_clean(path, V2M_FILENAME_MAX + 1, expected);
    assert_clean(path, sizeof(path), expected);

    /* a directory does not count */

    path[sizeof(path) - 4] = '/';
    assert_clean(path, sizeof(path), "nnn");

    /* cut at a character's border, and at a replacement's */

    for (i = 0; i + 3 < sizeof(path); i += 4) {
        memcpy(path + i, "\xF0\x9F\x8E\xB5", 4);
    }

    memcpy(expected, path, 252);
    expected[252] = '\0';
    assert_clean(path, sizeof(path), expected);

    memcpy(path + 252, "\xFF\xFF", 2);
    memcpy(expected + 252, BAD, 4);
    assert_clean(path, 254, expected);

    memcpy(path + 252, "n\xFF", 2);
    memcpy(expected + 252, "n", 2);
    assert_clean(path, 254, expected);

    /* what is left out does not count */

    memset(path, '\n', sizeof(path));
    path[sizeof(path) - 1] = 'z';
    assert_clean(path, sizeof(path), "z");
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directories),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
