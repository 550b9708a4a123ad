/*
 * Digests of data that comes in pieces, by OpenSSL.  Functions do not block and
 * may be called from any thread, one digest by one thread at a time.
 */

#ifndef V2M_DIGEST_H
#define V2M_DIGEST_H

#include <stddef.h>

#include "v2m_error.h"

#define V2M_DIGEST_MAX 64 /* bytes, of the longest */

/* The algorithms' names, as tus has them. */
#define V2M_DIGEST_NAMES "sha1,sha256,sha512"

typedef struct v2m_digest_s v2m_digest_t;

/* Begins a digest; free with v2m_digest_free().  V2M_NOT_FOUND: there is no
 * algorithm of that name; *size: the digest's length in bytes. */
int v2m_digest_create(v2m_digest_t **digest, const char *name,
                      size_t name_length, size_t *size, v2m_error_t *error);

void v2m_digest_update(v2m_digest_t *digest, const void *data, size_t length);

/* Writes the digest, of the size that was told.  To be called once. */
void v2m_digest_final(v2m_digest_t *digest,
                      unsigned char value[V2M_DIGEST_MAX]);

/* NULL is allowed. */
void v2m_digest_free(v2m_digest_t *digest);

#endif /* V2M_DIGEST_H */
