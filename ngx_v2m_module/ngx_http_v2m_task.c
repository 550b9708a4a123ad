#include "ngx_http_v2m_task.h"

#include <stdlib.h>

#include "ngx_http_v2m_metrics.h"
#include "ngx_http_v2m_problem.h"

/* After this time a pending operation is reported.  Every backend call has a
 * time-out of its own, but many may wait for a thread. */
#define NGX_HTTP_V2M_PENDING_REPORT 60000 /* ms */

/* Shared by all that is pending for one request. */
struct ngx_http_v2m_request_s {
    ngx_uint_t gone;
};

struct ngx_http_v2m_task_s {
    ngx_http_v2m_pending_t pending;
    ngx_thread_task_t     *task;
    ngx_http_v2m_done_pt   done;
};

/* What the thread sees; the caller's data follows it. */
typedef struct {
    ngx_http_v2m_task_t      *owner;
    ngx_http_v2m_task_meter_t meter;
    ngx_http_v2m_run_pt       run;
    void                     *data;
    int                       rc;
    v2m_error_t               error;
} ngx_http_v2m_task_thread_t;

/* Work that belongs to no request. */
typedef struct {
    ngx_thread_task_t         task;
    ngx_http_v2m_task_meter_t meter;
    const char               *name;
    ngx_http_v2m_run_pt       run;
    ngx_http_v2m_finished_pt  finished;
    void                     *data;
    int                       rc;
    v2m_error_t               error;
} ngx_http_v2m_background_t;

static ngx_int_t ngx_http_v2m_task_track(ngx_http_request_t      *r,
                                         ngx_http_v2m_request_t **state);
static void      ngx_http_v2m_task_gone(void *data);
static void      ngx_http_v2m_task_run(void *data, ngx_log_t *log);
static void      ngx_http_v2m_task_event(ngx_event_t *event);
static void      ngx_http_v2m_pending_event(ngx_event_t *event);
static void      ngx_http_v2m_background_run(void *data, ngx_log_t *log);
static void      ngx_http_v2m_background_event(ngx_event_t *event);
static void      ngx_http_v2m_detached_finished(void *data, int rc,
                                                const v2m_error_t *error);


ngx_http_v2m_task_t *
ngx_http_v2m_task_create(ngx_http_request_t *r, size_t data_size,
                         ngx_http_v2m_run_pt run, ngx_http_v2m_done_pt done)
{
    ngx_http_v2m_task_t        *task;
    ngx_http_v2m_task_thread_t *thread;

    task = ngx_pcalloc(r->pool, sizeof(ngx_http_v2m_task_t));
    if (task == NULL) {
        return NULL;
    }

    task->task = ngx_thread_task_alloc(
        r->pool, sizeof(ngx_http_v2m_task_thread_t) + data_size);
    if (task->task == NULL) {
        return NULL;
    }

    thread = task->task->ctx;
    thread->owner = task;
    thread->run = run;
    thread->data = thread + 1;

    task->pending.request = r;
    task->done = done;
    task->task->handler = ngx_http_v2m_task_run;
    task->task->event.handler = ngx_http_v2m_task_event;
    task->task->event.data = thread;

    return task;
}


void *
ngx_http_v2m_task_data(ngx_http_v2m_task_t *task)
{
    ngx_http_v2m_task_thread_t *thread = task->task->ctx;

    return thread->data;
}


ngx_int_t
ngx_http_v2m_task_post(ngx_http_v2m_task_t *task, ngx_thread_pool_t *pool)
{
    ngx_http_request_t         *r;
    ngx_http_v2m_task_thread_t *thread;

    r = task->pending.request;
    thread = task->task->ctx;

    if (ngx_http_v2m_pending_begin(&task->pending, r, task->done, thread->data)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    task->task->event.log = r->connection->log;

    ngx_http_v2m_meter_post(&thread->meter, pool);

    if (ngx_thread_task_post(pool, task->task) != NGX_OK) {
        ngx_http_v2m_meter_overflow(&thread->meter);
        ngx_http_v2m_pending_cancel(&task->pending);
        return NGX_BUSY;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_v2m_task_offload(ngx_http_v2m_task_t *task, ngx_thread_pool_t *pool)
{
    ngx_http_request_t *r = task->pending.request;

    switch (ngx_http_v2m_task_post(task, pool)) {
    case NGX_OK:
        r->main->count++;
        return NGX_DONE;

    case NGX_BUSY:
        return ngx_http_v2m_over_limit(r, NGX_HTTP_V2M_COUNT_REFUSED_POOL,
                                       NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "the service is busy, try again later");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static void
ngx_http_v2m_task_run(void *data, ngx_log_t *log)
{
    ngx_http_v2m_task_thread_t *thread = data;

    ngx_http_v2m_meter_begin(&thread->meter);

    thread->error.text[0] = '\0';
    thread->rc = thread->run(thread->data, &thread->error);

    ngx_http_v2m_meter_end(&thread->meter, thread->rc);
}


static void
ngx_http_v2m_task_event(ngx_event_t *event)
{
    ngx_http_v2m_task_thread_t *thread = event->data;

    ngx_http_v2m_pending_end(&thread->owner->pending, thread->rc,
                             &thread->error);
}


ngx_int_t
ngx_http_v2m_pending_begin(ngx_http_v2m_pending_t *pending,
                           ngx_http_request_t *r, ngx_http_v2m_done_pt done,
                           void *data)
{
    /* nginx keeps the number in 8 bits; the limits of the directives keep a
     * request far below */

    if (r->main->blocked >= 250) {
        return NGX_ERROR;
    }

    if (ngx_http_v2m_task_track(r, &pending->state) != NGX_OK) {
        return NGX_ERROR;
    }

    pending->request = r;
    pending->done = done;
    pending->data = data;

    pending->event.handler = ngx_http_v2m_pending_event;
    pending->event.data = pending;
    pending->event.log = r->connection->log;

    /* the timer also keeps a worker process that shuts down alive */

    ngx_add_timer(&pending->event, NGX_HTTP_V2M_PENDING_REPORT);

    r->main->blocked++;

    return NGX_OK;
}


void
ngx_http_v2m_pending_end(ngx_http_v2m_pending_t *pending, int rc,
                         const v2m_error_t *error)
{
    ngx_uint_t          gone;
    ngx_connection_t   *c;
    ngx_http_request_t *r;

    r = pending->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    if (pending->event.timer_set) {
        ngx_del_timer(&pending->event);
    }

    r->main->blocked--;

    gone = pending->state->gone;

    pending->done(r, pending->data, rc, error, gone);

    if (gone) {
        /* nginx put off the end of the request for what was pending */
        ngx_http_finalize_request(r->main, NGX_ERROR);
    }

    ngx_http_run_posted_requests(c);
}


void
ngx_http_v2m_pending_cancel(ngx_http_v2m_pending_t *pending)
{
    ngx_del_timer(&pending->event);
    pending->request->main->blocked--;
}


static void
ngx_http_v2m_pending_event(ngx_event_t *event)
{
    ngx_http_v2m_pending_t *pending = event->data;

    ngx_log_error(NGX_LOG_ERR, pending->request->connection->log, 0,
                  "v2m: a backend operation takes more than %d seconds",
                  NGX_HTTP_V2M_PENDING_REPORT / 1000);

    event->timedout = 0;
    ngx_add_timer(event, NGX_HTTP_V2M_PENDING_REPORT);
}


/* Finds or makes the state by which a completion learns that the request is
 * being torn down: nginx has no flag for that before 1.25.4. */
static ngx_int_t
ngx_http_v2m_task_track(ngx_http_request_t *r, ngx_http_v2m_request_t **state)
{
    ngx_http_cleanup_t *cleanup;
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_get_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (ctx->pending == NULL) {
        cleanup = ngx_http_cleanup_add(r, sizeof(ngx_http_v2m_request_t));
        if (cleanup == NULL) {
            return NGX_ERROR;
        }

        ctx->pending = cleanup->data;
        ctx->pending->gone = 0;
        cleanup->handler = ngx_http_v2m_task_gone;
    }

    *state = ctx->pending;

    return NGX_OK;
}


static void
ngx_http_v2m_task_gone(void *data)
{
    ngx_http_v2m_request_t *state = data;

    state->gone = 1;
}


ngx_int_t
ngx_http_v2m_task_background(ngx_thread_pool_t *pool, const char *name,
                             ngx_http_v2m_run_pt      run,
                             ngx_http_v2m_finished_pt finished, void *data)
{
    ngx_http_v2m_background_t *background;

    background = calloc(1, sizeof(ngx_http_v2m_background_t));
    if (background == NULL) {
        return NGX_ERROR;
    }

    background->name = name;
    background->run = run;
    background->finished = finished;
    background->data = data;
    background->task.ctx = background;
    background->task.handler = ngx_http_v2m_background_run;
    background->task.event.handler = ngx_http_v2m_background_event;
    background->task.event.data = background;
    background->task.event.log = ngx_cycle->log;

    ngx_http_v2m_meter_post(&background->meter, pool);

    if (ngx_thread_task_post(pool, &background->task) != NGX_OK) {
        ngx_http_v2m_meter_overflow(&background->meter);
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "v2m: no room in the thread pool to %s", name);
        free(background);
        return NGX_BUSY;
    }

    /* keeps a worker process that shuts down alive until it is done */

    ngx_add_timer(&background->task.event, NGX_HTTP_V2M_PENDING_REPORT);

    return NGX_OK;
}


static void
ngx_http_v2m_background_run(void *data, ngx_log_t *log)
{
    ngx_http_v2m_background_t *background = data;

    ngx_http_v2m_meter_begin(&background->meter);
    background->rc = background->run(background->data, &background->error);
    ngx_http_v2m_meter_end(&background->meter, background->rc);
}


static void
ngx_http_v2m_background_event(ngx_event_t *event)
{
    ngx_http_v2m_background_t *background = event->data;

    if (event->timedout) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "v2m: to %s takes more than %d seconds", background->name,
                      NGX_HTTP_V2M_PENDING_REPORT / 1000);

        event->timedout = 0;
        ngx_add_timer(event, NGX_HTTP_V2M_PENDING_REPORT);
        return;
    }

    if (event->timer_set) {
        ngx_del_timer(event);
    }

    if (background->rc != V2M_OK) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "v2m: could not %s: %s",
                      background->name, background->error.text);
    }

    background->finished(background->data, background->rc, &background->error);

    free(background);
}


ngx_int_t
ngx_http_v2m_task_detach(ngx_thread_pool_t *pool, const char *name,
                         ngx_http_v2m_run_pt run, void *data)
{
    ngx_int_t rc;

    rc = ngx_http_v2m_task_background(pool, name, run,
                                      ngx_http_v2m_detached_finished, data);

    if (rc != NGX_OK) {
        free(data);
    }

    return rc;
}


static void
ngx_http_v2m_detached_finished(void *data, int rc, const v2m_error_t *error)
{
    free(data);
}
