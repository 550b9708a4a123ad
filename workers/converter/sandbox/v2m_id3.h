/*
 * An ID3v2.3 tag in memory.  Free of FFmpeg.
 *
 * After a failure for want of memory the functions do nothing, and
 * v2m_id3_end() tells.
 */

#ifndef V2M_ID3_H
#define V2M_ID3_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"

typedef struct {
    unsigned char *bytes; /* malloc'ed */
    size_t         length;
    size_t         capacity;
    int            failed;
} v2m_id3_t;

/* To be freed with v2m_id3_free(). */
void v2m_id3_begin(v2m_id3_t *id3);

void v2m_id3_free(v2m_id3_t *id3);

/* A text frame, "TIT2" for example.  text: valid UTF-8. */
void v2m_id3_text(v2m_id3_t *id3, const char *frame, const char *text);

/* Makes it a whole tag. */
int v2m_id3_end(v2m_id3_t *id3, v2m_error_t *error);

#endif /* V2M_ID3_H */
