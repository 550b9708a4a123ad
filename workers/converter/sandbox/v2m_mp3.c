#include "v2m_mp3.h"

#include <string.h>


static int
v2m_mp3_flush(v2m_mp3_t *mp3, v2m_error_t *error)
{
    int rc;

    if (mp3->used == 0) {
        return V2M_OK;
    }

    rc = mp3->sink.write_at(mp3->sink.data, mp3->length, mp3->buffer, mp3->used,
                            error);
    mp3->length += (int64_t) mp3->used;
    mp3->used = 0;

    return rc;
}


static int
v2m_mp3_put(v2m_mp3_t *mp3, const unsigned char *bytes, size_t length,
            v2m_error_t *error)
{
    int    rc;
    size_t n;

    while (length > 0) {
        if (mp3->used == V2M_MP3_BUFFER) {
            rc = v2m_mp3_flush(mp3, error);
            if (rc != V2M_OK) {
                return rc;
            }
        }

        n = V2M_MP3_BUFFER - mp3->used;
        n = n < length ? n : length;
        memcpy(mp3->buffer + mp3->used, bytes, n);
        mp3->used += n;
        bytes += n;
        length -= n;
    }

    return V2M_OK;
}


int
v2m_mp3_open(v2m_mp3_t *mp3, const v2m_byte_sink_t *sink, const v2m_id3_t *tag,
             v2m_error_t *error)
{
    int rc;

    mp3->sink = *sink;
    mp3->length = 0;
    mp3->begun = 0;
    mp3->used = 0;
    mp3->header = (int64_t) tag->length;

    rc = sink->keep(sink->data, mp3->header, error);

    return rc == V2M_OK ? v2m_mp3_put(mp3, tag->bytes, tag->length, error) : rc;
}


/* Leaves the room for the frame with the Xing header. */
static int
v2m_mp3_begin(v2m_mp3_t *mp3, const unsigned char *frame, v2m_error_t *error)
{
    static const unsigned char room[V2M_XING_MOST];

    mp3->begun = 1;
    v2m_xing_begin(&mp3->xing, frame);

    return v2m_mp3_put(mp3, room, (size_t) mp3->xing.format.size, error);
}


int
v2m_mp3_add(void *data, const unsigned char *frame, size_t length,
            v2m_error_t *error)
{
    int        rc;
    v2m_mp3_t *mp3 = data;

    if (!mp3->begun) {
        rc = v2m_mp3_begin(mp3, frame, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    v2m_xing_add(&mp3->xing, frame, length);

    return v2m_mp3_put(mp3, frame, length, error);
}


int64_t
v2m_mp3_length(const v2m_mp3_t *mp3)
{
    return mp3->length + (int64_t) mp3->used;
}


int
v2m_mp3_finish(v2m_mp3_t *mp3, int delay, int padding, v2m_error_t *error)
{
    int           rc;
    unsigned char header[V2M_XING_MOST];

    rc = v2m_mp3_flush(mp3, error);

    if (rc != V2M_OK || !mp3->begun) {
        return rc;
    }

    v2m_xing_write(&mp3->xing, delay, padding, header);

    return mp3->sink.write_at(mp3->sink.data, mp3->header, header,
                              (size_t) mp3->xing.format.size, error);
}
