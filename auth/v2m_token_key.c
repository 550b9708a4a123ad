#include "v2m_token_key.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "v2m_base64url.h"
#include "v2m_config.h"
#include "v2m_pkey.h"

/* By v2m_token_algorithm_t; the algorithms of a type of key begin with its
 * usual one. */
static const struct {
    const char     *name;
    const char     *kty; /* RFC 7518 section 6.1 */
    v2m_pkey_type_t type;
} v2m_token_algorithms[] = {
    [V2M_TOKEN_HS256] = { "HS256", "oct", 0 },
    [V2M_TOKEN_RS256] = { "RS256", "RSA", V2M_PKEY_RSA },
    [V2M_TOKEN_ES256] = { "ES256", "EC", V2M_PKEY_P256 },
};

#define V2M_TOKEN_ALGORITHMS                                                   \
    (sizeof(v2m_token_algorithms) / sizeof(v2m_token_algorithms[0]))


const char *
v2m_token_algorithm_name(v2m_token_algorithm_t algorithm)
{
    return v2m_token_algorithms[algorithm].name;
}


/* The algorithm of a name, compared by compare; V2M_NOT_FOUND: it is none. */
static int
v2m_token_algorithm_find(const char *name, v2m_token_algorithm_t *algorithm,
                         int (*compare)(const char *, const char *))
{
    size_t i;

    for (i = 0; i < V2M_TOKEN_ALGORITHMS; i++) {
        if (compare(name, v2m_token_algorithms[i].name) == 0) {
            *algorithm = (v2m_token_algorithm_t) i;
            return V2M_OK;
        }
    }

    return V2M_NOT_FOUND;
}


static int
v2m_token_no_memory(v2m_error_t *error)
{
    return v2m_error_set(error, V2M_ERROR, "out of memory");
}


void
v2m_token_key_free(v2m_token_key_t *key)
{
    if (key->verifier != NULL) {
        explicit_bzero(key->verifier, key->verifier_length);
    }

    if (key->signer != NULL) {
        explicit_bzero(key->signer, key->signer_length);
    }

    free(key->kid);
    free(key->verifier);
    free(key->signer);
    json_decref(key->jwk);
    memset(key, 0, sizeof(v2m_token_key_t));
}


int
v2m_token_key_secret(v2m_token_key_t *key, const unsigned char *secret,
                     size_t length, v2m_error_t *error)
{
    memset(key, 0, sizeof(v2m_token_key_t));

    if (length < V2M_TOKEN_SECRET_MIN) {
        return v2m_error_set(error, V2M_INVALID,
                             "the secret for tokens has %zu bytes, it needs "
                             "at least %d",
                             length, V2M_TOKEN_SECRET_MIN);
    }

    if (length > INT_MAX) {
        return v2m_error_set(error, V2M_INVALID,
                             "the secret for tokens is too long");
    }

    key->algorithm = V2M_TOKEN_HS256;
    key->verifier = malloc(length);
    key->signer = malloc(length);

    if (key->verifier == NULL || key->signer == NULL) {
        v2m_token_key_free(key);
        return v2m_token_no_memory(error);
    }

    key->verifier_length = key->signer_length = length;
    memcpy(key->verifier, secret, length);
    memcpy(key->signer, secret, length);

    return V2M_OK;
}


static json_t *
v2m_token_base64url(const unsigned char *bytes, size_t length)
{
    char text[V2M_BASE64URL_SIZE(V2M_PKEY_PART_MAX)];

    v2m_base64url_encode(bytes, length, text);

    return json_string(text);
}


/* The public key as a JWK (RFC 7517 section 4, RFC 7518 section 6). */
static json_t *
v2m_token_make_jwk(const v2m_token_key_t *key, const v2m_pkey_t *pkey)
{
    json_t *jwk;

    jwk =
        json_pack("{s:s, s:s, s:s, s:s*}", "kty",
                  v2m_token_algorithms[key->algorithm].kty, "use", "sig", "alg",
                  v2m_token_algorithms[key->algorithm].name, "kid", key->kid);

    if (pkey->type == V2M_PKEY_RSA) {
        json_object_set_new(
            jwk, "n", v2m_token_base64url(pkey->first, pkey->first_length));
        json_object_set_new(
            jwk, "e", v2m_token_base64url(pkey->second, pkey->second_length));

    } else {
        json_object_set_new(jwk, "crv", json_string("P-256"));
        json_object_set_new(
            jwk, "x", v2m_token_base64url(pkey->first, pkey->first_length));
        json_object_set_new(
            jwk, "y", v2m_token_base64url(pkey->second, pkey->second_length));
    }

    return jwk;
}


/* Fills the key, whose kid and algorithm are set, from a pair of keys. */
static int
v2m_token_take_pkey(v2m_token_key_t *key, v2m_pkey_t *pkey, v2m_error_t *error)
{
    key->jwk = v2m_token_make_jwk(key, pkey);
    if (key->jwk == NULL) {
        return v2m_token_no_memory(error);
    }

    key->verifier = pkey->public_pem;
    key->verifier_length = strlen(pkey->public_pem) + 1;
    pkey->public_pem = NULL;

    if (pkey->private_pem != NULL) {
        key->signer = pkey->private_pem;
        key->signer_length = strlen(pkey->private_pem) + 1;
        pkey->private_pem = NULL;
    }

    return V2M_OK;
}


static int
v2m_token_is_kid(const char *kid, size_t length)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

    return length > 0 && length <= V2M_TOKEN_KID_MAX
           && strspn(kid, letters) >= length;
}


/* Takes a file's name apart.  *pinned: it names an algorithm. */
static int
v2m_token_read_name(v2m_token_key_t *key, const char *name, int *is_pem,
                    int *pinned, v2m_error_t *error)
{
    char        pin[16];
    size_t      length;
    const char *suffix, *dot;

    suffix = strrchr(name, '.');
    *is_pem = suffix != NULL && strcmp(suffix, ".pem") == 0;
    *pinned = 0;

    if (!*is_pem && (suffix == NULL || strcmp(suffix, ".secret") != 0)) {
        goto invalid;
    }

    length = (size_t) (suffix - name);
    dot = memrchr(name, '.', length);

    if (*is_pem && dot != NULL && (size_t) (suffix - dot) < sizeof(pin)) {
        snprintf(pin, sizeof(pin), "%.*s", (int) (suffix - dot - 1), dot + 1);

        if (v2m_token_algorithm_find(pin, &key->algorithm, strcasecmp) == V2M_OK
            && key->algorithm != V2M_TOKEN_HS256)
        {
            *pinned = 1;
            length = (size_t) (dot - name);

        } else if (strcasecmp(pin, "HS256") == 0
                   || strcasecmp(pin, "PS256") == 0) {
            return v2m_error_set(error, V2M_INVALID,
                                 "%s is no algorithm for a PEM file here", pin);
        }
    }

    if (!v2m_token_is_kid(name, length)) {
        goto invalid;
    }

    key->kid = strndup(name, length);

    return key->kid != NULL ? V2M_OK : v2m_token_no_memory(error);

invalid:

    return v2m_error_set(error, V2M_INVALID,
                         "a key's file is named KID.pem, KID.ALGORITHM.pem or "
                         "KID.secret, where KID has letters, digits and "
                         "\"._-\", %d at most",
                         V2M_TOKEN_KID_MAX);
}


static int
v2m_token_check_mode(const char *path, int is_secret, v2m_error_t *error)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        return v2m_error_set(error, V2M_INVALID, "cannot read it: %s",
                             strerror(errno));
    }

    if (!S_ISREG(status.st_mode)) {
        return v2m_error_set(error, V2M_INVALID, "it is no file");
    }

    if (status.st_mode & (S_IWGRP | S_IWOTH)) {
        return v2m_error_set(error, V2M_INVALID,
                             "its group or everyone may write it: take that "
                             "away with \"chmod go-w\"");
    }

    if (is_secret && (status.st_mode & S_IROTH)) {
        return v2m_error_set(error, V2M_INVALID,
                             "it is secret and everyone may read it: take "
                             "that away with \"chmod o-r\"");
    }

    return V2M_OK;
}


static int
v2m_token_read_pem(v2m_token_key_t *key, const char *path, const char *pem,
                   int pinned, v2m_error_t *error)
{
    int        rc;
    v2m_pkey_t pkey;

    rc = v2m_pkey_read(&pkey, pem, error);
    if (rc != V2M_OK) {
        return rc;
    }

    if (!pinned) {
        key->algorithm =
            pkey.type == V2M_PKEY_RSA ? V2M_TOKEN_RS256 : V2M_TOKEN_ES256;
    }

    if (pkey.type != v2m_token_algorithms[key->algorithm].type) {
        rc = v2m_error_set(error, V2M_INVALID, "the key is not for %s",
                           v2m_token_algorithms[key->algorithm].name);

    } else {
        rc = v2m_token_check_mode(path, pkey.is_private, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_token_take_pkey(key, &pkey, error);
    }

    v2m_pkey_free(&pkey);

    return rc;
}


static int
v2m_token_read_secret(v2m_token_key_t *key, const char *path,
                      const char *secret, v2m_error_t *error)
{
    int   rc;
    char *kid;

    rc = v2m_token_check_mode(path, 1, error);

    if (rc == V2M_OK) {
        kid = key->kid;
        rc = v2m_token_key_secret(key, (const unsigned char *) secret,
                                  strlen(secret), error);
        key->kid = kid;
    }

    return rc;
}


int
v2m_token_key_file(v2m_token_key_t *key, const char *directory,
                   const char *name, v2m_error_t *error)
{
    int         rc, is_pem, pinned;
    char        path[PATH_MAX], *text;
    v2m_error_t reason;

    memset(key, 0, sizeof(v2m_token_key_t));
    text = NULL;

    if (snprintf(path, sizeof(path), "%s/%s", directory, name)
        >= (int) sizeof(path))
    {
        return v2m_error_set(error, V2M_INVALID,
                             "the path of the key \"%s\" is too long", name);
    }

    rc = v2m_token_read_name(key, name, &is_pem, &pinned, &reason);

    if (rc == V2M_OK) {
        /* of what is no plain file, not even a byte is read */
        rc = v2m_token_check_mode(path, 0, &reason);
    }

    if (rc == V2M_OK) {
        rc = v2m_config_file("the directory of keys", path, &text, error);

        if (rc != V2M_OK) {
            v2m_token_key_free(key);
            return rc;
        }

        rc = is_pem ? v2m_token_read_pem(key, path, text, pinned, &reason)
                    : v2m_token_read_secret(key, path, text, &reason);
    }

    v2m_config_wipe(text);

    if (rc != V2M_OK) {
        v2m_token_key_free(key);
        return v2m_error_set(error, rc, "the key \"%s\": %s", name,
                             reason.text);
    }

    return V2M_OK;
}


/* The member of a JWK as a text; NULL: there is none. */
static const char *
v2m_token_member(const json_t *jwk, const char *name)
{
    return json_string_value(json_object_get(jwk, name));
}


/* A number of a JWK; V2M_INVALID: it is no base64url of a fitting length. */
static int
v2m_token_number(const json_t *jwk, const char *name,
                 unsigned char number[V2M_PKEY_PART_MAX], size_t *length,
                 v2m_error_t *error)
{
    size_t      size;
    const char *text;

    text = v2m_token_member(jwk, name);
    size = text != NULL ? strlen(text) : 0;

    if (size >= V2M_BASE64URL_SIZE(V2M_PKEY_PART_MAX)
        || !v2m_base64url_check(text, size))
    {
        return v2m_error_set(error, V2M_INVALID,
                             "the member \"%s\" is not base64url, or too long",
                             name);
    }

    *length = v2m_base64url_decode(text, size, number);

    return V2M_OK;
}


static int
v2m_token_is_for_us(const json_t *jwk, v2m_token_key_t *key)
{
    size_t        i;
    const char   *kty, *algorithm, *use, *curve;
    const json_t *operations, *operation;

    kty = v2m_token_member(jwk, "kty");
    use = v2m_token_member(jwk, "use");
    curve = v2m_token_member(jwk, "crv");
    algorithm = v2m_token_member(jwk, "alg");
    operations = json_object_get(jwk, "key_ops");

    if (kty == NULL || (use != NULL && strcmp(use, "sig") != 0)) {
        return 0;
    }

    if (operations != NULL) {
        json_array_foreach(operations, i, operation)
        {
            if (json_is_string(operation)
                && strcmp(json_string_value(operation), "verify") == 0)
            {
                break;
            }
        }

        if (i >= json_array_size(operations)) {
            return 0;
        }
    }

    if (strcmp(kty, "RSA") == 0) {
        key->algorithm = V2M_TOKEN_RS256;

    } else if (strcmp(kty, "EC") == 0 && curve != NULL
               && strcmp(curve, "P-256") == 0)
    {
        key->algorithm = V2M_TOKEN_ES256;

    } else {
        return 0;
    }

    return algorithm == NULL
           || (v2m_token_algorithm_find(algorithm, &key->algorithm, strcmp)
                   == V2M_OK
               && strcmp(v2m_token_algorithms[key->algorithm].kty, kty) == 0);
}


int
v2m_token_key_jwk(v2m_token_key_t *key, const json_t *jwk, v2m_error_t *error)
{
    int             rc;
    size_t          first_length, second_length;
    v2m_pkey_t      pkey;
    const json_t   *kid;
    unsigned char   first[V2M_PKEY_PART_MAX], second[V2M_PKEY_PART_MAX];
    v2m_pkey_type_t type;

    memset(key, 0, sizeof(v2m_token_key_t));

    if (!v2m_token_is_for_us(jwk, key)) {
        return v2m_error_set(error, V2M_NOT_FOUND,
                             "the key is for another use");
    }

    if (json_object_get(jwk, "d") != NULL) {
        return v2m_error_set(error, V2M_INVALID,
                             "it is a private key, which only its issuer may "
                             "have");
    }

    kid = json_object_get(jwk, "kid");

    if (kid != NULL && !json_is_string(kid)) {
        return v2m_error_set(error, V2M_INVALID, "its kid is no text");
    }

    type = v2m_token_algorithms[key->algorithm].type;

    rc = v2m_token_number(jwk, type == V2M_PKEY_RSA ? "n" : "x", first,
                          &first_length, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_token_number(jwk, type == V2M_PKEY_RSA ? "e" : "y", second,
                          &second_length, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_pkey_make(&pkey, type, first, first_length, second, second_length,
                       error);
    if (rc != V2M_OK) {
        return rc;
    }

    if (kid != NULL) {
        key->kid = strdup(json_string_value(kid));
    }

    rc = kid != NULL && key->kid == NULL
             ? v2m_token_no_memory(error)
             : v2m_token_take_pkey(key, &pkey, error);

    v2m_pkey_free(&pkey);

    if (rc != V2M_OK) {
        v2m_token_key_free(key);
    }

    return rc;
}
