/* Where decoded samples belong in time: gaps, overlaps, jitter, jumps, and
 * cuts to the sample. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "v2m_timeline.h"

#define UNKNOWN V2M_TIMELINE_UNKNOWN
#define SECOND  INT64_C(1000000)
#define HOUR    (3600 * SECOND)
#define FRAME   1024

/* A timeline, and what became of the frames placed on it. */
typedef struct {
    v2m_timeline_t      timeline;
    v2m_timeline_step_t step; /* of the last frame */
    int64_t             given;
    int64_t             silence;
    int64_t             skipped;
    int64_t             taken;
    int64_t             first; /* number of the first sample taken, or -1 */
    int64_t             next;  /* after the last sample taken */
    int64_t             before_first; /* silence before the first taken */
    int                 torn;         /* samples taken are not in one piece */
} test_play_t;


static void
play_begin(test_play_t *play, int64_t origin, int64_t duration, int64_t start,
           int64_t end, int jumps)
{
    memset(play, 0, sizeof(*play));
    play->first = -1;
    v2m_timeline_init(&play->timeline, origin, duration, start, end, jumps);
}


static void
play(test_play_t *play, int64_t timestamp, int samples, int rate)
{
    v2m_timeline_step_t *step = &play->step;

    memset(step, 0xA5, sizeof(*step));
    v2m_timeline_place(&play->timeline, timestamp, samples, rate, step);

    assert_true(step->silence >= 0);
    assert_true(step->skip >= 0 && step->take >= 0);
    assert_true(step->skip + step->take <= samples);
    assert_true(step->finished || step->skip + step->take == samples);

    if (step->take > 0) {
        if (play->first == -1) {
            play->first = play->given + step->skip;
            play->before_first = play->silence + step->silence;

        } else if (play->next != play->given + step->skip) {
            play->torn = 1;
        }

        play->next = play->given + step->skip + step->take;
    }

    play->given += samples;
    play->silence += step->silence;
    play->skipped += step->skip;
    play->taken += step->take;
}


/* The time of a sample, as exactly as a timestamp in units of so many
 * microseconds tells it. */
static int64_t
time_of(int64_t sample, int rate, int64_t unit)
{
    return (sample * SECOND / rate + unit / 2) / unit * unit;
}


/* So many whole frames that follow one another; samples count from where the
 * test is, timestamps from the time given. */
static void
play_frames(test_play_t *p, int64_t from, int count, int rate, int64_t unit)
{
    int i;

    for (i = 0; i < count; i++) {
        play(p, from + time_of((int64_t) i * FRAME, rate, unit), FRAME, rate);
    }
}


static void
test_contiguous(void **state)
{
    size_t      i, j;
    test_play_t p;

    static const int     rates[] = { 8000, 11025, 22050, 44100, 48000, 96000 };
    static const int64_t units[] = { 1, 11, 1000 };
    static const int64_t origins[] = { 0, -SECOND / 3, 95443717 * SECOND };

    (void) state;

    for (i = 0; i < 6; i++) {
        for (j = 0; j < 9; j++) {
            play_begin(&p, origins[j / 3], UNKNOWN, 0, UNKNOWN, 0);
            play_frames(&p, origins[j / 3], 5000, rates[i], units[j % 3]);

            assert_int_equal(p.silence, 0);
            assert_int_equal(p.skipped, 0);
            assert_int_equal(p.taken, 5000 * FRAME);
            assert_int_equal(v2m_timeline_position(&p.timeline),
                             INT64_C(5000) * FRAME * SECOND / rates[i]);
            assert_int_equal(p.timeline.length,
                             INT64_C(5000) * FRAME * SECOND / rates[i]);
        }
    }

    /* a frame may be a sample */

    play_begin(&p, 0, UNKNOWN, 0, UNKNOWN, 0);

    for (i = 0; i < 44100; i++) {
        play(&p, (int64_t) i * SECOND / 44100, 1, 44100);
    }

    assert_int_equal(p.taken, 44100);
    assert_int_equal(p.timeline.length, SECOND);
}


static void
test_unknown_timestamps(void **state)
{
    int         i;
    test_play_t p;

    (void) state;

    play_begin(&p, 7 * SECOND, UNKNOWN, SECOND, 2 * SECOND, 0);

    for (i = 0; i < 100; i++) {
        play(&p, UNKNOWN, FRAME, 48000);
    }

    assert_int_equal(p.first, 48000);
    assert_int_equal(p.taken, 48000);
    assert_int_equal(p.silence, 0);
    assert_true(p.step.finished);

    /* and nonsense is as unknown */

    play_begin(&p, 0, UNKNOWN, 0, UNKNOWN, 0);
    play(&p, INT64_MAX, FRAME, 48000);
    play(&p, INT64_MIN + 1, FRAME, 48000);
    play(&p, (INT64_C(1) << 55) + 1, FRAME, 48000);
    assert_int_equal(p.silence, 0);
    assert_int_equal(p.taken, 3 * FRAME);

    play_begin(&p, INT64_MAX, INT64_MAX, 0, UNKNOWN, 0);
    play_frames(&p, 0, 100, 48000, 1);
    assert_int_equal(p.silence, 0);
    assert_int_equal(p.taken, 100 * FRAME);
}


/* xorshift: the same numbers wherever and whenever it runs. */
static uint32_t
next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;

    return *seed;
}


static void
test_jitter(void **state)
{
    int         i;
    int64_t     off;
    uint32_t    seed;
    test_play_t p;

    (void) state;

    /* up to 25 ms either way moves nothing, however long it lasts */

    seed = 2463534242;
    play_begin(&p, 0, UNKNOWN, 0, UNKNOWN, 0);
    play(&p, 0, FRAME, 44100);

    for (i = 1; i < 20000; i++) {
        off = (int64_t) (next_random(&seed) % 49990) - 24995;
        play(&p, time_of((int64_t) i * FRAME, 44100, 1) + off, FRAME, 44100);
    }

    assert_int_equal(p.silence, 0);
    assert_int_equal(p.skipped, 0);

    /* up to 90 ms moves nothing as long as one of eight in a row is near */

    play_begin(&p, 0, UNKNOWN, 0, UNKNOWN, 0);
    play(&p, 0, FRAME, 44100);

    for (i = 1; i < 20000; i++) {
        off = i % 8 == 0 ? 0 : (int64_t) (next_random(&seed) % 180000) - 90000;
        play(&p, time_of((int64_t) i * FRAME, 44100, 1) + off, FRAME, 44100);
    }

    assert_int_equal(p.silence, 0);
    assert_int_equal(p.skipped, 0);
}


/* A clock that is off by 1 in 500 against the sample rate: corrected again
 * and again, never far. */
static void
test_drift(void **state)
{
    int         i, sign;
    int64_t     timestamp, place;
    test_play_t p;

    (void) state;

    for (sign = -1; sign <= 1; sign += 2) {
        play_begin(&p, 0, UNKNOWN, 0, UNKNOWN, 0);

        for (i = 0; i < 20000; i++) {
            timestamp = (int64_t) i * FRAME * SECOND / 48000;
            timestamp += sign * timestamp / 500;
            play(&p, timestamp, FRAME, 48000);
            place = v2m_timeline_position(&p.timeline)
                    - time_of(p.step.take, 48000, 1);
            assert_true(llabs(place - timestamp) < 26000);
        }

        /* 426.7 s, of which 0.85 s are too many or too few */

        assert_in_range(sign > 0 ? p.silence : p.skipped, 0.8 * 48000,
                        0.9 * 48000);
        assert_int_equal(sign > 0 ? p.skipped : p.silence, 0);
    }
}


static void
test_gaps(void **state)
{
    test_play_t p;

    (void) state;

    /* half a second, at once and to the sample */

    play_begin(&p, 0, UNKNOWN, 0, UNKNOWN, 0);
    play_frames(&p, 0, 100, 48000, 1);
    play(&p, time_of(100 * FRAME + 24000, 48000, 1), FRAME, 48000);
    assert_int_equal(p.step.silence, 24000);
    play_frames(&p, time_of(101 * FRAME + 24000, 48000, 1), 100, 48000, 1);
    assert_int_equal(p.silence, 24000);
    assert_int_equal(p.taken, 201 * FRAME);
    assert_int_equal(p.timeline.length, time_of(201 * FRAME + 24000, 48000, 1));

    /* 50 ms only when the eighth frame in a row is off */

    play_begin(&p, 0, UNKNOWN, 0, UNKNOWN, 0);
    play_frames(&p, 0, 100, 48000, 1);
    play_frames(&p, time_of(100 * FRAME + 2400, 48000, 1), 7, 48000, 1);
    assert_int_equal(p.silence, 0);
    play(&p, time_of(107 * FRAME + 2400, 48000, 1), FRAME, 48000);
    assert_int_equal(p.step.silence, 2400);

    /* 20 ms never */

    play_begin(&p, 0, UNKNOWN, 0, UNKNOWN, 0);
    play_frames(&p, 0, 100, 48000, 1);
    play_frames(&p, time_of(100 * FRAME + 960, 48000, 1), 100, 48000, 1);
    assert_int_equal(p.silence, 0);
}


/* Of one frame after a second of others: the silence, and whether the clock
 * was set so that the next frame follows. */
static void
assert_far(int64_t off, int64_t duration, int jumps, int64_t silence,
           int64_t skip)
{
    test_play_t p;

    play_begin(&p, 5 * SECOND, duration, 0, UNKNOWN, jumps);
    play(&p, 5 * SECOND, 48000, 48000);
    play(&p, 6 * SECOND + off, FRAME, 48000);

    assert_int_equal(p.step.silence, silence);
    assert_int_equal(p.step.skip, skip);
    assert_int_equal(v2m_timeline_position(&p.timeline),
                     time_of(48000 + silence + FRAME - skip, 48000, 1));

    if (skip == 0) {
        play(&p, 6 * SECOND + off + time_of(FRAME, 48000, 1), FRAME, 48000);
        assert_int_equal(p.step.silence, 0);
        assert_int_equal(p.step.skip, 0);
    }
}


static void
test_jumps(void **state)
{
    (void) state;

    /* any clock: up to an hour is a gap, less than a second an overlap */

    assert_far(HOUR - 1000, UNKNOWN, 0, 48000 * 3600 - 48, 0);
    assert_far(HOUR, UNKNOWN, 0, 0, 0);
    assert_far(INT64_C(1) << 54, UNKNOWN, 0, 0, 0);
    assert_far(-SECOND + 1000, UNKNOWN, 0, 0, FRAME);
    assert_far(-SECOND, UNKNOWN, 0, 0, 0);
    assert_far(-(INT64_C(1) << 54), UNKNOWN, 0, 0, 0);

    /* one that may jump: up to ten seconds */

    assert_far(10 * SECOND - 1000, UNKNOWN, 1, 48000 * 10 - 48, 0);
    assert_far(10 * SECOND, UNKNOWN, 1, 0, 0);
    assert_far(-SECOND + 1000, UNKNOWN, 1, 0, FRAME);
    assert_far(-SECOND, UNKNOWN, 1, 0, 0);

    /* no gap leads far beyond the end */

    assert_far(20 * SECOND, 19 * SECOND, 0, 48000 * 20, 0);
    assert_far(20 * SECOND, 19 * SECOND - 1, 0, 0, 0);
}


static void
test_overlap(void **state)
{
    test_play_t p;

    (void) state;

    /* half a second again: dropped to the sample, then all is well */

    play_begin(&p, 0, UNKNOWN, 0, UNKNOWN, 0);
    play_frames(&p, 0, 100, 48000, 1);
    play_frames(&p, time_of(100 * FRAME - 24000, 48000, 1), 100, 48000, 1);
    assert_int_equal(p.silence, 0);
    assert_int_equal(p.skipped, 24000);
    assert_int_equal(p.taken, 200 * FRAME - 24000);
    assert_int_equal(p.timeline.length, time_of(p.taken, 48000, 1));
}


static void
test_begin(void **state)
{
    test_play_t p;

    (void) state;

    /* later than the file: silence, which is none of the audio's length */

    play_begin(&p, SECOND, UNKNOWN, 0, UNKNOWN, 0);
    play(&p, SECOND + SECOND / 2, FRAME, 48000);
    assert_int_equal(p.step.silence, 24000);
    assert_int_equal(p.timeline.length, time_of(FRAME, 48000, 1));
    assert_int_equal(v2m_timeline_position(&p.timeline),
                     time_of(24000 + FRAME, 48000, 1));

    /* a little earlier, as with a decoder's delay: there the audio begins */

    play_begin(&p, 0, UNKNOWN, 0, UNKNOWN, 0);
    play(&p, -20000, FRAME, 48000);
    assert_int_equal(p.step.skip, 0);
    assert_int_equal(p.step.take, FRAME);
    assert_int_equal(v2m_timeline_position(&p.timeline),
                     time_of(FRAME, 48000, 1) - 20000);

    /* much earlier: so does the file */

    play_begin(&p, 0, UNKNOWN, 0, UNKNOWN, 0);
    play(&p, -SECOND / 2, FRAME, 48000);
    assert_int_equal(p.step.skip, 0);
    assert_int_equal(v2m_timeline_position(&p.timeline),
                     time_of(FRAME, 48000, 1));
}


/* Frames with timestamps in milliseconds, cut: what is taken is one piece,
 * from the sample to the sample. */
static void
assert_cut(int rate, int64_t start, int64_t end, int64_t origin)
{
    int         i;
    int64_t     first, last;
    test_play_t p;

    play_begin(&p, origin, UNKNOWN, start, end, 0);

    for (i = 0; i < 1000 && !p.step.finished; i++) {
        play(&p, origin + time_of((int64_t) i * FRAME, rate, 1000), FRAME,
             rate);
    }

    first = (start * rate + SECOND / 2) / SECOND;
    last = end == UNKNOWN ? 1000 * FRAME : (end * rate + SECOND / 2) / SECOND;

    assert_int_equal(p.silence, 0);
    assert_false(p.torn);
    assert_int_equal(p.first, first);
    assert_int_equal(p.next, last);
    assert_int_equal(p.step.finished, end != UNKNOWN);
}


static void
test_cuts(void **state)
{
    size_t   i;
    int64_t  start;
    uint32_t seed;

    static const int rates[] = { 8000, 11025, 44100, 48000 };

    (void) state;

    seed = 88172645;

    for (i = 0; i < 2000; i++) {
        start = next_random(&seed) % 6000 * 1000;
        assert_cut(rates[i % 4], start,
                   i % 5 == 0 ? UNKNOWN
                              : start + (1 + next_random(&seed) % 5000) * 1000,
                   i % 3 == 0 ? 0 : next_random(&seed) % 100000 * 1000);
    }

    /* on the borders of frames */

    assert_cut(48000, 64000, 128000, 0);
    assert_cut(48000, 0, 64000, 0);
    assert_cut(48000, 64000, UNKNOWN, 0);
}


/* Frames with a second of nothing between the second and the third. */
static void
play_with_gap(test_play_t *p, int64_t start, int64_t end)
{
    int i;

    play_begin(p, 0, UNKNOWN, start, end, 0);

    for (i = 0; i < 4 && !p->step.finished; i++) {
        play(p, (i + (i > 1)) * SECOND, 48000, 48000);
    }
}


static void
test_cuts_in_gaps(void **state)
{
    test_play_t p;

    (void) state;

    /* the start in it */

    play_with_gap(&p, 2 * SECOND + SECOND / 4, UNKNOWN);
    assert_int_equal(p.before_first, 36000);
    assert_int_equal(p.first, 96000);
    assert_int_equal(p.taken, 96000);
    assert_false(p.step.finished);

    /* the end in it: silence up to there */

    play_with_gap(&p, SECOND, 2 * SECOND + SECOND / 4);
    assert_int_equal(p.first, 48000);
    assert_int_equal(p.taken, 48000);
    assert_int_equal(p.silence, 12000);
    assert_true(p.step.finished);

    /* both */

    play_with_gap(&p, 2 * SECOND + SECOND / 4, 2 * SECOND + SECOND / 2);
    assert_int_equal(p.taken, 0);
    assert_int_equal(p.silence, 12000);
    assert_true(p.step.finished);

    /* around it, on its borders, and with nothing left */

    play_with_gap(&p, SECOND / 2, 3 * SECOND + SECOND / 2);
    assert_int_equal(p.silence, 48000);
    assert_int_equal(p.taken, 24000 + 48000 + 24000);

    play_with_gap(&p, 2 * SECOND, 3 * SECOND);
    assert_int_equal(p.silence, 48000);
    assert_int_equal(p.taken, 0);

    play_with_gap(&p, 3 * SECOND, UNKNOWN);
    assert_int_equal(p.silence, 0);
    assert_int_equal(p.taken, 96000);

    play_with_gap(&p, 6 * SECOND, UNKNOWN);
    assert_int_equal(p.taken + p.silence, 0);
    assert_int_equal(v2m_timeline_position(&p.timeline), 5 * SECOND);
}


static void
test_rate_change(void **state)
{
    test_play_t p;

    (void) state;

    play_begin(&p, 0, UNKNOWN, SECOND / 2, 3 * SECOND + SECOND / 2, 0);
    play(&p, 0, 48000, 48000);
    assert_int_equal(p.step.take, 24000);
    play(&p, SECOND, 44100, 44100);
    assert_int_equal(p.step.take, 44100);

    /* half a second is missing */

    play(&p, 2 * SECOND + SECOND / 2, 8000, 8000);
    assert_int_equal(p.step.silence, 4000);
    assert_int_equal(p.step.take, 8000);
    assert_true(p.step.finished);
    assert_int_equal(p.timeline.length, 3 * SECOND + SECOND / 2);
}


/* Whatever a file says: the steps' own rules hold (see play()), and nothing
 * overflows, which a sanitizer sees. */
static void
test_torture(void **state)
{
    int         i, round, rate;
    int64_t     timestamp;
    uint32_t    seed;
    test_play_t p;

    static const int rates[] = { 1,     7,     8000,   44100,
                                 48000, 96000, 768000, INT32_MAX };

    (void) state;

    seed = 2463534242;

    for (round = 0; round < 300; round++) {
        rate = rates[next_random(&seed) % 8];
        timestamp = 0;
        play_begin(&p,
                   next_random(&seed) % 2
                       ? 0
                       : (int64_t) (next_random(&seed) * UINT64_C(4294967296)),
                   next_random(&seed) % 2 ? UNKNOWN : next_random(&seed),
                   next_random(&seed) % 2 * INT64_C(360000000000),
                   next_random(&seed) % 2 ? UNKNOWN : INT64_C(360000000000),
                   (int) (next_random(&seed) % 2));

        for (i = 0; i < 200; i++) {
            switch (next_random(&seed) % 8) {
            case 0:
                timestamp = (int64_t) next_random(&seed)
                            << next_random(&seed) % 32;
                break;
            case 1:
                timestamp = -(int64_t) next_random(&seed)
                            * (1 << next_random(&seed) % 24);
                break;
            case 2:
                timestamp = UNKNOWN;
                break;
            case 3:
                timestamp = p.timeline.base + next_random(&seed);
                break;
            case 4:
                rate = rates[next_random(&seed) % 8];
                break;
            default:
                timestamp =
                    v2m_timeline_position(&p.timeline) + p.timeline.origin;
            }

            play(&p, timestamp, 1 + (int) (next_random(&seed) % (1 << 22)),
                 rate);
        }
    }
}


/* What is passed over counts as if it had been there. */
static void
test_pass(void **state)
{
    v2m_timeline_t      timeline;
    v2m_timeline_step_t step;

    (void) state;

    v2m_timeline_init(&timeline, 0, V2M_TIMELINE_UNKNOWN, 100000000, 100500000,
                      0);
    v2m_timeline_place(&timeline, 0, 1024, 44100, &step);
    assert_int_equal(step.take, 0);

    v2m_timeline_pass(&timeline, 44100 * 99 - 1024);
    assert_int_equal(v2m_timeline_position(&timeline), 99000000);
    assert_int_equal(timeline.length, 99000000);

    v2m_timeline_place(&timeline, 99000000, 44000, 44100, &step);
    assert_int_equal(step.silence, 0);
    assert_int_equal(step.take, 0);
    assert_int_equal(step.finished, 0);

    v2m_timeline_place(&timeline, V2M_TIMELINE_UNKNOWN, 44100, 44100, &step);
    assert_int_equal(step.skip, 100);
    assert_int_equal(step.take, 22050);
    assert_int_equal(step.finished, 1);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pass),
        cmocka_unit_test(test_contiguous),
        cmocka_unit_test(test_unknown_timestamps),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_begin),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_cuts_in_gaps),
        cmocka_unit_test(test_rate_change),
        cmocka_unit_test(test_torture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
