#include "v2m_home.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>


/* The folder and those above it; what is wrong with it shows when it is used.
 */
static void
v2m_home_make(char path[PATH_MAX])
{
    char *slash;

    for (slash = strchr(path + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/'))
    {
        *slash = '\0';
        (void) mkdir(path, 0700);
        *slash = '/';
    }
}


int
v2m_home_path(char path[PATH_MAX], const char *folder, const char *fallback,
              const char *name, int make, v2m_error_t *error)
{
    int         length;
    const char *home;

    home = getenv("HOME");

    if (folder != NULL && folder[0] == '/') {
        length = snprintf(path, PATH_MAX, "%s/v2m", folder);

    } else if (home != NULL && home[0] == '/') {
        length = snprintf(path, PATH_MAX, "%s/%s/v2m", home, fallback);

    } else {
        return v2m_error_set(error, V2M_INVALID, "HOME is not set");
    }

    if (length + strlen(name) + 16 > PATH_MAX) {
        return v2m_error_set(error, V2M_INVALID,
                             "the name of the home directory is too long");
    }

    if (make) {
        v2m_home_make(path);

        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            return v2m_error_set(error, V2M_ERROR, "%.160s cannot be made: %s",
                                 path, strerror(errno));
        }
    }

    snprintf(path + length, (size_t) (PATH_MAX - length), "/%s", name);

    return V2M_OK;
}
