/*
 * An MP4 or QuickTime file without the tracks that are no sound: FFmpeg would
 * keep the index of every frame of the video in memory.  Short tracks of text
 * stay, because chapters are kept in one.
 */

#ifndef V2M_MASK_H
#define V2M_MASK_H

#include <stdint.h>

#include "v2m_bytes.h"
#include "v2m_error.h"

#define V2M_MASK_TRACKS 64

typedef struct {
    v2m_byte_source_t source;
    int64_t           places[V2M_MASK_TRACKS]; /* types of boxes to hide */
    int               count;                   /* of these; 0: nothing */
    int               elsewhere; /* the data of a sound track is said to be in
                                    another file */
} v2m_mask_t;

/*
 * Looks for tracks to hide; there are none in files of other formats, in
 * damaged ones and in those made of fragments, which have no such index.
 * *masked is the file without them and uses the mask.  A failure is the byte
 * source's own.
 */
int v2m_mask_open(v2m_mask_t *mask, const v2m_byte_source_t *source,
                  v2m_byte_source_t *masked, v2m_error_t *error);

#endif /* V2M_MASK_H */
