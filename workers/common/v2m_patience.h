/*
 * Patience with a store that is away: that says nothing about the message at
 * hand, so no attempt is spent on it.  A handler repeats its call to the
 * store until there is an answer, as the worker's loop does with the broker.
 */

#ifndef V2M_PATIENCE_H
#define V2M_PATIENCE_H

#include <stdint.h>

#include "v2m_error.h"

/* Zeroed before its first use. */
typedef struct {
    const char *job;   /* its id, for the log */
    int         waits; /* in a row */
} v2m_patience_t;

/*
 * After each call to the store, with its result: waits and returns 1 when the
 * call is to be repeated.  Returns 0 when the store answered, whatever it was,
 * and once the worker is told to stop.
 */
int v2m_patience_wait(v2m_patience_t *patience, int rc,
                      const v2m_error_t *error);

/* Sleeps for so long, or until one of v2m_worker_draining() and
 * v2m_worker_stopping() says so: then it returns 0, else 1. */
int v2m_patience_sleep(int64_t milliseconds, int (*ended)(void));

#endif /* V2M_PATIENCE_H */
