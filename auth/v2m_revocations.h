/*
 * What was revoked, as the users' database keeps it: table revoked of
 * auth/schema/.  All functions block and may be called from any thread.
 * V2M_NOT_FOUND: the table is not there.
 */

#ifndef V2M_REVOCATIONS_H
#define V2M_REVOCATIONS_H

#include <stdint.h>

#include "v2m_token.h"
#include "v2m_users.h"

/* A user's tokens stay revoked for as long as any of them may live, which
 * v2m_token_lifetime bounds: seconds. */
#define V2M_REVOCATION_USER (366 * 86400)

/* One token, until it has expired everywhere. */
int v2m_revocations_add_token(v2m_database_t *users, const v2m_claims_t *claims,
                              v2m_error_t *error);

/* All tokens of a user that were issued at that time, in seconds, or before.
 * Removes what has expired from the table as well. */
int v2m_revocations_add_user(v2m_database_t *users, const char *username,
                             int64_t issued, v2m_error_t *error);

/* The statement that adds the tokens of a user, for a transaction; it points
 * into the structure, and at the name. */
typedef struct {
    v2m_database_statement_t statement;
    const char              *values[4];
    char                     issued[V2M_DATABASE_DIGITS];
    char                     expires[V2M_DATABASE_DIGITS];
} v2m_revocations_user_t;

/* Of a user of at most V2M_USERS_NAME_MAX bytes.  Does not block. */
void v2m_revocations_of_user(v2m_revocations_user_t *user, const char *username,
                             int64_t issued);

/* Of the tokens with this id, of a token or a user, those issued up to then
 * are revoked, until the time expires. */
typedef struct {
    unsigned char id[V2M_CLAIMS_ID];
    int64_t       issued;
    int64_t       expires;
} v2m_revocation_t;

typedef struct {
    v2m_revocation_t *list; /* malloc'ed */
    size_t            count;
    int64_t           since; /* where the next call goes on */
} v2m_revocations_t;

/* Reads what was added since the call that gave since, and some of it again;
 * 0: all that has not expired.  Free with v2m_revocations_free(). */
int v2m_revocations_read(v2m_database_t *users, int64_t since,
                         v2m_revocations_t *revocations, v2m_error_t *error);

void v2m_revocations_free(v2m_revocations_t *revocations);

/* What v2m_revocations_add_token() adds. */
v2m_revocation_t v2m_revocation_of(const v2m_claims_t *claims);

#endif /* V2M_REVOCATIONS_H */
