#include "v2m_avio.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <libavformat/version.h>
#include <libavutil/error.h>
#include <libavutil/mem.h>

/* As much as is asked for at a time: small enough for files where a little
 * audio is spread over much video. */
#define V2M_AVIO_BUFFER (64 * 1024)

#if LIBAVFORMAT_VERSION_MAJOR >= 61
typedef const uint8_t v2m_avio_byte_t;
#else
typedef uint8_t v2m_avio_byte_t;
#endif


/* Keeps the reason for whoever called FFmpeg, which only passes a number. */
static int
v2m_avio_fail(v2m_avio_t *avio, const v2m_error_t *error)
{
    if (avio->error.code == V2M_OK) {
        avio->error = *error;
    }

    return AVERROR(EIO);
}


static int
v2m_avio_read(void *opaque, uint8_t *buffer, int length)
{
    size_t      got;
    v2m_avio_t *avio = opaque;
    v2m_error_t error;

    if (avio->error.code != V2M_OK) {
        return AVERROR(EIO);
    }

    if (avio->source.read_at(avio->source.data, avio->offset, buffer,
                             (size_t) length, &got, &error)
        != V2M_OK)
    {
        return v2m_avio_fail(avio, &error);
    }

    avio->offset += (int64_t) got;

    return got == 0 ? AVERROR_EOF : (int) got;
}


static int
v2m_avio_write(void *opaque, v2m_avio_byte_t *buffer, int length)
{
    v2m_avio_t *avio = opaque;
    v2m_error_t error;

    if (avio->error.code != V2M_OK) {
        return AVERROR(EIO);
    }

    if (avio->sink.write_at(avio->sink.data, avio->offset, buffer,
                            (size_t) length, &error)
        != V2M_OK)
    {
        return v2m_avio_fail(avio, &error);
    }

    avio->offset += length;

    if (avio->offset > avio->length) {
        avio->length = avio->offset;
    }

    return length;
}


static int64_t
v2m_avio_seek(void *opaque, int64_t offset, int whence)
{
    v2m_avio_t *avio = opaque;

    switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
        return avio->length;

    case SEEK_SET:
        break;

    case SEEK_CUR:
        offset += avio->offset;
        break;

    case SEEK_END:
        offset += avio->length;
        break;

    default:
        return AVERROR(EINVAL);
    }

    if (offset < 0) {
        return AVERROR(EINVAL);
    }

    avio->offset = offset;

    return offset;
}


static int
v2m_avio_open(v2m_avio_t *avio, int write, v2m_error_t *error)
{
    unsigned char *buffer;

    buffer = av_malloc(V2M_AVIO_BUFFER);

    if (buffer != NULL) {
        avio->context = avio_alloc_context(
            buffer, V2M_AVIO_BUFFER, write, avio, write ? NULL : v2m_avio_read,
            write ? v2m_avio_write : NULL, v2m_avio_seek);
    }

    if (avio->context == NULL) {
        av_free(buffer);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    return V2M_OK;
}


int
v2m_avio_open_source(v2m_avio_t *avio, const v2m_byte_source_t *source,
                     v2m_error_t *error)
{
    memset(avio, 0, sizeof(*avio));
    avio->source = *source;
    avio->length = source->size(source->data);

    return v2m_avio_open(avio, 0, error);
}


int
v2m_avio_open_sink(v2m_avio_t *avio, const v2m_byte_sink_t *sink,
                   v2m_error_t *error)
{
    memset(avio, 0, sizeof(*avio));
    avio->sink = *sink;

    return v2m_avio_open(avio, 1, error);
}


void
v2m_avio_close(v2m_avio_t *avio)
{
    if (avio->context != NULL) {
        av_freep(&avio->context->buffer);
        avio_context_free(&avio->context);
    }
}
