/*
 * The reader of multipart/form-data.  The input is a number, the Content-Type
 * up to a newline, and the body; the number decides where the body is cut,
 * which must make no difference.
 */

#ifndef FUZZ_MULTIPART_H
#define FUZZ_MULTIPART_H

#include "fuzz.h"
#include "v2m_multipart.h"

typedef struct {
    v2m_multipart_t reader;
    int             in_part;
    int             ended; /* failed, or the closing boundary was read */
    uint64_t        seen;  /* a hash of all events */
} fuzz_multipart_t;


static inline void
fuzz_multipart_see(fuzz_multipart_t *fuzz, const void *bytes, size_t length)
{
    size_t               i;
    const unsigned char *p = bytes;

    for (i = 0; i < length; i++) {
        fuzz->seen = (fuzz->seen ^ p[i]) * UINT64_C(1099511628211);
    }
}


static inline void
fuzz_multipart_event(fuzz_multipart_t *fuzz, v2m_multipart_event_t event)
{
    v2m_multipart_t *reader = &fuzz->reader;

    FUZZ_CHECK(event >= V2M_MULTIPART_PART && event <= V2M_MULTIPART_DONE);
    FUZZ_CHECK(fuzz->in_part
               == (event == V2M_MULTIPART_DATA || event == V2M_MULTIPART_END));

    if (event == V2M_MULTIPART_DATA) {
        FUZZ_CHECK(reader->length > 0);
        fuzz_multipart_see(fuzz, reader->data, reader->length);
        return;
    }

    fuzz_multipart_see(fuzz, &event, sizeof(event));
    fuzz->in_part = event == V2M_MULTIPART_PART;
    fuzz->ended = event == V2M_MULTIPART_DONE;

    if (fuzz->in_part) {
        FUZZ_CHECK(fuzz_is_utf8(reader->filename));
        FUZZ_CHECK(strchr(reader->filename, '/') == NULL);
        FUZZ_CHECK(!fuzz_has_controls(reader->filename));
        fuzz_multipart_see(fuzz, reader->name, strlen(reader->name) + 1);
        fuzz_multipart_see(fuzz, reader->filename,
                           strlen(reader->filename) + 1);
    }
}


static inline void
fuzz_multipart_piece(fuzz_multipart_t *fuzz, const uint8_t *bytes,
                     size_t length)
{
    unsigned char        *piece;
    v2m_error_t           error;
    const unsigned char  *position, *before;
    v2m_multipart_event_t event;

    piece = fuzz_copy(bytes, length);
    position = piece;

    while (!fuzz->ended) {
        before = position;

        if (v2m_multipart_read(&fuzz->reader, &position, piece + length, &event,
                               &error)
            != V2M_OK)
        {
            FUZZ_CHECK(error.code == V2M_INVALID);
            fuzz_multipart_see(fuzz, error.text, strlen(error.text));
            fuzz->ended = 1;
            break;
        }

        FUZZ_CHECK(position >= before && position <= piece + length);

        if (event == V2M_MULTIPART_MORE) {
            FUZZ_CHECK(position == piece + length);
            break;
        }

        fuzz_multipart_event(fuzz, event);
    }

    free(piece);
}


/* Pieces of 1 to most bytes. */
static inline uint64_t
fuzz_multipart_cut(const char *type, size_t type_length, const uint8_t *body,
                   size_t length, unsigned most)
{
    int              rc;
    unsigned         seed;
    size_t           piece;
    v2m_error_t      error;
    fuzz_multipart_t fuzz;

    memset(&fuzz, 0xA5, sizeof(fuzz));
    fuzz.in_part = 0;
    fuzz.ended = 0;
    fuzz.seen = 0;

    rc = v2m_multipart_init(&fuzz.reader, type, type_length, &error);
    if (rc != V2M_OK) {
        FUZZ_CHECK(rc == V2M_INVALID || rc == V2M_NOT_FOUND);
        return 0;
    }

    seed = most;

    while (length > 0 && !fuzz.ended) {
        seed = seed * 1664525 + 1013904223;
        piece = most == 0 ? length : 1 + (seed >> 16) % most;
        piece = piece < length ? piece : length;
        fuzz_multipart_piece(&fuzz, body, piece);
        body += piece;
        length -= piece;
    }

    return fuzz.seen;
}


static inline int
fuzz_multipart(const uint8_t *bytes, size_t length)
{
    char          *type;
    unsigned       most;
    size_t         type_length;
    const uint8_t *body;

    if (length < 2 || (body = memchr(bytes + 1, '\n', length - 1)) == NULL) {
        return 0;
    }

    most = 1 + bytes[0] % 64;
    type_length = (size_t) (body - bytes) - 1;
    type = fuzz_copy(bytes + 1, type_length);
    body++;
    length -= type_length + 2;

    FUZZ_CHECK(fuzz_multipart_cut(type, type_length, body, length, 0)
               == fuzz_multipart_cut(type, type_length, body, length, most));
    free(type);

    return 0;
}

#endif /* FUZZ_MULTIPART_H */
