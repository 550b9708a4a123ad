#include "v2m_publisher.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "v2m_amqp.h"
#include "v2m_pause.h"
#include "v2m_unconfirmed.h"

#define V2M_PUBLISHER_HEARTBEAT_S 10
#define V2M_PUBLISHER_TIMEOUT_MS  3000 /* to connect, and for each reply */
#define V2M_PUBLISHER_IDLE_MS     60000

/* pauses between attempts to connect */
#define V2M_PUBLISHER_FIRST_MS 100
#define V2M_PUBLISHER_MOST_MS  10000

/* a connection that held this long counts as good: pauses begin anew */
#define V2M_PUBLISHER_GOOD_MS 10000

struct v2m_publisher_s {
    pthread_t               thread;
    char                   *url;
    char                   *queue;
    char                   *name;
    int                     delivery_limit;
    int                     confirm_timeout_ms;
    size_t                  capacity;
    v2m_publisher_state_pt  state;
    v2m_publisher_event_pt  event;
    v2m_publisher_depths_pt depths;
    void                   *data; /* of these three */
    int                     wake_fd;

    /* under the mutex */
    pthread_mutex_t        mutex;
    int                    connected;
    int                    blocked;
    int                    stopping;
    size_t                 count;  /* waiting and in flight */
    const char *const     *queues; /* to be measured; NULL: none are */
    size_t                 queue_count;
    v2m_unconfirmed_list_t waiting;

    /* the thread's own */
    v2m_amqp_t            *amqp;
    v2m_unconfirmed_list_t in_flight; /* in the order of their tags */
    int                    unroutable;
    int                    failures; /* to connect, in a row */
    v2m_error_t            trouble;  /* what the state callback was told */
};


static void
v2m_publisher_wake(v2m_publisher_t *publisher)
{
    ssize_t  written;
    uint64_t one;

    /* it fails only when the counter is full, and then the thread wakes */

    one = 1;
    written = write(publisher->wake_fd, &one, sizeof(one));
    (void) written;
}


static void
v2m_publisher_note(v2m_publisher_t *publisher, v2m_publisher_event_t event)
{
    if (publisher->event != NULL) {
        publisher->event(publisher->data, event);
    }
}


/* The message came to this end; the error is of all but the confirmed ones. */
static void
v2m_publisher_finish(v2m_publisher_t *publisher, v2m_unconfirmed_t *message,
                     v2m_publisher_event_t end, const v2m_error_t *error)
{
    pthread_mutex_lock(&publisher->mutex);
    publisher->count--;
    pthread_mutex_unlock(&publisher->mutex);

    v2m_publisher_note(publisher, end);

    if (end == V2M_PUBLISHER_CONFIRMED) {
        message->done(message->data, V2M_OK, NULL);

    } else {
        message->done(message->data, V2M_UNAVAILABLE, error);
    }

    free(message);
}


static void
v2m_publisher_finish_all(v2m_publisher_t        *publisher,
                         v2m_unconfirmed_list_t *list, const v2m_error_t *error)
{
    v2m_unconfirmed_t *message;

    while ((message = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, message, link);
        v2m_publisher_finish(publisher, message, V2M_PUBLISHER_LOST, error);
    }
}


static void
v2m_publisher_woken(v2m_publisher_t *publisher)
{
    ssize_t  n;
    uint64_t count;

    n = read(publisher->wake_fd, &count, sizeof(count));
    (void) n;
}


/* Moves what was sent meanwhile to the list. */
static void
v2m_publisher_take(v2m_publisher_t *publisher, v2m_unconfirmed_list_t *list)
{
    /* first the descriptor: what comes after makes it readable again */

    v2m_publisher_woken(publisher);

    pthread_mutex_lock(&publisher->mutex);
    TAILQ_CONCAT(list, &publisher->waiting, link);
    pthread_mutex_unlock(&publisher->mutex);
}


static int
v2m_publisher_stopping(v2m_publisher_t *publisher)
{
    int stopping;

    pthread_mutex_lock(&publisher->mutex);
    stopping = publisher->stopping;
    pthread_mutex_unlock(&publisher->mutex);

    return stopping;
}


/* From now on messages are taken; error is NULL then, else they are not. */
static void
v2m_publisher_set_state(v2m_publisher_t *publisher, int connected, int blocked,
                        const v2m_error_t *error)
{
    int was_connected, was_blocked;

    pthread_mutex_lock(&publisher->mutex);
    was_connected = publisher->connected;
    was_blocked = publisher->blocked;
    publisher->connected = connected;
    publisher->blocked = blocked;
    pthread_mutex_unlock(&publisher->mutex);

    if (was_blocked != blocked) {
        v2m_publisher_note(publisher, blocked ? V2M_PUBLISHER_BLOCKED
                                              : V2M_PUBLISHER_UNBLOCKED);
    }

    if (was_connected != connected) {
        v2m_publisher_note(publisher, connected ? V2M_PUBLISHER_CONNECTED
                                                : V2M_PUBLISHER_DISCONNECTED);
    }

    if (publisher->state == NULL) {
        return;
    }

    /* not every attempt to connect, only what is new */

    if (error == NULL) {
        publisher->trouble.text[0] = '\0';
        publisher->state(publisher->data, NULL);

    } else if (strcmp(error->text, publisher->trouble.text) != 0) {
        publisher->trouble = *error;
        publisher->state(publisher->data, error);
    }
}


/* Nothing more is to be expected for the messages under way. */
static void
v2m_publisher_give_up(v2m_publisher_t *publisher, const v2m_error_t *error)
{
    v2m_unconfirmed_list_t list;

    TAILQ_INIT(&list);
    TAILQ_CONCAT(&list, &publisher->in_flight, link);
    v2m_publisher_take(publisher, &list);
    v2m_publisher_finish_all(publisher, &list, error);
}


static int
v2m_publisher_publish(v2m_publisher_t *publisher, v2m_error_t *error)
{
    int                    rc;
    v2m_unconfirmed_list_t list;
    v2m_unconfirmed_t     *message;

    rc = V2M_OK;
    TAILQ_INIT(&list);
    v2m_publisher_take(publisher, &list);

    while (rc == V2M_OK && (message = TAILQ_FIRST(&list)) != NULL) {
        TAILQ_REMOVE(&list, message, link);

        rc = v2m_amqp_publish(publisher->amqp, publisher->queue, message->body,
                              message->length, message->message_id,
                              &message->tag, error);

        message->due_ms = v2m_clock_ms() + publisher->confirm_timeout_ms;
        TAILQ_INSERT_TAIL(&publisher->in_flight, message, link);
    }

    TAILQ_CONCAT(&publisher->in_flight, &list, link);

    return rc;
}


static void
v2m_publisher_settle(v2m_publisher_t *publisher, v2m_unconfirmed_t *message,
                     v2m_amqp_event_type_t type)
{
    v2m_error_t error;

    if (type == V2M_AMQP_NACK) {
        v2m_error_set(&error, V2M_UNAVAILABLE,
                      "RabbitMQ could not take the message");
        v2m_publisher_finish(publisher, message, V2M_PUBLISHER_NACKED, &error);

    } else if (message->returned) {
        publisher->unroutable = 1;
        v2m_error_set(&error, V2M_UNAVAILABLE, "the queue \"%s\" was not there",
                      publisher->queue);
        v2m_publisher_finish(publisher, message, V2M_PUBLISHER_RETURNED,
                             &error);

    } else {
        v2m_publisher_finish(publisher, message, V2M_PUBLISHER_CONFIRMED, NULL);
    }
}


static void
v2m_publisher_event(v2m_publisher_t *publisher, const v2m_amqp_event_t *event)
{
    v2m_error_t        error;
    v2m_unconfirmed_t *message;

    switch (event->type) {
    case V2M_AMQP_ACK:
    case V2M_AMQP_NACK:
        while ((message = v2m_unconfirmed_take(&publisher->in_flight,
                                               event->tag, event->multiple))
               != NULL)
        {
            v2m_publisher_settle(publisher, message, event->type);
        }

        break;

    case V2M_AMQP_RETURN:
        v2m_unconfirmed_return(&publisher->in_flight, event->message_id);
        break;

    case V2M_AMQP_BLOCKED:
        v2m_error_set(&error, V2M_UNAVAILABLE,
                      "RabbitMQ blocks publishers: it is short of memory or "
                      "disk");
        v2m_publisher_set_state(publisher, 1, 1, &error);
        v2m_publisher_give_up(publisher, &error);
        break;

    case V2M_AMQP_UNBLOCKED:
        v2m_publisher_set_state(publisher, 1, 0, NULL);
        break;

    default:
        break;
    }
}


/* Gives up on what was not confirmed in time.  Returns for how long there is
 * nothing to do. */
static int64_t
v2m_publisher_expire(v2m_publisher_t *publisher)
{
    int64_t            now;
    v2m_error_t        error;
    v2m_unconfirmed_t *message;

    now = v2m_clock_ms();

    while ((message = TAILQ_FIRST(&publisher->in_flight)) != NULL) {
        if (message->due_ms > now) {
            return message->due_ms - now;
        }

        v2m_error_set(&error, V2M_UNAVAILABLE,
                      "RabbitMQ did not confirm the message within %d ms",
                      publisher->confirm_timeout_ms);

        TAILQ_REMOVE(&publisher->in_flight, message, link);
        v2m_publisher_finish(publisher, message, V2M_PUBLISHER_EXPIRED, &error);
    }

    return V2M_PUBLISHER_IDLE_MS;
}


/* Asks about the queues that somebody wants to know of. */
static int
v2m_publisher_depths(v2m_publisher_t *publisher, v2m_error_t *error)
{
    int                rc;
    size_t             i, count;
    int64_t            messages[V2M_PUBLISHER_QUEUES];
    const char *const *queues;

    pthread_mutex_lock(&publisher->mutex);
    queues = publisher->blocked ? NULL : publisher->queues;
    count = publisher->queue_count;
    publisher->queues = NULL;
    pthread_mutex_unlock(&publisher->mutex);

    if (queues == NULL) {
        return V2M_OK;
    }

    for (i = 0; i < count; i++) {
        rc = v2m_amqp_depth(publisher->amqp, queues[i], &messages[i], error);

        if (rc == V2M_UNAVAILABLE) {
            return rc;
        }

        if (rc != V2M_OK) {
            messages[i] = -1;
        }
    }

    publisher->depths(publisher->data, messages);

    return V2M_OK;
}


/* Serves the connection until it fails or the publisher is stopped. */
static int
v2m_publisher_serve(v2m_publisher_t *publisher, v2m_error_t *error)
{
    int              rc;
    int64_t          idle_ms;
    v2m_amqp_event_t event;

    for (;;) {
        if (v2m_publisher_stopping(publisher)) {
            return v2m_error_set(error, V2M_UNAVAILABLE,
                                 "the publisher was stopped");
        }

        rc = v2m_publisher_publish(publisher, error);

        if (rc == V2M_OK) {
            rc = v2m_publisher_depths(publisher, error);
        }

        if (rc != V2M_OK) {
            return rc;
        }

        idle_ms = v2m_publisher_expire(publisher);

        rc = v2m_amqp_wait(publisher->amqp, publisher->wake_fd, (int) idle_ms,
                           &event, error);
        if (rc != V2M_OK) {
            return rc;
        }

        v2m_publisher_event(publisher, &event);

        if (publisher->unroutable) {
            publisher->unroutable = 0;

            rc = v2m_amqp_declare(publisher->amqp, publisher->queue,
                                  publisher->delivery_limit, error);
            if (rc != V2M_OK) {
                return rc;
            }
        }
    }
}


static int
v2m_publisher_connect(v2m_publisher_t *publisher, v2m_error_t *error)
{
    int                rc;
    v2m_amqp_options_t options;

    options.name = publisher->name;
    options.heartbeat_s = V2M_PUBLISHER_HEARTBEAT_S;
    options.timeout_ms = V2M_PUBLISHER_TIMEOUT_MS;

    rc = v2m_amqp_connect(&publisher->amqp, publisher->url, &options, error);
    if (rc != V2M_OK) {
        publisher->amqp = NULL;
        return rc;
    }

    rc = v2m_amqp_declare(publisher->amqp, publisher->queue,
                          publisher->delivery_limit, error);

    return rc == V2M_OK ? v2m_amqp_confirms(publisher->amqp, error) : rc;
}


static void
v2m_publisher_pause(v2m_publisher_t *publisher)
{
    int64_t       left, until;
    struct pollfd wake;

    until = v2m_clock_ms()
            + v2m_pause_ms(publisher->failures, V2M_PUBLISHER_FIRST_MS,
                           V2M_PUBLISHER_MOST_MS);
    publisher->failures++;

    wake.fd = publisher->wake_fd;
    wake.events = POLLIN;

    while (!v2m_publisher_stopping(publisher)
           && (left = until - v2m_clock_ms()) > 0)
    {
        /* no message is taken meanwhile: what wakes is stopping, or a message
         * that was given up on already */

        if (poll(&wake, 1, (int) left) > 0) {
            v2m_publisher_woken(publisher);
        }
    }
}


static void *
v2m_publisher_run(void *data)
{
    int              rc;
    int64_t          connected_ms;
    v2m_error_t      error;
    v2m_publisher_t *publisher;

    publisher = data;

    while (!v2m_publisher_stopping(publisher)) {
        connected_ms = v2m_clock_ms();

        rc = v2m_publisher_connect(publisher, &error);

        if (rc == V2M_OK) {
            v2m_publisher_set_state(publisher, 1, 0, NULL);
            connected_ms = v2m_clock_ms();
            v2m_publisher_serve(publisher, &error);
        }

        if (!v2m_publisher_stopping(publisher)) {
            v2m_publisher_set_state(publisher, 0, 0, &error);
            v2m_publisher_give_up(publisher, &error);
        }

        v2m_amqp_close(publisher->amqp);
        publisher->amqp = NULL;

        if (rc == V2M_OK
            && v2m_clock_ms() - connected_ms > V2M_PUBLISHER_GOOD_MS) {
            publisher->failures = 0;
        }

        v2m_publisher_pause(publisher);
    }

    v2m_error_set(&error, V2M_UNAVAILABLE, "the publisher was stopped");
    v2m_publisher_give_up(publisher, &error);

    return NULL;
}


static void
v2m_publisher_free(v2m_publisher_t *publisher)
{
    if (publisher->wake_fd != -1) {
        close(publisher->wake_fd);
    }

    if (publisher->url != NULL) {
        explicit_bzero(publisher->url, strlen(publisher->url));
    }

    free(publisher->url);
    free(publisher->queue);
    free(publisher->name);
    pthread_mutex_destroy(&publisher->mutex);
    free(publisher);
}


/* Signals are for the threads that the caller knows of: a thread that takes
 * one would not end the wait that the signal is meant to end. */
static int
v2m_publisher_create_thread(v2m_publisher_t *publisher)
{
    int      rc;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);

    rc = pthread_create(&publisher->thread, NULL, v2m_publisher_run, publisher);

    pthread_sigmask(SIG_SETMASK, &before, NULL);

    return rc;
}


int
v2m_publisher_start(v2m_publisher_t              **result,
                    const v2m_publisher_options_t *options, v2m_error_t *error)
{
    int              rc;
    v2m_publisher_t *publisher;

    rc = v2m_amqp_check_url(options->url, error);

    if (rc == V2M_OK) {
        rc = v2m_amqp_check_queue(options->queue, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    publisher = calloc(1, sizeof(v2m_publisher_t));
    if (publisher == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    publisher->url = strdup(options->url);
    publisher->queue = strdup(options->queue);
    publisher->name = strdup(options->name);
    publisher->delivery_limit = options->delivery_limit;
    publisher->confirm_timeout_ms = options->confirm_timeout_ms;
    publisher->capacity = options->capacity;
    publisher->state = options->state;
    publisher->event = options->event;
    publisher->depths = options->depths;
    publisher->data = options->data;
    publisher->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    pthread_mutex_init(&publisher->mutex, NULL);
    TAILQ_INIT(&publisher->waiting);
    TAILQ_INIT(&publisher->in_flight);

    if (publisher->url == NULL || publisher->queue == NULL
        || publisher->name == NULL || publisher->wake_fd == -1)
    {
        v2m_publisher_free(publisher);
        return v2m_error_set(error, V2M_ERROR,
                             "out of memory or of file descriptors");
    }

    rc = v2m_publisher_create_thread(publisher);
    if (rc != 0) {
        v2m_publisher_free(publisher);
        return v2m_error_set(error, V2M_ERROR,
                             "cannot start the publisher's thread: %s",
                             strerror(rc));
    }

    *result = publisher;

    return V2M_OK;
}


int
v2m_publisher_send(v2m_publisher_t *publisher, const char *body, size_t length,
                   const char *message_id, v2m_publisher_done_pt done,
                   void *data, v2m_error_t *error)
{
    int                rc, first;
    v2m_unconfirmed_t *message;

    if (length > V2M_AMQP_BODY_MAX
        || strlen(message_id) > V2M_AMQP_MESSAGE_ID_MAX) {
        return v2m_error_set(error, V2M_INVALID,
                             "the message or its id is too long to publish");
    }

    message = v2m_unconfirmed_create(body, length, message_id, done, data);
    if (message == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    rc = V2M_OK;
    first = 0;

    pthread_mutex_lock(&publisher->mutex);

    if (!publisher->connected || publisher->stopping) {
        rc = v2m_error_set(error, V2M_UNAVAILABLE,
                           "there is no connection to RabbitMQ");

    } else if (publisher->blocked) {
        rc =
            v2m_error_set(error, V2M_UNAVAILABLE, "RabbitMQ blocks publishers");

    } else if (publisher->count >= publisher->capacity) {
        rc = v2m_error_set(error, V2M_FULL,
                           "%zu messages wait for RabbitMQ already",
                           publisher->count);

    } else {
        first = TAILQ_EMPTY(&publisher->waiting);
        TAILQ_INSERT_TAIL(&publisher->waiting, message, link);
        publisher->count++;
    }

    pthread_mutex_unlock(&publisher->mutex);

    if (rc != V2M_OK) {
        free(message);

    } else if (first) {
        v2m_publisher_wake(publisher);
    }

    return rc;
}


void
v2m_publisher_measure(v2m_publisher_t *publisher, const char *const *queues,
                      size_t count)
{
    pthread_mutex_lock(&publisher->mutex);

    if (publisher->connected && publisher->depths != NULL) {
        publisher->queues = queues;
        publisher->queue_count =
            count < V2M_PUBLISHER_QUEUES ? count : V2M_PUBLISHER_QUEUES;
    }

    pthread_mutex_unlock(&publisher->mutex);

    v2m_publisher_wake(publisher);
}


int
v2m_publisher_ready(v2m_publisher_t *publisher)
{
    int ready;

    pthread_mutex_lock(&publisher->mutex);
    ready = publisher->connected && !publisher->blocked;
    pthread_mutex_unlock(&publisher->mutex);

    return ready;
}


void
v2m_publisher_stop(v2m_publisher_t *publisher)
{
    if (publisher == NULL) {
        return;
    }

    pthread_mutex_lock(&publisher->mutex);
    publisher->stopping = 1;
    pthread_mutex_unlock(&publisher->mutex);

    v2m_publisher_wake(publisher);
    pthread_join(publisher->thread, NULL);
    v2m_publisher_free(publisher);
}
