#include "v2m_health.h"

#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "v2m_metrics.h"
#include "v2m_worker.h"

/* A loop that says nothing for so long hangs: it turns every second, and waits
 * some seconds for a reply of the broker at most. */
#define V2M_HEALTH_SILENCE_MS 60000

#define V2M_HEALTH_CONNECTIONS 64
#define V2M_HEALTH_TIMEOUT_S   30

struct v2m_health_s {
    struct MHD_Daemon *daemon;
    v2m_mongo_t       *mongo;
};


static enum MHD_Result
v2m_health_answer(struct MHD_Connection *connection, unsigned status,
                  const char *type, char *text)
{
    enum MHD_Result      result;
    struct MHD_Response *response;

    if (text == NULL) {
        return MHD_NO;
    }

    response = MHD_create_response_from_buffer(strlen(text), text,
                                               MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }

    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
                            "no-store");

    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }

    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);

    return result;
}


static enum MHD_Result
v2m_health_alive(struct MHD_Connection *connection)
{
    int alive;

    alive = v2m_metrics_silence_ms() < V2M_HEALTH_SILENCE_MS;

    return v2m_health_answer(
        connection, alive ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
        "text/plain", strdup(alive ? "ok\n" : "the loop hangs\n"));
}


static enum MHD_Result
v2m_health_ready(const v2m_health_t *health, struct MHD_Connection *connection)
{
    int         broker, store, ready;
    char       *text;
    json_t     *answer;
    const char *status;

    broker = v2m_metrics_get(V2M_METRICS_CONNECTED) != 0;
    store = v2m_mongo_ping(health->mongo, NULL) == V2M_OK;
    ready = broker && store && !v2m_worker_draining();

    status = ready                   ? "ready"
             : v2m_worker_draining() ? "stopping"
                                     : "unavailable";

    answer =
        json_pack("{s:s, s:{s:s, s:s}}", "status", status, "backends", "broker",
                  broker ? "up" : "down", "store", store ? "up" : "down");
    text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);

    return v2m_health_answer(connection,
                             ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                             "application/json", text);
}


static enum MHD_Result
v2m_health_handle(void *data, struct MHD_Connection *connection,
                  const char *url, const char *method, const char *version,
                  const char *body, size_t *length, void **state)
{
    (void) version;
    (void) body;
    (void) length;
    (void) state;

    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0
        && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
    {
        return v2m_health_answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                                 "text/plain", strdup("GET or HEAD only\n"));
    }

    if (strcmp(url, "/healthz") == 0) {
        return v2m_health_alive(connection);
    }

    if (strcmp(url, "/readyz") == 0) {
        return v2m_health_ready(data, connection);
    }

    if (strcmp(url, "/metrics") == 0) {
        return v2m_health_answer(connection, MHD_HTTP_OK,
                                 "text/plain; version=0.0.4",
                                 v2m_metrics_text());
    }

    return v2m_health_answer(connection, MHD_HTTP_NOT_FOUND, "text/plain",
                             strdup("/healthz, /readyz and /metrics\n"));
}


/* A socket that listens at HOST:PORT; -1: there is none, and errno or *fault
 * says why. */
static int
v2m_health_listen(const char *listen_at, const char **fault)
{
    int             one, descriptor;
    char            host[256];
    const char     *port, *colon;
    struct addrinfo hints, *found;

    colon = strrchr(listen_at, ':');
    port = colon != NULL ? colon + 1 : listen_at;
    snprintf(host, sizeof(host), "%.*s",
             colon != NULL ? (int) (colon - listen_at) : 0, listen_at);

    if (host[0] == '[' && host[strlen(host) - 1] == ']') {
        host[strlen(host) - 1] = '\0';
        memmove(host, host + 1, strlen(host));
    }

    memset(&hints, 0, sizeof(hints));
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;

    one =
        getaddrinfo(host[0] != '\0' ? host : "127.0.0.1", port, &hints, &found);
    if (one != 0) {
        *fault = gai_strerror(one);
        return -1;
    }

    one = 1;
    descriptor = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (descriptor != -1
        && (setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one))
                == -1
            || bind(descriptor, found->ai_addr, found->ai_addrlen) == -1
            || listen(descriptor, V2M_HEALTH_CONNECTIONS) == -1))
    {
        *fault = strerror(errno);
        close(descriptor);
        descriptor = -1;
    }

    freeaddrinfo(found);

    return descriptor;
}


int
v2m_health_start(v2m_health_t **result, const char *listen_at,
                 v2m_mongo_t *mongo, v2m_error_t *error)
{
    int           descriptor;
    const char   *fault;
    v2m_health_t *health;

    *result = NULL;

    if (listen_at == NULL || *listen_at == '\0') {
        return V2M_OK;
    }

    fault = "no socket";
    descriptor = v2m_health_listen(listen_at, &fault);
    if (descriptor == -1) {
        return v2m_error_set(error, V2M_INVALID,
                             "cannot listen at \"%.64s\" (V2M_HEALTH_LISTEN): "
                             "%s",
                             listen_at, fault);
    }

    health = calloc(1, sizeof(*health));
    if (health == NULL) {
        close(descriptor);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    health->mongo = mongo;

    /* a check that takes its time must not hold up /healthz */
    health->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0,
        NULL, NULL, v2m_health_handle, health, MHD_OPTION_LISTEN_SOCKET,
        descriptor, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned) V2M_HEALTH_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned) V2M_HEALTH_TIMEOUT_S, MHD_OPTION_END);

    if (health->daemon == NULL) {
        close(descriptor);
        free(health);
        return v2m_error_set(error, V2M_ERROR, "libmicrohttpd did not start");
    }

    *result = health;

    return V2M_OK;
}


void
v2m_health_stop(v2m_health_t *health)
{
    if (health != NULL) {
        MHD_stop_daemon(health->daemon);
        free(health);
    }
}
