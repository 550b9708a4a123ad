#include "v2m_revocations.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_users_query.h"

/* Seconds that are read again each time: rows become visible after their
 * time, when their transactions end. */
#define V2M_REVOCATIONS_AGAIN 60

#define V2M_REVOCATION_DIGITS 24

static const char v2m_revocations_insert[] =
    "INSERT INTO revoked (what, name, issued, expires, added) "
    "VALUES (?, ?, ?, ?, UNIX_TIMESTAMP())";


static void
v2m_revocations_number(char text[V2M_REVOCATION_DIGITS], int64_t number)
{
    snprintf(text, V2M_REVOCATION_DIGITS, "%" PRId64, number);
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
v2m_revocations_add_token(v2m_users_t *users, const v2m_claims_t *claims,
                          v2m_error_t *error)
{
    size_t           i;
    char             name[2 * V2M_CLAIMS_ID + 1];
    char             issued[V2M_REVOCATION_DIGITS];
    char             expires[V2M_REVOCATION_DIGITS];
    v2m_revocation_t revocation;

    const char *values[] = { "token", name, issued, expires };

    revocation = v2m_revocation_of(claims);

    for (i = 0; i < V2M_CLAIMS_ID; i++) {
        sprintf(name + 2 * i, "%02x", revocation.id[i]);
    }

    v2m_revocations_number(issued, revocation.issued);
    v2m_revocations_number(expires, revocation.expires);

    return v2m_users_query(users, v2m_revocations_insert, values, 4, 0, NULL,
                           NULL, error);
}


int
v2m_revocations_add_user(v2m_users_t *users, const char *username,
                         int64_t issued, v2m_error_t *error)
{
    int  rc;
    char until[V2M_REVOCATION_DIGITS];
    char expires[V2M_REVOCATION_DIGITS];

    const char *values[] = { "user", username, until, expires };

    if (strlen(username) > V2M_EMAIL_MAX) {
        return v2m_error_set(error, V2M_INVALID, "the user's name is too long");
    }

    v2m_revocations_number(until, issued);
    v2m_revocations_number(expires, issued + V2M_REVOCATION_USER);

    rc = v2m_users_query(users, v2m_revocations_insert, values, 4, 0, NULL,
                         NULL, error);

    if (rc == V2M_OK) {
        rc = v2m_users_query(
            users, "DELETE FROM revoked WHERE expires < UNIX_TIMESTAMP()", NULL,
            0, 0, NULL, NULL, error);
    }

    return rc;
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


static int
v2m_revocations_row(void *data, char values[][V2M_USERS_TEXT],
                    v2m_error_t *error)
{
    int                rc;
    v2m_revocation_t  *grown, *revocation;
    v2m_revocations_t *revocations = data;

    grown = revocations->list;

    /* a power of two is full */

    if ((revocations->count & (revocations->count - 1)) == 0) {
        grown = reallocarray(revocations->list,
                             revocations->count ? revocations->count * 2 : 1,
                             sizeof(v2m_revocation_t));
        if (grown == NULL) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }

        revocations->list = grown;
    }

    revocation = &revocations->list[revocations->count];
    revocation->issued = strtoll(values[2], NULL, 10);
    revocation->expires = strtoll(values[3], NULL, 10);

    rc = strcmp(values[0], "token") == 0
             ? v2m_revocations_token_id(values[1], revocation->id)
             : v2m_claims_user_id(values[1], revocation->id, error);

    if (rc == V2M_OK) {
        revocations->count++;
    }

    return rc;
}


static int
v2m_revocations_time(void *data, char values[][V2M_USERS_TEXT],
                     v2m_error_t *error)
{
    int64_t *now = data;

    (void) error;

    *now = strtoll(values[0], NULL, 10);

    return V2M_OK;
}


int
v2m_revocations_read(v2m_users_t *users, int64_t since,
                     v2m_revocations_t *revocations, v2m_error_t *error)
{
    int     rc;
    char    from[V2M_REVOCATION_DIGITS];
    int64_t now;

    const char *values[] = { from };

    memset(revocations, 0, sizeof(v2m_revocations_t));
    v2m_revocations_number(from, since);
    now = 0;

    /* the server's clock, which the rows have as well, and before them */

    rc = v2m_users_query(users, "SELECT UNIX_TIMESTAMP()", NULL, 0, 1,
                         v2m_revocations_time, &now, error);

    if (rc == V2M_OK) {
        rc = v2m_users_query(users,
                             "SELECT what, name, issued, expires FROM revoked "
                             "WHERE added >= ? AND expires > UNIX_TIMESTAMP()",
                             values, 1, 4, v2m_revocations_row, revocations,
                             error);
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
