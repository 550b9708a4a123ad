/*
 * HMAC-SHA-256 and base64, from OpenSSL's libcrypto.  Any thread.
 */

#ifndef V2M_HMAC_H
#define V2M_HMAC_H

#include <stddef.h>

#define V2M_HMAC_LENGTH 32 /* bytes of a digest */

/* Characters of so many bytes as base64, with the zero at the end. */
#define V2M_BASE64_SIZE(length) (((length) + 2) / 3 * 4 + 1)

/* RFC 2104 with SHA-256.  0: libcrypto could not, which only a lack of memory
 * or a broken installation explains. */
int v2m_hmac_sha256(unsigned char digest[V2M_HMAC_LENGTH], const void *key,
                    size_t key_length, const void *text, size_t length);

/* RFC 4648, section 4, padded.  The text has V2M_BASE64_SIZE(length) bytes. */
void v2m_base64(char *text, const unsigned char *bytes, size_t length);

#endif /* V2M_HMAC_H */
