#include "v2m_complete.h"

#include <stdio.h>
#include <libavutil/common.h>

#include "v2m_length.h"

/* A file is truncated when less than this share of it is there, and at least
 * so much is missing, us. */
#define V2M_COMPLETE_PERCENT 98
#define V2M_COMPLETE_MISSING 200000


const char *
v2m_complete_time(char text[V2M_COMPLETE_TIME], int64_t us)
{
    int64_t tenths;

    tenths = us < 0 ? 0 : us / 100000;

    if (tenths >= 36000) {
        snprintf(text, V2M_COMPLETE_TIME, "%d:%02d:%02d.%d",
                 (int) (tenths / 36000), (int) (tenths / 600 % 60),
                 (int) (tenths / 10 % 60), (int) (tenths % 10));

    } else {
        snprintf(text, V2M_COMPLETE_TIME, "%d:%02d.%d", (int) (tenths / 600),
                 (int) (tenths / 10 % 60), (int) (tenths % 10));
    }

    return text;
}


static int
v2m_complete_truncated(int64_t there, int64_t whole, const char *what,
                       v2m_error_t *error)
{
    char is[V2M_COMPLETE_TIME], should[V2M_COMPLETE_TIME];

    return v2m_error_set(
        error, V2M_INVALID, "the file is truncated: %s ends after %s of %s",
        what, v2m_complete_time(is, there), v2m_complete_time(should, whole));
}


/* MP4's index tells where each piece of audio is: none may lie beyond the
 * end of the file. */
int
v2m_complete_check_index(const v2m_media_t *media, v2m_error_t *error)
{
    int                 i, count;
    int64_t             time;
    const AVIndexEntry *entry;

    static const AVRational us = { 1, 1000000 };

    if (!v2m_media_is_mov(media)) {
        return V2M_OK;
    }

    count = avformat_index_get_entries_count(media->stream);

    for (i = 0; i < count; i++) {
        entry = avformat_index_get_entry(media->stream, i);

        if (entry->pos > media->input.length - entry->size) {
            time = av_rescale_q(entry->timestamp, media->stream->time_base, us);

            return v2m_complete_truncated(time, v2m_media_duration(media),
                                          "the audio", error);
        }
    }

    return V2M_OK;
}


/* FFmpeg takes what is there of some formats for all that there was. */
int
v2m_complete_check_length(const v2m_media_t *media, v2m_error_t *error)
{
    int64_t told;

    told = v2m_length_told(&media->input.source);

    if (media->input.length / V2M_COMPLETE_PERCENT >= told / 100) {
        return V2M_OK;
    }

    return v2m_error_set(error, V2M_INVALID,
                         "the file is truncated: only %d %% of it is there",
                         (int) (media->input.length / (told / 100)));
}


static int
v2m_complete_too_short(int64_t there, int64_t whole)
{
    return whole - there > V2M_COMPLETE_MISSING
           && there / V2M_COMPLETE_PERCENT < whole / 100;
}


int
v2m_complete_check_end(const v2m_media_t *media, int64_t heard,
                       v2m_error_t *error)
{
    int64_t last;

    if (media->declared != AV_NOPTS_VALUE
        && v2m_complete_too_short(heard, media->declared))
    {
        return v2m_complete_truncated(heard, media->declared, "the audio",
                                      error);
    }

    if (media->last != AV_NOPTS_VALUE && media->whole != AV_NOPTS_VALUE) {
        /* the duration that such formats tell is counted from zero */
        last = FFMAX(media->last, 0);

        if (v2m_complete_too_short(last, media->whole)) {
            return v2m_complete_truncated(last, media->whole, "it", error);
        }
    }

    if (media->errors > 0 && v2m_media_percent(media) < V2M_COMPLETE_PERCENT) {
        return v2m_error_set(error, V2M_INVALID,
                             "the file is damaged: it cannot be read beyond "
                             "%d %% of its length",
                             v2m_media_percent(media));
    }

    return V2M_OK;
}
