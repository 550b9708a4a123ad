/*
 * The way of MP3 frames that are copied: a title up to a zero byte, a cover of
 * so many bytes as the next one says, and then whatever frames there are in
 * the rest.
 */

#ifndef FUZZ_MP3_H
#define FUZZ_MP3_H

#include "fuzz.h"
#include "transcode.h"
#include "v2m_frames.h"
#include "v2m_mp3.h"
#include "v2m_mpeg.h"

typedef struct {
    fuzz_file_t   file; /* its contract is kept */
    int64_t       place;
    unsigned char xing[V2M_XING_MOST];
    size_t        length;
} fuzz_mp3_t;


static inline int
fuzz_mp3_keep(void *data, int64_t offset, v2m_error_t *error)
{
    fuzz_mp3_t *fuzz = data;

    fuzz->place = offset;

    return fuzz_keep(&fuzz->file, offset, error);
}


/* What is written last, to its place, is the Xing header. */
static inline int
fuzz_mp3_write(void *data, int64_t offset, const unsigned char *bytes,
               size_t length, v2m_error_t *error)
{
    fuzz_mp3_t *fuzz = data;

    if (offset == fuzz->place && fuzz->file.written > offset) {
        FUZZ_CHECK(length <= sizeof(fuzz->xing));
        memcpy(fuzz->xing, bytes, length);
        fuzz->length = length;
    }

    return fuzz_write_at(&fuzz->file, offset, bytes, length, error);
}


static inline size_t
fuzz_mp3_number(const unsigned char *bytes, int bits)
{
    return (size_t) bytes[0] << 3 * bits | (size_t) bytes[1] << 2 * bits
           | (size_t) bytes[2] << bits | bytes[3];
}


/* A player gets from each of the tag's frames to the next one. */
static inline void
fuzz_mp3_tag(const v2m_id3_t *tag)
{
    size_t place, size;

    FUZZ_CHECK(tag->length >= 10 && memcmp(tag->bytes, "ID3\3", 4) == 0);
    FUZZ_CHECK(fuzz_mp3_number(tag->bytes + 6, 7) == tag->length - 10);

    for (place = 10; place + 10 <= tag->length && tag->bytes[place] != 0;
         place += 10 + size)
    {
        size = fuzz_mp3_number(tag->bytes + place + 4, 8);
        FUZZ_CHECK(size > 0 && size <= tag->length - place - 10);
    }

    for (; place < tag->length; place++) {
        FUZZ_CHECK(tag->bytes[place] == 0);
    }
}


static inline void
fuzz_mp3_begin(v2m_id3_t *tag, const uint8_t **bytes, size_t *length)
{
    char       *text, *title;
    size_t      cover;
    v2m_error_t error;

    text = fuzz_text(bytes, length);
    title = v2m_utf8_repair(text);
    FUZZ_CHECK(title != NULL && fuzz_is_utf8(title));
    cover = *length > 0 ? (*bytes)[0] : 0;
    cover = cover < *length ? cover : *length;

    v2m_id3_begin(tag);
    v2m_id3_text(tag, "TIT2", title);
    v2m_id3_picture(tag, "image/png", *bytes, cover);
    FUZZ_CHECK(v2m_id3_end(tag, &error) == V2M_OK);
    fuzz_mp3_tag(tag);

    *bytes += cover;
    *length -= cover;
    free(title);
    free(text);
}


static inline void
fuzz_mp3_frames(v2m_mp3_t *mp3, const uint8_t *bytes, size_t length)
{
    int            delay, padding;
    size_t         i, size;
    v2m_error_t    error;
    v2m_mpeg_t     header;
    v2m_frames_t   frames;
    unsigned char *copy;

    memset(&frames, 0, sizeof(frames));

    for (i = 0; i + V2M_MPEG_HEADER <= length; i += size) {
        size = 1;

        if (!v2m_mpeg_read(bytes + i, &header)
            || (size_t) header.size > length - i) {
            continue;
        }

        size = (size_t) header.size;
        copy = fuzz_copy(bytes + i, size);

        if (!v2m_xing_is(copy, size, &delay, &padding)) {
            FUZZ_CHECK(delay == -1 && padding == -1);
        }

        v2m_frames_take(&frames, copy, size, i % 3 != 0, &error);
        FUZZ_CHECK(v2m_mp3_add(mp3, copy, size, &error) == V2M_OK);
        free(copy);
    }

    v2m_frames_free(&frames);
}


static inline int
fuzz_mp3(const uint8_t *bytes, size_t length)
{
    int              delay, padding;
    v2m_id3_t        tag;
    fuzz_mp3_t       fuzz;
    v2m_error_t      error;
    v2m_byte_sink_t  sink = { &fuzz, fuzz_mp3_keep, fuzz_mp3_write,
                              fuzz_restart };
    static v2m_mp3_t mp3;

    memset(&fuzz, 0, sizeof(fuzz));
    fuzz.file.kept = -1;

    fuzz_mp3_begin(&tag, &bytes, &length);
    FUZZ_CHECK(v2m_mp3_open(&mp3, &sink, &tag, &error) == V2M_OK);
    v2m_id3_free(&tag);

    fuzz_mp3_frames(&mp3, bytes, length);
    FUZZ_CHECK(v2m_mp3_finish(&mp3, 1105, 576, &error) == V2M_OK);
    FUZZ_CHECK(v2m_mp3_length(&mp3) == fuzz.file.written);

    if (mp3.begun) {
        FUZZ_CHECK(v2m_xing_is(fuzz.xing, fuzz.length, &delay, &padding));
        FUZZ_CHECK(delay == 1105 && padding == 576);
    }

    return 0;
}

#endif /* FUZZ_MP3_H */
