#include "v2m_boxes.h"

#include <string.h>

/* A file of more boxes than this at its outermost level is fragmented or
 * nonsense. */
#define V2M_BOXES_MAX 64

#define V2M_BOXES_HEADER 16


static uint64_t
v2m_boxes_number(const unsigned char *bytes, int length)
{
    int      i;
    uint64_t value;

    for (i = 0, value = 0; i < length; i++) {
        value = value << 8 | bytes[i];
    }

    return value;
}


/* Reads as much of a box's header as there is; 0 on failure. */
static size_t
v2m_boxes_read(const v2m_byte_source_t *source, int64_t offset,
               unsigned char header[V2M_BOXES_HEADER])
{
    size_t      got, length;
    v2m_error_t error;

    for (length = 0; length < V2M_BOXES_HEADER; length += got) {
        if (source->read_at(source->data, offset + (int64_t) length,
                            header + length, V2M_BOXES_HEADER - length, &got,
                            &error)
            != V2M_OK)
        {
            return 0;
        }

        if (got == 0) {
            break;
        }
    }

    return length;
}


int
v2m_boxes_cut_off(const v2m_byte_source_t *source)
{
    int           i;
    size_t        length;
    int64_t       offset, left;
    uint64_t      size;
    unsigned char header[V2M_BOXES_HEADER];

    offset = 0;

    for (i = 0; i < V2M_BOXES_MAX; i++) {
        left = source->size(source->data) - offset;
        if (left <= 0) {
            return 1;
        }

        length = v2m_boxes_read(source, offset, header);

        if (length < 8) {
            return length > 0 && (int64_t) length == left;
        }

        size = v2m_boxes_number(header, 4);

        if (size == 1) {
            if (length < V2M_BOXES_HEADER) {
                return 1;
            }

            size = v2m_boxes_number(header + 8, 8);

            if (size < V2M_BOXES_HEADER) {
                return 0;
            }

        } else if (size == 0) {
            size = (uint64_t) left;
        }

        if (size < 8) {
            return 0;
        }

        if (memcmp(header + 4, "moov", 4) == 0) {
            return size > (uint64_t) left;
        }

        if (size > (uint64_t) left) {
            return 1;
        }

        offset += (int64_t) size;
    }

    return 0;
}
