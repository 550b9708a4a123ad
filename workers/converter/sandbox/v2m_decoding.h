/*
 * From a track to samples for the encoder: decoded, put in their places in
 * time, cut, resampled, and given to a taker.
 */

#ifndef V2M_DECODING_H
#define V2M_DECODING_H

#include <stdint.h>
#include <libavcodec/avcodec.h>
#include <libavutil/audio_fifo.h>

#include "v2m_error.h"
#include "v2m_media.h"
#include "v2m_options.h"
#include "v2m_progress.h"
#include "v2m_resampler.h"
#include "v2m_timeline.h"

typedef struct {
    void *data;

    /* The first samples are about to come: at this rate (Hz), in so many
     * channels. */
    int (*begin)(void *data, int rate, int channels, v2m_error_t *error);

    /* Takes all that is in the queue, V2M_RESAMPLER_FORMAT. */
    int (*take)(void *data, AVAudioFifo *queue, v2m_error_t *error);
} v2m_taker_t;

typedef struct {
    v2m_media_t         *media; /* open */
    const v2m_options_t *options;
    int                  threads; /* that may decode */
    int                  whole;   /* all is to be read, up to the end */
    v2m_taker_t          taker;
    v2m_progress_t      *progress;

    /* what came of it */
    char source[V2M_MEDIA_DESCRIPTION]; /* what was decoded */

    /* the rest is the decoding's own */
    AVCodecContext *decoder;
    AVPacket       *packet;
    AVFrame        *frame;
    v2m_timeline_t  timeline;
    v2m_resampler_t resampler;
    int64_t         taken;    /* samples */
    int64_t         packets;  /* given to the decoder */
    int64_t         damaged;  /* of these */
    int             begun;    /* the first frame came */
    int             sought;   /* the beginning was passed over, or is heard */
    int             landed;   /* and the first frame after that came */
    int64_t         next;     /* the timestamp after the last frame */
    int64_t         delay;    /* samples still to be discarded at the head */
    int             counted;  /* and it is known how many */
    int             finished; /* the end of the cut was reached */
} v2m_decoding_t;

/*
 * Decodes all that the options ask for.  The first part of the decoding was
 * filled, its rest is zero.  V2M_INVALID: the fault is the file's, the text is
 * for its owner; else what the byte source, the taker or the progress
 * returned.  V2M_CONFLICT: the beginning could not be passed over; the media
 * has to be opened anew, and whole to be 1.
 */
int v2m_decoding_run(v2m_decoding_t *decoding, v2m_error_t *error);

#endif /* V2M_DECODING_H */
