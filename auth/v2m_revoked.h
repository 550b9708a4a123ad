/*
 * What was revoked, as a table in memory of a fixed size that processes may
 * share: it has no pointers.  Not thread-safe: to be used under a lock, but
 * for v2m_revoked_is_empty().
 */

#ifndef V2M_REVOKED_H
#define V2M_REVOKED_H

#include "v2m_revocations.h"

typedef struct v2m_revoked_s v2m_revoked_t;

/* Makes an empty table of memory that is aligned as malloc() does it.  NULL:
 * it is too small. */
v2m_revoked_t *v2m_revoked_create(void *memory, size_t size);

/* How many revocations there is room for. */
size_t v2m_revoked_capacity(const v2m_revoked_t *revoked);

/*
 * Adds a revocation; of two with one id, what both say counts.  now is in
 * seconds; what has expired then makes room.
 *
 * V2M_FULL: there was no room, therefore all tokens issued up to now are
 * revoked instead, whoever has them, and the table is empty again: nothing
 * that was revoked is good because of that.
 */
int v2m_revoked_add(v2m_revoked_t *revoked, const v2m_revocation_t *revocation,
                    int64_t now);

/* 1 when the token is revoked. */
int v2m_revoked_check(const v2m_revoked_t *revoked, const v2m_claims_t *claims);

/* 1 when no token at all is revoked. */
int v2m_revoked_is_empty(const v2m_revoked_t *revoked);

#endif /* V2M_REVOKED_H */
