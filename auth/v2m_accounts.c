#include "v2m_accounts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "v2m_base64url.h"
#include "v2m_pkey.h"

#define V2M_ACCOUNTS_VALUES 2 /* that a change of a request has, at most */

#define V2M_ACCOUNTS_TOKEN_BYTES 32
#define V2M_ACCOUNTS_OWNER_BYTES 16

/* How often a request is lost to another notifier before this one leaves it to
 * them for now. */
#define V2M_ACCOUNTS_CLAIMS 16

static const char *const v2m_account_purposes[] = { "register", "reset" };

/* How many requests there are for an address that have not expired, and of
 * these such as wait for their mail. */
typedef struct {
    int64_t links;
    int64_t waiting;
} v2m_accounts_earlier_t;

/* The account that the users' table has for an address. */
typedef struct {
    char    email[V2M_EMAIL_MAX + 1];
    int64_t disabled;
} v2m_accounts_account_t;


const char *
v2m_account_purpose_name(v2m_account_purpose_t purpose)
{
    return v2m_account_purposes[purpose];
}


static v2m_account_purpose_t
v2m_accounts_purpose(const char *name)
{
    return strcmp(name, v2m_account_purposes[V2M_ACCOUNT_RESET]) == 0
               ? V2M_ACCOUNT_RESET
               : V2M_ACCOUNT_REGISTER;
}


/* A row of links, waiting. */
static int
v2m_accounts_read_earlier(void *data, v2m_database_row_t *row,
                          v2m_error_t *error)
{
    int                     rc;
    v2m_accounts_earlier_t *earlier = data;

    rc = v2m_database_number(row, 0, &earlier->links, error);

    return rc == V2M_OK ? v2m_database_number(row, 1, &earlier->waiting, error)
                        : rc;
}


/* Random bytes as base64url. */
static int
v2m_accounts_random(size_t length, char *text, v2m_error_t *error)
{
    ssize_t       n;
    unsigned char bytes[V2M_ACCOUNTS_TOKEN_BYTES];

    /* so few bytes come whole, but for a signal before the first of them while
     * the system starts */

    do {
        n = getrandom(bytes, length, 0);
    } while (n < 0 && errno == EINTR);

    if (n != (ssize_t) length) {
        return v2m_error_set(error, V2M_ERROR, "there are no random bytes");
    }

    v2m_base64url_encode(bytes, length, text);
    explicit_bzero(bytes, sizeof(bytes));

    return V2M_OK;
}


static int
v2m_accounts_digest(const char *token, char text[2 * V2M_DIGEST_SIZE + 1],
                    v2m_error_t *error)
{
    int           rc;
    size_t        i;
    unsigned char digest[V2M_DIGEST_SIZE];

    rc = v2m_digest(token, strlen(token), digest, error);
    if (rc != V2M_OK) {
        return rc;
    }

    for (i = 0; i < V2M_DIGEST_SIZE; i++) {
        sprintf(text + 2 * i, "%02x", digest[i]);
    }

    return V2M_OK;
}


/* Deletes the request that still waits, but will never be mailed.
 * V2M_NOT_FOUND: there is none. */
static int
v2m_accounts_forget(v2m_database_t *users, const char *purpose,
                    const char *email, v2m_error_t *error)
{
    int         rc;
    const char *values[] = { purpose, email };

    v2m_database_statement_t query = {
        .sql = "DELETE FROM account_request WHERE purpose = ? AND email = ? "
               "AND waiting = 1 AND expires <= UNIX_TIMESTAMP()",
        .values = values,
        .count = 2,
    };

    rc = v2m_database_run(users, &query, error);

    return rc == V2M_OK && query.matched == 0 ? V2M_NOT_FOUND : rc;
}


int
v2m_accounts_ask(v2m_database_t *users, v2m_account_purpose_t purpose,
                 const char *email, int64_t lifetime, v2m_error_t *error)
{
    int                    rc, wanted;
    char                   lifetime_text[V2M_DATABASE_DIGITS];
    char                   wait[V2M_DATABASE_DIGITS];
    v2m_accounts_earlier_t earlier = { 0, 0 };

    const char *values[] = { v2m_account_purpose_name(purpose), email,
                             lifetime_text, wait, NULL };

    v2m_database_statement_t query = {
        .sql = "SELECT COUNT(*), COUNT(waiting) FROM account_request "
               "WHERE purpose = ? AND email = ? AND expires > UNIX_TIMESTAMP()",
        .values = values,
        .count = 2,
        .row = v2m_accounts_read_earlier,
        .data = &earlier,
    };
    v2m_database_statement_t insert = {
        .sql = "INSERT INTO account_request "
               "(purpose, email, lifetime, asked, due, expires, waiting) "
               "VALUES (?, ?, ?, UNIX_TIMESTAMP(), UNIX_TIMESTAMP(), "
               "UNIX_TIMESTAMP() + ?, ?)",
        .values = values,
        .count = 5,
    };

    rc = v2m_email_check(email, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_database_run(users, &query, error);
    if (rc != V2M_OK) {
        return rc;
    }

    /* what is in vain is written as well, and has expired already: a row takes
     * longer than none, which would tell whether the one before still waits for
     * its mail, as it may where there is an account */

    wanted = earlier.waiting == 0 && earlier.links < V2M_ACCOUNTS_LINKS;

    v2m_database_digits(lifetime_text, lifetime);
    v2m_database_digits(wait, wanted ? V2M_ACCOUNTS_WAIT : 0);
    values[4] = wanted ? "1" : NULL;

    rc = v2m_database_run(users, &insert, error);

    if (rc == V2M_CONFLICT) {
        rc = v2m_accounts_forget(users, values[0], email, error);

        if (rc == V2M_OK) {
            rc = v2m_database_run(users, &insert, error);
        }
    }

    /* one that waits is enough */

    return rc == V2M_CONFLICT || rc == V2M_NOT_FOUND ? V2M_OK : rc;
}


/* A row of purpose, email. */
static int
v2m_accounts_read_link(void *data, v2m_database_row_t *row, v2m_error_t *error)
{
    int                 rc;
    char                purpose[16];
    v2m_account_link_t *link = data;

    rc = v2m_database_text(row, 0, purpose, sizeof(purpose), error);

    if (rc == V2M_OK) {
        link->purpose = v2m_accounts_purpose(purpose);
        rc = v2m_database_text(row, 1, link->email, sizeof(link->email), error);
    }

    return rc;
}


int
v2m_accounts_find(v2m_database_t *users, const char *token,
                  v2m_account_link_t *link, v2m_error_t *error)
{
    int         rc;
    const char *values[] = { link->digest };

    v2m_database_statement_t query = {
        .sql = "SELECT purpose, email FROM account_request AS link "
               "WHERE digest = ? AND token_until > UNIX_TIMESTAMP() "
               "AND purpose IN ('register', 'reset') AND NOT EXISTS "
               "(SELECT 1 FROM user JOIN revoked ON revoked.name = user.email "
               "WHERE user.email = link.email AND revoked.what = 'user' "
               "AND revoked.added > link.token_until - link.lifetime)",
        .values = values,
        .count = 1,
        .row = v2m_accounts_read_link,
        .data = link,
    };

    memset(link, 0, sizeof(v2m_account_link_t));

    rc = v2m_accounts_digest(token, link->digest, error);

    if (rc == V2M_OK) {
        rc = v2m_database_run(users, &query, error);
    }

    if (rc == V2M_OK && link->email[0] == '\0') {
        rc = v2m_error_set(error, V2M_DENIED,
                           "the link is not valid, or not valid any more");
    }

    return rc;
}


/* A row of id, purpose, email, lifetime, waited, tries. */
static int
v2m_accounts_read_request(void *data, v2m_database_row_t *row,
                          v2m_error_t *error)
{
    int                    rc;
    char                   purpose[16];
    int64_t                tries;
    v2m_account_request_t *request = data;

    tries = 0;

    if ((rc = v2m_database_number(row, 0, &request->id, error)) == V2M_OK
        && (rc = v2m_database_text(row, 1, purpose, sizeof(purpose), error))
               == V2M_OK
        && (rc = v2m_database_text(row, 2, request->email,
                                   sizeof(request->email), error))
               == V2M_OK
        && (rc = v2m_database_number(row, 3, &request->lifetime, error))
               == V2M_OK
        && (rc = v2m_database_number(row, 4, &request->waited, error)) == V2M_OK
        && (rc = v2m_database_number(row, 5, &tries, error)) == V2M_OK)
    {
        request->purpose = v2m_accounts_purpose(purpose);
        request->tries = (unsigned) tries;
    }

    return rc;
}


/* Finds what is due for the longest time; request->id is 0 when nothing is. */
static int
v2m_accounts_next(v2m_database_t *users, v2m_account_request_t *request,
                  v2m_error_t *error)
{
    v2m_database_statement_t query = {
        .sql = "SELECT id, purpose, email, lifetime, "
               "UNIX_TIMESTAMP() - asked, tries FROM account_request "
               "WHERE waiting = 1 AND due <= UNIX_TIMESTAMP() "
               "AND expires > UNIX_TIMESTAMP() "
               "AND owner_until <= UNIX_TIMESTAMP() "
               "AND purpose IN ('register', 'reset') "
               "ORDER BY due, id LIMIT 1",
        .row = v2m_accounts_read_request,
        .data = request,
    };

    memset(request, 0, sizeof(v2m_account_request_t));

    return v2m_database_run(users, &query, error);
}


/* V2M_CONFLICT: somebody else was first. */
static int
v2m_accounts_take(v2m_database_t *users, int64_t lease,
                  v2m_account_request_t *request, v2m_error_t *error)
{
    int  rc;
    char id[V2M_DATABASE_DIGITS], seconds[V2M_DATABASE_DIGITS];

    const char *values[] = { request->owner, seconds, id };

    v2m_database_statement_t query = {
        .sql = "UPDATE account_request SET owner = ?, "
               "owner_until = UNIX_TIMESTAMP() + ? WHERE id = ? "
               "AND waiting = 1 AND due <= UNIX_TIMESTAMP() "
               "AND owner_until <= UNIX_TIMESTAMP()",
        .values = values,
        .count = 3,
    };

    v2m_database_digits(id, request->id);
    v2m_database_digits(seconds, lease);

    rc = v2m_accounts_random(V2M_ACCOUNTS_OWNER_BYTES, request->owner, error);

    if (rc == V2M_OK) {
        rc = v2m_database_run(users, &query, error);
    }

    return rc == V2M_OK && query.matched == 0 ? V2M_CONFLICT : rc;
}


/* A row of email, disabled. */
static int
v2m_accounts_read_account(void *data, v2m_database_row_t *row,
                          v2m_error_t *error)
{
    int                     rc;
    v2m_accounts_account_t *account = data;

    account->disabled = 1;

    rc = v2m_database_text(row, 0, account->email, sizeof(account->email),
                           error);

    /* too long for an address that anybody asked for */

    if (rc == V2M_CORRUPT) {
        return V2M_OK;
    }

    return rc == V2M_OK ? v2m_database_number(row, 1, &account->disabled, error)
                        : rc;
}


/* Looks for the account of a request, and where its mail goes. */
static int
v2m_accounts_look(v2m_database_t *users, v2m_account_request_t *request,
                  v2m_error_t *error)
{
    int                    rc;
    const char            *values[] = { request->email };
    v2m_accounts_account_t account = { "", -1 };

    v2m_database_statement_t query = {
        .sql = "SELECT email, disabled FROM user WHERE email = ? LIMIT 1",
        .values = values,
        .count = 1,
        .row = v2m_accounts_read_account,
        .data = &account,
    };

    rc = v2m_database_run(users, &query, error);

    if (rc != V2M_OK || account.disabled < 0) {
        request->state = V2M_ACCOUNT_UNKNOWN;

    } else if (account.disabled
               || strcasecmp(account.email, request->email) != 0) {
        request->state = V2M_ACCOUNT_DISABLED;

    } else {
        request->state = V2M_ACCOUNT_KNOWN;
        memcpy(request->email, account.email, sizeof(request->email));
    }

    return rc;
}


int
v2m_accounts_claim(v2m_database_t *users, int64_t lease,
                   v2m_account_request_t *request, v2m_error_t *error)
{
    int      rc;
    unsigned i;

    rc = V2M_CONFLICT;

    for (i = 0; rc == V2M_CONFLICT && i < V2M_ACCOUNTS_CLAIMS; i++) {
        rc = v2m_accounts_next(users, request, error);

        if (rc == V2M_OK && request->id == 0) {
            break;
        }

        if (rc == V2M_OK) {
            rc = v2m_accounts_take(users, lease, request, error);
        }
    }

    if (rc == V2M_CONFLICT || (rc == V2M_OK && request->id == 0)) {
        return v2m_error_set(error, V2M_NOT_FOUND, "no request is due");
    }

    return rc == V2M_OK ? v2m_accounts_look(users, request, error) : rc;
}


/* Runs an UPDATE with so many values and "id = ? AND owner = ?" after them. */
static int
v2m_accounts_change(v2m_database_t *users, const char *sql,
                    const char *const *values, size_t count,
                    const v2m_account_request_t *request, v2m_error_t *error)
{
    int                      rc;
    char                     id[V2M_DATABASE_DIGITS];
    size_t                   i;
    const char              *all[V2M_ACCOUNTS_VALUES + 2];
    v2m_database_statement_t query = {
        .sql = sql,
        .values = all,
        .count = count + 2,
    };

    v2m_database_digits(id, request->id);

    for (i = 0; i < count; i++) {
        all[i] = values[i];
    }

    all[count] = id;
    all[count + 1] = request->owner;

    rc = v2m_database_run(users, &query, error);

    if (rc == V2M_OK && query.matched == 0) {
        rc = v2m_error_set(error, V2M_CONFLICT,
                           "the request is in somebody else's hands by now");
    }

    return rc;
}


int
v2m_accounts_make_token(v2m_database_t              *users,
                        const v2m_account_request_t *request,
                        char token[V2M_ACCOUNTS_TOKEN + 1], v2m_error_t *error)
{
    int         rc;
    char        digest[2 * V2M_DIGEST_SIZE + 1];
    const char *values[] = { digest };

    rc = v2m_accounts_random(V2M_ACCOUNTS_TOKEN_BYTES, token, error);

    if (rc == V2M_OK) {
        rc = v2m_accounts_digest(token, digest, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_accounts_change(users,
                                 "UPDATE account_request SET digest = ?, "
                                 "token_until = UNIX_TIMESTAMP() + lifetime "
                                 "WHERE id = ? AND owner = ?",
                                 values, 1, request, error);
    }

    if (rc != V2M_OK) {
        explicit_bzero(token, V2M_ACCOUNTS_TOKEN + 1);
    }

    return rc;
}


int
v2m_accounts_sent(v2m_database_t *users, const v2m_account_request_t *request,
                  v2m_error_t *error)
{
    return v2m_accounts_change(
        users,
        "UPDATE account_request SET waiting = NULL, owner = NULL, "
        "expires = UNIX_TIMESTAMP() + lifetime WHERE id = ? AND owner = ?",
        NULL, 0, request, error);
}


int
v2m_accounts_put_off(v2m_database_t              *users,
                     const v2m_account_request_t *request, int64_t delay,
                     v2m_error_t *error)
{
    char        seconds[V2M_DATABASE_DIGITS], tries[V2M_DATABASE_DIGITS];
    const char *values[] = { seconds, tries };

    v2m_database_digits(seconds, delay);
    v2m_database_digits(tries, request->tries);

    return v2m_accounts_change(
        users,
        "UPDATE account_request SET due = UNIX_TIMESTAMP() + ?, tries = ?, "
        "owner = NULL, owner_until = 0 WHERE id = ? AND owner = ?",
        values, 2, request, error);
}


int
v2m_accounts_drop(v2m_database_t *users, const v2m_account_request_t *request,
                  v2m_error_t *error)
{
    return v2m_accounts_change(
        users,
        "UPDATE account_request SET waiting = NULL, owner = NULL, "
        "digest = NULL, expires = UNIX_TIMESTAMP() + lifetime "
        "WHERE id = ? AND owner = ?",
        NULL, 0, request, error);
}


int
v2m_accounts_delete_expired(v2m_database_t *users, int64_t *count,
                            v2m_error_t *error)
{
    int                      rc;
    v2m_database_statement_t query = {
        .sql = "DELETE FROM account_request "
               "WHERE expires <= UNIX_TIMESTAMP() "
               "AND token_until <= UNIX_TIMESTAMP()",
    };

    rc = v2m_database_run(users, &query, error);
    *count = query.matched;

    return rc;
}
