#include "v2m_users.h"

#include <errno.h>
#include <mariadb/errmsg.h>
#include <mariadb/mysql.h>
#include <mariadb/mysqld_error.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "v2m_config.h"

#define V2M_USERS_CONNECTIONS 16
#define V2M_USERS_VALUES      4

/* RFC 5321 section 4.5.3.1.1: bytes before the "@" */
#define V2M_USERS_LOCAL_MAX 64

typedef struct v2m_users_connection_s v2m_users_connection_t;

struct v2m_users_connection_s {
    MYSQL                  *mysql;
    int                     broken;
    v2m_users_connection_t *next;
};

struct v2m_users_s {
    char *host;
    int   port;
    char *user;
    char *password;
    char *database;
    int   timeout_ms;

    pthread_mutex_t         mutex;
    pthread_cond_t          given;
    int                     connections; /* idle and in use */
    v2m_users_connection_t *idle;
};

/* One statement.  Values are text also for columns that are numbers. */
typedef struct {
    const char *sql;
    const char *values[V2M_USERS_VALUES];
    unsigned    count;

    v2m_users_each_pt each; /* for a SELECT */
    void             *data;

    int64_t matched; /* of an UPDATE or DELETE: rows */
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


int
v2m_users_create(v2m_users_t **users, const v2m_users_options_t *options,
                 v2m_error_t *error)
{
    v2m_users_t       *made;
    pthread_condattr_t attributes;

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

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&made->given, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&made->mutex, NULL);

    made->host = v2m_users_copy(options->host);
    made->port = options->port;
    made->user = v2m_users_copy(options->user);
    made->password = v2m_users_copy(options->password);
    made->database = v2m_users_copy(options->database);
    made->timeout_ms = options->timeout_ms;

    if (made->host == NULL || made->user == NULL || made->password == NULL
        || made->database == NULL)
    {
        v2m_users_destroy(made);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    *users = made;
    return V2M_OK;
}


static void
v2m_users_close(v2m_users_connection_t *connection)
{
    mysql_close(connection->mysql);
    free(connection);
}


void
v2m_users_destroy(v2m_users_t *users)
{
    v2m_users_connection_t *connection;

    if (users == NULL) {
        return;
    }

    while (users->idle != NULL) {
        connection = users->idle;
        users->idle = connection->next;
        v2m_users_close(connection);
    }

    pthread_cond_destroy(&users->given);
    pthread_mutex_destroy(&users->mutex);

    free(users->host);
    free(users->user);
    v2m_config_wipe(users->password);
    free(users->database);
    free(users);
}


static MYSQL *
v2m_users_prepare_handle(v2m_users_t *users)
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
v2m_users_connect(v2m_users_t *users, v2m_users_connection_t **connection,
                  v2m_error_t *error)
{
    int                     rc;
    v2m_users_connection_t *made;

    made = calloc(1, sizeof(v2m_users_connection_t));
    if (made == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    made->mysql = v2m_users_prepare_handle(users);
    if (made->mysql == NULL) {
        free(made);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (mysql_real_connect(made->mysql, users->host, users->user,
                           users->password, users->database,
                           (unsigned) users->port, NULL, CLIENT_FOUND_ROWS)
        == NULL)
    {
        rc = v2m_error_set(error, V2M_UNAVAILABLE,
                           "cannot connect to MariaDB at %s:%d: %s",
                           users->host, users->port, mysql_error(made->mysql));
        v2m_users_close(made);
        return rc;
    }

    *connection = made;
    return V2M_OK;
}


/* An idle connection, or NULL with leave to make one. */
static int
v2m_users_reserve(v2m_users_t *users, v2m_users_connection_t **connection,
                  v2m_error_t *error)
{
    int             rc;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += users->timeout_ms / 1000;
    until.tv_nsec += users->timeout_ms % 1000 * 1000000L;

    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }

    rc = 0;
    pthread_mutex_lock(&users->mutex);

    while (rc != ETIMEDOUT && users->idle == NULL
           && users->connections == V2M_USERS_CONNECTIONS)
    {
        rc = pthread_cond_timedwait(&users->given, &users->mutex, &until);
    }

    *connection = users->idle;

    if (users->idle != NULL) {
        users->idle = users->idle->next;
        rc = V2M_OK;

    } else if (users->connections < V2M_USERS_CONNECTIONS) {
        users->connections++;
        rc = V2M_OK;

    } else {
        rc = v2m_error_set(error, V2M_UNAVAILABLE,
                           "all %d connections to MariaDB at %s:%d are busy",
                           V2M_USERS_CONNECTIONS, users->host, users->port);
    }

    pthread_mutex_unlock(&users->mutex);

    return rc;
}


/* Gives a connection back; NULL: one that was reserved but not made. */
static void
v2m_users_give(v2m_users_t *users, v2m_users_connection_t *connection)
{
    if (connection != NULL && connection->broken) {
        v2m_users_close(connection);
        connection = NULL;
    }

    pthread_mutex_lock(&users->mutex);

    if (connection != NULL) {
        connection->next = users->idle;
        users->idle = connection;

    } else {
        users->connections--;
    }

    pthread_cond_signal(&users->given);
    pthread_mutex_unlock(&users->mutex);
}


/*
 * A connection that works.  The server may have ended an idle one long ago,
 * so it is tried first: a statement that failed half-way could not be repeated
 * without doubt.
 */
static int
v2m_users_take(v2m_users_t *users, v2m_users_connection_t **connection,
               v2m_error_t *error)
{
    int rc;

    rc = v2m_users_reserve(users, connection, error);

    if (rc != V2M_OK) {
        return rc;
    }

    if (*connection != NULL) {
        if (mysql_ping((*connection)->mysql) == 0) {
            return V2M_OK;
        }

        v2m_users_close(*connection);
    }

    rc = v2m_users_connect(users, connection, error);

    if (rc != V2M_OK) {
        v2m_users_give(users, NULL);
    }

    return rc;
}


int
v2m_users_ping(v2m_users_t *users, v2m_error_t *error)
{
    int                     rc;
    v2m_users_connection_t *connection;

    rc = v2m_users_take(users, &connection, error);

    if (rc == V2M_OK) {
        v2m_users_give(users, connection);
    }

    return rc;
}


/* Maps the failure of a statement. */
static int
v2m_users_failed(v2m_users_t *users, v2m_users_connection_t *connection,
                 MYSQL_STMT *statement, v2m_error_t *error)
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

    case ER_LOCK_WAIT_TIMEOUT:
    case ER_LOCK_DEADLOCK:
        code = V2M_UNAVAILABLE;
        break;

    case ER_SERVER_SHUTDOWN:
    case ER_CONNECTION_KILLED:
        code = V2M_UNAVAILABLE;
        connection->broken = 1;
        break;

    default:
        if (number >= CR_MIN_ERROR && number <= CR_MAX_ERROR) {
            code = V2M_UNAVAILABLE;
            connection->broken = 1;
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


static int
v2m_users_read_text(MYSQL_STMT *statement, int column, char *text, size_t size,
                    v2m_error_t *error)
{
    my_bool       is_null, truncated;
    MYSQL_BIND    bind;
    unsigned long length;

    memset(&bind, 0, sizeof(bind));
    length = 0;
    is_null = 0;

    bind.buffer_type = MYSQL_TYPE_STRING;
    bind.buffer = text;
    bind.buffer_length = size - 1;
    bind.length = &length;
    bind.is_null = &is_null;
    bind.error = &truncated;

    if (mysql_stmt_fetch_column(statement, &bind, (unsigned) column, 0) != 0) {
        return v2m_error_set(error, V2M_ERROR, "cannot read a user: %s",
                             mysql_stmt_error(statement));
    }

    if (is_null) {
        length = 0;
    }

    /* a text cut short could be another user's */

    if (length >= size || memchr(text, '\0', length) != NULL) {
        return v2m_error_set(error, V2M_CORRUPT,
                             "a row of the users' table has a value that is "
                             "too long or has a zero byte");
    }

    text[length] = '\0';

    return V2M_OK;
}


static int
v2m_users_read_flag(MYSQL_STMT *statement, int column, int *flag,
                    v2m_error_t *error)
{
    int           value;
    my_bool       is_null, truncated;
    MYSQL_BIND    bind;
    unsigned long length;

    *flag = 0;

    if (column < 0) {
        return V2M_OK;
    }

    memset(&bind, 0, sizeof(bind));
    value = 0;
    is_null = 0;

    bind.buffer_type = MYSQL_TYPE_LONG;
    bind.buffer = &value;
    bind.length = &length;
    bind.is_null = &is_null;
    bind.error = &truncated;

    if (mysql_stmt_fetch_column(statement, &bind, (unsigned) column, 0) != 0) {
        return v2m_error_set(error, V2M_ERROR, "cannot read a user: %s",
                             mysql_stmt_error(statement));
    }

    *flag = !is_null && value != 0;

    return V2M_OK;
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
    }

    if (rc == V2M_OK) {
        rc =
            v2m_users_read_flag(statement, columns->admin, &user->admin, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_users_read_flag(statement, columns->disabled, &user->disabled,
                                 error);
    }

    return rc;
}


static int
v2m_users_read_rows(v2m_users_t *users, v2m_users_connection_t *connection,
                    MYSQL_STMT *statement, v2m_users_query_t *query,
                    v2m_error_t *error)
{
    int                 rc;
    v2m_user_t          user;
    v2m_users_columns_t columns;

    /* all rows first: the server does not wait for the one who reads */

    if (mysql_stmt_store_result(statement) != 0) {
        return v2m_users_failed(users, connection, statement, error);
    }

    rc = v2m_users_find_columns(statement, &columns, error);

    while (rc == V2M_OK) {
        switch (mysql_stmt_fetch(statement)) {
        case MYSQL_NO_DATA:
            return V2M_OK;

        case 1:
            return v2m_users_failed(users, connection, statement, error);
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
v2m_users_execute(v2m_users_t *users, v2m_users_connection_t *connection,
                  MYSQL_STMT *statement, v2m_users_query_t *query,
                  v2m_error_t *error)
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
        return v2m_users_failed(users, connection, statement, error);
    }

    if (query->each != NULL) {
        return v2m_users_read_rows(users, connection, statement, query, error);
    }

    query->matched = (int64_t) mysql_stmt_affected_rows(statement);

    return V2M_OK;
}


static int
v2m_users_run(v2m_users_t *users, v2m_users_query_t *query, v2m_error_t *error)
{
    int                     rc;
    MYSQL_STMT             *statement;
    v2m_users_connection_t *connection;

    rc = v2m_users_take(users, &connection, error);
    if (rc != V2M_OK) {
        return rc;
    }

    statement = mysql_stmt_init(connection->mysql);

    if (statement != NULL) {
        rc = v2m_users_execute(users, connection, statement, query, error);
        mysql_stmt_close(statement);

    } else {
        rc = v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    v2m_users_give(users, connection);

    return rc;
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


static int
v2m_users_is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9');
}


/* Words of the given letters, with single dots between them. */
static int
v2m_users_is_dotted(const char *text, size_t length, const char *letters)
{
    size_t i;

    for (i = 0; i < length; i++) {
        if (text[i] == '.') {
            if (i == 0 || text[i - 1] == '.') {
                return 0;
            }

        } else if (!v2m_users_is_alnum(text[i])
                   && strchr(letters, text[i]) == NULL) {
            return 0;
        }
    }

    return length > 0 && text[length - 1] != '.';
}


int
v2m_users_check_email(const char *email, v2m_error_t *error)
{
    size_t      length;
    const char *at;

    length = strnlen(email, V2M_EMAIL_MAX + 1);
    at = strchr(email, '@');

    /* RFC 5322 section 3.4.1 without the quoted and literal forms */

    if (length > V2M_EMAIL_MAX || at == NULL || at - email > V2M_USERS_LOCAL_MAX
        || !v2m_users_is_dotted(email, (size_t) (at - email),
                                "!#$%&'*+-/=?^_`{|}~")
        || !v2m_users_is_dotted(at + 1, length - (size_t) (at + 1 - email),
                                "-"))
    {
        return v2m_error_set(error, V2M_INVALID,
                             "this is not an e-mail address");
    }

    return V2M_OK;
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

    rc = v2m_users_check_email(user->email, error);
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


int
v2m_users_login(v2m_users_t *users, const char *email, const char *password,
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
