#include "v2m_remote.h"

#include <string.h>


static int64_t
v2m_remote_size(void *data)
{
    v2m_remote_t *remote = data;

    return remote->length;
}


static int
v2m_remote_read_at(void *data, int64_t offset, unsigned char *buffer,
                   size_t length, size_t *got, v2m_error_t *error)
{
    int                 rc;
    v2m_remote_t       *remote = data;
    v2m_channel_frame_t frame;

    *got = 0;

    if (offset < 0 || offset >= remote->length || length == 0) {
        return V2M_OK;
    }

    if (length > V2M_CHANNEL_RANGE) {
        length = V2M_CHANNEL_RANGE;
    }

    frame.type = V2M_CHANNEL_READ;
    frame.u.read.offset = offset;
    frame.u.read.length = (int32_t) length;

    rc = v2m_channel_send(remote->channel, &frame, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_channel_receive(remote->channel, &frame, error);
    if (rc != V2M_OK) {
        return rc;
    }

    if (frame.type != V2M_CHANNEL_DATA || frame.u.data.offset != offset
        || frame.u.data.length > length)
    {
        return v2m_error_set(error, V2M_CORRUPT,
                             "the parent's answer is not to the question");
    }

    memcpy(buffer, frame.u.data.bytes, frame.u.data.length);
    *got = frame.u.data.length;

    return V2M_OK;
}


static int
v2m_remote_write_at(void *data, int64_t offset, const unsigned char *bytes,
                    size_t length, v2m_error_t *error)
{
    int                 rc;
    size_t              n;
    v2m_remote_t       *remote = data;
    v2m_channel_frame_t frame;

    while (length > 0) {
        n = length < V2M_CHANNEL_RANGE ? length : V2M_CHANNEL_RANGE;

        frame.type = V2M_CHANNEL_WRITE;
        frame.u.data.offset = offset;
        frame.u.data.bytes = bytes;
        frame.u.data.length = n;

        rc = v2m_channel_send(remote->channel, &frame, error);
        if (rc != V2M_OK) {
            return rc;
        }

        offset += (int64_t) n;
        bytes += n;
        length -= n;
    }

    return V2M_OK;
}


static int
v2m_remote_keep(void *data, int64_t offset, v2m_error_t *error)
{
    v2m_remote_t       *remote = data;
    v2m_channel_frame_t frame;

    frame.type = V2M_CHANNEL_KEEP;
    frame.u.keep.offset = offset;

    return v2m_channel_send(remote->channel, &frame, error);
}


static int
v2m_remote_restart(void *data, v2m_error_t *error)
{
    v2m_remote_t       *remote = data;
    v2m_channel_frame_t frame;

    frame.type = V2M_CHANNEL_RESTART;

    return v2m_channel_send(remote->channel, &frame, error);
}


void
v2m_remote_source(v2m_remote_t *remote, v2m_byte_source_t *source)
{
    source->data = remote;
    source->size = v2m_remote_size;
    source->read_at = v2m_remote_read_at;
}


void
v2m_remote_sink(v2m_remote_t *remote, v2m_byte_sink_t *sink)
{
    sink->data = remote;
    sink->keep = v2m_remote_keep;
    sink->write_at = v2m_remote_write_at;
    sink->restart = v2m_remote_restart;
}


int
v2m_remote_progress(void *data, v2m_channel_phase_t phase, int percent,
                    v2m_error_t *error)
{
    v2m_remote_t       *remote = data;
    v2m_channel_frame_t frame;

    frame.type = V2M_CHANNEL_PROGRESS;
    frame.u.progress.phase = phase;
    frame.u.progress.percent = percent;

    return v2m_channel_send(remote->channel, &frame, error);
}
