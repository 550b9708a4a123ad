/*
 * Settings from the environment.  Each NAME can also be given as NAME_FILE,
 * the path of a file that holds the value (for secrets); one trailing newline
 * of the file is dropped.  Giving both is an error, an empty value counts as
 * not given.
 *
 * To be called while a program starts, before it makes threads: getenv() is
 * not safe beside setenv().
 */

#ifndef V2M_CONFIG_H
#define V2M_CONFIG_H

#include <stdint.h>

#include "v2m_error.h"

/*
 * Reads a string.  *value is malloc'ed and owned by the caller; it is NULL
 * when the name is not given and the fallback is NULL.
 * V2M_INVALID: both forms given, or the file is unreadable or over 64 KiB.
 */
int v2m_config_string(const char *name, const char *fallback, char **value,
                      v2m_error_t *error);

/* As v2m_config_string(), but a name that is not given is V2M_INVALID. */
int v2m_config_required(const char *name, char **value, v2m_error_t *error);

/*
 * Reads a decimal integer between minimum and maximum, both included.
 * V2M_INVALID names the setting and the range.
 */
int v2m_config_integer(const char *name, int64_t fallback, int64_t minimum,
                       int64_t maximum, int64_t *value, v2m_error_t *error);

/*
 * Reads a span of time: a number with the unit s, m, h, d or w (none: seconds),
 * or, where never is 1, "forever", which gives -1.  The fallback is written in
 * the same way.  V2M_INVALID names the setting and the range.
 */
int v2m_config_duration(const char *name, const char *fallback,
                        int64_t minimum_s, int64_t maximum_s, int never,
                        int64_t *seconds, v2m_error_t *error);

/* Reads the value from a file; name says in the error text which setting gave
 * the path. */
int v2m_config_file(const char *name, const char *path, char **value,
                    v2m_error_t *error);

/* Overwrites a secret in a way the compiler keeps, then frees it. */
void v2m_config_wipe(char *secret);

#endif /* V2M_CONFIG_H */
