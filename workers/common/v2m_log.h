/*
 * The workers' log: one line per event on standard error, with time, level,
 * program and, where there is one, the job's id.  V2M_LOG_LEVEL is the least
 * level shown (debug, info, warning, error; info by default).  Who must act
 * decides the level: the sender of a file INFO, a backend WARNING or ERROR.
 * V2M_LOG_FORMAT is text (by default) or json: an object per line, with the
 * fields time, level, program, job, trace and message.  Thread-safe.  No secret
 * is ever passed to it.
 */

#ifndef V2M_LOG_H
#define V2M_LOG_H

typedef enum {
    V2M_LOG_DEBUG,
    V2M_LOG_INFO,
    V2M_LOG_WARNING,
    V2M_LOG_ERROR
} v2m_log_level_t;

/* program: static text; reads V2M_LOG_LEVEL and V2M_LOG_FORMAT. */
void v2m_log_init(const char *program);

/* What this thread's lines are about from now on, when they do not say so
 * themselves: a job, and the trace of a W3C traceparent.  Both are copied and
 * may be NULL or empty. */
void v2m_log_context(const char *job, const char *traceparent);

/* job: an id, or NULL: that of the context.  Control characters in the text are
 * written as \xNN, so that a file name cannot forge a line. */
void v2m_log(v2m_log_level_t level, const char *job, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif /* V2M_LOG_H */
