#include "v2m_patience.h"

#include <time.h>

#include "v2m_log.h"
#include "v2m_pause.h"
#include "v2m_worker.h"

#define V2M_PATIENCE_FIRST_MS 200
#define V2M_PATIENCE_MOST_MS  5000

/* how soon it notices that the worker is told to stop */
#define V2M_PATIENCE_TICK_MS 100


int
v2m_patience_sleep(int64_t milliseconds, int (*ended)(void))
{
    int64_t         until;
    struct timespec tick;

    tick.tv_sec = 0;
    tick.tv_nsec = V2M_PATIENCE_TICK_MS * 1000000L;

    for (until = v2m_clock_ms() + milliseconds;
         v2m_clock_ms() < until && !ended();) {
        nanosleep(&tick, NULL);
    }

    return !ended();
}


int
v2m_patience_wait(v2m_patience_t *patience, int rc, const v2m_error_t *error)
{
    if (rc != V2M_UNAVAILABLE || v2m_worker_draining()) {
        patience->waits = 0;
        return 0;
    }

    if (patience->waits == 0) {
        v2m_log(V2M_LOG_WARNING, patience->job, "waiting for the store: %s",
                error->text);
    }

    return v2m_patience_sleep(v2m_pause_ms(patience->waits++,
                                           V2M_PATIENCE_FIRST_MS,
                                           V2M_PATIENCE_MOST_MS),
                              v2m_worker_draining);
}
