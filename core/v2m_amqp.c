#include "v2m_amqp.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if __has_include(<rabbitmq-c/amqp.h>)
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

#include "v2m_pause.h"
#include "v2m_socket.h"

#define V2M_AMQP_NAME_MAX 255 /* of a short string of the protocol */
#define V2M_AMQP_CA_FILE  "/etc/ssl/certs/ca-certificates.crt"
#define V2M_AMQP_CLOSE_S  1 /* for the broker to close as well */

/*
 * Messages go over one channel.  Queues are looked up and declared on a
 * channel of their own, because the broker closes a channel on which a
 * missing queue was named, and with it would go all that is unacknowledged
 * or unconfirmed there.
 */
#define V2M_AMQP_MAIN 1
#define V2M_AMQP_SIDE 2

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

/* The parts point into the text. */
typedef struct {
    char                       *text;
    struct amqp_connection_info info;
} v2m_amqp_url_t;


static int
v2m_amqp_url_parse(v2m_amqp_url_t *url, const char *text, v2m_error_t *error)
{
    url->text = strdup(text);
    if (url->text == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (amqp_parse_url(url->text, &url->info) != AMQP_STATUS_OK
        || url->info.port == 0)
    {
        explicit_bzero(url->text, strlen(text));
        free(url->text);
        return v2m_error_set(
            error, V2M_INVALID,
            "the AMQP URL is unusable: it must be "
            "amqp://USER:PASSWORD@HOST:PORT/VHOST or amqps://..., with "
            "special characters of its parts written as %%XX");
    }

    /* as other clients do: a lone slash is the default virtual host */

    if (*url->info.vhost == '\0') {
        url->info.vhost = "/";
    }

    return V2M_OK;
}


static void
v2m_amqp_url_wipe(v2m_amqp_url_t *url, const char *text)
{
    explicit_bzero(url->text, strlen(text));
    free(url->text);
}


int
v2m_amqp_check_url(const char *text, v2m_error_t *error)
{
    int            rc;
    v2m_amqp_url_t url;

    rc = v2m_amqp_url_parse(&url, text, error);

    if (rc == V2M_OK) {
        v2m_amqp_url_wipe(&url, text);
    }

    return rc;
}


int
v2m_amqp_check_queue(const char *queue, v2m_error_t *error)
{
    size_t length;

    length = strlen(queue);

    if (length == 0 || length > V2M_AMQP_QUEUE_MAX) {
        return v2m_error_set(error, V2M_INVALID,
                             "the queue name \"%.32s\" has %zu bytes, but must "
                             "have 1 to %d",
                             queue, length, V2M_AMQP_QUEUE_MAX);
    }

    return V2M_OK;
}


static int
v2m_amqp_lost(int status, const char *what, v2m_error_t *error)
{
    return v2m_error_set(error, V2M_UNAVAILABLE,
                         "the connection to RabbitMQ failed (%s): %s", what,
                         amqp_error_string2(status));
}


/* Answers the broker's close of a channel or of the connection, and says why
 * it was closed.  Returns the broker's code. */
static int
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


/*
 * Judges the reply to a call.  On the side channel V2M_NOT_FOUND means that
 * there is no such queue and V2M_CONFLICT that it has other properties; the
 * connection goes on after both.
 */
static int
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


/*
 * To be called before anything is sent, as rabbitmq-c would wait for ever
 * when the broker takes no more data.  What is sent after a good result is
 * small enough for the socket's buffer.
 */
static int
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


static int
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


static int
v2m_amqp_open_side(v2m_amqp_t *amqp, v2m_error_t *error)
{
    int rc;

    amqp_maybe_release_buffers(amqp->connection);

    if (amqp->side_open) {
        return v2m_amqp_writable(amqp, "asking for a queue", error);
    }

    rc = v2m_amqp_open_channel(amqp, V2M_AMQP_SIDE, error);
    amqp->side_open = (rc == V2M_OK);

    return rc;
}


static amqp_table_entry_t
v2m_amqp_text_entry(const char *key, const char *value)
{
    amqp_table_entry_t entry;

    entry.key = amqp_cstring_bytes(key);
    entry.value.kind = AMQP_FIELD_KIND_UTF8;
    entry.value.value.bytes = amqp_cstring_bytes(value);

    return entry;
}


static amqp_table_entry_t
v2m_amqp_true_entry(const char *key)
{
    amqp_table_entry_t entry;

    entry.key = amqp_cstring_bytes(key);
    entry.value.kind = AMQP_FIELD_KIND_BOOLEAN;
    entry.value.value.boolean = 1;

    return entry;
}


static int
v2m_amqp_open_socket(v2m_amqp_t *amqp, const v2m_amqp_url_t *url,
                     v2m_error_t *error)
{
    int            status;
    const char    *reason, *ca_file;
    struct timeval timeout;
    amqp_socket_t *socket;

    socket = url->info.ssl ? amqp_ssl_socket_new(amqp->connection)
                           : amqp_tcp_socket_new(amqp->connection);
    if (socket == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (url->info.ssl) {
        ca_file = getenv("SSL_CERT_FILE");
        ca_file = ca_file != NULL ? ca_file : V2M_AMQP_CA_FILE;

        amqp_ssl_socket_set_verify_peer(socket, 1);
        amqp_ssl_socket_set_verify_hostname(socket, 1);

        if (amqp_ssl_socket_set_cacert(socket, ca_file) != AMQP_STATUS_OK) {
            return v2m_error_set(error, V2M_UNAVAILABLE,
                                 "cannot read the certificates in \"%s\", "
                                 "which amqps:// needs",
                                 ca_file);
        }
    }

    timeout.tv_sec = amqp->timeout_ms / 1000;
    timeout.tv_usec = amqp->timeout_ms % 1000 * 1000;

    status = amqp_socket_open_noblock(socket, url->info.host, url->info.port,
                                      &timeout);
    if (status == AMQP_STATUS_OK) {
        return V2M_OK;
    }

    reason = status == AMQP_STATUS_SOCKET_ERROR
                 ? "the connection was refused, or there is no way to it"
                 : amqp_error_string2(status);

    return v2m_error_set(error, V2M_UNAVAILABLE,
                         "cannot connect to RabbitMQ at %s:%d: %s",
                         url->info.host, url->info.port, reason);
}


static int
v2m_amqp_login(v2m_amqp_t *amqp, const v2m_amqp_url_t *url,
               const v2m_amqp_options_t *options, v2m_error_t *error)
{
    amqp_table_t       properties;
    amqp_rpc_reply_t   reply;
    amqp_table_entry_t entries[3], capabilities[5];

    capabilities[0] = v2m_amqp_true_entry("publisher_confirms");
    capabilities[1] = v2m_amqp_true_entry("consumer_cancel_notify");
    capabilities[2] = v2m_amqp_true_entry("connection.blocked");
    capabilities[3] = v2m_amqp_true_entry("basic.nack");
    capabilities[4] = v2m_amqp_true_entry("authentication_failure_close");

    entries[0] = v2m_amqp_text_entry("product", "v2m");
    entries[1] = v2m_amqp_text_entry("connection_name", options->name);
    entries[2].key = amqp_cstring_bytes("capabilities");
    entries[2].value.kind = AMQP_FIELD_KIND_TABLE;
    entries[2].value.value.table.num_entries = 5;
    entries[2].value.value.table.entries = capabilities;

    properties.num_entries = 3;
    properties.entries = entries;

    reply = amqp_login_with_properties(
        amqp->connection, url->info.vhost, 0, AMQP_DEFAULT_FRAME_SIZE,
        options->heartbeat_s, &properties, AMQP_SASL_METHOD_PLAIN,
        url->info.user, url->info.password);

    return v2m_amqp_reply(amqp, 0, reply, "logging in", error);
}


int
v2m_amqp_connect(v2m_amqp_t **result, const char *text,
                 const v2m_amqp_options_t *options, v2m_error_t *error)
{
    int            rc;
    v2m_amqp_t    *amqp;
    v2m_amqp_url_t url;
    struct timeval timeout;

    rc = v2m_amqp_url_parse(&url, text, error);
    if (rc != V2M_OK) {
        return rc;
    }

    amqp = calloc(1, sizeof(v2m_amqp_t));
    if (amqp == NULL || (amqp->connection = amqp_new_connection()) == NULL) {
        free(amqp);
        v2m_amqp_url_wipe(&url, text);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    amqp->timeout_ms = options->timeout_ms;

    timeout.tv_sec = options->timeout_ms / 1000;
    timeout.tv_usec = options->timeout_ms % 1000 * 1000;
    amqp_set_handshake_timeout(amqp->connection, &timeout);
    amqp_set_rpc_timeout(amqp->connection, &timeout);

    rc = v2m_amqp_open_socket(amqp, &url, error);

    if (rc == V2M_OK) {
        v2m_socket_tune(amqp_get_sockfd(amqp->connection),
                        options->heartbeat_s);
        rc = v2m_amqp_login(amqp, &url, options, error);
    }

    v2m_amqp_url_wipe(&url, text);

    if (rc == V2M_OK) {
        rc = v2m_amqp_open_channel(amqp, V2M_AMQP_MAIN, error);
    }

    if (rc != V2M_OK) {
        amqp_destroy_connection(amqp->connection);
        free(amqp);
        return rc;
    }

    amqp->slice_ms = amqp_get_heartbeat(amqp->connection) * 1000 / 4;
    if (amqp->slice_ms == 0) {
        amqp->slice_ms = INT_MAX;
    }

    *result = amqp;

    return V2M_OK;
}


void
v2m_amqp_close(v2m_amqp_t *amqp)
{
    int            fd;
    struct timeval timeout = { V2M_AMQP_CLOSE_S, 0 };

    if (amqp == NULL) {
        return;
    }

    fd = amqp_get_sockfd(amqp->connection);

    /* Without waiting for the answer, what is still on its way here would make
     * the system reset the connection, and the broker lose what it has not
     * read yet. */

    if (fd != -1 && v2m_socket_writable(fd, 0)) {
        amqp_set_rpc_timeout(amqp->connection, &timeout);
        amqp_connection_close(amqp->connection, AMQP_REPLY_SUCCESS);
    }

    amqp_destroy_connection(amqp->connection);
    free(amqp->body);
    free(amqp);
}


/* V2M_NOT_FOUND: there is no such queue. */
static int
v2m_amqp_look_up(v2m_amqp_t *amqp, const char *queue, int64_t *messages,
                 v2m_error_t *error)
{
    int                      rc;
    char                     what[V2M_AMQP_NAME_MAX + 32];
    amqp_queue_declare_ok_t *ok;

    rc = v2m_amqp_open_side(amqp, error);
    if (rc != V2M_OK) {
        return rc;
    }

    ok = amqp_queue_declare(amqp->connection, V2M_AMQP_SIDE,
                            amqp_cstring_bytes(queue), 1, 0, 0, 0,
                            amqp_empty_table);

    snprintf(what, sizeof(what), "looking up queue \"%s\"", queue);

    rc = v2m_amqp_reply(amqp, V2M_AMQP_SIDE,
                        amqp_get_rpc_reply(amqp->connection), what, error);

    if (rc == V2M_OK && messages != NULL) {
        *messages = ok->message_count;
    }

    return rc;
}


int
v2m_amqp_depth(v2m_amqp_t *amqp, const char *queue, int64_t *messages,
               v2m_error_t *error)
{
    int rc;

    rc = v2m_amqp_check_queue(queue, error);

    return rc == V2M_OK ? v2m_amqp_look_up(amqp, queue, messages, error) : rc;
}


static int
v2m_amqp_make_queue(v2m_amqp_t *amqp, const char *queue,
                    amqp_table_entry_t *arguments, int count,
                    v2m_error_t *error)
{
    int          rc;
    char         what[V2M_AMQP_NAME_MAX + 32];
    amqp_table_t table;

    rc = v2m_amqp_open_side(amqp, error);
    if (rc != V2M_OK) {
        return rc;
    }

    table.num_entries = count;
    table.entries = arguments;

    amqp_queue_declare(amqp->connection, V2M_AMQP_SIDE,
                       amqp_cstring_bytes(queue), 0, 1, 0, 0, table);

    snprintf(what, sizeof(what), "making queue \"%s\"", queue);

    rc = v2m_amqp_reply(amqp, V2M_AMQP_SIDE,
                        amqp_get_rpc_reply(amqp->connection), what, error);

    /* another process made it meanwhile, in its own way */

    if (rc == V2M_CONFLICT) {
        return V2M_OK;
    }

    return rc == V2M_NOT_FOUND ? V2M_UNAVAILABLE : rc;
}


int
v2m_amqp_declare(v2m_amqp_t *amqp, const char *queue, int delivery_limit,
                 v2m_error_t *error)
{
    int                rc;
    char               dead[V2M_AMQP_NAME_MAX + 1];
    amqp_table_entry_t arguments[4];

    rc = v2m_amqp_check_queue(queue, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_amqp_look_up(amqp, queue, NULL, error);
    if (rc != V2M_NOT_FOUND) {
        return rc;
    }

    snprintf(dead, sizeof(dead), "%.*s.dead", V2M_AMQP_QUEUE_MAX, queue);
    arguments[0] = v2m_amqp_text_entry("x-queue-type", "quorum");

    /* first where dead letters go, so that none is ever lost */

    rc = v2m_amqp_look_up(amqp, dead, NULL, error);

    if (rc == V2M_NOT_FOUND) {
        rc = v2m_amqp_make_queue(amqp, dead, arguments, 1, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    arguments[1] = v2m_amqp_text_entry("x-dead-letter-exchange", "");
    arguments[2] = v2m_amqp_text_entry("x-dead-letter-routing-key", dead);
    arguments[3].key = amqp_cstring_bytes("x-delivery-limit");
    arguments[3].value.kind = AMQP_FIELD_KIND_I32;
    arguments[3].value.value.i32 = delivery_limit;

    return v2m_amqp_make_queue(amqp, queue, arguments, 4, error);
}


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


int
v2m_amqp_consume(v2m_amqp_t *amqp, const char *queue, int prefetch,
                 v2m_error_t *error)
{
    int                      rc;
    char                     what[V2M_AMQP_NAME_MAX + 32];
    amqp_basic_consume_ok_t *ok;

    rc = v2m_amqp_writable(amqp, "consuming", error);
    if (rc != V2M_OK) {
        return rc;
    }

    amqp_basic_qos(amqp->connection, V2M_AMQP_MAIN, 0, (uint16_t) prefetch, 0);

    rc = v2m_amqp_reply(amqp, V2M_AMQP_MAIN,
                        amqp_get_rpc_reply(amqp->connection),
                        "setting the prefetch count", error);
    if (rc != V2M_OK) {
        return rc;
    }

    ok = amqp_basic_consume(amqp->connection, V2M_AMQP_MAIN,
                            amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0,
                            0, amqp_empty_table);

    snprintf(what, sizeof(what), "consuming from queue \"%.200s\"", queue);

    rc = v2m_amqp_reply(amqp, V2M_AMQP_MAIN,
                        amqp_get_rpc_reply(amqp->connection), what, error);

    if (rc == V2M_OK) {
        amqp->consumer_length = ok->consumer_tag.len;
        memcpy(amqp->consumer, ok->consumer_tag.bytes, ok->consumer_tag.len);
    }

    return rc;
}


int
v2m_amqp_cancel(v2m_amqp_t *amqp, v2m_error_t *error)
{
    int          rc;
    amqp_bytes_t consumer;

    if (amqp->consumer_length == 0) {
        return V2M_OK;
    }

    rc = v2m_amqp_writable(amqp, "ending consuming", error);
    if (rc != V2M_OK) {
        return rc;
    }

    consumer.bytes = amqp->consumer;
    consumer.len = amqp->consumer_length;

    amqp_basic_cancel(amqp->connection, V2M_AMQP_MAIN, consumer);
    amqp->consumer_length = 0;

    return v2m_amqp_reply(amqp, V2M_AMQP_MAIN,
                          amqp_get_rpc_reply(amqp->connection),
                          "ending consuming", error);
}


int
v2m_amqp_ack(v2m_amqp_t *amqp, uint64_t tag, v2m_error_t *error)
{
    int rc, status;

    rc = v2m_amqp_writable(amqp, "acknowledging", error);
    if (rc != V2M_OK) {
        return rc;
    }

    status = amqp_basic_ack(amqp->connection, V2M_AMQP_MAIN, tag, 0);

    return status == AMQP_STATUS_OK
               ? V2M_OK
               : v2m_amqp_lost(status, "acknowledging", error);
}


int
v2m_amqp_reject(v2m_amqp_t *amqp, uint64_t tag, int requeue, v2m_error_t *error)
{
    int rc, status;

    rc = v2m_amqp_writable(amqp, "giving back", error);
    if (rc != V2M_OK) {
        return rc;
    }

    status = amqp_basic_reject(amqp->connection, V2M_AMQP_MAIN, tag, requeue);

    return status == AMQP_STATUS_OK
               ? V2M_OK
               : v2m_amqp_lost(status, "giving back", error);
}


static int
v2m_amqp_delivery_count(const amqp_basic_properties_t *properties)
{
    int                 i;
    amqp_table_entry_t *entry;

    if (!(properties->_flags & AMQP_BASIC_HEADERS_FLAG)) {
        return 0;
    }

    for (i = 0; i < properties->headers.num_entries; i++) {
        entry = &properties->headers.entries[i];

        if (entry->key.len != sizeof("x-delivery-count") - 1
            || memcmp(entry->key.bytes, "x-delivery-count", entry->key.len)
                   != 0)
        {
            continue;
        }

        switch (entry->value.kind) {
        case AMQP_FIELD_KIND_I64:
            return (int) entry->value.value.i64;
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


/* The frame after the method: size and properties of the message. */
static int
v2m_amqp_take_header(v2m_amqp_t *amqp, const amqp_frame_t *frame,
                     v2m_error_t *error)
{
    int                            count;
    char                          *body;
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

    count = v2m_amqp_delivery_count(properties);
    if (count > incoming->delivery_count) {
        incoming->delivery_count = count;
    }

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
