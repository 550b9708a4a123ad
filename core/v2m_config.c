#include "v2m_config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V2M_CONFIG_FILE_LIMIT 65536

/* One byte more than the limit, which tells a longer file, and a final
 * zero. */
#define V2M_CONFIG_FILE_BUFFER (V2M_CONFIG_FILE_LIMIT + 2)


/* Reads a file whole, without leaving a copy of it in stdio's buffer.
 * V2M_INVALID: it is unreadable or too long. */
static int
v2m_config_read(FILE *file, char *text, size_t *length)
{
    setvbuf(file, NULL, _IONBF, 0);

    *length = fread(text, 1, V2M_CONFIG_FILE_LIMIT + 1, file);
    text[*length] = '\0';

    return ferror(file) || *length > V2M_CONFIG_FILE_LIMIT ? V2M_INVALID
                                                           : V2M_OK;
}


int
v2m_config_file(const char *name, const char *path, char **value,
                v2m_error_t *error)
{
    int    rc;
    FILE  *file;
    char  *text;
    size_t length;

    file = fopen(path, "r");
    if (file == NULL) {
        return v2m_error_set(error, V2M_INVALID,
                             "cannot open \"%s\" given by %s: %s", path, name,
                             strerror(errno));
    }

    text = malloc(V2M_CONFIG_FILE_BUFFER);
    if (text == NULL) {
        fclose(file);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    rc = v2m_config_read(file, text, &length);

    fclose(file);

    if (rc != V2M_OK) {
        v2m_error_set(error, rc,
                      "\"%s\" given by %s is unreadable or longer than 64 KiB",
                      path, name);
        goto failed;
    }

    if (length > 0 && text[length - 1] == '\n') {
        text[--length] = '\0';
    }

    if (strlen(text) != length) {
        rc = v2m_error_set(error, V2M_INVALID,
                           "\"%s\" given by %s contains a zero byte", path,
                           name);
        goto failed;
    }

    *value = text;
    return V2M_OK;

failed:

    explicit_bzero(text, length);
    free(text);

    return rc;
}


int
v2m_config_string(const char *name, const char *fallback, char **value,
                  v2m_error_t *error)
{
    int         rc;
    char        file_name[128];
    const char *direct, *path;

    *value = NULL;

    snprintf(file_name, sizeof(file_name), "%s_FILE", name);

    direct = getenv(name);
    path = getenv(file_name);

    if (direct != NULL && *direct == '\0') {
        direct = NULL;
    }

    if (path != NULL && *path != '\0') {
        if (direct != NULL) {
            return v2m_error_set(error, V2M_INVALID,
                                 "both %s and %s are set, unset one of them",
                                 name, file_name);
        }

        rc = v2m_config_file(file_name, path, value, error);

        if (rc != V2M_OK || **value != '\0') {
            return rc;
        }

        free(*value);
        *value = NULL;
    }

    if (direct == NULL) {
        direct = fallback;
    }

    if (direct == NULL) {
        return V2M_OK;
    }

    *value = strdup(direct);
    if (*value == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    return V2M_OK;
}


int
v2m_config_required(const char *name, char **value, v2m_error_t *error)
{
    int rc;

    rc = v2m_config_string(name, NULL, value, error);

    if (rc == V2M_OK && *value == NULL) {
        return v2m_error_set(error, V2M_INVALID,
                             "%s is not set: give it in the environment, or "
                             "a file with it as %s_FILE",
                             name, name);
    }

    return rc;
}


int
v2m_config_integer(const char *name, int64_t fallback, int64_t minimum,
                   int64_t maximum, int64_t *value, v2m_error_t *error)
{
    int       rc;
    char     *text, *end;
    long long number;

    rc = v2m_config_string(name, NULL, &text, error);
    if (rc != V2M_OK) {
        return rc;
    }

    if (text == NULL) {
        *value = fallback;
        return V2M_OK;
    }

    errno = 0;
    number = strtoll(text, &end, 10);

    if (errno != 0 || end == text || *end != '\0' || number < minimum
        || number > maximum)
    {
        rc = v2m_error_set(error, V2M_INVALID,
                           "%s is \"%.32s\", but must be a whole number from "
                           "%" PRId64 " to %" PRId64,
                           name, text, minimum, maximum);
        free(text);
        return rc;
    }

    free(text);
    *value = number;

    return V2M_OK;
}


/* The seconds of one unit, 0 when it is none. */
static int64_t
v2m_config_unit(const char *unit)
{
    size_t i;

    static const struct {
        const char *name;
        int64_t     seconds;
    } units[] = {
        { "", 1 },     { "s", 1 },     { "m", 60 },
        { "h", 3600 }, { "d", 86400 }, { "w", 604800 },
    };

    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].name) == 0) {
            return units[i].seconds;
        }
    }

    return 0;
}


int
v2m_config_duration(const char *name, const char *fallback, int64_t minimum_s,
                    int64_t maximum_s, int never, int64_t *seconds,
                    v2m_error_t *error)
{
    int       rc;
    char     *text, *end;
    int64_t   unit;
    long long number;

    rc = v2m_config_string(name, fallback, &text, error);
    if (rc != V2M_OK) {
        return rc;
    }

    if (never && strcmp(text, "forever") == 0) {
        free(text);
        *seconds = -1;
        return V2M_OK;
    }

    errno = 0;
    number = strtoll(text, &end, 10);
    unit = v2m_config_unit(end);

    if (errno != 0 || end == text || unit == 0 || number < 0
        || number > maximum_s / unit || number * unit < minimum_s)
    {
        rc = v2m_error_set(
            error, V2M_INVALID,
            "%s is \"%.32s\", but must be a time such as 90s, "
            "30m, 12h or 7d, from %" PRId64 " to %" PRId64 " seconds%s",
            name, text, minimum_s, maximum_s, never ? ", or forever" : "");
        free(text);
        return rc;
    }

    free(text);
    *seconds = number * unit;

    return V2M_OK;
}


void
v2m_config_wipe(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}
