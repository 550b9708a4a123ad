/*
 * All the keys that tokens are made and checked with: our own, of which one
 * signs and any number only verify, and those of other issuers.
 *
 * A set of keys is filled once and read by any number of threads afterwards.
 */

#ifndef V2M_TOKEN_KEYS_H
#define V2M_TOKEN_KEYS_H

#include "v2m_token_key.h"

typedef struct v2m_token_keys_s v2m_token_keys_t;

/* What is said of another issuer. */
typedef struct {
    const char        *url;
    const char        *file; /* with its keys, a JWK Set (RFC 7517) */
    const char *const *audiences;
    size_t             audience_count; /* one at least */
    const char        *user;           /* as below, both */
    const char        *admin;
} v2m_token_issuer_options_t;

/* Whose tokens they are: what is checked of them beside the signature. */
typedef struct {
    char  *url; /* the claim iss, NULL: ourselves */
    char **audiences;
    size_t audience_count;
    char  *user;  /* the claim that names the user; NULL: username, else sub */
    char  *admin; /* of others: the claim that makes administrators, or NULL */

    v2m_token_key_t *keys;
    size_t           count;
} v2m_token_issuer_t;

int v2m_token_keys_create(v2m_token_keys_t **keys, v2m_error_t *error);

/* Wipes and frees.  NULL is allowed. */
void v2m_token_keys_destroy(v2m_token_keys_t *keys);

/* Adds our key without a name, of which there is one at most.  V2M_INVALID:
 * the secret is too short. */
int v2m_token_keys_add_secret(v2m_token_keys_t    *keys,
                              const unsigned char *secret, size_t length,
                              v2m_error_t *error);

/*
 * Adds our keys that are in a directory, one in each file (see
 * v2m_token_key_file()); names that begin with a dot are passed over.  Tokens
 * are signed by the key of the name sign; NULL: by the only one that can.
 * V2M_INVALID: a file is no good key, none is there, two have one name, or
 * it is not clear which one signs.
 */
int v2m_token_keys_add_directory(v2m_token_keys_t *keys, const char *directory,
                                 const char *sign, v2m_error_t *error);

/*
 * Adds another issuer; everything is copied.  V2M_INVALID: the file is no JWK
 * Set, has no key of use, or a broken one; V2M_CONFLICT: the issuer is there
 * already.
 */
int v2m_token_keys_add_issuer(v2m_token_keys_t                 *keys,
                              const v2m_token_issuer_options_t *options,
                              v2m_error_t                      *error);

/* Whose token it is that has this iss, NULL for none: another issuer's, else
 * ours. */
const v2m_token_issuer_t *v2m_token_keys_issuer(const v2m_token_keys_t *keys,
                                                const char             *iss);

/* The key of that name.  Tokens that name none, or an issuer none of whose
 * keys has a name: the key without one.  NULL: there is none. */
const v2m_token_key_t *v2m_token_keys_find(const v2m_token_issuer_t *issuer,
                                           const char               *kid);

/* The key that signs our tokens; NULL: none can. */
const v2m_token_key_t *v2m_token_keys_signer(const v2m_token_keys_t *keys);

/* Our public keys as a JWK Set, malloc'ed; NULL: out of memory. */
char *v2m_token_keys_public(const v2m_token_keys_t *keys);

#endif /* V2M_TOKEN_KEYS_H */
