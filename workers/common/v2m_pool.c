#include "v2m_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct v2m_pool_s {
    pthread_mutex_t       lock; /* guards the lists, running and closing */
    pthread_cond_t        more;
    v2m_work_list_t       waiting;
    v2m_work_list_t       finished;
    int                   running;
    int                   closing;
    int                   fd;
    v2m_worker_handler_pt handle;
    void                 *data;
    int                   count;
    pthread_t             threads[];
};


void
v2m_work_free(v2m_work_t *work)
{
    free(work->body);
    free(work->reply.body);
    free(work);
}


static void *
v2m_pool_thread(void *data)
{
    uint64_t    one;
    ssize_t     written;
    v2m_pool_t *pool;
    v2m_work_t *work;

    one = 1;
    pool = data;

    pthread_mutex_lock(&pool->lock);

    for (;;) {
        while (!pool->closing && TAILQ_EMPTY(&pool->waiting)) {
            pthread_cond_wait(&pool->more, &pool->lock);
        }

        if (pool->closing) {
            break;
        }

        work = TAILQ_FIRST(&pool->waiting);
        TAILQ_REMOVE(&pool->waiting, work, link);
        pool->running++;
        pthread_mutex_unlock(&pool->lock);

        work->outcome = pool->handle(pool->data, &work->delivery, &work->reply);

        pthread_mutex_lock(&pool->lock);
        pool->running--;
        TAILQ_INSERT_TAIL(&pool->finished, work, link);

        written = write(pool->fd, &one, sizeof(one));
        (void) written;
    }

    pthread_mutex_unlock(&pool->lock);

    return NULL;
}


int
v2m_pool_create(v2m_pool_t **pool, int threads, v2m_worker_handler_pt handle,
                void *data, v2m_error_t *error)
{
    int         rc;
    v2m_pool_t *p;

    p = calloc(1, sizeof(*p) + (size_t) threads * sizeof(pthread_t));
    if (p == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    p->handle = handle;
    p->data = data;
    TAILQ_INIT(&p->waiting);
    TAILQ_INIT(&p->finished);

    p->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (p->fd == -1) {
        rc = v2m_error_set(error, V2M_ERROR, "eventfd() failed: %s",
                           strerror(errno));
        free(p);
        return rc;
    }

    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);

    while (p->count < threads) {
        rc = pthread_create(&p->threads[p->count], NULL, v2m_pool_thread, p);

        if (rc != 0) {
            v2m_pool_destroy(p);
            return v2m_error_set(error, V2M_ERROR,
                                 "pthread_create() failed: %s", strerror(rc));
        }

        p->count++;
    }

    *pool = p;
    return V2M_OK;
}


int
v2m_pool_fd(const v2m_pool_t *pool)
{
    return pool->fd;
}


void
v2m_pool_submit(v2m_pool_t *pool, v2m_work_t *work)
{
    pthread_mutex_lock(&pool->lock);
    TAILQ_INSERT_TAIL(&pool->waiting, work, link);
    pthread_cond_signal(&pool->more);
    pthread_mutex_unlock(&pool->lock);
}


void
v2m_pool_finished(v2m_pool_t *pool, v2m_work_list_t *list)
{
    ssize_t  taken;
    uint64_t count;

    /* before the list is taken: what finishes later makes it readable anew */
    taken = read(pool->fd, &count, sizeof(count));
    (void) taken;

    pthread_mutex_lock(&pool->lock);
    TAILQ_CONCAT(list, &pool->finished, link);
    pthread_mutex_unlock(&pool->lock);
}


void
v2m_pool_withdraw(v2m_pool_t *pool, v2m_work_list_t *list)
{
    pthread_mutex_lock(&pool->lock);
    TAILQ_CONCAT(list, &pool->waiting, link);
    pthread_mutex_unlock(&pool->lock);
}


int
v2m_pool_running(v2m_pool_t *pool)
{
    int running;

    pthread_mutex_lock(&pool->lock);
    running = pool->running;
    pthread_mutex_unlock(&pool->lock);

    return running;
}


static void
v2m_pool_drop(v2m_work_list_t *list)
{
    v2m_work_t *work;

    while ((work = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, work, link);
        v2m_work_free(work);
    }
}


void
v2m_pool_destroy(v2m_pool_t *pool)
{
    int i;

    if (pool == NULL) {
        return;
    }

    pthread_mutex_lock(&pool->lock);
    pool->closing = 1;
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);

    for (i = 0; i < pool->count; i++) {
        pthread_join(pool->threads[i], NULL);
    }

    v2m_pool_drop(&pool->waiting);
    v2m_pool_drop(&pool->finished);

    pthread_cond_destroy(&pool->more);
    pthread_mutex_destroy(&pool->lock);
    close(pool->fd);
    free(pool);
}
