#include "v2m_handlers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "v2m_metrics.h"
#include "v2m_pause.h"

struct v2m_handlers_s {
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
v2m_handlers_thread(void *data)
{
    int64_t         began;
    uint64_t        one;
    ssize_t         written;
    v2m_handlers_t *handlers;
    v2m_work_t     *work;

    one = 1;
    handlers = data;

    pthread_mutex_lock(&handlers->lock);

    for (;;) {
        while (!handlers->closing && TAILQ_EMPTY(&handlers->waiting)) {
            pthread_cond_wait(&handlers->more, &handlers->lock);
        }

        if (handlers->closing) {
            break;
        }

        work = TAILQ_FIRST(&handlers->waiting);
        TAILQ_REMOVE(&handlers->waiting, work, link);
        handlers->running++;
        pthread_mutex_unlock(&handlers->lock);

        began = v2m_clock_us();
        work->outcome =
            handlers->handle(handlers->data, &work->delivery, &work->reply);
        v2m_metrics_took(V2M_METRICS_HANDLING, v2m_clock_us() - began);

        pthread_mutex_lock(&handlers->lock);
        handlers->running--;
        TAILQ_INSERT_TAIL(&handlers->finished, work, link);

        written = write(handlers->fd, &one, sizeof(one));
        (void) written;
    }

    pthread_mutex_unlock(&handlers->lock);

    return NULL;
}


int
v2m_handlers_create(v2m_handlers_t **result, int threads,
                    v2m_worker_handler_pt handle, void *data,
                    v2m_error_t *error)
{
    int             rc;
    v2m_handlers_t *handlers;

    handlers =
        calloc(1, sizeof(*handlers) + (size_t) threads * sizeof(pthread_t));
    if (handlers == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    handlers->handle = handle;
    handlers->data = data;
    TAILQ_INIT(&handlers->waiting);
    TAILQ_INIT(&handlers->finished);

    handlers->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (handlers->fd == -1) {
        rc = v2m_error_set(error, V2M_ERROR, "eventfd() failed: %s",
                           strerror(errno));
        free(handlers);
        return rc;
    }

    pthread_mutex_init(&handlers->lock, NULL);
    pthread_cond_init(&handlers->more, NULL);

    while (handlers->count < threads) {
        rc = pthread_create(&handlers->threads[handlers->count], NULL,
                            v2m_handlers_thread, handlers);

        if (rc != 0) {
            v2m_handlers_destroy(handlers);
            return v2m_error_set(error, V2M_ERROR,
                                 "pthread_create() failed: %s", strerror(rc));
        }

        handlers->count++;
    }

    *result = handlers;
    return V2M_OK;
}


int
v2m_handlers_fd(const v2m_handlers_t *handlers)
{
    return handlers->fd;
}


void
v2m_handlers_submit(v2m_handlers_t *handlers, v2m_work_t *work)
{
    pthread_mutex_lock(&handlers->lock);
    TAILQ_INSERT_TAIL(&handlers->waiting, work, link);
    pthread_cond_signal(&handlers->more);
    pthread_mutex_unlock(&handlers->lock);
}


void
v2m_handlers_finished(v2m_handlers_t *handlers, v2m_work_list_t *list)
{
    ssize_t  taken;
    uint64_t count;

    /* before the list is taken: what finishes later makes it readable anew */
    taken = read(handlers->fd, &count, sizeof(count));
    (void) taken;

    pthread_mutex_lock(&handlers->lock);
    TAILQ_CONCAT(list, &handlers->finished, link);
    pthread_mutex_unlock(&handlers->lock);
}


void
v2m_handlers_withdraw(v2m_handlers_t *handlers, v2m_work_list_t *list)
{
    pthread_mutex_lock(&handlers->lock);
    TAILQ_CONCAT(list, &handlers->waiting, link);
    pthread_mutex_unlock(&handlers->lock);
}


int
v2m_handlers_running(v2m_handlers_t *handlers)
{
    int running;

    pthread_mutex_lock(&handlers->lock);
    running = handlers->running;
    pthread_mutex_unlock(&handlers->lock);

    return running;
}


static void
v2m_handlers_drop(v2m_work_list_t *list)
{
    v2m_work_t *work;

    while ((work = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, work, link);
        v2m_work_free(work);
    }
}


void
v2m_handlers_destroy(v2m_handlers_t *handlers)
{
    int i;

    if (handlers == NULL) {
        return;
    }

    pthread_mutex_lock(&handlers->lock);
    handlers->closing = 1;
    pthread_cond_broadcast(&handlers->more);
    pthread_mutex_unlock(&handlers->lock);

    for (i = 0; i < handlers->count; i++) {
        pthread_join(handlers->threads[i], NULL);
    }

    v2m_handlers_drop(&handlers->waiting);
    v2m_handlers_drop(&handlers->finished);

    pthread_cond_destroy(&handlers->more);
    pthread_mutex_destroy(&handlers->lock);
    close(handlers->fd);
    free(handlers);
}
