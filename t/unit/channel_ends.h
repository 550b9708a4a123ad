/*
 * Two ends of a channel, frames as bytes that were made without the code under
 * test, and what comes of them.
 */

#ifndef CHANNEL_ENDS_H
#define CHANNEL_ENDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "v2m_channel.h"

#define HEADER 8

/* Waits that a test allows beside those that feed or drain. */
#define TEST_WAITS 20

/* No more than a socket holds, or feeding it would block. */
#define TEST_STEP_MAX 16384

/* Two ends, and what a wait of either does. */
typedef struct {
    int            fds[2]; /* parent's, child's */
    v2m_channel_t *parent;
    v2m_channel_t *child;
    int            waits;

    /* how many waits to allow without work to do, then rc */
    int allowed;
    int rc;

    /* bytes to feed, so many with each wait */
    int                  feed_fd;
    const unsigned char *feed;
    size_t               feed_length;
    size_t               feed_step;

    /* where to take bytes from, and where to put them */
    int            drain_fd;
    unsigned char *drain;
    size_t         drained;
    size_t         drain_size;
} test_ends_t;


static inline int
on_wait(void *data, v2m_error_t *error)
{
    size_t       step;
    ssize_t      n;
    test_ends_t *ends = data;

    if (ends->feed_length == 0 && ends->drained == ends->drain_size
        && ++ends->waits > ends->allowed)
    {
        return v2m_error_set(error, ends->rc, "enough");
    }

    if (ends->feed_length > 0) {
        step = ends->feed_length < ends->feed_step ? ends->feed_length
                                                   : ends->feed_step;
        n = send(ends->feed_fd, ends->feed, step, 0);
        assert_int_equal(n, step);
        ends->feed += step;
        ends->feed_length -= step;
    }

    if (ends->drained < ends->drain_size) {
        n = recv(ends->drain_fd, ends->drain + ends->drained,
                 ends->drain_size - ends->drained < 7777
                     ? ends->drain_size - ends->drained
                     : 7777,
                 MSG_DONTWAIT);

        ends->drained += n > 0 ? (size_t) n : 0;
    }

    return V2M_OK;
}


static inline void
open_ends(test_ends_t *ends)
{
    memset(ends, 0, sizeof(*ends));
    ends->allowed = TEST_WAITS;
    ends->rc = V2M_ERROR;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends->fds), 0);
    assert_int_equal(v2m_channel_create(&ends->parent, ends->fds[0],
                                        V2M_CHANNEL_PARENT, on_wait, ends,
                                        NULL),
                     V2M_OK);
    assert_int_equal(v2m_channel_create(&ends->child, ends->fds[1],
                                        V2M_CHANNEL_CHILD, on_wait, ends, NULL),
                     V2M_OK);
}


static inline void
close_fd(int *fd)
{
    if (*fd != -1) {
        close(*fd);
        *fd = -1;
    }
}


static inline void
close_ends(test_ends_t *ends)
{
    v2m_channel_destroy(ends->parent);
    v2m_channel_destroy(ends->child);
    close_fd(&ends->fds[0]);
    close_fd(&ends->fds[1]);
}


/* A frame as bytes, built without the code under test. */
typedef struct {
    unsigned char bytes[V2M_CHANNEL_RANGE + 64];
    size_t        length;
} test_raw_t;

static test_raw_t raw;


static inline void
raw_number(uint64_t value, int bytes)
{
    while (bytes-- > 0) {
        raw.bytes[raw.length++] = (unsigned char) (value >> (8 * bytes));
    }
}


static inline void
raw_bytes(const void *bytes, size_t length)
{
    memcpy(raw.bytes + raw.length, bytes, length);
    raw.length += length;
}


static inline void
raw_begin(uint32_t type)
{
    raw.length = 0;
    raw_number(type, 4);
    raw_number(0, 4);
}


/* Fills in the length of the payload. */
static inline void
raw_end(void)
{
    size_t length;

    length = raw.length;
    raw.length = 4;
    raw_number(length - HEADER, 4);
    raw.length = length;
}


static inline void
raw_start(const int64_t numbers[10])
{
    int i;

    static const int sizes[] = { 4, 4, 4, 8, 8, 4, 4, 4, 8, 4 };

    raw_begin(V2M_CHANNEL_START);

    for (i = 0; i < 10; i++) {
        raw_number((uint64_t) numbers[i], sizes[i]);
    }

    raw_end();
}


static inline void
raw_data(v2m_channel_type_t type, int64_t offset, const void *bytes,
         size_t length)
{
    raw_begin(type);
    raw_number((uint64_t) offset, 8);
    raw_bytes(bytes, length);
    raw_end();
}


static inline void
raw_read(int64_t offset, int32_t length)
{
    raw_begin(V2M_CHANNEL_READ);
    raw_number((uint64_t) offset, 8);
    raw_number((uint32_t) length, 4);
    raw_end();
}


static inline void
raw_keep(int64_t offset)
{
    raw_begin(V2M_CHANNEL_KEEP);
    raw_number((uint64_t) offset, 8);
    raw_end();
}


static inline void
raw_restart(void)
{
    raw_begin(V2M_CHANNEL_RESTART);
    raw_end();
}


static inline void
raw_progress(int32_t phase, int32_t percent)
{
    raw_begin(V2M_CHANNEL_PROGRESS);
    raw_number((uint32_t) phase, 4);
    raw_number((uint32_t) percent, 4);
    raw_end();
}


static inline void
raw_done(int64_t samples, int32_t rate, int64_t length, const char *text)
{
    raw_begin(V2M_CHANNEL_DONE);
    raw_number((uint64_t) samples, 8);
    raw_number((uint32_t) rate, 4);
    raw_number((uint64_t) length, 8);
    raw_bytes(text, strlen(text));
    raw_end();
}


static inline void
raw_failed(int32_t fault, const char *text)
{
    raw_begin(V2M_CHANNEL_FAILED);
    raw_number((uint32_t) fault, 4);
    raw_bytes(text, strlen(text));
    raw_end();
}


/* The receiver of a frame of this type. */
static inline v2m_channel_side_t
receiver_of(uint32_t type)
{
    return type == V2M_CHANNEL_START || type == V2M_CHANNEL_DATA
               ? V2M_CHANNEL_CHILD
               : V2M_CHANNEL_PARENT;
}


/* What receiving the raw bytes gives, fed in steps of so many bytes. */
static inline int
receive_raw(v2m_channel_side_t side, size_t step, v2m_channel_frame_t *frame)
{
    int         rc;
    test_ends_t ends;
    v2m_error_t error;

    open_ends(&ends);
    ends.feed = raw.bytes;
    ends.feed_length = raw.length;
    ends.feed_step = step < TEST_STEP_MAX ? step : TEST_STEP_MAX;
    ends.feed_fd = ends.fds[side == V2M_CHANNEL_PARENT ? 1 : 0];

    /* what is left to feed after a refusal is of no interest */

    rc = v2m_channel_receive(
        side == V2M_CHANNEL_PARENT ? ends.parent : ends.child, frame, &error);

    if (rc != V2M_OK) {
        assert_int_equal(error.code, rc);
    } else {
        assert_int_equal(ends.feed_length, 0);
    }

    close_ends(&ends);

    return rc;
}


/* The same when the sender goes away after the raw bytes. */
static inline int
receive_gone(v2m_channel_side_t side, v2m_channel_frame_t *frame)
{
    int         rc;
    test_ends_t ends;
    v2m_error_t error;

    open_ends(&ends);
    assert_int_equal(send(ends.fds[side == V2M_CHANNEL_PARENT ? 1 : 0],
                          raw.bytes, raw.length, 0),
                     raw.length);
    close_fd(&ends.fds[side == V2M_CHANNEL_PARENT ? 1 : 0]);

    rc = v2m_channel_receive(
        side == V2M_CHANNEL_PARENT ? ends.parent : ends.child, frame, &error);

    close_ends(&ends);

    return rc;
}


/* The channel sends the frame as the raw one, and nothing after it. */
static inline void
assert_sends(const v2m_channel_frame_t *frame)
{
    int            to;
    char           more;
    size_t         length;
    ssize_t        n;
    v2m_error_t    error;
    test_ends_t    ends;
    unsigned char *got;

    open_ends(&ends);
    to = receiver_of(frame->type) == V2M_CHANNEL_CHILD;
    got = malloc(raw.length);
    assert_non_null(got);

    ends.drain_fd = ends.fds[to];
    ends.drain = got;
    ends.drain_size = raw.length;

    if (v2m_channel_send(to ? ends.parent : ends.child, frame, &error)
        != V2M_OK) {
        fail_msg("%s", error.text);
    }

    for (length = ends.drained; length < raw.length; length += (size_t) n) {
        n = recv(ends.fds[to], got + length, raw.length - length, 0);
        assert_true(n > 0);
    }

    assert_int_equal(recv(ends.fds[to], &more, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    assert_memory_equal(got, raw.bytes, raw.length);

    free(got);
    close_ends(&ends);
}


/* The fields of a received frame that its type has. */
static inline void
assert_same(const v2m_channel_frame_t *a, const v2m_channel_frame_t *b)
{
    assert_int_equal(a->type, b->type);

    switch (a->type) {
    case V2M_CHANNEL_START:
        assert_int_equal(a->u.start.options.bitrate,
                         b->u.start.options.bitrate);
        assert_int_equal(a->u.start.options.quality,
                         b->u.start.options.quality);
        assert_int_equal(a->u.start.options.track, b->u.start.options.track);
        assert_int_equal(a->u.start.options.start_ms,
                         b->u.start.options.start_ms);
        assert_int_equal(a->u.start.options.end_ms, b->u.start.options.end_ms);
        assert_int_equal(a->u.start.options.samplerate,
                         b->u.start.options.samplerate);
        assert_int_equal(a->u.start.options.channels,
                         b->u.start.options.channels);
        assert_int_equal(a->u.start.options.loudness,
                         b->u.start.options.loudness);
        assert_int_equal(a->u.start.length, b->u.start.length);
        assert_int_equal(a->u.start.threads, b->u.start.threads);
        break;

    case V2M_CHANNEL_DATA:
    case V2M_CHANNEL_WRITE:
        /* the bytes themselves are gone with the channel */
        assert_int_equal(a->u.data.offset, b->u.data.offset);
        assert_int_equal(a->u.data.length, b->u.data.length);
        break;

    case V2M_CHANNEL_READ:
        assert_int_equal(a->u.read.offset, b->u.read.offset);
        assert_int_equal(a->u.read.length, b->u.read.length);
        break;

    case V2M_CHANNEL_KEEP:
        assert_int_equal(a->u.keep.offset, b->u.keep.offset);
        break;

    case V2M_CHANNEL_RESTART:
        break;

    case V2M_CHANNEL_PROGRESS:
        assert_int_equal(a->u.progress.phase, b->u.progress.phase);
        assert_int_equal(a->u.progress.percent, b->u.progress.percent);
        break;

    case V2M_CHANNEL_DONE:
        assert_int_equal(a->u.done.samples, b->u.done.samples);
        assert_int_equal(a->u.done.rate, b->u.done.rate);
        assert_int_equal(a->u.done.length, b->u.done.length);
        assert_string_equal(a->u.done.text, b->u.done.text);
        break;

    case V2M_CHANNEL_FAILED:
        assert_int_equal(a->u.failed.fault, b->u.failed.fault);
        assert_string_equal(a->u.failed.text, b->u.failed.text);
        break;
    }
}


/* The raw frame is sent and received as this one, also byte by byte, and is
 * no frame when it is cut short, longer than its type, or of another. */
static inline void
assert_frame(const v2m_channel_frame_t *frame)
{
    size_t              length;
    v2m_channel_side_t  side;
    v2m_channel_frame_t got;

    side = receiver_of(frame->type);

    assert_sends(frame);
    assert_int_equal(receive_raw(side, raw.length, &got), V2M_OK);
    assert_same(&got, frame);

    if (raw.length > 1000) {
        assert_int_equal(receive_raw(side, 4099, &got), V2M_OK);
        assert_same(&got, frame);
        return;
    }

    assert_int_equal(receive_raw(side, 1, &got), V2M_OK);
    assert_same(&got, frame);

    /* the other side must not send it */

    assert_int_equal(receive_raw(side == V2M_CHANNEL_PARENT
                                     ? V2M_CHANNEL_CHILD
                                     : V2M_CHANNEL_PARENT,
                                 raw.length, &got),
                     V2M_CORRUPT);

    /* the sender goes away in its middle */

    for (length = raw.length - 1; length > 0; length--) {
        raw.length = length;
        assert_int_equal(receive_gone(side, &got), V2M_NOT_FOUND);
    }
}

#endif /* CHANNEL_ENDS_H */
