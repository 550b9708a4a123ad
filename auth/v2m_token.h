/*
 * Tokens: JWT (RFC 7519), the one place that uses libjwt.  The algorithm is
 * the key's, never the token's.  Functions do not block and may be called from
 * any thread.
 */

#ifndef V2M_TOKEN_H
#define V2M_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_pkey.h"
#include "v2m_token_keys.h"

#define V2M_TOKEN_MAX      8192  /* bytes; a longer token is refused */
#define V2M_TOKEN_LEEWAY   60    /* seconds that clocks may differ */
#define V2M_TOKEN_LIFETIME 86400 /* seconds: 24 hours */

#define V2M_CLAIMS_ID V2M_DIGEST_SIZE /* bytes */

/* What a token says.  Strings are malloc'ed; see v2m_claims_free(). */
typedef struct {
    char   *username;
    char   *json;    /* all the claims, as one JSON object */
    int64_t issued;  /* seconds since the epoch */
    int64_t expires; /* seconds since the epoch */
    int     admin;   /* as our own tokens say, or the issuer may say */

    /* name this token, by its issuer and jti where it has one, and its user:
     * digests */
    unsigned char id[V2M_CLAIMS_ID];
    unsigned char user_id[V2M_CLAIMS_ID];
} v2m_claims_t;

/*
 * Makes a token with username, sub, iat, exp, admin and a random jti, signed
 * by the key that is there for it.  now and lifetime are in seconds.  *token is
 * malloc'ed.  V2M_INVALID: the username is empty or has control characters, so
 * no token of it is accepted.
 */
int v2m_token_create(const v2m_token_keys_t *keys, const char *username,
                     int admin, int64_t now, int64_t lifetime, char **token,
                     v2m_error_t *error);

/*
 * Checks a token at the time now (seconds since the epoch): signature by a
 * key of its issuer and the algorithm of that, exp present and not passed, iat
 * and nbf not in the future (each within V2M_TOKEN_LEEWAY), the claim with the
 * user's name a non-empty string without control characters, and an audience of
 * the issuer's; none in our own tokens.  V2M_DENIED: the text says what is
 * wrong and may be shown.
 */
int v2m_token_verify(const v2m_token_keys_t *keys, const char *token,
                     size_t length, int64_t now, v2m_claims_t *claims,
                     v2m_error_t *error);

/* The value of one claim as text: a string as it is, anything else as JSON.
 * Malloc'ed; NULL when there is no such claim, or it is a string with control
 * characters, which must not get into a header. */
char *v2m_claims_get(const v2m_claims_t *claims, const char *name,
                     size_t length);

/* What claims of that user have as their user_id.  V2M_ERROR: out of
 * memory. */
int v2m_claims_user_id(const char *username, unsigned char id[V2M_CLAIMS_ID],
                       v2m_error_t *error);

void v2m_claims_free(v2m_claims_t *claims);

#endif /* V2M_TOKEN_H */
