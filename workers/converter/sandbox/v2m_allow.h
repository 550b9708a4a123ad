/*
 * What of FFmpeg a stranger's file may reach: the container formats and audio
 * decoders that videos and recordings come in, and nothing else.
 */

#ifndef V2M_ALLOW_H
#define V2M_ALLOW_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

/* Comma-separated names, as FFmpeg's options of those names take them. */
extern const char v2m_allow_demuxers[];
extern const char v2m_allow_decoders[];

/* 1 when the format is on the list. */
int v2m_allow_demuxer(const AVInputFormat *format);

/* The decoder for a codec, or NULL when there is none on the list. */
const AVCodec *v2m_allow_decoder(enum AVCodecID id);

/* Makes the context open nothing by itself: no protocol, no further file. */
void v2m_allow_nothing_else(AVFormatContext *format);

#endif /* V2M_ALLOW_H */
