/*
 * Where a transcoding gets its input from and puts its output: byte ranges,
 * whatever they are kept in.
 *
 * Results are V2M_OK or a negative code of v2m_error.h, which ends the
 * transcoding as it is.  All functions may block.
 */

#ifndef V2M_BYTES_H
#define V2M_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"

typedef struct {
    void *data;

    /* The length of the whole, bytes. */
    int64_t (*size)(void *data);

    /*
     * Reads up to length bytes at the offset.  *got is at least 1, unless the
     * source ends at or before the offset.
     */
    int (*read_at)(void *data, int64_t offset, unsigned char *buffer,
                   size_t length, size_t *got, v2m_error_t *error);
} v2m_byte_source_t;

typedef struct {
    void *data;

    /* Says which bytes will be written again: 2 KiB from this offset on.  To be
     * called before any of them is written, and once. */
    int (*keep)(void *data, int64_t offset, v2m_error_t *error);

    /* Writes at the offset: at the end of what was written, or again what was
     * to be kept. */
    int (*write_at)(void *data, int64_t offset, const unsigned char *bytes,
                    size_t length, v2m_error_t *error);

    /* Drops all that was written, and what was to be kept. */
    int (*restart)(void *data, v2m_error_t *error);
} v2m_byte_sink_t;

#endif /* V2M_BYTES_H */
