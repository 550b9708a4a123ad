#include "v2m_account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "v2m_home.h"

#define V2M_ACCOUNT_MAX                                                        \
    16384 /* bytes of the file: a token has 8 KiB at most                      \
           */


static int
v2m_account_path(char path[PATH_MAX], int make, v2m_error_t *error)
{
    return v2m_home_path(path, getenv("XDG_CONFIG_HOME"), ".config", "account",
                         make, error);
}


/* The file has two lines: the URL and the token. */
static void
v2m_account_read(v2m_account_t *kept)
{
    FILE *file;
    char  path[PATH_MAX], url[V2M_ACCOUNT_MAX], token[V2M_ACCOUNT_MAX];

    if (v2m_account_path(path, 0, NULL) != V2M_OK) {
        return;
    }

    file = fopen(path, "re");
    if (file == NULL) {
        return;
    }

    if (fgets(url, sizeof(url), file) != NULL
        && fgets(token, sizeof(token), file) != NULL)
    {
        url[strcspn(url, "\n")] = '\0';
        token[strcspn(token, "\n")] = '\0';
        kept->url = strdup(url);
        kept->token = strdup(token);
    }

    fclose(file);
    explicit_bzero(token, sizeof(token));
}


static char *
v2m_account_environment(const char *name)
{
    const char *value;

    value = getenv(name);

    return value != NULL && value[0] != '\0' ? strdup(value) : NULL;
}


int
v2m_account_load(v2m_account_t *account, const char *url, v2m_error_t *error)
{
    size_t        length;
    v2m_account_t kept;

    memset(&kept, 0, sizeof(kept));
    v2m_account_read(&kept);

    account->url =
        url != NULL ? strdup(url) : v2m_account_environment("V2M_URL");
    account->token = v2m_account_environment("V2M_TOKEN");

    if (account->url == NULL && kept.url != NULL) {
        account->url = strdup(kept.url);
    }

    if (account->url != NULL) {
        for (length = strlen(account->url);
             length > 0 && account->url[length - 1] == '/'; length--)
        {
            account->url[length - 1] = '\0';
        }

        if (account->token == NULL && kept.url != NULL
            && strcmp(account->url, kept.url) == 0)
        {
            account->token = kept.token;
            kept.token = NULL;
        }
    }

    v2m_account_free(&kept);

    if (account->url == NULL) {
        return v2m_error_set(error, V2M_INVALID,
                             "where the service is must be given: "
                             "v2m login URL, or V2M_URL");
    }

    if (strncmp(account->url, "http://", 7) != 0
        && strncmp(account->url, "https://", 8) != 0)
    {
        return v2m_error_set(error, V2M_INVALID,
                             "the service's address must begin with https:// "
                             "or http://");
    }

    return V2M_OK;
}


int
v2m_account_save(const v2m_account_t *account, v2m_error_t *error)
{
    int   rc, fd;
    FILE *file;
    char  path[PATH_MAX], fresh[PATH_MAX + 8];

    rc = v2m_account_path(path, 1, error);
    if (rc != V2M_OK) {
        return rc;
    }

    snprintf(fresh, sizeof(fresh), "%s.XXXXXX", path);

    /* readable by nobody else from its first byte on */
    fd = mkostemp(fresh, O_CLOEXEC);
    file = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (file == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return v2m_error_set(error, V2M_ERROR, "%.160s cannot be made: %s",
                             fresh, strerror(errno));
    }

    fprintf(file, "%s\n%s\n", account->url, account->token);

    if (fclose(file) != 0 || rename(fresh, path) != 0) {
        unlink(fresh);
        return v2m_error_set(error, V2M_ERROR, "%.160s cannot be written: %s",
                             path, strerror(errno));
    }

    return V2M_OK;
}


int
v2m_account_forget(v2m_error_t *error)
{
    int  rc;
    char path[PATH_MAX];

    rc = v2m_account_path(path, 0, error);

    if (rc == V2M_OK && unlink(path) != 0 && errno != ENOENT) {
        return v2m_error_set(error, V2M_ERROR, "%.160s cannot be removed: %s",
                             path, strerror(errno));
    }

    return rc;
}


void
v2m_account_wipe(v2m_account_t *account)
{
    if (account->token != NULL) {
        explicit_bzero(account->token, strlen(account->token));
    }

    free(account->token);
    account->token = NULL;
}


void
v2m_account_free(v2m_account_t *account)
{
    v2m_account_wipe(account);
    free(account->url);
    memset(account, 0, sizeof(*account));
}
