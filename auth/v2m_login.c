#include "v2m_login.h"

#include <string.h>

#include "v2m_password.h"


int
v2m_login(v2m_users_t *users, const char *email, const char *password,
          v2m_user_t *user, v2m_error_t *error)
{
    int rc;

    rc = v2m_users_find(users, email, user, error);

    if (rc == V2M_NOT_FOUND) {
        rc = v2m_password_verify_nobody(password, error);

    } else if (rc == V2M_OK) {
        rc = v2m_password_verify(password, user->password, error);

        if (rc == V2M_INVALID) {
            v2m_error_set(error, rc,
                          "what is stored as the password of %s is not a hash "
                          "of crypt(3), so it never matches",
                          user->email);

        } else if (rc == V2M_OK && user->disabled) {
            rc = v2m_error_set(error, V2M_DENIED, "invalid credentials");
        }
    }

    explicit_bzero(user->password, sizeof(user->password));

    if (rc != V2M_OK) {
        memset(user, 0, sizeof(v2m_user_t));
    }

    return rc;
}
