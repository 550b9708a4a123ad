#include "v2m_pause.h"

#include <sys/random.h>
#include <time.h>


static int64_t
v2m_pause_read_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);

    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}


int64_t
v2m_clock_ms(void)
{
    return v2m_pause_read_us(CLOCK_MONOTONIC) / 1000;
}


int64_t
v2m_clock_us(void)
{
    return v2m_pause_read_us(CLOCK_MONOTONIC);
}


int64_t
v2m_wall_ms(void)
{
    return v2m_pause_read_us(CLOCK_REALTIME) / 1000;
}


int64_t
v2m_pause_ms(int attempt, int64_t first_ms, int64_t most_ms)
{
    int64_t  pause;
    uint32_t chance;

    for (pause = first_ms; attempt > 0 && pause < most_ms; attempt--) {
        pause *= 2;
    }

    if (pause > most_ms) {
        pause = most_ms;
    }

    if (getrandom(&chance, sizeof(chance), 0) != (ssize_t) sizeof(chance)) {
        chance = 0;
    }

    return pause - (int64_t) (chance % (uint32_t) (pause / 2 + 1));
}
