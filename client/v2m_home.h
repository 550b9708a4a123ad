/*
 * The user's own folders, as the XDG Base Directory Specification has them
 * (https://specifications.freedesktop.org/basedir-spec/).
 */

#ifndef V2M_HOME_H
#define V2M_HOME_H

#include <limits.h>

#include "v2m_error.h"

/* The path of a file in the folder v2m of that one, an absolute path as the
 * environment has it, else (NULL, or no such path) of the fallback in HOME;
 * with make both are made, for the user alone.  V2M_INVALID: HOME would be
 * needed and is not set; V2M_ERROR: they cannot be made. */
int v2m_home_path(char path[PATH_MAX], const char *folder, const char *fallback,
                  const char *name, int make, v2m_error_t *error);

#endif /* V2M_HOME_H */
