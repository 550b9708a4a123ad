#include "v2m_revoked.h"

#include <stdlib.h>
#include <string.h>

/* The ids are digests, of which this much is enough to tell them apart. */
#define V2M_REVOKED_ID 16

typedef struct {
    unsigned char id[V2M_REVOKED_ID];
    int64_t       issued;
    int64_t       expires; /* 0: the slot is free */
} v2m_revoked_slot_t;

struct v2m_revoked_s {
    size_t             slots;
    size_t             used;
    int64_t            everyone; /* tokens issued up to then are revoked */
    v2m_revoked_slot_t slot[];
};


v2m_revoked_t *
v2m_revoked_create(void *memory, size_t size)
{
    size_t         slots;
    v2m_revoked_t *revoked = memory;

    if (size < sizeof(v2m_revoked_t) + 4 * sizeof(v2m_revoked_slot_t)) {
        return NULL;
    }

    slots = (size - sizeof(v2m_revoked_t)) / sizeof(v2m_revoked_slot_t);

    revoked->slots = slots;
    revoked->used = 0;
    revoked->everyone = INT64_MIN;
    memset(revoked->slot, 0, slots * sizeof(v2m_revoked_slot_t));

    return revoked;
}


size_t
v2m_revoked_capacity(const v2m_revoked_t *revoked)
{
    /* with free slots left no search is long */

    return revoked->slots / 4 * 3;
}


/* The slot of the id, or the free one where it would be. */
static size_t
v2m_revoked_find(const v2m_revoked_t *revoked, const unsigned char *id)
{
    size_t i;

    memcpy(&i, id, sizeof(i));

    for (i %= revoked->slots; revoked->slot[i].expires != 0;
         i = (i + 1) % revoked->slots)
    {
        if (memcmp(revoked->slot[i].id, id, V2M_REVOKED_ID) == 0) {
            break;
        }
    }

    return i;
}


/* Without what has expired. */
static void
v2m_revoked_make_room(v2m_revoked_t *revoked, int64_t now)
{
    size_t              i, size;
    v2m_revoked_slot_t *copy;

    size = revoked->slots * sizeof(v2m_revoked_slot_t);

    copy = malloc(size);
    if (copy == NULL) {
        return;
    }

    memcpy(copy, revoked->slot, size);
    memset(revoked->slot, 0, size);
    revoked->used = 0;

    for (i = 0; i < revoked->slots; i++) {
        if (copy[i].expires > now) {
            revoked->slot[v2m_revoked_find(revoked, copy[i].id)] = copy[i];
            revoked->used++;
        }
    }

    free(copy);
}


int
v2m_revoked_add(v2m_revoked_t *revoked, const v2m_revocation_t *revocation,
                int64_t now)
{
    v2m_revoked_slot_t *slot;

    if (revocation->expires <= now) {
        return V2M_OK;
    }

    slot = &revoked->slot[v2m_revoked_find(revoked, revocation->id)];

    if (slot->expires != 0) {
        slot->issued = revocation->issued > slot->issued ? revocation->issued
                                                         : slot->issued;
        slot->expires = revocation->expires > slot->expires
                            ? revocation->expires
                            : slot->expires;
        return V2M_OK;
    }

    if (revoked->used == v2m_revoked_capacity(revoked)) {
        v2m_revoked_make_room(revoked, now);

        if (revoked->used == v2m_revoked_capacity(revoked)) {
            memset(revoked->slot, 0,
                   revoked->slots * sizeof(v2m_revoked_slot_t));
            revoked->used = 0;
            revoked->everyone = now;
            return V2M_FULL;
        }

        slot = &revoked->slot[v2m_revoked_find(revoked, revocation->id)];
    }

    memcpy(slot->id, revocation->id, V2M_REVOKED_ID);
    slot->issued = revocation->issued;
    slot->expires = revocation->expires;
    revoked->used++;

    return V2M_OK;
}


static int
v2m_revoked_has(const v2m_revoked_t *revoked, const unsigned char *id,
                int64_t issued)
{
    const v2m_revoked_slot_t *slot;

    slot = &revoked->slot[v2m_revoked_find(revoked, id)];

    return slot->expires != 0 && issued <= slot->issued;
}


int
v2m_revoked_check(const v2m_revoked_t *revoked, const v2m_claims_t *claims)
{
    return claims->issued <= revoked->everyone
           || v2m_revoked_has(revoked, claims->id, claims->issued)
           || v2m_revoked_has(revoked, claims->user_id, claims->issued);
}


int
v2m_revoked_is_empty(const v2m_revoked_t *revoked)
{
    return *(const volatile size_t *) &revoked->used == 0
           && *(const volatile int64_t *) &revoked->everyone == INT64_MIN;
}
