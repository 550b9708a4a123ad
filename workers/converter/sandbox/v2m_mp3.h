/*
 * The MP3 as a file: its tag, the frame with the Xing header, which is written
 * last, and the frames.
 */

#ifndef V2M_MP3_H
#define V2M_MP3_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_bytes.h"
#include "v2m_error.h"
#include "v2m_id3.h"
#include "v2m_xing.h"

#define V2M_MP3_BUFFER (64 * 1024)

typedef struct {
    v2m_byte_sink_t sink;
    v2m_xing_t      xing;
    int64_t         header; /* where its frame is */
    int64_t         length; /* of all that was given to the sink */
    int             begun;  /* the first frame came */
    size_t          used;   /* of the buffer */
    unsigned char   buffer[V2M_MP3_BUFFER];
} v2m_mp3_t;

/* Writes the tag, which v2m_id3_end() made whole. */
int v2m_mp3_open(v2m_mp3_t *mp3, const v2m_byte_sink_t *sink,
                 const v2m_id3_t *tag, v2m_error_t *error);

/* Takes a whole frame; a v2m_joiner_write_pt, whose data is the v2m_mp3_t. */
int v2m_mp3_add(void *mp3, const unsigned char *frame, size_t length,
                v2m_error_t *error);

/* The file's length so far, bytes. */
int64_t v2m_mp3_length(const v2m_mp3_t *mp3);

/* Writes the rest.  delay and padding as for v2m_xing_write(). */
int v2m_mp3_finish(v2m_mp3_t *mp3, int delay, int padding, v2m_error_t *error);

#endif /* V2M_MP3_H */
