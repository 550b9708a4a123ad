#include "v2m_decoding.h"

#include <errno.h>
#include <libavutil/channel_layout.h>
#include <libavutil/common.h>
#include <libavutil/error.h>

#include "v2m_complete.h"
#include "v2m_encoder.h"

/* Samples of one frame that a decoder may give: more than any real one. */
#define V2M_DECODING_FRAME (1 << 22)

/* The audio is damaged beyond use when more than one packet of so many
 * cannot be decoded. */
#define V2M_DECODING_DAMAGE 3

/* A cut that begins so much later, us, is sought, somewhat before it: most
 * decoders are right only after a while. */
#define V2M_DECODING_FAR  10000000
#define V2M_DECODING_LEAD 2000000
#define V2M_DECODING_LATE 500000

/* Decoding is quick: more threads would only cost memory. */
#define V2M_DECODING_THREADS 4


static int
v2m_decoding_no_memory(v2m_error_t *error)
{
    return v2m_error_set(error, V2M_INVALID,
                         "the file needs more memory than a conversion may "
                         "use");
}


static int
v2m_decoding_open_decoder(v2m_decoding_t *decoding, v2m_error_t *error)
{
    int             rc;
    AVCodecContext *decoder;

    decoder = avcodec_alloc_context3(decoding->media->decoder);
    if (decoder == NULL) {
        return v2m_decoding_no_memory(error);
    }

    decoding->decoder = decoder;

    rc = avcodec_parameters_to_context(decoder,
                                       decoding->media->stream->codecpar);

    if (rc >= 0) {
        decoder->pkt_timebase = decoding->media->stream->time_base;
        decoder->thread_count = FFMIN(decoding->threads, V2M_DECODING_THREADS);
        decoder->max_samples = V2M_DECODING_FRAME;
        rc = avcodec_open2(decoder, decoding->media->decoder, NULL);
    }

    if (rc == AVERROR(ENOMEM)) {
        return v2m_decoding_no_memory(error);
    }

    if (rc < 0) {
        return v2m_error_set(error, V2M_INVALID,
                             "the audio cannot be decoded (%s)",
                             decoding->media->decoder->long_name);
    }

    return V2M_OK;
}


static void
v2m_decoding_init_timeline(v2m_decoding_t *decoding)
{
    int64_t              start, end;
    const v2m_media_t   *media;
    const v2m_options_t *options;

    media = decoding->media;
    options = decoding->options;

    start = options->start_ms > 0 ? options->start_ms * 1000 : 0;
    end = options->end_ms >= 0 ? options->end_ms * 1000 : V2M_TIMELINE_UNKNOWN;

    v2m_timeline_init(
        &decoding->timeline,
        media->origin != AV_NOPTS_VALUE ? media->origin : 0,
        media->whole != AV_NOPTS_VALUE ? media->whole : V2M_TIMELINE_UNKNOWN,
        start, end, media->format->iformat->flags & AVFMT_TS_DISCONT);
}


static int
v2m_decoding_progress(v2m_decoding_t *decoding, v2m_error_t *error)
{
    int     percent;
    int64_t start, end, place;

    start = decoding->timeline.start;
    end = v2m_media_duration(decoding->media);

    if (decoding->timeline.end != V2M_TIMELINE_UNKNOWN
        && (end == AV_NOPTS_VALUE || decoding->timeline.end < end))
    {
        end = decoding->timeline.end;
    }

    if (end == AV_NOPTS_VALUE) {
        percent = v2m_media_percent(decoding->media);

    } else {
        place = v2m_timeline_position(&decoding->timeline) - start;
        percent = place <= 0 || end <= start ? 0
                  : place >= end - start
                      ? 100
                      : (int) (place * 100.0 / (double) (end - start));
    }

    return v2m_progress_tell(decoding->progress, percent, error);
}


/* The first frame decides on the rate and the channels. */
static int
v2m_decoding_begin(v2m_decoding_t *decoding, v2m_error_t *error)
{
    int                  rc, rate, channels;
    const v2m_options_t *options;

    options = decoding->options;
    decoding->begun = 1;

    rate =
        options->samplerate != -1
            ? options->samplerate
            : v2m_encoder_rate(decoding->frame->sample_rate, options->bitrate);

    channels = options->channels;
    if (channels == -1) {
        channels = decoding->frame->ch_layout.nb_channels == 1 ? 1 : 2;
    }

    v2m_media_describe(decoding->media, decoding->frame->sample_rate,
                       &decoding->frame->ch_layout, decoding->source);
    v2m_decoding_init_timeline(decoding);

    rc = v2m_resampler_open(&decoding->resampler, rate, channels, error);

    return rc == V2M_OK ? decoding->taker.begin(decoding->taker.data, rate,
                                                channels, error)
                        : rc;
}


/* Gives away what is ready. */
static int
v2m_decoding_give(v2m_decoding_t *decoding, v2m_error_t *error)
{
    decoding->taken += av_audio_fifo_size(decoding->resampler.queue);

    return decoding->taker.take(decoding->taker.data, decoding->resampler.queue,
                                error);
}


static int
v2m_decoding_silence(v2m_decoding_t *decoding, int64_t samples,
                     v2m_error_t *error)
{
    int n, rc;

    while (samples > 0) {
        n = samples < V2M_RESAMPLER_BLOCK ? (int) samples : V2M_RESAMPLER_BLOCK;

        rc = v2m_resampler_silence(&decoding->resampler, n, error);

        if (rc == V2M_OK) {
            rc = v2m_decoding_give(decoding, error);
        }

        if (rc != V2M_OK) {
            return rc;
        }

        samples -= n;
    }

    return V2M_OK;
}


/* The timestamp of one of the frame's samples. */
static int64_t
v2m_decoding_timestamp(const v2m_decoding_t *decoding, int sample)
{
    int64_t        later;
    const AVFrame *frame;

    static const AVRational us = { 1, 1000000 };

    frame = decoding->frame;

    if (frame->best_effort_timestamp == AV_NOPTS_VALUE
        || !v2m_media_has_clock(decoding->media, frame->sample_rate))
    {
        return V2M_TIMELINE_UNKNOWN;
    }

    /* in the format's own units, which the timestamp was rounded to as well */
    later = av_rescale_q(sample, (AVRational){ 1, frame->sample_rate },
                         decoding->media->stream->time_base);

    return av_rescale_q(av_sat_add64(frame->best_effort_timestamp, later),
                        decoding->media->stream->time_base, us);
}


/* How many of the frame's samples are the track's: the decoder fills up the
 * last packet of some formats. */
static int
v2m_decoding_samples(const v2m_decoding_t *decoding)
{
    int64_t        left;
    const AVFrame *frame;

    frame = decoding->frame;

    if (decoding->media->end == AV_NOPTS_VALUE
        || frame->best_effort_timestamp == AV_NOPTS_VALUE)
    {
        return frame->nb_samples;
    }

    left = av_rescale_q(
        av_sat_sub64(decoding->media->end, frame->best_effort_timestamp),
        decoding->media->stream->time_base,
        (AVRational){ 1, frame->sample_rate });

    return (int) av_clip64(left, 0, frame->nb_samples);
}


/* How many of so many samples of the frame are the encoder's delay, which
 * nobody is to hear. */
static int
v2m_decoding_delay(v2m_decoding_t *decoding, int samples)
{
    int                      delay;
    const AVCodecParameters *parameters;

    if (!decoding->counted) {
        decoding->counted = 1;
        parameters = decoding->media->stream->codecpar;
        decoding->delay = parameters->sample_rate > 0
                              ? av_rescale(decoding->media->delay,
                                           decoding->frame->sample_rate,
                                           parameters->sample_rate)
                              : 0;
    }

    delay = (int) FFMIN(decoding->delay, samples);
    decoding->delay -= delay;

    return delay;
}


/* The samples between the last frame before a seek and this one after it. */
static int
v2m_decoding_land(v2m_decoding_t *decoding, v2m_error_t *error)
{
    int64_t        samples;
    const AVFrame *frame;

    frame = decoding->frame;
    decoding->landed = 1;

    if (frame->best_effort_timestamp != AV_NOPTS_VALUE
        && frame->sample_rate == decoding->timeline.rate)
    {
        samples = av_rescale_q(frame->best_effort_timestamp - decoding->next,
                               decoding->media->stream->time_base,
                               (AVRational){ 1, frame->sample_rate });

        v2m_timeline_pass(&decoding->timeline, samples);

        if (samples >= 0
            && v2m_timeline_position(&decoding->timeline)
                   < decoding->timeline.start - V2M_DECODING_LATE)
        {
            return V2M_OK;
        }
    }

    return v2m_error_set(error, V2M_CONFLICT, "the file's index is wrong");
}


static int
v2m_decoding_frame(v2m_decoding_t *decoding, v2m_error_t *error)
{
    int                 rc, samples, delay;
    v2m_timeline_step_t step;

    if (decoding->frame->sample_rate < 1) {
        return V2M_OK;
    }

    samples = v2m_decoding_samples(decoding);
    delay = v2m_decoding_delay(decoding, samples);
    samples -= delay;

    if (samples < 1) {
        return V2M_OK;
    }

    if (!decoding->begun) {
        rc = v2m_decoding_begin(decoding, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    if (decoding->sought && !decoding->landed) {
        rc = v2m_decoding_land(decoding, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    v2m_timeline_place(&decoding->timeline,
                       v2m_decoding_timestamp(decoding, delay), samples,
                       decoding->frame->sample_rate, &step);
    decoding->finished = step.finished;

    decoding->next =
        decoding->frame->best_effort_timestamp == AV_NOPTS_VALUE
            ? AV_NOPTS_VALUE
            : av_sat_add64(
                decoding->frame->best_effort_timestamp,
                av_rescale_q(decoding->frame->nb_samples,
                             (AVRational){ 1, decoding->frame->sample_rate },
                             decoding->media->stream->time_base));

    rc = v2m_resampler_adapt(&decoding->resampler, decoding->frame, error);

    if (rc == V2M_OK) {
        rc = v2m_decoding_silence(decoding, step.silence, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_resampler_push(&decoding->resampler, decoding->frame,
                                delay + step.skip, step.take, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_decoding_give(decoding, error);
    }

    return rc == V2M_OK ? v2m_decoding_progress(decoding, error) : rc;
}


/* Whether the frame is of the packet before, whose place its timestamp does not
 * tell: FFmpeg's decoder by libspeex gives the first frame of a packet at once,
 * but further ones only when the next packet was sent. */
static int
v2m_decoding_is_late(const v2m_decoding_t *decoding, const AVPacket *packet)
{
    int            sought;
    const AVFrame *frame;

    frame = decoding->frame;
    sought = decoding->sought && !decoding->landed;

    return decoding->decoder->codec_id == AV_CODEC_ID_SPEEX && decoding->begun
           && !sought && packet != NULL
           && av_rescale_q(packet->duration, decoding->media->stream->time_base,
                           (AVRational){ 1, frame->sample_rate })
                  > frame->nb_samples;
}


/* Decodes one packet, or with NULL what is left in the decoder. */
static int
v2m_decoding_decode(v2m_decoding_t *decoding, const AVPacket *packet,
                    v2m_error_t *error)
{
    int rc, received;

    rc = avcodec_send_packet(decoding->decoder, packet);

    while (rc >= 0 && !decoding->finished) {
        rc = avcodec_receive_frame(decoding->decoder, decoding->frame);

        if (rc >= 0) {
            if (v2m_decoding_is_late(decoding, packet)) {
                decoding->frame->best_effort_timestamp = AV_NOPTS_VALUE;
            }

            received = v2m_decoding_frame(decoding, error);
            av_frame_unref(decoding->frame);

            if (received != V2M_OK) {
                return received;
            }
        }
    }

    if (rc == AVERROR(ENOMEM)) {
        return v2m_decoding_no_memory(error);
    }

    if (rc < 0 && rc != AVERROR(EAGAIN) && rc != AVERROR_EOF) {
        decoding->damaged++;
    }

    return V2M_OK;
}


/* Passes over what is before the cut, once the first frame has told where the
 * file begins. */
static int
v2m_decoding_seek(v2m_decoding_t *decoding, v2m_error_t *error)
{
    int     rc;
    int64_t start, end;

    if (!decoding->begun || decoding->sought || decoding->whole) {
        return V2M_OK;
    }

    decoding->sought = 1;
    decoding->landed = 1;
    start = decoding->timeline.start;

    if (decoding->next == AV_NOPTS_VALUE
        || start - v2m_timeline_position(&decoding->timeline)
               < V2M_DECODING_FAR)
    {
        return V2M_OK;
    }

    /* beyond the end there would be nothing that tells where that is */

    end = v2m_media_duration(decoding->media);

    if (end != AV_NOPTS_VALUE && end < start) {
        start = end;
    }

    rc = v2m_media_seek(decoding->media,
                        decoding->timeline.origin + start - V2M_DECODING_LEAD,
                        error);

    if (rc == V2M_OK) {
        decoding->landed = 0;
        avcodec_flush_buffers(decoding->decoder);
    }

    return rc == V2M_NOT_FOUND ? V2M_OK : rc;
}


static int
v2m_decoding_read(v2m_decoding_t *decoding, v2m_error_t *error)
{
    int rc;

    while (!decoding->finished) {
        rc = v2m_media_read(decoding->media, decoding->packet, error);

        if (rc == V2M_NOT_FOUND) {
            return v2m_decoding_decode(decoding, NULL, error);
        }

        if (rc != V2M_OK) {
            return rc;
        }

        /* an empty packet would mean the end to the decoder */
        if (decoding->packet->size > 0) {
            decoding->packets++;
            rc = v2m_decoding_decode(decoding, decoding->packet, error);
        }

        av_packet_unref(decoding->packet);

        if (rc == V2M_OK) {
            rc = v2m_decoding_seek(decoding, error);
        }

        if (rc != V2M_OK) {
            return rc;
        }
    }

    return V2M_OK;
}


/* Whether what was decoded is what the file should hold. */
static int
v2m_decoding_check(v2m_decoding_t *decoding, v2m_error_t *error)
{
    int  rc;
    char time[V2M_COMPLETE_TIME];

    if (decoding->damaged > decoding->packets / V2M_DECODING_DAMAGE) {
        return v2m_error_set(error, V2M_INVALID,
                             "the audio is damaged: %lld of %lld packets "
                             "cannot be decoded (%s)",
                             (long long) decoding->damaged,
                             (long long) decoding->packets,
                             decoding->media->decoder->name);
    }

    if (!decoding->finished) {
        rc = v2m_complete_check_end(decoding->media, decoding->timeline.length,
                                    error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    if (!decoding->begun) {
        return v2m_error_set(error, V2M_INVALID,
                             "there is nothing in the audio track");
    }

    rc = v2m_resampler_flush(&decoding->resampler, error);

    if (rc == V2M_OK) {
        rc = v2m_decoding_give(decoding, error);
    }

    if (rc == V2M_OK && decoding->taken == 0) {
        v2m_complete_time(time, v2m_timeline_position(&decoding->timeline));
        return v2m_error_set(error, V2M_INVALID,
                             "the cut leaves nothing: the audio ends at %s",
                             time);
    }

    return rc;
}


int
v2m_decoding_run(v2m_decoding_t *decoding, v2m_error_t *error)
{
    int rc;

    decoding->packet = av_packet_alloc();
    decoding->frame = av_frame_alloc();

    rc = decoding->packet != NULL && decoding->frame != NULL
             ? v2m_decoding_open_decoder(decoding, error)
             : v2m_error_set(error, V2M_ERROR, "out of memory");

    if (rc == V2M_OK) {
        rc = v2m_decoding_read(decoding, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_decoding_check(decoding, error);
    }

    v2m_resampler_close(&decoding->resampler);
    avcodec_free_context(&decoding->decoder);
    av_frame_free(&decoding->frame);
    av_packet_free(&decoding->packet);

    return rc;
}
