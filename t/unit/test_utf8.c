/* UTF-8: every sequence of the first bytes, and texts made whole. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "v2m_utf8.h"


/* The UTF-8 of a code point; 0 when it has none. */
static size_t
encode(uint32_t point, unsigned char bytes[4])
{
    if (point < 0x80) {
        bytes[0] = (unsigned char) point;
        return 1;
    }

    if (point < 0x800) {
        bytes[0] = (unsigned char) (0xC0 | point >> 6);
        bytes[1] = (unsigned char) (0x80 | (point & 0x3F));
        return 2;
    }

    if (point < 0x10000) {
        bytes[0] = (unsigned char) (0xE0 | point >> 12);
        bytes[1] = (unsigned char) (0x80 | (point >> 6 & 0x3F));
        bytes[2] = (unsigned char) (0x80 | (point & 0x3F));
        return point >= 0xD800 && point <= 0xDFFF ? 0 : 3;
    }

    bytes[0] = (unsigned char) (0xF0 | point >> 18);
    bytes[1] = (unsigned char) (0x80 | (point >> 12 & 0x3F));
    bytes[2] = (unsigned char) (0x80 | (point >> 6 & 0x3F));
    bytes[3] = (unsigned char) (0x80 | (point & 0x3F));

    return point <= 0x10FFFF ? 4 : 0;
}


static size_t
character(const void *bytes, size_t length)
{
    size_t         size;
    unsigned char *copy;

    copy = malloc(length);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    size = v2m_utf8_character(copy, length);
    free(copy);

    return size;
}


static void
test_every_character(void **state)
{
    size_t        size, cut;
    uint32_t      point;
    unsigned char bytes[4];

    (void) state;

    for (point = 0; point < 0x120000; point++) {
        size = encode(point, bytes);

        if (size == 0) {
            assert_int_equal(v2m_utf8_character(bytes, point < 0x10000 ? 3 : 4),
                             0);
            continue;
        }

        assert_int_equal(v2m_utf8_character(bytes, size), size);

        /* cut short, which reads nothing beyond, at some of them */

        for (cut = 1; point % 997 == 0 && cut < size; cut++) {
            assert_int_equal(character(bytes, cut), 0);
        }
    }
}


/* Of all four-byte sequences of these bytes, which are those at the borders
 * of the table, so many are characters as there are characters. */
static void
test_every_sequence(void **state)
{
    size_t        i, size;
    uint32_t      point;
    unsigned char bytes[4], encoded[4];

    static const unsigned char borders[] = { 0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90,
                                             0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2,
                                             0xDF, 0xE0, 0xEC, 0xED, 0xEF, 0xF0,
                                             0xF4, 0xF5, 0xFF };

    (void) state;

    for (i = 0; i < 21 * 21 * 21 * 21; i++) {
        bytes[0] = borders[i % 21];
        bytes[1] = borders[i / 21 % 21];
        bytes[2] = borders[i / 441 % 21];
        bytes[3] = borders[i / 9261];

        size = v2m_utf8_character(bytes, 4);
        assert_in_range(size, 0, 4);

        /* decode what it says there is, and encode it again */

        point =
            size == 1   ? bytes[0]
            : size == 2 ? (uint32_t) (bytes[0] & 0x1F) << 6 | (bytes[1] & 0x3F)
            : size == 3
                ? (uint32_t) (bytes[0] & 0x0F) << 12
                      | (uint32_t) (bytes[1] & 0x3F) << 6 | (bytes[2] & 0x3F)
                : (uint32_t) (bytes[0] & 0x07) << 18
                      | (uint32_t) (bytes[1] & 0x3F) << 12
                      | (uint32_t) (bytes[2] & 0x3F) << 6 | (bytes[3] & 0x3F);

        if (size > 0) {
            assert_int_equal(encode(point, encoded), size);
            assert_memory_equal(encoded, bytes, size);
        }
    }
}


static void
assert_repaired(const char *text, const char *expected)
{
    char *copy, *repaired;

    copy = strdup(text);
    assert_non_null(copy);
    repaired = v2m_utf8_repair(copy);
    free(copy);
    assert_non_null(repaired);
    assert_string_equal(repaired, expected);
    free(repaired);
}

#define BAD V2M_UTF8_REPLACEMENT


static void
test_repair(void **state)
{
    (void) state;

    assert_repaired("", "");
    assert_repaired("plain", "plain");
    assert_repaired("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\xB5",
                    "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\xB5");
    assert_repaired("\xFF", BAD);
    assert_repaired("\xFF\xFE\x80\xC0", BAD BAD BAD BAD);
    assert_repaired("a\xE4z", "a" BAD "z");
    assert_repaired("\xE2\x82", BAD BAD);
    assert_repaired("\xE2\x82z", BAD BAD "z");
    assert_repaired("\xC3\xC3\xA4", BAD "\xC3\xA4");
    assert_repaired("\xED\xA0\x80", BAD BAD BAD); /* a surrogate */
    assert_repaired("\xC0\xAF", BAD BAD);         /* an overlong slash */
    assert_repaired("\xF0\x9F\x8E", BAD BAD BAD);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_every_sequence),
        cmocka_unit_test(test_repair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
