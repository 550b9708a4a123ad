#include "v2m_users.h"

#include <stdio.h>
#include <string.h>

#include "v2m_email.h"

/* Who reads the rows of users, and what is read. */
typedef struct {
    v2m_users_each_pt each;
    void             *data;
    int               hashes; /* 0: without them */
} v2m_users_reading_t;


static int
v2m_users_read_flag(v2m_database_row_t *row, const char *name, int *flag,
                    v2m_error_t *error)
{
    int     rc;
    int64_t value;

    value = 0;
    rc =
        v2m_database_number(row, v2m_database_column(row, name), &value, error);

    *flag = value != 0;

    return rc;
}


static int
v2m_users_read_name_and_hash(v2m_database_row_t *row, v2m_user_t *user,
                             v2m_error_t *error)
{
    int rc, email, password;

    email = v2m_database_column(row, "email");
    password = v2m_database_column(row, "password");

    if (email < 0 || password < 0) {
        return v2m_error_set(error, V2M_ERROR,
                             "the users' table lacks the column email or "
                             "password");
    }

    rc = v2m_database_text(row, email, user->email, sizeof(user->email), error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_database_text(row, password, user->password,
                           sizeof(user->password), error);

    /* whatever it is, it is no hash, and no reason to hide the user */

    if (rc == V2M_CORRUPT) {
        user->password[0] = '\0';
        rc = V2M_OK;
    }

    user->hashed = rc == V2M_OK && v2m_password_is_hash(user->password);

    return rc;
}


static int
v2m_users_read_quota(void *data, v2m_database_row_t *row, v2m_error_t *error)
{
    int          rc;
    v2m_quota_t *quota = data;

    quota->jobs = V2M_QUOTA_DEFAULT;
    quota->bytes = V2M_QUOTA_DEFAULT;

    rc = v2m_database_number(row, v2m_database_column(row, "quota_jobs"),
                             &quota->jobs, error);

    if (rc == V2M_OK) {
        rc = v2m_database_number(row, v2m_database_column(row, "quota_bytes"),
                                 &quota->bytes, error);
    }

    return rc;
}


static int
v2m_users_read(void *data, v2m_database_row_t *row, v2m_error_t *error)
{
    int                        rc;
    v2m_user_t                 user;
    const v2m_users_reading_t *reading = data;

    memset(&user, 0, sizeof(user));

    if ((rc = v2m_users_read_name_and_hash(row, &user, error)) == V2M_OK
        && (rc = v2m_users_read_flag(row, "admin", &user.admin, error))
               == V2M_OK
        && (rc = v2m_users_read_flag(row, "disabled", &user.disabled, error))
               == V2M_OK
        && (rc = v2m_users_read_quota(&user.quota, row, error)) == V2M_OK)
    {
        if (!reading->hashes) {
            explicit_bzero(user.password, sizeof(user.password));
        }

        rc = reading->each(reading->data, &user);
    }

    explicit_bzero(&user, sizeof(user));

    return rc;
}


/* For an UPDATE or DELETE of one user. */
static int
v2m_users_change(v2m_database_t *users, v2m_database_statement_t *query,
                 v2m_error_t *error)
{
    int rc;

    rc = v2m_database_run(users, query, error);

    if (rc == V2M_OK && query->matched == 0) {
        rc = v2m_error_set(error, V2M_NOT_FOUND, "there is no such user");
    }

    return rc;
}


static int
v2m_users_found(void *data, const v2m_user_t *user)
{
    v2m_user_t *found = data;

    *found = *user;

    return V2M_OK;
}


int
v2m_users_find(v2m_database_t *users, const char *email, v2m_user_t *user,
               v2m_error_t *error)
{
    int                      rc;
    const char              *values[] = { email };
    v2m_users_reading_t      reading = { v2m_users_found, user, 1 };
    v2m_database_statement_t query = {
        .sql = "SELECT * FROM user WHERE email = ? LIMIT 1",
        .values = values,
        .count = 1,
        .row = v2m_users_read,
        .data = &reading,
    };

    memset(user, 0, sizeof(v2m_user_t));

    if (strnlen(email, V2M_USERS_NAME_MAX + 1) <= V2M_USERS_NAME_MAX) {
        rc = v2m_database_run(users, &query, error);

        if (rc != V2M_OK || user->email[0] != '\0') {
            return rc;
        }
    }

    return v2m_error_set(error, V2M_NOT_FOUND, "there is no such user");
}


int
v2m_users_add(v2m_database_t *users, const v2m_user_t *user, v2m_error_t *error)
{
    int         rc;
    const char *values[] = { user->email, user->password,
                             user->admin ? "1" : "0",
                             user->disabled ? "1" : "0" };

    v2m_database_statement_t query = {
        .sql = "INSERT INTO user (email, password, admin, disabled) "
               "VALUES (?, ?, ?, ?)",
        .values = values,
        .count = 4,
    };

    rc = v2m_email_check(user->email, error);
    if (rc != V2M_OK) {
        return rc;
    }

    /* the tutorial's table has only these two columns */

    if (!user->admin && !user->disabled) {
        query.sql = "INSERT INTO user (email, password) VALUES (?, ?)";
        query.count = 2;
    }

    return v2m_database_run(users, &query, error);
}


int
v2m_users_set_password(v2m_database_t *users, const char *email,
                       const char *hash, v2m_error_t *error)
{
    const char              *values[] = { hash, email };
    v2m_database_statement_t query = {
        .sql = "UPDATE user SET password = ? WHERE email = ?",
        .values = values,
        .count = 2,
    };

    return v2m_users_change(users, &query, error);
}


int
v2m_users_replace_password(v2m_database_t *users, const char *email,
                           const char *old_hash, const char *hash,
                           v2m_error_t *error)
{
    int                      rc;
    const char              *values[] = { hash, email, old_hash };
    v2m_database_statement_t query = {
        /* the column's collation may be blind to case */
        .sql = "UPDATE user SET password = ? "
               "WHERE email = ? AND CAST(password AS BINARY) = ?",
        .values = values,
        .count = 3,
    };

    rc = v2m_users_change(users, &query, error);

    if (rc == V2M_NOT_FOUND) {
        rc = v2m_error_set(error, V2M_CONFLICT,
                           "the user has another password by now");
    }

    return rc;
}


int
v2m_users_set_disabled(v2m_database_t *users, const char *email, int disabled,
                       v2m_error_t *error)
{
    const char              *values[] = { disabled ? "1" : "0", email };
    v2m_database_statement_t query = {
        .sql = "UPDATE user SET disabled = ? WHERE email = ?",
        .values = values,
        .count = 2,
    };

    return v2m_users_change(users, &query, error);
}


/* The value of a column, or NULL. */
static const char *
v2m_users_limit(char text[V2M_DATABASE_DIGITS], int64_t limit)
{
    if (limit == V2M_QUOTA_DEFAULT) {
        return NULL;
    }

    v2m_database_digits(text, limit);

    return text;
}


int
v2m_users_set_quota(v2m_database_t *users, const char *email,
                    const v2m_quota_t *quota, v2m_error_t *error)
{
    char jobs[V2M_DATABASE_DIGITS], bytes[V2M_DATABASE_DIGITS];

    const char *values[] = { v2m_users_limit(jobs, quota->jobs),
                             v2m_users_limit(bytes, quota->bytes), email };

    v2m_database_statement_t query = {
        .sql = "UPDATE user SET quota_jobs = ?, quota_bytes = ? "
               "WHERE email = ?",
        .values = values,
        .count = 3,
    };

    return v2m_users_change(users, &query, error);
}


int
v2m_users_quota(v2m_database_t *users, const char *email, v2m_quota_t *quota,
                v2m_error_t *error)
{
    int                      rc;
    const char              *values[] = { email };
    v2m_database_statement_t query = {
        .sql = "SELECT quota_jobs, quota_bytes FROM user WHERE email = ? "
               "LIMIT 1",
        .values = values,
        .count = 1,
        .row = v2m_users_read_quota,
        .data = quota,
    };

    quota->jobs = V2M_QUOTA_DEFAULT;
    quota->bytes = V2M_QUOTA_DEFAULT;

    rc = v2m_database_run(users, &query, error);

    /* a table, or a name, that can have none */

    return query.missing || rc == V2M_NOT_FOUND ? V2M_OK : rc;
}


int
v2m_users_delete(v2m_database_t *users, const char *email, v2m_error_t *error)
{
    const char              *values[] = { email };
    v2m_database_statement_t query = {
        .sql = "DELETE FROM user WHERE email = ?",
        .values = values,
        .count = 1,
    };

    return v2m_users_change(users, &query, error);
}


int
v2m_users_list(v2m_database_t *users, v2m_users_each_pt each, void *data,
               v2m_error_t *error)
{
    v2m_users_reading_t      reading = { each, data, 0 };
    v2m_database_statement_t query = {
        .sql = "SELECT * FROM user ORDER BY email",
        .row = v2m_users_read,
        .data = &reading,
    };

    return v2m_database_run(users, &query, error);
}
