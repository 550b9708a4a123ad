/*
 * A media file and the one audio track of it that is wanted.
 *
 * Failures: V2M_INVALID with a reason for a person when the fault is the
 * file's; the byte source's own code when that failed.
 */

#ifndef V2M_MEDIA_H
#define V2M_MEDIA_H

#include <stdint.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "v2m_avio.h"
#include "v2m_bytes.h"
#include "v2m_error.h"
#include "v2m_mask.h"

typedef struct {
    AVFormatContext *format;
    AVStream        *stream; /* the track chosen */
    const AVCodec   *decoder;
    v2m_mask_t       mask;
    v2m_avio_t       input;
    int              track;  /* its number, from 1 */
    int              tracks; /* how many audio tracks there are */
    int64_t          origin; /* timestamp of the file's start, us, which is
                                certain once a packet was read */
    int64_t declared;        /* the track's duration according to the file,
                                us, or AV_NOPTS_VALUE */
    int64_t whole;           /* the file's, likewise */
    int64_t last;            /* end of the last packet of whatever track, us;
                                AV_NOPTS_VALUE unless all are read */
    int64_t end;             /* of the track, on its own clock, once its last
                                packet was read and if the format tells it to
                                the sample; else AV_NOPTS_VALUE */
    int delay;               /* samples at the track's head, of the stream's
                                rate, that FFmpeg decodes but nobody is to
                                hear: the encoder's delay */
    int       begun;         /* the track's first packet was read */
    AVPacket *ahead;         /* the next packet, in such formats */
    int       errors;        /* reads that failed, one after the other */
} v2m_media_t;

/*
 * Opens the file and chooses a track: the given one (from 1), or for -1 the
 * one marked as default, else the first that can be decoded.  To be closed
 * with v2m_media_close() also after a failure.
 */
int v2m_media_open(v2m_media_t *media, const v2m_byte_source_t *source,
                   int track, v2m_error_t *error);

void v2m_media_close(v2m_media_t *media);

/* The track's next packet, to be unreferenced.  V2M_NOT_FOUND: the end. */
int v2m_media_read(v2m_media_t *media, AVPacket *packet, v2m_error_t *error);

/*
 * Goes on with a packet at or somewhat before a time on the file's clock, us,
 * without reading what lies between; for once a packet was read.
 * V2M_NOT_FOUND: not in this file, and nothing changed; V2M_CONFLICT: it was
 * tried in vain, and the media is of no more use.
 */
int v2m_media_seek(v2m_media_t *media, int64_t time, v2m_error_t *error);

/* 1 when the timestamps of audio with this sample rate are the file's own, and
 * not counted from its samples. */
int v2m_media_has_clock(const v2m_media_t *media, int rate);

/* What the file says of itself, title and so on.  Valid until the close. */
const AVDictionary *v2m_media_tags(const v2m_media_t *media);

/* How long it is as far as it is known, us: the track's own length, else that
 * of the whole file; AV_NOPTS_VALUE: unknown. */
int64_t v2m_media_duration(const v2m_media_t *media);

/* How much is read, 0 to 100, going by the place in the file; -1: unknown. */
int v2m_media_percent(const v2m_media_t *media);

/* 1 for MP4, QuickTime and their like. */
int v2m_media_is_mov(const v2m_media_t *media);

#define V2M_MEDIA_DESCRIPTION 160

/* What the track is, for the log; its layout is that of its audio. */
void v2m_media_describe(const v2m_media_t *media, int rate,
                        const AVChannelLayout *layout,
                        char                   text[V2M_MEDIA_DESCRIPTION]);

#endif /* V2M_MEDIA_H */
