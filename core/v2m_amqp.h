/*
 * One connection to RabbitMQ (AMQP 0-9-1) with one channel: the one place
 * that uses rabbitmq-c.
 *
 * A connection belongs to one thread: no two threads may use it at the same
 * time.  Heartbeats are served inside v2m_amqp_wait(), so its owner calls that
 * at least every few seconds, or is in it.  After any result of
 * V2M_UNAVAILABLE the connection is of no more use: close it and connect anew.
 */

#ifndef V2M_AMQP_H
#define V2M_AMQP_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"

#define V2M_AMQP_QUEUE_MAX      250    /* bytes of a queue's name */
#define V2M_AMQP_BODY_MAX       131072 /* bytes of a message */
#define V2M_AMQP_MESSAGE_ID_MAX 63

typedef struct v2m_amqp_s v2m_amqp_t;

typedef struct {
    const char *name;        /* shown in RabbitMQ's list of connections */
    int         heartbeat_s; /* proposed, the broker may want it shorter */
    int         timeout_ms;  /* for connecting and for each reply */
} v2m_amqp_options_t;

/* V2M_INVALID and a text for a person when the URL is unusable.  amqp:// and
 * amqps:// are accepted; the path is the virtual host.  The host may be a list
 * of the nodes of a cluster, as v2m_amqp_hosts.h has it. */
int v2m_amqp_check_url(const char *url, v2m_error_t *error);

/* V2M_INVALID when no queue of ours can have this name. */
int v2m_amqp_check_queue(const char *queue, v2m_error_t *error);

/*
 * Of several hosts one after the other is tried, each time beginning with
 * another one, until one is connected or the time-out has passed: what takes
 * no connection costs nothing, what hangs costs one call.
 */
int v2m_amqp_connect(v2m_amqp_t **amqp, const char *url,
                     const v2m_amqp_options_t *options, v2m_error_t *error);

/* Closes; waits for a second at most for the broker to have taken everything
 * that was sent before.  NULL is allowed. */
void v2m_amqp_close(v2m_amqp_t *amqp);

/*
 * Makes sure that the queue is there.  A queue that exists, of whatever type
 * and arguments, is used as it is; else a durable quorum queue with the
 * delivery limit is made, whose dead letters go to "NAME.dead", which is made
 * as well.
 */
int v2m_amqp_declare(v2m_amqp_t *amqp, const char *queue, int delivery_limit,
                     v2m_error_t *error);

/* Number of messages ready in the queue.  V2M_NOT_FOUND: there is none of this
 * name. */
int v2m_amqp_depth(v2m_amqp_t *amqp, const char *queue, int64_t *messages,
                   v2m_error_t *error);

/* Turns publisher confirms on.  Afterwards each publish has a delivery tag,
 * counted from 1. */
int v2m_amqp_confirms(v2m_amqp_t *amqp, v2m_error_t *error);

/*
 * Publishes a persistent message, mandatory, to a queue through the default
 * exchange.  Does not wait for the broker's answer: ACK and NACK events name
 * the *tag, RETURN events the message_id (may be empty).  V2M_INVALID: one of
 * them is too long.
 */
int v2m_amqp_publish(v2m_amqp_t *amqp, const char *queue, const char *body,
                     size_t length, const char *message_id, uint64_t *tag,
                     v2m_error_t *error);

/* Begins consuming, with at most prefetch unacknowledged deliveries. */
int v2m_amqp_consume(v2m_amqp_t *amqp, const char *queue, int prefetch,
                     v2m_error_t *error);

/* Ends consuming: the broker sends no further deliveries; what it sent before
 * still comes as events. */
int v2m_amqp_cancel(v2m_amqp_t *amqp, v2m_error_t *error);

int v2m_amqp_ack(v2m_amqp_t *amqp, uint64_t tag, v2m_error_t *error);

/* requeue 0: to the dead-letter queue. */
int v2m_amqp_reject(v2m_amqp_t *amqp, uint64_t tag, int requeue,
                    v2m_error_t *error);

typedef enum {
    V2M_AMQP_NONE,      /* the time passed, or the wake descriptor is ready */
    V2M_AMQP_DELIVERY,  /* tag, body, length, delivery_count, published_ms;
                           a body above V2M_AMQP_BODY_MAX comes as an empty
                           one */
    V2M_AMQP_ACK,       /* tag, multiple: published messages are confirmed */
    V2M_AMQP_NACK,      /* tag, multiple: the broker gave up on them */
    V2M_AMQP_RETURN,    /* message_id: unroutable; its ACK follows */
    V2M_AMQP_CANCELLED, /* the broker ended the consumer (queue deleted) */
    V2M_AMQP_BLOCKED,   /* resource alarm: publishing will stall */
    V2M_AMQP_UNBLOCKED
} v2m_amqp_event_type_t;

typedef struct {
    v2m_amqp_event_type_t type;
    uint64_t              tag;
    int                   multiple;
    int                   delivery_count; /* earlier deliveries, if known */
    int64_t               published_ms;   /* since the epoch; 0: unknown */
    const char           *body;           /* valid until the next call */
    size_t                length;
    char                  message_id[V2M_AMQP_MESSAGE_ID_MAX + 1];
} v2m_amqp_event_t;

/*
 * Waits for one event, for at most timeout_ms.  wake_fd (or -1) is a
 * descriptor whose readability also ends the wait; it is not read.
 */
int v2m_amqp_wait(v2m_amqp_t *amqp, int wake_fd, int timeout_ms,
                  v2m_amqp_event_t *event, v2m_error_t *error);

#endif /* V2M_AMQP_H */
