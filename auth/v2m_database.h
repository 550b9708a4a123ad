/*
 * Statements on the users' database, MariaDB or MySQL: the one place that uses
 * libmariadb.
 *
 * All functions block and may be called from any thread: each takes a
 * connection from a small pool and gives it back; a connection that broke is
 * made anew, once, within the call.
 */

#ifndef V2M_DATABASE_H
#define V2M_DATABASE_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"

typedef struct v2m_database_s v2m_database_t;

typedef struct {
    const char *host;
    int         port;
    const char *user;
    const char *password;
    const char *database;
    int         timeout_ms; /* for connecting and for each reply */
} v2m_database_options_t;

/* Strings are copied.  Connects only when first used. */
int v2m_database_create(v2m_database_t              **database,
                        const v2m_database_options_t *options,
                        v2m_error_t                  *error);

/* No other call may be under way.  NULL is allowed. */
void v2m_database_destroy(v2m_database_t *database);

/* One round trip. */
int v2m_database_ping(v2m_database_t *database, v2m_error_t *error);

/* 0 once the database has refused a statement for lack of a right. */
int v2m_database_permits(v2m_database_t *database);

/* One row of a result, for as long as the call that gets it. */
typedef struct v2m_database_row_s v2m_database_row_t;

typedef int (*v2m_database_row_pt)(void *data, v2m_database_row_t *row,
                                   v2m_error_t *error);

/* One statement. */
typedef struct {
    const char *sql;

    /* in place of its question marks; text also for columns that are numbers,
     * NULL for NULL */
    const char *const *values;
    unsigned           count;

    v2m_database_row_pt row; /* for each row of a SELECT, else NULL */
    void               *data;

    int must_match; /* of v2m_database_transact(): no row is V2M_CONFLICT */

    /* set by v2m_database_run() */
    int64_t matched; /* of an UPDATE or DELETE: rows, also unchanged ones */
    int     missing; /* it failed as a table or column is not there */
} v2m_database_statement_t;

#define V2M_DATABASE_VALUES 8 /* of a statement, at most */

/*
 * Runs one statement.  V2M_CONFLICT: a key is taken; V2M_INVALID: a value is
 * too long; V2M_NOT_FOUND: a value has characters that the table's character
 * set lacks; V2M_UNAVAILABLE: no server; V2M_ERROR: anything else, such as a
 * missing right.  What the row function returns other than V2M_OK ends the
 * call, with that.
 */
int v2m_database_run(v2m_database_t           *database,
                     v2m_database_statement_t *statement, v2m_error_t *error);

/*
 * Runs statements as one transaction: all of them count, or none does.  Results
 * as above, of the first that fails, and V2M_CONFLICT: a statement that must
 * match a row matched none.  After V2M_UNAVAILABLE all may count nevertheless,
 * as the answer to the last step can be what was lost.
 */
int v2m_database_transact(v2m_database_t           *database,
                          v2m_database_statement_t *statements, size_t count,
                          v2m_error_t *error);

/* The place of a column in the row, or -1.  Names are compared without regard
 * to case. */
int v2m_database_column(const v2m_database_row_t *row, const char *name);

/* The value of a column as text; NULL is "".  V2M_CORRUPT: it does not fit, or
 * has a zero byte. */
int v2m_database_text(v2m_database_row_t *row, int column, char *text,
                      size_t size, v2m_error_t *error);

/* The value of a column as a number; NULL, or a column that is -1, leaves
 * *number as it is. */
int v2m_database_number(v2m_database_row_t *row, int column, int64_t *number,
                        v2m_error_t *error);

/* Room for any number as a text, with the zero at the end. */
#define V2M_DATABASE_DIGITS 24

/* A number as one of a statement's values. */
void v2m_database_digits(char text[V2M_DATABASE_DIGITS], int64_t number);

#endif /* V2M_DATABASE_H */
