#include "v2m_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define V2M_LOG_LINE 2048

static const char *const v2m_log_names[] = { "debug", "info", "warning",
                                             "error" };

static const char     *v2m_log_program = "v2m";
static v2m_log_level_t v2m_log_least = V2M_LOG_INFO;


void
v2m_log_init(const char *program)
{
    size_t      i;
    const char *level;

    v2m_log_program = program;
    v2m_log_least = V2M_LOG_INFO;

    level = getenv("V2M_LOG_LEVEL");
    if (level == NULL || *level == '\0') {
        return;
    }

    for (i = 0; i < sizeof(v2m_log_names) / sizeof(v2m_log_names[0]); i++) {
        if (strcasecmp(level, v2m_log_names[i]) == 0) {
            v2m_log_least = (v2m_log_level_t) i;
            return;
        }
    }

    v2m_log(V2M_LOG_WARNING, NULL,
            "V2M_LOG_LEVEL is \"%.32s\", but must be debug, info, warning or "
            "error: taken as info",
            level);
}


/* RFC 3339 with milliseconds, UTC, then level, program and job. */
static size_t
v2m_log_head(char *line, size_t size, v2m_log_level_t level, const char *job)
{
    int             length;
    char            date[32];
    struct tm       tm;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);

    length =
        snprintf(line, size, "%s.%03ldZ %s %s%s%.64s: ", date,
                 now.tv_nsec / 1000000, v2m_log_names[level], v2m_log_program,
                 job != NULL ? " " : "", job != NULL ? job : "");

    return (size_t) length < size ? (size_t) length : size - 1;
}


/*
 * How many bytes of the text are a control character: those of ASCII, and
 * U+0080 to U+009F, which some terminals obey as well.
 */
static size_t
v2m_log_control(const unsigned char *text)
{
    if (*text < 0x20 || *text == 0x7f) {
        return 1;
    }

    if (text[0] == 0xc2 && text[1] >= 0x80 && text[1] <= 0x9f) {
        return 2;
    }

    return 0;
}


static size_t
v2m_log_append(char *line, size_t length, size_t size, const char *text)
{
    size_t               control, need;
    const unsigned char *p;

    for (p = (const unsigned char *) text; *p != '\0';) {
        control = v2m_log_control(p);
        need = control != 0 ? 4 * control : 1;

        if (length + need > size) {
            break;
        }

        if (control == 0) {
            line[length++] = (char) *p++;
        }

        while (control > 0) {
            static const char hex[] = "0123456789abcdef";

            line[length++] = '\\';
            line[length++] = 'x';
            line[length++] = hex[*p >> 4];
            line[length++] = hex[*p & 15];
            p++;
            control--;
        }
    }

    return length;
}


void
v2m_log(v2m_log_level_t level, const char *job, const char *format, ...)
{
    char    line[V2M_LOG_LINE], text[V2M_LOG_LINE];
    size_t  length;
    va_list args;
    ssize_t written;

    if (level < v2m_log_least) {
        return;
    }

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    if (job != NULL && *job == '\0') {
        job = NULL;
    }

    length = v2m_log_head(line, sizeof(line), level, job);
    length = v2m_log_append(line, length, sizeof(line) - 1, text);
    line[length++] = '\n';

    /* One write, so that lines of several threads and processes stay whole;
     * there is nobody to tell that the log itself failed. */
    written = write(STDERR_FILENO, line, length);
    (void) written;
}
