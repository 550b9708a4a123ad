/*
 * The W3C's Trace Context (https://www.w3.org/TR/trace-context/): the header
 * traceparent, by which one request can be followed through all programs.
 */

#ifndef V2M_TRACE_H
#define V2M_TRACE_H

#include <stddef.h>

#define V2M_TRACEPARENT_LENGTH 55 /* 00-TRACE-PARENT-FLAGS */

#define V2M_TRACE_ID_OFFSET 3
#define V2M_TRACE_ID_LENGTH 32

/* Zero-terminated; empty: there is none. */
typedef char v2m_traceparent_t[V2M_TRACEPARENT_LENGTH + 1];

/*
 * Takes over a traceparent; one of a later version as far as version 00 goes.
 * 0: the text is none: of another form, of version ff, or with a trace or
 * parent of zeros; it is empty then.
 */
int v2m_trace_parse(v2m_traceparent_t trace, const char *text, size_t length);

/* Begins a new trace, which is not sampled.  Any thread. */
void v2m_trace_begin(v2m_traceparent_t trace);

#endif /* V2M_TRACE_H */
