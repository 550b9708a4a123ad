#include "v2m_mp3.h"

#include <errno.h>
#include <string.h>
#include <libavutil/channel_layout.h>

#include "v2m_resampler.h"

/* Full scale is 1: a lossy codec may go beyond, but not far. */
#define V2M_MP3_LOUDEST 2.0f

/* What MPEG-2 and 2.5, for low sample rates, have at most: Hz and kbit/s. */
#define V2M_MP3_MPEG25_RATE    12000
#define V2M_MP3_MPEG25_BITRATE 64
#define V2M_MP3_MPEG2_RATE     24000
#define V2M_MP3_MPEG2_BITRATE  160


static int
v2m_mp3_nearest_rate(int rate)
{
    size_t i;

    static const int rates[] = { 8000,  11025, 12000, 16000, 22050,
                                 24000, 32000, 44100, 48000 };

    for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        if (rate <= rates[i]) {
            return rates[i];
        }
    }

    return rate % 44100 == 0 ? 44100 : 48000;
}


int
v2m_mp3_rate(int rate, int bitrate)
{
    rate = v2m_mp3_nearest_rate(rate);

    while ((rate <= V2M_MP3_MPEG25_RATE && bitrate > V2M_MP3_MPEG25_BITRATE)
           || (rate <= V2M_MP3_MPEG2_RATE && bitrate > V2M_MP3_MPEG2_BITRATE))
    {
        rate *= 2;
    }

    return rate;
}


/* FFmpeg's failures while writing: the byte sink knows why, if it was that. */
static int
v2m_mp3_failed(const v2m_mp3_t *mp3, const char *what, v2m_error_t *error)
{
    if (mp3->output.error.code != V2M_OK) {
        *error = mp3->output.error;
        return error->code;
    }

    return v2m_error_set(error, V2M_ERROR, "%s failed", what);
}


static int
v2m_mp3_open_encoder(v2m_mp3_t *mp3, int rate, int channels,
                     const v2m_options_t *options, v2m_error_t *error)
{
    int             quality;
    const AVCodec  *codec;
    AVCodecContext *encoder;

    codec = avcodec_find_encoder_by_name("libmp3lame");
    if (codec == NULL) {
        return v2m_error_set(error, V2M_ERROR, "this FFmpeg has no libmp3lame");
    }

    encoder = avcodec_alloc_context3(codec);
    if (encoder == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    mp3->encoder = encoder;
    encoder->sample_fmt = V2M_RESAMPLER_FORMAT;
    encoder->sample_rate = rate;
    encoder->time_base = (AVRational){ 1, rate };
    av_channel_layout_default(&encoder->ch_layout, channels);

    if (options->bitrate != -1) {
        encoder->bit_rate = (int64_t) options->bitrate * 1000;

    } else {
        quality = options->quality != -1 ? options->quality
                                         : V2M_OPTIONS_DEFAULT_QUALITY;
        encoder->flags |= AV_CODEC_FLAG_QSCALE;
        encoder->global_quality = quality * FF_QP2LAMBDA;
    }

    if (avcodec_open2(encoder, codec, NULL) < 0) {
        return v2m_error_set(error, V2M_ERROR,
                             "the encoder does not start at %d Hz", rate);
    }

    return V2M_OK;
}


static int
v2m_mp3_open_muxer(v2m_mp3_t *mp3, const v2m_byte_sink_t *sink,
                   v2m_error_t *error)
{
    int       rc;
    AVStream *stream;

    rc = v2m_avio_open_sink(&mp3->output, sink, error);
    if (rc != V2M_OK) {
        return rc;
    }

    avformat_alloc_output_context2(&mp3->format, NULL, "mp3", NULL);
    stream =
        mp3->format != NULL ? avformat_new_stream(mp3->format, NULL) : NULL;

    if (stream == NULL
        || avcodec_parameters_from_context(stream->codecpar, mp3->encoder) < 0)
    {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    stream->time_base = mp3->encoder->time_base;
    mp3->format->pb = mp3->output.context;
    mp3->format->flush_packets = 0;

    return V2M_OK;
}


static int
v2m_mp3_write_header(v2m_mp3_t *mp3, v2m_error_t *error)
{
    int           rc;
    AVDictionary *options;

    options = NULL;
    av_dict_set(&options, "id3v2_version", "3", 0);
    av_dict_set(&options, "write_xing", "1", 0);

    rc = avformat_write_header(mp3->format, &options);
    av_dict_free(&options);

    return rc < 0 ? v2m_mp3_failed(mp3, "writing the MP3's beginning", error)
                  : V2M_OK;
}


int
v2m_mp3_open(v2m_mp3_t *mp3, const v2m_byte_sink_t *sink, int rate,
             int channels, const v2m_options_t *options,
             const AVDictionary *tags, v2m_error_t *error)
{
    int rc;

    memset(mp3, 0, sizeof(*mp3));

    mp3->frame = av_frame_alloc();
    mp3->packet = av_packet_alloc();

    if (mp3->frame == NULL || mp3->packet == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    rc = v2m_mp3_open_encoder(mp3, rate, channels, options, error);

    if (rc == V2M_OK) {
        rc = v2m_mp3_open_muxer(mp3, sink, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    if (av_dict_copy(&mp3->format->metadata, tags, 0) < 0) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    return v2m_mp3_write_header(mp3, error);
}


void
v2m_mp3_close(v2m_mp3_t *mp3)
{
    avformat_free_context(mp3->format);
    v2m_avio_close(&mp3->output);
    avcodec_free_context(&mp3->encoder);
    av_frame_free(&mp3->frame);
    av_packet_free(&mp3->packet);
}


/*
 * Of a last packet that is nothing but padding, the muxer would only count one
 * frame of the padding, so that the MP3 would be a bit too long.  It is left
 * out where the one before it tells the rest; but not from so short an MP3
 * that players would not recognize it any more.
 */
static int
v2m_mp3_write_packet(v2m_mp3_t *mp3)
{
    int whole;

    whole = mp3->packet->duration == mp3->encoder->frame_size;

    if (mp3->packet->duration == 0 && mp3->padded
        && mp3->samples > mp3->encoder->frame_size)
    {
        return 0;
    }

    mp3->padded = !whole;

    return av_write_frame(mp3->format, mp3->packet);
}


/* Gives the encoder a frame, or NULL for the end, and writes what it has. */
static int
v2m_mp3_send(v2m_mp3_t *mp3, const AVFrame *frame, v2m_error_t *error)
{
    int rc;

    if (avcodec_send_frame(mp3->encoder, frame) < 0) {
        return v2m_mp3_failed(mp3, "encoding", error);
    }

    for (;;) {
        rc = avcodec_receive_packet(mp3->encoder, mp3->packet);

        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF) {
            return V2M_OK;
        }

        if (rc < 0) {
            return v2m_mp3_failed(mp3, "encoding", error);
        }

        rc = v2m_mp3_write_packet(mp3);
        av_packet_unref(mp3->packet);

        if (rc < 0 || mp3->output.error.code != V2M_OK) {
            return v2m_mp3_failed(mp3, "writing the MP3", error);
        }
    }
}


/* What is no sound, such as a broken file's, LAME cannot stand. */
static void
v2m_mp3_limit(AVFrame *frame, int channels)
{
    int    i, channel;
    float *samples;

    for (channel = 0; channel < channels; channel++) {
        samples = (float *) frame->extended_data[channel];

        for (i = 0; i < frame->nb_samples; i++) {
            if (samples[i] > V2M_MP3_LOUDEST) {
                samples[i] = V2M_MP3_LOUDEST;

            } else if (!(samples[i] >= -V2M_MP3_LOUDEST)) {
                samples[i] = samples[i] < 0 ? -V2M_MP3_LOUDEST : 0; /* NaN */
            }
        }
    }
}


/* Takes one frame from the queue.  The encoder may still refer to the last
 * one, so each gets a buffer of its own. */
static int
v2m_mp3_encode_frame(v2m_mp3_t *mp3, AVAudioFifo *queue, int samples,
                     v2m_error_t *error)
{
    AVFrame *frame;

    frame = mp3->frame;
    av_frame_unref(frame);

    frame->format = mp3->encoder->sample_fmt;
    frame->sample_rate = mp3->encoder->sample_rate;
    frame->nb_samples = samples;
    frame->pts = mp3->samples;

    if (av_channel_layout_copy(&frame->ch_layout, &mp3->encoder->ch_layout) < 0
        || av_frame_get_buffer(frame, 0) < 0
        || av_audio_fifo_read(queue, (void **) frame->extended_data, samples)
               < samples)
    {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    v2m_mp3_limit(frame, mp3->encoder->ch_layout.nb_channels);
    mp3->samples += samples;

    return v2m_mp3_send(mp3, frame, error);
}


int
v2m_mp3_encode(v2m_mp3_t *mp3, AVAudioFifo *queue, int end, v2m_error_t *error)
{
    int rc, ready, samples;

    for (;;) {
        ready = av_audio_fifo_size(queue);
        samples =
            ready < mp3->encoder->frame_size ? ready : mp3->encoder->frame_size;

        if (samples == 0 || (samples < mp3->encoder->frame_size && !end)) {
            return V2M_OK;
        }

        rc = v2m_mp3_encode_frame(mp3, queue, samples, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }
}


int
v2m_mp3_finish(v2m_mp3_t *mp3, int64_t *length, v2m_error_t *error)
{
    int rc;

    rc = v2m_mp3_send(mp3, NULL, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = av_write_trailer(mp3->format);
    avio_flush(mp3->output.context);

    if (rc < 0 || mp3->output.error.code != V2M_OK) {
        return v2m_mp3_failed(mp3, "writing the MP3's end", error);
    }

    *length = mp3->output.length;

    return V2M_OK;
}
