/* What the tests of tokens share: tokens of any content, signed by an HMAC
 * that is not libjwt's, and how they are judged. */

#ifndef TOKENS_H
#define TOKENS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <libavutil/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_token.h"

#define SECRET "an example of a secret, 32 bytes."
#define OTHER  "another secret that has 32 bytes."

#define NOW    INT64_C(1700000000)
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIMS "{\"username\":\"a@example.org\",\"exp\":1700003600}"

/* made by PyJWT 2 from {"username": "georgio@example.com",
 * "exp": 1700086400, "iat": 1700000000, "admin": True} and SECRET */
#define PYJWT                                                                  \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"                                     \
    ".eyJ1c2VybmFtZSI6Imdlb3JnaW9AZXhhbXBsZS5jb20iLCJleHAiOjE3MDAwODY0MDAsIm"  \
    "lhdCI6MTcwMDAwMDAwMCwiYWRtaW4iOnRydWV9"                                   \
    ".1toYXF8iW13-sg--X6JnIOfiBRRPhZKnz36BRg6Csag"

static v2m_token_keys_t *keys;


static inline size_t
base64url(char *out, const void *data, size_t length)
{
    char                *p;
    size_t               i;
    uint32_t             group;
    int                  bits;
    const unsigned char *bytes = data;

    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    p = out;
    group = 0;
    bits = 0;

    for (i = 0; i < length; i++) {
        group = group << 8 | bytes[i];
        bits += 8;

        while (bits >= 6) {
            bits -= 6;
            *p++ = letters[group >> bits & 63];
        }
    }

    if (bits > 0) {
        *p++ = letters[group << (6 - bits) & 63];
    }

    *p = '\0';

    return (size_t) (p - out);
}


static inline char *
sign_with(enum AVHMACType type, const char *secret, const char *header,
          const void *payload, size_t payload_length)
{
    int            length;
    char          *token, *p;
    uint8_t        digest[64];
    struct AVHMAC *hmac;

    token = malloc((strlen(header) + payload_length) * 4 / 3 + 128);
    assert_non_null(token);

    p = token + base64url(token, header, strlen(header));
    *p++ = '.';
    p += base64url(p, payload, payload_length);

    hmac = av_hmac_alloc(type);
    assert_non_null(hmac);

    length = av_hmac_calc(hmac, (const uint8_t *) token, p - token,
                          (const uint8_t *) secret, strlen(secret), digest,
                          sizeof(digest));
    assert_true(length > 0);
    av_hmac_free(hmac);

    *p++ = '.';
    base64url(p, digest, (size_t) length);

    return token;
}


static inline char *
sign(const char *header, const char *payload)
{
    return sign_with(AV_HMAC_SHA256, SECRET, header, payload, strlen(payload));
}


/* Verifies a copy without a zero byte at its end. */
static inline int
verify_bytes(const v2m_token_keys_t *with, const char *token, size_t length,
             int64_t now, v2m_claims_t *claims)
{
    int         rc;
    char       *copy;
    v2m_error_t error;

    copy = malloc(length + (length == 0));
    assert_non_null(copy);
    memcpy(copy, token, length);

    rc = v2m_token_verify(with, copy, length, now, claims, &error);
    free(copy);

    if (rc != V2M_OK) {
        assert_int_equal(rc, V2M_DENIED);
        assert_int_equal(error.code, V2M_DENIED);
        assert_true(error.text[0] != '\0');
        assert_null(claims->username);
        assert_null(claims->json);
        assert_int_equal(claims->expires, 0);
    }

    return rc;
}


static inline int
verify(const char *token, int64_t now)
{
    int          rc;
    v2m_claims_t claims;

    rc = verify_bytes(keys, token, strlen(token), now, &claims);
    v2m_claims_free(&claims);

    return rc;
}


/* Takes the token. */
static inline void
assert_accepted(char *token)
{
    if (verify(token, NOW) != V2M_OK) {
        fail_msg("refused: %s", token);
    }

    free(token);
}


static inline void
assert_refused(char *token)
{
    if (verify(token, NOW) == V2M_OK) {
        fail_msg("accepted: %s", token);
    }

    free(token);
}


static inline void
assert_reason(char *token, const char *reason)
{
    v2m_error_t  error;
    v2m_claims_t claims;

    assert_int_equal(
        v2m_token_verify(keys, token, strlen(token), NOW, &claims, &error),
        V2M_DENIED);
    assert_string_equal(error.text, reason);
    free(token);
}


static inline void
accept_claims(const char *payload)
{
    assert_accepted(sign(HEADER, payload));
}


static inline void
refuse_claims(const char *payload)
{
    assert_refused(sign(HEADER, payload));
}


static inline v2m_claims_t
read_claims(const char *payload)
{
    char        *token;
    v2m_claims_t claims;

    token = sign(HEADER, payload);
    assert_int_equal(verify_bytes(keys, token, strlen(token), NOW, &claims),
                     V2M_OK);
    free(token);

    return claims;
}


/* Keys of which one is there: a secret without a name. */
static inline int
make_secret(v2m_token_keys_t **made, const void *secret, size_t length,
            v2m_error_t *error)
{
    int rc;

    assert_int_equal(v2m_token_keys_create(made, error), V2M_OK);

    rc = v2m_token_keys_add_secret(*made, secret, length, error);

    if (rc != V2M_OK) {
        v2m_token_keys_destroy(*made);
        *made = NULL;
    }

    return rc;
}


static inline int
make_keys(void **state)
{
    (void) state;

    return make_secret(&keys, SECRET, strlen(SECRET), NULL);
}


static inline int
destroy_keys(void **state)
{
    (void) state;

    v2m_token_keys_destroy(keys);

    return 0;
}

#endif /* TOKENS_H */
