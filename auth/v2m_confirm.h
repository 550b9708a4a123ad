/*
 * The use of a link that was mailed: sets the password of an account, or makes
 * the account.
 */

#ifndef V2M_CONFIRM_H
#define V2M_CONFIRM_H

#include <stdint.h>

#include "v2m_users.h"

typedef struct {
    char username[V2M_USERS_NAME_MAX + 1]; /* as the table has it */

    /* The user's tokens that were issued in that second since 1970 or before
     * are revoked, 0: there is none, the account is new. */
    int64_t revoked;
} v2m_confirmed_t;

/*
 * Sets the password, of 1 to V2M_PASSWORD_MAX bytes, of whoever the token was
 * mailed to; the account is made if it was to register and there is none yet.
 * The token, with all others of the address, is used up, and the user's tokens
 * of before are revoked: all that, or nothing, happens.
 *
 * V2M_DENIED: there is no such token, or it has expired or was used, also by a
 * call at the same time, or the account is disabled or gone, or was logged out
 * since.  V2M_UNAVAILABLE: no server; as a rule the token is still good.
 *
 * After V2M_OK the error's code is V2M_OK as well, but when somebody may have
 * logged in with the old password meanwhile and that could not be revoked: the
 * error tells why, to be logged.
 *
 * Hashes the password, at that cost, only if the token is good.  Blocks; any
 * thread.
 */
int v2m_confirm(v2m_database_t *users, int cost, const char *token,
                const char *password, v2m_confirmed_t *confirmed,
                v2m_error_t *error);

#endif /* V2M_CONFIRM_H */
