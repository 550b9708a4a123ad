#include "v2m_extras.h"

#include <string.h>
#include <libavutil/common.h>

#include "v2m_tags.h"

/* Bytes of a cover: the tag is kept in memory as a whole. */
#define V2M_EXTRAS_COVER (1024 * 1024)


/* The type that a picture's first bytes tell; NULL: not one for a cover. */
static const char *
v2m_extras_type(const AVPacket *picture)
{
    size_t i, length;

    static const struct {
        const char *magic;
        const char *type;
    } types[] = {
        { "\xff\xd8\xff", "image/jpeg" },
        { "\x89PNG\r\n\x1a\n", "image/png" },
    };

    for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        length = strlen(types[i].magic);

        if (picture->data != NULL && picture->size > (int) length
            && memcmp(picture->data, types[i].magic, length) == 0)
        {
            return types[i].type;
        }
    }

    return NULL;
}


void
v2m_extras_write_cover(v2m_id3_t *id3, const v2m_media_t *media)
{
    unsigned        i;
    const char     *type;
    const AVStream *stream;

    for (i = 0; i < media->format->nb_streams; i++) {
        stream = media->format->streams[i];

        if (!(stream->disposition & AV_DISPOSITION_ATTACHED_PIC)
            || stream->attached_pic.size > V2M_EXTRAS_COVER)
        {
            continue;
        }

        type = v2m_extras_type(&stream->attached_pic);

        if (type != NULL) {
            v2m_id3_picture(id3, type, stream->attached_pic.data,
                            (size_t) stream->attached_pic.size);
            return;
        }
    }
}


/* Milliseconds from the MP3's beginning. */
static int64_t
v2m_extras_time(const v2m_media_t *media, const AVChapter *chapter,
                int64_t time, int64_t start_ms)
{
    static const AVRational us = { 1, 1000000 };

    time = av_rescale_q(time, chapter->time_base, us);

    if (media->origin != AV_NOPTS_VALUE
        && v2m_media_has_clock(media, media->stream->codecpar->sample_rate))
    {
        time = av_sat_sub64(time, media->origin);
    }

    return av_clip64(time / 1000, 0, UINT32_MAX - 1) - start_ms;
}


void
v2m_extras_write_chapters(v2m_id3_t *id3, const v2m_media_t *media,
                          const v2m_options_t *options)
{
    int              count;
    size_t           place;
    int64_t          from, to, start, length;
    unsigned         i;
    const AVChapter *chapter;

    start = options->start_ms > 0 ? options->start_ms : 0;
    length = options->end_ms != -1 ? options->end_ms - start : UINT32_MAX - 1;
    count = 0;

    for (i = 0; i < media->format->nb_chapters && count < V2M_ID3_CHAPTERS; i++)
    {
        chapter = media->format->chapters[i];

        if (chapter->time_base.num <= 0 || chapter->time_base.den <= 0) {
            continue;
        }

        from = v2m_extras_time(media, chapter, chapter->start, start);
        to = chapter->end == AV_NOPTS_VALUE
                 ? from
                 : v2m_extras_time(media, chapter, chapter->end, start);

        if (from >= length || to < 0 || (to == 0 && start > 0)) {
            continue;
        }

        from = av_clip64(from, 0, length);
        place = v2m_id3_chapter(id3, count++, (uint32_t) from,
                                (uint32_t) av_clip64(to, from, length));
        v2m_tags_write_one(id3, "TIT2", chapter->metadata, "title");
        v2m_id3_chapter_end(id3, place);
    }

    if (count > 0) {
        v2m_id3_contents(id3, count);
    }
}
