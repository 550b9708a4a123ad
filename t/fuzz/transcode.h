/*
 * One input of the transcoder, in this process: whatever the bytes are, it
 * ends with an MP3 or with a reason.
 */

#ifndef FUZZ_TRANSCODE_H
#define FUZZ_TRANSCODE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <libavutil/log.h>

#include "v2m_transcoding.h"

typedef struct {
    const uint8_t *bytes;
    size_t         length;
    int64_t        written;
    int64_t        kept;
} fuzz_file_t;


static inline int64_t
fuzz_size(void *data)
{
    return (int64_t) ((fuzz_file_t *) data)->length;
}


static inline int
fuzz_read_at(void *data, int64_t offset, unsigned char *buffer, size_t length,
             size_t *got, v2m_error_t *error)
{
    size_t       left;
    fuzz_file_t *file = data;

    (void) error;

    left = offset < (int64_t) file->length ? file->length - (size_t) offset : 0;
    *got = length < left ? length : left;

    if (*got > 0) {
        memcpy(buffer, file->bytes + offset, *got);
    }

    return V2M_OK;
}


static inline int
fuzz_keep(void *data, int64_t offset, v2m_error_t *error)
{
    fuzz_file_t *file = data;

    (void) error;

    if (file->kept != -1 || offset < file->written) {
        abort();
    }

    file->kept = offset;

    return V2M_OK;
}


/* The contract of v2m_byte_sink_t, which the parent relies on. */
static inline int
fuzz_write_at(void *data, int64_t offset, const unsigned char *bytes,
              size_t length, v2m_error_t *error)
{
    fuzz_file_t *file = data;

    (void) bytes;
    (void) error;

    if (offset == file->written) {
        file->written += (int64_t) length;

    } else if (file->kept == -1 || offset < file->kept
               || offset + (int64_t) length > file->written
               || offset + (int64_t) length > file->kept + V2M_CHANNEL_KEPT)
    {
        abort();
    }

    return V2M_OK;
}


static inline int
fuzz_restart(void *data, v2m_error_t *error)
{
    fuzz_file_t *file = data;

    (void) error;

    file->written = 0;
    file->kept = -1;

    return V2M_OK;
}


static inline int
fuzz_progress(void *data, v2m_channel_phase_t phase, int percent,
              v2m_error_t *error)
{
    (void) data;
    (void) error;

    if (phase < V2M_CHANNEL_COPYING || phase > V2M_CHANNEL_ENCODING
        || percent < -1 || percent > 99)
    {
        abort();
    }

    return V2M_OK;
}


/* The length decides on the options, so that one input always has the same
 * ones. */
static inline int
fuzz_transcode(const uint8_t *bytes, size_t length)
{
    int               rc;
    fuzz_file_t       file = { bytes, length, 0, -1 };
    v2m_error_t       error;
    v2m_transcoded_t  transcoded;
    v2m_transcoding_t transcoding;

    av_log_set_level(AV_LOG_QUIET);
    memset(&transcoding, 0, sizeof(transcoding));
    transcoding.source = (v2m_byte_source_t){ &file, fuzz_size, fuzz_read_at };
    transcoding.sink =
        (v2m_byte_sink_t){ &file, fuzz_keep, fuzz_write_at, fuzz_restart };
    transcoding.threads = 1;
    transcoding.progress = fuzz_progress;
    v2m_options_init(&transcoding.options);

    switch (length % 4) {
    case 1:
        transcoding.options.start_ms = 50;
        transcoding.options.end_ms = 12000;
        break;

    case 2:
        transcoding.options.loudness = 160;
        break;

    case 3:
        transcoding.options.start_ms = 11000;
        transcoding.options.bitrate = 64;
        break;
    }

    rc = v2m_transcode(&transcoding, &transcoded, &error);

    if (rc != V2M_OK && rc != V2M_INVALID) {
        fprintf(stderr, "%s: %s\n", v2m_error_name(rc), error.text);
        abort();
    }

    if (rc == V2M_OK && transcoded.length != file.written) {
        abort();
    }

    return 0;
}

#endif /* FUZZ_TRANSCODE_H */
