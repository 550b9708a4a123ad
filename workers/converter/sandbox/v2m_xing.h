/*
 * The first frame of an MP3, which holds no sound: the Xing header ("Info"
 * when all frames have one bitrate) with the number of frames and a table of
 * where each percent of the time is, and LAME's addition to it with the
 * encoder's delay and padding.
 */

#ifndef V2M_XING_H
#define V2M_XING_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_mpeg.h"

#define V2M_XING_MOST   1441 /* bytes, as any frame */
#define V2M_XING_PLACES 512

/* Samples that a decoder's own delay adds to an encoder's. */
#define V2M_XING_DECODER 529

/* What the twelve bits of delay and of padding can hold. */
#define V2M_XING_GAP_MAX 4095

typedef struct {
    unsigned char head[V2M_MPEG_HEADER]; /* of this frame */
    v2m_mpeg_t    format;                /* likewise */
    int64_t       frames;                /* after this one */
    int64_t       bytes;                 /* of these */
    uint32_t      crc;                   /* of these */
    int           bitrate;               /* the first one's, kbit/s */
    int           lowest;                /* kbit/s */
    int           variable;

    /* where each step-th frame begins, from the first one */
    int     step;
    int     count;
    int64_t places[V2M_XING_PLACES];
} v2m_xing_t;

/* Begins with the header of the first frame. */
void v2m_xing_begin(v2m_xing_t *xing, const unsigned char *head);

/* Counts a frame. */
void v2m_xing_add(v2m_xing_t *xing, const unsigned char *frame, size_t length);

/*
 * Writes the frame, of xing->format.size bytes.  delay and padding are
 * samples, at most V2M_XING_GAP_MAX; -1: unknown, and the addition is left
 * out.
 */
void v2m_xing_write(const v2m_xing_t *xing, int delay, int padding,
                    unsigned char bytes[V2M_XING_MOST]);

/* 1 when a frame is such a header, or one of "VBRI", and no sound.  *delay and
 * *padding are what it tells, else -1. */
int v2m_xing_is(const unsigned char *frame, size_t length, int *delay,
                int *padding);

#endif /* V2M_XING_H */
