/*
 * Encoding on several threads: audio goes in, frames of one MP3 stream come
 * out in order.  The stream does not depend on the number of threads.
 */

#ifndef V2M_ENCODING_H
#define V2M_ENCODING_H

#include <stdint.h>
#include <libavutil/audio_fifo.h>

#include "v2m_encoder.h"
#include "v2m_error.h"
#include "v2m_joiner.h"

typedef struct v2m_encoding_s v2m_encoding_t;

typedef struct {
    v2m_encoder_settings_t encoder;
    int                    frame_size; /* of the encoder, samples */
    int                    delay;      /* of the encoder, samples */
    int                    threads;    /* that encode, at least 1 */
    float               gain;  /* what samples are multiplied by; 1: nothing */
    v2m_joiner_write_pt write; /* called on the thread that calls these */
    void               *data;
} v2m_encoding_options_t;

int v2m_encoding_create(v2m_encoding_t              **encoding,
                        const v2m_encoding_options_t *options,
                        v2m_error_t                  *error);

/* Ends the threads.  NULL is allowed. */
void v2m_encoding_destroy(v2m_encoding_t *encoding);

/* Takes all that is in the queue, V2M_RESAMPLER_FORMAT; waits while all
 * threads have enough to do. */
int v2m_encoding_add(v2m_encoding_t *encoding, AVAudioFifo *queue,
                     v2m_error_t *error);

/* Samples taken so far. */
int64_t v2m_encoding_samples(const v2m_encoding_t *encoding);

/* Writes the rest.  *padding is the number of samples that the last frames
 * have beyond the audio, without the encoder's delay. */
int v2m_encoding_finish(v2m_encoding_t *encoding, int64_t *padding,
                        v2m_error_t *error);

#endif /* V2M_ENCODING_H */
