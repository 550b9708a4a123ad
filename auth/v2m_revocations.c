#include "v2m_revocations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_database.h"

/* Seconds that are read again each time: rows become visible after their
 * time, when their transactions end. */
#define V2M_REVOCATIONS_AGAIN 60

/* bytes of a name, with a final zero */
#define V2M_REVOCATION_NAME 256


/* V2M_NOT_FOUND: there is no list. */
static int
v2m_revocations_run(v2m_database_t *users, v2m_database_statement_t *statement,
                    v2m_error_t *error)
{
    int rc;

    rc = v2m_database_run(users, statement, error);

    return rc != V2M_OK && statement->missing ? V2M_NOT_FOUND : rc;
}


/* One revocation: what, name, and two times as numbers. */
static v2m_database_statement_t
v2m_revocations_insert(const char *const *values)
{
    v2m_database_statement_t statement = {
        .sql = "INSERT INTO revoked (what, name, issued, expires, added) "
               "VALUES (?, ?, ?, ?, UNIX_TIMESTAMP())",
        .values = values,
        .count = 4,
    };

    return statement;
}


v2m_revocation_t
v2m_revocation_of(const v2m_claims_t *claims)
{
    v2m_revocation_t revocation;

    memcpy(revocation.id, claims->id, V2M_CLAIMS_ID);
    revocation.issued = INT64_MAX;

    /* clocks differ: it may still be good where one is behind */
    revocation.expires = claims->expires + 2 * V2M_TOKEN_LEEWAY;

    return revocation;
}


int
v2m_revocations_add_token(v2m_database_t *users, const v2m_claims_t *claims,
                          v2m_error_t *error)
{
    size_t           i;
    char             name[2 * V2M_CLAIMS_ID + 1];
    char             issued[V2M_DATABASE_DIGITS];
    char             expires[V2M_DATABASE_DIGITS];
    v2m_revocation_t revocation;

    const char              *values[] = { "token", name, issued, expires };
    v2m_database_statement_t insert = v2m_revocations_insert(values);

    revocation = v2m_revocation_of(claims);

    for (i = 0; i < V2M_CLAIMS_ID; i++) {
        sprintf(name + 2 * i, "%02x", revocation.id[i]);
    }

    v2m_database_digits(issued, revocation.issued);
    v2m_database_digits(expires, revocation.expires);

    return v2m_revocations_run(users, &insert, error);
}


void
v2m_revocations_of_user(v2m_revocations_user_t *user, const char *username,
                        int64_t issued)
{
    v2m_database_digits(user->issued, issued);
    v2m_database_digits(user->expires, issued + V2M_REVOCATION_USER);

    user->values[0] = "user";
    user->values[1] = username;
    user->values[2] = user->issued;
    user->values[3] = user->expires;

    user->statement = v2m_revocations_insert(user->values);
}


int
v2m_revocations_add_user(v2m_database_t *users, const char *username,
                         int64_t issued, v2m_error_t *error)
{
    int                      rc;
    v2m_revocations_user_t   user;
    v2m_database_statement_t expired = {
        .sql = "DELETE FROM revoked WHERE expires < UNIX_TIMESTAMP()",
    };

    if (strlen(username) > V2M_USERS_NAME_MAX) {
        return v2m_error_set(error, V2M_INVALID, "the user's name is too long");
    }

    v2m_revocations_of_user(&user, username, issued);

    rc = v2m_revocations_run(users, &user.statement, error);

    return rc == V2M_OK ? v2m_revocations_run(users, &expired, error) : rc;
}


/* The id of a token from its hexadecimal digits. */
static int
v2m_revocations_token_id(const char *name, unsigned char id[V2M_CLAIMS_ID])
{
    size_t   i;
    unsigned byte;

    if (strlen(name) != 2 * V2M_CLAIMS_ID) {
        return V2M_CORRUPT;
    }

    for (i = 0; i < V2M_CLAIMS_ID; i++) {
        if (sscanf(name + 2 * i, "%2x", &byte) != 1) {
            return V2M_CORRUPT;
        }

        id[i] = (unsigned char) byte;
    }

    return V2M_OK;
}


/* One more at the end of the list, not counted yet; NULL: out of memory. */
static v2m_revocation_t *
v2m_revocations_next(v2m_revocations_t *revocations)
{
    v2m_revocation_t *grown;

    /* a power of two is full */

    if ((revocations->count & (revocations->count - 1)) == 0) {
        grown = reallocarray(revocations->list,
                             revocations->count ? revocations->count * 2 : 1,
                             sizeof(v2m_revocation_t));
        if (grown == NULL) {
            return NULL;
        }

        revocations->list = grown;
    }

    return &revocations->list[revocations->count];
}


/* A row of what, name, issued, expires. */
static int
v2m_revocations_row(void *data, v2m_database_row_t *row, v2m_error_t *error)
{
    int                rc;
    char               what[V2M_REVOCATION_NAME], name[V2M_REVOCATION_NAME];
    v2m_revocation_t  *revocation;
    v2m_revocations_t *revocations = data;

    revocation = v2m_revocations_next(revocations);
    if (revocation == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    memset(revocation, 0, sizeof(v2m_revocation_t));

    if ((rc = v2m_database_text(row, 0, what, sizeof(what), error)) == V2M_OK
        && (rc = v2m_database_text(row, 1, name, sizeof(name), error)) == V2M_OK
        && (rc = v2m_database_number(row, 2, &revocation->issued, error))
               == V2M_OK
        && (rc = v2m_database_number(row, 3, &revocation->expires, error))
               == V2M_OK)
    {
        rc = strcmp(what, "token") == 0
                 ? v2m_revocations_token_id(name, revocation->id)
                 : v2m_claims_user_id(name, revocation->id, error);
    }

    if (rc == V2M_OK) {
        revocations->count++;
    }

    /* whoever wrote that, it is no reason to hide all others */

    return rc == V2M_CORRUPT ? V2M_OK : rc;
}


static int
v2m_revocations_time(void *data, v2m_database_row_t *row, v2m_error_t *error)
{
    return v2m_database_number(row, 0, data, error);
}


int
v2m_revocations_read(v2m_database_t *users, int64_t since,
                     v2m_revocations_t *revocations, v2m_error_t *error)
{
    int     rc;
    char    from[V2M_DATABASE_DIGITS];
    int64_t now;

    const char              *values[] = { from };
    v2m_database_statement_t clock = {
        .sql = "SELECT UNIX_TIMESTAMP()",
        .row = v2m_revocations_time,
        .data = &now,
    };
    v2m_database_statement_t added = {
        .sql = "SELECT what, name, issued, expires FROM revoked "
               "WHERE added >= ? AND expires > UNIX_TIMESTAMP()",
        .values = values,
        .count = 1,
        .row = v2m_revocations_row,
        .data = revocations,
    };

    memset(revocations, 0, sizeof(v2m_revocations_t));
    v2m_database_digits(from, since);
    now = 0;

    /* the server's clock, which the rows have as well, and before them */

    rc = v2m_database_run(users, &clock, error);

    if (rc == V2M_OK) {
        rc = v2m_revocations_run(users, &added, error);
    }

    if (rc != V2M_OK) {
        v2m_revocations_free(revocations);
        return rc;
    }

    revocations->since = now - V2M_REVOCATIONS_AGAIN;

    return V2M_OK;
}


void
v2m_revocations_free(v2m_revocations_t *revocations)
{
    free(revocations->list);
    memset(revocations, 0, sizeof(v2m_revocations_t));
}
