#include "ngx_http_v2m_publish.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ngx_http_v2m_metrics.h"
#include "v2m_publisher.h"

/* Messages of one worker process that wait for their confirm, at most. */
#define NGX_HTTP_V2M_PUBLISH_CAPACITY 4096

/* One message under way: malloc'ed, as the publisher's thread touches it. */
typedef struct ngx_http_v2m_publish_s ngx_http_v2m_publish_t;

struct ngx_http_v2m_publish_s {
    ngx_http_v2m_publish_t   *next;
    ngx_http_v2m_publisher_t *publisher;
    ngx_http_v2m_pending_t    pending;
    int                       rc;
    v2m_error_t               error;
};

struct ngx_http_v2m_publisher_s {
    v2m_publisher_t        *publisher;
    ngx_connection_t       *wake; /* the eventfd's place in the loop */
    pthread_mutex_t         mutex;
    ngx_http_v2m_publish_t *completed; /* newest first, under the mutex */

    /* the connection's state, noted by the thread and logged by the loop */
    int         changed;
    int         connected;
    v2m_error_t reason;
};

static void ngx_http_v2m_publish_done(void *data, int rc,
                                      const v2m_error_t *error);
static void ngx_http_v2m_publish_state(void *data, const v2m_error_t *error);
static void ngx_http_v2m_publish_note(void *data, v2m_publisher_event_t event);
static void ngx_http_v2m_publish_depths(void *data, const int64_t *messages);
static void ngx_http_v2m_publish_wake(ngx_http_v2m_publisher_t *publisher);
static void ngx_http_v2m_publish_event(ngx_event_t *event);
static void ngx_http_v2m_publish_ignore(ngx_event_t *event);


static ngx_connection_t *
ngx_http_v2m_publish_listen(ngx_cycle_t              *cycle,
                            ngx_http_v2m_publisher_t *publisher)
{
    int               fd;
    ngx_connection_t *c;

    fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "v2m: eventfd() failed");
        return NULL;
    }

    c = ngx_get_connection(fd, cycle->log);
    if (c == NULL) {
        close(fd);
        return NULL;
    }

    c->data = publisher;
    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->handler = ngx_http_v2m_publish_event;
    c->write->handler = ngx_http_v2m_publish_ignore;

    if (ngx_add_event(c->read, NGX_READ_EVENT,
                      (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? NGX_CLEAR_EVENT
                                                              : NGX_LEVEL_EVENT)
        != NGX_OK)
    {
        ngx_close_connection(c);
        return NULL;
    }

    return c;
}


ngx_int_t
ngx_http_v2m_publisher_init(ngx_cycle_t *cycle, ngx_http_v2m_main_conf_t *mcf)
{
    int                       rc;
    v2m_error_t               error;
    v2m_publisher_options_t   options;
    ngx_http_v2m_publisher_t *publisher;

    publisher = ngx_pcalloc(cycle->pool, sizeof(ngx_http_v2m_publisher_t));
    if (publisher == NULL) {
        return NGX_ERROR;
    }

    pthread_mutex_init(&publisher->mutex, NULL);

    publisher->wake = ngx_http_v2m_publish_listen(cycle, publisher);
    if (publisher->wake == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&options, sizeof(options));
    options.url = mcf->amqp_url;
    options.queue = mcf->video_queue;
    options.name = "v2m gateway";
    options.delivery_limit = mcf->attempts;
    options.confirm_timeout_ms = mcf->confirm_timeout;
    options.capacity = NGX_HTTP_V2M_PUBLISH_CAPACITY;
    options.state = ngx_http_v2m_publish_state;
    options.event = ngx_http_v2m_publish_note;
    options.depths = ngx_http_v2m_publish_depths;
    options.data = publisher;

    rc = v2m_publisher_start(&publisher->publisher, &options, &error);

    if (rc != V2M_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "v2m: could not start the publisher: %s", error.text);
        ngx_close_connection(publisher->wake);
        return NGX_ERROR;
    }

    mcf->publisher = publisher;

    return NGX_OK;
}


void
ngx_http_v2m_publisher_exit(ngx_http_v2m_publisher_t *publisher)
{
    ngx_http_v2m_publish_t *publish;

    if (publisher == NULL) {
        return;
    }

    v2m_publisher_stop(publisher->publisher);

    /* their requests are gone with the process */

    while (publisher->completed) {
        publish = publisher->completed;
        publisher->completed = publish->next;
        free(publish);
    }

    ngx_close_connection(publisher->wake);
    pthread_mutex_destroy(&publisher->mutex);
}


void
ngx_http_v2m_publisher_measure(ngx_http_v2m_publisher_t *publisher,
                               const char *const *queues, size_t count)
{
    v2m_publisher_measure(publisher->publisher, queues, count);
}


ngx_uint_t
ngx_http_v2m_publisher_ready(ngx_http_v2m_publisher_t *publisher)
{
    return v2m_publisher_ready(publisher->publisher);
}


ngx_int_t
ngx_http_v2m_publish(ngx_http_request_t *r, const char *body,
                     const char *message_id, ngx_http_v2m_done_pt done,
                     void *data, v2m_error_t *error)
{
    ngx_http_v2m_publish_t   *publish;
    ngx_http_v2m_main_conf_t *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    publish = calloc(1, sizeof(ngx_http_v2m_publish_t));
    if (publish == NULL) {
        v2m_error_set(error, V2M_ERROR, "out of memory");
        return NGX_DECLINED;
    }

    publish->publisher = mcf->publisher;

    if (ngx_http_v2m_pending_begin(&publish->pending, r, done, data) != NGX_OK)
    {
        v2m_error_set(error, V2M_ERROR, "too much is pending for a request");
        free(publish);
        return NGX_DECLINED;
    }

    /* before the publisher's thread can be done with it */
    ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_PUBLISHING, 1);

    if (v2m_publisher_send(mcf->publisher->publisher, body, strlen(body),
                           message_id, ngx_http_v2m_publish_done, publish,
                           error)
        != V2M_OK)
    {
        ngx_http_v2m_pending_cancel(&publish->pending);
        ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_UNSENT, 1);
        ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_PUBLISHING, -1);
        free(publish);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* On the publisher's thread. */
static void
ngx_http_v2m_publish_done(void *data, int rc, const v2m_error_t *error)
{
    ngx_http_v2m_publish_t   *publish = data;
    ngx_http_v2m_publisher_t *publisher = publish->publisher;

    publish->rc = rc;
    ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_PUBLISHING, -1);

    if (error != NULL) {
        publish->error = *error;
    }

    pthread_mutex_lock(&publisher->mutex);
    publish->next = publisher->completed;
    publisher->completed = publish;
    pthread_mutex_unlock(&publisher->mutex);

    ngx_http_v2m_publish_wake(publisher);
}


/* On the publisher's thread. */
static void
ngx_http_v2m_publish_state(void *data, const v2m_error_t *error)
{
    ngx_http_v2m_publisher_t *publisher = data;

    pthread_mutex_lock(&publisher->mutex);

    publisher->changed = 1;
    publisher->connected = (error == NULL);

    if (error != NULL) {
        publisher->reason = *error;
    }

    pthread_mutex_unlock(&publisher->mutex);

    ngx_http_v2m_publish_wake(publisher);
}


/* On the publisher's thread. */
static void
ngx_http_v2m_publish_note(void *data, v2m_publisher_event_t event)
{
    switch (event) {
    case V2M_PUBLISHER_CONNECTED:
        ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_CONNECTS, 1);
        ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_CONNECTED, 1);
        break;

    case V2M_PUBLISHER_DISCONNECTED:
        ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_CONNECTED, -1);
        break;

    case V2M_PUBLISHER_BLOCKED:
        ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_BLOCKED, 1);
        break;

    case V2M_PUBLISHER_UNBLOCKED:
        ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_BLOCKED, -1);
        break;

    default:
        ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_CONFIRMED + event, 1);
    }
}


/* On the publisher's thread. */
static void
ngx_http_v2m_publish_depths(void *data, const int64_t *messages)
{
    ngx_http_v2m_metrics_depths(messages);
}


static void
ngx_http_v2m_publish_wake(ngx_http_v2m_publisher_t *publisher)
{
    uint64_t one = 1;

    /* it fails only when the counter is full, and then the loop wakes */
    (void) !write(publisher->wake->fd, &one, sizeof(one));
}


static void
ngx_http_v2m_publish_event(ngx_event_t *event)
{
    int                       changed, connected;
    uint64_t                  count;
    v2m_error_t               reason;
    ngx_connection_t         *c;
    ngx_http_v2m_publish_t   *publish, *next, *list;
    ngx_http_v2m_publisher_t *publisher;

    c = event->data;
    publisher = c->data;

    (void) !read(c->fd, &count, sizeof(count));

    pthread_mutex_lock(&publisher->mutex);

    list = publisher->completed;
    publisher->completed = NULL;

    changed = publisher->changed;
    connected = publisher->connected;
    reason = publisher->reason;
    publisher->changed = 0;

    pthread_mutex_unlock(&publisher->mutex);

    if (changed && connected) {
        ngx_log_error(NGX_LOG_NOTICE, c->log, 0, "v2m: connected to RabbitMQ");

    } else if (changed) {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "v2m: RabbitMQ takes no messages, uploads are published "
                      "later: %s",
                      reason.text);
    }

    for (publish = list; publish; publish = next) {
        next = publish->next;

        ngx_http_v2m_pending_end(&publish->pending, publish->rc,
                                 &publish->error);
        free(publish);
    }
}


static void
ngx_http_v2m_publish_ignore(ngx_event_t *event)
{
}
