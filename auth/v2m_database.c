#include "v2m_database.h"

#include <inttypes.h>
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

#define V2M_DATABASE_CONNECTIONS 16

struct v2m_database_s {
    char       *host;
    int         port;
    char       *user;
    char       *password;
    char       *database;
    int         timeout_ms;
    v2m_pool_t *pool;    /* of MYSQL */
    atomic_int  refused; /* a change, for lack of a right */
};

struct v2m_database_row_s {
    MYSQL_STMT  *statement;
    MYSQL_FIELD *fields;
    int          count; /* columns */
};


static char *
v2m_database_copy(const char *text)
{
    return strdup(text != NULL ? text : "");
}


static MYSQL *
v2m_database_handle(const v2m_database_t *database)
{
    MYSQL   *mysql;
    my_bool  verify;
    unsigned seconds, protocol, local_infile;

    mysql = mysql_init(NULL);
    if (mysql == NULL) {
        return NULL;
    }

    seconds =
        database->timeout_ms > 0 ? (database->timeout_ms + 999) / 1000 : 1;

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
v2m_database_connect(void *data, void **connection, v2m_error_t *error)
{
    int                   rc;
    MYSQL                *mysql;
    const v2m_database_t *database = data;

    mysql = v2m_database_handle(database);
    if (mysql == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (mysql_real_connect(mysql, database->host, database->user,
                           database->password, database->database,
                           (unsigned) database->port, NULL, CLIENT_FOUND_ROWS)
        == NULL)
    {
        rc = v2m_error_set(error, V2M_UNAVAILABLE,
                           "cannot connect to MariaDB at %s:%d: %s",
                           database->host, database->port, mysql_error(mysql));
        mysql_close(mysql);
        return rc;
    }

    *connection = mysql;
    return V2M_OK;
}


/* The server may have ended an idle connection long ago: a statement that
 * failed half-way could not be repeated without doubt. */
static int
v2m_database_works(void *connection)
{
    return mysql_ping(connection) == 0;
}


static void
v2m_database_close(void *connection)
{
    mysql_close(connection);
}


static int
v2m_database_create_pool(v2m_database_t *database, v2m_error_t *error)
{
    char               what[V2M_ERROR_TEXT];
    v2m_pool_options_t options = {
        .capacity = V2M_DATABASE_CONNECTIONS,
        .timeout_ms = database->timeout_ms,
        .what = what,
        .open = v2m_database_connect,
        .works = v2m_database_works,
        .close = v2m_database_close,
        .data = database,
    };

    snprintf(what, sizeof(what), "MariaDB at %s:%d", database->host,
             database->port);

    return v2m_pool_create(&database->pool, &options, error);
}


int
v2m_database_create(v2m_database_t              **database,
                    const v2m_database_options_t *options, v2m_error_t *error)
{
    int             rc;
    v2m_database_t *made;

    *database = NULL;

    /* libmariadb sets itself up at the first call, which is not thread-safe;
     * it keeps nothing per thread, so threads need not sign on or off */

    if (mysql_library_init(0, NULL, NULL) != 0) {
        return v2m_error_set(error, V2M_ERROR, "cannot set libmariadb up");
    }

    made = calloc(1, sizeof(v2m_database_t));
    if (made == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    made->host = v2m_database_copy(options->host);
    made->port = options->port;
    made->user = v2m_database_copy(options->user);
    made->password = v2m_database_copy(options->password);
    made->database = v2m_database_copy(options->database);
    made->timeout_ms = options->timeout_ms;

    if (made->host == NULL || made->user == NULL || made->password == NULL
        || made->database == NULL)
    {
        rc = v2m_error_set(error, V2M_ERROR, "out of memory");

    } else {
        rc = v2m_database_create_pool(made, error);
    }

    if (rc != V2M_OK) {
        v2m_database_destroy(made);
        return rc;
    }

    *database = made;
    return V2M_OK;
}


void
v2m_database_destroy(v2m_database_t *database)
{
    if (database == NULL) {
        return;
    }

    v2m_pool_destroy(database->pool);

    free(database->host);
    free(database->user);
    v2m_config_wipe(database->password);
    free(database->database);
    free(database);
}


int
v2m_database_ping(v2m_database_t *database, v2m_error_t *error)
{
    int   rc;
    void *mysql;

    /* each connection is tried when it is taken */

    rc = v2m_pool_take(database->pool, &mysql, error);

    if (rc == V2M_OK) {
        v2m_pool_give(database->pool, mysql, 0);
    }

    return rc;
}


int
v2m_database_permits(v2m_database_t *database)
{
    return !atomic_load(&database->refused);
}


/* Maps the failure of a statement.  After V2M_UNAVAILABLE the connection is
 * of no more use. */
static int
v2m_database_failed(v2m_database_t *database, MYSQL_STMT *statement,
                    v2m_error_t *error)
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
                             "there is already a row of this name");

    case ER_DATA_TOO_LONG:
        return v2m_error_set(error, V2M_INVALID,
                             "the users' database has no room for a value of "
                             "this length");

    case ER_CANT_AGGREGATE_2COLLATIONS:
    case ER_INVALID_CHARACTER_STRING:
    case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
        return v2m_error_set(error, V2M_NOT_FOUND,
                             "the name has characters that no user's name "
                             "can have");

    case ER_NO_SUCH_TABLE:
    case ER_BAD_FIELD_ERROR:
        hint = " (v2m-schema makes what is missing)";
        break;

    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_COLUMNACCESS_DENIED_ERROR:
        atomic_store(&database->refused, 1);
        hint = " (v2m-schema grants what is missing)";
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

    return v2m_error_set(error, code, "MariaDB at %s:%d: %s%s", database->host,
                         database->port, mysql_stmt_error(statement), hint);
}


int
v2m_database_column(const v2m_database_row_t *row, const char *name)
{
    int i;

    for (i = 0; i < row->count; i++) {
        if (strcasecmp(row->fields[i].name, name) == 0) {
            return i;
        }
    }

    return -1;
}


/* Reads one value into the buffer that target describes.  A NULL has the length
 * 0 and leaves the buffer as it was. */
static int
v2m_database_fetch(v2m_database_row_t *row, int column,
                   const MYSQL_BIND *target, unsigned long *length,
                   v2m_error_t *error)
{
    my_bool    is_null, truncated;
    MYSQL_BIND bind = *target;

    *length = 0;
    is_null = 0;

    bind.length = length;
    bind.is_null = &is_null;
    bind.error = &truncated;

    if (mysql_stmt_fetch_column(row->statement, &bind, (unsigned) column, 0)
        != 0) {
        return v2m_error_set(error, V2M_ERROR, "cannot read a row: %s",
                             mysql_stmt_error(row->statement));
    }

    if (is_null) {
        *length = 0;
    }

    return V2M_OK;
}


int
v2m_database_text(v2m_database_row_t *row, int column, char *text, size_t size,
                  v2m_error_t *error)
{
    int           rc;
    unsigned long length;
    MYSQL_BIND    bind = {
           .buffer_type = MYSQL_TYPE_STRING,
           .buffer = text,
           .buffer_length = size - 1,
    };

    rc = v2m_database_fetch(row, column, &bind, &length, error);
    if (rc != V2M_OK) {
        return rc;
    }

    /* a text cut short could be that of another row */

    if (length >= size || memchr(text, '\0', length) != NULL) {
        return v2m_error_set(error, V2M_CORRUPT,
                             "the column %s has a value that is too long or "
                             "has a zero byte",
                             row->fields[column].name);
    }

    text[length] = '\0';

    return V2M_OK;
}


int
v2m_database_number(v2m_database_row_t *row, int column, int64_t *number,
                    v2m_error_t *error)
{
    unsigned long length;
    MYSQL_BIND    bind = {
           .buffer_type = MYSQL_TYPE_LONGLONG,
           .buffer = number,
    };

    return column < 0 ? V2M_OK
                      : v2m_database_fetch(row, column, &bind, &length, error);
}


void
v2m_database_digits(char text[V2M_DATABASE_DIGITS], int64_t number)
{
    snprintf(text, V2M_DATABASE_DIGITS, "%" PRId64, number);
}


static int
v2m_database_read_rows(v2m_database_t                 *database,
                       const v2m_database_statement_t *statement,
                       v2m_database_row_t *row, v2m_error_t *error)
{
    int rc;

    for (rc = V2M_OK; rc == V2M_OK;
         rc = statement->row(statement->data, row, error))
    {
        switch (mysql_stmt_fetch(row->statement)) {
        case MYSQL_NO_DATA:
            return V2M_OK;

        case 1:
            return v2m_database_failed(database, row->statement, error);
        }
    }

    return rc;
}


static int
v2m_database_read(v2m_database_t                 *database,
                  const v2m_database_statement_t *statement,
                  MYSQL_STMT *prepared, v2m_error_t *error)
{
    int                rc;
    MYSQL_RES         *metadata;
    v2m_database_row_t row;

    /* all rows first: the server does not wait for the one who reads */

    if (mysql_stmt_store_result(prepared) != 0) {
        return v2m_database_failed(database, prepared, error);
    }

    metadata = mysql_stmt_result_metadata(prepared);
    if (metadata == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    row.statement = prepared;
    row.fields = mysql_fetch_fields(metadata);
    row.count = (int) mysql_num_fields(metadata);

    rc = v2m_database_read_rows(database, statement, &row, error);

    mysql_free_result(metadata);

    return rc;
}


static int
v2m_database_execute(v2m_database_t           *database,
                     v2m_database_statement_t *statement, MYSQL_STMT *prepared,
                     v2m_error_t *error)
{
    unsigned   i, number;
    MYSQL_BIND binds[V2M_DATABASE_VALUES];

    memset(binds, 0, sizeof(binds));

    for (i = 0; i < statement->count; i++) {
        if (statement->values[i] == NULL) {
            binds[i].buffer_type = MYSQL_TYPE_NULL;
            continue;
        }

        binds[i].buffer_type = MYSQL_TYPE_STRING;
        binds[i].buffer = (void *) statement->values[i];
        binds[i].buffer_length = strlen(statement->values[i]);
    }

    if (mysql_stmt_prepare(prepared, statement->sql, strlen(statement->sql))
            != 0
        || (statement->count > 0 && mysql_stmt_bind_param(prepared, binds) != 0)
        || mysql_stmt_execute(prepared) != 0)
    {
        number = mysql_stmt_errno(prepared);
        statement->missing =
            number == ER_NO_SUCH_TABLE || number == ER_BAD_FIELD_ERROR;

        return v2m_database_failed(database, prepared, error);
    }

    if (statement->row != NULL) {
        return v2m_database_read(database, statement, prepared, error);
    }

    statement->matched = (int64_t) mysql_stmt_affected_rows(prepared);

    return V2M_OK;
}


/* On a connection that the caller has. */
static int
v2m_database_run_on(v2m_database_t *database, MYSQL *mysql,
                    v2m_database_statement_t *statement, v2m_error_t *error)
{
    int         rc;
    MYSQL_STMT *prepared;

    prepared = mysql_stmt_init(mysql);
    if (prepared == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    rc = v2m_database_execute(database, statement, prepared, error);
    mysql_stmt_close(prepared);

    return rc;
}


int
v2m_database_run(v2m_database_t *database, v2m_database_statement_t *statement,
                 v2m_error_t *error)
{
    int   rc;
    void *mysql;

    statement->matched = 0;
    statement->missing = 0;

    rc = v2m_pool_take(database->pool, &mysql, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_database_run_on(database, mysql, statement, error);
    v2m_pool_give(database->pool, mysql, rc == V2M_UNAVAILABLE);

    return rc;
}


/* One of the commands of a transaction, which fail only with the
 * connection. */
static int
v2m_database_step(v2m_database_t *database, MYSQL *mysql, my_bool failed,
                  v2m_error_t *error)
{
    return failed ? v2m_error_set(error, V2M_UNAVAILABLE,
                                  "MariaDB at %s:%d: %s", database->host,
                                  database->port, mysql_error(mysql))
                  : V2M_OK;
}


static int
v2m_database_transact_on(v2m_database_t *database, MYSQL *mysql,
                         v2m_database_statement_t *statements, size_t count,
                         v2m_error_t *error)
{
    int    rc;
    size_t i;

    rc = v2m_database_step(database, mysql, mysql_autocommit(mysql, 0), error);

    for (i = 0; rc == V2M_OK && i < count; i++) {
        rc = v2m_database_run_on(database, mysql, &statements[i], error);

        if (rc == V2M_OK && statements[i].must_match
            && statements[i].matched == 0) {
            rc = v2m_error_set(error, V2M_CONFLICT,
                               "what was to be changed is another by now");
        }
    }

    if (rc == V2M_OK) {
        rc = v2m_database_step(database, mysql, mysql_commit(mysql), error);
    }

    return rc;
}


int
v2m_database_transact(v2m_database_t           *database,
                      v2m_database_statement_t *statements, size_t count,
                      v2m_error_t *error)
{
    int    rc, broken;
    void  *mysql;
    size_t i;

    for (i = 0; i < count; i++) {
        statements[i].matched = 0;
        statements[i].missing = 0;
    }

    rc = v2m_pool_take(database->pool, &mysql, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_database_transact_on(database, mysql, statements, count, error);

    /* the server rolls back what a connection that is closed left open */

    broken = rc == V2M_UNAVAILABLE
             || (rc != V2M_OK && mysql_rollback(mysql) != 0)
             || mysql_autocommit(mysql, 1) != 0;

    v2m_pool_give(database->pool, mysql, broken);

    return rc;
}
