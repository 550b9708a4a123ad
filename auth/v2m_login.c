#include "v2m_login.h"

#include <string.h>

#include "v2m_password.h"


/* The error's code is V2M_OK when all is well. */
static void
v2m_login_renew_hash(v2m_database_t *users, int cost, const char *password,
                     const v2m_user_t *user, v2m_error_t *error)
{
    int  rc;
    char hash[V2M_PASSWORD_HASH_MAX];

    error->code = V2M_OK;
    error->text[0] = '\0';

    if (!v2m_password_is_outdated(user->password, cost)
        || !v2m_database_permits(users))
    {
        return;
    }

    rc = v2m_password_hash(password, cost, hash, error);

    if (rc == V2M_OK) {
        rc = v2m_users_replace_password(users, user->email, user->password,
                                        hash, error);
    }

    explicit_bzero(hash, sizeof(hash));

    /* another login may have done it, or someone set another password */

    if (rc == V2M_CONFLICT) {
        error->code = V2M_OK;
    }
}


int
v2m_login(v2m_database_t *users, int cost, const char *email,
          const char *password, v2m_user_t *user, v2m_error_t *error)
{
    int rc;

    rc = v2m_users_find(users, email, user, error);

    if (rc == V2M_NOT_FOUND) {
        rc = v2m_password_verify_nobody(password, cost, error);

    } else if (rc == V2M_OK) {
        rc = v2m_password_verify(password, user->password, cost, error);

        if (rc == V2M_INVALID) {
            v2m_error_set(error, rc,
                          "what is stored as the password of %s is not a hash "
                          "of crypt(3), so it never matches",
                          user->email);

        } else if (rc == V2M_OK && user->disabled) {
            rc = v2m_error_set(error, V2M_DENIED, "invalid credentials");

        } else if (rc == V2M_OK) {
            v2m_login_renew_hash(users, cost, password, user, error);
        }
    }

    explicit_bzero(user->password, sizeof(user->password));

    if (rc != V2M_OK) {
        memset(user, 0, sizeof(v2m_user_t));
    }

    return rc;
}
