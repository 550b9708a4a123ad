/* The cache of tokens: judges as v2m_token_verify() does, at every time. */

#include "tokens.h"

#include "v2m_token_cache.h"

#define SLOTS 4

static v2m_token_cache_t *cache;


/* Asks the cache, with a copy that has no zero byte at its end. */
static int
ask(const char *token, size_t length, int64_t now, v2m_claims_t *claims)
{
    int         rc;
    char       *copy;
    v2m_error_t error;

    copy = malloc(length + (length == 0));
    assert_non_null(copy);
    memcpy(copy, token, length);

    rc = v2m_token_cache_verify(cache, copy, length, now, claims, &error);
    free(copy);

    if (rc != V2M_OK) {
        assert_int_equal(error.code, rc);
        assert_null(claims->username);
        assert_null(claims->json);
    }

    return rc;
}


static int
ask_whole(const char *token, int64_t now)
{
    int          rc;
    v2m_claims_t claims;

    rc = ask(token, strlen(token), now, &claims);
    v2m_claims_free(&claims);

    return rc;
}


static int
make_cache(void **state)
{
    (void) state;

    return v2m_token_cache_create(&cache, keys, SLOTS, NULL);
}


static int
destroy_cache(void **state)
{
    (void) state;

    v2m_token_cache_destroy(cache);

    return 0;
}


static void
test_slots(void **state)
{
    size_t             i;
    v2m_error_t        error;
    v2m_token_cache_t *bad;

    static const size_t slots[] = { 0, 3, 6, 1000 };

    (void) state;

    for (i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        assert_int_equal(v2m_token_cache_create(&bad, keys, slots[i], &error),
                         V2M_ERROR);
        assert_null(bad);
    }

    v2m_token_cache_destroy(NULL);
}


static void
test_same_claims(void **state)
{
    int          round;
    char        *token;
    v2m_claims_t claims, expected;

    (void) state;

    token = sign(HEADER, "{\"username\":\"a@example.org\",\"exp\":1700003600,"
                         "\"iat\":1700000000,\"admin\":true,\"x\":[1]}");
    assert_int_equal(verify_bytes(keys, token, strlen(token), NOW, &expected),
                     V2M_OK);

    for (round = 0; round < 3; round++) {
        assert_int_equal(ask(token, strlen(token), NOW + round, &claims),
                         V2M_OK);
        assert_string_equal(claims.username, expected.username);
        assert_string_equal(claims.json, expected.json);
        assert_int_equal(claims.issued, expected.issued);
        assert_int_equal(claims.expires, expected.expires);
        assert_int_equal(claims.admin, 1);
        v2m_claims_free(&claims);
    }

    v2m_claims_free(&expected);
    free(token);
}


/* Whatever was asked before, only the token itself is good. */
static void
test_other_tokens(void **state)
{
    char        *token, kept;
    size_t       i, length;
    v2m_claims_t claims;

    (void) state;

    token = sign(HEADER, CLAIMS);
    length = strlen(token);
    assert_int_equal(ask_whole(token, NOW), V2M_OK);

    for (i = 0; i < length; i++) {
        kept = token[i];
        token[i] = kept == 'A' ? 'B' : 'A';
        assert_int_equal(ask_whole(token, NOW), V2M_DENIED);
        token[i] = kept;

        assert_int_equal(ask(token, i, NOW, &claims), V2M_DENIED);
    }

    assert_int_equal(ask_whole(token, NOW), V2M_OK);
    free(token);
}


static void
test_expiry(void **state)
{
    char *token;

    (void) state;

    token = sign(HEADER, CLAIMS);

    assert_int_equal(ask_whole(token, NOW), V2M_OK);
    assert_int_equal(ask_whole(token, 1700003600 + V2M_TOKEN_LEEWAY - 1),
                     V2M_OK);
    assert_int_equal(ask_whole(token, 1700003600 + V2M_TOKEN_LEEWAY),
                     V2M_DENIED);
    free(token);
}


static void
test_clock_goes_back(void **state)
{
    char *token;

    (void) state;

    token = sign(HEADER, "{\"username\":\"a\",\"exp\":1700003600,"
                         "\"nbf\":1700000000}");

    assert_int_equal(ask_whole(token, NOW), V2M_OK);
    assert_int_equal(ask_whole(token, NOW - V2M_TOKEN_LEEWAY - 1), V2M_DENIED);
    assert_int_equal(ask_whole(token, NOW), V2M_OK);
    free(token);
}


/* More tokens than slots. */
static void
test_many(void **state)
{
    int          i, round;
    char         payload[128], user[32], *tokens[64];
    v2m_claims_t claims;

    (void) state;

    for (i = 0; i < 64; i++) {
        snprintf(payload, sizeof(payload),
                 "{\"username\":\"user%d\",\"exp\":1700003600}", i);
        tokens[i] = sign(HEADER, payload);
    }

    for (round = 0; round < 3; round++) {
        for (i = 0; i < 64; i++) {
            snprintf(user, sizeof(user), "user%d", i);
            assert_int_equal(ask(tokens[i], strlen(tokens[i]), NOW, &claims),
                             V2M_OK);
            assert_string_equal(claims.username, user);
            v2m_claims_free(&claims);
        }
    }

    for (i = 0; i < 64; i++) {
        free(tokens[i]);
    }
}


static void
test_lengths(void **state)
{
    size_t i;
    char   payload[4096], padding[3000], *token;

    (void) state;

    /* shorter than what chooses the slot, and longer than what is kept */

    for (i = 0; i < 10; i++) {
        assert_int_equal(ask_whole(&"..........."[11 - i], NOW), V2M_DENIED);
    }

    memset(padding, 'x', sizeof(padding) - 1);
    padding[sizeof(padding) - 1] = '\0';
    snprintf(payload, sizeof(payload),
             "{\"username\":\"a\",\"exp\":1700003600,\"p\":\"%s\"}", padding);
    token = sign(HEADER, payload);

    assert_int_equal(ask_whole(token, NOW), V2M_OK);
    assert_int_equal(ask_whole(token, NOW), V2M_OK);
    assert_int_equal(ask_whole(token, 1700003600 + V2M_TOKEN_LEEWAY),
                     V2M_DENIED);
    free(token);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),
        cmocka_unit_test_setup_teardown(test_same_claims, make_cache,
                                        destroy_cache),
        cmocka_unit_test_setup_teardown(test_other_tokens, make_cache,
                                        destroy_cache),
        cmocka_unit_test_setup_teardown(test_expiry, make_cache, destroy_cache),
        cmocka_unit_test_setup_teardown(test_clock_goes_back, make_cache,
                                        destroy_cache),
        cmocka_unit_test_setup_teardown(test_many, make_cache, destroy_cache),
        cmocka_unit_test_setup_teardown(test_lengths, make_cache,
                                        destroy_cache),
    };

    return cmocka_run_group_tests(tests, make_keys, destroy_keys);
}
