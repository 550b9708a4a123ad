/*
 * base64url without padding (RFC 4648 section 5), as JSON Web Signatures have
 * it.
 */

#ifndef V2M_BASE64URL_H
#define V2M_BASE64URL_H

#include <stddef.h>

/* Bytes that v2m_base64url_encode() writes for so many, the final zero
 * included. */
#define V2M_BASE64URL_SIZE(length) (((length) *4 + 2) / 3 + 1)

/* 1 when the text is base64url, not empty, and the only text there is for its
 * bytes: bits that belong to no byte are zero (section 3.5). */
int v2m_base64url_check(const char *text, size_t length);

/* Decodes a text that v2m_base64url_check() found good.  Returns the bytes
 * written, at most 3/4 of the length. */
size_t v2m_base64url_decode(const char *text, size_t length, void *out);

/* out has V2M_BASE64URL_SIZE(length) bytes. */
void v2m_base64url_encode(const void *data, size_t length, char *out);

#endif /* V2M_BASE64URL_H */
