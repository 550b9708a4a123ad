#include "v2m_media.h"

#include <stdio.h>
#include <string.h>
#include <libavutil/avstring.h>
#include <libavutil/common.h>
#include <libavutil/dict.h>

#include "v2m_allow.h"
#include "v2m_boxes.h"
#include "v2m_complete.h"

/* How far into a file its format and its tracks are looked for, bytes. */
#define V2M_MEDIA_FORMAT_PROBE (1024 * 1024)
#define V2M_MEDIA_TRACKS_PROBE "5000000"

/* An encoder's delay is some hundredths of a second: whatever tells of more
 * than this many seconds is wrong. */
#define V2M_MEDIA_DELAY 1

/* Reads that may fail one after the other before that counts as the end. */
#define V2M_MEDIA_ERRORS 16

static const AVRational v2m_media_us = { 1, 1000000 };


/* FFmpeg says only that reading failed: when it was the byte source, that
 * knows why. */
static int
v2m_media_source_error(const v2m_media_t *media, v2m_error_t *error)
{
    if (media->input.error.code != V2M_OK && error != NULL) {
        *error = media->input.error;
    }

    return media->input.error.code;
}


static int
v2m_media_probe(v2m_media_t *media, const AVInputFormat **format,
                v2m_error_t *error)
{
    int rc;

    *format = NULL;

    rc = av_probe_input_buffer2(media->input.context, format, "", NULL, 0,
                                V2M_MEDIA_FORMAT_PROBE);

    if (v2m_media_source_error(media, error) != V2M_OK) {
        return error->code;
    }

    if (rc < 0 || *format == NULL) {
        return v2m_error_set(error, V2M_INVALID,
                             "this is not a media file that can be read (its "
                             "format is unknown)");
    }

    if (!v2m_allow_demuxer(*format)) {
        return v2m_error_set(error, V2M_INVALID,
                             "this is not a media file that can be read (it "
                             "looks like %s)",
                             (*format)->long_name != NULL ? (*format)->long_name
                                                          : (*format)->name);
    }

    return V2M_OK;
}


/* Why a file of a known format cannot be opened. */
static int
v2m_media_unreadable(v2m_media_t *media, const AVInputFormat *format,
                     v2m_error_t *error)
{
    if (v2m_media_source_error(media, error) != V2M_OK) {
        return error->code;
    }

    if (av_match_list(format->name, "mov", ',')
        && v2m_boxes_cut_off(&media->input.source))
    {
        return v2m_error_set(error, V2M_INVALID,
                             "the file ends before its index (it is "
                             "truncated)");
    }

    return v2m_error_set(error, V2M_INVALID,
                         "this is not a media file that can be read (it looks "
                         "like %s, but is damaged)",
                         format->long_name != NULL ? format->long_name
                                                   : format->name);
}


static int
v2m_media_open_format(v2m_media_t *media, const AVInputFormat *format,
                      v2m_error_t *error)
{
    int           rc;
    AVDictionary *options;

    media->format = avformat_alloc_context();
    if (media->format == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    media->format->pb = media->input.context;
    v2m_allow_nothing_else(media->format);

    /* codec_whitelist keeps FFmpeg from opening video decoders to learn more
     * about tracks that nobody wants */
    options = NULL;
    av_dict_set(&options, "format_whitelist", v2m_allow_demuxers, 0);
    av_dict_set(&options, "codec_whitelist", v2m_allow_decoders, 0);
    av_dict_set(&options, "protocol_whitelist", "", 0);
    av_dict_set(&options, "probesize", V2M_MEDIA_TRACKS_PROBE, 0);
    av_dict_set(&options, "fpsprobesize", "0", 0);

    /* frees the context when it fails */
    rc = avformat_open_input(&media->format, "", format, &options);
    av_dict_free(&options);

    if (rc < 0) {
        return v2m_media_unreadable(media, format, error);
    }

    rc = avformat_find_stream_info(media->format, NULL);

    if (v2m_media_source_error(media, error) != V2M_OK) {
        return error->code;
    }

    return rc < 0 ? v2m_media_unreadable(media, format, error) : V2M_OK;
}


static const char *
v2m_media_codec_name(enum AVCodecID id)
{
    const AVCodecDescriptor *descriptor;

    descriptor = avcodec_descriptor_get(id);

    if (descriptor == NULL || id == AV_CODEC_ID_NONE) {
        return "of this file";
    }

    return descriptor->long_name != NULL ? descriptor->long_name
                                         : descriptor->name;
}


static int
v2m_media_no_track(const v2m_media_t *media, int track,
                   const AVStream *undecodable, v2m_error_t *error)
{
    if (media->tracks == 0) {
        return v2m_error_set(error, V2M_INVALID,
                             "the video has no audio track");
    }

    if (track > media->tracks) {
        return v2m_error_set(error, V2M_INVALID,
                             "track %d does not exist, the file has %d audio "
                             "track%s",
                             track, media->tracks,
                             media->tracks == 1 ? "" : "s");
    }

    return v2m_error_set(error, V2M_INVALID,
                         "the audio format %s is not supported",
                         v2m_media_codec_name(undecodable->codecpar->codec_id));
}


static int
v2m_media_choose(v2m_media_t *media, int track, v2m_error_t *error)
{
    unsigned        i;
    AVStream       *stream;
    const AVCodec  *decoder;
    const AVStream *undecodable;

    undecodable = NULL;

    for (i = 0; i < media->format->nb_streams; i++) {
        stream = media->format->streams[i];

        if (stream->codecpar->codec_type != AVMEDIA_TYPE_AUDIO) {
            continue;
        }

        media->tracks++;

        if (track > 0 && track != media->tracks) {
            continue;
        }

        decoder = v2m_allow_decoder(stream->codecpar->codec_id);

        if (decoder == NULL) {
            undecodable = undecodable != NULL ? undecodable : stream;
            continue;
        }

        if (media->stream == NULL
            || (stream->disposition & AV_DISPOSITION_DEFAULT
                && !(media->stream->disposition & AV_DISPOSITION_DEFAULT)))
        {
            media->stream = stream;
            media->decoder = decoder;
            media->track = media->tracks;
        }
    }

    if (media->stream == NULL) {
        return v2m_media_no_track(media, track, undecodable, error);
    }

    return V2M_OK;
}


/*
 * Formats whose header tells how long the whole is, but not each track: there
 * the other tracks are read as well, as only they tell whether a file whose
 * audio ends early is truncated.  It costs nothing, since such a format is
 * read from beginning to end anyway.
 */
static int
v2m_media_tells_whole(const v2m_media_t *media)
{
    return av_match_list(media->format->iformat->name, "matroska,flv,asf", ',')
           > 0;
}


/* The earlier of two timestamps, either of which may be unknown.  What is
 * before zero is a decoder's delay, and not heard. */
static int64_t
v2m_media_earlier(int64_t a, int64_t b)
{
    if (a == AV_NOPTS_VALUE || (b != AV_NOPTS_VALUE && b < a)) {
        a = b;
    }

    return a == AV_NOPTS_VALUE || a > 0 ? a : 0;
}


/*
 * Matroska tells the encoder's delay in the track's header (RFC 9559,
 * CodecDelay), for the player to discard; FFmpeg only moves the timestamps by
 * it.  The decoders of Opus know it from their own header and discard it.
 */
static int
v2m_media_read_delay(const v2m_media_t *media)
{
    const AVCodecParameters *parameters;

    parameters = media->stream->codecpar;

    if (!av_match_list(media->format->iformat->name, "matroska", ',')
        || parameters->codec_id == AV_CODEC_ID_OPUS
        || parameters->initial_padding < 0
        || parameters->initial_padding / V2M_MEDIA_DELAY
               > parameters->sample_rate)
    {
        return 0;
    }

    return parameters->initial_padding;
}


static void
v2m_media_read_times(v2m_media_t *media)
{
    unsigned         i;
    AVStream        *stream;
    AVFormatContext *format;

    format = media->format;

    /* where tracks are hidden, the file's start is that of its clock */
    media->origin = media->mask.count > 0
                        ? 0
                        : v2m_media_earlier(AV_NOPTS_VALUE, format->start_time);

    media->declared = AV_NOPTS_VALUE;
    media->whole = format->duration > 0 ? format->duration : AV_NOPTS_VALUE;
    media->last = AV_NOPTS_VALUE;
    media->end = AV_NOPTS_VALUE;
    media->delay = v2m_media_read_delay(media);

    if (format->duration_estimation_method == AVFMT_DURATION_FROM_STREAM) {
        if (v2m_media_tells_whole(media)) {
            media->last = INT64_MIN + 1;

        } else if (media->stream->duration > 0) {
            media->declared =
                av_rescale_q(media->stream->duration, media->stream->time_base,
                             v2m_media_us);
        }
    }

    for (i = 0; i < format->nb_streams; i++) {
        stream = format->streams[i];

        if (stream != media->stream && media->last == AV_NOPTS_VALUE) {
            stream->discard = AVDISCARD_ALL;
        }
    }
}


int
v2m_media_is_mov(const v2m_media_t *media)
{
    return av_match_list(media->format->iformat->name, "mov", ',') > 0;
}


int
v2m_media_open(v2m_media_t *media, const v2m_byte_source_t *source, int track,
               v2m_error_t *error)
{
    int                  rc;
    v2m_byte_source_t    masked;
    const AVInputFormat *format;

    memset(media, 0, sizeof(*media));

    if (source->size(source->data) == 0) {
        return v2m_error_set(error, V2M_INVALID, "the file is empty");
    }

    rc = v2m_mask_open(&media->mask, source, &masked, error);

    if (rc == V2M_OK) {
        rc = v2m_avio_open(&media->input, &masked, error);
    }

    if (rc == V2M_OK && media->mask.elsewhere) {
        rc = v2m_error_set(error, V2M_INVALID,
                           "the sound of this video is in another file, to "
                           "which it only refers");
    }

    if (rc == V2M_OK) {
        rc = v2m_media_probe(media, &format, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_complete_check_length(media, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_media_open_format(media, format, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_media_choose(media, track, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    v2m_media_read_times(media);

    /* FFmpeg keeps an index of each packet, for seeks, which there are none */
    if (av_match_list(format->name, "flv", ',')) {
        media->input.context->seekable = 0;
    }

    if (v2m_media_is_mov(media)) {
        media->ahead = av_packet_alloc();
        if (media->ahead == NULL) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }
    }

    return v2m_complete_check_index(media, error);
}


void
v2m_media_close(v2m_media_t *media)
{
    av_packet_free(&media->ahead);
    avformat_close_input(&media->format);
    v2m_avio_close(&media->input);
}


/* Learns from a packet of whatever track where the file begins and ends. */
static void
v2m_media_note(v2m_media_t *media, const AVPacket *packet)
{
    int64_t         time;
    const AVStream *stream;

    stream = media->format->streams[packet->stream_index];
    time = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;

    if (media->last == AV_NOPTS_VALUE || time == AV_NOPTS_VALUE
        || packet->duration < 0)
    {
        return;
    }

    /* FFmpeg, which must not decode the video, does not always know where
     * that begins */

    if (!media->begun) {
        media->begun = packet->stream_index == media->stream->index;
        media->origin = v2m_media_earlier(
            media->origin, av_rescale_q(time, stream->time_base, v2m_media_us));
    }

    time = av_rescale_q(av_sat_add64(time, packet->duration), stream->time_base,
                        v2m_media_us);

    if (time > media->last) {
        media->last = time;
    }
}


static int
v2m_media_next(v2m_media_t *media, AVPacket *packet, v2m_error_t *error)
{
    int rc;

    for (;;) {
        rc = av_read_frame(media->format, packet);

        if (v2m_media_source_error(media, error) != V2M_OK) {
            av_packet_unref(packet);
            return error->code;
        }

        if (rc == AVERROR_EOF
            || (rc < 0 && ++media->errors >= V2M_MEDIA_ERRORS)) {
            return V2M_NOT_FOUND;
        }

        if (rc < 0) {
            continue;
        }

        media->errors = 0;
        v2m_media_note(media, packet);

        if (packet->stream_index == media->stream->index) {
            return V2M_OK;
        }

        av_packet_unref(packet);
    }
}


int
v2m_media_read(v2m_media_t *media, AVPacket *packet, v2m_error_t *error)
{
    int rc;

    if (media->ahead == NULL) {
        return v2m_media_next(media, packet, error);
    }

    if (media->ahead->data == NULL) {
        rc = v2m_media_next(media, media->ahead, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    av_packet_move_ref(packet, media->ahead);
    rc = v2m_media_next(media, media->ahead, error);

    if (rc == V2M_NOT_FOUND && packet->pts != AV_NOPTS_VALUE
        && packet->duration > 0)
    {
        media->end = av_sat_add64(packet->pts, packet->duration);
    }

    return rc == V2M_NOT_FOUND ? V2M_OK : rc;
}


/* Where each packet's place in time is known to the sample, or as exactly as
 * the format tells it, also after a seek. */
static int
v2m_media_may_seek(const v2m_media_t *media)
{
    return av_match_list(media->format->iformat->name,
                         "aiff,au,avi,caf,flac,matroska,mov,w64,wav", ',')
           > 0;
}


int
v2m_media_seek(v2m_media_t *media, int64_t time, v2m_error_t *error)
{
    int rc, index;

    if (!v2m_media_may_seek(media)) {
        return V2M_NOT_FOUND;
    }

    /* Matroska has an index of the video, if there is one */

    if (av_match_list(media->format->iformat->name, "matroska", ',')) {
        index = -1;

    } else {
        index = media->stream->index;
        time = av_rescale_q(time, v2m_media_us, media->stream->time_base);
    }

    rc = av_seek_frame(media->format, index, time, AVSEEK_FLAG_BACKWARD);

    if (v2m_media_source_error(media, error) != V2M_OK) {
        return error->code;
    }

    if (rc < 0) {
        return v2m_error_set(error, V2M_CONFLICT, "the file has no index");
    }

    if (media->ahead != NULL) {
        av_packet_unref(media->ahead);
    }

    media->end = AV_NOPTS_VALUE;
    media->errors = 0;

    return V2M_OK;
}


int
v2m_media_has_clock(const v2m_media_t *media, int rate)
{
    const char *name;

    name = media->format->iformat->name;

    /* in Ogg it is the first sample rate's, whatever follows */
    if (av_match_list(name, "ogg", ',')) {
        return rate == media->stream->codecpar->sample_rate;
    }

    return av_match_list(name, "asf,avi,flv,matroska,mov,mpeg,mpegts", ',') > 0;
}


const AVDictionary *
v2m_media_tags(const v2m_media_t *media)
{
    /* Ogg keeps them with the track, where other formats keep the track's
     * own name */
    return av_match_list(media->format->iformat->name, "ogg", ',')
               ? media->stream->metadata
               : media->format->metadata;
}


int64_t
v2m_media_duration(const v2m_media_t *media)
{
    return media->declared != AV_NOPTS_VALUE ? media->declared : media->whole;
}


int
v2m_media_percent(const v2m_media_t *media)
{
    int64_t place;

    place = media->input.context->pos;

    if (media->input.length <= 0 || place < 0) {
        return -1;
    }

    return place >= media->input.length
               ? 100
               : (int) (place / ((media->input.length + 99) / 100));
}


void
v2m_media_describe(const v2m_media_t *media, int rate,
                   const AVChannelLayout *layout,
                   char                   text[V2M_MEDIA_DESCRIPTION])
{
    char name[64];

    if (av_channel_layout_describe(layout, name, sizeof(name)) < 0) {
        snprintf(name, sizeof(name), "%d channels", layout->nb_channels);
    }

    snprintf(text, V2M_MEDIA_DESCRIPTION, "%s, track %d of %d: %s, %d Hz, %s",
             media->format->iformat->name, media->track, media->tracks,
             media->decoder->name, rate, name);
}
