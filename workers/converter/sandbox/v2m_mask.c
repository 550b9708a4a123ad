#include "v2m_mask.h"

#include <string.h>

/* Boxes looked at within one: a file with more of them is nonsense. */
#define V2M_MASK_BOXES 256

/* Pieces of text in a track that stays: it may hold the chapters. */
#define V2M_MASK_TEXTS 1000

#define V2M_MASK_HEADER      8
#define V2M_MASK_LONG_HEADER 16

/* Where in a handler's box the type of its track is. */
#define V2M_MASK_HANDLER 8

/* What boxes that are to be passed over are called. */
static const unsigned char v2m_mask_hidden[] = { 's', 'k', 'i', 'p' };

typedef struct {
    char    type[4];
    int64_t start;
    int64_t body;
    int64_t end;
} v2m_mask_box_t;


/* Reads that many bytes; *found is 0 when there are not so many. */
static int
v2m_mask_read(const v2m_byte_source_t *source, int64_t offset,
              unsigned char *bytes, size_t length, int *found,
              v2m_error_t *error)
{
    int    rc;
    size_t got;

    *found = 0;

    while (length > 0) {
        rc = source->read_at(source->data, offset, bytes, length, &got, error);

        if (rc != V2M_OK || got == 0) {
            return rc;
        }

        offset += (int64_t) got;
        bytes += got;
        length -= got;
    }

    *found = 1;

    return V2M_OK;
}


static uint64_t
v2m_mask_number(const unsigned char *bytes, int length)
{
    int      i;
    uint64_t value;

    for (i = 0, value = 0; i < length; i++) {
        value = value << 8 | bytes[i];
    }

    return value;
}


/* The box at the offset; *found is 0 when that is none that ends within the
 * one around it. */
static int
v2m_mask_box(const v2m_byte_source_t *source, int64_t offset, int64_t end,
             v2m_mask_box_t *box, int *found, v2m_error_t *error)
{
    int           rc;
    uint64_t      size;
    unsigned char header[V2M_MASK_LONG_HEADER];

    rc = v2m_mask_read(source, offset, header, V2M_MASK_HEADER, found, error);
    if (rc != V2M_OK || !*found) {
        return rc;
    }

    memcpy(box->type, header + 4, sizeof(box->type));
    box->start = offset;
    box->body = offset + V2M_MASK_HEADER;
    size = v2m_mask_number(header, 4);

    if (size == 1) {
        rc =
            v2m_mask_read(source, box->body, header + V2M_MASK_HEADER,
                          V2M_MASK_LONG_HEADER - V2M_MASK_HEADER, found, error);
        if (rc != V2M_OK || !*found) {
            return rc;
        }

        box->body = offset + V2M_MASK_LONG_HEADER;
        size = v2m_mask_number(header + V2M_MASK_HEADER, 8);
    }

    *found = size >= (uint64_t) (box->body - offset) && size <= (uint64_t) end
             && (int64_t) size <= end - offset;
    box->end = *found ? offset + (int64_t) size : end;

    return V2M_OK;
}


/* Finds the first box of that type within another. */
static int
v2m_mask_find(const v2m_byte_source_t *source, const v2m_mask_box_t *within,
              const char *type, v2m_mask_box_t *box, int *found,
              v2m_error_t *error)
{
    int     i, rc;
    int64_t offset;

    offset = within->body;
    *found = 0;

    for (i = 0; i < V2M_MASK_BOXES && offset < within->end; i++) {
        rc = v2m_mask_box(source, offset, within->end, box, found, error);

        if (rc != V2M_OK || !*found
            || memcmp(box->type, type, sizeof(box->type)) == 0) {
            return rc;
        }

        offset = box->end;
    }

    *found = 0;

    return V2M_OK;
}


/* *found says whether the text in a track's media is too much to stay. */
static int
v2m_mask_is_long(const v2m_byte_source_t *source, const v2m_mask_box_t *media,
                 int *found, v2m_error_t *error)
{
    int            i, rc;
    unsigned char  count[4];
    v2m_mask_box_t box, within;

    static const char *const path[] = { "minf", "stbl", "stsz" };

    box = *media;

    for (i = 0; i < 3; i++) {
        within = box;
        rc = v2m_mask_find(source, &within, path[i], &box, found, error);

        if (rc != V2M_OK || !*found) {
            *found = 1;
            return rc;
        }
    }

    rc = v2m_mask_read(source, box.body + V2M_MASK_HANDLER, count,
                       sizeof(count), found, error);

    *found = !*found || v2m_mask_number(count, 4) > V2M_MASK_TEXTS;

    return rc;
}


/* *found says whether the track is known to be no sound. */
static int
v2m_mask_is_silent(const v2m_byte_source_t *source, const v2m_mask_box_t *track,
                   int *found, v2m_error_t *error)
{
    int            rc;
    unsigned char  type[4];
    v2m_mask_box_t media, handler;

    rc = v2m_mask_find(source, track, "mdia", &media, found, error);

    if (rc == V2M_OK && *found) {
        rc = v2m_mask_find(source, &media, "hdlr", &handler, found, error);
    }

    if (rc == V2M_OK && *found) {
        rc = v2m_mask_read(source, handler.body + V2M_MASK_HANDLER, type,
                           sizeof(type), found, error);
    }

    if (rc == V2M_OK && *found) {
        *found = memcmp(type, "soun", sizeof(type)) != 0;
    }

    if (rc == V2M_OK && *found && memcmp(type, "text", sizeof(type)) == 0) {
        rc = v2m_mask_is_long(source, &media, found, error);
    }

    return rc;
}


/* *found says whether a sound track's data is in another file: whether one of
 * its data references lacks the flag that it is in this one. */
static int
v2m_mask_is_elsewhere(const v2m_byte_source_t *source,
                      const v2m_mask_box_t *track, int *found,
                      v2m_error_t *error)
{
    int            i, rc;
    unsigned char  flags[4];
    v2m_mask_box_t box, within;

    static const char *const path[] = { "mdia", "minf", "dinf", "dref" };

    box = *track;
    rc = V2M_OK;
    *found = 1;

    for (i = 0; rc == V2M_OK && *found && i < 4; i++) {
        within = box;
        rc = v2m_mask_find(source, &within, path[i], &box, found, error);
    }

    /* the first one: who needs several is not known to exist */

    within = box;

    if (rc == V2M_OK && *found) {
        rc = v2m_mask_box(source, within.body + V2M_MASK_HANDLER, within.end,
                          &box, found, error);
    }

    if (rc == V2M_OK && *found) {
        rc =
            v2m_mask_read(source, box.body, flags, sizeof(flags), found, error);
    }

    if (rc == V2M_OK && *found) {
        *found = (flags[3] & 1) == 0;
    }

    return rc;
}


/* Goes over the boxes of the index. */
static int
v2m_mask_look(v2m_mask_t *mask, const v2m_mask_box_t *index, v2m_error_t *error)
{
    int            i, rc, found;
    int64_t        offset;
    v2m_mask_box_t box;

    offset = index->body;

    for (i = 0; i < V2M_MASK_BOXES && offset < index->end; i++) {
        rc = v2m_mask_box(&mask->source, offset, index->end, &box, &found,
                          error);
        if (rc != V2M_OK || !found) {
            return rc;
        }

        if (memcmp(box.type, "mvex", sizeof(box.type)) == 0) {
            mask->count = 0;
            return V2M_OK;
        }

        if (memcmp(box.type, "trak", sizeof(box.type)) == 0
            && mask->count < V2M_MASK_TRACKS)
        {
            rc = v2m_mask_is_silent(&mask->source, &box, &found, error);
            if (rc != V2M_OK) {
                return rc;
            }

            if (found) {
                mask->places[mask->count++] = box.start + 4;

            } else {
                rc = v2m_mask_is_elsewhere(&mask->source, &box, &found, error);
                if (rc != V2M_OK) {
                    return rc;
                }

                mask->elsewhere |= found;
            }
        }

        offset = box.end;
    }

    return V2M_OK;
}


static int64_t
v2m_mask_size(void *data)
{
    v2m_mask_t *mask = data;

    return mask->source.size(mask->source.data);
}


static int
v2m_mask_read_at(void *data, int64_t offset, unsigned char *buffer,
                 size_t length, size_t *got, v2m_error_t *error)
{
    int         i, k, rc;
    int64_t     place;
    v2m_mask_t *mask = data;

    rc = mask->source.read_at(mask->source.data, offset, buffer, length, got,
                              error);
    if (rc != V2M_OK) {
        return rc;
    }

    for (i = 0; i < mask->count; i++) {
        for (k = 0; k < (int) sizeof(v2m_mask_hidden); k++) {
            place = mask->places[i] + k - offset;

            if (place >= 0 && place < (int64_t) *got) {
                buffer[place] = v2m_mask_hidden[k];
            }
        }
    }

    return V2M_OK;
}


int
v2m_mask_open(v2m_mask_t *mask, const v2m_byte_source_t *source,
              v2m_byte_source_t *masked, v2m_error_t *error)
{
    int            rc, found;
    v2m_mask_box_t file, index;

    mask->source = *source;
    mask->count = 0;
    mask->elsewhere = 0;
    masked->data = mask;
    masked->size = v2m_mask_size;
    masked->read_at = v2m_mask_read_at;

    memset(&file, 0, sizeof(file));
    file.end = source->size(source->data);

    rc = v2m_mask_find(source, &file, "moov", &index, &found, error);

    return rc == V2M_OK && found ? v2m_mask_look(mask, &index, error) : rc;
}
