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

/* What all encoders with the same settings have in common. */
typedef struct {
    int frame_size; /* samples */
    int delay;      /* samples that come out before the first one that went in,
                       the decoder's delay included */
} v2m_encoder_kind_t;

/* The rate that MP3 has for audio of this rate: the same, else one of the
 * same family, else the next higher; and a multiple of that when MP3 has the
 * bitrate (kbit/s, -1: variable) only there. */
int v2m_encoder_rate(int rate, int bitrate);

/* 1: the settings ask for a variable bitrate. */
int v2m_encoder_is_variable(const v2m_encoder_settings_t *settings);

/* Makes an encoder for V2M_RESAMPLER_FORMAT.  reservoir 0: no frame has data
 * in earlier ones.  To be freed with avcodec_free_context(). */
int v2m_encoder_open(AVCodecContext              **encoder,
                     const v2m_encoder_settings_t *settings, int reservoir,
                     v2m_error_t *error);

int v2m_encoder_describe(v2m_encoder_kind_t           *kind,
                         const v2m_encoder_settings_t *settings,
                         v2m_error_t                  *error);

#endif /* V2M_ENCODER_H */
