#include "v2m_amqp_hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_error.h"


/* Where the hosts begin, and with *length how long their list is. */
static const char *
v2m_amqp_host_list(const char *url, size_t *length)
{
    const char *at, *hosts;

    hosts = strstr(url, "://");
    hosts = hosts == NULL ? url : hosts + 3;

    /* neither is in a user's name or password but as %XX */

    *length = strcspn(hosts, "/");
    at = memchr(hosts, '@', *length);

    if (at != NULL) {
        *length -= (size_t) (at + 1 - hosts);
        hosts = at + 1;
    }

    return hosts;
}


size_t
v2m_amqp_hosts(const char *url)
{
    size_t      i, length, count;
    const char *hosts;

    hosts = v2m_amqp_host_list(url, &length);
    count = 1;

    for (i = 0; i < length; i++) {
        count += (hosts[i] == ',');
    }

    return count;
}


int
v2m_amqp_host_url(char **result, const char *url, size_t number)
{
    size_t      length, size, one;
    const char *hosts, *host, *end;

    hosts = v2m_amqp_host_list(url, &length);
    end = hosts + length;
    host = hosts;

    for (;;) {
        one = strcspn(host, ",");

        if (one > (size_t) (end - host)) {
            one = (size_t) (end - host);
        }

        if (number == 0 || host + one == end) {
            break;
        }

        host += one + 1;
        number--;
    }

    /* a URL with no host at all has a meaning, a gap in a list has none */

    if (number > 0 || (one == 0 && length > 0)) {
        return V2M_INVALID;
    }

    size = strlen(url) - length + one + 1;
    *result = malloc(size);

    if (*result == NULL) {
        return V2M_ERROR;
    }

    snprintf(*result, size, "%.*s%.*s%s", (int) (hosts - url), url, (int) one,
             host, end);

    return V2M_OK;
}
