/*
 * File names as clients send them, made harmless.
 */

#ifndef V2M_FILENAME_H
#define V2M_FILENAME_H

#include <stddef.h>

#define V2M_FILENAME_MAX 255 /* bytes without the final zero */

/*
 * Writes the last component of the path given, without control characters,
 * invalid UTF-8 as U+FFFD, cut at a character's border.  The result may be
 * empty.  Never fails.
 */
void v2m_filename_clean(char name[V2M_FILENAME_MAX + 1], const char *path,
                        size_t length);

#endif /* V2M_FILENAME_H */
