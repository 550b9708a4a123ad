#include "v2m_copy.h"

#include <libavutil/common.h>
#include <libavutil/intreadwrite.h>

#include "v2m_complete.h"

/* A timestamp that is off by so much, us, has to be heeded: there is a gap, or
 * an overlap.  Those of many formats are rounded. */
#define V2M_COPY_NEAR 25000

/* Of the note about samples to leave out. */
#define V2M_COPY_NOTE 10

/* Players do not recognize an MP3 of one frame. */
#define V2M_COPY_FRAMES_MIN 2


int
v2m_copy_is_possible(const v2m_media_t *media, const v2m_options_t *options)
{
    return media->stream->codecpar->codec_id == AV_CODEC_ID_MP3
           && options->bitrate == -1 && options->quality == -1
           && options->start_ms <= 0 && options->end_ms == -1
           && options->samplerate == -1 && options->channels == -1
           && options->loudness == -1;
}


static int
v2m_copy_refuse(const char *why, v2m_error_t *error)
{
    return v2m_error_set(error, V2M_CONFLICT, "cannot be copied: %s", why);
}


/* Notes what of the packet is not to be heard. */
static int
v2m_copy_note(v2m_copy_t *copy, const AVPacket *packet, v2m_error_t *error)
{
    size_t         size;
    int64_t        skip, discard;
    const uint8_t *note;

    note = av_packet_get_side_data(packet, AV_PKT_DATA_SKIP_SAMPLES, &size);

    if (note == NULL || size < V2M_COPY_NOTE) {
        return copy->discard == 0
                   ? V2M_OK
                   : v2m_copy_refuse("a gap in its middle", error);
    }

    skip = AV_RL32(note);
    discard = AV_RL32(note + 4);

    if ((skip > 0 && copy->frames > 0) || (copy->discard > 0 && discard == 0)) {
        return v2m_copy_refuse("a gap in its middle", error);
    }

    copy->skip += skip;
    copy->discard += discard;

    return V2M_OK;
}


static int64_t
v2m_copy_time(const v2m_copy_t *copy, int64_t samples)
{
    return av_rescale(samples, 1000000, copy->format.rate);
}


/* Frames can only follow each other: they must do so in time, too, and begin
 * when the file does. */
static int
v2m_copy_place(v2m_copy_t *copy, const AVPacket *packet, v2m_error_t *error)
{
    int     delay;
    int64_t time, off;

    static const AVRational us = { 1, 1000000 };

    if (packet->pts == AV_NOPTS_VALUE
        || !v2m_media_has_clock(copy->media, copy->format.rate))
    {
        return V2M_OK;
    }

    time = av_rescale_q(packet->pts, copy->media->stream->time_base, us);

    if (!copy->begun) {
        copy->expected =
            copy->media->origin != AV_NOPTS_VALUE ? copy->media->origin : time;

        /* Matroska tells the encoder's delay of the track, not of a packet:
         * by so much the first one is before the file's start */

        delay = copy->media->stream->codecpar->initial_padding;

        if (copy->skip == 0 && delay > 0 && time < copy->expected) {
            copy->skip = delay;
        }

        copy->expected =
            av_sat_sub64(copy->expected, v2m_copy_time(copy, copy->skip));
    }

    /* a file may have any timestamps */
    off = av_sat_sub64(time, copy->expected);

    if (off >= V2M_COPY_NEAR || off <= -V2M_COPY_NEAR) {
        return v2m_copy_refuse("a gap or an overlap", error);
    }

    copy->expected =
        av_sat_add64(copy->expected, v2m_copy_time(copy, copy->format.samples));

    return V2M_OK;
}


/* Whether the packet is one whole frame, of the same kind as those before. */
static int
v2m_copy_check(v2m_copy_t *copy, const AVPacket *packet, v2m_error_t *error)
{
    v2m_mpeg_t header;

    if (packet->size < V2M_MPEG_HEADER || !v2m_mpeg_read(packet->data, &header)
        || header.size != packet->size
        || header.size < V2M_MPEG_HEADER + 2 * header.checked + header.side)
    {
        return V2M_NOT_FOUND;
    }

    if (packet->flags & (AV_PKT_FLAG_CORRUPT | AV_PKT_FLAG_DISCARD)) {
        return v2m_copy_refuse("damaged, or to be left out", error);
    }

    if (!copy->begun) {
        copy->format = header;
        return V2M_OK;
    }

    return header.low == copy->format.low && header.rate == copy->format.rate
                   && header.channels == copy->format.channels
               ? V2M_OK
               : v2m_copy_refuse("its format changes", error);
}


static int
v2m_copy_progress(v2m_copy_t *copy, v2m_error_t *error)
{
    int64_t whole, place;

    whole = v2m_media_duration(copy->media);
    place = v2m_copy_time(copy, copy->frames * copy->format.samples);

    return v2m_progress_tell(
        copy->progress,
        whole == AV_NOPTS_VALUE
            ? v2m_media_percent(copy->media)
            : (int) av_clip64(place / (whole / 100 + 1), 0, 100),
        error);
}


/* A header that came with the frames, as some programs leave it there.  What
 * it tells counts unless the file tells it itself. */
static void
v2m_copy_take_hollow(v2m_copy_t *copy, int delay, int padding)
{
    copy->hollow = 1;

    if (delay >= 0 && copy->skip == 0) {
        copy->skip = delay + V2M_XING_DECODER;
        copy->padding = padding;
    }
}


static int
v2m_copy_packet(v2m_copy_t *copy, const AVPacket *packet, v2m_error_t *error)
{
    int rc, hollow, delay, padding;

    rc = v2m_copy_check(copy, packet, error);

    if (rc == V2M_NOT_FOUND) {
        copy->rubbish++;
        return copy->begun
                   ? V2M_OK
                   : v2m_copy_refuse("no frame at its beginning", error);
    }

    if (rc == V2M_OK && copy->rubbish > 0) {
        rc = v2m_copy_refuse("broken frames", error);
    }

    if (rc == V2M_OK) {
        rc = v2m_copy_note(copy, packet, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_copy_place(copy, packet, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    hollow =
        !copy->begun
        && v2m_xing_is(packet->data, (size_t) packet->size, &delay, &padding);
    copy->begun = 1;

    if (hollow) {
        v2m_copy_take_hollow(copy, delay, padding);
        return V2M_OK;
    }

    copy->frames++;
    rc = v2m_mp3_add(copy->mp3, packet->data, (size_t) packet->size, error);

    return rc == V2M_OK ? v2m_copy_progress(copy, error) : rc;
}


/* What of the last frame is not the track's. */
static void
v2m_copy_trim(v2m_copy_t *copy, const AVPacket *packet)
{
    int64_t there;

    if (copy->media->end == AV_NOPTS_VALUE || packet->pts == AV_NOPTS_VALUE
        || copy->discard > 0)
    {
        return;
    }

    there = av_rescale_q(copy->media->end - packet->pts,
                         copy->media->stream->time_base,
                         (AVRational){ 1, copy->format.rate });

    if (there > 0 && there < copy->format.samples) {
        copy->discard = copy->format.samples - there;
    }
}


static int
v2m_copy_read(v2m_copy_t *copy, AVPacket *packet, v2m_error_t *error)
{
    int rc;

    for (;;) {
        rc = v2m_media_read(copy->media, packet, error);

        if (rc != V2M_OK) {
            return rc == V2M_NOT_FOUND ? V2M_OK : rc;
        }

        if (packet->size > 0) {
            rc = v2m_copy_packet(copy, packet, error);

            if (rc == V2M_OK) {
                v2m_copy_trim(copy, packet);
            }
        }

        av_packet_unref(packet);

        if (rc != V2M_OK) {
            return rc;
        }
    }
}


/*
 * Writes the header.  It can tell what to leave out at the end only together
 * with an encoder's delay: where that is unknown, the rest of the last frame,
 * which is silence, is heard.
 */
static int
v2m_copy_finish(v2m_copy_t *copy, v2m_error_t *error)
{
    int64_t delay, padding;

    if (copy->padding > V2M_XING_DECODER && copy->discard == 0) {
        copy->discard = copy->padding - V2M_XING_DECODER;
    }

    if (copy->skip == 0 && copy->discard < copy->format.samples) {
        copy->discard = 0;
    }

    copy->samples =
        copy->frames * copy->format.samples - copy->skip - copy->discard;
    copy->rate = copy->format.rate;

    if (copy->frames < V2M_COPY_FRAMES_MIN || copy->samples <= 0) {
        return v2m_copy_refuse("hardly any frames", error);
    }

    if (copy->skip == 0 && copy->discard == 0) {
        return v2m_mp3_finish(copy->mp3, -1, -1, error);
    }

    delay = copy->skip - V2M_XING_DECODER;
    padding = copy->discard + V2M_XING_DECODER;

    if (delay < 0 || delay > V2M_XING_GAP_MAX || padding > V2M_XING_GAP_MAX) {
        return v2m_copy_refuse("a cut that its header cannot tell", error);
    }

    return v2m_mp3_finish(copy->mp3, (int) delay, (int) padding, error);
}


int
v2m_copy_run(v2m_copy_t *copy, v2m_error_t *error)
{
    int       rc;
    AVPacket *packet;

    copy->padding = -1;
    packet = av_packet_alloc();

    if (packet == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    rc = v2m_copy_read(copy, packet, error);
    av_packet_free(&packet);

    if (rc == V2M_OK && !copy->begun) {
        rc = v2m_copy_refuse("nothing is there", error);
    }

    if (rc == V2M_OK) {
        rc = v2m_complete_check_end(
            copy->media,
            v2m_copy_time(copy, copy->frames * copy->format.samples), error);
    }

    if (rc == V2M_OK) {
        rc = v2m_copy_finish(copy, error);
    }

    if (rc == V2M_OK) {
        v2m_media_describe(copy->media, copy->rate,
                           &copy->media->stream->codecpar->ch_layout,
                           copy->source);
    }

    return rc;
}
