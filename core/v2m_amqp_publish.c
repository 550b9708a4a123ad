#include "v2m_amqp_private.h"

#include <string.h>
#include <time.h>

#include "v2m_pause.h"


int
v2m_amqp_confirms(v2m_amqp_t *amqp, v2m_error_t *error)
{
    int rc;

    rc = v2m_amqp_writable(amqp, "turning confirms on", error);
    if (rc != V2M_OK) {
        return rc;
    }

    amqp_confirm_select(amqp->connection, V2M_AMQP_MAIN);

    amqp->confirms = 1;

    return v2m_amqp_reply(amqp, V2M_AMQP_MAIN,
                          amqp_get_rpc_reply(amqp->connection),
                          "turning confirms on", error);
}


/*
 * amqp_basic_publish() is not used: where a heartbeat is overdue, rabbitmq-c
 * 0.11 waits in it for the broker without an end.
 */
static int
v2m_amqp_publish_frames(v2m_amqp_t *amqp, amqp_basic_publish_t *method,
                        amqp_basic_properties_t *properties, const char *body,
                        size_t length)
{
    int          status;
    size_t       sent, most;
    amqp_frame_t frame;

    status = amqp_send_method(amqp->connection, V2M_AMQP_MAIN,
                              AMQP_BASIC_PUBLISH_METHOD, method);
    if (status != AMQP_STATUS_OK) {
        return status;
    }

    memset(&frame, 0, sizeof(frame));
    frame.channel = V2M_AMQP_MAIN;
    frame.frame_type = AMQP_FRAME_HEADER;
    frame.payload.properties.class_id = AMQP_BASIC_CLASS;
    frame.payload.properties.body_size = length;
    frame.payload.properties.decoded = properties;

    status = amqp_send_frame(amqp->connection, &frame);

    /* seven bytes before and one after the content of a frame */
    most = (size_t) amqp_get_frame_max(amqp->connection) - 8;

    frame.frame_type = AMQP_FRAME_BODY;

    for (sent = 0; status == AMQP_STATUS_OK && sent < length;
         sent += frame.payload.body_fragment.len)
    {
        frame.payload.body_fragment.bytes = (char *) body + sent;
        frame.payload.body_fragment.len =
            length - sent < most ? length - sent : most;

        status = amqp_send_frame(amqp->connection, &frame);
    }

    return status;
}


int
v2m_amqp_publish(v2m_amqp_t *amqp, const char *queue, const char *body,
                 size_t length, const char *message_id, uint64_t *tag,
                 v2m_error_t *error)
{
    int                     rc, status;
    amqp_basic_publish_t    method;
    amqp_table_entry_t      published;
    amqp_basic_properties_t properties;

    if (strlen(queue) > V2M_AMQP_QUEUE_MAX || length > V2M_AMQP_BODY_MAX
        || strlen(message_id) > V2M_AMQP_MESSAGE_ID_MAX)
    {
        return v2m_error_set(error, V2M_INVALID,
                             "the message or its id is too long to publish");
    }

    rc = v2m_amqp_writable(amqp, "publishing", error);
    if (rc != V2M_OK) {
        return rc;
    }

    memset(&method, 0, sizeof(method));
    method.exchange = amqp_empty_bytes;
    method.routing_key = amqp_cstring_bytes(queue);
    method.mandatory = 1;

    memset(&properties, 0, sizeof(properties));
    properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG
                        | AMQP_BASIC_CONTENT_TYPE_FLAG
                        | AMQP_BASIC_TIMESTAMP_FLAG;
    properties.delivery_mode = AMQP_DELIVERY_PERSISTENT;
    properties.content_type = amqp_cstring_bytes("application/json");
    properties.timestamp = (uint64_t) time(NULL);

    /* the timestamp is in seconds */
    published.key = amqp_cstring_bytes(V2M_AMQP_PUBLISHED);
    published.value.kind = AMQP_FIELD_KIND_I64;
    published.value.value.i64 = v2m_wall_ms();

    properties._flags |= AMQP_BASIC_HEADERS_FLAG;
    properties.headers.num_entries = 1;
    properties.headers.entries = &published;

    if (*message_id != '\0') {
        properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
        properties.message_id = amqp_cstring_bytes(message_id);
    }

    status = v2m_amqp_publish_frames(amqp, &method, &properties, body, length);
    if (status != AMQP_STATUS_OK) {
        return v2m_amqp_lost(status, "publishing", error);
    }

    *tag = amqp->confirms ? ++amqp->published : 0;

    return V2M_OK;
}
