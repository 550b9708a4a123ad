/* Tokens that are forged, damaged or out of all proportion. */

#include "tokens.h"


/* S1, S2: the algorithm is the key's, whatever the token says. */
static void
test_algorithm(void **state)
{
    size_t i;
    char  *token, *dot;
    char   header[256];

    static const char *const wrong[] = {
        "\"none\"",   "\"None\"",    "\"NONE\"",      "\"nOnE\"",
        "\"\"",       "\"hs256\"",   "\"HS384\"",     "\"HS512\"",
        "\"RS256\"",  "\"ES256\"",   "\"PS256\"",     "\"EdDSA\"",
        "\"HS256 \"", "\" HS256\"",  "null",          "256",
        "true",       "[\"HS256\"]", "{\"HS256\":1}", "\"HS256\\u0000\"",
    };

    (void) state;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(header, sizeof(header), "{\"typ\":\"JWT\",\"alg\":%s}",
                 wrong[i]);

        assert_refused(sign(header, CLAIMS));

        /* with an empty signature, and without one */

        token = sign(header, CLAIMS);
        dot = strrchr(token, '.');
        dot[1] = '\0';
        assert_int_equal(verify(token, NOW), V2M_DENIED);
        dot[0] = '\0';
        assert_refused(token);
    }

    assert_refused(sign("{}", CLAIMS));
    assert_refused(sign("{\"typ\":\"JWT\"}", CLAIMS));
    assert_refused(sign("{\"ALG\":\"HS256\"}", CLAIMS));

    /* signed as the header says, and still not as the key does */

    assert_refused(sign_with(AV_HMAC_SHA512, SECRET,
                             "{\"alg\":\"HS512\",\"typ\":\"JWT\"}", CLAIMS,
                             strlen(CLAIMS)));
    assert_refused(sign_with(AV_HMAC_SHA384, SECRET,
                             "{\"alg\":\"HS384\",\"typ\":\"JWT\"}", CLAIMS,
                             strlen(CLAIMS)));
    assert_refused(
        sign_with(AV_HMAC_SHA512, SECRET, HEADER, CLAIMS, strlen(CLAIMS)));

    assert_reason(sign("{\"alg\":\"none\"}", CLAIMS),
                  "the token is not signed with HS256");
}


/* S2: a public key, which anyone has, as the secret of an HMAC. */
static void
test_public_key(void **state)
{
    char        *token;
    v2m_claims_t claims;
    v2m_error_t  error;
    v2m_token_keys_t *public;

    static const char pem[] =
        "-----BEGIN PUBLIC KEY-----\n"
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9\n"
        "q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==\n"
        "-----END PUBLIC KEY-----\n";

    (void) state;

    assert_int_equal(make_secret(&public, pem, strlen(pem), &error), V2M_OK);

    token = sign_with(AV_HMAC_SHA256, pem, "{\"alg\":\"ES256\"}", CLAIMS,
                      strlen(CLAIMS));
    assert_int_equal(verify_bytes(public, token, strlen(token), NOW, &claims),
                     V2M_DENIED);
    free(token);

    v2m_token_keys_destroy(public);
}


/* S3, S4: a token does not bring its own key, nor say where to find it. */
static void
test_embedded_keys(void **state)
{
    size_t i;
    char   header[512];

    /* "k" is OTHER */
    static const char *const members[] = {
        ("\"jwk\":{\"kty\":\"oct\",\"k\":"
         "\"YW5vdGhlciBzZWNyZXQgdGhhdCBoYXMgMzIgYnl0ZXMu\"}"),
        "\"jku\":\"https://attacker.example/jwks.json\"",
        "\"jku\":\"file:///etc/passwd\"",
        "\"x5u\":\"https://attacker.example/cert.pem\"",
        "\"x5c\":[\"MIIB\"]",
        "\"x5t\":\"AAAA\"",
        "\"kid\":\"../../../../dev/null\"",
        "\"kid\":\"x' UNION SELECT 'another secret that has 32 bytes.\"",
        "\"kid\":\"|id\"",
        "\"kid\":\"\"",
        "\"kid\":7",
        "\"kid\":null",
        "\"key\":\"another secret that has 32 bytes.\"",
    };

    (void) state;

    for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"HS256\",%s}", members[i]);

        assert_refused(
            sign_with(AV_HMAC_SHA256, OTHER, header, CLAIMS, strlen(CLAIMS)));
        assert_refused(
            sign_with(AV_HMAC_SHA256, "", header, CLAIMS, strlen(CLAIMS)));

        /* they mean nothing, so they do no harm either */

        assert_accepted(sign(header, CLAIMS));
    }
}


static void
test_header(void **state)
{
    (void) state;

    assert_accepted(sign("{\"alg\":\"HS256\"}", CLAIMS));
    assert_accepted(sign("{\"alg\":\"HS256\",\"typ\":\"jwt\"}", CLAIMS));
    assert_accepted(sign(" { \"alg\" : \"HS256\" } ", CLAIMS));
    assert_accepted(sign("{\"\\u0061lg\":\"HS256\"}", CLAIMS));

    /* something else that the same key signed */

    assert_reason(sign("{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}", CLAIMS),
                  "the token is no JWT");
    assert_refused(sign("{\"alg\":\"HS256\",\"typ\":\"\"}", CLAIMS));
    assert_refused(sign("{\"alg\":\"HS256\",\"typ\":7}", CLAIMS));
    assert_refused(sign("{\"alg\":\"HS256\",\"typ\":null}", CLAIMS));

    /* RFC 7515, section 4.1.11 */

    assert_refused(sign("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", CLAIMS));
    assert_refused(sign("{\"alg\":\"HS256\",\"crit\":[]}", CLAIMS));
    assert_refused(sign("{\"alg\":\"HS256\",\"crit\":null}", CLAIMS));

    /* RFC 7797: then the payload would be no base64 */

    assert_refused(
        sign("{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", CLAIMS));

    assert_refused(sign("", CLAIMS));
    assert_refused(sign("null", CLAIMS));
    assert_refused(sign("\"HS256\"", CLAIMS));
    assert_refused(sign("[{\"alg\":\"HS256\"}]", CLAIMS));
    assert_refused(sign("{\"alg\":\"HS256\"", CLAIMS));
    assert_refused(sign("{\"alg\":\"HS256\"}}", CLAIMS));
    assert_refused(sign("{\"alg\":\"HS256\"}{}", CLAIMS));
    assert_refused(sign("{'alg':'HS256'}", CLAIMS));
    assert_refused(sign("\xef\xbb\xbf{\"alg\":\"HS256\"}", CLAIMS));
}


/* S7: two values of one name would be one for us and one for another. */
static void
test_duplicates(void **state)
{
    (void) state;

    assert_refused(sign("{\"alg\":\"HS256\",\"alg\":\"none\"}", CLAIMS));
    assert_refused(sign("{\"alg\":\"none\",\"alg\":\"HS256\"}", CLAIMS));
    assert_refused(sign("{\"alg\":\"HS256\",\"alg\":\"HS256\"}", CLAIMS));
    assert_refused(sign("{\"alg\":\"none\",\"\\u0061lg\":\"HS256\"}", CLAIMS));

    refuse_claims("{\"username\":\"a\",\"exp\":1700003600,"
                  "\"username\":\"b\"}");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600,"
                  "\"\\u0075sername\":\"b\"}");
    refuse_claims("{\"username\":\"a\",\"exp\":1,\"exp\":1700003600}");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600,"
                  "\"admin\":false,\"admin\":true}");
    refuse_claims("{\"username\":\"a\",\"exp\":1700003600,"
                  "\"x\":{\"y\":1,\"y\":2}}");
}


static char *
nested(size_t depth)
{
    char  *payload, *p;
    size_t i;

    payload = malloc(2 * depth + 128);
    assert_non_null(payload);

    p = payload
        + sprintf(payload, "{\"username\":\"a\",\"exp\":1700003600,\"x\":");

    for (i = 0; i < depth; i++) {
        *p++ = '[';
    }

    for (i = 0; i < depth; i++) {
        *p++ = ']';
    }

    strcpy(p, "}");

    return payload;
}


/* S7: the stack holds, whatever is accepted. */
static void
test_depth(void **state)
{
    char        *payload, *value;
    v2m_claims_t claims;

    (void) state;

    payload = nested(1000);
    claims = read_claims(payload);
    free(payload);

    value = v2m_claims_get(&claims, "x", 1);
    assert_non_null(value);
    assert_int_equal(strlen(value), 2000);
    free(value);
    v2m_claims_free(&claims);

    /* in as many bytes as a token may have */

    payload = nested(2900);
    refuse_claims(payload);
    free(payload);
}


/* A token of exactly so many bytes. */
static char *
sized(size_t size)
{
    char   payload[2 * V2M_TOKEN_MAX], header[256];
    char  *token;
    size_t padding, extra;

    /* the lengths of base64 leave gaps; the header's length fills them */

    for (extra = 0; extra < 4; extra++) {
        snprintf(header, sizeof(header), "{\"alg\":\"HS256\"%*s}", (int) extra,
                 "");

        for (padding = size * 3 / 4 - 120; padding < size; padding++) {
            snprintf(payload, sizeof(payload),
                     "{\"username\":\"a\",\"exp\":1700003600,\"x\":\"%*s\"}",
                     (int) padding, "");
            token = sign(header, payload);

            if (strlen(token) == size) {
                return token;
            }

            if (strlen(token) > size) {
                free(token);
                break;
            }

            free(token);
        }
    }

    fail_msg("no token has %zu bytes", size);
    return NULL;
}


/* S7 */
static void
test_size(void **state)
{
    char  *token, *payload;
    size_t length = 65536;

    (void) state;

    assert_accepted(sized(V2M_TOKEN_MAX));
    assert_refused(sized(V2M_TOKEN_MAX + 1));

    payload = malloc(length + 1);
    assert_non_null(payload);
    snprintf(payload, length + 1,
             "{\"username\":\"a\",\"exp\":1700003600,\"x\":\"%*s\"}",
             (int) length - 60, "");
    refuse_claims(payload);
    free(payload);

    /* of each character alone */

    token = malloc(length);
    assert_non_null(token);

    memset(token, '.', length);
    assert_int_equal(
        v2m_token_verify(keys, token, length, NOW, &(v2m_claims_t){ 0 }, NULL),
        V2M_DENIED);
    memset(token, 'A', length);
    assert_int_equal(
        v2m_token_verify(keys, token, length, NOW, &(v2m_claims_t){ 0 }, NULL),
        V2M_DENIED);
    free(token);
}


static void
test_parts(void **state)
{
    size_t i;
    char  *token;

    static const char *const wrong[] = {
        "",     ".",      "..",       "...",         "A",
        "A.",   ".A",     "A.A",      "A.A.",        ".A.A",
        "A..A", "A.A.A",  "....",     "AA.AA.AA.AA", " ",
        "\n",   "Bearer", "e30.e30.", "e30.e30.e30", "null",
    };

    (void) state;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_refused(strdup(wrong[i]));
    }

    /* more than three parts, such as of JWE */

    token = malloc(strlen(PYJWT) + 16);
    assert_non_null(token);

    sprintf(token, "%s.", PYJWT);
    assert_int_equal(verify(token, NOW), V2M_DENIED);
    sprintf(token, "%s.AAAA", PYJWT);
    assert_int_equal(verify(token, NOW), V2M_DENIED);
    sprintf(token, ".%s", PYJWT);
    assert_int_equal(verify(token, NOW), V2M_DENIED);
    sprintf(token, " %s", PYJWT);
    assert_int_equal(verify(token, NOW), V2M_DENIED);
    sprintf(token, "%s ", PYJWT);
    assert_int_equal(verify(token, NOW), V2M_DENIED);
    sprintf(token, "%s=", PYJWT);
    assert_int_equal(verify(token, NOW), V2M_DENIED);
    sprintf(token, "%sA", PYJWT);
    assert_int_equal(verify(token, NOW), V2M_DENIED);
    free(token);
}


static void
test_truncated(void **state)
{
    size_t       i;
    v2m_claims_t claims;

    (void) state;

    for (i = 0; i < strlen(PYJWT); i++) {
        assert_int_equal(verify_bytes(keys, PYJWT, i, NOW, &claims),
                         V2M_DENIED);
        assert_int_equal(
            verify_bytes(keys, &PYJWT[strlen(PYJWT) - i], i, NOW, &claims),
            V2M_DENIED);
    }
}


/* S7: each byte of a good token, changed to each other byte that there is. */
static void
test_changed(void **state)
{
    int          c;
    char         token[sizeof(PYJWT)];
    size_t       i;
    v2m_claims_t claims;

    (void) state;

    memcpy(token, PYJWT, sizeof(PYJWT));

    for (i = 0; i < strlen(PYJWT); i++) {
        for (c = 0; c <= 255; c++) {
            if ((char) c == PYJWT[i]) {
                continue;
            }

            token[i] = (char) c;

            if (verify_bytes(keys, token, strlen(PYJWT), NOW, &claims)
                == V2M_OK) {
                fail_msg("byte %zu may be 0x%02x", i, c);
            }
        }

        token[i] = PYJWT[i];
    }

    assert_int_equal(verify(token, NOW), V2M_OK);
}


/* S7: each sequence of bytes has one text; of another even a right signature is
 * refused. */
static void
test_loose_base64(void **state)
{
    char           token[512], *p;
    uint8_t        digest[32];
    struct AVHMAC *hmac;
    size_t         i;

    /* {"alg":"HS256"} and its payload with bits that belong to no byte, or
     * with a single last letter */
    static const char *const inputs[] = {
        "eyJhbGciOiJIUzI1NiIsIm4iOjF9."
        "eyJ1c2VybmFtZSI6ImEiLCJleHAiOjE3MDAwMDM2MDB9",
        "eyJhbGciOiJIUzI1NiIsIm4iOjF9."
        "eyJ1c2VybmFtZSI6ImEiLCJleHAiOjE3MDAwMDM2MDB9A",
        "eyJhbGciOiJIUzI1NiJ9IA."
        "eyJ1c2VybmFtZSI6ImEiLCJleHAiOjE3MDAwMDM2MDB9",
        "eyJhbGciOiJIUzI1NiJ9IB."
        "eyJ1c2VybmFtZSI6ImEiLCJleHAiOjE3MDAwMDM2MDB9",
        "eyJhbGciOiJIUzI1NiJ9."
        "eyJ1c2VybmFtZSI6ImEiLCJleHAiOjE3MDAwMDM2MDB9ICA",
        "eyJhbGciOiJIUzI1NiJ9."
        "eyJ1c2VybmFtZSI6ImEiLCJleHAiOjE3MDAwMDM2MDB9ICD",
    };

    (void) state;

    for (i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        p = token + sprintf(token, "%s", inputs[i]);

        hmac = av_hmac_alloc(AV_HMAC_SHA256);
        assert_non_null(hmac);
        av_hmac_calc(hmac, (const uint8_t *) token, p - token,
                     (const uint8_t *) SECRET, strlen(SECRET), digest,
                     sizeof(digest));
        av_hmac_free(hmac);

        *p++ = '.';
        base64url(p, digest, sizeof(digest));

        /* of each pair the first is right */

        assert_int_equal(verify(token, NOW), i % 2 == 0 ? V2M_OK : V2M_DENIED);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_algorithm),     cmocka_unit_test(test_public_key),
        cmocka_unit_test(test_embedded_keys), cmocka_unit_test(test_header),
        cmocka_unit_test(test_duplicates),    cmocka_unit_test(test_depth),
        cmocka_unit_test(test_size),          cmocka_unit_test(test_parts),
        cmocka_unit_test(test_truncated),     cmocka_unit_test(test_changed),
        cmocka_unit_test(test_loose_base64),
    };

    return cmocka_run_group_tests(tests, make_keys, destroy_keys);
}
