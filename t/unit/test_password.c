/* Password hashes: what is written, what is read, and what never matches. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "v2m_password.h"

#define TEST_THREADS 4

/* what each kind of program that keeps users may have written */
static const struct {
    const char *password;
    const char *hash;
} elsewhere[] = {
    /* perl's crypt() with libxcrypt */
    { "correct horse", "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$"
                       "zwtVrjrUCmXcyLTs6oxLTQlzifSUkF8RHJ./tK5KU79" },
    { "correct horse", "$7$CU..../....aOeVKYwjJHQBLqbyTRdy21$"
                       "JREIwKFvVDI7zBXxVjQxXeZH6hO8rHTBdZ0XHn9hSSB" },
    /* Python's bcrypt */
    { "correct horse",
      "$2b$05$1q.0ac.aGo8y1uJFqWQzyuYHcRjU29ZoiGG14RwI5c091KaLkSzJ6" },
    /* crypt_blowfish's own test */
    { "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" },
    /* openssl passwd */
    { "Hello world!", "$6$saltstring$"
                      "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJues"
                      "I68u4OTLiBFdcbYEdFCoEOfaS35inz1" },
    { "Hello world!", "$5$saltstring$"
                      "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5" },
};

#define ELSEWHERE (sizeof(elsewhere) / sizeof(elsewhere[0]))


static int
verify(const char *password, const char *hash)
{
    int         rc;
    v2m_error_t error;

    rc = v2m_password_verify(password, hash, V2M_PASSWORD_COST, &error);

    if (rc != V2M_OK) {
        assert_int_equal(error.code, rc);
        assert_true(error.text[0] != '\0');
    }

    return rc;
}


static void
make(const char *password, char hash[V2M_PASSWORD_HASH_MAX])
{
    v2m_error_t error;

    assert_int_equal(
        v2m_password_hash(password, V2M_PASSWORD_COST, hash, &error), V2M_OK);
}


static void
test_round_trip(void **state)
{
    char hash[V2M_PASSWORD_HASH_MAX], other[V2M_PASSWORD_HASH_MAX];

    (void) state;

    make("correct horse", hash);

    assert_memory_equal(hash, "$y$", 3);
    assert_true(v2m_password_is_hash(hash));

    assert_int_equal(verify("correct horse", hash), V2M_OK);
    assert_int_equal(verify("correct hors", hash), V2M_DENIED);
    assert_int_equal(verify("correct horse ", hash), V2M_DENIED);
    assert_int_equal(verify("Correct horse", hash), V2M_DENIED);
    assert_int_equal(verify("", hash), V2M_DENIED);

    /* a salt of its own */

    make("correct horse", other);
    assert_string_not_equal(hash, other);
    assert_int_equal(verify("correct horse", other), V2M_OK);
}


static void
test_any_bytes(void **state)
{
    int  c;
    char hash[V2M_PASSWORD_HASH_MAX], password[V2M_PASSWORD_MAX + 1];

    (void) state;

    for (c = 1; c <= 255; c++) {
        password[c - 1] = (char) c;
    }

    password[255] = '\0';

    make(password, hash);
    assert_int_equal(verify(password, hash), V2M_OK);

    /* the eighth bit counts */

    password[200] &= 0x7f;
    assert_int_equal(verify(password, hash), V2M_DENIED);
}


static void
test_length(void **state)
{
    char        password[V2M_PASSWORD_MAX + 2];
    char        hash[V2M_PASSWORD_HASH_MAX];
    v2m_error_t error;

    (void) state;

    memset(password, 'x', sizeof(password));
    password[V2M_PASSWORD_MAX + 1] = '\0';

    assert_int_equal(
        v2m_password_hash(password, V2M_PASSWORD_COST, hash, &error),
        V2M_INVALID);
    assert_int_equal(v2m_password_hash("", V2M_PASSWORD_COST, hash, &error),
                     V2M_INVALID);
    assert_int_equal(
        v2m_password_verify_nobody(password, V2M_PASSWORD_COST, &error),
        V2M_DENIED);

    password[V2M_PASSWORD_MAX] = '\0';

    make(password, hash);
    assert_int_equal(verify(password, hash), V2M_OK);

    /* every byte counts, up to the last */

    password[V2M_PASSWORD_MAX - 1] = 'y';
    assert_int_equal(verify(password, hash), V2M_DENIED);

    /* one byte more is not cut off */

    password[V2M_PASSWORD_MAX - 1] = 'x';
    password[V2M_PASSWORD_MAX] = 'x';
    assert_int_equal(verify(password, hash), V2M_DENIED);

    make("x", hash);
    assert_int_equal(verify("x", hash), V2M_OK);
}


/* What takes the place of an unusable password is no way in. */
static void
test_dummy(void **state)
{
    char        hash[V2M_PASSWORD_HASH_MAX], password[V2M_PASSWORD_MAX + 2];
    v2m_error_t error;

    (void) state;

    memset(password, '-', sizeof(password));
    password[V2M_PASSWORD_MAX + 1] = '\0';

    make("-", hash);
    assert_int_equal(verify("-", hash), V2M_OK);
    assert_int_equal(verify("", hash), V2M_DENIED);
    assert_int_equal(verify(password, hash), V2M_DENIED);

    assert_int_equal(v2m_password_verify_nobody("-", V2M_PASSWORD_COST, &error),
                     V2M_DENIED);
    assert_int_equal(v2m_password_verify_nobody("", V2M_PASSWORD_COST, &error),
                     V2M_DENIED);
    assert_int_equal(v2m_password_verify_nobody("-", V2M_PASSWORD_COST, NULL),
                     V2M_DENIED);
}


static void
test_elsewhere(void **state)
{
    size_t i;

    (void) state;

    for (i = 0; i < ELSEWHERE; i++) {
        assert_true(v2m_password_is_hash(elsewhere[i].hash));
        assert_int_equal(verify(elsewhere[i].password, elsewhere[i].hash),
                         V2M_OK);
        assert_int_equal(verify("Correct horse", elsewhere[i].hash),
                         V2M_DENIED);
    }

    /* the right hash of no password is no way in */

    assert_int_equal(verify("", "$6$saltstring$kyGrqt6gmjAdtFLPrflEFifSYLCWWq1"
                                "pyx95SvqinLDy2UHmj0sTF0MSLMwxPFZc3tu5kQckI8fks"
                                "0zOPda3n1"),
                     V2M_DENIED);
}


/* Whatever is stored as it was typed matches nothing, not even itself. */
static void
test_plain_text(void **state)
{
    size_t i;

    static const char *const stored[] = {
        "Admin123",
        "a",
        "",
        "*",
        "!",
        "*0",
        "*1",
        ("!$y$j9T$F5Jx5fExrKuPp53xLKQ..1$"
         "zwtVrjrUCmXcyLTs6oxLTQlzifSUkF8RHJ./tK5KU79"),
        "$",
        "$$",
        "$1",
        "$secret$",
        "$pbkdf2-sha256$29000$salt$hash",
        "pbkdf2:sha256:260000$salt$hash",
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "abedYVJsy5v3I", /* crypt(3)'s oldest, of "Admin123" */
        "_J9..CCCCXBrJUJV154M",
        "$y$\n",
        "\xff\xfe",
    };

    (void) state;

    for (i = 0; i < sizeof(stored) / sizeof(stored[0]); i++) {
        assert_false(v2m_password_is_hash(stored[i]));
        assert_int_equal(verify(stored[i], stored[i]), V2M_INVALID);
        assert_int_equal(verify("Admin123", stored[i]), V2M_INVALID);
        assert_int_equal(verify("", stored[i]), V2M_INVALID);
    }
}


/* A hash that was cut, lengthened or changed is never right, and what looks
 * like one at its beginning is never taken for one. */
static void
test_damaged(void **state)
{
    int    rc;
    char   damaged[V2M_PASSWORD_HASH_MAX];
    size_t i, j, length;

    (void) state;

    for (i = 0; i < ELSEWHERE; i++) {
        length = strlen(elsewhere[i].hash);

        /* every cut of the fast methods, some of the slow ones */

        for (j = 0; j < length;
             j += elsewhere[i].hash[1] == '2' || length - j < 3 ? 1 : 7)
        {
            memcpy(damaged, elsewhere[i].hash, j);
            damaged[j] = '\0';

            rc = verify(elsewhere[i].password, damaged);
            assert_true(rc == V2M_DENIED || rc == V2M_INVALID);
        }

        snprintf(damaged, sizeof(damaged), "%s.", elsewhere[i].hash);
        rc = verify(elsewhere[i].password, damaged);
        assert_true(rc == V2M_DENIED || rc == V2M_INVALID);

        snprintf(damaged, sizeof(damaged), "%s", elsewhere[i].hash);
        damaged[length - 2] = damaged[length - 2] == 'B' ? 'C' : 'B';
        rc = verify(elsewhere[i].password, damaged);
        assert_true(rc == V2M_DENIED || rc == V2M_INVALID);

        snprintf(damaged, sizeof(damaged), "%s:0:0:root", elsewhere[i].hash);
        rc = verify(elsewhere[i].password, damaged);
        assert_true(rc == V2M_DENIED || rc == V2M_INVALID);
    }
}


static void
test_outdated(void **state)
{
    int    i, cost, than;
    char   hash[V2M_PASSWORD_HASH_MAX];
    size_t length;

    (void) state;

    /* the dearer ones would take seconds here */

    for (cost = V2M_PASSWORD_COST_MIN; cost <= V2M_PASSWORD_COST + 1; cost++) {
        assert_int_equal(v2m_password_hash("x", cost, hash, NULL), V2M_OK);
        assert_int_equal(verify("x", hash), V2M_OK);

        for (than = V2M_PASSWORD_COST_MIN; than <= V2M_PASSWORD_COST_MAX;
             than++) {
            assert_int_equal(v2m_password_is_outdated(hash, than), cost < than);
        }
    }

    length = strlen("$y$j9T$");

    for (i = 0; i < (int) ELSEWHERE; i++) {
        assert_int_equal(
            v2m_password_is_outdated(elsewhere[i].hash, V2M_PASSWORD_COST),
            strncmp(elsewhere[i].hash, "$y$j9T$", length) != 0);
    }

    /* nobody knows how dear these are */

    assert_int_equal(
        v2m_password_is_outdated("$y$jXX$salt$hash", V2M_PASSWORD_COST_MAX), 0);
    assert_int_equal(v2m_password_is_outdated("$y$", V2M_PASSWORD_COST_MAX), 0);
}


static void *
hash_and_verify(void *data)
{
    int  i;
    char password[32], hash[V2M_PASSWORD_HASH_MAX];

    for (i = 0; i < 4; i++) {
        snprintf(password, sizeof(password), "thread %d round %d",
                 *(int *) data, i);

        if (v2m_password_hash(password, V2M_PASSWORD_COST, hash, NULL) != V2M_OK
            || v2m_password_verify(password, hash, V2M_PASSWORD_COST, NULL)
                   != V2M_OK
            || v2m_password_verify("other", hash, V2M_PASSWORD_COST, NULL)
                   != V2M_DENIED)
        {
            return NULL;
        }
    }

    return data;
}


static void
test_threads(void **state)
{
    int       i, numbers[TEST_THREADS];
    void     *result;
    pthread_t threads[TEST_THREADS];

    (void) state;

    for (i = 0; i < TEST_THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(
            pthread_create(&threads[i], NULL, hash_and_verify, &numbers[i]), 0);
    }

    for (i = 0; i < TEST_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, &numbers[i]);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_outdated),
        cmocka_unit_test(test_any_bytes),  cmocka_unit_test(test_length),
        cmocka_unit_test(test_dummy),      cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_plain_text), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
