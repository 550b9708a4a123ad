#include "v2m_trace.h"

#include <stdint.h>
#include <string.h>
#include <sys/random.h>

/* What is fetched from the kernel at a time. */
#define V2M_TRACE_BYTES 1536

typedef struct {
    unsigned char trace[V2M_TRACE_ID_LENGTH / 2];
    unsigned char parent[8];
} v2m_trace_ids_t;


int
v2m_trace_parse(v2m_traceparent_t trace, const char *text, size_t length)
{
    size_t i;

    static const char form[] =
        "hh-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh";
    static const char digits[] = "0123456789abcdef";
    static const char zeros[] = "00000000000000000000000000000000";

    trace[0] = '\0';

    if (length < V2M_TRACEPARENT_LENGTH) {
        return 0;
    }

    for (i = 0; i < V2M_TRACEPARENT_LENGTH; i++) {
        if (form[i] == 'h' ? memchr(digits, text[i], sizeof(digits) - 1) == NULL
                           : text[i] != '-')
        {
            return 0;
        }
    }

    /* a later version may go on after another hyphen */

    if (length > V2M_TRACEPARENT_LENGTH
        && (memcmp(text, "00", 2) == 0 || text[V2M_TRACEPARENT_LENGTH] != '-'))
    {
        return 0;
    }

    if (memcmp(text, "ff", 2) == 0
        || memcmp(text + V2M_TRACE_ID_OFFSET, zeros, V2M_TRACE_ID_LENGTH) == 0
        || memcmp(text + V2M_TRACE_ID_OFFSET + V2M_TRACE_ID_LENGTH + 1, zeros,
                  16)
               == 0)
    {
        return 0;
    }

    memcpy(trace, text, V2M_TRACEPARENT_LENGTH);
    trace[V2M_TRACEPARENT_LENGTH] = '\0';
    memcpy(trace, "00", 2);

    return 1;
}


/* The kernel's bytes are kept for the next ones: there is one for each request
 * that is logged. */
static void
v2m_trace_random(v2m_trace_ids_t *ids)
{
    static _Thread_local unsigned char bytes[V2M_TRACE_BYTES];
    static _Thread_local size_t        left;

    if (left < sizeof(*ids)
        && getrandom(bytes, sizeof(bytes), 0) == (ssize_t) sizeof(bytes))
    {
        left = sizeof(bytes);
    }

    if (left < sizeof(*ids)) {
        /* zeros would be no trace */
        memset(ids, 1, sizeof(*ids));
        return;
    }

    left -= sizeof(*ids);
    memcpy(ids, bytes + left, sizeof(*ids));
}


static char *
v2m_trace_hex(char *text, const unsigned char *bytes, size_t count)
{
    size_t i;

    static const char digits[] = "0123456789abcdef";

    for (i = 0; i < count; i++) {
        *text++ = digits[bytes[i] >> 4];
        *text++ = digits[bytes[i] & 15];
    }

    *text++ = '-';

    return text;
}


void
v2m_trace_begin(v2m_traceparent_t trace)
{
    char           *end;
    v2m_trace_ids_t ids;

    v2m_trace_random(&ids);

    memcpy(trace, "00-", 3);
    end = v2m_trace_hex(trace + 3, ids.trace, sizeof(ids.trace));
    end = v2m_trace_hex(end, ids.parent, sizeof(ids.parent));
    memcpy(end, "00", 3);
}
