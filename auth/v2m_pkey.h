/*
 * Public and private keys, by OpenSSL.  Functions do not block and may be
 * called from any thread.
 */

#ifndef V2M_PKEY_H
#define V2M_PKEY_H

#include <stddef.h>

#include "v2m_error.h"

#define V2M_PKEY_RSA_MIN  2048  /* bits: RFC 7518 section 3.3 */
#define V2M_PKEY_RSA_MAX  16384 /* bits; checking would take too long */
#define V2M_PKEY_PART_MAX (V2M_PKEY_RSA_MAX / 8)

#define V2M_DIGEST_SIZE 32

typedef enum { V2M_PKEY_RSA, V2M_PKEY_P256 } v2m_pkey_type_t;

typedef struct {
    v2m_pkey_type_t type;
    int             is_private;
    char           *public_pem;
    char           *private_pem; /* NULL: it is none */

    /* the public key's numbers, big-endian: n and e, or x and y */
    unsigned char first[V2M_PKEY_PART_MAX];
    size_t        first_length;
    unsigned char second[V2M_PKEY_PART_MAX];
    size_t        second_length;
} v2m_pkey_t;

/*
 * Reads one key, private or public, from PEM without a password.
 * V2M_INVALID: it is no such key, neither RSA nor on the curve P-256, or an
 * RSA key of a length beyond the limits.  Free with v2m_pkey_free().
 */
int v2m_pkey_read(v2m_pkey_t *pkey, const char *pem, v2m_error_t *error);

/* Makes a public key of its two numbers (see above); V2M_INVALID as above, or
 * they are no key, such as a point that is not on the curve. */
int v2m_pkey_make(v2m_pkey_t *pkey, v2m_pkey_type_t type,
                  const unsigned char *first, size_t first_length,
                  const unsigned char *second, size_t second_length,
                  v2m_error_t *error);

/* Wipes and frees what is inside. */
void v2m_pkey_free(v2m_pkey_t *pkey);

/* SHA-256.  V2M_ERROR: out of memory. */
int v2m_digest(const void *data, size_t length,
               unsigned char digest[V2M_DIGEST_SIZE], v2m_error_t *error);

#endif /* V2M_PKEY_H */
