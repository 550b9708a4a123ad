/*
 * Lets a test written in another language use v2m_accounts.h line by line:
 *
 *   drive_accounts
 *
 * takes the server from MYSQL_HOST, MYSQL_PORT, MYSQL_USER, MYSQL_PASSWORD and
 * MYSQL_DB, and reads
 *
 *   ask register|reset LIFETIME EMAIL
 *   find TOKEN
 *   claim LEASE
 *   token, sent, drop, or put-off DELAY TRIES: of what was claimed last
 *   expire
 *
 * and answers each line with one: its code, then what there is to tell, or the
 * error's text.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_accounts.h"

typedef struct {
    v2m_database_t       *users;
    v2m_account_request_t request;
    char                  told[1024];
} drive_accounts_t;

static const char *const states[] = { "unknown", "known", "disabled" };


static int
ask(drive_accounts_t *drive, const char *rest, v2m_error_t *error)
{
    int  n;
    char purpose[16];
    long lifetime;

    if (sscanf(rest, "%15s %ld %n", purpose, &lifetime, &n) != 2) {
        abort();
    }

    return v2m_accounts_ask(drive->users,
                            strcmp(purpose, "reset") == 0
                                ? V2M_ACCOUNT_RESET
                                : V2M_ACCOUNT_REGISTER,
                            rest + n, lifetime, error);
}


static int
find(drive_accounts_t *drive, const char *rest, v2m_error_t *error)
{
    int                rc;
    v2m_account_link_t link;

    rc = v2m_accounts_find(drive->users, rest, &link, error);

    snprintf(drive->told, sizeof(drive->told), "%s %s",
             v2m_account_purpose_name(link.purpose), link.email);

    return rc;
}


static int
claim(drive_accounts_t *drive, const char *rest, v2m_error_t *error)
{
    int                          rc;
    const v2m_account_request_t *request = &drive->request;

    rc = v2m_accounts_claim(drive->users, atol(rest), &drive->request, error);

    snprintf(drive->told, sizeof(drive->told), "%s %s %s %ld %ld %u",
             v2m_account_purpose_name(request->purpose), states[request->state],
             request->email, (long) request->lifetime, (long) request->waited,
             request->tries);

    return rc;
}


static int
make_token(drive_accounts_t *drive, const char *rest, v2m_error_t *error)
{
    (void) rest;

    return v2m_accounts_make_token(drive->users, &drive->request, drive->told,
                                   error);
}


static int
sent(drive_accounts_t *drive, const char *rest, v2m_error_t *error)
{
    (void) rest;

    return v2m_accounts_sent(drive->users, &drive->request, error);
}


static int
drop(drive_accounts_t *drive, const char *rest, v2m_error_t *error)
{
    (void) rest;

    return v2m_accounts_drop(drive->users, &drive->request, error);
}


static int
put_off(drive_accounts_t *drive, const char *rest, v2m_error_t *error)
{
    long delay;

    if (sscanf(rest, "%ld %u", &delay, &drive->request.tries) != 2) {
        abort();
    }

    return v2m_accounts_put_off(drive->users, &drive->request, delay, error);
}


static int
expire(drive_accounts_t *drive, const char *rest, v2m_error_t *error)
{
    int     rc;
    int64_t count;

    (void) rest;

    rc = v2m_accounts_delete_expired(drive->users, &count, error);
    snprintf(drive->told, sizeof(drive->told), "%ld", (long) count);

    return rc;
}


static const struct {
    const char *name;
    int (*run)(drive_accounts_t *drive, const char *rest, v2m_error_t *error);
} commands[] = {
    { "ask", ask },         { "find", find },        { "claim", claim },
    { "sent", sent },       { "token", make_token }, { "drop", drop },
    { "put-off", put_off }, { "expire", expire },
};


static void
answer(drive_accounts_t *drive, char *line)
{
    int         rc;
    char       *rest;
    size_t      i;
    v2m_error_t error;

    rest = line + strcspn(line, " ");
    if (*rest != '\0') {
        *rest++ = '\0';
    }

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, line) == 0) {
            drive->told[0] = '\0';
            rc = commands[i].run(drive, rest, &error);
            printf("%s %s\n", v2m_error_name(rc),
                   rc == V2M_OK ? drive->told : error.text);
            fflush(stdout);
            return;
        }
    }

    abort();
}


int
main(void)
{
    char                   line[4096];
    v2m_error_t            error;
    drive_accounts_t       drive = { 0 };
    v2m_database_options_t options = { .timeout_ms = 10000 };

    options.host = getenv("MYSQL_HOST");
    options.port = atoi(getenv("MYSQL_PORT"));
    options.user = getenv("MYSQL_USER");
    options.password = getenv("MYSQL_PASSWORD");
    options.database = getenv("MYSQL_DB");

    if (v2m_database_create(&drive.users, &options, &error) != V2M_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }

    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        answer(&drive, line);
    }

    v2m_database_destroy(drive.users);

    return 0;
}
