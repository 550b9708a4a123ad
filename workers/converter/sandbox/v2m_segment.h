/*
 * A stretch of audio that is encoded on its own.
 *
 * Its encoder starts a little before the first frame that counts and goes on
 * a little after the last one, so that every frame that counts comes out as
 * if one encoder had encoded everything: LAME's filter bank and psychoacoustic
 * model look one to two frames around each.
 */

#ifndef V2M_SEGMENT_H
#define V2M_SEGMENT_H

#include "v2m_encoder.h"
#include "v2m_error.h"
#include "v2m_frames.h"

#define V2M_SEGMENT_BEFORE 3   /* frames before those that count */
#define V2M_SEGMENT_FRAMES 200 /* frames that count, about five seconds */
#define V2M_SEGMENT_AFTER  4   /* frames after those that count */

#define V2M_SEGMENT_MOST                                                       \
    (V2M_SEGMENT_BEFORE + V2M_SEGMENT_FRAMES + V2M_SEGMENT_AFTER)

typedef struct {
    float       *samples[2]; /* planes, with room for V2M_SEGMENT_MOST frames */
    int          count;      /* samples in each plane */
    int          before;     /* frames before those that count */
    int          end;        /* the audio ends with these samples */
    v2m_frames_t frames;     /* the result */
} v2m_segment_t;

/* Allocates the planes; to be freed with v2m_segment_free() also after a
 * failure.  The frame size is in samples. */
int v2m_segment_init(v2m_segment_t *segment, int channels, int frame_size,
                     v2m_error_t *error);

void v2m_segment_free(v2m_segment_t *segment);

/* Encodes the samples; for any thread.  With end, whatever the encoder has is
 * a frame that counts. */
int v2m_segment_encode(v2m_segment_t                *segment,
                       const v2m_encoder_settings_t *settings, int reservoir,
                       v2m_error_t *error);

#endif /* V2M_SEGMENT_H */
