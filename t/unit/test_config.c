/* Settings from the environment and from files: which form counts, what is
 * refused, and that the error names the setting. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "v2m_config.h"

#define LIMIT 65536

static char directory[] = "/tmp/v2m-test-config-XXXXXX";
static char path[128];


static int
setup_directory(void **state)
{
    (void) state;

    if (mkdtemp(directory) == NULL) {
        return -1;
    }

    snprintf(path, sizeof(path), "%s/value", directory);

    return 0;
}


static int
remove_directory(void **state)
{
    (void) state;

    unlink(path);

    return rmdir(directory);
}


static int
clear(void **state)
{
    (void) state;

    unsetenv("V2M_TEST");
    unsetenv("V2M_TEST_FILE");

    return 0;
}


static void
write_file(const char *data, size_t length)
{
    FILE *file;

    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}


/* The value with the fallback given; expected may be NULL. */
static void
assert_value(const char *fallback, const char *expected)
{
    char       *value;
    v2m_error_t error;

    value = (char *) "unset";

    if (v2m_config_string("V2M_TEST", fallback, &value, &error) != V2M_OK) {
        fail_msg("%s", error.text);
    }

    if (expected == NULL) {
        assert_null(value);
    } else {
        assert_non_null(value);
        assert_string_equal(value, expected);
    }

    v2m_config_wipe(value);
}


static void
assert_refused(const char *part)
{
    char       *value;
    v2m_error_t error;

    assert_int_equal(v2m_config_string("V2M_TEST", "x", &value, &error),
                     V2M_INVALID);
    assert_null(value);
    assert_int_equal(error.code, V2M_INVALID);
    assert_non_null(strstr(error.text, "V2M_TEST"));
    assert_non_null(strstr(error.text, part));
}


static void
test_environment(void **state)
{
    (void) state;

    assert_value(NULL, NULL);
    assert_value("fallback", "fallback");
    assert_value("", "");

    setenv("V2M_TEST", "given", 1);
    assert_value(NULL, "given");
    assert_value("fallback", "given");

    setenv("V2M_TEST", "", 1);
    assert_value(NULL, NULL);
    assert_value("fallback", "fallback");

    setenv("V2M_TEST", " \n", 1);
    assert_value("fallback", " \n");
}


static void
test_file(void **state)
{
    (void) state;

    setenv("V2M_TEST_FILE", path, 1);

    write_file("secret", 6);
    assert_value("fallback", "secret");

    write_file("secret\n", 7);
    assert_value("fallback", "secret");

    /* one, and nothing else */

    write_file("secret\n\n", 8);
    assert_value("fallback", "secret\n");

    write_file(" secret\r\n", 9);
    assert_value("fallback", " secret\r");

    /* empty ones do not count */

    write_file("", 0);
    assert_value("fallback", "fallback");
    assert_value(NULL, NULL);

    write_file("\n", 1);
    assert_value("fallback", "fallback");

    setenv("V2M_TEST_FILE", "", 1);
    assert_value("fallback", "fallback");
}


static void
test_both(void **state)
{
    (void) state;

    write_file("secret", 6);
    setenv("V2M_TEST_FILE", path, 1);
    setenv("V2M_TEST", "given", 1);
    assert_refused("V2M_TEST_FILE");

    /* an empty one is not given */

    setenv("V2M_TEST", "", 1);
    assert_value(NULL, "secret");

    setenv("V2M_TEST", "given", 1);
    setenv("V2M_TEST_FILE", "", 1);
    assert_value(NULL, "given");
}


static void
test_bad_files(void **state)
{
    char *big;

    (void) state;

    unlink(path);
    setenv("V2M_TEST_FILE", path, 1);
    assert_refused("No such file");

    setenv("V2M_TEST_FILE", directory, 1);
    assert_refused("unreadable");

    setenv("V2M_TEST_FILE", path, 1);
    write_file("a\0b", 3);
    assert_refused("zero byte");
    write_file("a\0", 2);
    assert_refused("zero byte");
    write_file("\0\n", 2);
    assert_refused("zero byte");

    /* whoever may read everything is not kept out by a mode */

    if (geteuid() != 0) {
        write_file("secret", 6);
        assert_int_equal(chmod(path, 0), 0);
        assert_refused("Permission denied");
        unlink(path);
    }

    /* up to the limit, and beyond it */

    big = malloc(LIMIT * 2 + 1);
    assert_non_null(big);
    memset(big, 'x', LIMIT * 2);

    write_file(big, LIMIT + 1);
    assert_refused("64 KiB");
    write_file(big, LIMIT * 2);
    assert_refused("64 KiB");
    setenv("V2M_TEST_FILE", "/dev/zero", 1);
    assert_refused("64 KiB");

    setenv("V2M_TEST_FILE", path, 1);
    write_file(big, LIMIT);
    big[LIMIT] = '\0';
    assert_value(NULL, big);

    free(big);
}


static void
test_required(void **state)
{
    char       *value;
    v2m_error_t error;

    (void) state;

    assert_int_equal(v2m_config_required("V2M_TEST", &value, &error),
                     V2M_INVALID);
    assert_non_null(strstr(error.text, "V2M_TEST_FILE"));
    assert_null(value);

    setenv("V2M_TEST", "", 1);
    assert_int_equal(v2m_config_required("V2M_TEST", &value, &error),
                     V2M_INVALID);

    write_file("\n", 1);
    setenv("V2M_TEST_FILE", path, 1);
    assert_int_equal(v2m_config_required("V2M_TEST", &value, &error),
                     V2M_INVALID);

    write_file("secret", 6);
    assert_int_equal(v2m_config_required("V2M_TEST", &value, &error), V2M_OK);
    assert_string_equal(value, "secret");
    v2m_config_wipe(value);
}


static void
assert_integer(const char *text, int64_t minimum, int64_t maximum, int rc,
               int64_t expected)
{
    int64_t     value;
    v2m_error_t error;

    setenv("V2M_TEST", text, 1);
    value = -77;

    if (v2m_config_integer("V2M_TEST", 42, minimum, maximum, &value, &error)
        != rc) {
        fail_msg("\"%s\" does not give %d", text, rc);
    }

    if (rc == V2M_OK) {
        assert_int_equal(value, expected);
    } else {
        assert_int_equal(error.code, V2M_INVALID);
        assert_non_null(strstr(error.text, "V2M_TEST"));
    }
}


static void
test_integer(void **state)
{
    int64_t     value;
    v2m_error_t error;

    (void) state;

    /* the fallback need not be in the range */

    assert_int_equal(v2m_config_integer("V2M_TEST", -1, 1, 10, &value, &error),
                     V2M_OK);
    assert_int_equal(value, -1);
    assert_integer("", 1, 10, V2M_OK, 42);

    assert_integer("1", 1, 10, V2M_OK, 1);
    assert_integer("10", 1, 10, V2M_OK, 10);
    assert_integer("0", 1, 10, V2M_INVALID, 0);
    assert_integer("11", 1, 10, V2M_INVALID, 0);
    assert_integer("-5", -5, -1, V2M_OK, -5);
    assert_integer("010", 1, 10, V2M_OK, 10);

    assert_integer("9223372036854775807", INT64_MIN, INT64_MAX, V2M_OK,
                   INT64_MAX);
    assert_integer("-9223372036854775808", INT64_MIN, INT64_MAX, V2M_OK,
                   INT64_MIN);
    assert_integer("9223372036854775808", INT64_MIN, INT64_MAX, V2M_INVALID, 0);
    assert_integer("-9223372036854775809", INT64_MIN, INT64_MAX, V2M_INVALID,
                   0);

    assert_integer("x", 1, 10, V2M_INVALID, 0);
    assert_integer("5x", 1, 10, V2M_INVALID, 0);
    assert_integer("5 ", 1, 10, V2M_INVALID, 0);
    assert_integer("5.0", 1, 10, V2M_INVALID, 0);
    assert_integer("0x5", 0, 10, V2M_INVALID, 0);
    assert_integer(" ", 0, 10, V2M_INVALID, 0);
    assert_integer("-", 0, 10, V2M_INVALID, 0);

    assert_int_equal(v2m_config_integer("V2M_TEST", 0, -3, 99, &value, &error),
                     V2M_INVALID);
    assert_string_equal(error.text, "V2M_TEST is \"-\", but must be a whole "
                                    "number from -3 to 99");

    unsetenv("V2M_TEST");
    write_file("7\n", 2);
    setenv("V2M_TEST_FILE", path, 1);
    assert_int_equal(v2m_config_integer("V2M_TEST", 42, 1, 10, &value, &error),
                     V2M_OK);
    assert_int_equal(value, 7);
}


static void
assert_duration(const char *text, int never, int rc, int64_t expected)
{
    int64_t     seconds;
    v2m_error_t error;

    setenv("V2M_TEST", text, 1);
    seconds = -77;

    if (v2m_config_duration("V2M_TEST", "2h", 10, 864000, never, &seconds,
                            &error)
        != rc)
    {
        fail_msg("\"%s\" does not give %d", text, rc);
    }

    if (rc == V2M_OK) {
        assert_int_equal(seconds, expected);
    } else {
        assert_non_null(strstr(error.text, "V2M_TEST"));
    }
}


static void
test_duration(void **state)
{
    (void) state;

    assert_duration("", 0, V2M_OK, 7200);
    assert_duration("10", 0, V2M_OK, 10);
    assert_duration("10s", 0, V2M_OK, 10);
    assert_duration("3m", 0, V2M_OK, 180);
    assert_duration("12h", 0, V2M_OK, 43200);
    assert_duration("1d", 0, V2M_OK, 86400);
    assert_duration("1w", 0, V2M_OK, 604800);
    assert_duration("240h", 0, V2M_OK, 864000);
    assert_duration("forever", 1, V2M_OK, -1);

    assert_duration("9", 0, V2M_INVALID, 0);
    assert_duration("0", 1, V2M_INVALID, 0);
    assert_duration("241h", 0, V2M_INVALID, 0);
    assert_duration("forever", 0, V2M_INVALID, 0);
    assert_duration("-1d", 0, V2M_INVALID, 0);
    assert_duration("d", 0, V2M_INVALID, 0);
    assert_duration("1 d", 0, V2M_INVALID, 0);
    assert_duration("1y", 0, V2M_INVALID, 0);
    assert_duration("1d12h", 0, V2M_INVALID, 0);
    assert_duration("9223372036854775807w", 0, V2M_INVALID, 0);
    assert_duration("99999999999999999999", 0, V2M_INVALID, 0);
}


static void
test_wipe(void **state)
{
    (void) state;

    v2m_config_wipe(NULL);
    v2m_config_wipe(strdup(""));
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_environment, clear),
        cmocka_unit_test_setup(test_file, clear),
        cmocka_unit_test_setup(test_both, clear),
        cmocka_unit_test_setup(test_bad_files, clear),
        cmocka_unit_test_setup(test_required, clear),
        cmocka_unit_test_setup(test_integer, clear),
        cmocka_unit_test_setup(test_duration, clear),
        cmocka_unit_test_setup(test_wipe, clear),
    };

    return cmocka_run_group_tests(tests, setup_directory, remove_directory);
}
