/*
 * Whether all of a file is there.
 *
 * V2M_INVALID: it is truncated, or damaged; the text tells its owner.
 */

#ifndef V2M_COMPLETE_H
#define V2M_COMPLETE_H

#include <stdint.h>

#include "v2m_error.h"
#include "v2m_media.h"

#define V2M_COMPLETE_TIME 32

/* A time in microseconds as a person writes it, "1:02:03.4".  Returns text. */
const char *v2m_complete_time(char text[V2M_COMPLETE_TIME], int64_t us);

/* Compares the length that the file tells of itself; once its format is
 * known. */
int v2m_complete_check_length(const v2m_media_t *media, v2m_error_t *error);

/* Looks at the index, if the format has one; once a track was chosen. */
int v2m_complete_check_index(const v2m_media_t *media, v2m_error_t *error);

/* To be called at the end.  heard is the length of what was decoded, us. */
int v2m_complete_check_end(const v2m_media_t *media, int64_t heard,
                           v2m_error_t *error);

#endif /* V2M_COMPLETE_H */
