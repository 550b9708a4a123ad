/*
 * A transcoder at work on one file: started, given the bytes it asks for,
 * watched over, and ended.  Where the bytes come from and go to is the
 * caller's affair.
 */

#ifndef V2M_SESSION_H
#define V2M_SESSION_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_channel.h"
#include "v2m_child.h"
#include "v2m_error.h"
#include "v2m_options.h"

/* What a session asks of its owner, each with the owner's data.  A result
 * other than V2M_OK ends the session and becomes its result. */
typedef struct {
    /* Gives up to length bytes (at least 1) at the offset: at least one,
     * unless the file ends there.  They are valid until the next call. */
    int (*read)(void *data, int64_t offset, size_t length,
                const unsigned char **bytes, size_t *got, v2m_error_t *error);

    /* Is told which bytes of the MP3 may be written again: V2M_CHANNEL_KEPT
     * from the offset on. */
    int (*keep)(void *data, int64_t offset, v2m_error_t *error);

    /* Takes bytes of the MP3: the next ones, or again some of those kept. */
    int (*write)(void *data, int64_t offset, const unsigned char *bytes,
                 size_t length, v2m_error_t *error);

    /* Drops all of the MP3, which begins anew. */
    int (*restart)(void *data, v2m_error_t *error);

    /* Hears how far it is: percent of the whole, -1: unknown. */
    void (*progress)(void *data, v2m_channel_phase_t phase, int32_t percent);

    /* 1: the session is to end. */
    int (*stopping)(void *data);
} v2m_session_owner_t;

/* What a failure is the fault of. */
typedef enum {
    V2M_SESSION_FILE,  /* nothing can be made of it */
    V2M_SESSION_LIMIT, /* it took too long */
    V2M_SESSION_CRASH, /* the transcoder crashed, or broke its contract */
    V2M_SESSION_SOURCE /* the owner said so: its file is not whole */
} v2m_session_fault_t;

typedef struct {
    const v2m_session_owner_t *owner;
    void                      *data;       /* the owner's */
    const char                *job;        /* its id, for the log, or NULL */
    const char                *transcoder; /* path of v2m-transcode */
    const v2m_options_t       *options;
    int64_t                    length;   /* of the file, bytes */
    int                        threads;  /* that the transcoder may use */
    int64_t                    limit_ms; /* for the whole; 0: none */
    int64_t                    stall_ms; /* for it to say something; 0: any */

    /* the results; source tells what the audio was, and fault is that of
     * V2M_INVALID */
    int64_t             samples;
    int32_t             rate;
    int64_t             mp3_length;
    char                source[V2M_CHANNEL_TEXT + 1];
    v2m_session_fault_t fault;
    int64_t             read_us;  /* how long the owner took to read */
    int64_t             write_us; /* and to write */

    /* the session's own */
    v2m_child_t    child;
    v2m_channel_t *channel;
    int64_t        began_ms;
    int64_t        heard_ms; /* when the transcoder said something */
    int64_t        kept;     /* where these bytes begin, -1: none are */
    int            waiting;  /* for the owner, not for the transcoder */
} v2m_session_t;

/*
 * Runs a session whose first part was filled and whose rest is zero.  Blocks.
 * V2M_INVALID: the fault is the file's, the text tells its owner;
 * V2M_UNAVAILABLE: it was stopped, or the transcoder was killed; V2M_ERROR:
 * another attempt may succeed.
 */
int v2m_session_run(v2m_session_t *session, v2m_error_t *error);

/* To be called several times a second while the owner makes the session wait,
 * with the session as its data; fails when the session is to end. */
int v2m_session_tick(void *data, v2m_error_t *error);

/* Seconds that are left if it goes on as it did in the time it took so far; -1:
 * too early to tell. */
int64_t v2m_session_left_s(int64_t took_ms, int32_t percent);

#endif /* V2M_SESSION_H */
