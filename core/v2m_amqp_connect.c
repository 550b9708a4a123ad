#include "v2m_amqp_private.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "v2m_amqp_hosts.h"
#include "v2m_pause.h"
#include "v2m_socket.h"

#define V2M_AMQP_CA_FILE "/etc/ssl/certs/ca-certificates.crt"
#define V2M_AMQP_CLOSE_S 1 /* for the broker to close as well */

/* The address of one host; the parts point into the text. */
typedef struct {
    char                       *text;
    size_t                      length;
    struct amqp_connection_info info;
} v2m_amqp_url_t;


static void
v2m_amqp_url_wipe(v2m_amqp_url_t *url)
{
    explicit_bzero(url->text, url->length);
    free(url->text);
}


static int
v2m_amqp_url_parse(v2m_amqp_url_t *url, const char *text, size_t host,
                   v2m_error_t *error)
{
    int rc;

    rc = v2m_amqp_host_url(&url->text, text, host);

    if (rc == V2M_ERROR) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (rc == V2M_OK) {
        url->length = strlen(url->text);

        if (amqp_parse_url(url->text, &url->info) != AMQP_STATUS_OK
            || url->info.port == 0)
        {
            v2m_amqp_url_wipe(url);
            rc = V2M_INVALID;
        }
    }

    if (rc != V2M_OK) {
        return v2m_error_set(
            error, V2M_INVALID,
            "the AMQP URL is unusable: it must be "
            "amqp://USER:PASSWORD@HOST:PORT/VHOST or amqps://..., with "
            "special characters of its parts written as %%XX, and several "
            "hosts parted by commas");
    }

    /* as other clients do: a lone slash is the default virtual host */

    if (*url->info.vhost == '\0') {
        url->info.vhost = "/";
    }

    return V2M_OK;
}


int
v2m_amqp_check_url(const char *text, v2m_error_t *error)
{
    int            rc;
    size_t         i;
    v2m_amqp_url_t url;

    for (i = 0; i < v2m_amqp_hosts(text); i++) {
        rc = v2m_amqp_url_parse(&url, text, i, error);
        if (rc != V2M_OK) {
            return rc;
        }

        v2m_amqp_url_wipe(&url);
    }

    return V2M_OK;
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


static int
v2m_amqp_connect_host(v2m_amqp_t **result, const char *text, size_t host,
                      const v2m_amqp_options_t *options, v2m_error_t *error)
{
    int            rc;
    v2m_amqp_t    *amqp;
    v2m_amqp_url_t url;
    struct timeval timeout;

    rc = v2m_amqp_url_parse(&url, text, host, error);
    if (rc != V2M_OK) {
        return rc;
    }

    amqp = calloc(1, sizeof(v2m_amqp_t));
    if (amqp == NULL || (amqp->connection = amqp_new_connection()) == NULL) {
        free(amqp);
        v2m_amqp_url_wipe(&url);
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

    v2m_amqp_url_wipe(&url);

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


/*
 * Each connection begins with another host, so that a program's connections
 * and, by their ids, the programs are spread over the nodes, and a node that
 * answers but does not work is left with the next connection.
 */
int
v2m_amqp_connect(v2m_amqp_t **result, const char *text,
                 const v2m_amqp_options_t *options, v2m_error_t *error)
{
    int     rc;
    size_t  i, count, first;
    int64_t until;

    static atomic_uint turn;

    count = v2m_amqp_hosts(text);
    first = (size_t) getpid() + atomic_fetch_add(&turn, 1);
    until = v2m_clock_ms() + options->timeout_ms;

    for (i = 0;; i++) {
        rc = v2m_amqp_connect_host(result, text, (first + i) % count, options,
                                   error);

        if (rc != V2M_UNAVAILABLE || i + 1 == count || v2m_clock_ms() >= until)
        {
            return rc;
        }
    }
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
