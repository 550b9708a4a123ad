#include "v2m_confirm.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "v2m_accounts.h"
#include "v2m_revocations.h"

/* How often the account is looked at anew when somebody else changed it in the
 * moment between. */
#define V2M_CONFIRM_TRIES 3


static int
v2m_confirm_denied(v2m_error_t *error)
{
    return v2m_error_set(error, V2M_DENIED,
                         "the account of the link is disabled or gone");
}


/* Finds the account of a link; user->email is "" when it is to be made. */
static int
v2m_confirm_look(v2m_database_t *users, const v2m_account_link_t *link,
                 v2m_user_t *user, v2m_error_t *error)
{
    int rc;

    rc = v2m_users_find(users, link->email, user, error);
    explicit_bzero(user->password, sizeof(user->password));

    if (rc == V2M_NOT_FOUND) {
        return link->purpose == V2M_ACCOUNT_REGISTER
                   ? V2M_OK
                   : v2m_confirm_denied(error);
    }

    /* the table's collation may be blind to more than letters' case: that is
     * the account of somebody else */

    if (rc == V2M_OK
        && (user->disabled || strcasecmp(user->email, link->email) != 0))
    {
        rc = v2m_confirm_denied(error);
    }

    return rc;
}


/* V2M_CONFLICT: something changed since it was looked at. */
static int
v2m_confirm_store(v2m_database_t *users, const v2m_account_link_t *link,
                  const v2m_user_t *user, const char *hash,
                  v2m_confirmed_t *confirmed, v2m_error_t *error)
{
    int                    made;
    v2m_revocations_user_t revocation;

    const char *insert[] = { link->email, hash };
    const char *update[] = { hash, user->email, user->email };
    const char *digest[] = { link->digest };
    const char *email[] = { link->email };

    /* the row of the user first: whoever has another link of the address waits
     * there, and holds nothing */

    v2m_database_statement_t statements[] = {
        {
            .sql = "UPDATE user SET password = ? WHERE email = ? "
                   "AND CAST(email AS BINARY) = ? AND disabled = 0",
            .values = update,
            .count = 3,
            .must_match = 1,
        },
        {
            .sql = "DELETE FROM account_request WHERE digest = ? "
                   "AND token_until > UNIX_TIMESTAMP()",
            .values = digest,
            .count = 1,
            .must_match = 1,
        },
        {
            .sql = "DELETE FROM account_request WHERE email = ?",
            .values = email,
            .count = 1,
        },
        { .sql = NULL },
    };

    made = user->email[0] == '\0';

    if (made) {
        statements[0].sql = "INSERT INTO user (email, password) VALUES (?, ?)";
        statements[0].values = insert;
        statements[0].count = 2;

        confirmed->revoked = 0;
        strcpy(confirmed->username, link->email);

        return v2m_database_transact(users, statements, 3, error);
    }

    confirmed->revoked = time(NULL);
    memcpy(confirmed->username, user->email, sizeof(confirmed->username));

    v2m_revocations_of_user(&revocation, user->email, confirmed->revoked);
    statements[3] = revocation.statement;

    return v2m_database_transact(users, statements, 4, error);
}


/* Until the new password counted, the old one did: of whoever logged in by it
 * in the second that began meanwhile. */
static void
v2m_confirm_revoke(v2m_database_t *users, v2m_confirmed_t *confirmed,
                   v2m_error_t *error)
{
    int64_t                now;
    v2m_revocations_user_t revocation;

    error->code = V2M_OK;
    error->text[0] = '\0';

    now = time(NULL);

    if (confirmed->revoked == 0 || now <= confirmed->revoked) {
        return;
    }

    v2m_revocations_of_user(&revocation, confirmed->username, now);

    if (v2m_database_run(users, &revocation.statement, error) == V2M_OK) {
        confirmed->revoked = now;
    }
}


int
v2m_confirm(v2m_database_t *users, int cost, const char *token,
            const char *password, v2m_confirmed_t *confirmed,
            v2m_error_t *error)
{
    int                i, rc;
    char               hash[V2M_PASSWORD_HASH_MAX];
    v2m_user_t         user;
    v2m_account_link_t link;

    memset(confirmed, 0, sizeof(v2m_confirmed_t));
    hash[0] = '\0';
    rc = V2M_CONFLICT;

    for (i = 0; rc == V2M_CONFLICT && i < V2M_CONFIRM_TRIES; i++) {
        rc = v2m_accounts_find(users, token, &link, error);

        if (rc == V2M_OK) {
            rc = v2m_confirm_look(users, &link, &user, error);
        }

        if (rc == V2M_OK && hash[0] == '\0') {
            rc = v2m_password_hash(password, cost, hash, error);
        }

        if (rc == V2M_OK) {
            rc = v2m_confirm_store(users, &link, &user, hash, confirmed, error);
        }
    }

    explicit_bzero(hash, sizeof(hash));

    if (rc == V2M_OK) {
        v2m_confirm_revoke(users, confirmed, error);

    } else if (rc == V2M_CONFLICT) {
        rc = v2m_error_set(error, V2M_UNAVAILABLE,
                           "the account changed each time it was looked at");
    }

    return rc;
}
