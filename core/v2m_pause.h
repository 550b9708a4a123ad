/*
 * Time and the pauses between attempts.
 */

#ifndef V2M_PAUSE_H
#define V2M_PAUSE_H

#include <stdint.h>

/* Milliseconds of a clock that never goes back; only differences mean
 * anything.  Any thread. */
int64_t v2m_clock_ms(void);

/* The same in microseconds. */
int64_t v2m_clock_us(void);

/* Milliseconds since the epoch, UTC, as records tell times.  Any thread. */
int64_t v2m_wall_ms(void);

/*
 * How long to pause after the attempt (counted from 0) failed: twice as long
 * after each, from first_ms to most_ms.  Up to half of it is taken off at
 * random, so that what failed together is not tried again together.
 */
int64_t v2m_pause_ms(int attempt, int64_t first_ms, int64_t most_ms);

#endif /* V2M_PAUSE_H */
