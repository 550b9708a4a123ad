/*
 * UTF-8 (Unicode 15, table 3-7).
 */

#ifndef V2M_UTF8_H
#define V2M_UTF8_H

#include <stddef.h>

#define V2M_UTF8_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* The length of the well-formed character at the text, 1 to 4 bytes, or 0
 * when there is none.  The length given is at least 1. */
size_t v2m_utf8_character(const unsigned char *text, size_t length);

/* A malloc'ed copy with U+FFFD for each byte that belongs to no character, or
 * NULL when out of memory. */
char *v2m_utf8_repair(const char *text);

#endif /* V2M_UTF8_H */
