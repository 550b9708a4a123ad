/*
 * The value of Content-Disposition for a download (RFC 6266, with the encoded
 * form of RFC 8187 beside the plain one when the name needs it).
 */

#ifndef V2M_DISPOSITION_H
#define V2M_DISPOSITION_H

#include <stddef.h>

/* Bytes that a value takes at most, for a name of that length. */
#define V2M_DISPOSITION_SIZE(length) (80 + 4 * (length))

/*
 * Writes "attachment; filename=..." for the MP3 of a video of that name: valid
 * UTF-8 as of v2m_filename_clean(), or NULL.  There is room for
 * V2M_DISPOSITION_SIZE() of its length.  Returns the bytes written, which are
 * printable ASCII.
 */
size_t v2m_disposition_write(char *value, const char *name);

#endif /* V2M_DISPOSITION_H */
