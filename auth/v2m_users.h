/*
 * The users' table: database "auth", table user(id, email UNIQUE, password,
 * admin, disabled); a table without the last two columns (the tutorial's) is
 * read as well: its users are neither administrators nor disabled.
 *
 * All functions block and may be called from any thread; results are those of
 * v2m_database_run() where nothing else is said.
 */

#ifndef V2M_USERS_H
#define V2M_USERS_H

#include "v2m_database.h"
#include "v2m_error.h"
#include "v2m_password.h"

/* What a user may take up at a time: jobs that are not finished, and bytes of
 * videos and MP3s.  0: any number. */
typedef struct {
    int64_t jobs;
    int64_t bytes;
} v2m_quota_t;

#define V2M_QUOTA_DEFAULT -1 /* as the gateway is configured */

#define V2M_USERS_NAME_MAX 255 /* bytes of an e-mail address: the column */

typedef struct {
    char email[V2M_USERS_NAME_MAX + 1];
    char password[V2M_PASSWORD_HASH_MAX]; /* empty: what is stored is no text
                                           * of this length */
    int         admin;
    int         disabled;
    v2m_quota_t quota;
    int hashed; /* 0: the password is no hash, so no login ever succeeds */
} v2m_user_t;

/* V2M_NOT_FOUND: no such user.  Wipe user->password when done. */
int v2m_users_find(v2m_database_t *users, const char *email, v2m_user_t *user,
                   v2m_error_t *error);

/* V2M_CONFLICT: there is one already; V2M_INVALID: not an e-mail address. */
int v2m_users_add(v2m_database_t *users, const v2m_user_t *user,
                  v2m_error_t *error);

/* Each V2M_NOT_FOUND when there is no such user. */
int v2m_users_set_password(v2m_database_t *users, const char *email,
                           const char *hash, v2m_error_t *error);

/* Sets another hash in place of the one given.  V2M_CONFLICT: the user has
 * another password by now, or is gone. */
int v2m_users_replace_password(v2m_database_t *users, const char *email,
                               const char *old_hash, const char *hash,
                               v2m_error_t *error);

int v2m_users_set_disabled(v2m_database_t *users, const char *email,
                           int disabled, v2m_error_t *error);
int v2m_users_delete(v2m_database_t *users, const char *email,
                     v2m_error_t *error);

/* V2M_NOT_FOUND: no such user. */
int v2m_users_set_quota(v2m_database_t *users, const char *email,
                        const v2m_quota_t *quota, v2m_error_t *error);

/* The limits of a user; those of one who is not in the table, and where the
 * table has no such columns, are V2M_QUOTA_DEFAULT. */
int v2m_users_quota(v2m_database_t *users, const char *email,
                    v2m_quota_t *quota, v2m_error_t *error);

typedef int (*v2m_users_each_pt)(void *data, const v2m_user_t *user);

/* All users by e-mail, without their password hashes. */
int v2m_users_list(v2m_database_t *users, v2m_users_each_pt each, void *data,
                   v2m_error_t *error);

#endif /* V2M_USERS_H */
