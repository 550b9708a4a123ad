#include "v2m_disposition.h"

#include <string.h>

#define V2M_DISPOSITION_UNNAMED "audio"


static int
v2m_disposition_is_alnum(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9');
}


static char *
v2m_disposition_put(char *p, const char *text)
{
    size_t length = strlen(text);

    memcpy(p, text, length);

    return p + length;
}


/* Returns 1 when the name is there as it is. */
static int
v2m_disposition_plain(char **p, const char *name, size_t length)
{
    int           plain;
    size_t        i;
    unsigned char c;

    plain = 1;

    for (i = 0; i < length; i++) {
        c = (unsigned char) name[i];

        if (c >= 0x20 && c <= 0x7E && c != '"' && c != '\\' && c != '%') {
            *(*p)++ = (char) c;
            continue;
        }

        plain = 0;

        /* one underscore for each character, not for each byte */
        if ((c & 0xC0) != 0x80) {
            *(*p)++ = '_';
        }
    }

    return plain;
}


/* Characters that stand for themselves: RFC 8187, attr-char. */
static char *
v2m_disposition_encoded(char *p, const char *name, size_t length)
{
    size_t        i;
    unsigned char c;

    static const char hex[] = "0123456789ABCDEF";
    static const char others[] = "!#$&+-.^_`|~";

    for (i = 0; i < length; i++) {
        c = (unsigned char) name[i];

        if (v2m_disposition_is_alnum(c)
            || memchr(others, c, sizeof(others) - 1) != NULL)
        {
            *p++ = (char) c;

        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        }
    }

    return p;
}


size_t
v2m_disposition_write(char *value, const char *name)
{
    int         plain;
    char       *p;
    size_t      length;
    const char *dot;

    if (name == NULL || *name == '\0' || *name == '.') {
        name = V2M_DISPOSITION_UNNAMED;
    }

    dot = strrchr(name, '.');
    length = dot != NULL ? (size_t) (dot - name) : strlen(name);

    p = v2m_disposition_put(value, "attachment; filename=\"");
    plain = v2m_disposition_plain(&p, name, length);
    p = v2m_disposition_put(p, ".mp3\"");

    if (!plain) {
        p = v2m_disposition_put(p, "; filename*=UTF-8''");
        p = v2m_disposition_encoded(p, name, length);
        p = v2m_disposition_put(p, ".mp3");
    }

    return (size_t) (p - value);
}
