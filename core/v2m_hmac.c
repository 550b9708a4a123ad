#include "v2m_hmac.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>


int
v2m_hmac_sha256(unsigned char digest[V2M_HMAC_LENGTH], const void *key,
                size_t key_length, const void *text, size_t length)
{
    unsigned made;

    return HMAC(EVP_sha256(), key, (int) key_length, text, length, digest,
                &made)
               != NULL
           && made == V2M_HMAC_LENGTH;
}


void
v2m_base64(char *text, const unsigned char *bytes, size_t length)
{
    EVP_EncodeBlock((unsigned char *) text, bytes, (int) length);
}
