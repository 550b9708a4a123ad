#include "v2m_filename.h"

#include <string.h>

#include "v2m_utf8.h"


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
        size = v2m_utf8_character(text + i, length - i);

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
            source = V2M_UTF8_REPLACEMENT;
            add = sizeof(V2M_UTF8_REPLACEMENT) - 1;
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
