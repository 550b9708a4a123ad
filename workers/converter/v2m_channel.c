#include "v2m_channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "v2m_utf8.h"

#define V2M_CHANNEL_HEADER 8

/* The longest payload without the bytes of DATA and WRITE. */
#define V2M_CHANNEL_FIXED (64 + V2M_CHANNEL_TEXT)

#define V2M_CHANNEL_PAYLOAD (V2M_CHANNEL_FIXED + V2M_CHANNEL_RANGE)

struct v2m_channel_s {
    int                 fd;
    v2m_channel_side_t  side;
    v2m_channel_wait_pt wait;
    void               *data;
    unsigned char       payload[V2M_CHANNEL_PAYLOAD];
};

/* A place in a payload; reading beyond the end sets bad. */
typedef struct {
    const unsigned char *pos;
    const unsigned char *end;
    int                  bad;
} v2m_channel_reader_t;

typedef struct {
    unsigned char *pos;
} v2m_channel_writer_t;


int
v2m_channel_create(v2m_channel_t **channel, int fd, v2m_channel_side_t side,
                   v2m_channel_wait_pt wait, void *data, v2m_error_t *error)
{
    v2m_channel_t *p;

    p = malloc(sizeof(*p));
    if (p == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    p->fd = fd;
    p->side = side;
    p->wait = wait;
    p->data = data;

    *channel = p;
    return V2M_OK;
}


void
v2m_channel_destroy(v2m_channel_t *channel)
{
    free(channel);
}


static void
v2m_channel_put(v2m_channel_writer_t *writer, uint64_t value, int bytes)
{
    while (bytes-- > 0) {
        *writer->pos++ = (unsigned char) (value >> (8 * bytes));
    }
}


static void
v2m_channel_put_i32(v2m_channel_writer_t *writer, int32_t value)
{
    v2m_channel_put(writer, (uint32_t) value, 4);
}


static void
v2m_channel_put_i64(v2m_channel_writer_t *writer, int64_t value)
{
    v2m_channel_put(writer, (uint64_t) value, 8);
}


static void
v2m_channel_put_text(v2m_channel_writer_t *writer, const char *text)
{
    size_t length;

    length = strnlen(text, V2M_CHANNEL_TEXT);
    memcpy(writer->pos, text, length);
    writer->pos += length;
}


static uint64_t
v2m_channel_get(v2m_channel_reader_t *reader, int bytes)
{
    uint64_t value;

    if (reader->end - reader->pos < bytes) {
        reader->bad = 1;
        return 0;
    }

    for (value = 0; bytes > 0; bytes--) {
        value = value << 8 | *reader->pos++;
    }

    return value;
}


/* Takes a number that must be within the bounds given. */
static int64_t
v2m_channel_get_number(v2m_channel_reader_t *reader, int bytes, int64_t minimum,
                       int64_t maximum)
{
    int64_t  value;
    uint64_t bits;

    bits = v2m_channel_get(reader, bytes);
    value = bytes == 4 ? (int64_t) (int32_t) (uint32_t) bits : (int64_t) bits;

    if (value < minimum || value > maximum) {
        reader->bad = 1;
        return minimum;
    }

    return value;
}


static int32_t
v2m_channel_get_i32(v2m_channel_reader_t *reader, int32_t minimum,
                    int32_t maximum)
{
    return (int32_t) v2m_channel_get_number(reader, 4, minimum, maximum);
}


static int64_t
v2m_channel_get_i64(v2m_channel_reader_t *reader, int64_t minimum)
{
    return v2m_channel_get_number(reader, 8, minimum, INT64_MAX);
}


/* The length of the character at the text if it is fit to be shown, else 0. */
static size_t
v2m_channel_printable(const unsigned char *text, size_t length)
{
    size_t n;

    n = v2m_utf8_character(text, length);

    /* the control characters: C0, DEL and C1 */
    if ((n == 1 && (text[0] < 0x20 || text[0] == 0x7f))
        || (n == 2 && text[0] == 0xc2 && text[1] < 0xa0))
    {
        return 0;
    }

    return n;
}


/* Takes the rest of the payload as text; what is not fit for a log or a mail
 * becomes a question mark. */
static void
v2m_channel_get_text(v2m_channel_reader_t *reader,
                     char                  text[V2M_CHANNEL_TEXT + 1])
{
    size_t left, n;

    left = (size_t) (reader->end - reader->pos);

    if (left > V2M_CHANNEL_TEXT) {
        reader->bad = 1;
        left = 0;
    }

    while (left > 0) {
        n = v2m_channel_printable(reader->pos, left);

        if (n == 0) {
            *text++ = '?';
            n = 1;

        } else {
            memcpy(text, reader->pos, n);
            text += n;
        }

        reader->pos += n;
        left -= n;
    }

    *text = '\0';
}


static void
v2m_channel_put_start(v2m_channel_writer_t      *writer,
                      const v2m_channel_frame_t *frame)
{
    const v2m_options_t *options;

    options = &frame->u.start.options;

    v2m_channel_put_i32(writer, options->bitrate);
    v2m_channel_put_i32(writer, options->quality);
    v2m_channel_put_i32(writer, options->track);
    v2m_channel_put_i64(writer, options->start_ms);
    v2m_channel_put_i64(writer, options->end_ms);
    v2m_channel_put_i32(writer, options->samplerate);
    v2m_channel_put_i32(writer, options->channels);
    v2m_channel_put_i32(writer, options->loudness);
    v2m_channel_put_i64(writer, frame->u.start.length);
    v2m_channel_put_i32(writer, frame->u.start.threads);
}


/* Ranges are checked by v2m_options_check(); here they only must be those of
 * an option that is or is not given. */
static void
v2m_channel_get_start(v2m_channel_reader_t *reader, v2m_channel_frame_t *frame)
{
    v2m_options_t *options;

    options = &frame->u.start.options;

    options->bitrate = v2m_channel_get_i32(reader, -1, INT32_MAX);
    options->quality = v2m_channel_get_i32(reader, -1, INT32_MAX);
    options->track = v2m_channel_get_i32(reader, -1, INT32_MAX);
    options->start_ms = v2m_channel_get_i64(reader, -1);
    options->end_ms = v2m_channel_get_i64(reader, -1);
    options->samplerate = v2m_channel_get_i32(reader, -1, INT32_MAX);
    options->channels = v2m_channel_get_i32(reader, -1, INT32_MAX);
    options->loudness = v2m_channel_get_i32(reader, -1, INT32_MAX);
    frame->u.start.length = v2m_channel_get_i64(reader, 0);
    frame->u.start.threads = v2m_channel_get_i32(reader, 1, 1024);
}


static void
v2m_channel_put_fields(v2m_channel_writer_t      *writer,
                       const v2m_channel_frame_t *frame)
{
    switch (frame->type) {
    case V2M_CHANNEL_START:
        v2m_channel_put_start(writer, frame);
        break;

    case V2M_CHANNEL_DATA:
    case V2M_CHANNEL_WRITE:
        v2m_channel_put_i64(writer, frame->u.data.offset);
        break;

    case V2M_CHANNEL_READ:
        v2m_channel_put_i64(writer, frame->u.read.offset);
        v2m_channel_put_i32(writer, frame->u.read.length);
        break;

    case V2M_CHANNEL_KEEP:
        v2m_channel_put_i64(writer, frame->u.keep.offset);
        break;

    case V2M_CHANNEL_RESTART:
        break;

    case V2M_CHANNEL_PROGRESS:
        v2m_channel_put_i32(writer, (int32_t) frame->u.progress.phase);
        v2m_channel_put_i32(writer, frame->u.progress.percent);
        break;

    case V2M_CHANNEL_DONE:
        v2m_channel_put_i64(writer, frame->u.done.samples);
        v2m_channel_put_i32(writer, frame->u.done.rate);
        v2m_channel_put_i64(writer, frame->u.done.length);
        v2m_channel_put_text(writer, frame->u.done.text);
        break;

    case V2M_CHANNEL_FAILED:
        v2m_channel_put_i32(writer, (int32_t) frame->u.failed.fault);
        v2m_channel_put_text(writer, frame->u.failed.text);
        break;
    }
}


static void
v2m_channel_get_data(v2m_channel_reader_t *reader, v2m_channel_frame_t *frame)
{
    size_t minimum;

    minimum = frame->type == V2M_CHANNEL_WRITE;

    frame->u.data.offset = v2m_channel_get_i64(reader, 0);
    frame->u.data.bytes = reader->pos;
    frame->u.data.length = (size_t) (reader->end - reader->pos);
    reader->pos = reader->end;

    if (frame->u.data.length < minimum
        || frame->u.data.length > V2M_CHANNEL_RANGE
        || frame->u.data.offset > INT64_MAX - V2M_CHANNEL_RANGE)
    {
        reader->bad = 1;
    }
}


static void
v2m_channel_get_fields(v2m_channel_reader_t *reader, v2m_channel_frame_t *frame)
{
    switch (frame->type) {
    case V2M_CHANNEL_START:
        v2m_channel_get_start(reader, frame);
        break;

    case V2M_CHANNEL_DATA:
    case V2M_CHANNEL_WRITE:
        v2m_channel_get_data(reader, frame);
        break;

    case V2M_CHANNEL_READ:
        frame->u.read.offset = v2m_channel_get_i64(reader, 0);
        frame->u.read.length =
            v2m_channel_get_i32(reader, 1, V2M_CHANNEL_RANGE);
        break;

    case V2M_CHANNEL_KEEP:
        frame->u.keep.offset =
            v2m_channel_get_number(reader, 8, 0, INT64_MAX - V2M_CHANNEL_KEPT);
        break;

    case V2M_CHANNEL_RESTART:
        break;

    case V2M_CHANNEL_PROGRESS:
        frame->u.progress.phase = (v2m_channel_phase_t) v2m_channel_get_i32(
            reader, V2M_CHANNEL_COPYING, V2M_CHANNEL_ENCODING);
        frame->u.progress.percent = v2m_channel_get_i32(reader, -1, 100);
        break;

    case V2M_CHANNEL_DONE:
        frame->u.done.samples = v2m_channel_get_i64(reader, 0);
        frame->u.done.rate = v2m_channel_get_i32(reader, 1, 1000000);
        frame->u.done.length = v2m_channel_get_i64(reader, 0);
        v2m_channel_get_text(reader, frame->u.done.text);
        break;

    case V2M_CHANNEL_FAILED:
        frame->u.failed.fault = (v2m_channel_fault_t) v2m_channel_get_i32(
            reader, V2M_CHANNEL_FAULT_FILE, V2M_CHANNEL_FAULT_OURS);
        v2m_channel_get_text(reader, frame->u.failed.text);
        break;
    }
}


static int
v2m_channel_may_send(v2m_channel_side_t side, uint64_t type)
{
    if (side == V2M_CHANNEL_PARENT) {
        return type == V2M_CHANNEL_START || type == V2M_CHANNEL_DATA;
    }

    return type >= V2M_CHANNEL_READ && type <= V2M_CHANNEL_FAILED;
}


/* Waits until the descriptor may be ready. */
static int
v2m_channel_wait(v2m_channel_t *channel, short events, v2m_error_t *error)
{
    int           rc;
    struct pollfd pollfd;

    if (channel->wait != NULL) {
        rc = channel->wait(channel->data, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    pollfd.fd = channel->fd;
    pollfd.events = events;

    rc = poll(&pollfd, 1, channel->wait != NULL ? V2M_CHANNEL_TICK_MS : -1);

    if (rc == -1 && errno != EINTR) {
        return v2m_error_set(error, V2M_ERROR, "poll() failed: %s",
                             strerror(errno));
    }

    return V2M_OK;
}


static int
v2m_channel_gone(v2m_error_t *error)
{
    return v2m_error_set(error, V2M_NOT_FOUND,
                         "the other end of the channel is gone");
}


int
v2m_channel_send(v2m_channel_t *channel, const v2m_channel_frame_t *frame,
                 v2m_error_t *error)
{
    int                  rc;
    size_t               length;
    ssize_t              n;
    struct iovec         iov[2];
    struct msghdr        message;
    unsigned char        head[V2M_CHANNEL_HEADER + V2M_CHANNEL_FIXED];
    v2m_channel_writer_t writer;

    memset(&message, 0, sizeof(message));
    memset(iov, 0, sizeof(iov));
    message.msg_iov = iov;
    message.msg_iovlen = 2;

    if (frame->type == V2M_CHANNEL_DATA || frame->type == V2M_CHANNEL_WRITE) {
        iov[1].iov_base = (void *) frame->u.data.bytes;
        iov[1].iov_len = frame->u.data.length;
    }

    if (!v2m_channel_may_send(channel->side, frame->type)
        || iov[1].iov_len > V2M_CHANNEL_RANGE)
    {
        return v2m_error_set(error, V2M_INVALID, "not a frame to send");
    }

    writer.pos = head + V2M_CHANNEL_HEADER;
    v2m_channel_put_fields(&writer, frame);
    iov[0].iov_base = head;
    iov[0].iov_len = (size_t) (writer.pos - head);
    length = iov[0].iov_len + iov[1].iov_len;

    writer.pos = head;
    v2m_channel_put(&writer, frame->type, 4);
    v2m_channel_put(&writer, length - V2M_CHANNEL_HEADER, 4);

    while (length > 0) {
        n = sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n == -1 && errno == EAGAIN) {
            rc = v2m_channel_wait(channel, POLLOUT, error);
            if (rc != V2M_OK) {
                return rc;
            }

            continue;
        }

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            return v2m_channel_gone(error);
        }

        length -= (size_t) n;

        if ((size_t) n <= iov[0].iov_len) {
            iov[0].iov_base = (unsigned char *) iov[0].iov_base + n;
            iov[0].iov_len -= (size_t) n;

        } else {
            n -= (ssize_t) iov[0].iov_len;
            iov[0].iov_len = 0;
            iov[1].iov_base = (unsigned char *) iov[1].iov_base + n;
            iov[1].iov_len -= (size_t) n;
        }
    }

    return V2M_OK;
}


/* Takes exactly that many bytes. */
static int
v2m_channel_take(v2m_channel_t *channel, unsigned char *buffer, size_t length,
                 v2m_error_t *error)
{
    int     rc;
    ssize_t n;

    while (length > 0) {
        n = recv(channel->fd, buffer, length, MSG_DONTWAIT);

        if (n > 0) {
            buffer += n;
            length -= (size_t) n;
            continue;
        }

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == 0 || errno != EAGAIN) {
            return v2m_channel_gone(error);
        }

        rc = v2m_channel_wait(channel, POLLIN, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    return V2M_OK;
}


int
v2m_channel_receive(v2m_channel_t *channel, v2m_channel_frame_t *frame,
                    v2m_error_t *error)
{
    int                  rc;
    uint64_t             type, length;
    unsigned char        head[V2M_CHANNEL_HEADER];
    v2m_channel_side_t   other;
    v2m_channel_reader_t reader;

    rc = v2m_channel_take(channel, head, sizeof(head), error);
    if (rc != V2M_OK) {
        return rc;
    }

    memset(&reader, 0, sizeof(reader));
    reader.pos = head;
    reader.end = head + sizeof(head);
    type = v2m_channel_get(&reader, 4);
    length = v2m_channel_get(&reader, 4);

    other = channel->side == V2M_CHANNEL_PARENT ? V2M_CHANNEL_CHILD
                                                : V2M_CHANNEL_PARENT;

    if (!v2m_channel_may_send(other, type) || length > V2M_CHANNEL_PAYLOAD) {
        return v2m_error_set(error, V2M_CORRUPT,
                             "a frame of type %u and length %u came",
                             (unsigned) type, (unsigned) length);
    }

    rc = v2m_channel_take(channel, channel->payload, length, error);
    if (rc != V2M_OK) {
        return rc;
    }

    frame->type = (v2m_channel_type_t) type;
    reader.pos = channel->payload;
    reader.end = channel->payload + length;
    v2m_channel_get_fields(&reader, frame);

    if (reader.bad || reader.pos != reader.end) {
        return v2m_error_set(error, V2M_CORRUPT,
                             "a malformed frame of type %u came",
                             (unsigned) type);
    }

    return V2M_OK;
}
