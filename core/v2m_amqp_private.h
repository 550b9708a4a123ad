/*
 * What the sources core/v2m_amqp*.c share: rabbitmq-c, the connection, and how
 * the broker's answers are judged.  For them alone.
 *
 * All of it runs in the thread that owns the connection, as v2m_amqp.h says.
 */

#ifndef V2M_AMQP_PRIVATE_H
#define V2M_AMQP_PRIVATE_H

#include "v2m_amqp.h"

#if __has_include("rabbitmq-c/amqp.h")
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#include <rabbitmq-c/ssl_socket.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#endif

#define V2M_AMQP_NAME_MAX 255 /* of a short string of the protocol */

/*
 * Messages go over one channel.  Queues are looked up and declared on a
 * channel of their own, because the broker closes a channel on which a
 * missing queue was named, and with it would go all that is unacknowledged
 * or unconfirmed there.
 */
#define V2M_AMQP_MAIN 1
#define V2M_AMQP_SIDE 2

/* The header that tells when a message was published, in ms since the epoch. */
#define V2M_AMQP_PUBLISHED "published_ms"

struct v2m_amqp_s {
    amqp_connection_state_t connection;
    int                     timeout_ms;
    int                     slice_ms; /* for heartbeats to be sent in time */
    int                     side_open;
    int                     confirms;
    uint64_t                published;
    size_t                  consumer_length; /* 0: not consuming */
    char                    consumer[V2M_AMQP_NAME_MAX];

    /* the message of which frames are still to come */
    v2m_amqp_event_t incoming;
    uint64_t         body_size;
    uint64_t         body_received;
    char            *body;
    size_t           body_capacity;
};

/* Says that the connection failed while doing what, with rabbitmq-c's status.
 * Returns V2M_UNAVAILABLE. */
int v2m_amqp_lost(int status, const char *what, v2m_error_t *error);

/* Answers the broker's close of a channel or of the connection, and says why
 * it was closed.  Returns the broker's code. */
int v2m_amqp_closed(v2m_amqp_t *amqp, amqp_channel_t channel,
                    const amqp_method_t *method, const char *what,
                    v2m_error_t *error);

/*
 * Judges the reply to a call.  On the side channel V2M_NOT_FOUND means that
 * there is no such queue and V2M_CONFLICT that it has other properties; the
 * connection goes on after both.
 */
int v2m_amqp_reply(v2m_amqp_t *amqp, amqp_channel_t channel,
                   amqp_rpc_reply_t reply, const char *what,
                   v2m_error_t *error);

/*
 * To be called before anything is sent, as rabbitmq-c would wait for ever
 * when the broker takes no more data.  What is sent after a good result is
 * small enough for the socket's buffer.
 */
int v2m_amqp_writable(v2m_amqp_t *amqp, const char *what, v2m_error_t *error);

int v2m_amqp_open_channel(v2m_amqp_t *amqp, amqp_channel_t channel,
                          v2m_error_t *error);

/* An entry of a table of arguments; both texts stay the caller's. */
amqp_table_entry_t v2m_amqp_text_entry(const char *key, const char *value);

#endif /* V2M_AMQP_PRIVATE_H */
