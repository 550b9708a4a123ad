#include "v2m_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "v2m_utf8.h"

#define V2M_LOG_LINE  2048
#define V2M_LOG_TIME  64
#define V2M_LOG_JOB   24
#define V2M_LOG_TRACE 32

static const char *const v2m_log_names[] = { "debug", "info", "warning",
                                             "error" };

static const char     *v2m_log_program = "v2m";
static v2m_log_level_t v2m_log_least = V2M_LOG_INFO;
static int             v2m_log_json;

static _Thread_local char v2m_log_job[V2M_LOG_JOB + 1];
static _Thread_local char v2m_log_trace[V2M_LOG_TRACE + 1];


static void
v2m_log_read_format(void)
{
    const char *format;

    v2m_log_json = 0;

    format = getenv("V2M_LOG_FORMAT");
    if (format == NULL || *format == '\0' || strcasecmp(format, "text") == 0) {
        return;
    }

    if (strcasecmp(format, "json") == 0) {
        v2m_log_json = 1;
        return;
    }

    v2m_log(V2M_LOG_WARNING, NULL,
            "V2M_LOG_FORMAT is \"%.32s\", but must be text or json: taken as "
            "text",
            format);
}


void
v2m_log_init(const char *program)
{
    size_t      i;
    const char *level;

    v2m_log_program = program;
    v2m_log_least = V2M_LOG_INFO;
    v2m_log_read_format();

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


void
v2m_log_context(const char *job, const char *traceparent)
{
    snprintf(v2m_log_job, sizeof(v2m_log_job), "%s", job != NULL ? job : "");

    v2m_log_trace[0] = '\0';

    /* VERSION-TRACE-... */
    if (traceparent != NULL && strlen(traceparent) > V2M_LOG_TRACE + 3) {
        memcpy(v2m_log_trace, traceparent + 3, V2M_LOG_TRACE);
        v2m_log_trace[V2M_LOG_TRACE] = '\0';
    }
}


/* RFC 3339 with milliseconds, UTC. */
static void
v2m_log_time(char text[V2M_LOG_TIME])
{
    size_t          length;
    struct tm       tm;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);

    length = strftime(text, V2M_LOG_TIME, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + length, V2M_LOG_TIME - length, ".%03dZ",
             (int) (now.tv_nsec / 1000000));
}


/* Time, level, program, job and trace.  Returns the length. */
static size_t
v2m_log_head(char *line, size_t size, v2m_log_level_t level, const char *job)
{
    int  length;
    char now[V2M_LOG_TIME];

    v2m_log_time(now);

    length =
        snprintf(line, size, "%s %s %s%s%.64s%s%s: ", now, v2m_log_names[level],
                 v2m_log_program, *job != '\0' ? " " : "", job,
                 v2m_log_trace[0] != '\0' ? " trace=" : "", v2m_log_trace);

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


static size_t
v2m_log_text(char *line, size_t size, v2m_log_level_t level, const char *job,
             const char *text)
{
    size_t length;

    length = v2m_log_head(line, size, level, job);

    return v2m_log_append(line, length, size, text);
}


/* A string of JSON, without what does not fit.  The text is UTF-8. */
static size_t
v2m_log_quote(char *line, size_t length, size_t size, const char *text)
{
    const unsigned char *p;

    line[length++] = '"';

    for (p = (const unsigned char *) text; *p != '\0' && length + 7 < size;) {
        if (*p < 0x20 || *p == 0x7f) {
            length += (size_t) snprintf(line + length, 7, "\\u%04x", *p++);
            continue;
        }

        if (*p == '"' || *p == '\\') {
            line[length++] = '\\';
        }

        /* a character whole */
        do {
            line[length++] = (char) *p++;
        } while ((*p & 0xc0) == 0x80);
    }

    line[length++] = '"';

    return length;
}


static size_t
v2m_log_object(char *line, size_t size, v2m_log_level_t level, const char *job,
               const char *text)
{
    int   length;
    char  now[V2M_LOG_TIME];
    char *repaired;

    v2m_log_time(now);
    repaired = v2m_utf8_repair(text);

    length = snprintf(line, size,
                      "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\","
                      "%s%.64s%s%s%s%s\"message\":",
                      now, v2m_log_names[level], v2m_log_program,
                      *job != '\0' ? "\"job\":\"" : "", job,
                      *job != '\0' ? "\"," : "",
                      v2m_log_trace[0] != '\0' ? "\"trace\":\"" : "",
                      v2m_log_trace, v2m_log_trace[0] != '\0' ? "\"," : "");

    length = (int) v2m_log_quote(line, (size_t) length, size - 2,
                                 repaired != NULL ? repaired : "");
    free(repaired);
    line[length++] = '}';

    return (size_t) length;
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

    if (job == NULL || *job == '\0') {
        job = v2m_log_job;
    }

    length = v2m_log_json
                 ? v2m_log_object(line, sizeof(line) - 1, level, job, text)
                 : v2m_log_text(line, sizeof(line) - 1, level, job, text);
    line[length++] = '\n';

    /* One write, so that lines of several threads and processes stay whole;
     * there is nobody to tell that the log itself failed. */
    written = write(STDERR_FILENO, line, length);
    (void) written;
}
