#include "v2m_pkey.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_config.h"

#define V2M_PKEY_CURVE        "prime256v1" /* OpenSSL's name for P-256 */
#define V2M_PKEY_COORDINATE   32           /* bytes */
#define V2M_PKEY_UNCOMPRESSED 0x04         /* SEC 1 section 2.3.3 */


/* Else OpenSSL would ask for a password on the terminal. */
static int
v2m_pkey_no_password(char *buffer, int size, int writing, void *data)
{
    (void) buffer;
    (void) size;
    (void) writing;
    (void) data;

    return -1;
}


/* The key as PEM, malloc'ed; NULL: out of memory. */
static char *
v2m_pkey_write(EVP_PKEY *key, int is_private)
{
    int   rc;
    BIO  *bio;
    char *data, *text;
    long  length;

    bio = BIO_new(BIO_s_secmem());
    if (bio == NULL) {
        return NULL;
    }

    text = NULL;
    rc = is_private
             ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
             : PEM_write_bio_PUBKEY(bio, key);

    if (rc == 1) {
        length = BIO_get_mem_data(bio, &data);
        text = strndup(data, (size_t) length);
    }

    BIO_free(bio);

    return text;
}


/* Reads one number of the key, padded to size when that is not 0. */
static int
v2m_pkey_number(EVP_PKEY *key, const char *name, size_t size,
                unsigned char *out, size_t *length)
{
    int     rc;
    BIGNUM *number;

    number = NULL;

    if (EVP_PKEY_get_bn_param(key, name, &number) != 1) {
        return V2M_ERROR;
    }

    *length = size != 0 ? size : (size_t) BN_num_bytes(number);

    rc = *length <= V2M_PKEY_PART_MAX
                 && BN_bn2binpad(number, out, (int) *length) >= 0
             ? V2M_OK
             : V2M_ERROR;

    BN_free(number);

    return rc;
}


static int
v2m_pkey_check_type(EVP_PKEY *key, v2m_pkey_type_t *type, v2m_error_t *error)
{
    int  bits;
    char curve[32];

    if (EVP_PKEY_is_a(key, "RSA")) {
        *type = V2M_PKEY_RSA;
        bits = EVP_PKEY_get_bits(key);

        if (bits < V2M_PKEY_RSA_MIN || bits > V2M_PKEY_RSA_MAX) {
            return v2m_error_set(error, V2M_INVALID,
                                 "the RSA key has %d bits, it needs %d to %d",
                                 bits, V2M_PKEY_RSA_MIN, V2M_PKEY_RSA_MAX);
        }

        return V2M_OK;
    }

    if (EVP_PKEY_is_a(key, "EC")
        && EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) == 1
        && strcmp(curve, V2M_PKEY_CURVE) == 0)
    {
        *type = V2M_PKEY_P256;
        return V2M_OK;
    }

    return v2m_error_set(error, V2M_INVALID,
                         "the key is neither RSA nor on the curve P-256");
}


/* Fills the key from OpenSSL's. */
static int
v2m_pkey_take(v2m_pkey_t *pkey, EVP_PKEY *key, int is_private,
              v2m_error_t *error)
{
    int           rc, valid;
    EVP_PKEY_CTX *context;

    rc = v2m_pkey_check_type(key, &pkey->type, error);
    if (rc != V2M_OK) {
        return rc;
    }

    context = EVP_PKEY_CTX_new(key, NULL);
    if (context == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    valid = EVP_PKEY_public_check(context) == 1
            && (!is_private || EVP_PKEY_pairwise_check(context) == 1);
    EVP_PKEY_CTX_free(context);

    if (!valid) {
        return v2m_error_set(error, V2M_INVALID,
                             "the numbers of the key are no key");
    }

    if (pkey->type == V2M_PKEY_RSA) {
        rc = v2m_pkey_number(key, OSSL_PKEY_PARAM_RSA_N, 0, pkey->first,
                             &pkey->first_length);

        if (rc == V2M_OK) {
            rc = v2m_pkey_number(key, OSSL_PKEY_PARAM_RSA_E, 0, pkey->second,
                                 &pkey->second_length);
        }

    } else {
        rc = v2m_pkey_number(key, OSSL_PKEY_PARAM_EC_PUB_X, V2M_PKEY_COORDINATE,
                             pkey->first, &pkey->first_length);

        if (rc == V2M_OK) {
            rc = v2m_pkey_number(key, OSSL_PKEY_PARAM_EC_PUB_Y,
                                 V2M_PKEY_COORDINATE, pkey->second,
                                 &pkey->second_length);
        }
    }

    if (rc == V2M_OK) {
        pkey->is_private = is_private;
        pkey->public_pem = v2m_pkey_write(key, 0);
        pkey->private_pem = is_private ? v2m_pkey_write(key, 1) : NULL;

        if (pkey->public_pem == NULL
            || (is_private && pkey->private_pem == NULL)) {
            v2m_pkey_free(pkey);
            rc = V2M_ERROR;
        }
    }

    return rc == V2M_OK ? V2M_OK
                        : v2m_error_set(error, rc, "cannot read the key");
}


int
v2m_pkey_read(v2m_pkey_t *pkey, const char *pem, v2m_error_t *error)
{
    int       rc, is_private;
    BIO      *bio;
    EVP_PKEY *key;

    memset(pkey, 0, sizeof(v2m_pkey_t));

    bio = BIO_new_mem_buf(pem, -1);
    if (bio == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    is_private = strstr(pem, "PRIVATE KEY-----") != NULL;

    key = is_private
              ? PEM_read_bio_PrivateKey(bio, NULL, v2m_pkey_no_password, NULL)
              : PEM_read_bio_PUBKEY(bio, NULL, v2m_pkey_no_password, NULL);

    BIO_free(bio);

    if (key != NULL) {
        rc = v2m_pkey_take(pkey, key, is_private, error);
        EVP_PKEY_free(key);

    } else {
        rc = v2m_error_set(error, V2M_INVALID,
                           "there is no PEM text of a public key or of a "
                           "private key without a password");
    }

    /* nginx would log what stays here as its own error */
    ERR_clear_error();

    return rc;
}


/* The parameters of a public key; NULL: out of memory.  The numbers stay in
 * use by it. */
static OSSL_PARAM *
v2m_pkey_parameters(v2m_pkey_type_t type, const unsigned char *first,
                    size_t first_length, const unsigned char *second,
                    size_t second_length, BIGNUM **n, BIGNUM **e,
                    unsigned char *point)
{
    OSSL_PARAM     *parameters;
    OSSL_PARAM_BLD *builder;

    builder = OSSL_PARAM_BLD_new();
    if (builder == NULL) {
        return NULL;
    }

    parameters = NULL;

    if (type == V2M_PKEY_RSA) {
        *n = BN_bin2bn(first, (int) first_length, NULL);
        *e = BN_bin2bn(second, (int) second_length, NULL);

        if (*n != NULL && *e != NULL
            && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, *n) == 1
            && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, *e) == 1)
        {
            parameters = OSSL_PARAM_BLD_to_param(builder);
        }

    } else {
        point[0] = V2M_PKEY_UNCOMPRESSED;
        memcpy(point + 1, first, V2M_PKEY_COORDINATE);
        memcpy(point + 1 + V2M_PKEY_COORDINATE, second, V2M_PKEY_COORDINATE);

        if (OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
                                            V2M_PKEY_CURVE, 0)
                == 1
            && OSSL_PARAM_BLD_push_octet_string(builder,
                                                OSSL_PKEY_PARAM_PUB_KEY, point,
                                                1 + 2 * V2M_PKEY_COORDINATE)
                   == 1)
        {
            parameters = OSSL_PARAM_BLD_to_param(builder);
        }
    }

    OSSL_PARAM_BLD_free(builder);

    return parameters;
}


int
v2m_pkey_make(v2m_pkey_t *pkey, v2m_pkey_type_t type,
              const unsigned char *first, size_t first_length,
              const unsigned char *second, size_t second_length,
              v2m_error_t *error)
{
    int           rc;
    BIGNUM       *n, *e;
    EVP_PKEY     *key;
    OSSL_PARAM   *parameters;
    EVP_PKEY_CTX *context;
    unsigned char point[1 + 2 * V2M_PKEY_COORDINATE];

    memset(pkey, 0, sizeof(v2m_pkey_t));

    if (type == V2M_PKEY_P256
        && (first_length != V2M_PKEY_COORDINATE
            || second_length != V2M_PKEY_COORDINATE))
    {
        return v2m_error_set(error, V2M_INVALID,
                             "x and y of a key on P-256 have %d bytes each",
                             V2M_PKEY_COORDINATE);
    }

    if (first_length > V2M_PKEY_PART_MAX || second_length > V2M_PKEY_PART_MAX) {
        return v2m_error_set(error, V2M_INVALID, "the key is too large");
    }

    n = e = NULL;
    key = NULL;

    parameters = v2m_pkey_parameters(type, first, first_length, second,
                                     second_length, &n, &e, point);
    context = EVP_PKEY_CTX_new_from_name(
        NULL, type == V2M_PKEY_RSA ? "RSA" : "EC", NULL);

    if (parameters == NULL || context == NULL) {
        rc = v2m_error_set(error, V2M_ERROR, "out of memory");

    } else if (EVP_PKEY_fromdata_init(context) != 1
               || EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY,
                                    parameters)
                      != 1)
    {
        rc = v2m_error_set(error, V2M_INVALID,
                           "the numbers of the key are no key");

    } else {
        rc = v2m_pkey_take(pkey, key, 0, error);
    }

    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    BN_free(n);
    BN_free(e);
    ERR_clear_error();

    return rc;
}


void
v2m_pkey_free(v2m_pkey_t *pkey)
{
    free(pkey->public_pem);
    v2m_config_wipe(pkey->private_pem);

    pkey->public_pem = NULL;
    pkey->private_pem = NULL;
}


int
v2m_digest(const void *data, size_t length,
           unsigned char digest[V2M_DIGEST_SIZE], v2m_error_t *error)
{
    if (EVP_Digest(data, length, digest, NULL, EVP_sha256(), NULL) != 1) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    return V2M_OK;
}
