/*
 * The tags of a media file that players show, for the MP3.
 */

#ifndef V2M_TAGS_H
#define V2M_TAGS_H

#include <libavutil/dict.h>

#include "v2m_id3.h"

/* Copies title, artist and their like as valid UTF-8: text that is not is
 * taken for Latin-1, which old formats have.  Longer ones than a title can be
 * are left out. */
void v2m_tags_copy(AVDictionary **tags, const AVDictionary *from);

/* Copies the language from the tags of a track. */
void v2m_tags_copy_language(AVDictionary **tags, const AVDictionary *track);

/* Puts them into the MP3's tag. */
void v2m_tags_write(v2m_id3_t *id3, const AVDictionary *tags);

/* Puts the one of that name, made valid, into a text frame. */
void v2m_tags_write_one(v2m_id3_t *id3, const char *frame,
                        const AVDictionary *from, const char *name);

#endif /* V2M_TAGS_H */
