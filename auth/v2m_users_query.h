/*
 * Statements on the users' database, for the files of this folder: their
 * connections and their errors are those of v2m_users.c.
 */

#ifndef V2M_USERS_QUERY_H
#define V2M_USERS_QUERY_H

#include "v2m_users.h"

#define V2M_USERS_COLUMNS 4   /* of a row, at most */
#define V2M_USERS_VALUES  5   /* of a statement, at most */
#define V2M_USERS_TEXT    320 /* bytes of a column, with a final zero */

/* One row, as text; what is NULL is "". */
typedef int (*v2m_users_row_pt)(void *data, char values[][V2M_USERS_TEXT],
                                v2m_error_t *error);

/*
 * Runs one statement with so many values in place of its question marks.  row
 * is called for each row of a SELECT with so many columns; NULL: it is none.
 * V2M_NOT_FOUND: there is no such table.  Blocks; any thread.
 */
int v2m_users_query(v2m_users_t *users, const char *sql,
                    const char *const *values, unsigned count, unsigned columns,
                    v2m_users_row_pt row, void *data, v2m_error_t *error);

#endif /* V2M_USERS_QUERY_H */
