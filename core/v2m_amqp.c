#include "v2m_amqp_private.h"

#include <stdio.h>
#include <string.h>

#include "v2m_socket.h"


int
v2m_amqp_lost(int status, const char *what, v2m_error_t *error)
{
    return v2m_error_set(error, V2M_UNAVAILABLE,
                         "the connection to RabbitMQ failed (%s): %s", what,
                         amqp_error_string2(status));
}


int
v2m_amqp_closed(v2m_amqp_t *amqp, amqp_channel_t channel,
                const amqp_method_t *method, const char *what,
                v2m_error_t *error)
{
    int                        i, code;
    char                       text[V2M_ERROR_TEXT];
    amqp_bytes_t               reason;
    amqp_channel_close_t      *channel_close;
    amqp_channel_close_ok_t    channel_ok;
    amqp_connection_close_t   *close;
    amqp_connection_close_ok_t ok;

    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        close = method->decoded;
        code = close->reply_code;
        reason = close->reply_text;
        memset(&ok, 0, sizeof(ok));
        amqp_send_method(amqp->connection, 0, AMQP_CONNECTION_CLOSE_OK_METHOD,
                         &ok);

    } else {
        channel_close = method->decoded;
        code = channel_close->reply_code;
        reason = channel_close->reply_text;
        memset(&channel_ok, 0, sizeof(channel_ok));
        amqp_send_method(amqp->connection, channel,
                         AMQP_CHANNEL_CLOSE_OK_METHOD, &channel_ok);
    }

    snprintf(text, sizeof(text), "%.*s", (int) reason.len,
             (const char *) reason.bytes);

    for (i = 0; text[i] != '\0'; i++) {
        if ((unsigned char) text[i] < 0x20 || text[i] == 0x7F) {
            text[i] = ' ';
        }
    }

    v2m_error_set(error, V2M_UNAVAILABLE, "RabbitMQ refused (%s): %.200s", what,
                  text);

    return code;
}


int
v2m_amqp_reply(v2m_amqp_t *amqp, amqp_channel_t channel, amqp_rpc_reply_t reply,
               const char *what, v2m_error_t *error)
{
    int code;

    switch (reply.reply_type) {
    case AMQP_RESPONSE_NORMAL:
        return V2M_OK;

    case AMQP_RESPONSE_SERVER_EXCEPTION:
        code = v2m_amqp_closed(amqp, channel, &reply.reply, what, error);

        if (channel != V2M_AMQP_SIDE
            || reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD) {
            return V2M_UNAVAILABLE;
        }

        amqp->side_open = 0;

        return code == AMQP_NOT_FOUND             ? V2M_NOT_FOUND
               : code == AMQP_PRECONDITION_FAILED ? V2M_CONFLICT
                                                  : V2M_UNAVAILABLE;

    default:
        return v2m_amqp_lost(reply.library_error, what, error);
    }
}


int
v2m_amqp_writable(v2m_amqp_t *amqp, const char *what, v2m_error_t *error)
{
    int fd;

    fd = amqp_get_sockfd(amqp->connection);

    if (fd == -1) {
        return v2m_amqp_lost(AMQP_STATUS_SOCKET_CLOSED, what, error);
    }

    return v2m_socket_writable(fd, amqp->timeout_ms)
               ? V2M_OK
               : v2m_amqp_lost(AMQP_STATUS_TIMEOUT, what, error);
}


int
v2m_amqp_open_channel(v2m_amqp_t *amqp, amqp_channel_t channel,
                      v2m_error_t *error)
{
    int rc;

    rc = v2m_amqp_writable(amqp, "opening a channel", error);
    if (rc != V2M_OK) {
        return rc;
    }

    amqp_channel_open(amqp->connection, channel);

    return v2m_amqp_reply(amqp, channel, amqp_get_rpc_reply(amqp->connection),
                          "opening a channel", error);
}


amqp_table_entry_t
v2m_amqp_text_entry(const char *key, const char *value)
{
    amqp_table_entry_t entry;

    entry.key = amqp_cstring_bytes(key);
    entry.value.kind = AMQP_FIELD_KIND_UTF8;
    entry.value.value.bytes = amqp_cstring_bytes(value);

    return entry;
}
