/*
 * A bounded pool of connections, of whatever kind, that threads share.
 */

#ifndef V2M_POOL_H
#define V2M_POOL_H

#include "v2m_error.h"

typedef struct v2m_pool_s v2m_pool_t;

typedef struct {
    int         capacity;   /* connections at most, idle and in use */
    int         timeout_ms; /* of waiting for one while all are in use */
    const char *what;       /* for error texts: "MariaDB at db:3306" */

    /* called without a lock, by any number of threads at a time */
    int (*open)(void *data, void **connection, v2m_error_t *error);
    int (*works)(void *connection); /* 1, or 0: it broke while idle */
    void (*close)(void *connection);
    void *data; /* for open */
} v2m_pool_options_t;

/* what is copied.  Opens nothing yet. */
int v2m_pool_create(v2m_pool_t **pool, const v2m_pool_options_t *options,
                    v2m_error_t *error);

/* Every connection was given back.  NULL is allowed. */
void v2m_pool_destroy(v2m_pool_t *pool);

/*
 * Takes a connection for the calling thread: an idle one that works, else a
 * new one.  V2M_UNAVAILABLE: all stayed in use; else what open returns.
 */
int v2m_pool_take(v2m_pool_t *pool, void **connection, v2m_error_t *error);

/* Gives it back, for others or, when it broke, to be closed. */
void v2m_pool_give(v2m_pool_t *pool, void *connection, int broken);

#endif /* V2M_POOL_H */
