/*
 * Whatever a decoder gives, as what the encoder takes: planar float at one
 * rate, mono or stereo, collected in a queue.
 */

#ifndef V2M_RESAMPLER_H
#define V2M_RESAMPLER_H

#include <stdint.h>
#include <libavutil/audio_fifo.h>
#include <libavutil/frame.h>
#include <libswresample/swresample.h>

#include "v2m_error.h"

#define V2M_RESAMPLER_FORMAT AV_SAMPLE_FMT_FLTP

typedef struct {
    SwrContext     *context; /* NULL: to be made for the next frame */
    AVAudioFifo    *queue;   /* what is ready for the encoder */
    AVFrame        *silence; /* in the input's format */
    AVFrame        *output;
    int             rate;     /* of the output, Hz */
    int             channels; /* of the output */
    AVChannelLayout in_layout;
    int             in_rate;
    int             in_format;
} v2m_resampler_t;

/* To be closed with v2m_resampler_close() also after a failure. */
int v2m_resampler_open(v2m_resampler_t *resampler, int rate, int channels,
                       v2m_error_t *error);

void v2m_resampler_close(v2m_resampler_t *resampler);

/* Makes ready for a frame: when its format, rate or layout differ from the
 * last one's, what was underway comes out first. */
int v2m_resampler_adapt(v2m_resampler_t *resampler, const AVFrame *frame,
                        v2m_error_t *error);

/* Both after v2m_resampler_adapt().  At most V2M_RESAMPLER_BLOCK samples of
 * silence at a time. */
#define V2M_RESAMPLER_BLOCK 4096

int v2m_resampler_silence(v2m_resampler_t *resampler, int samples,
                          v2m_error_t *error);
int v2m_resampler_push(v2m_resampler_t *resampler, const AVFrame *frame,
                       int first, int samples, v2m_error_t *error);

/* What is underway comes out. */
int v2m_resampler_flush(v2m_resampler_t *resampler, v2m_error_t *error);

#endif /* V2M_RESAMPLER_H */
