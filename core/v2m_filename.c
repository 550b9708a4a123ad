#include "v2m_filename.h"

#include <string.h>

#define V2M_REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */


/*
 * The length of the well-formed UTF-8 sequence at the text (Unicode 15,
 * table 3-7), or 0.
 */
static size_t
v2m_filename_sequence(const unsigned char *text, size_t length)
{
    size_t        i, size;
    unsigned char low, high;

    low = 0x80;
    high = 0xBF;

    if (text[0] < 0x80) {
        return 1;

    } else if (text[0] >= 0xC2 && text[0] <= 0xDF) {
        size = 2;

    } else if (text[0] >= 0xE0 && text[0] <= 0xEF) {
        size = 3;
        low = text[0] == 0xE0 ? 0xA0 : 0x80;
        high = text[0] == 0xED ? 0x9F : 0xBF;

    } else if (text[0] >= 0xF0 && text[0] <= 0xF4) {
        size = 4;
        low = text[0] == 0xF0 ? 0x90 : 0x80;
        high = text[0] == 0xF4 ? 0x8F : 0xBF;

    } else {
        return 0;
    }

    if (size > length || text[1] < low || text[1] > high) {
        return 0;
    }

    for (i = 2; i < size; i++) {
        if (text[i] < 0x80 || text[i] > 0xBF) {
            return 0;
        }
    }

    return size;
}


void
v2m_filename_clean(char name[V2M_FILENAME_MAX + 1], const char *path,
                   size_t length)
{
    size_t               i, size, used, add;
    const char          *source;
    const unsigned char *text;

    for (i = length; i > 0 && path[i - 1] != '/' && path[i - 1] != '\\'; i--) {
        /* void */
    }

    text = (const unsigned char *) path + i;
    length -= i;

    for (i = 0, used = 0; i < length; i += size) {
        size = v2m_filename_sequence(text + i, length - i);

        if (size == 1 && (text[i] < 0x20 || text[i] == 0x7F)) {
            continue;
        }

        /* C1 controls, U+0080 to U+009F */

        if (size == 2 && text[i] == 0xC2 && text[i + 1] < 0xA0) {
            continue;
        }

        source = (const char *) text + i;
        add = size;

        if (size == 0) {
            source = V2M_REPLACEMENT;
            add = sizeof(V2M_REPLACEMENT) - 1;
            size = 1;
        }

        if (used + add > V2M_FILENAME_MAX) {
            break;
        }

        memcpy(name + used, source, add);
        used += add;
    }

    name[used] = '\0';
}
