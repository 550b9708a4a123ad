/*
 * A stream of events as it is sent.  Of each job only the latest state waits
 * for the client, so that a slow one costs little.
 */

#include "ngx_http_v2m_events.h"

#include <stdlib.h>
#include <string.h>

#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_revocation.h"
#include "v2m_jobs.h"

/* After a reload all clients come back: at different times. */
#define NGX_HTTP_V2M_EVENTS_RETRY        1000 /* ms, at least */
#define NGX_HTTP_V2M_EVENTS_RETRY_SPREAD 2000

/* Beside a job's JSON, an event's lines take at most this. */
#define NGX_HTTP_V2M_EVENTS_LINES 64

static void ngx_http_v2m_events_event(ngx_event_t *event);
static void ngx_http_v2m_events_write(ngx_http_request_t *r);
static void ngx_http_v2m_events_flush(ngx_http_v2m_listener_t *listener);
static void ngx_http_v2m_events_cleanup(void *data);
static void ngx_http_v2m_events_free(void *data);


static void
ngx_http_v2m_event_unref(ngx_http_v2m_event_t *event)
{
    if (--event->refs == 0) {
        free(event->json);
        free(event->owner);
        free(event);
    }
}


static ngx_http_v2m_event_t *
ngx_http_v2m_event_make(v2m_job_t *job)
{
    ngx_http_v2m_event_t *event;

    event = calloc(1, sizeof(ngx_http_v2m_event_t));
    if (event == NULL) {
        return NULL;
    }

    event->json = v2m_job_json(job, 0);
    if (event->json == NULL) {
        free(event);
        return NULL;
    }

    event->refs = 1;
    event->length = strlen(event->json);
    event->hash = ngx_crc32_long((u_char *) event->json, event->length);
    event->updated_ms = job->updated_ms;
    event->ended = job->state == V2M_JOB_READY || job->state == V2M_JOB_FAILED;
    event->owner = job->username;
    job->username = NULL;
    memcpy(event->id, job->id, sizeof(v2m_id_t));

    return event;
}


int
ngx_http_v2m_event_list_make(ngx_http_v2m_event_list_t *list, v2m_job_t *jobs,
                             size_t count, v2m_error_t *error)
{
    int    rc;
    size_t i;

    rc = V2M_OK;
    list->events = calloc(count + 1, sizeof(ngx_http_v2m_event_t *));

    for (i = 0; i < count && list->events != NULL; i++) {
        list->events[i] = ngx_http_v2m_event_make(&jobs[i]);
        if (list->events[i] == NULL) {
            break;
        }

        list->count++;
    }

    if (list->count < count || list->events == NULL) {
        rc = v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    v2m_jobs_free(jobs, count);

    return rc;
}


void
ngx_http_v2m_event_list_free(ngx_http_v2m_event_list_t *list)
{
    size_t i;

    for (i = 0; i < list->count; i++) {
        ngx_http_v2m_event_unref(list->events[i]);
    }

    free(list->events);
    list->events = NULL;
    list->count = 0;
}


void
ngx_http_v2m_events_wake(ngx_http_v2m_listener_t *listener)
{
    /* until then it has nothing to write to */

    if (listener->started) {
        ngx_post_event(&listener->event, &ngx_posted_events);
    }
}


static void
ngx_http_v2m_events_remove(ngx_http_v2m_listener_t *listener, size_t i)
{
    ngx_http_v2m_event_unref(listener->pending[i]);

    listener->count--;
    memmove(&listener->pending[i], &listener->pending[i + 1],
            (listener->count - i) * sizeof(ngx_http_v2m_event_t *));
}


static void
ngx_http_v2m_events_drop(ngx_http_v2m_listener_t *listener)
{
    while (listener->count > 0) {
        ngx_http_v2m_events_remove(listener, listener->count - 1);
    }

    free(listener->pending);
    listener->pending = NULL;
    listener->capacity = 0;
}


/* Those are kept in the order in which they were found, as a client that comes
 * back tells only which it had last. */
void
ngx_http_v2m_events_put(ngx_http_v2m_listener_t *listener,
                        ngx_http_v2m_event_t    *event)
{
    size_t                 i, capacity;
    ngx_http_v2m_event_t **grown;

    if (listener->overflowed) {
        /* what comes after a gap would be where the client goes on from */
        return;
    }

    if (listener->job[0] != '\0' && listener->taken
        && listener->last == event->hash)
    {
        /* it was sent, or is pending */
        return;
    }

    for (i = 0; i < listener->count; i++) {
        if (ngx_strcmp(listener->pending[i]->id, event->id) == 0) {
            if (listener->pending[i]->updated_ms > event->updated_ms) {
                return;
            }

            ngx_http_v2m_events_remove(listener, i);
            break;
        }
    }

    if (listener->count == listener->capacity) {
        capacity = listener->capacity ? listener->capacity * 2 : 1;
        grown = NULL;

        if (listener->count < NGX_HTTP_V2M_EVENTS_PENDING) {
            grown = realloc(listener->pending,
                            capacity * sizeof(ngx_http_v2m_event_t *));
        }

        if (grown == NULL) {
            /* the client asks anew, from where it is */
            ngx_http_v2m_events_drop(listener);
            listener->overflowed = 1;
            listener->ending = 1;
            ngx_http_v2m_events_wake(listener);
            return;
        }

        listener->pending = grown;
        listener->capacity = capacity;
    }

    event->refs++;
    listener->pending[listener->count++] = event;
    listener->taken = 1;
    listener->last = event->hash;
    listener->ending |= (listener->job[0] != '\0' && event->ended);

    ngx_http_v2m_events_wake(listener);
}


ngx_http_v2m_listener_t *
ngx_http_v2m_events_listener(ngx_http_request_t *r)
{
    ngx_http_cleanup_t      *cleanup;
    ngx_pool_cleanup_t      *memory;
    ngx_http_v2m_ctx_t      *ctx;
    ngx_http_v2m_listener_t *listener;

    listener = ngx_pcalloc(r->pool, sizeof(ngx_http_v2m_listener_t));
    cleanup = ngx_http_cleanup_add(r, 0);
    memory = ngx_pool_cleanup_add(r->pool, 0);

    if (listener == NULL || cleanup == NULL || memory == NULL) {
        return NULL;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);

    listener->request = r;
    listener->expires = ctx->claims.expires + V2M_TOKEN_LEEWAY;
    listener->event.handler = ngx_http_v2m_events_event;
    listener->event.data = listener;
    listener->event.log = r->connection->log;
    listener->event.cancelable = 1;

    cleanup->handler = ngx_http_v2m_events_cleanup;
    cleanup->data = listener;

    /* HTTP/2 refers to what is being sent until the pool goes */

    memory->handler = ngx_http_v2m_events_free;
    memory->data = listener;

    ngx_http_set_ctx(r, listener, ngx_http_v2m_events_module);

    return listener;
}


ngx_int_t
ngx_http_v2m_events_start(ngx_http_v2m_listener_t *listener, int64_t since_ms,
                          uint32_t last)
{
    ngx_int_t           rc;
    ngx_str_t           value;
    ngx_buf_t          *b;
    ngx_http_request_t *r = listener->request;

    r->headers_out.status = NGX_HTTP_OK;
    ngx_http_clear_content_length(r);
    ngx_http_v2m_content_type(r, "text/event-stream");

    ngx_str_set(&value, "no-store");
    if (ngx_http_v2m_add_header(r, "Cache-Control", &value) == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&value, "no");
    if (ngx_http_v2m_add_header(r, "X-Accel-Buffering", &value) == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc == NGX_AGAIN ? NGX_OK : rc;
    }

    listener->memory = malloc(NGX_HTTP_V2M_EVENTS_LINES);
    if (listener->memory == NULL) {
        return NGX_ERROR;
    }

    b = &listener->buf;
    b->pos = listener->memory;
    b->last = ngx_snprintf(
        b->pos, NGX_HTTP_V2M_EVENTS_LINES, "retry: %ui\nid: %L-%08xD\n\n",
        NGX_HTTP_V2M_EVENTS_RETRY
            + ngx_random() % NGX_HTTP_V2M_EVENTS_RETRY_SPREAD,
        since_ms, last);
    b->memory = 1;
    b->flush = 1;

    listener->out.buf = b;
    listener->started = 1;

    return ngx_http_output_filter(r, &listener->out) == NGX_ERROR ? NGX_ERROR
                                                                  : NGX_DONE;
}


static void
ngx_http_v2m_events_schedule(ngx_http_v2m_listener_t *listener)
{
    ngx_msec_t                       pause;
    ngx_http_v2m_events_main_conf_t *emcf;

    emcf = ngx_http_get_module_main_conf(listener->request,
                                         ngx_http_v2m_events_module);
    pause = emcf->heartbeat;

    if (listener->expires - ngx_time() < (time_t) (pause / 1000)) {
        pause = ngx_max(listener->expires - ngx_time(), 0) * 1000;
    }

    ngx_add_timer(&listener->event, pause);
}


void
ngx_http_v2m_events_go(ngx_http_v2m_listener_t *listener)
{
    ngx_http_request_t *r = listener->request;

    r->write_event_handler = ngx_http_v2m_events_write;

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;

        if (r->connection->read->ready) {
            /* it may have told already that the client went away */
            ngx_post_event(r->connection->read, &ngx_posted_events);
        }
    }

    ngx_http_v2m_events_schedule(listener);
    ngx_http_v2m_events_wake(listener);
}


/* Who has no right to the stream any more is told nothing more. */
static void
ngx_http_v2m_events_check_token(ngx_http_v2m_listener_t *listener)
{
    ngx_http_v2m_ctx_t *ctx;

    if (ngx_time() >= listener->expires) {
        listener->ending = 1;
        return;
    }

    ctx = ngx_http_get_module_ctx(listener->request, ngx_http_v2m_module);

    if (ngx_http_v2m_is_revoked(listener->request, &ctx->claims)) {
        ngx_http_v2m_events_drop(listener);
        listener->ending = 1;
    }
}


/* The heartbeat, the end of the token, or news. */
static void
ngx_http_v2m_events_event(ngx_event_t *event)
{
    ngx_connection_t        *c;
    ngx_http_request_t      *r;
    ngx_http_v2m_listener_t *listener = event->data;

    r = listener->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_http_v2m_events_check_token(listener);

    if (event->timedout) {
        event->timedout = 0;
        listener->comment = 1;

        /* a client that does not take the end has its send_timeout; a timer
         * that is due at once, again and again, would hang the process */

        if (!listener->ending) {
            ngx_http_v2m_events_schedule(listener);
        }
    }

    ngx_http_v2m_events_flush(listener);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_v2m_events_write(ngx_http_request_t *r)
{
    ngx_event_t             *wev;
    ngx_http_v2m_listener_t *listener;

    wev = r->connection->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    listener = ngx_http_get_module_ctx(r, ngx_http_v2m_events_module);

    if (listener->memory != NULL
        && ngx_http_output_filter(r, NULL) == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    ngx_http_v2m_events_flush(listener);
}


/* Makes one buffer of all that is to be sent; NGX_DECLINED: nothing is. */
static ngx_int_t
ngx_http_v2m_events_fill(ngx_http_v2m_listener_t *listener)
{
    size_t                i, size;
    u_char               *p, *last;
    ngx_http_v2m_event_t *event;

    if (listener->count == 0 && !listener->comment && !listener->gone) {
        return NGX_DECLINED;
    }

    size = 2 * NGX_HTTP_V2M_EVENTS_LINES;

    for (i = 0; i < listener->count; i++) {
        size += listener->pending[i]->length + NGX_HTTP_V2M_EVENTS_LINES;
    }

    listener->memory = malloc(size);
    if (listener->memory == NULL) {
        return NGX_ERROR;
    }

    p = listener->memory;
    last = p + size;

    if (listener->comment) {
        p = ngx_slprintf(p, last, ":\n\n");
    }

    for (i = 0; i < listener->count; i++) {
        event = listener->pending[i];
        p = ngx_slprintf(p, last, "id: %L-%08xD\ndata: %s\n\n", event->since_ms,
                         event->hash, event->json);
    }

    if (listener->gone) {
        p = ngx_slprintf(p, last, "event: gone\ndata: {\"id\":\"%s\"}\n\n",
                         listener->job);
    }

    listener->buf.pos = listener->memory;
    listener->buf.last = p;
    listener->comment = 0;
    listener->gone = 0;
    ngx_http_v2m_events_drop(listener);

    return NGX_OK;
}


/* Sends what there is, one buffer after the other, and waits while the client
 * is slow. */
static void
ngx_http_v2m_events_flush(ngx_http_v2m_listener_t *listener)
{
    ngx_int_t                 rc;
    ngx_event_t              *wev;
    ngx_http_request_t       *r;
    ngx_http_core_loc_conf_t *clcf;

    r = listener->request;
    wev = r->connection->write;

    for (;;) {
        if (listener->memory != NULL) {
            if (listener->buf.pos != listener->buf.last
                || r->connection->buffered || r->buffered)
            {
                break;
            }

            ngx_http_v2m_events_free(listener);
        }

        rc = ngx_http_v2m_events_fill(listener);

        if (rc == NGX_OK) {
            rc = ngx_http_output_filter(r, &listener->out);

        } else if (rc == NGX_DECLINED) {
            if (wev->timer_set && !wev->delayed) {
                ngx_del_timer(wev);
            }

            if (listener->ending) {
                ngx_http_finalize_request(
                    r, ngx_http_send_special(r, NGX_HTTP_LAST));
            }

            return;
        }

        if (rc == NGX_ERROR) {
            ngx_http_finalize_request(r, NGX_ERROR);
            return;
        }
    }

    /* the time is the client's for all of the buffer, so that it cannot be
     * stretched by taking a byte now and then */

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed && !wev->timer_set) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


/* The request ends. */
static void
ngx_http_v2m_events_cleanup(void *data)
{
    ngx_http_v2m_listener_t *listener = data;

    ngx_http_v2m_events_leave(listener);
    ngx_http_v2m_events_drop(listener);

    if (listener->event.timer_set) {
        ngx_del_timer(&listener->event);
    }

    if (listener->event.posted) {
        ngx_delete_posted_event(&listener->event);
    }
}


static void
ngx_http_v2m_events_free(void *data)
{
    ngx_http_v2m_listener_t *listener = data;

    free(listener->memory);
    listener->memory = NULL;
}
