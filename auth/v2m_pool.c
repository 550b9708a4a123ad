#include "v2m_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct v2m_pool_s {
    v2m_pool_options_t options;
    char              *what;

    pthread_mutex_t mutex;
    pthread_cond_t  given;
    int             connections; /* idle and in use */
    int             idle_count;
    void           *idle[];
};


int
v2m_pool_create(v2m_pool_t **pool, const v2m_pool_options_t *options,
                v2m_error_t *error)
{
    v2m_pool_t        *made;
    pthread_condattr_t attributes;

    *pool = NULL;

    made = calloc(1, sizeof(v2m_pool_t)
                         + (size_t) options->capacity * sizeof(void *));
    if (made == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    made->what = strdup(options->what);
    if (made->what == NULL) {
        free(made);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    made->options = *options;
    made->options.what = made->what;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&made->given, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&made->mutex, NULL);

    *pool = made;
    return V2M_OK;
}


void
v2m_pool_destroy(v2m_pool_t *pool)
{
    if (pool == NULL) {
        return;
    }

    while (pool->idle_count > 0) {
        pool->options.close(pool->idle[--pool->idle_count]);
    }

    pthread_cond_destroy(&pool->given);
    pthread_mutex_destroy(&pool->mutex);

    free(pool->what);
    free(pool);
}


static struct timespec
v2m_pool_until(int timeout_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);

    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;

    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }

    return until;
}


/* An idle connection, or NULL with leave to make one. */
static int
v2m_pool_reserve(v2m_pool_t *pool, void **connection, v2m_error_t *error)
{
    int             rc;
    struct timespec until;

    *connection = NULL;
    until = v2m_pool_until(pool->options.timeout_ms);

    rc = 0;
    pthread_mutex_lock(&pool->mutex);

    while (rc != ETIMEDOUT && pool->idle_count == 0
           && pool->connections == pool->options.capacity)
    {
        rc = pthread_cond_timedwait(&pool->given, &pool->mutex, &until);
    }

    if (pool->idle_count > 0) {
        *connection = pool->idle[--pool->idle_count];
        rc = V2M_OK;

    } else if (pool->connections < pool->options.capacity) {
        pool->connections++;
        rc = V2M_OK;

    } else {
        rc = v2m_error_set(error, V2M_UNAVAILABLE,
                           "all %d connections to %s are busy",
                           pool->options.capacity, pool->what);
    }

    pthread_mutex_unlock(&pool->mutex);

    return rc;
}


/* Gives up the leave that came with v2m_pool_reserve(). */
static void
v2m_pool_release(v2m_pool_t *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->connections--;
    pthread_cond_signal(&pool->given);
    pthread_mutex_unlock(&pool->mutex);
}


int
v2m_pool_take(v2m_pool_t *pool, void **connection, v2m_error_t *error)
{
    int rc;

    rc = v2m_pool_reserve(pool, connection, error);

    if (rc != V2M_OK) {
        return rc;
    }

    if (*connection != NULL) {
        if (pool->options.works(*connection)) {
            return V2M_OK;
        }

        pool->options.close(*connection);
        *connection = NULL;
    }

    rc = pool->options.open(pool->options.data, connection, error);

    if (rc != V2M_OK) {
        v2m_pool_release(pool);
    }

    return rc;
}


void
v2m_pool_give(v2m_pool_t *pool, void *connection, int broken)
{
    if (broken) {
        pool->options.close(connection);
        v2m_pool_release(pool);
        return;
    }

    pthread_mutex_lock(&pool->mutex);
    pool->idle[pool->idle_count++] = connection;
    pthread_cond_signal(&pool->given);
    pthread_mutex_unlock(&pool->mutex);
}
