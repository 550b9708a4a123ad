#include "v2m_limit.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_users.h"

static const char v2m_limit_units[] = "kmgt";


/* A number with its unit; 0: it is none, or too large. */
static int64_t
v2m_limit_number(const char *text, int units)
{
    int         shift;
    char       *end;
    long long   number;
    const char *unit;

    if (!isdigit((unsigned char) text[0])) {
        return 0;
    }

    errno = 0;
    number = strtoll(text, &end, 10);

    if (errno != 0) {
        return 0;
    }

    shift = 0;

    if (units && *end != '\0') {
        unit = strchr(v2m_limit_units, tolower((unsigned char) *end));

        if (unit != NULL) {
            shift = 10 * (int) (unit - v2m_limit_units + 1);
            end++;
        }
    }

    return *end == '\0' && number <= INT64_MAX >> shift ? number << shift : 0;
}


int
v2m_limit_parse(const char *text, int units, int64_t *limit, v2m_error_t *error)
{
    if (strcmp(text, "default") == 0) {
        *limit = V2M_QUOTA_DEFAULT;
        return V2M_OK;
    }

    if (strcmp(text, "unlimited") == 0) {
        *limit = 0;
        return V2M_OK;
    }

    *limit = v2m_limit_number(text, units);

    if (*limit > 0) {
        return V2M_OK;
    }

    return v2m_error_set(error, V2M_INVALID,
                         "a limit is \"default\", \"unlimited\" or a number "
                         "from 1 on%s",
                         units ? ", which may end in k, m, g or t" : "");
}


void
v2m_limit_print(char text[V2M_LIMIT_TEXT], int64_t limit)
{
    if (limit == V2M_QUOTA_DEFAULT) {
        strcpy(text, "default");

    } else if (limit == 0) {
        strcpy(text, "unlimited");

    } else {
        snprintf(text, V2M_LIMIT_TEXT, "%" PRId64, limit);
    }
}
