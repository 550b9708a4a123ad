/* Results and their texts. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "v2m_error.h"


static void
test_set(void **state)
{
    v2m_error_t error;

    (void) state;

    assert_int_equal(v2m_error_set(&error, V2M_FULL, "%s of %d", "two", 3),
                     V2M_FULL);
    assert_int_equal(error.code, V2M_FULL);
    assert_string_equal(error.text, "two of 3");

    assert_int_equal(v2m_error_set(NULL, V2M_CORRUPT, "%s", "x"), V2M_CORRUPT);
}


static void
test_long(void **state)
{
    char   text[4 * V2M_ERROR_TEXT];
    size_t length;

    struct {
        v2m_error_t error;
        char        behind[16];
    } fenced;

    (void) state;

    memset(&fenced, 'f', sizeof(fenced));

    for (length = V2M_ERROR_TEXT - 2; length <= V2M_ERROR_TEXT + 1; length++) {
        memset(text, 'x', length);
        text[length] = '\0';
        v2m_error_set(&fenced.error, V2M_ERROR, "%s", text);
        assert_int_equal(strlen(fenced.error.text),
                         length < V2M_ERROR_TEXT ? length : V2M_ERROR_TEXT - 1);
        assert_memory_equal(fenced.behind, "ffffffffffffffff", 16);
    }
}


/* A text that is cut is cut between two characters. */
static void
test_cut(void **state)
{
    size_t      i, length;
    char        text[V2M_ERROR_TEXT + 16];
    v2m_error_t error;

    static const char *const characters[] = { "\xC3\xA4", "\xE2\x82\xAC",
                                              "\xF0\x9F\x8E\xB5" };

    (void) state;

    for (i = 0; i < 3; i++) {
        for (length = V2M_ERROR_TEXT - 8; length < V2M_ERROR_TEXT; length++) {
            memset(text, 'x', length);
            strcpy(text + length, characters[i]);
            strcat(text, "yyyyyyyy");
            v2m_error_set(&error, V2M_ERROR, "%s", text);

            text[length + strlen(characters[i]) < V2M_ERROR_TEXT
                     ? V2M_ERROR_TEXT - 1
                     : length] = '\0';
            assert_string_equal(error.text, text);
        }
    }

    /* what is no UTF-8 stays what it is */

    memset(text, 0x80, sizeof(text));
    text[sizeof(text) - 1] = '\0';
    v2m_error_set(&error, V2M_ERROR, "%s", text);
    assert_int_equal(strlen(error.text), V2M_ERROR_TEXT - 1);

    v2m_error_set(&error, V2M_ERROR, "%s", "\xE2\x82");
    assert_string_equal(error.text, "\xE2\x82");
}


static void
test_names(void **state)
{
    int code, other;

    (void) state;

    assert_string_equal(v2m_error_name(V2M_OK), "ok");
    assert_string_equal(v2m_error_name(V2M_UNAVAILABLE), "unavailable");
    assert_string_equal(v2m_error_name(V2M_CORRUPT), "corrupt");
    assert_string_equal(v2m_error_name(-1000), "error");
    assert_string_equal(v2m_error_name(1), "error");

    for (code = V2M_CORRUPT; code <= V2M_OK; code++) {
        for (other = V2M_CORRUPT; other < code; other++) {
            assert_string_not_equal(v2m_error_name(code),
                                    v2m_error_name(other));
        }
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
