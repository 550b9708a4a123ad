#include "v2m_mp3.h"

#include <string.h>
#include <libavutil/intreadwrite.h>

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
v2m_mp3_open_muxer(v2m_mp3_t *mp3, const v2m_byte_sink_t *sink,
                   const AVCodecContext *encoder, v2m_error_t *error)
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
        || avcodec_parameters_from_context(stream->codecpar, encoder) < 0)
    {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    stream->time_base = encoder->time_base;
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


static int
v2m_mp3_write_packet(v2m_mp3_t *mp3, v2m_error_t *error)
{
    int rc;

    rc = av_write_frame(mp3->format, mp3->packet);
    av_packet_unref(mp3->packet);

    return rc < 0 || mp3->output.error.code != V2M_OK
               ? v2m_mp3_failed(mp3, "writing the MP3", error)
               : V2M_OK;
}


/* A v2m_joiner_write_pt.  Each frame is written when the next one comes,
 * because the last one gets a note. */
static int
v2m_mp3_take_frame(void *data, const unsigned char *bytes, size_t length,
                   v2m_error_t *error)
{
    int        rc;
    v2m_mp3_t *mp3 = data;

    if (mp3->frames > 0) {
        rc = v2m_mp3_write_packet(mp3, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    if (av_new_packet(mp3->packet, (int) length) < 0) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    memcpy(mp3->packet->data, bytes, length);
    mp3->packet->pts = mp3->frames * mp3->frame_size;
    mp3->packet->dts = mp3->packet->pts;
    mp3->packet->duration = mp3->frame_size;
    mp3->packet->flags = AV_PKT_FLAG_KEY;
    mp3->frames++;

    return V2M_OK;
}


static int
v2m_mp3_open_encoding(v2m_mp3_t *mp3, const v2m_encoder_settings_t *settings,
                      const AVCodecContext *encoder, int threads,
                      v2m_error_t *error)
{
    v2m_encoding_options_t options;

    options.encoder = *settings;
    options.frame_size = encoder->frame_size;
    options.delay = encoder->initial_padding;
    options.threads = threads;
    options.write = v2m_mp3_take_frame;
    options.data = mp3;

    mp3->frame_size = encoder->frame_size;
    mp3->delay = encoder->initial_padding;

    return v2m_encoding_create(&mp3->encoding, &options, error);
}


int
v2m_mp3_open(v2m_mp3_t *mp3, const v2m_byte_sink_t *sink,
             const v2m_encoder_settings_t *settings, int threads,
             const AVDictionary *tags, v2m_error_t *error)
{
    int             rc;
    AVCodecContext *encoder;

    memset(mp3, 0, sizeof(*mp3));

    mp3->packet = av_packet_alloc();
    if (mp3->packet == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    /* one that tells what all of them are like */

    rc = v2m_encoder_open(&encoder, settings, 1, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_mp3_open_muxer(mp3, sink, encoder, error);

    if (rc == V2M_OK) {
        rc = v2m_mp3_open_encoding(mp3, settings, encoder, threads, error);
    }

    avcodec_free_context(&encoder);

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
    v2m_encoding_destroy(mp3->encoding);
    avformat_free_context(mp3->format);
    v2m_avio_close(&mp3->output);
    av_packet_free(&mp3->packet);
}


int64_t
v2m_mp3_samples(const v2m_mp3_t *mp3)
{
    return mp3->encoding != NULL ? v2m_encoding_samples(mp3->encoding) : 0;
}


int
v2m_mp3_encode(v2m_mp3_t *mp3, AVAudioFifo *queue, v2m_error_t *error)
{
    return v2m_encoding_add(mp3->encoding, queue, error);
}


/* Writes the last frame, with a note for the Xing or Info header of how much
 * of the beginning is the encoder's delay and how much of the end padding. */
static int
v2m_mp3_write_last(v2m_mp3_t *mp3, int64_t padding, v2m_error_t *error)
{
    uint8_t *note;

    note = av_packet_new_side_data(mp3->packet, AV_PKT_DATA_SKIP_SAMPLES, 10);
    if (note == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    memset(note, 0, 10);
    AV_WL32(note, (uint32_t) mp3->delay);
    AV_WL32(note + 4, (uint32_t) padding);

    return v2m_mp3_write_packet(mp3, error);
}


int
v2m_mp3_finish(v2m_mp3_t *mp3, int64_t *length, v2m_error_t *error)
{
    int     rc;
    int64_t padding;

    rc = v2m_encoding_finish(mp3->encoding, &padding, error);

    if (rc == V2M_OK) {
        rc = v2m_mp3_write_last(mp3, padding, error);
    }

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
