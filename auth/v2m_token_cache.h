/*
 * Remembers tokens that were found good, as a client sends the same one again
 * and again, and checking its signature is most of the work of a small request.
 *
 * Not thread-safe: for one thread, or one lock.
 */

#ifndef V2M_TOKEN_CACHE_H
#define V2M_TOKEN_CACHE_H

#include "v2m_token.h"

/* Longer tokens are checked each time, which bounds the memory. */
#define V2M_TOKEN_CACHE_LONGEST 1024 /* bytes */

typedef struct v2m_token_cache_s v2m_token_cache_t;

/* Takes no ownership of the keys, which must stay as long as the cache.
 * slots: tokens remembered, at most; a power of two. */
int v2m_token_cache_create(v2m_token_cache_t     **cache,
                           const v2m_token_keys_t *keys, size_t slots,
                           v2m_error_t *error);

/* Wipes the tokens.  NULL is allowed. */
void v2m_token_cache_destroy(v2m_token_cache_t *cache);

/* As v2m_token_verify(); the claims are the caller's own copy. */
int v2m_token_cache_verify(v2m_token_cache_t *cache, const char *token,
                           size_t length, int64_t now, v2m_claims_t *claims,
                           v2m_error_t *error);

#endif /* V2M_TOKEN_CACHE_H */
