/*
 * libmp3lame with the settings of a job.
 */

#ifndef V2M_ENCODER_H
#define V2M_ENCODER_H

#include <libavcodec/avcodec.h>

#include "v2m_error.h"
#include "v2m_options.h"

typedef struct {
    int                  rate;     /* Hz */
    int                  channels; /* 1 or 2 */
    const v2m_options_t *options;  /* bitrate, else quality */
} v2m_encoder_settings_t;

/* 1: the settings ask for a variable bitrate. */
int v2m_encoder_is_variable(const v2m_encoder_settings_t *settings);

/* Makes an encoder for V2M_RESAMPLER_FORMAT.  reservoir 0: no frame has data
 * in earlier ones.  To be freed with avcodec_free_context(). */
int v2m_encoder_open(AVCodecContext              **encoder,
                     const v2m_encoder_settings_t *settings, int reservoir,
                     v2m_error_t *error);

#endif /* V2M_ENCODER_H */
