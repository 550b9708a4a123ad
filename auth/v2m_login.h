/*
 * The decision whether someone may log in.
 */

#ifndef V2M_LOGIN_H
#define V2M_LOGIN_H

#include "v2m_users.h"

/*
 * Checks a login: V2M_OK fills the user (with the hash wiped); V2M_DENIED for
 * an unknown or disabled user or a wrong password, each after the same time;
 * V2M_INVALID when the row holds a plain-text password: to be answered as
 * V2M_DENIED and logged; V2M_UNAVAILABLE without a database.
 *
 * When the password is right and its hash is of a lower cost than the one
 * given, or of another method, a new one is stored in its place.  If that
 * fails the login succeeds all the same, and the error, whose code is V2M_OK
 * otherwise, tells why, to be logged.
 *
 * Blocks; any thread.
 */
int v2m_login(v2m_database_t *users, int cost, const char *email,
              const char *password, v2m_user_t *user, v2m_error_t *error);

#endif /* V2M_LOGIN_H */
