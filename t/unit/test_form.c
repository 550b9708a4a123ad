/* Fields of small bodies. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "v2m_form.h"

#define JSON "application/json"
#define FORM "application/x-www-form-urlencoded"

static v2m_form_field_t fields[2];
static v2m_error_t      error;


static int
read_of(const char *type, const char *body, size_t length)
{
    char *copy;
    int   rc;

    fields[0].name = "a";
    fields[1].name = "bc";

    /* exactly as long, so that a sanitizer sees what is read behind it */

    copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, body, length);

    rc = v2m_form_read(type, type != NULL ? strlen(type) : 0, copy, length,
                       fields, 2, &error);
    free(copy);

    if (rc != V2M_OK) {
        assert_null(fields[0].value);
        assert_null(fields[1].value);
    }

    return rc;
}


static void
good(const char *type, const char *body, const char *a, const char *bc)
{
    assert_int_equal(read_of(type, body, strlen(body)), V2M_OK);
    assert_string_equal(fields[0].value, a);
    assert_string_equal(fields[1].value, bc);

    v2m_form_wipe(fields, 2);
    assert_null(fields[0].value);
}


static void
bad(const char *type, const char *body, const char *text)
{
    assert_int_equal(read_of(type, body, strlen(body)), V2M_INVALID);
    assert_string_equal(error.text, text);
}


static void
test_types(void **state)
{
    size_t i;

    static const char *const json[] = { JSON, "Application/JSON",
                                        JSON ";charset=utf-8", JSON " ; x",
                                        JSON "\t" };
    static const char *const others[] = {
        "",
        "text/plain",
        "application/jsonp",
        "application/jso",
        "json",
        "application/json-seq",
        "multipart/form-data",
        "application/x-www-form-urlencoded2",
    };

    (void) state;

    for (i = 0; i < sizeof(json) / sizeof(json[0]); i++) {
        good(json[i], "{\"a\":\"1\",\"bc\":\"2\"}", "1", "2");
    }

    good(FORM ";charset=UTF-8", "a=1&bc=2", "1", "2");

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(read_of(others[i], "a=1&bc=2", 8), V2M_NOT_FOUND);
    }

    assert_int_equal(read_of(NULL, "a=1&bc=2", 8), V2M_NOT_FOUND);
}


static void
test_json(void **state)
{
    static const char one[] = "the body must be one JSON object, with each "
                              "field once";

    (void) state;

    good(JSON, " {\"bc\":\"\",\"x\":{\"a\":3},\"a\":\"\\u00e4\\\"\"}\n",
         "\u00e4\"", "");

    bad(JSON, "", one);
    bad(JSON, "null", one);
    bad(JSON, "[\"a\"]", one);
    bad(JSON, "{\"a\":\"1\",\"bc\":\"2\"", one);
    bad(JSON, "{\"a\":\"1\",\"bc\":\"2\"}}", one);
    bad(JSON, "{\"a\":\"1\",\"bc\":\"2\",\"a\":\"1\"}", one);
    bad(JSON, "{\"a\":\"\xff\",\"bc\":\"2\"}", one);
    bad(JSON, "{\"a\":\"\\ud800\",\"bc\":\"2\"}", one);
    bad(JSON, "{\"a\":\"\\u0000\",\"bc\":\"2\"}", one);
    bad(JSON, "{\"a\":1,\"bc\":\"2\"}", "the field \"a\" must be a string");
    bad(JSON, "{\"a\":\"1\",\"bc\":null}", "the field \"bc\" must be a string");
    bad(JSON, "{\"A\":\"1\",\"bc\":\"2\"}", "the field \"a\" is missing");
    bad(JSON, "{\"a\":\"1\"}", "the field \"bc\" is missing");
}


static void
test_form(void **state)
{
    static const char text[] = "the field \"a\" must be text in UTF-8 without "
                               "zero bytes";

    (void) state;

    good(FORM, "a=1&bc=2", "1", "2");
    good(FORM, "&&bc=&x=y&z&a=+%2B%26%3d=%C3%a4&", " +&==\u00e4", "");
    good(FORM, "%61=1&%62c=2", "1", "2");
    good(FORM, "a=100%&bc=%4", "100%", "%4");
    good(FORM, "a=%g1%1g&bc", "%g1%1g", "");

    bad(FORM, "", "the field \"a\" is missing");
    bad(FORM, "abc=1&b=2", "the field \"a\" is missing");
    bad(FORM, "a=1", "the field \"bc\" is missing");
    bad(FORM, "a=1&bc=2&%61=3", "the field \"a\" is there twice");
    bad(FORM, "a=%00&bc=2", text);
    bad(FORM, "a=1%C3&bc=2", text);
    bad(FORM, "a=%ED%A0%80&bc=2", text);
    assert_int_equal(read_of(FORM, "a=1\0&bc=2", 9), V2M_INVALID);
    assert_string_equal(error.text, text);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
