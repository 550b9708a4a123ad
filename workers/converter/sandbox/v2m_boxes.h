/*
 * The outermost boxes of an MP4 or QuickTime file (ISO/IEC 14496-12), to tell
 * a file that was cut off from one that is damaged.
 */

#ifndef V2M_BOXES_H
#define V2M_BOXES_H

#include "v2m_bytes.h"

/* 1 when the file ends before or within its index ("moov"); 0 when not, or
 * when that cannot be told. */
int v2m_boxes_cut_off(const v2m_byte_source_t *source);

#endif /* V2M_BOXES_H */
