/*
 * The encodings of a mail: UTF-8 made safe, encoded words (RFC 2047) and
 * quoted-printable (RFC 2045).  Pure functions, any thread.
 */

#ifndef V2M_MIME_H
#define V2M_MIME_H

#include <stddef.h>
#include <stdio.h>

/*
 * A copy that is valid UTF-8 without control characters (each becomes a
 * space; bytes that are no UTF-8 become U+FFFD), at most so many characters
 * long.  Malloc'ed; NULL when out of memory.
 */
char *v2m_mime_clean(const char *text, size_t characters);

/* Writes clean text as the value of an unstructured header: as it is when it
 * is short ASCII, else as encoded words, folded. */
void v2m_mime_header(FILE *out, const char *text);

/* Writes clean text as the display name before an address. */
void v2m_mime_phrase(FILE *out, const char *text);

/* Writes text with \n line ends as quoted-printable with CRLF line ends. */
void v2m_mime_quoted_printable(FILE *out, const char *text);

#endif /* V2M_MIME_H */
