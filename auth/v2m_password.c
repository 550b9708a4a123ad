#include "v2m_password.h"

#include <crypt.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define V2M_PASSWORD_PREFIX "$y$" /* yescrypt */

/* what is hashed in place of a password that is never right */
#define V2M_PASSWORD_DUMMY "-"


static int
v2m_password_setting(int cost, char setting[CRYPT_GENSALT_OUTPUT_SIZE],
                     v2m_error_t *error)
{
    /* the salt is made of the system's random numbers */

    if (crypt_gensalt_rn(V2M_PASSWORD_PREFIX, (unsigned long) cost, NULL, 0,
                         setting, CRYPT_GENSALT_OUTPUT_SIZE)
        == NULL)
    {
        return v2m_error_set(error, V2M_ERROR, "cannot make a salt: %s",
                             strerror(errno));
    }

    return V2M_OK;
}


/* V2M_INVALID: the setting is none that crypt(3) knows. */
static int
v2m_password_crypt(const char *password, const char *setting,
                   char hash[V2M_PASSWORD_HASH_MAX], v2m_error_t *error)
{
    int                rc;
    const char        *result;
    struct crypt_data *data;

    data = calloc(1, sizeof(struct crypt_data));
    if (data == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    errno = 0;
    result = crypt_rn(password, setting, data, sizeof(struct crypt_data));

    if (result != NULL && strlen(result) < V2M_PASSWORD_HASH_MAX) {
        strcpy(hash, result);
        rc = V2M_OK;

    } else if (errno == ENOMEM) {
        rc = v2m_error_set(error, V2M_ERROR, "out of memory");

    } else {
        rc = v2m_error_set(error, V2M_INVALID,
                           "the stored password is not a hash of crypt(3)");
    }

    explicit_bzero(data, sizeof(struct crypt_data));
    free(data);

    return rc;
}


/* The time depends on the lengths only, and a hash's length is no secret. */
static int
v2m_password_equal(const char *one, const char *two)
{
    size_t        i, length;
    unsigned char difference;

    length = strlen(one);

    if (strlen(two) != length) {
        return 0;
    }

    difference = 0;

    for (i = 0; i < length; i++) {
        difference |= (unsigned char) one[i] ^ (unsigned char) two[i];
    }

    return difference == 0;
}


static int
v2m_password_usable(const char *password)
{
    size_t length;

    length = strnlen(password, V2M_PASSWORD_MAX + 1);

    return length > 0 && length <= V2M_PASSWORD_MAX;
}


int
v2m_password_hash(const char *password, int cost,
                  char hash[V2M_PASSWORD_HASH_MAX], v2m_error_t *error)
{
    int  rc;
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];

    if (!v2m_password_usable(password)) {
        return v2m_error_set(error, V2M_INVALID, "a password has 1 to %d bytes",
                             V2M_PASSWORD_MAX);
    }

    rc = v2m_password_setting(cost, setting, error);

    if (rc == V2M_OK) {
        rc = v2m_password_crypt(password, setting, hash, error);
    }

    /* the setting is good, so it lacked something else: yescrypt names no
     * reason when it gets no memory */

    if (rc == V2M_INVALID) {
        rc = v2m_error_set(error, V2M_ERROR, "crypt(3) failed");
    }

    return rc;
}


int
v2m_password_verify_nobody(const char *password, int cost, v2m_error_t *error)
{
    int  rc;
    char hash[V2M_PASSWORD_HASH_MAX];

    if (!v2m_password_usable(password)) {
        password = V2M_PASSWORD_DUMMY;
    }

    rc = v2m_password_hash(password, cost, hash, error);
    explicit_bzero(hash, sizeof(hash));

    if (rc != V2M_OK) {
        return rc;
    }

    return v2m_error_set(error, V2M_DENIED, "invalid credentials");
}


/* For a stored value that is no hash: as slow as if it were one. */
static int
v2m_password_not_a_hash(const char *password, int cost, v2m_error_t *error)
{
    int rc;

    rc = v2m_password_verify_nobody(password, cost, error);

    if (rc != V2M_DENIED) {
        return rc;
    }

    return v2m_error_set(error, V2M_INVALID,
                         "the stored password is not a hash of crypt(3)");
}


int
v2m_password_is_hash(const char *stored)
{
    /* crypt(3) also knows the old hashes without "$", but then any text of
     * 13 letters that someone stored as it is would count as a hash */

    return stored[0] == '$' && crypt_checksalt(stored) != CRYPT_SALT_INVALID;
}


int
v2m_password_verify(const char *password, const char *hash, int cost,
                    v2m_error_t *error)
{
    int  rc, usable;
    char computed[V2M_PASSWORD_HASH_MAX];

    if (!v2m_password_is_hash(hash)) {
        return v2m_password_not_a_hash(password, cost, error);
    }

    usable = v2m_password_usable(password);

    rc = v2m_password_crypt(usable ? password : V2M_PASSWORD_DUMMY, hash,
                            computed, error);

    if (rc == V2M_INVALID) {
        return v2m_password_not_a_hash(password, cost, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    if (!usable || !v2m_password_equal(computed, hash)) {
        rc = v2m_error_set(error, V2M_DENIED, "invalid credentials");
    }

    explicit_bzero(computed, sizeof(computed));

    return rc;
}


int
v2m_password_is_outdated(const char *hash, int cost)
{
    int    weaker;
    char   setting[CRYPT_GENSALT_OUTPUT_SIZE];
    size_t length;

    if (strncmp(hash, V2M_PASSWORD_PREFIX, strlen(V2M_PASSWORD_PREFIX)) != 0) {
        return 1;
    }

    /* "$y$PARAMETERS$SALT$...": of any but those of a lower cost it is unknown
     * whether they are weaker */

    for (weaker = V2M_PASSWORD_COST_MIN; weaker < cost; weaker++) {
        if (v2m_password_setting(weaker, setting, NULL) != V2M_OK) {
            return 0;
        }

        length = strlen(V2M_PASSWORD_PREFIX);
        length += strcspn(setting + length, "$") + 1;

        if (strncmp(hash, setting, length) == 0) {
            return 1;
        }
    }

    return 0;
}
