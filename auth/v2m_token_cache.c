#include "v2m_token_cache.h"

#include <stdlib.h>
#include <string.h>

/* The signature's last letters choose the slot: they are as good as random,
 * and only who knows the key can choose them. */
#define V2M_TOKEN_CACHE_TAIL 8

typedef struct {
    char        *token; /* NULL: the slot is free */
    size_t       length;
    int64_t      checked; /* when, in seconds since the epoch */
    v2m_claims_t claims;
} v2m_token_slot_t;

struct v2m_token_cache_s {
    const v2m_token_keys_t *keys;
    size_t                  slots;
    v2m_token_slot_t        slot[];
};


int
v2m_token_cache_create(v2m_token_cache_t **cache, const v2m_token_keys_t *keys,
                       size_t slots, v2m_error_t *error)
{
    v2m_token_cache_t *created;

    *cache = NULL;

    if (slots == 0 || (slots & (slots - 1)) != 0) {
        return v2m_error_set(error, V2M_ERROR,
                             "the slots of a token cache are no power of two");
    }

    created =
        calloc(1, sizeof(v2m_token_cache_t) + slots * sizeof(v2m_token_slot_t));
    if (created == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    created->keys = keys;
    created->slots = slots;

    *cache = created;
    return V2M_OK;
}


static void
v2m_token_slot_clear(v2m_token_slot_t *slot)
{
    if (slot->token != NULL) {
        explicit_bzero(slot->token, slot->length);
        free(slot->token);
        v2m_claims_free(&slot->claims);
        slot->token = NULL;
    }
}


void
v2m_token_cache_destroy(v2m_token_cache_t *cache)
{
    size_t i;

    if (cache == NULL) {
        return;
    }

    for (i = 0; i < cache->slots; i++) {
        v2m_token_slot_clear(&cache->slot[i]);
    }

    free(cache);
}


static v2m_token_slot_t *
v2m_token_cache_slot(v2m_token_cache_t *cache, const char *token, size_t length)
{
    size_t   i;
    uint64_t hash;

    hash = 14695981039346656037u;

    for (i = length - V2M_TOKEN_CACHE_TAIL; i < length; i++) {
        hash = (hash ^ (unsigned char) token[i]) * 1099511628211u;
    }

    return &cache->slot[hash >> 32 & (cache->slots - 1)];
}


/* In the same time wherever the difference is. */
static int
v2m_token_is_equal(const char *one, const char *other, size_t length)
{
    size_t        i;
    unsigned char difference;

    difference = 0;

    for (i = 0; i < length; i++) {
        difference |= (unsigned char) (one[i] ^ other[i]);
    }

    return difference == 0;
}


/* V2M_ERROR: out of memory. */
static int
v2m_token_copy_claims(v2m_claims_t *copy, const v2m_claims_t *claims)
{
    *copy = *claims;
    copy->username = strdup(claims->username);
    copy->json = strdup(claims->json);

    if (copy->username == NULL || copy->json == NULL) {
        v2m_claims_free(copy);
        return V2M_ERROR;
    }

    return V2M_OK;
}


static void
v2m_token_cache_keep(v2m_token_slot_t *slot, const char *token, size_t length,
                     int64_t now, const v2m_claims_t *claims)
{
    v2m_token_slot_clear(slot);

    slot->token = malloc(length);
    if (slot->token == NULL) {
        return;
    }

    memcpy(slot->token, token, length);
    slot->length = length;
    slot->checked = now;

    if (v2m_token_copy_claims(&slot->claims, claims) != V2M_OK) {
        v2m_token_slot_clear(slot);
    }
}


int
v2m_token_cache_verify(v2m_token_cache_t *cache, const char *token,
                       size_t length, int64_t now, v2m_claims_t *claims,
                       v2m_error_t *error)
{
    int               rc;
    v2m_token_slot_t *slot;

    if (length < V2M_TOKEN_CACHE_TAIL || length > V2M_TOKEN_CACHE_LONGEST) {
        return v2m_token_verify(cache->keys, token, length, now, claims, error);
    }

    slot = v2m_token_cache_slot(cache, token, length);

    /* of all that v2m_token_verify() checks only the times can change, and as
     * long as the clock does not go back, only exp can become wrong */

    if (slot->token != NULL && slot->length == length
        && v2m_token_is_equal(slot->token, token, length)
        && now >= slot->checked
        && now < slot->claims.expires + V2M_TOKEN_LEEWAY)
    {
        rc = v2m_token_copy_claims(claims, &slot->claims);

        return rc == V2M_OK ? V2M_OK
                            : v2m_error_set(error, rc, "out of memory");
    }

    rc = v2m_token_verify(cache->keys, token, length, now, claims, error);

    if (rc == V2M_OK) {
        v2m_token_cache_keep(slot, token, length, now, claims);
    }

    return rc;
}
