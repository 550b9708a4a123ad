/*
 * Where decoded samples belong in time: gaps become silence, overlaps are
 * trimmed, and the cut is made, to the sample.  Free of FFmpeg.
 *
 * Times are in microseconds; those of the cut count from the start of the
 * whole file, which is where a player starts.
 */

#ifndef V2M_TIMELINE_H
#define V2M_TIMELINE_H

#include <stdint.h>

#define V2M_TIMELINE_UNKNOWN INT64_MIN

typedef struct {
    int64_t origin;   /* the file's start on the clock of the timestamps */
    int64_t duration; /* what the file says of itself, or UNKNOWN */
    int64_t start;    /* of the cut */
    int64_t end;      /* of the cut, or UNKNOWN */
    int     jumps;    /* the format's clock may jump */

    /* the rest is the timeline's own */
    int64_t base;     /* the place of the sample counted as 0 */
    int64_t samples;  /* since then */
    int     rate;     /* of these; 0: nothing was placed yet */
    int     late;     /* frames in a row that are off, but not by much */
    int     dropping; /* an overlap goes on in the next frame */
    int64_t length;   /* audio and silence between audio, before the cut */
    int64_t past;     /* of this, at rates before */
    int64_t heard;    /* of this, samples of this rate */
} v2m_timeline_t;

/* What to do with a frame: silence comes first, in samples of its rate. */
typedef struct {
    int64_t silence;
    int     skip;     /* samples to drop at the frame's head */
    int     take;     /* samples to use after them */
    int     finished; /* nothing after this is wanted */
} v2m_timeline_step_t;

/* start 0 and end UNKNOWN: no cut. */
void v2m_timeline_init(v2m_timeline_t *timeline, int64_t origin,
                       int64_t duration, int64_t start, int64_t end, int jumps);

/* Places a frame of that many samples (at least 1) at a rate (Hz, at least
 * 1); timestamp may be UNKNOWN. */
void v2m_timeline_place(v2m_timeline_t *timeline, int64_t timestamp,
                        int samples, int rate, v2m_timeline_step_t *step);

/* Passes over samples, of the last frame's rate, that nobody wants. */
void v2m_timeline_pass(v2m_timeline_t *timeline, int64_t samples);

/* The place after the last frame, from the start of the file. */
int64_t v2m_timeline_position(const v2m_timeline_t *timeline);

#endif /* V2M_TIMELINE_H */
