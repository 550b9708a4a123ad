#include "v2m_token_keys.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_config.h"

struct v2m_token_keys_s {
    v2m_token_issuer_t  own;
    v2m_token_issuer_t *others;
    size_t              other_count;
    char               *signer; /* its kid; NULL: the key without one */
};


static int
v2m_token_keys_no_memory(v2m_error_t *error)
{
    return v2m_error_set(error, V2M_ERROR, "out of memory");
}


int
v2m_token_keys_create(v2m_token_keys_t **keys, v2m_error_t *error)
{
    *keys = calloc(1, sizeof(v2m_token_keys_t));

    return *keys != NULL ? V2M_OK : v2m_token_keys_no_memory(error);
}


static void
v2m_token_issuer_free(v2m_token_issuer_t *issuer)
{
    size_t i;

    for (i = 0; i < issuer->count; i++) {
        v2m_token_key_free(&issuer->keys[i]);
    }

    for (i = 0; i < issuer->audience_count; i++) {
        free(issuer->audiences[i]);
    }

    free(issuer->keys);
    free(issuer->audiences);
    free(issuer->url);
    free(issuer->user);
    free(issuer->admin);
}


void
v2m_token_keys_destroy(v2m_token_keys_t *keys)
{
    size_t i;

    if (keys == NULL) {
        return;
    }

    for (i = 0; i < keys->other_count; i++) {
        v2m_token_issuer_free(&keys->others[i]);
    }

    v2m_token_issuer_free(&keys->own);
    free(keys->others);
    free(keys->signer);
    free(keys);
}


const v2m_token_issuer_t *
v2m_token_keys_issuer(const v2m_token_keys_t *keys, const char *iss)
{
    size_t i;

    for (i = 0; iss != NULL && i < keys->other_count; i++) {
        if (strcmp(iss, keys->others[i].url) == 0) {
            return &keys->others[i];
        }
    }

    return &keys->own;
}


/* The key of exactly that name, NULL: the one without a name. */
static const v2m_token_key_t *
v2m_token_keys_named(const v2m_token_issuer_t *issuer, const char *kid)
{
    size_t      i;
    const char *name;

    for (i = 0; i < issuer->count; i++) {
        name = issuer->keys[i].kid;

        if (name == NULL ? kid == NULL : kid != NULL && strcmp(name, kid) == 0)
        {
            return &issuer->keys[i];
        }
    }

    return NULL;
}


const v2m_token_key_t *
v2m_token_keys_find(const v2m_token_issuer_t *issuer, const char *kid)
{
    /* what a token writes into its kid means nothing where keys have no
     * names */

    if (issuer->count == 1 && issuer->keys[0].kid == NULL) {
        return &issuer->keys[0];
    }

    return v2m_token_keys_named(issuer, kid);
}


const v2m_token_key_t *
v2m_token_keys_signer(const v2m_token_keys_t *keys)
{
    const v2m_token_key_t *key;

    key = v2m_token_keys_named(&keys->own, keys->signer);

    return key != NULL && key->signer != NULL ? key : NULL;
}


/* Takes what is inside the key, also when it fails. */
static int
v2m_token_issuer_add(v2m_token_issuer_t *issuer, v2m_token_key_t *key,
                     v2m_error_t *error)
{
    int              rc;
    v2m_token_key_t *grown;

    grown = NULL;

    if (v2m_token_keys_named(issuer, key->kid) != NULL) {
        rc = key->kid != NULL
                 ? v2m_error_set(error, V2M_INVALID,
                                 "there are two keys of the name \"%s\"",
                                 key->kid)
                 : v2m_error_set(error, V2M_INVALID,
                                 "there are two keys without a name");

    } else {
        grown = reallocarray(issuer->keys, issuer->count + 1,
                             sizeof(v2m_token_key_t));
        rc = grown != NULL ? V2M_OK : v2m_token_keys_no_memory(error);
    }

    if (rc != V2M_OK) {
        v2m_token_key_free(key);
        return rc;
    }

    grown[issuer->count] = *key;
    issuer->keys = grown;
    issuer->count++;

    return V2M_OK;
}


int
v2m_token_keys_add_secret(v2m_token_keys_t *keys, const unsigned char *secret,
                          size_t length, v2m_error_t *error)
{
    int             rc;
    v2m_token_key_t key;

    rc = v2m_token_key_secret(&key, secret, length, error);

    return rc == V2M_OK ? v2m_token_issuer_add(&keys->own, &key, error) : rc;
}


static int
v2m_token_keys_choose(v2m_token_keys_t *keys, const char *sign,
                      v2m_error_t *error)
{
    size_t                 i;
    const v2m_token_key_t *key, *chosen;

    chosen = NULL;

    for (i = 0; i < keys->own.count; i++) {
        key = &keys->own.keys[i];

        if (key->kid == NULL || key->signer == NULL
            || (sign != NULL && strcmp(key->kid, sign) != 0))
        {
            continue;
        }

        if (chosen != NULL) {
            return v2m_error_set(error, V2M_INVALID,
                                 "both \"%s\" and \"%s\" can sign: say which "
                                 "one does with \"sign=\"",
                                 chosen->kid, key->kid);
        }

        chosen = key;
    }

    if (chosen == NULL) {
        return sign == NULL
                   ? V2M_OK
                   : v2m_error_set(error, V2M_INVALID,
                                   "there is no key \"%s\" that can sign",
                                   sign);
    }

    keys->signer = strdup(chosen->kid);

    return keys->signer != NULL ? V2M_OK : v2m_token_keys_no_memory(error);
}


static int
v2m_token_keys_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}


int
v2m_token_keys_add_directory(v2m_token_keys_t *keys, const char *directory,
                             const char *sign, v2m_error_t *error)
{
    int             rc, i, count;
    struct dirent **entries;
    v2m_token_key_t key;

    count = scandir(directory, &entries, v2m_token_keys_visible, alphasort);

    if (count < 0) {
        return v2m_error_set(error, V2M_INVALID,
                             "cannot read the directory of keys \"%s\": %s",
                             directory, strerror(errno));
    }

    rc = count > 0 ? V2M_OK
                   : v2m_error_set(error, V2M_INVALID,
                                   "the directory of keys \"%s\" has no key",
                                   directory);

    for (i = 0; i < count; i++) {
        if (rc == V2M_OK) {
            rc = v2m_token_key_file(&key, directory, entries[i]->d_name, error);

            if (rc == V2M_OK) {
                rc = v2m_token_issuer_add(&keys->own, &key, error);
            }
        }

        free(entries[i]);
    }

    free(entries);

    return rc == V2M_OK ? v2m_token_keys_choose(keys, sign, error) : rc;
}


static int
v2m_token_issuer_read(v2m_token_issuer_t *issuer, const json_t *set,
                      v2m_error_t *error)
{
    int             rc;
    size_t          i;
    const json_t   *jwks, *jwk;
    v2m_error_t     reason;
    v2m_token_key_t key;

    jwks = json_object_get(set, "keys");

    if (!json_is_array(jwks)) {
        return v2m_error_set(error, V2M_INVALID,
                             "it is no JWK Set: a JSON object with an array "
                             "\"keys\"");
    }

    json_array_foreach(jwks, i, jwk)
    {
        rc = v2m_token_key_jwk(&key, jwk, &reason);

        if (rc == V2M_NOT_FOUND) {
            continue;
        }

        if (rc == V2M_OK) {
            rc = v2m_token_issuer_add(issuer, &key, &reason);
        }

        if (rc != V2M_OK) {
            return v2m_error_set(error, rc, "its key %zu: %s", i + 1,
                                 reason.text);
        }
    }

    if (issuer->count == 0) {
        return v2m_error_set(error, V2M_INVALID,
                             "it has no key for signatures of an algorithm "
                             "that is known here");
    }

    return V2M_OK;
}


static int
v2m_token_issuer_open(v2m_token_issuer_t *issuer, const char *file,
                      v2m_error_t *error)
{
    int         rc;
    char       *text;
    json_t     *set;
    v2m_error_t reason;

    rc = v2m_config_file("v2m_token_issuer", file, &text, error);
    if (rc != V2M_OK) {
        return rc;
    }

    set = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    rc = v2m_token_issuer_read(issuer, set, &reason);

    json_decref(set);
    free(text);

    return rc == V2M_OK
               ? V2M_OK
               : v2m_error_set(error, rc, "\"%s\": %s", file, reason.text);
}


/* A copy of a text that may be missing.  V2M_ERROR: out of memory. */
static int
v2m_token_copy(char **copy, const char *text)
{
    *copy = text != NULL ? strdup(text) : NULL;

    return text == NULL || *copy != NULL ? V2M_OK : V2M_ERROR;
}


static int
v2m_token_issuer_copy(v2m_token_issuer_t               *issuer,
                      const v2m_token_issuer_options_t *options,
                      v2m_error_t                      *error)
{
    size_t i;

    issuer->audiences = calloc(options->audience_count, sizeof(char *));

    if (v2m_token_copy(&issuer->url, options->url) != V2M_OK
        || v2m_token_copy(&issuer->user, options->user) != V2M_OK
        || v2m_token_copy(&issuer->admin, options->admin) != V2M_OK
        || issuer->audiences == NULL)
    {
        return v2m_token_keys_no_memory(error);
    }

    for (i = 0; i < options->audience_count; i++) {
        if (v2m_token_copy(&issuer->audiences[i], options->audiences[i])
            != V2M_OK) {
            return v2m_token_keys_no_memory(error);
        }

        issuer->audience_count++;
    }

    return V2M_OK;
}


int
v2m_token_keys_add_issuer(v2m_token_keys_t                 *keys,
                          const v2m_token_issuer_options_t *options,
                          v2m_error_t                      *error)
{
    int                 rc;
    v2m_token_issuer_t  made;
    v2m_token_issuer_t *grown;

    if (v2m_token_keys_issuer(keys, options->url) != &keys->own) {
        return v2m_error_set(error, V2M_CONFLICT,
                             "the issuer \"%s\" is there twice", options->url);
    }

    memset(&made, 0, sizeof(made));

    rc = v2m_token_issuer_copy(&made, options, error);

    if (rc == V2M_OK) {
        rc = v2m_token_issuer_open(&made, options->file, error);
    }

    if (rc == V2M_OK) {
        grown = reallocarray(keys->others, keys->other_count + 1,
                             sizeof(v2m_token_issuer_t));

        if (grown != NULL) {
            grown[keys->other_count] = made;
            keys->others = grown;
            keys->other_count++;
            return V2M_OK;
        }

        rc = v2m_token_keys_no_memory(error);
    }

    v2m_token_issuer_free(&made);

    return rc;
}


char *
v2m_token_keys_public(const v2m_token_keys_t *keys)
{
    char   *text;
    size_t  i;
    json_t *set, *jwks;

    jwks = json_array();
    set = json_pack("{s:o}", "keys", jwks);

    for (i = 0; i < keys->own.count; i++) {
        if (keys->own.keys[i].jwk != NULL) {
            json_array_append(jwks, keys->own.keys[i].jwk);
        }
    }

    text = json_dumps(set, JSON_COMPACT);
    json_decref(set);

    return text;
}
