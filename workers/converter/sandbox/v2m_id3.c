#include "v2m_id3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V2M_ID3_HEADER 10 /* bytes, of the tag and of each frame */

#define V2M_ID3_LATIN1 0
#define V2M_ID3_UTF16  1 /* with a byte order mark */

#define V2M_ID3_FRONT     3          /* a picture: the front cover */
#define V2M_ID3_ORDERED   3          /* a table: the topmost, in order */
#define V2M_ID3_NO_OFFSET 0xffffffff /* a chapter: go by its time */


static void
v2m_id3_put(v2m_id3_t *id3, const void *bytes, size_t length)
{
    size_t         capacity;
    unsigned char *grown;

    if (id3->failed) {
        return;
    }

    if (id3->length + length > id3->capacity) {
        capacity = 2 * (id3->length + length);
        grown = realloc(id3->bytes, capacity);

        if (grown == NULL) {
            id3->failed = 1;
            return;
        }

        id3->bytes = grown;
        id3->capacity = capacity;
    }

    memcpy(id3->bytes + id3->length, bytes, length);
    id3->length += length;
}


static void
v2m_id3_put_byte(v2m_id3_t *id3, int value)
{
    unsigned char byte;

    byte = (unsigned char) value;
    v2m_id3_put(id3, &byte, 1);
}


static void
v2m_id3_put_number(v2m_id3_t *id3, uint32_t value)
{
    int shift;

    for (shift = 24; shift >= 0; shift -= 8) {
        v2m_id3_put_byte(id3, (int) (value >> shift & 0xff));
    }
}


void
v2m_id3_begin(v2m_id3_t *id3)
{
    static const unsigned char header[V2M_ID3_HEADER] = { 'I', 'D', '3', 3 };

    memset(id3, 0, sizeof(*id3));
    v2m_id3_put(id3, header, sizeof(header));
}


void
v2m_id3_free(v2m_id3_t *id3)
{
    free(id3->bytes);
    memset(id3, 0, sizeof(*id3));
}


/* Begins a frame, and tells where. */
static size_t
v2m_id3_open(v2m_id3_t *id3, const char *frame)
{
    size_t place;

    place = id3->length;
    v2m_id3_put(id3, frame, 4);
    v2m_id3_put_number(id3, 0); /* its size, once that is known */
    v2m_id3_put(id3, "\0\0", 2);

    return place;
}


static void
v2m_id3_close(v2m_id3_t *id3, size_t place)
{
    int    i;
    size_t size;

    if (id3->failed) {
        return;
    }

    size = id3->length - place - V2M_ID3_HEADER;

    for (i = 0; i < 4; i++) {
        id3->bytes[place + 4 + (size_t) i] =
            (unsigned char) (size >> (24 - 8 * i) & 0xff);
    }
}


static int
v2m_id3_is_ascii(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char) *text >= 0x80) {
            return 0;
        }
    }

    return 1;
}


static void
v2m_id3_put_unit(v2m_id3_t *id3, unsigned unit)
{
    v2m_id3_put_byte(id3, (int) (unit & 0xff));
    v2m_id3_put_byte(id3, (int) (unit >> 8));
}


/* The next character of valid UTF-8. */
static uint32_t
v2m_id3_next(const unsigned char **text)
{
    int      more;
    uint32_t character;

    character = *(*text)++;
    more = character < 0x80   ? 0
           : character < 0xe0 ? 1
           : character < 0xf0 ? 2
                              : 3;

    if (more > 0) {
        character &= 0x3fu >> more;
    }

    for (; more > 0 && **text != '\0'; more--) {
        character = character << 6 | (*(*text)++ & 0x3f);
    }

    return character;
}


static void
v2m_id3_put_utf16(v2m_id3_t *id3, const char *text)
{
    uint32_t             character;
    const unsigned char *next;

    next = (const unsigned char *) text;
    v2m_id3_put_unit(id3, 0xfeff);

    while (*next != '\0') {
        character = v2m_id3_next(&next);

        if (character >= 0x10000) {
            character -= 0x10000;
            v2m_id3_put_unit(id3, 0xd800 | character >> 10);
            character = 0xdc00 | (character & 0x3ff);
        }

        v2m_id3_put_unit(id3, character);
    }
}


void
v2m_id3_text(v2m_id3_t *id3, const char *frame, const char *text)
{
    size_t place;

    place = v2m_id3_open(id3, frame);

    if (v2m_id3_is_ascii(text)) {
        v2m_id3_put_byte(id3, V2M_ID3_LATIN1);
        v2m_id3_put(id3, text, strlen(text));

    } else {
        v2m_id3_put_byte(id3, V2M_ID3_UTF16);
        v2m_id3_put_utf16(id3, text);
    }

    v2m_id3_close(id3, place);
}


void
v2m_id3_picture(v2m_id3_t *id3, const char *type, const unsigned char *bytes,
                size_t length)
{
    size_t place;

    place = v2m_id3_open(id3, "APIC");
    v2m_id3_put_byte(id3, V2M_ID3_LATIN1);
    v2m_id3_put(id3, type, strlen(type) + 1);
    v2m_id3_put_byte(id3, V2M_ID3_FRONT);
    v2m_id3_put_byte(id3, 0); /* no description */
    v2m_id3_put(id3, bytes, length);
    v2m_id3_close(id3, place);
}


/* A chapter's name within the tag. */
static void
v2m_id3_put_chapter(v2m_id3_t *id3, int number)
{
    char name[24];

    snprintf(name, sizeof(name), "chapter%d", number);
    v2m_id3_put(id3, name, strlen(name) + 1);
}


size_t
v2m_id3_chapter(v2m_id3_t *id3, int number, uint32_t start, uint32_t end)
{
    size_t place;

    place = v2m_id3_open(id3, "CHAP");
    v2m_id3_put_chapter(id3, number);
    v2m_id3_put_number(id3, start);
    v2m_id3_put_number(id3, end);
    v2m_id3_put_number(id3, V2M_ID3_NO_OFFSET);
    v2m_id3_put_number(id3, V2M_ID3_NO_OFFSET);

    return place;
}


void
v2m_id3_chapter_end(v2m_id3_t *id3, size_t chapter)
{
    v2m_id3_close(id3, chapter);
}


void
v2m_id3_contents(v2m_id3_t *id3, int count)
{
    int    i;
    size_t place;

    place = v2m_id3_open(id3, "CTOC");
    v2m_id3_put(id3, "contents", sizeof("contents"));
    v2m_id3_put_byte(id3, V2M_ID3_ORDERED);
    v2m_id3_put_byte(id3, count);

    for (i = 0; i < count; i++) {
        v2m_id3_put_chapter(id3, i);
    }

    v2m_id3_close(id3, place);
}


int
v2m_id3_end(v2m_id3_t *id3, v2m_error_t *error)
{
    int    i;
    size_t size;

    if (id3->failed) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    /* seven bits in each byte */
    size = id3->length - V2M_ID3_HEADER;

    for (i = 0; i < 4; i++) {
        id3->bytes[6 + i] = (unsigned char) (size >> (21 - 7 * i) & 0x7f);
    }

    return V2M_OK;
}
