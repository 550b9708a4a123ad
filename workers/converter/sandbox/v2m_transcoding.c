#include "v2m_transcoding.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <libavutil/channel_layout.h>
#include <libavutil/common.h>
#include <libavutil/error.h>

#include "v2m_media.h"
#include "v2m_mp3.h"
#include "v2m_resampler.h"
#include "v2m_tags.h"
#include "v2m_timeline.h"

/* Samples of one frame that a decoder may give: more than any real one. */
#define V2M_TRANSCODING_FRAME (1 << 22)

/* The audio is damaged beyond use when more than one packet of so many
 * cannot be decoded. */
#define V2M_TRANSCODING_DAMAGE 3

/* Decoding is quick: more threads would only cost memory. */
#define V2M_TRANSCODING_THREADS 4

/* Bytes that an MP3 may have: so many for each of the file's, and some more.
 * Little data can decode to endless sound. */
#define V2M_TRANSCODING_SPREAD 256
#define V2M_TRANSCODING_EXTRA  (INT64_C(64) * 1024 * 1024)

typedef struct {
    const v2m_transcoding_t *in;
    v2m_transcoded_t        *out;
    v2m_media_t              media;
    AVCodecContext          *decoder;
    AVPacket                *packet;
    AVFrame                 *frame;
    v2m_timeline_t           timeline;
    v2m_resampler_t          resampler;
    v2m_mp3_t                mp3;
    int64_t                  packets;  /* given to the decoder */
    int64_t                  damaged;  /* of these */
    int                      begun;    /* the first frame came */
    int                      finished; /* the end of the cut was reached */
    int                      percent;  /* the last one told */
} v2m_run_t;


static int
v2m_run_no_memory(v2m_error_t *error)
{
    return v2m_error_set(error, V2M_INVALID,
                         "the file needs more memory than a conversion may "
                         "use");
}


static int
v2m_run_open_decoder(v2m_run_t *run, v2m_error_t *error)
{
    int             rc;
    AVCodecContext *decoder;

    decoder = avcodec_alloc_context3(run->media.decoder);
    if (decoder == NULL) {
        return v2m_run_no_memory(error);
    }

    run->decoder = decoder;

    rc = avcodec_parameters_to_context(decoder, run->media.stream->codecpar);

    if (rc >= 0) {
        decoder->pkt_timebase = run->media.stream->time_base;
        decoder->thread_count =
            FFMIN(run->in->threads, V2M_TRANSCODING_THREADS);
        decoder->max_samples = V2M_TRANSCODING_FRAME;
        rc = avcodec_open2(decoder, run->media.decoder, NULL);
    }

    if (rc == AVERROR(ENOMEM)) {
        return v2m_run_no_memory(error);
    }

    if (rc < 0) {
        return v2m_error_set(error, V2M_INVALID,
                             "the audio cannot be decoded (%s)",
                             run->media.decoder->long_name);
    }

    return V2M_OK;
}


/* The file's length as far as it is known: the track's own, else that of the
 * whole. */
static int64_t
v2m_run_duration(const v2m_run_t *run)
{
    return run->media.declared != AV_NOPTS_VALUE ? run->media.declared
                                                 : run->media.whole;
}


static void
v2m_run_init_timeline(v2m_run_t *run)
{
    int64_t              start, end;
    const v2m_media_t   *media;
    const v2m_options_t *options;

    media = &run->media;
    options = &run->in->options;

    start = options->start_ms > 0 ? options->start_ms * 1000 : 0;
    end = options->end_ms >= 0 ? options->end_ms * 1000 : V2M_TIMELINE_UNKNOWN;

    v2m_timeline_init(
        &run->timeline, media->origin != AV_NOPTS_VALUE ? media->origin : 0,
        media->whole != AV_NOPTS_VALUE ? media->whole : V2M_TIMELINE_UNKNOWN,
        start, end, media->format->iformat->flags & AVFMT_TS_DISCONT);
}


static int
v2m_run_progress(v2m_run_t *run, v2m_error_t *error)
{
    int     percent;
    int64_t start, end, place;

    start = run->timeline.start;
    end = v2m_run_duration(run);

    if (run->timeline.end != V2M_TIMELINE_UNKNOWN
        && (end == AV_NOPTS_VALUE || run->timeline.end < end))
    {
        end = run->timeline.end;
    }

    if (end == AV_NOPTS_VALUE) {
        percent = v2m_media_percent(&run->media);

    } else {
        place = v2m_timeline_position(&run->timeline) - start;
        percent = place <= 0 || end <= start ? 0
                  : place >= end - start
                      ? 99
                      : (int) (place * 100.0 / (double) (end - start));
    }

    /* all of it is there only when the end is written as well */
    if (percent > 99) {
        percent = 99;
    }

    if (percent == run->percent) {
        return V2M_OK;
    }

    run->percent = percent;

    return run->in->progress(run->in->progress_data, percent, error);
}


static void
v2m_run_describe(v2m_run_t *run)
{
    char layout[64];

    if (av_channel_layout_describe(&run->frame->ch_layout, layout,
                                   sizeof(layout))
        < 0)
    {
        snprintf(layout, sizeof(layout), "%d channels",
                 run->frame->ch_layout.nb_channels);
    }

    snprintf(run->out->source, sizeof(run->out->source),
             "%s, track %d of %d: %s, %d Hz, %s",
             run->media.format->iformat->name, run->media.track,
             run->media.tracks, run->media.decoder->name,
             run->frame->sample_rate, layout);
}


/* The first frame decides on the MP3's rate and channels. */
static int
v2m_run_begin(v2m_run_t *run, v2m_error_t *error)
{
    int                    rc, rate, channels;
    v2m_encoder_settings_t settings;
    AVDictionary          *tags;
    const v2m_options_t   *options;

    options = &run->in->options;
    run->begun = 1;

    rate = options->samplerate != -1
               ? options->samplerate
               : v2m_mp3_rate(run->frame->sample_rate, options->bitrate);

    channels = options->channels;
    if (channels == -1) {
        channels = run->frame->ch_layout.nb_channels == 1 ? 1 : 2;
    }

    run->out->rate = rate;
    v2m_run_describe(run);
    v2m_run_init_timeline(run);

    rc = v2m_resampler_open(&run->resampler, rate, channels, error);
    if (rc != V2M_OK) {
        return rc;
    }

    tags = NULL;
    v2m_tags_copy(&tags, v2m_media_tags(&run->media));
    v2m_tags_copy_language(&tags, run->media.stream->metadata);

    settings.rate = rate;
    settings.channels = channels;
    settings.options = options;

    rc = v2m_mp3_open(&run->mp3, &run->in->sink, &settings, run->in->threads,
                      tags, error);
    av_dict_free(&tags);

    return rc;
}


/* Encodes what is ready. */
static int
v2m_run_encode(v2m_run_t *run, v2m_error_t *error)
{
    int64_t limit;

    limit = V2M_TRANSCODING_EXTRA
            + av_clip64(run->media.input.length, 0,
                        INT64_MAX / V2M_TRANSCODING_SPREAD / 2)
                  * V2M_TRANSCODING_SPREAD;

    if (run->mp3.output.length > limit) {
        return v2m_error_set(error, V2M_INVALID,
                             "the MP3 would be far longer than the file (%lld "
                             "MB and more)",
                             (long long) limit / 1000000);
    }

    return v2m_mp3_encode(&run->mp3, run->resampler.queue, error);
}


static int
v2m_run_silence(v2m_run_t *run, int64_t samples, v2m_error_t *error)
{
    int n, rc;

    while (samples > 0) {
        n = samples < V2M_RESAMPLER_BLOCK ? (int) samples : V2M_RESAMPLER_BLOCK;

        rc = v2m_resampler_silence(&run->resampler, n, error);

        if (rc == V2M_OK) {
            rc = v2m_run_encode(run, error);
        }

        if (rc != V2M_OK) {
            return rc;
        }

        samples -= n;
    }

    return V2M_OK;
}


static int64_t
v2m_run_timestamp(const v2m_run_t *run)
{
    static const AVRational us = { 1, 1000000 };

    if (run->frame->best_effort_timestamp == AV_NOPTS_VALUE
        || !v2m_media_has_clock(&run->media, run->frame->sample_rate))
    {
        return V2M_TIMELINE_UNKNOWN;
    }

    return av_rescale_q(run->frame->best_effort_timestamp,
                        run->media.stream->time_base, us);
}


/* How many of the frame's samples are the track's: the decoder fills up the
 * last packet of some formats. */
static int
v2m_run_samples(const v2m_run_t *run)
{
    int64_t        left;
    const AVFrame *frame;

    frame = run->frame;

    if (run->media.end == AV_NOPTS_VALUE
        || frame->best_effort_timestamp == AV_NOPTS_VALUE)
    {
        return frame->nb_samples;
    }

    left = av_rescale_q(
        av_sat_sub64(run->media.end, frame->best_effort_timestamp),
        run->media.stream->time_base, (AVRational){ 1, frame->sample_rate });

    return (int) av_clip64(left, 0, frame->nb_samples);
}


static int
v2m_run_frame(v2m_run_t *run, v2m_error_t *error)
{
    int                 rc, samples;
    v2m_timeline_step_t step;

    if (run->frame->sample_rate < 1) {
        return V2M_OK;
    }

    samples = v2m_run_samples(run);
    if (samples < 1) {
        return V2M_OK;
    }

    if (!run->begun) {
        rc = v2m_run_begin(run, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    v2m_timeline_place(&run->timeline, v2m_run_timestamp(run), samples,
                       run->frame->sample_rate, &step);
    run->finished = step.finished;

    rc = v2m_resampler_adapt(&run->resampler, run->frame, error);

    if (rc == V2M_OK) {
        rc = v2m_run_silence(run, step.silence, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_resampler_push(&run->resampler, run->frame, step.skip,
                                step.take, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_run_encode(run, error);
    }

    return rc == V2M_OK ? v2m_run_progress(run, error) : rc;
}


/* Decodes one packet, or with NULL what is left in the decoder. */
static int
v2m_run_decode(v2m_run_t *run, const AVPacket *packet, v2m_error_t *error)
{
    int rc, received;

    rc = avcodec_send_packet(run->decoder, packet);

    while (rc >= 0 && !run->finished) {
        rc = avcodec_receive_frame(run->decoder, run->frame);

        if (rc >= 0) {
            received = v2m_run_frame(run, error);
            av_frame_unref(run->frame);

            if (received != V2M_OK) {
                return received;
            }
        }
    }

    if (rc == AVERROR(ENOMEM)) {
        return v2m_run_no_memory(error);
    }

    if (rc < 0 && rc != AVERROR(EAGAIN) && rc != AVERROR_EOF) {
        run->damaged++;
    }

    return V2M_OK;
}


static int
v2m_run_read(v2m_run_t *run, v2m_error_t *error)
{
    int rc;

    while (!run->finished) {
        rc = v2m_media_read(&run->media, run->packet, error);

        if (rc == V2M_NOT_FOUND) {
            return v2m_run_decode(run, NULL, error);
        }

        if (rc != V2M_OK) {
            return rc;
        }

        /* an empty packet would mean the end to the decoder */
        if (run->packet->size > 0) {
            run->packets++;
            rc = v2m_run_decode(run, run->packet, error);
        }

        av_packet_unref(run->packet);

        if (rc != V2M_OK) {
            return rc;
        }
    }

    return V2M_OK;
}


/* Whether what was decoded is what the file should hold. */
static int
v2m_run_check(v2m_run_t *run, v2m_error_t *error)
{
    int  rc;
    char time[V2M_MEDIA_TIME];

    if (run->damaged > run->packets / V2M_TRANSCODING_DAMAGE) {
        return v2m_error_set(error, V2M_INVALID,
                             "the audio is damaged: %lld of %lld packets "
                             "cannot be decoded (%s)",
                             (long long) run->damaged, (long long) run->packets,
                             run->media.decoder->name);
    }

    if (!run->finished) {
        rc = v2m_media_check_end(&run->media, run->timeline.length, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    if (!run->begun) {
        return v2m_error_set(error, V2M_INVALID,
                             "there is nothing in the audio track");
    }

    rc = v2m_resampler_flush(&run->resampler, error);

    if (rc == V2M_OK) {
        rc = v2m_mp3_encode(&run->mp3, run->resampler.queue, error);
    }

    if (rc == V2M_OK && v2m_mp3_samples(&run->mp3) == 0) {
        v2m_media_time(time, v2m_timeline_position(&run->timeline));
        return v2m_error_set(error, V2M_INVALID,
                             "the cut leaves nothing: the audio ends at %s",
                             time);
    }

    return rc;
}


static int
v2m_run(v2m_run_t *run, v2m_error_t *error)
{
    int rc;

    run->packet = av_packet_alloc();
    run->frame = av_frame_alloc();

    if (run->packet == NULL || run->frame == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    rc = v2m_media_open(&run->media, &run->in->source, run->in->options.track,
                        error);

    if (rc == V2M_OK) {
        rc = v2m_run_open_decoder(run, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_run_read(run, error);

    if (rc == V2M_OK) {
        rc = v2m_run_check(run, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    run->out->samples = v2m_mp3_samples(&run->mp3);

    return v2m_mp3_finish(&run->mp3, &run->out->length, error);
}


int
v2m_transcode(const v2m_transcoding_t *transcoding,
              v2m_transcoded_t *transcoded, v2m_error_t *error)
{
    int       rc;
    v2m_run_t run;

    memset(&run, 0, sizeof(run));
    memset(transcoded, 0, sizeof(*transcoded));
    run.in = transcoding;
    run.out = transcoded;
    run.percent = -2;

    rc = v2m_run(&run, error);

    v2m_mp3_close(&run.mp3);
    v2m_resampler_close(&run.resampler);
    avcodec_free_context(&run.decoder);
    av_frame_free(&run.frame);
    av_packet_free(&run.packet);
    v2m_media_close(&run.media);

    return rc;
}
