/*
 * MP3 frames taken apart: each with its header, its side information and its
 * main data, wherever the bit reservoir had put that (ISO/IEC 11172-3, 2.4.1
 * and 2.4.2.7; ISO/IEC 13818-3 for the low sample rates).  Layer III without
 * checksums, as LAME writes it.  Free of FFmpeg.  One thread at a time.
 */

#ifndef V2M_FRAMES_H
#define V2M_FRAMES_H

#include <stddef.h>

#include "v2m_error.h"

#define V2M_FRAMES_HEAD 36   /* bytes: header and side information, at most */
#define V2M_FRAMES_AREA 1441 /* bytes: 320 kbit/s at 32 kHz, padded */

/* How far back main data may begin, bytes: main_data_begin has 9 bits, with
 * the low sample rates 8. */
#define V2M_FRAMES_BACK     511
#define V2M_FRAMES_BACK_LOW 255

typedef struct {
    unsigned char head[V2M_FRAMES_HEAD];
    int           head_length;
    int           area;   /* bytes that follow the head in the stream */
    int           length; /* of the main data, bytes */
    size_t        offset; /* of the main data, in v2m_frames_t.data */
    int           leave;  /* for v2m_joiner.h: room for those after it */
} v2m_frame_t;

/* Zeroed before its first use. */
typedef struct {
    v2m_frame_t   *frames;
    int            count;
    unsigned char *data; /* main data of the frames, one after the other */
    size_t         length;

    /* the list's own */
    int           capacity;
    size_t        data_capacity;
    int           before; /* bytes of earlier areas that are kept in window */
    unsigned char window[V2M_FRAMES_BACK + V2M_FRAMES_AREA];
} v2m_frames_t;

/*
 * Takes the next frame of an encoder, from its header to its end.  keep 0: it
 * is not added to the list, only remembered for what later frames have in its
 * area.  V2M_ERROR: it is no frame as described above, or out of memory.
 */
int v2m_frames_take(v2m_frames_t *frames, const unsigned char *bytes,
                    size_t length, int keep, v2m_error_t *error);

/* Empties the list and forgets earlier areas, but keeps the memory. */
void v2m_frames_reset(v2m_frames_t *frames);

void v2m_frames_free(v2m_frames_t *frames);

/* 1: one of the low sample rates (MPEG-2 and 2.5). */
int v2m_frame_is_low(const v2m_frame_t *frame);

/* The area that the frame has with another bitrate, given as its index in the
 * header, 1 to 14, without padding; negative: the head alone is longer. */
int v2m_frame_area(const v2m_frame_t *frame, int bitrate_index);

#endif /* V2M_FRAMES_H */
