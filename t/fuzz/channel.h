/*
 * Frames between the converter and its child.  The first byte says who
 * receives; what was received can be sent, and received again.
 */

#ifndef FUZZ_CHANNEL_H
#define FUZZ_CHANNEL_H

#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "v2m_channel.h"

#define FUZZ_CHANNEL_MOST 65536 /* bytes that a socket surely holds */


/* Nothing is to be waited for. */
static inline int
fuzz_channel_wait(void *data, v2m_error_t *error)
{
    (void) data;

    return v2m_error_set(error, V2M_UNAVAILABLE, "nothing came");
}


static inline void
fuzz_channel_frame(const v2m_channel_frame_t *frame)
{
    switch (frame->type) {
    case V2M_CHANNEL_DATA:
    case V2M_CHANNEL_WRITE:
        FUZZ_CHECK(frame->u.data.offset >= 0);
        FUZZ_CHECK(frame->u.data.length <= V2M_CHANNEL_RANGE);
        break;

    case V2M_CHANNEL_READ:
        FUZZ_CHECK(frame->u.read.offset >= 0);
        FUZZ_CHECK(frame->u.read.length >= 1
                   && frame->u.read.length <= V2M_CHANNEL_RANGE);
        break;

    case V2M_CHANNEL_DONE:
        FUZZ_CHECK(fuzz_is_utf8(frame->u.done.text));
        FUZZ_CHECK(!fuzz_has_controls(frame->u.done.text));
        break;

    case V2M_CHANNEL_FAILED:
        FUZZ_CHECK(fuzz_is_utf8(frame->u.failed.text));
        FUZZ_CHECK(!fuzz_has_controls(frame->u.failed.text));
        break;

    default:
        break;
    }
}


static inline void
fuzz_channel_again(const v2m_channel_frame_t *frame, v2m_channel_side_t sender)
{
    int                 i, fds[2];
    v2m_error_t         error;
    v2m_channel_t      *ends[2];
    v2m_channel_frame_t again;

    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);

    for (i = 0; i < 2; i++) {
        FUZZ_CHECK(v2m_channel_create(&ends[i], fds[i],
                                      i == 0 ? sender
                                      : sender == V2M_CHANNEL_PARENT
                                          ? V2M_CHANNEL_CHILD
                                          : V2M_CHANNEL_PARENT,
                                      fuzz_channel_wait, NULL, &error)
                   == V2M_OK);
    }

    FUZZ_CHECK(v2m_channel_send(ends[0], frame, &error) == V2M_OK);
    FUZZ_CHECK(v2m_channel_receive(ends[1], &again, &error) == V2M_OK);
    FUZZ_CHECK(again.type == frame->type);

    for (i = 0; i < 2; i++) {
        v2m_channel_destroy(ends[i]);
        close(fds[i]);
    }
}


static inline int
fuzz_channel(const uint8_t *bytes, size_t length)
{
    int                 rc, fds[2];
    v2m_error_t         error;
    v2m_channel_t      *channel;
    v2m_channel_side_t  side, other;
    v2m_channel_frame_t frame;

    if (length == 0 || length > FUZZ_CHANNEL_MOST) {
        return 0;
    }

    side = bytes[0] & 1 ? V2M_CHANNEL_PARENT : V2M_CHANNEL_CHILD;
    other = bytes[0] & 1 ? V2M_CHANNEL_CHILD : V2M_CHANNEL_PARENT;

    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    FUZZ_CHECK(v2m_channel_create(&channel, fds[0], side, fuzz_channel_wait,
                                  NULL, &error)
               == V2M_OK);
    FUZZ_CHECK(send(fds[1], bytes + 1, length - 1, MSG_DONTWAIT)
               == (ssize_t) length - 1);

    while ((rc = v2m_channel_receive(channel, &frame, &error)) == V2M_OK) {
        fuzz_channel_frame(&frame);
        fuzz_channel_again(&frame, other);
    }

    FUZZ_CHECK(rc == V2M_CORRUPT || rc == V2M_UNAVAILABLE);

    v2m_channel_destroy(channel);
    close(fds[0]);
    close(fds[1]);

    return 0;
}

#endif /* FUZZ_CHANNEL_H */
