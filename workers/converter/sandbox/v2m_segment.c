#include "v2m_segment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <libavutil/error.h>

/* An encoder at work on a segment. */
typedef struct {
    v2m_segment_t  *segment;
    AVCodecContext *encoder;
    AVFrame        *frame;
    AVPacket       *packet;
    int             sent;  /* samples */
    int             ended; /* the encoder was told that there are no more */
    int             taken; /* frames */
} v2m_segment_run_t;


int
v2m_segment_init(v2m_segment_t *segment, int channels, int frame_size,
                 v2m_error_t *error)
{
    int i;

    memset(segment, 0, sizeof(*segment));

    for (i = 0; i < channels; i++) {
        segment->samples[i] = malloc((size_t) V2M_SEGMENT_MOST
                                     * (size_t) frame_size * sizeof(float));
        if (segment->samples[i] == NULL) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }
    }

    return V2M_OK;
}


void
v2m_segment_free(v2m_segment_t *segment)
{
    free(segment->samples[0]);
    free(segment->samples[1]);
    v2m_frames_free(&segment->frames);
    memset(segment, 0, sizeof(*segment));
}


static int
v2m_segment_failed(v2m_error_t *error)
{
    return v2m_error_set(error, V2M_ERROR, "encoding failed");
}


/* Gives the encoder the next frame, or tells it that there is none. */
static int
v2m_segment_send(v2m_segment_run_t *run, v2m_error_t *error)
{
    int      i, samples;
    AVFrame *frame;

    samples = run->segment->count - run->sent;

    if (samples > run->encoder->frame_size) {
        samples = run->encoder->frame_size;
    }

    if (samples == 0) {
        run->ended = 1;
        return avcodec_send_frame(run->encoder, NULL) < 0
                   ? v2m_segment_failed(error)
                   : V2M_OK;
    }

    /* the encoder may still refer to the last frame's buffer */

    frame = run->frame;
    av_frame_unref(frame);
    frame->format = run->encoder->sample_fmt;
    frame->sample_rate = run->encoder->sample_rate;
    frame->nb_samples = samples;
    frame->pts = run->sent;

    if (av_channel_layout_copy(&frame->ch_layout, &run->encoder->ch_layout) < 0
        || av_frame_get_buffer(frame, 0) < 0)
    {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    for (i = 0; i < run->encoder->ch_layout.nb_channels; i++) {
        memcpy(frame->extended_data[i], run->segment->samples[i] + run->sent,
               (size_t) samples * sizeof(float));
    }

    run->sent += samples;

    return avcodec_send_frame(run->encoder, frame) < 0
               ? v2m_segment_failed(error)
               : V2M_OK;
}


/* Takes the next frame from the encoder.  V2M_NOT_FOUND: that was all. */
static int
v2m_segment_receive(v2m_segment_run_t *run, v2m_error_t *error)
{
    int rc;

    for (;;) {
        rc = avcodec_receive_packet(run->encoder, run->packet);

        if (rc == AVERROR_EOF) {
            return V2M_NOT_FOUND;
        }

        if (rc >= 0) {
            break;
        }

        if (rc != AVERROR(EAGAIN)) {
            return v2m_segment_failed(error);
        }

        rc = v2m_segment_send(run, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    rc = v2m_frames_take(&run->segment->frames, run->packet->data,
                         (size_t) run->packet->size,
                         run->taken >= run->segment->before, error);
    run->taken++;
    av_packet_unref(run->packet);

    return rc;
}


static int
v2m_segment_run(v2m_segment_run_t *run, v2m_error_t *error)
{
    int rc, last;

    run->frame = av_frame_alloc();
    run->packet = av_packet_alloc();

    if (run->frame == NULL || run->packet == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    last = run->segment->before + V2M_SEGMENT_FRAMES;
    rc = V2M_OK;

    while (rc == V2M_OK && (run->segment->end || run->taken < last)) {
        rc = v2m_segment_receive(run, error);
    }

    if (rc == V2M_NOT_FOUND) {
        return run->segment->end ? V2M_OK : v2m_segment_failed(error);
    }

    return rc;
}


int
v2m_segment_encode(v2m_segment_t                *segment,
                   const v2m_encoder_settings_t *settings, int reservoir,
                   v2m_error_t *error)
{
    int               rc;
    v2m_segment_run_t run;

    memset(&run, 0, sizeof(run));
    run.segment = segment;
    v2m_frames_reset(&segment->frames);

    rc = v2m_encoder_open(&run.encoder, settings, reservoir, error);

    if (rc == V2M_OK) {
        rc = v2m_segment_run(&run, error);
    }

    av_packet_free(&run.packet);
    av_frame_free(&run.frame);
    avcodec_free_context(&run.encoder);

    return rc;
}
