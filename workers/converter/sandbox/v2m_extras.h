/*
 * What of a media file beside its sound and its tags goes into the MP3: the
 * cover and the chapters.
 */

#ifndef V2M_EXTRAS_H
#define V2M_EXTRAS_H

#include "v2m_id3.h"
#include "v2m_media.h"
#include "v2m_options.h"

/* The first JPEG or PNG that is marked as cover, unless it is too large. */
void v2m_extras_write_cover(v2m_id3_t *id3, const v2m_media_t *media);

/* The chapters, with what they lose or move by the cut. */
void v2m_extras_write_chapters(v2m_id3_t *id3, const v2m_media_t *media,
                               const v2m_options_t *options);

#endif /* V2M_EXTRAS_H */
