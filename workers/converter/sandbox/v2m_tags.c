#include "v2m_tags.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "v2m_utf8.h"

/* Bytes of one tag: the MP3's beginning is kept in memory. */
#define V2M_TAGS_LONGEST 1024


static int
v2m_tags_is_utf8(const char *text)
{
    size_t n, left;

    for (left = strlen(text); left > 0; left -= n, text += n) {
        n = v2m_utf8_character((const unsigned char *) text, left);
        if (n == 0) {
            return 0;
        }
    }

    return 1;
}


/* The text must be at most V2M_TAGS_LONGEST bytes. */
static void
v2m_tags_set_latin1(AVDictionary **tags, const char *name, const char *text)
{
    char                *to;
    char                 utf8[2 * V2M_TAGS_LONGEST + 1];
    const unsigned char *from;

    to = utf8;

    for (from = (const unsigned char *) text; *from != '\0'; from++) {
        if (*from < 0x80) {
            *to++ = (char) *from;

        } else {
            *to++ = (char) (0xc0 | *from >> 6);
            *to++ = (char) (0x80 | (*from & 0x3f));
        }
    }

    *to = '\0';

    av_dict_set(tags, name, utf8, AV_DICT_DONT_OVERWRITE);
}


static void
v2m_tags_copy_one(AVDictionary **tags, const AVDictionary *from,
                  const char *name)
{
    const AVDictionaryEntry *tag;

    tag = av_dict_get(from, name, NULL, 0);

    if (tag == NULL || tag->value[0] == '\0'
        || strlen(tag->value) > V2M_TAGS_LONGEST)
    {
        return;
    }

    if (v2m_tags_is_utf8(tag->value)) {
        av_dict_set(tags, name, tag->value, AV_DICT_DONT_OVERWRITE);

    } else {
        v2m_tags_set_latin1(tags, name, tag->value);
    }
}


void
v2m_tags_copy(AVDictionary **tags, const AVDictionary *from)
{
    size_t i;

    static const char *const names[] = {
        "title", "artist", "album", "album_artist", "date",
        "genre", "track",  "disc",  "composer",     "copyright",
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        v2m_tags_copy_one(tags, from, names[i]);
    }
}


void
v2m_tags_copy_language(AVDictionary **tags, const AVDictionary *track)
{
    const AVDictionaryEntry *tag;

    tag = av_dict_get(track, "language", NULL, 0);

    /* "undetermined" */
    if (tag != NULL && strcmp(tag->value, "und") != 0) {
        v2m_tags_copy_one(tags, track, "language");
    }
}


/* ID3v2.3 has the year, and the day and month, in frames of their own; of a
 * date that begins with no year all is taken for one. */
static void
v2m_tags_write_date(v2m_id3_t *id3, const char *date)
{
    int  year, month, day;
    char text[12];

    if (sscanf(date, "%4d-%2d-%2d", &year, &month, &day) == 3 && year >= 0
        && month >= 1 && month <= 12 && day >= 1 && day <= 31)
    {
        snprintf(text, sizeof(text), "%04d", year);
        v2m_id3_text(id3, "TYER", text);
        snprintf(text, sizeof(text), "%02d%02d", day, month);
        v2m_id3_text(id3, "TDAT", text);

    } else if (isdigit((unsigned char) date[0])
               && sscanf(date, "%4d", &year) == 1) {
        snprintf(text, sizeof(text), "%04d", year);
        v2m_id3_text(id3, "TYER", text);

    } else {
        v2m_id3_text(id3, "TYER", date);
    }
}


void
v2m_tags_write(v2m_id3_t *id3, const AVDictionary *tags)
{
    size_t                   i;
    const AVDictionaryEntry *tag;

    static const struct {
        const char *name;
        const char *frame;
    } frames[] = {
        { "title", "TIT2" },     { "artist", "TPE1" },
        { "album", "TALB" },     { "album_artist", "TPE2" },
        { "genre", "TCON" },     { "track", "TRCK" },
        { "disc", "TPOS" },      { "composer", "TCOM" },
        { "copyright", "TCOP" }, { "language", "TLAN" },
    };

    for (i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        tag = av_dict_get(tags, frames[i].name, NULL, 0);

        if (tag != NULL) {
            v2m_id3_text(id3, frames[i].frame, tag->value);
        }
    }

    tag = av_dict_get(tags, "date", NULL, 0);

    if (tag != NULL) {
        v2m_tags_write_date(id3, tag->value);
    }
}


void
v2m_tags_write_one(v2m_id3_t *id3, const char *frame, const AVDictionary *from,
                   const char *name)
{
    AVDictionary            *tags;
    const AVDictionaryEntry *tag;

    tags = NULL;
    v2m_tags_copy_one(&tags, from, name);
    tag = av_dict_get(tags, name, NULL, 0);

    if (tag != NULL) {
        v2m_id3_text(id3, frame, tag->value);
    }

    av_dict_free(&tags);
}
