/*
 * Lets a test written in another language use v2m_login.h line by line:
 *
 *   drive_login TIMEOUT_MS COST
 *
 * takes the server from MYSQL_HOST, MYSQL_PORT, MYSQL_USER, MYSQL_PASSWORD and
 * MYSQL_DB, and the cost of hashes, reads "login EMAIL<TAB>PASSWORD", "ping",
 * and "storm COUNT" with the last login again, by so many threads at once, and
 * answers each line with one: "MICROSECONDS CODE", then of a login that is ok
 * "EMAIL ADMIN" and what became of its hash if that is bad, of others the
 * error's text; of a storm "CODE COUNT" for each code.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "v2m_login.h"

#define DRIVE_THREADS 64

typedef struct {
    v2m_database_t *users;
    int             cost;
    const char     *email;
    const char     *password;
    int             rc;
    v2m_user_t      user;
    v2m_error_t     error;
} drive_login_t;

static const v2m_user_t nobody;


static long
microseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}


static void *
login(void *data)
{
    drive_login_t *each = data;

    memset(&each->user, 'x', sizeof(v2m_user_t));

    each->rc = v2m_login(each->users, each->cost, each->email, each->password,
                         &each->user, &each->error);

    /* the hash never leaves, and what is refused leaves nothing */

    if ((each->rc == V2M_OK
         && memcmp(each->user.password, nobody.password,
                   sizeof(nobody.password))
                != 0)
        || (each->rc != V2M_OK
            && memcmp(&each->user, &nobody, sizeof(nobody)) != 0))
    {
        fputs("something of the user was left\n", stderr);
        abort();
    }

    return NULL;
}


static void
storm(const drive_login_t *one, int count)
{
    int           i, code, same;
    pthread_t     threads[DRIVE_THREADS];
    drive_login_t logins[DRIVE_THREADS];

    for (i = 0; i < count; i++) {
        logins[i] = *one;
        if (pthread_create(&threads[i], NULL, login, &logins[i]) != 0) {
            abort();
        }
    }

    for (i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }

    for (code = V2M_OK; code >= V2M_CORRUPT; code--) {
        for (same = 0, i = 0; i < count; i++) {
            same += logins[i].rc == code;
        }

        if (same > 0) {
            printf(" %s %d", v2m_error_name(code), same);
        }
    }
}


static void
answer(drive_login_t *each, char *line)
{
    int         count;
    char       *tab;
    long        start;
    static char last[4096];

    start = microseconds();

    if (strcmp(line, "ping") == 0) {
        each->rc = v2m_database_ping(each->users, &each->error);
        printf("%ld %s %s\n", microseconds() - start, v2m_error_name(each->rc),
               each->rc == V2M_OK ? "" : each->error.text);

    } else if (sscanf(line, "storm %d", &count) == 1 && count > 0
               && count <= DRIVE_THREADS)
    {
        printf("0");
        storm(each, count);
        printf("\n");

    } else if (strncmp(line, "login ", 6) == 0
               && (tab = strchr(line, '\t')) != NULL)
    {
        snprintf(last, sizeof(last), "%s", line + 6);
        tab = strchr(last, '\t');
        *tab = '\0';
        each->email = last;
        each->password = tab + 1;

        login(each);
        printf("%ld %s ", microseconds() - start, v2m_error_name(each->rc));

        if (each->rc == V2M_OK) {
            printf("%s %d%s\n", each->user.email, each->user.admin,
                   each->error.code == V2M_OK ? "" : each->error.text);
        } else {
            printf("%s\n", each->error.text);
        }

    } else {
        abort();
    }

    fflush(stdout);
}


int
main(int argc, char **argv)
{
    char                   line[4096];
    v2m_error_t            error;
    drive_login_t          each = { 0 };
    v2m_database_options_t options = { 0 };

    if (argc != 3) {
        return 2;
    }

    options.host = getenv("MYSQL_HOST");
    options.port = atoi(getenv("MYSQL_PORT"));
    options.user = getenv("MYSQL_USER");
    options.password = getenv("MYSQL_PASSWORD");
    options.database = getenv("MYSQL_DB");
    options.timeout_ms = atoi(argv[1]);
    each.cost = atoi(argv[2]);

    if (v2m_database_create(&each.users, &options, &error) != V2M_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }

    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        answer(&each, line);
    }

    v2m_database_destroy(each.users);

    return 0;
}
