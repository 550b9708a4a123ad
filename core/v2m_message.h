/*
 * The messages in the queues "video" and "mp3": JSON, compatible with the
 * tutorial stack:
 *
 *   {"video_fid":"...","mp3_fid":null|"...","username":"..."}
 *
 * and fields of our own, which other readers ignore: "name" (the video's file
 * name), "error" (why the job failed), "traceparent" (of the W3C's Trace
 * Context, handed on) and "version" (1).
 */

#ifndef V2M_MESSAGE_H
#define V2M_MESSAGE_H

#include <stddef.h>

#include "v2m_error.h"
#include "v2m_id.h"
#include "v2m_trace.h"

#define V2M_MESSAGE_VERSION 1

typedef struct {
    v2m_id_t          video_fid;
    v2m_id_t          mp3_fid;  /* empty: null */
    char             *username; /* malloc'ed */
    char             *name;     /* malloc'ed or NULL */
    char             *error;    /* malloc'ed or NULL */
    v2m_traceparent_t traceparent;
    int               ours; /* read: it has a version, and had a job's record */
} v2m_message_t;

/*
 * Reads a message; fields it does not know are ignored.  V2M_INVALID: no
 * JSON object, or video_fid or username missing or malformed.  To be freed
 * with v2m_message_free(), also after a failure.
 */
int v2m_message_parse(v2m_message_t *message, const char *text, size_t length,
                      v2m_error_t *error);

/* Malloc'ed JSON text, or NULL when out of memory. */
char *v2m_message_format(const v2m_message_t *message);

void v2m_message_free(v2m_message_t *message);

#endif /* V2M_MESSAGE_H */
