#include "v2m_mime.h"

#include <stdlib.h>
#include <string.h>

#include "v2m_hmac.h"

/* As many bytes of text as fit an encoded word of 64 characters: RFC 2047
 * allows 75, and 76 for a line, which begins with the header's name. */
#define V2M_MIME_WORD 39

/* What stands unencoded beside the header's name on one line. */
#define V2M_MIME_PLAIN 60

#define V2M_MIME_LINE 75


/* The length of the UTF-8 character that the text begins with (RFC 3629), 0
 * when it begins with none. */
static size_t
v2m_mime_character(const unsigned char *text)
{
    size_t   i, length;
    unsigned code, least;

    if (text[0] < 0x80) {
        return 1;
    }

    if (text[0] >= 0xc2 && text[0] <= 0xdf) {
        length = 2;
        code = text[0] & 0x1fu;
        least = 0x80;

    } else if (text[0] >= 0xe0 && text[0] <= 0xef) {
        length = 3;
        code = text[0] & 0x0fu;
        least = 0x800;

    } else if (text[0] >= 0xf0 && text[0] <= 0xf4) {
        length = 4;
        code = text[0] & 0x07u;
        least = 0x10000;

    } else {
        return 0;
    }

    for (i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }

        code = (code << 6) | (text[i] & 0x3fu);
    }

    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return 0;
    }

    return length;
}


/* ASCII's control characters and U+0080 to U+009F */
static int
v2m_mime_is_control(const unsigned char *character)
{
    return character[0] < 0x20 || character[0] == 0x7f
           || (character[0] == 0xc2 && character[1] < 0xa0);
}


char *
v2m_mime_clean(const char *text, size_t characters)
{
    char                *clean, *out;
    size_t               length;
    const unsigned char *p;

    /* U+FFFD takes three bytes for one */
    clean = malloc(3 * strlen(text) + 1);
    if (clean == NULL) {
        return NULL;
    }

    out = clean;

    for (p = (const unsigned char *) text; *p != '\0' && characters > 0;
         characters--)
    {
        length = v2m_mime_character(p);

        if (length == 0) {
            memcpy(out, "\xef\xbf\xbd", 3);
            out += 3;
            p++;
            continue;
        }

        if (v2m_mime_is_control(p)) {
            *out++ = ' ';
        } else {
            memcpy(out, p, length);
            out += length;
        }

        p += length;
    }

    *out = '\0';

    return clean;
}


/* Each word holds whole characters; the space between two is not part of the
 * text. */
static void
v2m_mime_encoded_words(FILE *out, const char *text)
{
    char                 encoded[V2M_BASE64_SIZE(V2M_MIME_WORD)];
    size_t               length, step;
    const unsigned char *p;

    for (p = (const unsigned char *) text; *p != '\0'; p += length) {
        length = 0;

        while (p[length] != '\0') {
            step = v2m_mime_character(p + length);

            if (length + step > V2M_MIME_WORD) {
                break;
            }

            length += step;
        }

        fputs((const char *) p == text ? "=?UTF-8?B?" : "\r\n =?UTF-8?B?", out);
        v2m_base64(encoded, p, length);
        fprintf(out, "%s?=", encoded);
    }
}


static int
v2m_mime_is_plain(const char *text)
{
    const char *p;

    for (p = text; *p != '\0'; p++) {
        if ((unsigned char) *p >= 0x80) {
            return 0;
        }
    }

    return p - text <= V2M_MIME_PLAIN && strstr(text, "=?") == NULL;
}


void
v2m_mime_header(FILE *out, const char *text)
{
    if (v2m_mime_is_plain(text)) {
        fputs(text, out);
    } else {
        v2m_mime_encoded_words(out, text);
    }
}


void
v2m_mime_phrase(FILE *out, const char *text)
{
    if (!v2m_mime_is_plain(text)) {
        v2m_mime_encoded_words(out, text);
        return;
    }

    fputc('"', out);

    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', out);
        }

        fputc(*text, out);
    }

    fputc('"', out);
}


void
v2m_mime_quoted_printable(FILE *out, const char *text)
{
    int                  plain;
    size_t               column;
    const unsigned char *p;

    column = 0;

    for (p = (const unsigned char *) text; *p != '\0'; p++) {
        if (*p == '\n') {
            fputs("\r\n", out);
            column = 0;
            continue;
        }

        /* white space would get lost at the end of a line */
        plain = (*p > ' ' && *p < 0x7f && *p != '=')
                || (*p == ' ' && p[1] != '\n' && p[1] != '\0');

        if (column + (plain ? 1 : 3) > V2M_MIME_LINE) {
            fputs("=\r\n", out);
            column = 0;
        }

        if (plain) {
            fputc(*p, out);
            column++;
        } else {
            fprintf(out, "=%02X", *p);
            column += 3;
        }
    }
}
