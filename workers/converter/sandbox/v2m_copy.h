/*
 * Audio that is MP3 already: its frames as they are, in a file of their own.
 */

#ifndef V2M_COPY_H
#define V2M_COPY_H

#include <stdint.h>

#include "v2m_error.h"
#include "v2m_media.h"
#include "v2m_mp3.h"
#include "v2m_options.h"
#include "v2m_progress.h"

typedef struct {
    v2m_media_t    *media; /* open */
    v2m_mp3_t      *mp3;   /* open */
    v2m_progress_t *progress;

    /* what came of it */
    int64_t samples;
    int     rate;
    char    source[V2M_MEDIA_DESCRIPTION];

    /* the rest is the copy's own */
    v2m_mpeg_t format;   /* of the frames */
    int64_t    frames;   /* written */
    int64_t    skip;     /* samples to leave out at the beginning */
    int64_t    discard;  /* and at the end */
    int64_t    expected; /* timestamp of the next frame, us */
    int        begun;    /* the first packet came */
    int        hollow;   /* that was a Xing header */
    int        padding;  /* it tells of, -1: none */
    int        rubbish;  /* packets that are no frames, after the last one */
} v2m_copy_t;

/* 1 when the track is MP3 and the options ask for nothing that would change
 * it. */
int v2m_copy_is_possible(const v2m_media_t   *media,
                         const v2m_options_t *options);

/*
 * Copies the track and finishes the MP3.  The first part of the copy was
 * filled, its rest is zero.  V2M_CONFLICT: it is of a kind that has to be
 * encoded anew (frames that are broken or missing, change their format, or lie
 * elsewhere in time); what was written is of no use.
 */
int v2m_copy_run(v2m_copy_t *copy, v2m_error_t *error);

#endif /* V2M_COPY_H */
