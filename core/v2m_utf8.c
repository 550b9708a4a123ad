#include "v2m_utf8.h"

#include <stdlib.h>
#include <string.h>


size_t
v2m_utf8_character(const unsigned char *text, size_t length)
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


char *
v2m_utf8_repair(const char *text)
{
    char  *copy;
    size_t i, size, used, length;

    length = strlen(text);

    copy = malloc(length * (sizeof(V2M_UTF8_REPLACEMENT) - 1) + 1);
    if (copy == NULL) {
        return NULL;
    }

    for (i = 0, used = 0; i < length; i += size) {
        size = v2m_utf8_character((const unsigned char *) text + i, length - i);

        if (size != 0) {
            memcpy(copy + used, text + i, size);
            used += size;

        } else {
            memcpy(copy + used, V2M_UTF8_REPLACEMENT,
                   sizeof(V2M_UTF8_REPLACEMENT) - 1);
            used += sizeof(V2M_UTF8_REPLACEMENT) - 1;
            size = 1;
        }
    }

    copy[used] = '\0';

    return copy;
}
