/*
 * What the targets share.  A target is a function fuzz_NAME() in NAME.h that
 * takes any bytes and ends the program when what came of them is wrong.
 */

#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_utf8.h"

#define FUZZ_CHECK(what)                                                       \
    do {                                                                       \
        if (!(what)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                           \
        }                                                                      \
    } while (0)


/* A copy with nothing after it, so that AddressSanitizer sees what reads on. */
static inline void *
fuzz_copy(const void *bytes, size_t length)
{
    void *copy;

    copy = malloc(length > 0 ? length : 1);
    FUZZ_CHECK(copy != NULL);

    if (length > 0) {
        memcpy(copy, bytes, length);
    }

    return copy;
}


/* The next text of an input that has them one after the other, each up to a
 * zero byte; malloc'ed. */
static inline char *
fuzz_text(const uint8_t **bytes, size_t *length)
{
    char  *text;
    size_t used;

    used = strnlen((const char *) *bytes, *length);
    text = malloc(used + 1);
    FUZZ_CHECK(text != NULL);

    if (used > 0) {
        memcpy(text, *bytes, used);
    }

    text[used] = '\0';
    used += used < *length;
    *bytes += used;
    *length -= used;

    return text;
}


static inline int
fuzz_is_utf8(const char *text)
{
    size_t i, size, length;

    length = strlen(text);

    for (i = 0; i < length; i += size) {
        size = v2m_utf8_character((const unsigned char *) text + i, length - i);

        if (size == 0) {
            return 0;
        }
    }

    return 1;
}


static inline int
fuzz_has_controls(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char) *text < 0x20 || *text == 0x7F) {
            return 1;
        }
    }

    return 0;
}

#endif /* FUZZ_H */
