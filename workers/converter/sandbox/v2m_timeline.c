#include "v2m_timeline.h"

#include <string.h>

/*
 * Timestamps are often rounded to milliseconds and jitter.  A frame that is
 * off by less than NEAR is where it should be, one that is off by FAR or more
 * is moved at once, and one in between when so many in a row are off.
 */
#define V2M_TIMELINE_NEAR     25000
#define V2M_TIMELINE_FAR      100000
#define V2M_TIMELINE_PATIENCE 8

/* A clock that may jump does so when it moves on by JUMP or more, and any
 * clock when it moves back by BACK or more: not a gap, not an overlap. */
#define V2M_TIMELINE_JUMP 10000000
#define V2M_TIMELINE_BACK 1000000

/* A gap is not longer than LONGEST and ends at most SLACK after the end that
 * the file tells of. */
#define V2M_TIMELINE_LONGEST (INT64_C(3600) * 1000000)
#define V2M_TIMELINE_SLACK   2000000

/* Timestamps beyond are nonsense; within, sums of them do not overflow. */
#define V2M_TIMELINE_MAX (INT64_C(1) << 55)


static int64_t
v2m_timeline_samples(int64_t microseconds, int rate)
{
    int64_t seconds, rest;

    seconds = microseconds / 1000000;
    rest = microseconds % 1000000;

    return seconds * rate
           + (rest * rate + (rest < 0 ? -500000 : 500000)) / 1000000;
}


static int64_t
v2m_timeline_time(int64_t samples, int rate)
{
    return samples / rate * 1000000 + samples % rate * 1000000 / rate;
}


static int
v2m_timeline_is_sane(int64_t time)
{
    return time >= -V2M_TIMELINE_MAX && time <= V2M_TIMELINE_MAX;
}


void
v2m_timeline_init(v2m_timeline_t *timeline, int64_t origin, int64_t duration,
                  int64_t start, int64_t end, int jumps)
{
    memset(timeline, 0, sizeof(*timeline));

    timeline->origin = v2m_timeline_is_sane(origin) ? origin : 0;
    timeline->duration =
        v2m_timeline_is_sane(duration) ? duration : V2M_TIMELINE_UNKNOWN;
    timeline->start = start;
    timeline->end = end;
    timeline->jumps = jumps;
    timeline->base = timeline->origin;
}


static int64_t
v2m_timeline_expected(const v2m_timeline_t *timeline)
{
    if (timeline->rate == 0) {
        return timeline->base;
    }

    return timeline->base
           + v2m_timeline_time(timeline->samples, timeline->rate);
}


int64_t
v2m_timeline_position(const v2m_timeline_t *timeline)
{
    return v2m_timeline_expected(timeline) - timeline->origin;
}


/* 1 when a gap before the timestamp is to be filled with silence. */
static int
v2m_timeline_is_gap(const v2m_timeline_t *timeline, int64_t timestamp,
                    int64_t off)
{
    if (off >= (timeline->jumps ? V2M_TIMELINE_JUMP : V2M_TIMELINE_LONGEST)) {
        return 0;
    }

    return timeline->duration == V2M_TIMELINE_UNKNOWN
           || timestamp - timeline->origin
                  <= timeline->duration + V2M_TIMELINE_SLACK;
}


/* How far the frame is to be moved: 0 or its distance from where it would be
 * without a move. */
static int64_t
v2m_timeline_offset(v2m_timeline_t *timeline, int64_t timestamp, int first)
{
    int64_t off, size;

    if (!v2m_timeline_is_sane(timestamp)) {
        return 0;
    }

    off = timestamp - v2m_timeline_expected(timeline);
    size = off < 0 ? -off : off;

    if (timeline->dropping && off < 0 && size < V2M_TIMELINE_BACK) {
        return off;
    }

    if (size < V2M_TIMELINE_NEAR) {
        timeline->late = 0;

        if (first) {
            timeline->base = timestamp;
        }

        return 0;
    }

    if (size < V2M_TIMELINE_FAR && !first
        && ++timeline->late < V2M_TIMELINE_PATIENCE)
    {
        return 0;
    }

    timeline->late = 0;

    if (off > 0 ? v2m_timeline_is_gap(timeline, timestamp, off)
                : size < V2M_TIMELINE_BACK && !first)
    {
        return off;
    }

    /* the clock was set: from here on it counts from this frame, at the place
     * that follows the last one */
    timeline->origin += off;
    timeline->base += off;

    return 0;
}


/* Applies the cut to the silence and the samples of a step, which begin at
 * the given sample. */
static void
v2m_timeline_cut(const v2m_timeline_t *timeline, int64_t first,
                 v2m_timeline_step_t *step)
{
    int64_t start, end, drop;

    start = v2m_timeline_samples(
        timeline->origin + timeline->start - timeline->base, timeline->rate);

    if (timeline->start > 0 && first < start) {
        drop = start - first < step->silence ? start - first : step->silence;
        step->silence -= drop;
        first += drop;

        drop = start - first < step->take ? start - first : step->take;
        if (drop > 0) {
            step->skip += (int) drop;
            step->take -= (int) drop;
            first += drop;
        }
    }

    if (timeline->end == V2M_TIMELINE_UNKNOWN) {
        return;
    }

    end = v2m_timeline_samples(
        timeline->origin + timeline->end - timeline->base, timeline->rate);

    if (first + step->silence + step->take >= end) {
        step->finished = 1;
        step->silence =
            end - first < step->silence ? end - first : step->silence;
        step->silence = step->silence < 0 ? 0 : step->silence;
        drop = end - first - step->silence;
        step->take = drop < 0 ? 0 : (int) drop;
    }
}


void
v2m_timeline_place(v2m_timeline_t *timeline, int64_t timestamp, int samples,
                   int rate, v2m_timeline_step_t *step)
{
    int     first;
    int64_t move, before;

    memset(step, 0, sizeof(*step));
    step->take = samples;

    first = timeline->rate == 0;

    if (timeline->rate != rate) {
        timeline->base = v2m_timeline_expected(timeline);
        timeline->past = timeline->length;
        timeline->samples = 0;
        timeline->heard = 0;
        timeline->rate = rate;
    }

    move = v2m_timeline_samples(v2m_timeline_offset(timeline, timestamp, first),
                                rate);

    if (move > 0) {
        step->silence = move;

    } else {
        step->skip = -move < samples ? (int) -move : samples;
        step->take = samples - step->skip;
    }

    timeline->dropping = -move > samples;

    before = timeline->samples;
    timeline->samples += step->silence + step->take;
    timeline->heard += step->take + (first ? 0 : step->silence);
    timeline->length =
        timeline->past + v2m_timeline_time(timeline->heard, rate);

    v2m_timeline_cut(timeline, before, step);
}


void
v2m_timeline_pass(v2m_timeline_t *timeline, int64_t samples)
{
    timeline->samples += samples;
    timeline->heard += samples;
    timeline->length =
        timeline->past + v2m_timeline_time(timeline->heard, timeline->rate);
    timeline->late = 0;
    timeline->dropping = 0;
}
