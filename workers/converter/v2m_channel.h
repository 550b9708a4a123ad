/*
 * The channel between the converter (the parent) and its transcoder (the
 * child): frames over a stream socket, which is the child's only way out.
 *
 * A frame is an eight-byte header, type and length of the payload as unsigned
 * 32-bit numbers, then the payload.  All numbers are big-endian and, in
 * payloads, signed.
 *
 *   parent to child
 *     START     first and once: options (bitrate 32, quality 32, track 32,
 *               start_ms 64, end_ms 64, samplerate 32, channels 32, loudness
 *               32), length of the video 64, threads 32
 *     DATA      offset 64, bytes: answers the READ of that offset, with at
 *               least one of the bytes asked for unless the video ends there
 *
 *   child to parent
 *     READ      offset 64, length 32 (1 to V2M_CHANNEL_RANGE)
 *     KEEP      offset 64: V2M_CHANNEL_KEPT bytes of the MP3 from there on
 *               will be written again; before any of them was written, and
 *               once; not answered
 *     WRITE     offset 64, bytes of the MP3 (1 to V2M_CHANNEL_RANGE of them):
 *               the next ones, or again some of those kept; not answered
 *     RESTART   drops all that was written, and what was kept; not answered
 *     PROGRESS  phase 32 (v2m_channel_phase_t), percent of the whole 32 (0 to
 *               100, -1: unknown)
 *     DONE      last: duration in samples 64, sample rate 32, length of the
 *               MP3 64, text that tells what the source was
 *     FAILED    last: fault 32 (v2m_channel_fault_t), text: the reason, for a
 *               person
 *
 * READs are answered in order; an answer may take as long as the video's
 * bytes take to arrive.  A child that has a READ under way goes on receiving
 * while it sends, so that the two cannot block each other.
 *
 * Neither side trusts the other: a frame of an unknown type, of the wrong
 * direction, or with a length or a number out of its bounds ends the
 * conversation.  Text is at most V2M_CHANNEL_TEXT bytes; the receiver gets
 * it without control characters and as valid UTF-8.
 */

#ifndef V2M_CHANNEL_H
#define V2M_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_options.h"

/* The descriptor that the child finds its end at. */
#define V2M_CHANNEL_FD 3

#define V2M_CHANNEL_RANGE (256 * 1024) /* bytes of one READ, DATA or WRITE */
#define V2M_CHANNEL_KEPT  2048         /* bytes that KEEP means */
#define V2M_CHANNEL_TEXT  200          /* bytes, as much as an error holds */

/* How often a wait calls back, milliseconds. */
#define V2M_CHANNEL_TICK_MS 200

typedef enum {
    V2M_CHANNEL_START = 1,
    V2M_CHANNEL_DATA,
    V2M_CHANNEL_READ,
    V2M_CHANNEL_KEEP,
    V2M_CHANNEL_WRITE,
    V2M_CHANNEL_RESTART,
    V2M_CHANNEL_PROGRESS,
    V2M_CHANNEL_DONE,
    V2M_CHANNEL_FAILED
} v2m_channel_type_t;

/* What a transcoder is at. */
typedef enum {
    V2M_CHANNEL_COPYING = 1,
    V2M_CHANNEL_MEASURING,
    V2M_CHANNEL_ENCODING
} v2m_channel_phase_t;

typedef enum {
    V2M_CHANNEL_FAULT_FILE, /* it will fail again */
    V2M_CHANNEL_FAULT_OURS  /* it may work another time */
} v2m_channel_fault_t;

typedef struct {
    v2m_channel_type_t type;

    union {
        struct {
            v2m_options_t options;
            int64_t       length;
            int32_t       threads;
        } start;

        struct {
            int64_t offset;
            int32_t length;
        } read;

        /* DATA and WRITE; received bytes are valid until the next receive */
        struct {
            int64_t              offset;
            const unsigned char *bytes;
            size_t               length;
        } data;

        struct {
            int64_t offset;
        } keep;

        struct {
            v2m_channel_phase_t phase;
            int32_t             percent;
        } progress;

        struct {
            int64_t samples;
            int32_t rate;
            int64_t length;
            char    text[V2M_CHANNEL_TEXT + 1];
        } done;

        struct {
            v2m_channel_fault_t fault;
            char                text[V2M_CHANNEL_TEXT + 1];
        } failed;
    } u;
} v2m_channel_frame_t;

typedef enum { V2M_CHANNEL_PARENT, V2M_CHANNEL_CHILD } v2m_channel_side_t;

typedef struct v2m_channel_s v2m_channel_t;

/*
 * Called while a send or a receive waits, at least every V2M_CHANNEL_TICK_MS.
 * A result other than V2M_OK ends the wait and becomes its result.
 */
typedef int (*v2m_channel_wait_pt)(void *data, v2m_error_t *error);

/* The side is the caller's own.  wait may be NULL: to wait without end.  The
 * descriptor stays the caller's. */
int v2m_channel_create(v2m_channel_t **channel, int fd, v2m_channel_side_t side,
                       v2m_channel_wait_pt wait, void *data,
                       v2m_error_t *error);

/* NULL is allowed. */
void v2m_channel_destroy(v2m_channel_t *channel);

/*
 * Both: V2M_NOT_FOUND when the other side is gone, else the wait's result.
 * After any failure the channel is of no more use.  One thread at a time may
 * send and one may receive.
 */

/* V2M_INVALID: the frame is not one that this side may send. */
int v2m_channel_send(v2m_channel_t *channel, const v2m_channel_frame_t *frame,
                     v2m_error_t *error);

/* V2M_CORRUPT: what came is no frame that the other side may send. */
int v2m_channel_receive(v2m_channel_t *channel, v2m_channel_frame_t *frame,
                        v2m_error_t *error);

#endif /* V2M_CHANNEL_H */
