/* The table of what was revoked. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_revoked.h"

#define NOW INT64_C(1700000000)

static void          *memory;
static v2m_revoked_t *revoked;


static v2m_claims_t
claims(unsigned token, const char *user, int64_t issued)
{
    v2m_claims_t made = { .issued = issued, .expires = issued + 3600 };

    assert_int_equal(v2m_digest(&token, sizeof(token), made.id, NULL), V2M_OK);
    assert_int_equal(v2m_claims_user_id(user, made.user_id, NULL), V2M_OK);

    return made;
}


static int
check(unsigned token, const char *user, int64_t issued)
{
    v2m_claims_t asked = claims(token, user, issued);

    return v2m_revoked_check(revoked, &asked);
}


static int
revoke_token(unsigned token, int64_t now)
{
    v2m_claims_t     asked = claims(token, "x", now);
    v2m_revocation_t revocation = v2m_revocation_of(&asked);

    return v2m_revoked_add(revoked, &revocation, now);
}


static int
revoke_user(const char *user, int64_t issued)
{
    v2m_revocation_t revocation = { .issued = issued, .expires = NOW + 999 };

    assert_int_equal(v2m_claims_user_id(user, revocation.id, NULL), V2M_OK);

    return v2m_revoked_add(revoked, &revocation, NOW);
}


static int
make_table(void **state)
{
    (void) state;

    memory = malloc(4096);
    revoked = v2m_revoked_create(memory, 4096);

    return revoked == NULL;
}


static int
free_table(void **state)
{
    (void) state;

    free(memory);

    return 0;
}


static void
test_too_small(void **state)
{
    char few[64];

    (void) state;

    assert_null(v2m_revoked_create(few, sizeof(few)));
}


static void
test_token(void **state)
{
    (void) state;

    assert_true(v2m_revoked_is_empty(revoked));
    assert_int_equal(check(1, "a", NOW), 0);

    assert_int_equal(revoke_token(1, NOW), V2M_OK);
    assert_int_equal(revoke_token(1, NOW), V2M_OK);

    assert_false(v2m_revoked_is_empty(revoked));
    assert_int_equal(check(1, "a", NOW), 1);
    assert_int_equal(check(2, "a", NOW), 0);
}


static void
test_user(void **state)
{
    (void) state;

    assert_int_equal(revoke_user("a", NOW), V2M_OK);
    assert_int_equal(check(1, "a", NOW - 100), 1);
    assert_int_equal(check(1, "a", NOW), 1);
    assert_int_equal(check(1, "a", NOW + 1), 0);
    assert_int_equal(check(1, "b", NOW), 0);

    /* whatever comes in whichever order, the later one counts */

    assert_int_equal(revoke_user("a", NOW + 50), V2M_OK);
    assert_int_equal(revoke_user("a", NOW + 20), V2M_OK);
    assert_int_equal(check(1, "a", NOW + 50), 1);
    assert_int_equal(check(1, "a", NOW + 51), 0);
}


/* What has expired is not taken, and makes room. */
static void
test_expired(void **state)
{
    size_t           i, capacity;
    v2m_revocation_t past = { .issued = NOW, .expires = NOW };

    (void) state;

    capacity = v2m_revoked_capacity(revoked);
    assert_true(capacity > 50);

    assert_int_equal(v2m_revoked_add(revoked, &past, NOW), V2M_OK);
    assert_true(v2m_revoked_is_empty(revoked));

    for (i = 0; i < capacity - 1; i++) {
        assert_int_equal(revoke_token(i, NOW), V2M_OK);
    }

    assert_int_equal(revoke_user("a", NOW), V2M_OK);

    for (i = 0; i < capacity - 1; i++) {
        assert_int_equal(check(i, "b", NOW), 1);
    }

    /* days later: all of them are gone */

    for (i = 1000; i < 1000 + capacity; i++) {
        assert_int_equal(revoke_token(i, NOW + 100000), V2M_OK);
    }

    assert_int_equal(check(1, "b", NOW), 0);
    assert_int_equal(check(1000, "b", NOW + 100000), 1);
    assert_int_equal(check(1000 + capacity - 1, "b", NOW + 100000), 1);
}


/* When there is no room nothing that was revoked becomes good. */
static void
test_full(void **state)
{
    size_t i, capacity;

    (void) state;

    capacity = v2m_revoked_capacity(revoked);

    for (i = 0; i < capacity; i++) {
        assert_int_equal(revoke_token(i, NOW), V2M_OK);
    }

    assert_int_equal(check(5000, "b", NOW), 0);
    assert_int_equal(revoke_token(capacity, NOW), V2M_FULL);

    for (i = 0; i <= capacity; i++) {
        assert_int_equal(check(i, "b", NOW), 1);
    }

    assert_int_equal(check(5000, "b", NOW), 1);
    assert_int_equal(check(5000, "b", NOW + 1), 0);
    assert_false(v2m_revoked_is_empty(revoked));

    /* and there is room again */

    assert_int_equal(revoke_token(5000, NOW + 1), V2M_OK);
    assert_int_equal(check(5000, "b", NOW + 1), 1);
    assert_int_equal(check(5001, "b", NOW + 1), 0);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_too_small),
        cmocka_unit_test_setup_teardown(test_token, make_table, free_table),
        cmocka_unit_test_setup_teardown(test_user, make_table, free_table),
        cmocka_unit_test_setup_teardown(test_expired, make_table, free_table),
        cmocka_unit_test_setup_teardown(test_full, make_table, free_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
