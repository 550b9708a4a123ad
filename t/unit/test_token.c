/* Tokens: what is made, and which claims are accepted. */

#include "tokens.h"

#include <pthread.h>


static char *
create(const char *username, int admin)
{
    char       *token;
    v2m_error_t error;

    assert_int_equal(
        v2m_token_create(keys, username, admin, NOW, 3600, &token, &error),
        V2M_OK);

    return token;
}


static void
assert_claim(const v2m_claims_t *claims, const char *name, const char *expected)
{
    char *value, *bytes;

    /* a name without a zero byte at its end */

    bytes = malloc(strlen(name) + 1);
    assert_non_null(bytes);
    memcpy(bytes, name, strlen(name));
    bytes[strlen(name)] = 'x';

    value = v2m_claims_get(claims, bytes, strlen(name));
    free(bytes);

    if (expected == NULL) {
        assert_null(value);
        return;
    }

    assert_non_null(value);
    assert_string_equal(value, expected);
    free(value);
}


static void
test_create(void **state)
{
    char        *token, *other, *id, *other_id;
    v2m_claims_t claims, more;

    (void) state;

    token = create("a@example.org", 0);
    assert_int_equal(verify_bytes(keys, token, strlen(token), NOW, &claims),
                     V2M_OK);

    assert_string_equal(claims.username, "a@example.org");
    assert_int_equal(claims.issued, NOW);
    assert_int_equal(claims.expires, NOW + 3600);
    assert_int_equal(claims.admin, 0);

    assert_claim(&claims, "username", "a@example.org");
    assert_claim(&claims, "sub", "a@example.org");
    assert_claim(&claims, "iat", "1700000000");
    assert_claim(&claims, "exp", "1700003600");
    assert_claim(&claims, "admin", "false");

    other = create("a@example.org", 1);
    assert_int_equal(verify_bytes(keys, other, strlen(other), NOW, &more),
                     V2M_OK);
    assert_int_equal(more.admin, 1);
    assert_claim(&more, "admin", "true");

    /* each token has an id of its own */

    id = v2m_claims_get(&claims, "jti", 3);
    other_id = v2m_claims_get(&more, "jti", 3);

    assert_non_null(id);
    assert_non_null(other_id);
    assert_int_equal(strlen(id), 32);
    assert_int_equal(strspn(id, "0123456789abcdef"), 32);
    assert_string_not_equal(id, other_id);

    free(id);
    free(other_id);
    free(token);
    free(other);
    v2m_claims_free(&claims);
    v2m_claims_free(&more);
}


static void
test_create_names(void **state)
{
    size_t       i;
    char        *token, name[256];
    v2m_error_t  error;
    v2m_claims_t claims;

    static const char *const refused[] = { "", "a\nb", "a\tb", "\x7f",
                                           "a\x01@example.org" };

    (void) state;

    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(
            v2m_token_create(keys, refused[i], 0, NOW, 60, &token, &error),
            V2M_INVALID);
        assert_null(token);
    }

    /* not UTF-8 */

    assert_int_not_equal(
        v2m_token_create(keys, "\xff@example.org", 0, NOW, 60, &token, &error),
        V2M_OK);
    assert_null(token);

    /* the longest name, of the letters that take the most room */

    for (i = 0; i + 1 < sizeof(name) - 1; i += 2) {
        memcpy(name + i, i < 128 ? "\xc3\xa9" : "\"\\", 2);
    }

    name[i] = '\0';
    token = create(name, 1);
    assert_int_equal(verify_bytes(keys, token, strlen(token), NOW, &claims),
                     V2M_OK);
    assert_string_equal(claims.username, name);
    v2m_claims_free(&claims);
    free(token);
}


static void
test_elsewhere(void **state)
{
    v2m_claims_t claims;

    (void) state;

    assert_int_equal(verify_bytes(keys, PYJWT, strlen(PYJWT), NOW, &claims),
                     V2M_OK);

    assert_string_equal(claims.username, "georgio@example.com");
    assert_int_equal(claims.expires, 1700086400);
    assert_int_equal(claims.issued, 1700000000);
    assert_int_equal(claims.admin, 1);
    assert_string_equal(claims.json, "{\"username\":\"georgio@example.com\","
                                     "\"exp\":1700086400,\"iat\":1700000000,"
                                     "\"admin\":true}");
    v2m_claims_free(&claims);
}


static void
test_expiry(void **state)
{
    char *token;

    (void) state;

    token = sign(HEADER, "{\"username\":\"a\",\"exp\":1700000000}");

    assert_int_equal(verify(token, NOW - 1), V2M_OK);
    assert_int_equal(verify(token, NOW), V2M_OK);
    assert_int_equal(verify(token, NOW + V2M_TOKEN_LEEWAY - 1), V2M_OK);
    assert_int_equal(verify(token, NOW + V2M_TOKEN_LEEWAY), V2M_DENIED);
    assert_int_equal(verify(token, NOW + V2M_TOKEN_LEEWAY + 1), V2M_DENIED);
    assert_int_equal(verify(token, NOW + 1000000000), V2M_DENIED);
    free(token);

    assert_reason(sign(HEADER, "{\"username\":\"a\"}"), "the token has no exp");
    assert_reason(sign(HEADER, "{\"username\":\"a\",\"exp\":1699999940}"),
                  "the token has expired");
    assert_reason(sign(HEADER, "{\"username\":\"a\",\"exp\":null}"),
                  "the token's exp is not a time in seconds");
}


static void
test_future(void **state)
{
    char *token;

    (void) state;

    token = sign(HEADER, "{\"username\":\"a\",\"exp\":1700009999,"
                         "\"iat\":1700000000}");
    assert_int_equal(verify(token, NOW), V2M_OK);
    assert_int_equal(verify(token, NOW - V2M_TOKEN_LEEWAY), V2M_OK);
    assert_int_equal(verify(token, NOW - V2M_TOKEN_LEEWAY - 1), V2M_DENIED);
    free(token);

    token = sign(HEADER, "{\"username\":\"a\",\"exp\":1700009999,"
                         "\"nbf\":1700000000}");
    assert_int_equal(verify(token, NOW), V2M_OK);
    assert_int_equal(verify(token, NOW - V2M_TOKEN_LEEWAY), V2M_OK);
    assert_int_equal(verify(token, NOW - V2M_TOKEN_LEEWAY - 1), V2M_DENIED);
    free(token);

    assert_reason(sign(HEADER, "{\"username\":\"a\",\"exp\":1700009999,"
                               "\"iat\":1700000061}"),
                  "the token was issued in the future");
    assert_reason(sign(HEADER, "{\"username\":\"a\",\"exp\":1700009999,"
                               "\"nbf\":1700000061}"),
                  "the token is not valid yet");
}


/* What is no time in seconds is no time at all. */
static void
test_times(void **state)
{
    char   payload[256];
    size_t i, j;

    static const char *const names[] = { "exp", "iat", "nbf" };
    static const char *const wrong[] = {
        "\"1700000000\"",
        "\"\"",
        "true",
        "null",
        "[1700000000]",
        "{}",
        "0",
        "-1",
        "-1700000000",
        "0.5",
        "1700000000000", /* milliseconds */
        "253402300800",  /* the year 10000 */
        "1e300",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551617",
        "1e999",
        "NaN",
        "0x6553f100",
    };

    (void) state;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (j = 0; j < sizeof(wrong) / sizeof(wrong[0]); j++) {
            snprintf(payload, sizeof(payload),
                     i == 0 ? "{\"username\":\"a\",\"%s\":%s}"
                            : "{\"username\":\"a\",\"exp\":1700003600,"
                              "\"%s\":%s}",
                     names[i], wrong[j]);
            refuse_claims(payload);
        }
    }

    /* a fraction of a second is allowed (RFC 7519, section 2) */

    accept_claims("{\"username\":\"a\",\"exp\":1700003600.25,"
                  "\"iat\":1699999999.75,\"nbf\":1.7e9}");
    refuse_claims("{\"username\":\"a\",\"exp\":1699999940.75}");

    /* the last second of the year 9999 */

    accept_claims("{\"username\":\"a\",\"exp\":253402300799}");
}


static void
test_secrets(void **state)
{
    char             *token;
    unsigned char     secret[64];
    v2m_claims_t      claims;
    v2m_error_t       error;
    v2m_token_keys_t *one, *two;

    (void) state;

    memset(secret, 'k', sizeof(secret));

    /* S5 */

    assert_int_equal(make_secret(&one, secret, 0, &error), V2M_INVALID);
    assert_null(one);
    assert_int_equal(
        make_secret(&one, secret, V2M_TOKEN_SECRET_MIN - 1, &error),
        V2M_INVALID);
    assert_null(one);
    assert_string_equal(error.text, "the secret for tokens has 31 bytes, it "
                                    "needs at least 32");
    assert_int_equal(make_secret(&one, secret, V2M_TOKEN_SECRET_MIN, &error),
                     V2M_OK);
    v2m_token_keys_destroy(one);
    v2m_token_keys_destroy(NULL);

    /* every byte of a secret counts, also behind a zero byte */

    secret[8] = '\0';
    assert_int_equal(make_secret(&one, secret, 64, &error), V2M_OK);
    secret[63] = 'K';
    assert_int_equal(make_secret(&two, secret, 64, &error), V2M_OK);

    assert_int_equal(v2m_token_create(one, "a", 0, NOW, 60, &token, &error),
                     V2M_OK);
    assert_int_equal(verify_bytes(one, token, strlen(token), NOW, &claims),
                     V2M_OK);
    v2m_claims_free(&claims);
    assert_int_equal(verify_bytes(two, token, strlen(token), NOW, &claims),
                     V2M_DENIED);

    v2m_token_keys_destroy(one);
    v2m_token_keys_destroy(two);
    free(token);

    /* not the right one */

    assert_refused(
        sign_with(AV_HMAC_SHA256, OTHER, HEADER, CLAIMS, strlen(CLAIMS)));
    assert_refused(
        sign_with(AV_HMAC_SHA256, "", HEADER, CLAIMS, strlen(CLAIMS)));
    assert_reason(
        sign_with(AV_HMAC_SHA256, OTHER, HEADER, CLAIMS, strlen(CLAIMS)),
        "the token's signature is wrong");
}


static void
test_payload(void **state)
{
    char binary[] = "{\"username\":\"a?b\",\"exp\":1700003600}";

    (void) state;

    refuse_claims("");
    refuse_claims("{}");
    refuse_claims("null");
    refuse_claims("1700003600");
    refuse_claims("\"username\"");
    refuse_claims("[{\"username\":\"a\",\"exp\":1700003600}]");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600,}");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600}}");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600} x");
    refuse_claims("{\"username\":\"a\",\"exp\":01700003600}");
    refuse_claims("{'username':'a','exp':1700003600}");
    refuse_claims("{\"username\":\"\xff\",\"exp\":1700003600}");
    refuse_claims("{\"username\":\"\xc0\xaf\",\"exp\":1700003600}");
    refuse_claims("{\"username\":\"\xed\xa0\x80\",\"exp\":1700003600}");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600,"
                  "\"\\u0000\":1}");

    /* a zero byte ends nothing */

    *strchr(binary, '?') = '\0';
    assert_refused(
        sign_with(AV_HMAC_SHA256, SECRET, HEADER, binary, sizeof(binary) - 1));
    assert_refused(
        sign_with(AV_HMAC_SHA256, SECRET, HEADER, CLAIMS, sizeof(CLAIMS)));
}


static void
test_user(void **state)
{
    size_t       i;
    char         payload[256];
    v2m_claims_t claims;

    static const char *const wrong[] = {
        "\"\"",
        "null",
        "1",
        "true",
        "[\"a@example.org\"]",
        "{\"$ne\":\"\"}",
        "\"a\\nb\"",
        "\"a\\r\\nBcc: x@example.org\"",
        "\"a\\tb\"",
        "\"a\\u0000\"",
        "\"a\\u001b[2J\"",
        "\"a\\u007f\"",
    };

    (void) state;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(payload, sizeof(payload),
                 "{\"username\":%s,\"exp\":1700003600}", wrong[i]);
        refuse_claims(payload);

        /* a wrong username is not made good by sub */

        snprintf(payload, sizeof(payload),
                 "{\"username\":%s,\"sub\":\"a\",\"exp\":1700003600}",
                 wrong[i]);
        refuse_claims(payload);

        snprintf(payload, sizeof(payload), "{\"sub\":%s,\"exp\":1700003600}",
                 wrong[i]);
        refuse_claims(payload);
    }

    refuse_claims("{\"exp\":1700003600}");

    claims = read_claims("{\"sub\":\"s\",\"exp\":1700003600}");
    assert_string_equal(claims.username, "s");
    assert_int_equal(claims.issued, 0);
    v2m_claims_free(&claims);

    claims = read_claims("{\"sub\":\"s\",\"username\":\"u\","
                         "\"exp\":1700003600}");
    assert_string_equal(claims.username, "u");
    v2m_claims_free(&claims);

    claims = read_claims("{\"username\":\"J\\u00fcrgen\","
                         "\"exp\":1700003600}");
    assert_string_equal(claims.username, "J\xc3\xbcrgen");
    v2m_claims_free(&claims);
}


/* S6: a token that was made for someone else's service. */
static void
test_audience(void **state)
{
    (void) state;

    refuse_claims("{\"username\":\"a\",\"exp\":1700003600,\"aud\":\"x\"}");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600,\"aud\":[\"x\"]}");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600,\"aud\":[]}");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600,\"aud\":\"\"}");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600,\"aud\":null}");
}


/* Only a true is an administrator's. */
static void
test_admin(void **state)
{
    size_t       i;
    char         payload[256];
    v2m_claims_t claims;

    static const char *const values[] = {
        "false", "1", "\"true\"", "\"True\"", "null", "[true]", "{}", "1.0",
    };

    (void) state;

    for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        snprintf(payload, sizeof(payload),
                 "{\"username\":\"a\",\"exp\":1700003600,\"admin\":%s}",
                 values[i]);
        claims = read_claims(payload);
        assert_int_equal(claims.admin, 0);
        v2m_claims_free(&claims);
    }

    claims = read_claims(CLAIMS);
    assert_int_equal(claims.admin, 0);
    v2m_claims_free(&claims);

    claims = read_claims("{\"username\":\"a\",\"exp\":1700003600,"
                         "\"admin\":true}");
    assert_int_equal(claims.admin, 1);
    v2m_claims_free(&claims);
}


/* S14: a claim with a line break is none, for it could split a header. */
static void
test_claims(void **state)
{
    v2m_claims_t claims;

    (void) state;

    claims = read_claims("{\"username\":\"a\",\"exp\":1700003600,"
                         "\"text\":\"a \\\"b\\\"\",\"empty\":\"\","
                         "\"integer\":-7,\"real\":0.5,\"yes\":true,"
                         "\"nothing\":null,\"list\":[1,\"x\"],"
                         "\"split\":\"a\\r\\nb: c\",\"del\":\"a\\u007f\","
                         "\"lines\":[\"a\\r\\nb: c\"],"
                         "\"object\":{\"a\":{}},\"gr\\u00fcn\":\"\\u00e9\","
                         "\"\":\"no name\"}");

    assert_claim(&claims, "text", "a \"b\"");
    assert_claim(&claims, "empty", "");
    assert_claim(&claims, "integer", "-7");
    assert_claim(&claims, "real", "0.5");
    assert_claim(&claims, "yes", "true");
    assert_claim(&claims, "nothing", "null");
    assert_claim(&claims, "list", "[1,\"x\"]");
    assert_claim(&claims, "object", "{\"a\":{}}");
    assert_claim(&claims, "gr\xc3\xbcn", "\xc3\xa9");
    assert_claim(&claims, "", "no name");

    assert_claim(&claims, "split", NULL);
    assert_claim(&claims, "del", NULL);
    assert_claim(&claims, "lines", "[\"a\\r\\nb: c\"]");

    assert_claim(&claims, "absent", NULL);
    assert_claim(&claims, "tex", NULL);
    assert_claim(&claims, "texts", NULL);
    assert_claim(&claims, "Text", NULL);
    assert_claim(&claims, "object.a", NULL);
    assert_claim(&claims, "\xff", NULL);

    v2m_claims_free(&claims);

    /* what was freed may be freed again, and says nothing */

    v2m_claims_free(&claims);
    assert_null(claims.username);
    assert_claim(&claims, "text", NULL);
}


static void *
create_and_verify(void *data)
{
    int          i, rc;
    char        *token, name[32];
    v2m_claims_t claims;

    for (i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "%d.%d@example.org", *(int *) data, i);

        if (v2m_token_create(keys, name, i % 2, NOW, 60, &token, NULL) != V2M_OK
            || v2m_token_verify(keys, token, strlen(token), NOW, &claims, NULL)
                   != V2M_OK)
        {
            return NULL;
        }

        rc = strcmp(claims.username, name) == 0 && claims.admin == i % 2;
        v2m_claims_free(&claims);
        free(token);

        if (!rc) {
            return NULL;
        }
    }

    return data;
}


static void
test_threads(void **state)
{
    int       i, numbers[4];
    void     *result;
    pthread_t threads[4];

    (void) state;

    for (i = 0; i < 4; i++) {
        numbers[i] = i;
        assert_int_equal(
            pthread_create(&threads[i], NULL, create_and_verify, &numbers[i]),
            0);
    }

    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, &numbers[i]);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create),    cmocka_unit_test(test_create_names),
        cmocka_unit_test(test_elsewhere), cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_future),    cmocka_unit_test(test_times),
        cmocka_unit_test(test_secrets),   cmocka_unit_test(test_payload),
        cmocka_unit_test(test_user),      cmocka_unit_test(test_audience),
        cmocka_unit_test(test_admin),     cmocka_unit_test(test_claims),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, make_keys, destroy_keys);
}
