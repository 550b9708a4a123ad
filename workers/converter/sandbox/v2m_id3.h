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

/* The cover.  type: "image/jpeg" or the like. */
void v2m_id3_picture(v2m_id3_t *id3, const char *type,
                     const unsigned char *bytes, size_t length);

/* At most so many chapters fit into their table. */
#define V2M_ID3_CHAPTERS 255

/*
 * Begins the chapter of that number, counted from 0, which lasts from start to
 * end, milliseconds; its title (TIT2) may follow, then v2m_id3_chapter_end()
 * with what this returned.
 */
size_t v2m_id3_chapter(v2m_id3_t *id3, int number, uint32_t start,
                       uint32_t end);
void   v2m_id3_chapter_end(v2m_id3_t *id3, size_t chapter);

/* The table of so many chapters. */
void v2m_id3_contents(v2m_id3_t *id3, int count);

/* Makes it a whole tag. */
int v2m_id3_end(v2m_id3_t *id3, v2m_error_t *error);

#endif /* V2M_ID3_H */
