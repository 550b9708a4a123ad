#include "v2m_users.h"

#include <mariadb/errmsg.h>
#include <mariadb/mysql.h>
#include <mariadb/mysqld_error.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "v2m_config.h"
#include "v2m_pool.h"
#include "v2m_users_query.h"

#define V2M_USERS_CONNECTIONS 16

struct v2m_users_s {
    char       *host;
    int         port;
    char       *user;
    char       *password;
    char       *database;
    int         timeout_ms;
    v2m_pool_t *pool;    /* of MYSQL */
    atomic_int  refused; /* a change, for lack of a right */
};

/* One statement.  Values are text also for columns that are numbers. */
typedef struct {
    const char *sql;
    const char *values[V2M_USERS_VALUES];
    unsigned    count;

    v2m_users_each_pt each; /* for a SELECT of users */
    v2m_users_row_pt  row;  /* for another SELECT */
    unsigned          columns;
    void             *data;

    int64_t matched; /* of an UPDATE or DELETE: rows */
    int     missing; /* it failed as the table is not there */
} v2m_users_query_t;

/* Where the columns that matter are in a result; -1: there is none. */
typedef struct {
    int email;
    int password;
    int admin;
    int disabled;
} v2m_users_columns_t;


static char *
v2m_users_copy(const char *text)
{
    return strdup(text != NULL ? text : "");
}


static MYSQL *
v2m_users_handle(const v2m_users_t *users)
{
    MYSQL   *mysql;
    my_bool  verify;
    unsigned seconds, protocol, local_infile;

    mysql = mysql_init(NULL);
    if (mysql == NULL) {
        return NULL;
    }

    seconds = users->timeout_ms > 0 ? (users->timeout_ms + 999) / 1000 : 1;

    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &seconds);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &seconds);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &seconds);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");

    /* "localhost" with a port means that port, not a socket somewhere */

    protocol = MYSQL_PROTOCOL_TCP;
    mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);

    /* no server may ask for files of this machine */

    local_infile = 0;
    mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &local_infile);

    /* the versions of libmariadb differ in their default, and there is no
     * certificate authority among the settings to verify against */

    verify = 0;
    mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);

    return mysql;
}


static int
v2m_users_connect(void *data, void **connection, v2m_error_t *error)
{
    int                rc;
    MYSQL             *mysql;
    const v2m_users_t *users = data;

    mysql = v2m_users_handle(users);
    if (mysql == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (mysql_real_connect(mysql, users->host, users->user, users->password,
                           users->database, (unsigned) users->port, NULL,
                           CLIENT_FOUND_ROWS)
        == NULL)
    {
        rc = v2m_error_set(error, V2M_UNAVAILABLE,
                           "cannot connect to MariaDB at %s:%d: %s",
                           users->host, users->port, mysql_error(mysql));
        mysql_close(mysql);
        return rc;
    }

    *connection = mysql;
    return V2M_OK;
}


/* The server may have ended an idle connection long ago: a statement that
 * failed half-way could not be repeated without doubt. */
static int
v2m_users_works(void *connection)
{
    return mysql_ping(connection) == 0;
}


static void
v2m_users_close(void *connection)
{
    mysql_close(connection);
}


static int
v2m_users_create_pool(v2m_users_t *users, v2m_error_t *error)
{
    char               what[V2M_ERROR_TEXT];
    v2m_pool_options_t options = {
        .capacity = V2M_USERS_CONNECTIONS,
        .timeout_ms = users->timeout_ms,
        .what = what,
        .open = v2m_users_connect,
        .works = v2m_users_works,
        .close = v2m_users_close,
        .data = users,
    };

    snprintf(what, sizeof(what), "MariaDB at %s:%d", users->host, users->port);

    return v2m_pool_create(&users->pool, &options, error);
}


int
v2m_users_create(v2m_users_t **users, const v2m_users_options_t *options,
                 v2m_error_t *error)
{
    int          rc;
    v2m_users_t *made;

    *users = NULL;

    /* libmariadb sets itself up at the first call, which is not thread-safe;
     * it keeps nothing per thread, so threads need not sign on or off */

    if (mysql_library_init(0, NULL, NULL) != 0) {
        return v2m_error_set(error, V2M_ERROR, "cannot set libmariadb up");
    }

    made = calloc(1, sizeof(v2m_users_t));
    if (made == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    made->host = v2m_users_copy(options->host);
    made->port = options->port;
    made->user = v2m_users_copy(options->user);
    made->password = v2m_users_copy(options->password);
    made->database = v2m_users_copy(options->database);
    made->timeout_ms = options->timeout_ms;

    if (made->host == NULL || made->user == NULL || made->password == NULL
        || made->database == NULL)
    {
        rc = v2m_error_set(error, V2M_ERROR, "out of memory");

    } else {
        rc = v2m_users_create_pool(made, error);
    }

    if (rc != V2M_OK) {
        v2m_users_destroy(made);
        return rc;
    }

    *users = made;
    return V2M_OK;
}


void
v2m_users_destroy(v2m_users_t *users)
{
    if (users == NULL) {
        return;
    }

    v2m_pool_destroy(users->pool);

    free(users->host);
    free(users->user);
    v2m_config_wipe(users->password);
    free(users->database);
    free(users);
}


int
v2m_users_ping(v2m_users_t *users, v2m_error_t *error)
{
    int   rc;
    void *mysql;

    /* each connection is tried when it is taken */

    rc = v2m_pool_take(users->pool, &mysql, error);

    if (rc == V2M_OK) {
        v2m_pool_give(users->pool, mysql, 0);
    }

    return rc;
}


/* Maps the failure of a statement.  After V2M_UNAVAILABLE the connection is
 * of no more use. */
static int
v2m_users_failed(v2m_users_t *users, MYSQL_STMT *statement, v2m_error_t *error)
{
    int         code;
    unsigned    number;
    const char *hint;

    code = V2M_ERROR;
    hint = "";
    number = mysql_stmt_errno(statement);

    switch (number) {
    case ER_DUP_ENTRY:
        return v2m_error_set(error, V2M_CONFLICT,
                             "there is already a user of this name");

    case ER_DATA_TOO_LONG:
        return v2m_error_set(error, V2M_INVALID,
                             "the users' table has no room for a value of "
                             "this length");

    case ER_CANT_AGGREGATE_2COLLATIONS:
    case ER_INVALID_CHARACTER_STRING:
    case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
        return v2m_error_set(error, V2M_NOT_FOUND,
                             "the name has characters that no user's name "
                             "can have");

    case ER_NO_SUCH_TABLE:
    case ER_BAD_FIELD_ERROR:
        hint = " (auth/schema.sql makes what is missing)";
        break;

    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_COLUMNACCESS_DENIED_ERROR:
        atomic_store(&users->refused, 1);
        hint = " (auth/schema.sql grants what is missing)";
        break;

    case ER_LOCK_WAIT_TIMEOUT:
    case ER_LOCK_DEADLOCK:
    case ER_SERVER_SHUTDOWN:
    case ER_CONNECTION_KILLED:
        code = V2M_UNAVAILABLE;
        break;

    default:
        /* errors of the client's side, such as a lost connection */

        if ((number >= CR_MIN_ERROR && number <= CR_MAX_ERROR)
            || (number >= CER_MIN_ERROR && number <= CER_MAX_ERROR))
        {
            code = V2M_UNAVAILABLE;
        }
    }

    return v2m_error_set(error, code, "MariaDB at %s:%d: %s%s", users->host,
                         users->port, mysql_stmt_error(statement), hint);
}


static int
v2m_users_find_columns(MYSQL_STMT *statement, v2m_users_columns_t *columns,
                       v2m_error_t *error)
{
    int          i, count;
    MYSQL_RES   *metadata;
    MYSQL_FIELD *fields;

    columns->email = columns->password = -1;
    columns->admin = columns->disabled = -1;

    metadata = mysql_stmt_result_metadata(statement);
    if (metadata == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    fields = mysql_fetch_fields(metadata);
    count = (int) mysql_num_fields(metadata);

    for (i = 0; i < count; i++) {
        if (strcasecmp(fields[i].name, "email") == 0) {
            columns->email = i;

        } else if (strcasecmp(fields[i].name, "password") == 0) {
            columns->password = i;

        } else if (strcasecmp(fields[i].name, "admin") == 0) {
            columns->admin = i;

        } else if (strcasecmp(fields[i].name, "disabled") == 0) {
            columns->disabled = i;
        }
    }

    mysql_free_result(metadata);

    if (columns->email < 0 || columns->password < 0) {
        return v2m_error_set(error, V2M_ERROR,
                             "the users' table lacks the column email or "
                             "password");
    }

    return V2M_OK;
}


/* Reads one value into the buffer that target describes.  A NULL has the length
 * 0 and leaves the buffer as it was. */
static int
v2m_users_fetch(MYSQL_STMT *statement, int column, const MYSQL_BIND *target,
                unsigned long *length, v2m_error_t *error)
{
    my_bool    is_null, truncated;
    MYSQL_BIND bind = *target;

    *length = 0;
    is_null = 0;

    bind.length = length;
    bind.is_null = &is_null;
    bind.error = &truncated;

    if (mysql_stmt_fetch_column(statement, &bind, (unsigned) column, 0) != 0) {
        return v2m_error_set(error, V2M_ERROR, "cannot read a user: %s",
                             mysql_stmt_error(statement));
    }

    if (is_null) {
        *length = 0;
    }

    return V2M_OK;
}


static int
v2m_users_read_text(MYSQL_STMT *statement, int column, char *text, size_t size,
                    v2m_error_t *error)
{
    int           rc;
    unsigned long length;
    MYSQL_BIND    bind = {
           .buffer_type = MYSQL_TYPE_STRING,
           .buffer = text,
           .buffer_length = size - 1,
    };

    rc = v2m_users_fetch(statement, column, &bind, &length, error);
    if (rc != V2M_OK) {
        return rc;
    }

    /* a text cut short could be another user's */

    if (length >= size || memchr(text, '\0', length) != NULL) {
        return v2m_error_set(error, V2M_CORRUPT,
                             "a row of the users' table has an e-mail address "
                             "or a password that is too long or has a zero "
                             "byte");
    }

    text[length] = '\0';

    return V2M_OK;
}


static int
v2m_users_read_flag(MYSQL_STMT *statement, int column, int *flag,
                    v2m_error_t *error)
{
    int           rc, value;
    unsigned long length;
    MYSQL_BIND    bind = { .buffer_type = MYSQL_TYPE_LONG, .buffer = &value };

    value = 0;
    rc = V2M_OK;

    if (column >= 0) {
        rc = v2m_users_fetch(statement, column, &bind, &length, error);
    }

    *flag = value != 0;

    return rc;
}


static int
v2m_users_read_row(MYSQL_STMT *statement, const v2m_users_columns_t *columns,
                   v2m_user_t *user, v2m_error_t *error)
{
    int rc;

    rc = v2m_users_read_text(statement, columns->email, user->email,
                             sizeof(user->email), error);

    if (rc == V2M_OK) {
        rc = v2m_users_read_text(statement, columns->password, user->password,
                                 sizeof(user->password), error);

        /* whatever it is, it is no hash, and no reason to hide the user */

        if (rc == V2M_CORRUPT) {
            user->password[0] = '\0';
            rc = V2M_OK;
        }
    }

    if (rc == V2M_OK) {
        rc =
            v2m_users_read_flag(statement, columns->admin, &user->admin, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_users_read_flag(statement, columns->disabled, &user->disabled,
                                 error);
    }

    user->hashed = rc == V2M_OK && v2m_password_is_hash(user->password);

    return rc;
}


/* One row of so many columns as text. */
static int
v2m_users_read_texts(MYSQL_STMT *statement, v2m_users_query_t *query,
                     v2m_error_t *error)
{
    int      rc;
    char     texts[V2M_USERS_COLUMNS][V2M_USERS_TEXT];
    unsigned i;

    for (i = 0; i < query->columns; i++) {
        rc = v2m_users_read_text(statement, (int) i, texts[i], V2M_USERS_TEXT,
                                 error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    return query->row(query->data, texts, error);
}


static int
v2m_users_read_rows(v2m_users_t *users, MYSQL_STMT *statement,
                    v2m_users_query_t *query, v2m_error_t *error)
{
    int                 rc;
    v2m_user_t          user;
    v2m_users_columns_t columns;

    /* all rows first: the server does not wait for the one who reads */

    if (mysql_stmt_store_result(statement) != 0) {
        return v2m_users_failed(users, statement, error);
    }

    memset(&columns, 0, sizeof(columns));

    rc = query->row != NULL
             ? V2M_OK
             : v2m_users_find_columns(statement, &columns, error);

    while (rc == V2M_OK) {
        switch (mysql_stmt_fetch(statement)) {
        case MYSQL_NO_DATA:
            return V2M_OK;

        case 1:
            return v2m_users_failed(users, statement, error);
        }

        if (query->row != NULL) {
            rc = v2m_users_read_texts(statement, query, error);

            /* whoever wrote that, it is no reason to hide all others */
            rc = rc == V2M_CORRUPT ? V2M_OK : rc;
            continue;
        }

        rc = v2m_users_read_row(statement, &columns, &user, error);

        if (rc == V2M_OK) {
            rc = query->each(query->data, &user);
        }

        explicit_bzero(&user, sizeof(user));
    }

    return rc;
}


static int
v2m_users_execute(v2m_users_t *users, MYSQL_STMT *statement,
                  v2m_users_query_t *query, v2m_error_t *error)
{
    unsigned   i;
    MYSQL_BIND binds[V2M_USERS_VALUES];

    memset(binds, 0, sizeof(binds));

    for (i = 0; i < query->count; i++) {
        binds[i].buffer_type = MYSQL_TYPE_STRING;
        binds[i].buffer = (void *) query->values[i];
        binds[i].buffer_length = strlen(query->values[i]);
    }

    if (mysql_stmt_prepare(statement, query->sql, strlen(query->sql)) != 0
        || (query->count > 0 && mysql_stmt_bind_param(statement, binds) != 0)
        || mysql_stmt_execute(statement) != 0)
    {
        query->missing = mysql_stmt_errno(statement) == ER_NO_SUCH_TABLE;
        return v2m_users_failed(users, statement, error);
    }

    if (query->each != NULL || query->row != NULL) {
        return v2m_users_read_rows(users, statement, query, error);
    }

    query->matched = (int64_t) mysql_stmt_affected_rows(statement);

    return V2M_OK;
}


static int
v2m_users_run(v2m_users_t *users, v2m_users_query_t *query, v2m_error_t *error)
{
    int         rc;
    void       *mysql;
    MYSQL_STMT *statement;

    rc = v2m_pool_take(users->pool, &mysql, error);
    if (rc != V2M_OK) {
        return rc;
    }

    statement = mysql_stmt_init(mysql);

    if (statement != NULL) {
        rc = v2m_users_execute(users, statement, query, error);
        mysql_stmt_close(statement);

    } else {
        rc = v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    v2m_pool_give(users->pool, mysql, rc == V2M_UNAVAILABLE);

    return rc;
}


int
v2m_users_query(v2m_users_t *users, const char *sql, const char *const *values,
                unsigned count, unsigned columns, v2m_users_row_pt row,
                void *data, v2m_error_t *error)
{
    int               rc;
    unsigned          i;
    v2m_users_query_t query = {
        .sql = sql,
        .count = count,
        .columns = columns,
        .row = row,
        .data = data,
    };

    for (i = 0; i < count; i++) {
        query.values[i] = values[i];
    }

    rc = v2m_users_run(users, &query, error);

    return rc != V2M_OK && query.missing ? V2M_NOT_FOUND : rc;
}


/* For an UPDATE or DELETE of one user. */
static int
v2m_users_change(v2m_users_t *users, v2m_users_query_t *query,
                 v2m_error_t *error)
{
    int rc;

    rc = v2m_users_run(users, query, error);

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
v2m_users_find(v2m_users_t *users, const char *email, v2m_user_t *user,
               v2m_error_t *error)
{
    int               rc;
    v2m_users_query_t query = {
        .sql = "SELECT * FROM user WHERE email = ? LIMIT 1",
        .values = { email },
        .count = 1,
        .each = v2m_users_found,
        .data = user,
    };

    memset(user, 0, sizeof(v2m_user_t));

    if (strnlen(email, V2M_EMAIL_MAX + 1) <= V2M_EMAIL_MAX) {
        rc = v2m_users_run(users, &query, error);

        if (rc != V2M_OK || user->email[0] != '\0') {
            return rc;
        }
    }

    return v2m_error_set(error, V2M_NOT_FOUND, "there is no such user");
}


int
v2m_users_add(v2m_users_t *users, const v2m_user_t *user, v2m_error_t *error)
{
    int               rc;
    v2m_users_query_t query = {
        .sql = "INSERT INTO user (email, password, admin, disabled) "
               "VALUES (?, ?, ?, ?)",
        .values = { user->email, user->password, user->admin ? "1" : "0",
                    user->disabled ? "1" : "0" },
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

    return v2m_users_run(users, &query, error);
}


int
v2m_users_set_password(v2m_users_t *users, const char *email, const char *hash,
                       v2m_error_t *error)
{
    v2m_users_query_t query = {
        .sql = "UPDATE user SET password = ? WHERE email = ?",
        .values = { hash, email },
        .count = 2,
    };

    return v2m_users_change(users, &query, error);
}


int
v2m_users_replace_password(v2m_users_t *users, const char *email,
                           const char *old_hash, const char *hash,
                           v2m_error_t *error)
{
    int               rc;
    v2m_users_query_t query = {
        /* the column's collation may be blind to case */
        .sql = "UPDATE user SET password = ? "
               "WHERE email = ? AND CAST(password AS BINARY) = ?",
        .values = { hash, email, old_hash },
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
v2m_users_writable(v2m_users_t *users)
{
    return !atomic_load(&users->refused);
}


int
v2m_users_set_disabled(v2m_users_t *users, const char *email, int disabled,
                       v2m_error_t *error)
{
    v2m_users_query_t query = {
        .sql = "UPDATE user SET disabled = ? WHERE email = ?",
        .values = { disabled ? "1" : "0", email },
        .count = 2,
    };

    return v2m_users_change(users, &query, error);
}


int
v2m_users_delete(v2m_users_t *users, const char *email, v2m_error_t *error)
{
    v2m_users_query_t query = {
        .sql = "DELETE FROM user WHERE email = ?",
        .values = { email },
        .count = 1,
    };

    return v2m_users_change(users, &query, error);
}


typedef struct {
    v2m_users_each_pt each;
    void             *data;
} v2m_users_listing_t;


static int
v2m_users_listed(void *data, const v2m_user_t *user)
{
    v2m_user_t                 shown;
    const v2m_users_listing_t *listing = data;

    shown = *user;
    explicit_bzero(shown.password, sizeof(shown.password));

    return listing->each(listing->data, &shown);
}


int
v2m_users_list(v2m_users_t *users, v2m_users_each_pt each, void *data,
               v2m_error_t *error)
{
    v2m_users_listing_t listing = { each, data };
    v2m_users_query_t   query = {
          .sql = "SELECT * FROM user ORDER BY email",
          .each = v2m_users_listed,
          .data = &listing,
    };

    return v2m_users_run(users, &query, error);
}
