/*
 * Tokens.  The first byte says what the rest is: a token, or header and
 * claims up to and after a newline, which are signed here, so that what is
 * behind the signature is reached.
 */

#ifndef FUZZ_TOKEN_H
#define FUZZ_TOKEN_H

#include <libavutil/base64.h>
#include <libavutil/hmac.h>

#include "fuzz.h"
#include "v2m_token.h"

#define FUZZ_TOKEN_SECRET "an example of a secret, 32 bytes."
#define FUZZ_TOKEN_NOW    INT64_C(1700000000)


/* Appends base64url. */
static inline size_t
fuzz_token_segment(char *out, const void *bytes, size_t length)
{
    size_t i, used;

    av_base64_encode(out, (int) AV_BASE64_SIZE(length), bytes, (int) length);

    for (i = 0, used = 0; out[i] != '\0'; i++) {
        if (out[i] != '=') {
            out[used++] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
        }
    }

    return used;
}


static inline char *
fuzz_token_sign(const uint8_t *bytes, size_t length, size_t *signed_length)
{
    char          *token;
    size_t         used, header;
    uint8_t        digest[32];
    struct AVHMAC *hmac;
    const uint8_t *newline;

    newline = memchr(bytes, '\n', length);
    header = newline != NULL ? (size_t) (newline - bytes) : length;

    token = malloc(AV_BASE64_SIZE(length) + 2 * AV_BASE64_SIZE(32) + 8);
    hmac = av_hmac_alloc(AV_HMAC_SHA256);
    FUZZ_CHECK(token != NULL && hmac != NULL);

    used = fuzz_token_segment(token, bytes, header);
    token[used++] = '.';
    header += newline != NULL;
    used += fuzz_token_segment(token + used, bytes + header, length - header);

    av_hmac_calc(hmac, (const uint8_t *) token, (unsigned) used,
                 (const uint8_t *) FUZZ_TOKEN_SECRET,
                 sizeof(FUZZ_TOKEN_SECRET) - 1, digest, sizeof(digest));
    av_hmac_free(hmac);

    token[used++] = '.';
    used += fuzz_token_segment(token + used, digest, sizeof(digest));
    *signed_length = used;

    return token;
}


static inline void
fuzz_token_claims(const v2m_claims_t *claims)
{
    char  *value;
    size_t i;

    static const char *const names[] = { "username", "sub", "exp", "jti",
                                         "admin",    "x",   "" };

    FUZZ_CHECK(claims->username != NULL && claims->username[0] != '\0');
    FUZZ_CHECK(!fuzz_has_controls(claims->username));
    FUZZ_CHECK(fuzz_is_utf8(claims->username));
    FUZZ_CHECK(claims->expires + V2M_TOKEN_LEEWAY >= FUZZ_TOKEN_NOW);
    FUZZ_CHECK(claims->issued <= FUZZ_TOKEN_NOW + V2M_TOKEN_LEEWAY);
    FUZZ_CHECK(claims->json != NULL && claims->json[0] == '{');

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        value = v2m_claims_get(claims, names[i], strlen(names[i]));
        FUZZ_CHECK(value == NULL || fuzz_is_utf8(value));
        free(value);
    }
}


static inline int
fuzz_token(const uint8_t *bytes, size_t length)
{
    int                      rc;
    char                    *token;
    size_t                   token_length;
    v2m_error_t              error;
    v2m_claims_t             claims;
    static v2m_token_keys_t *keys;

    if (keys == NULL) {
        FUZZ_CHECK(v2m_token_keys_create(&keys, &error) == V2M_OK);
        FUZZ_CHECK(v2m_token_keys_add_secret(
                       keys, (const unsigned char *) FUZZ_TOKEN_SECRET,
                       sizeof(FUZZ_TOKEN_SECRET) - 1, &error)
                   == V2M_OK);
    }

    if (length == 0) {
        return 0;
    }

    if (bytes[0] & 1) {
        token = fuzz_token_sign(bytes + 1, length - 1, &token_length);
    } else {
        token_length = length - 1;
        token = fuzz_copy(bytes + 1, token_length);
    }

    rc = v2m_token_verify(keys, token, token_length, FUZZ_TOKEN_NOW, &claims,
                          &error);

    if (rc == V2M_OK) {
        fuzz_token_claims(&claims);
        v2m_claims_free(&claims);

    } else {
        FUZZ_CHECK(rc == V2M_DENIED && error.text[0] != '\0');
        FUZZ_CHECK(fuzz_is_utf8(error.text) && !fuzz_has_controls(error.text));
        FUZZ_CHECK(claims.username == NULL && claims.json == NULL);
    }

    free(token);

    return 0;
}

#endif /* FUZZ_TOKEN_H */
