/*
 * The MP3: FFmpeg's muxer for the tags, the frames and the Xing or Info
 * header, which is written at the beginning and again at the end.
 */

#ifndef V2M_MP3_H
#define V2M_MP3_H

#include <stdint.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/audio_fifo.h>

#include "v2m_avio.h"
#include "v2m_bytes.h"
#include "v2m_encoding.h"
#include "v2m_error.h"
#include "v2m_options.h"

typedef struct {
    AVFormatContext *format;
    AVPacket        *packet; /* the last frame, not written yet */
    v2m_encoding_t  *encoding;
    v2m_avio_t       output;
    int              frame_size; /* samples */
    int              delay;      /* of the encoder, samples */
    int64_t          frames;     /* of these, so far */
} v2m_mp3_t;

/* The rate that MP3 has for audio of this rate: the same, else one of the
 * same family, else the next higher; and a multiple of that when MP3 has the
 * bitrate (kbit/s, -1: variable) only there. */
int v2m_mp3_rate(int rate, int bitrate);

/* Writes the beginning of the file.  The tags become its ID3v2 tag; threads
 * encode.  The mp3 must stay where it is until it is closed, with
 * v2m_mp3_close() also after a failure. */
int v2m_mp3_open(v2m_mp3_t *mp3, const v2m_byte_sink_t *sink,
                 const v2m_encoder_settings_t *settings, int threads,
                 const AVDictionary *tags, v2m_error_t *error);

void v2m_mp3_close(v2m_mp3_t *mp3);

/* Samples taken so far; 0 before it was opened. */
int64_t v2m_mp3_samples(const v2m_mp3_t *mp3);

/* Takes all that is in the queue, V2M_RESAMPLER_FORMAT. */
int v2m_mp3_encode(v2m_mp3_t *mp3, AVAudioFifo *queue, v2m_error_t *error);

/* Encodes and writes the rest; *length is the file's. */
int v2m_mp3_finish(v2m_mp3_t *mp3, int64_t *length, v2m_error_t *error);

#endif /* V2M_MP3_H */
