#include "v2m_digest.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct v2m_digest_s {
    EVP_MD_CTX *context;
    int         failed; /* then the value is all zeroes */
};

static const char *const v2m_digest_names[] = { "sha1", "sha256", "sha512" };


int
v2m_digest_create(v2m_digest_t **digest, const char *name, size_t name_length,
                  size_t *size, v2m_error_t *error)
{
    size_t        i, count;
    const EVP_MD *algorithm;

    algorithm = NULL;
    count = sizeof(v2m_digest_names) / sizeof(v2m_digest_names[0]);

    for (i = 0; i < count && algorithm == NULL; i++) {
        if (strlen(v2m_digest_names[i]) == name_length
            && memcmp(v2m_digest_names[i], name, name_length) == 0)
        {
            algorithm = EVP_get_digestbyname(v2m_digest_names[i]);
        }
    }

    if (algorithm == NULL) {
        return v2m_error_set(error, V2M_NOT_FOUND,
                             "the algorithms for checksums are %s",
                             V2M_DIGEST_NAMES);
    }

    *digest = calloc(1, sizeof(v2m_digest_t));

    if (*digest == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    (*digest)->context = EVP_MD_CTX_new();

    if ((*digest)->context == NULL
        || EVP_DigestInit_ex((*digest)->context, algorithm, NULL) != 1)
    {
        v2m_digest_free(*digest);
        return v2m_error_set(error, V2M_ERROR, "no digest could be begun");
    }

    *size = (size_t) EVP_MD_size(algorithm);

    return V2M_OK;
}


void
v2m_digest_update(v2m_digest_t *digest, const void *data, size_t length)
{
    if (EVP_DigestUpdate(digest->context, data, length) != 1) {
        digest->failed = 1;
    }
}


void
v2m_digest_final(v2m_digest_t *digest, unsigned char value[V2M_DIGEST_MAX])
{
    if (EVP_DigestFinal_ex(digest->context, value, NULL) != 1 || digest->failed)
    {
        memset(value, 0, V2M_DIGEST_MAX);
    }
}


void
v2m_digest_free(v2m_digest_t *digest)
{
    if (digest != NULL) {
        EVP_MD_CTX_free(digest->context);
        free(digest);
    }
}
