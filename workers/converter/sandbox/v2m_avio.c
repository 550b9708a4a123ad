#include "v2m_avio.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <libavutil/error.h>
#include <libavutil/mem.h>

/* As much as is asked for at a time: small enough for files where a little
 * audio is spread over much video. */
#define V2M_AVIO_BUFFER (64 * 1024)


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


int
v2m_avio_open(v2m_avio_t *avio, const v2m_byte_source_t *source,
              v2m_error_t *error)
{
    unsigned char *buffer;

    memset(avio, 0, sizeof(*avio));
    avio->source = *source;
    avio->length = source->size(source->data);

    buffer = av_malloc(V2M_AVIO_BUFFER);

    if (buffer != NULL) {
        avio->context = avio_alloc_context(buffer, V2M_AVIO_BUFFER, 0, avio,
                                           v2m_avio_read, NULL, v2m_avio_seek);
    }

    if (avio->context == NULL) {
        av_free(buffer);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    return V2M_OK;
}


void
v2m_avio_close(v2m_avio_t *avio)
{
    if (avio->context != NULL) {
        av_freep(&avio->context->buffer);
        avio_context_free(&avio->context);
    }
}
