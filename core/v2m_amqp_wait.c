#include "v2m_amqp_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_pause.h"
#include "v2m_socket.h"


/* The header of that name, 0: there is none that is a whole number. */
static int64_t
v2m_amqp_header(const amqp_basic_properties_t *properties, const char *name)
{
    int                 i;
    size_t              length;
    amqp_table_entry_t *entry;

    if (!(properties->_flags & AMQP_BASIC_HEADERS_FLAG)) {
        return 0;
    }

    length = strlen(name);

    for (i = 0; i < properties->headers.num_entries; i++) {
        entry = &properties->headers.entries[i];

        if (entry->key.len != length
            || memcmp(entry->key.bytes, name, length) != 0) {
            continue;
        }

        switch (entry->value.kind) {
        case AMQP_FIELD_KIND_I64:
            return entry->value.value.i64;
        case AMQP_FIELD_KIND_I32:
            return entry->value.value.i32;
        case AMQP_FIELD_KIND_I16:
            return entry->value.value.i16;
        case AMQP_FIELD_KIND_I8:
            return entry->value.value.i8;
        default:
            return 0;
        }
    }

    return 0;
}


/* When the message was published; other producers may tell the second only. */
static int64_t
v2m_amqp_published_ms(const amqp_basic_properties_t *properties)
{
    int64_t published;

    published = v2m_amqp_header(properties, V2M_AMQP_PUBLISHED);

    if (published == 0 && (properties->_flags & AMQP_BASIC_TIMESTAMP_FLAG)
        && properties->timestamp < INT64_MAX / 1000)
    {
        published = (int64_t) properties->timestamp * 1000;
    }

    return published;
}


/* The frame after the method: size and properties of the message. */
static int
v2m_amqp_take_header(v2m_amqp_t *amqp, const amqp_frame_t *frame,
                     v2m_error_t *error)
{
    char                          *body;
    int64_t                        count;
    v2m_amqp_event_t              *incoming;
    const amqp_basic_properties_t *properties;

    incoming = &amqp->incoming;
    properties = frame->payload.properties.decoded;
    amqp->body_size = frame->payload.properties.body_size;
    amqp->body_received = 0;

    if (properties->_flags & AMQP_BASIC_MESSAGE_ID_FLAG) {
        snprintf(incoming->message_id, sizeof(incoming->message_id), "%.*s",
                 (int) properties->message_id.len,
                 (const char *) properties->message_id.bytes);
    }

    count = v2m_amqp_header(properties, "x-delivery-count");
    if (count > incoming->delivery_count) {
        incoming->delivery_count = (int) count;
    }

    incoming->published_ms = v2m_amqp_published_ms(properties);

    if (amqp->body_size > amqp->body_capacity
        && amqp->body_size <= V2M_AMQP_BODY_MAX)
    {
        body = realloc(amqp->body, amqp->body_size);
        if (body == NULL) {
            return v2m_error_set(error, V2M_UNAVAILABLE, "out of memory");
        }

        amqp->body = body;
        amqp->body_capacity = amqp->body_size;
    }

    return V2M_OK;
}


static void
v2m_amqp_take_body(v2m_amqp_t *amqp, const amqp_bytes_t *fragment)
{
    if (amqp->body_size <= V2M_AMQP_BODY_MAX
        && fragment->len <= amqp->body_size - amqp->body_received)
    {
        memcpy(amqp->body + amqp->body_received, fragment->bytes,
               fragment->len);
    }

    amqp->body_received += fragment->len;
}


/* Gives the message under way to the caller once all of it is there. */
static void
v2m_amqp_complete(v2m_amqp_t *amqp, v2m_amqp_event_t *event)
{
    if (amqp->body_received < amqp->body_size) {
        return;
    }

    *event = amqp->incoming;
    event->body = amqp->body;

    /* one that is too long for any message of ours comes as an empty one,
     * which no reader accepts */

    event->length = amqp->body_size > V2M_AMQP_BODY_MAX ? 0 : amqp->body_size;

    if (event->length == 0) {
        event->body = "";
    }

    amqp->incoming.type = V2M_AMQP_NONE;
}


static void
v2m_amqp_begin_message(v2m_amqp_t *amqp, const amqp_method_t *method)
{
    v2m_amqp_event_t     *incoming;
    amqp_basic_deliver_t *deliver;

    incoming = &amqp->incoming;
    memset(incoming, 0, sizeof(v2m_amqp_event_t));

    if (method->id == AMQP_BASIC_DELIVER_METHOD) {
        deliver = method->decoded;
        incoming->type = V2M_AMQP_DELIVERY;
        incoming->tag = deliver->delivery_tag;
        incoming->delivery_count = deliver->redelivered ? 1 : 0;

    } else {
        incoming->type = V2M_AMQP_RETURN;
    }

    /* more than any header says, so that the message is not complete */
    amqp->body_size = UINT64_MAX;
    amqp->body_received = 0;
}


static int
v2m_amqp_take_method(v2m_amqp_t *amqp, const amqp_frame_t *frame,
                     v2m_amqp_event_t *event, v2m_error_t *error)
{
    amqp_basic_ack_t    *ack;
    amqp_basic_nack_t   *nack;
    amqp_basic_cancel_t *cancel;
    const amqp_method_t *method;

    method = &frame->payload.method;

    switch (method->id) {
    case AMQP_BASIC_DELIVER_METHOD:
    case AMQP_BASIC_RETURN_METHOD:
        v2m_amqp_begin_message(amqp, method);
        return V2M_OK;

    case AMQP_BASIC_ACK_METHOD:
        ack = method->decoded;
        event->type = V2M_AMQP_ACK;
        event->tag = ack->delivery_tag;
        event->multiple = ack->multiple;
        return V2M_OK;

    case AMQP_BASIC_NACK_METHOD:
        nack = method->decoded;
        event->type = V2M_AMQP_NACK;
        event->tag = nack->delivery_tag;
        event->multiple = nack->multiple;
        return V2M_OK;

    case AMQP_BASIC_CANCEL_METHOD:
        cancel = method->decoded;

        if (cancel->consumer_tag.len == amqp->consumer_length
            && memcmp(cancel->consumer_tag.bytes, amqp->consumer,
                      amqp->consumer_length)
                   == 0)
        {
            amqp->consumer_length = 0;
            event->type = V2M_AMQP_CANCELLED;
        }

        return V2M_OK;

    case AMQP_CONNECTION_BLOCKED_METHOD:
        event->type = V2M_AMQP_BLOCKED;
        return V2M_OK;

    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        event->type = V2M_AMQP_UNBLOCKED;
        return V2M_OK;

    case AMQP_CHANNEL_CLOSE_METHOD:
    case AMQP_CONNECTION_CLOSE_METHOD:
        v2m_amqp_closed(amqp, frame->channel, method, "closed by the broker",
                        error);
        return V2M_UNAVAILABLE;

    default:
        return V2M_OK;
    }
}


static int
v2m_amqp_take_frame(v2m_amqp_t *amqp, const amqp_frame_t *frame,
                    v2m_amqp_event_t *event, v2m_error_t *error)
{
    int rc;

    if (frame->frame_type == AMQP_FRAME_METHOD) {
        return v2m_amqp_take_method(amqp, frame, event, error);
    }

    /* content of nothing that was begun */

    if (amqp->incoming.type == V2M_AMQP_NONE) {
        return V2M_OK;
    }

    if (frame->frame_type == AMQP_FRAME_HEADER) {
        rc = v2m_amqp_take_header(amqp, frame, error);
        if (rc != V2M_OK) {
            return rc;
        }

    } else if (frame->frame_type == AMQP_FRAME_BODY) {
        v2m_amqp_take_body(amqp, &frame->payload.body_fragment);
    }

    v2m_amqp_complete(amqp, event);

    return V2M_OK;
}


int
v2m_amqp_wait(v2m_amqp_t *amqp, int wake_fd, int timeout_ms,
              v2m_amqp_event_t *event, v2m_error_t *error)
{
    int                rc, status;
    int64_t            left, until;
    amqp_frame_t       frame;
    struct timeval     none;
    v2m_socket_ready_t ready;

    memset(event, 0, sizeof(v2m_amqp_event_t));
    memset(&none, 0, sizeof(none));

    until = v2m_clock_ms() + timeout_ms;
    ready = V2M_SOCKET_NOTHING;

    for (;;) {
        amqp_maybe_release_buffers(amqp->connection);

        /* this also sends a heartbeat that is due and misses one that is not
         * there */

        status =
            amqp_simple_wait_frame_noblock(amqp->connection, &frame, &none);

        if (status == AMQP_STATUS_OK) {
            rc = v2m_amqp_take_frame(amqp, &frame, event, error);

            if (rc != V2M_OK || event->type != V2M_AMQP_NONE) {
                return rc;
            }

            continue;
        }

        if (status != AMQP_STATUS_TIMEOUT) {
            return v2m_amqp_lost(status, "waiting", error);
        }

        left = until - v2m_clock_ms();

        if (left <= 0 || ready == V2M_SOCKET_WOKEN) {
            return V2M_OK;
        }

        ready = v2m_socket_wait(amqp_get_sockfd(amqp->connection), wake_fd,
                                left < amqp->slice_ms ? (int) left
                                                      : amqp->slice_ms);
    }
}
