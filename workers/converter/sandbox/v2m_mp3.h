/*
 * The MP3: libmp3lame, and FFmpeg's muxer for the tags, the frames and the
 * Xing or Info header, which is written at the beginning and again at the end.
 */

#ifndef V2M_MP3_H
#define V2M_MP3_H

#include <stdint.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/audio_fifo.h>

#include "v2m_avio.h"
#include "v2m_bytes.h"
#include "v2m_error.h"
#include "v2m_options.h"

typedef struct {
    AVFormatContext *format;
    AVCodecContext  *encoder;
    AVFrame         *frame;
    AVPacket        *packet;
    v2m_avio_t       output;
    int64_t          samples; /* encoded so far */
    int              padded;  /* the last packet has some padding */
} v2m_mp3_t;

/* The rate that MP3 has for audio of this rate: the same, else one of the
 * same family, else the next higher; and a multiple of that when MP3 has the
 * bitrate (kbit/s, -1: variable) only there. */
int v2m_mp3_rate(int rate, int bitrate);

/* Writes the beginning of the file.  The tags become its ID3v2 tag.  To be
 * closed with v2m_mp3_close() also after a failure. */
int v2m_mp3_open(v2m_mp3_t *mp3, const v2m_byte_sink_t *sink, int rate,
                 int channels, const v2m_options_t *options,
                 const AVDictionary *tags, v2m_error_t *error);

void v2m_mp3_close(v2m_mp3_t *mp3);

/* Encodes what is in the queue, V2M_RESAMPLER_FORMAT: whole frames, or all of
 * it when this is the end. */
int v2m_mp3_encode(v2m_mp3_t *mp3, AVAudioFifo *queue, int end,
                   v2m_error_t *error);

/* Writes the rest, after an encode with end; *length is the file's. */
int v2m_mp3_finish(v2m_mp3_t *mp3, int64_t *length, v2m_error_t *error);

#endif /* V2M_MP3_H */
