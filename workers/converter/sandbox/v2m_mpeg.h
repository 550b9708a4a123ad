/*
 * The header of an MPEG audio frame of layer III, MP3 that is (ISO/IEC
 * 11172-3, 2.4.1.3; 13818-3 for the low sample rates, and MPEG-2.5 by custom
 * for the lowest).  Free of FFmpeg.
 */

#ifndef V2M_MPEG_H
#define V2M_MPEG_H

#define V2M_MPEG_HEADER  4  /* bytes */
#define V2M_MPEG_HIGHEST 14 /* index of the highest bitrate */

typedef struct {
    int low;      /* MPEG-2 or 2.5 */
    int rate;     /* Hz */
    int channels; /* 1 or 2 */
    int samples;  /* of each channel */
    int bitrate;  /* kbit/s */
    int checked;  /* a checksum of two bytes follows the header */
    int side;     /* bytes of side information, after header and checksum */
    int size;     /* of the whole frame, bytes */
} v2m_mpeg_t;

/* Takes a header apart.  Returns 0 when it is none of layer III, or one of
 * "free format", which does not tell its frame's size. */
int v2m_mpeg_read(const unsigned char bytes[V2M_MPEG_HEADER],
                  v2m_mpeg_t         *header);

/* Bytes that a frame without padding has with another bitrate, given as its
 * index in the header, 1 to V2M_MPEG_HIGHEST. */
int v2m_mpeg_size(const v2m_mpeg_t *header, int bitrate_index);

#endif /* V2M_MPEG_H */
