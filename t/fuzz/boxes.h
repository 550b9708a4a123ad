/* The outermost boxes of an MP4. */

#ifndef FUZZ_BOXES_H
#define FUZZ_BOXES_H

#include "fuzz.h"
#include "transcode.h"
#include "v2m_boxes.h"


static inline int
fuzz_boxes(const uint8_t *bytes, size_t length)
{
    int               cut_off;
    fuzz_file_t       file = { bytes, length, 0, -1 };
    v2m_byte_source_t source = { &file, fuzz_size, fuzz_read_at };

    cut_off = v2m_boxes_cut_off(&source);
    FUZZ_CHECK(cut_off == 0 || cut_off == 1);

    return 0;
}

#endif /* FUZZ_BOXES_H */
