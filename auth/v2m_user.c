/*
 * v2m-user: keeps the users' table.
 */

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "v2m_config.h"
#include "v2m_email.h"
#include "v2m_limit.h"
#include "v2m_password.h"
#include "v2m_prompt.h"
#include "v2m_revocations.h"
#include "v2m_users.h"

#define V2M_USER_TIMEOUT_MS 10000

#define V2M_USER_WRONG_USAGE 2

typedef struct {
    v2m_database_t *users;
    const char     *email; /* NULL: of no user in particular */
    int             admin;
    const char     *jobs; /* limits as they were given; NULL: none was */
    const char     *bytes;
    int64_t         cost; /* of hashes */
} v2m_user_call_t;

typedef struct {
    const char *name;
    int         email; /* 1: must be given, 0: may be */
    int (*run)(v2m_user_call_t *call, v2m_error_t *error);
} v2m_user_command_t;

static const char v2m_user_help[] =
    "Usage: v2m-user add [--admin] EMAIL\n"
    "       v2m-user passwd|disable|enable|delete|logout EMAIL\n"
    "       v2m-user quota [--jobs N] [--bytes SIZE] EMAIL\n"
    "       v2m-user list [EMAIL]\n"
    "       v2m-user --help\n"
    "\n"
    "Keeps the users who may log in.\n"
    "\n"
    "  add      makes a user, with --admin an administrator\n"
    "  passwd   sets another password, and logs the user out\n"
    "  disable  refuses the user's logins from now on, and logs the user out\n"
    "  enable   allows logins again\n"
    "  delete   logs the user out, and removes the user for good\n"
    "  logout   makes all tokens given out until now worthless, within the\n"
    "           time that the gateways are set to; EMAIL may be a user of\n"
    "           another issuer\n"
    "  quota    limits how many jobs of the user may be unfinished at a time,\n"
    "           and the bytes that the user's videos and MP3s may take (k, m, "
    "g,\n"
    "           t); \"unlimited\": any number, \"default\": as the gateways "
    "are\n"
    "           set.  They know within the time that they are set to\n"
    "  list     prints a line for each user, with tabs between: e-mail;\n"
    "           \"admin\" or \"user\"; \"enabled\", \"disabled\" or "
    "\"no-hash\":\n"
    "           the stored password is no hash, until passwd sets one; the\n"
    "           limits of jobs and bytes\n"
    "\n"
    "The password is asked for twice on a terminal, else it is one line of\n"
    "standard input.\n"
    "\n"
    "Settings come from the environment; each NAME can be given as NAME_FILE,\n"
    "the path of a file that holds the value.\n"
    "\n"
    "  MYSQL_HOST      MariaDB or MySQL (127.0.0.1)\n"
    "  MYSQL_PORT      its port (3306)\n"
    "  MYSQL_USER      who may write the users' table (v2m_admin)\n"
    "  MYSQL_PASSWORD  the password of MYSQL_USER (none)\n"
    "  MYSQL_DB        the database with the table (auth)\n"
    "  V2M_PASSWORD_COST\n"
    "                  how dear hashes are, 1 to 11: each takes twice the "
    "time\n"
    "                  and memory of the one before (5)\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage.\n";


static int
v2m_user_unknown(const v2m_user_call_t *call, v2m_error_t *error)
{
    return v2m_error_set(error, V2M_NOT_FOUND, "there is no user %s",
                         call->email);
}


static int
v2m_user_taken(const v2m_user_call_t *call, v2m_error_t *error)
{
    return v2m_error_set(error, V2M_CONFLICT, "there is a user %s already",
                         call->email);
}


/* Asks for a password and hashes it. */
static int
v2m_user_ask(const v2m_user_call_t *call, char hash[V2M_PASSWORD_HASH_MAX],
             v2m_error_t *error)
{
    int  rc;
    char password[V2M_PASSWORD_MAX + 1];

    rc = v2m_prompt_password(password, error);

    if (rc == V2M_OK) {
        rc = v2m_password_hash(password, (int) call->cost, hash, error);
        explicit_bzero(password, sizeof(password));
    }

    return rc;
}


/* All tokens of the user that were issued until now.  One that is issued in
 * the same second would be among them: with wait, none can be when this is
 * done. */
static int
v2m_user_revoke(v2m_user_call_t *call, const char *username, int wait,
                v2m_error_t *error)
{
    int             rc;
    v2m_error_t     reason;
    struct timespec next = { 0 };

    next.tv_sec = time(NULL) + 1;

    rc = v2m_revocations_add_user(call->users, username, next.tv_sec - 1,
                                  &reason);

    if (rc != V2M_OK) {
        return v2m_error_set(
            error, rc == V2M_NOT_FOUND ? V2M_CORRUPT : rc,
            "the user's tokens cannot be revoked and stay good "
            "until they expire: %s",
            reason.text);
    }

    while (wait
           && clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &next, NULL) != 0)
    {
        /* again after a signal */
    }

    return V2M_OK;
}


/* After a change that stands for itself: a users' table without the list of
 * revoked tokens is worked with as before. */
static int
v2m_user_logout_too(v2m_user_call_t *call, const char *username, int wait,
                    v2m_error_t *error)
{
    int rc;

    rc = v2m_user_revoke(call, username, wait, error);

    if (rc == V2M_CORRUPT) {
        fprintf(stderr, "v2m-user: warning: %s\n", error->text);
        rc = V2M_OK;
    }

    return rc;
}


static int
v2m_user_add(v2m_user_call_t *call, v2m_error_t *error)
{
    int        rc;
    v2m_user_t user;

    rc = v2m_email_check(call->email, error);
    if (rc != V2M_OK) {
        return rc;
    }

    /* nobody should type a password in vain */

    rc = v2m_users_find(call->users, call->email, &user, error);
    explicit_bzero(&user, sizeof(user));

    if (rc == V2M_OK) {
        return v2m_user_taken(call, error);
    }

    if (rc != V2M_NOT_FOUND) {
        return rc;
    }

    rc = v2m_user_ask(call, user.password, error);

    if (rc == V2M_OK) {
        snprintf(user.email, sizeof(user.email), "%s", call->email);
        user.admin = call->admin;

        rc = v2m_users_add(call->users, &user, error);
    }

    explicit_bzero(&user, sizeof(user));

    return rc == V2M_CONFLICT ? v2m_user_taken(call, error) : rc;
}


static int
v2m_user_passwd(v2m_user_call_t *call, v2m_error_t *error)
{
    int        rc;
    v2m_user_t user;

    rc = v2m_users_find(call->users, call->email, &user, error);

    if (rc == V2M_OK) {
        rc = v2m_user_ask(call, user.password, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_users_set_password(call->users, call->email, user.password,
                                    error);
    }

    if (rc == V2M_OK) {
        rc = v2m_user_logout_too(call, user.email, 1, error);
    }

    explicit_bzero(&user, sizeof(user));

    return rc;
}


static int
v2m_user_disable(v2m_user_call_t *call, v2m_error_t *error)
{
    int        rc;
    v2m_user_t user;

    rc = v2m_users_find(call->users, call->email, &user, error);
    explicit_bzero(user.password, sizeof(user.password));

    if (rc == V2M_OK) {
        rc = v2m_users_set_disabled(call->users, call->email, 1, error);
    }

    return rc == V2M_OK ? v2m_user_logout_too(call, user.email, 0, error) : rc;
}


static int
v2m_user_enable(v2m_user_call_t *call, v2m_error_t *error)
{
    return v2m_users_set_disabled(call->users, call->email, 0, error);
}


static int
v2m_user_delete(v2m_user_call_t *call, v2m_error_t *error)
{
    int        rc;
    v2m_user_t user;

    rc = v2m_users_find(call->users, call->email, &user, error);
    explicit_bzero(user.password, sizeof(user.password));

    /* first, as nothing would be left to try again with */

    if (rc == V2M_OK) {
        rc = v2m_user_logout_too(call, user.email, 0, error);
    }

    return rc == V2M_OK ? v2m_users_delete(call->users, call->email, error)
                        : rc;
}


static int
v2m_user_logout(v2m_user_call_t *call, v2m_error_t *error)
{
    int        rc;
    v2m_user_t user;

    rc = v2m_users_find(call->users, call->email, &user, error);
    explicit_bzero(user.password, sizeof(user.password));

    if (rc != V2M_NOT_FOUND) {
        return rc == V2M_OK ? v2m_user_revoke(call, user.email, 1, error) : rc;
    }

    rc = v2m_user_revoke(call, call->email, 1, error);

    if (rc == V2M_OK) {
        fprintf(stderr,
                "v2m-user: there is no user %s here, so this was about tokens "
                "of other issuers\n",
                call->email);
    }

    return rc;
}


static int
v2m_user_quota(v2m_user_call_t *call, v2m_error_t *error)
{
    int        rc;
    v2m_user_t user;

    rc = v2m_users_find(call->users, call->email, &user, error);
    explicit_bzero(user.password, sizeof(user.password));

    if (rc == V2M_OK && call->jobs != NULL) {
        rc = v2m_limit_parse(call->jobs, 0, &user.quota.jobs, error);
    }

    if (rc == V2M_OK && call->bytes != NULL) {
        rc = v2m_limit_parse(call->bytes, 1, &user.quota.bytes, error);
    }

    return rc == V2M_OK ? v2m_users_set_quota(call->users, call->email,
                                              &user.quota, error)
                        : rc;
}


static const char *
v2m_user_state(const v2m_user_t *user)
{
    if (user->disabled) {
        return "disabled";
    }

    return user->hashed ? "enabled" : "no-hash";
}


static int
v2m_user_print(void *data, const v2m_user_t *user)
{
    char        jobs[V2M_LIMIT_TEXT], bytes[V2M_LIMIT_TEXT];
    const char *p;

    (void) data;

    /* another program may have written anything into the table, which must
     * not reach the terminal as commands */

    for (p = user->email; *p != '\0'; p++) {
        putchar((unsigned char) *p < 0x20 || *p == 0x7f ? '?' : *p);
    }

    v2m_limit_print(jobs, user->quota.jobs);
    v2m_limit_print(bytes, user->quota.bytes);

    printf("\t%s\t%s\t%s\t%s\n", user->admin ? "admin" : "user",
           v2m_user_state(user), jobs, bytes);

    return V2M_OK;
}


static int
v2m_user_list(v2m_user_call_t *call, v2m_error_t *error)
{
    int        rc;
    v2m_user_t user;

    if (call->email == NULL) {
        rc = v2m_users_list(call->users, v2m_user_print, NULL, error);

    } else {
        rc = v2m_users_find(call->users, call->email, &user, error);

        if (rc == V2M_OK) {
            rc = v2m_user_print(NULL, &user);
        }

        explicit_bzero(&user, sizeof(user));
    }

    if (rc == V2M_OK && fflush(stdout) != 0) {
        rc = v2m_error_set(error, V2M_ERROR, "cannot write the list: %s",
                           strerror(errno));
    }

    return rc;
}


static const v2m_user_command_t v2m_user_commands[] = {
    { "add", 1, v2m_user_add },
    { "passwd", 1, v2m_user_passwd },
    { "disable", 1, v2m_user_disable },
    { "enable", 1, v2m_user_enable },
    { "delete", 1, v2m_user_delete },
    { "logout", 1, v2m_user_logout },
    { "quota", 1, v2m_user_quota },
    { "list", 0, v2m_user_list },
    { NULL, 0, NULL },
};


static int
v2m_user_connect(v2m_database_t **users, v2m_error_t *error)
{
    int                    rc;
    char                  *host, *user, *password, *database;
    int64_t                port;
    v2m_database_options_t options;

    host = user = password = database = NULL;

    if ((rc = v2m_config_string("MYSQL_HOST", "127.0.0.1", &host, error))
            == V2M_OK
        && (rc = v2m_config_integer("MYSQL_PORT", 3306, 1, 65535, &port, error))
               == V2M_OK
        && (rc = v2m_config_string("MYSQL_USER", "v2m_admin", &user, error))
               == V2M_OK
        && (rc = v2m_config_string("MYSQL_PASSWORD", "", &password, error))
               == V2M_OK
        && (rc = v2m_config_string("MYSQL_DB", "auth", &database, error))
               == V2M_OK)
    {
        options.host = host;
        options.port = (int) port;
        options.user = user;
        options.password = password;
        options.database = database;
        options.timeout_ms = V2M_USER_TIMEOUT_MS;

        rc = v2m_database_create(users, &options, error);
    }

    free(host);
    free(user);
    v2m_config_wipe(password);
    free(database);

    return rc;
}


static int
v2m_user_run(const v2m_user_command_t *command, v2m_user_call_t *call)
{
    int         rc;
    v2m_error_t error;

    rc = v2m_config_integer("V2M_PASSWORD_COST", V2M_PASSWORD_COST,
                            V2M_PASSWORD_COST_MIN, V2M_PASSWORD_COST_MAX,
                            &call->cost, &error);

    if (rc == V2M_OK) {
        rc = v2m_user_connect(&call->users, &error);
    }

    if (rc == V2M_OK) {
        rc = command->run(call, &error);

        if (rc == V2M_NOT_FOUND) {
            v2m_user_unknown(call, &error);
        }

        v2m_database_destroy(call->users);
    }

    if (rc != V2M_OK) {
        fprintf(stderr, "v2m-user: %s\n", error.text);
        return EXIT_FAILURE;
    }

    return EXIT_SUCCESS;
}


static int
v2m_user_usage(const char *problem, const char *what)
{
    fprintf(stderr, "v2m-user: %s%s\n\n%s", problem, what, v2m_user_help);

    return V2M_USER_WRONG_USAGE;
}


int
main(int argc, char **argv)
{
    int                       option;
    v2m_user_call_t           call;
    const v2m_user_command_t *command;

    static const struct option options[] = {
        { "admin", no_argument, NULL, 'a' },
        { "bytes", required_argument, NULL, 'b' },
        { "help", no_argument, NULL, 'h' },
        { "jobs", required_argument, NULL, 'j' },
        { NULL, 0, NULL, 0 },
    };

    memset(&call, 0, sizeof(call));
    opterr = 0;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'a':
            call.admin = 1;
            break;

        case 'b':
            call.bytes = optarg;
            break;

        case 'j':
            call.jobs = optarg;
            break;

        case 'h':
            fputs(v2m_user_help, stdout);
            return EXIT_SUCCESS;

        default:
            return v2m_user_usage("unknown option ", argv[optind - 1]);
        }
    }

    if (optind == argc) {
        return v2m_user_usage("no command was given", "");
    }

    for (command = v2m_user_commands; command->name != NULL; command++) {
        if (strcmp(command->name, argv[optind]) == 0) {
            break;
        }
    }

    if (command->name == NULL) {
        return v2m_user_usage("unknown command ", argv[optind]);
    }

    if (call.admin && command->run != v2m_user_add) {
        return v2m_user_usage("--admin goes with add, not with ",
                              command->name);
    }

    if ((call.jobs != NULL || call.bytes != NULL)
        != (command->run == v2m_user_quota))
    {
        return v2m_user_usage("quota, and no other command, takes --jobs or "
                              "--bytes, or both: ",
                              command->name);
    }

    call.email = argv[optind + 1];

    if (call.email == NULL && command->email) {
        return v2m_user_usage("an e-mail address is needed for ",
                              command->name);
    }

    if (call.email != NULL && optind + 2 != argc) {
        return v2m_user_usage("too many arguments for ", command->name);
    }

    return v2m_user_run(command, &call);
}
