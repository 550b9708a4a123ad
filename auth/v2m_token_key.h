/*
 * One key for tokens, and where it comes from: a file of its own, or a JSON
 * Web Key (RFC 7517).  The key says which algorithm it is for.
 */

#ifndef V2M_TOKEN_KEY_H
#define V2M_TOKEN_KEY_H

#include <jansson.h>
#include <stddef.h>

#include "v2m_error.h"

#define V2M_TOKEN_SECRET_MIN 32  /* bytes: RFC 7518 section 3.2 for HS256 */
#define V2M_TOKEN_KID_MAX    128 /* bytes */

typedef enum {
    V2M_TOKEN_HS256,
    V2M_TOKEN_RS256,
    V2M_TOKEN_ES256
} v2m_token_algorithm_t;

typedef struct {
    char                 *kid; /* NULL: of tokens that name no key */
    v2m_token_algorithm_t algorithm;

    /* HS256: the secret, else PEM with its final zero; malloc'ed */
    char  *verifier;
    size_t verifier_length;
    char  *signer; /* NULL: the key only verifies */
    size_t signer_length;

    json_t *jwk; /* the public key; NULL: it is a secret */
} v2m_token_key_t;

/* As in the header of a token: "HS256". */
const char *v2m_token_algorithm_name(v2m_token_algorithm_t algorithm);

/* Copies the secret.  V2M_INVALID: shorter than V2M_TOKEN_SECRET_MIN. */
int v2m_token_key_secret(v2m_token_key_t *key, const unsigned char *secret,
                         size_t length, v2m_error_t *error);

/*
 * Reads the file directory/name, which names the key and, where that is not
 * clear, the algorithm: KID.pem, KID.ALGORITHM.pem or KID.secret.
 * V2M_INVALID: it is none of these, holds no usable key, or too many may read
 * or write it.
 */
int v2m_token_key_file(v2m_token_key_t *key, const char *directory,
                       const char *name, v2m_error_t *error);

/*
 * Makes a key that only verifies of a JWK.  V2M_NOT_FOUND: it is for another
 * use or of a type that is not ours, and to be passed over (RFC 7517 section
 * 5); V2M_INVALID: it is broken, weak or private.
 */
int v2m_token_key_jwk(v2m_token_key_t *key, const json_t *jwk,
                      v2m_error_t *error);

/* Wipes and frees what is inside. */
void v2m_token_key_free(v2m_token_key_t *key);

#endif /* V2M_TOKEN_KEY_H */
