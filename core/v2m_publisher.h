/*
 * A thread that owns one connection to RabbitMQ and publishes to one queue,
 * with confirms, many in flight, reconnecting with growing pauses.
 */

#ifndef V2M_PUBLISHER_H
#define V2M_PUBLISHER_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"

typedef struct v2m_publisher_s v2m_publisher_t;

/*
 * Called once for each message that v2m_publisher_send() took, on the
 * publisher's thread: V2M_OK when the broker confirmed it, else
 * V2M_UNAVAILABLE (not connected, blocked, nacked, returned as unroutable, or
 * not confirmed in time: the message may or may not have arrived).  Must not
 * block and must not call the publisher.
 */
typedef void (*v2m_publisher_done_pt)(void *data, int rc,
                                      const v2m_error_t *error);

/* Called on the publisher's thread when its connection changes, for a log;
 * error is NULL when it (again) works. */
typedef void (*v2m_publisher_state_pt)(void *data, const v2m_error_t *error);

/* What happens, for who counts it: each message that was taken comes to one of
 * the first five. */
typedef enum {
    V2M_PUBLISHER_CONFIRMED,
    V2M_PUBLISHER_NACKED,
    V2M_PUBLISHER_RETURNED, /* unroutable */
    V2M_PUBLISHER_EXPIRED,  /* not confirmed in time */
    V2M_PUBLISHER_LOST,     /* the connection was, or is blocked */

    /* these come in pairs */
    V2M_PUBLISHER_CONNECTED,
    V2M_PUBLISHER_DISCONNECTED,
    V2M_PUBLISHER_BLOCKED, /* by the broker */
    V2M_PUBLISHER_UNBLOCKED
} v2m_publisher_event_t;

/* Called on the publisher's thread.  Must not block and must not call the
 * publisher. */
typedef void (*v2m_publisher_event_pt)(void *data, v2m_publisher_event_t event);

/* Called on the publisher's thread with how many messages wait in each of the
 * queues that v2m_publisher_measure() asked about; -1: there is none of this
 * name.  Must not block and must not call the publisher. */
typedef void (*v2m_publisher_depths_pt)(void *data, const int64_t *messages);

#define V2M_PUBLISHER_QUEUES 4

typedef struct {
    const char             *url;
    const char             *queue; /* declared as in v2m_amqp_declare() */
    const char             *name;  /* of the connection */
    int                     delivery_limit;
    int                     confirm_timeout_ms;
    size_t                  capacity; /* messages not yet confirmed, at most */
    v2m_publisher_state_pt  state;    /* may be NULL */
    v2m_publisher_event_pt  event;    /* may be NULL */
    v2m_publisher_depths_pt depths;   /* may be NULL */
    void                   *data;     /* of these three */
} v2m_publisher_options_t;

/* Starts the thread, which takes no signals; strings are copied.  To be called
 * after fork().  V2M_INVALID: the URL or the queue's name is unusable. */
int v2m_publisher_start(v2m_publisher_t              **publisher,
                        const v2m_publisher_options_t *options,
                        v2m_error_t                   *error);

/*
 * Takes a message for publishing; body and message_id are copied.  Never
 * blocks; any thread.  V2M_FULL: capacity reached; V2M_UNAVAILABLE: not
 * connected, or the broker blocks publishers; V2M_INVALID: the message or its
 * id is too long (see v2m_amqp.h).  On these done is not called.
 */
int v2m_publisher_send(v2m_publisher_t *publisher, const char *body,
                       size_t length, const char *message_id,
                       v2m_publisher_done_pt done, void *data,
                       v2m_error_t *error);

/*
 * Asks the broker how many messages wait in some queues, V2M_PUBLISHER_QUEUES
 * at most; the names must outlive the publisher.  Never blocks; any thread.
 * While there is no connection, or the broker blocks it, nothing follows.
 */
void v2m_publisher_measure(v2m_publisher_t   *publisher,
                           const char *const *queues, size_t count);

/* 1 when connected and not blocked.  Any thread. */
int v2m_publisher_ready(v2m_publisher_t *publisher);

/* Ends the thread, at once or, while it waits for a reply of the broker, within
 * a few seconds; messages not yet confirmed get their done call with
 * V2M_UNAVAILABLE before this returns.  NULL is allowed. */
void v2m_publisher_stop(v2m_publisher_t *publisher);

#endif /* V2M_PUBLISHER_H */
