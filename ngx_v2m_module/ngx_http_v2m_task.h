/*
 * The one bridge between nginx's event loop and what blocks: it posts a task
 * to a thread pool, brings its result back to the loop, and knows what to do
 * when the request, the client or the worker process goes away meanwhile.
 *
 * While anything is pending, the request and its pool stay (nginx's
 * r->main->blocked).  When the client goes away the request is marked as gone,
 * and the completion still runs, to give it the chance to clean up.
 *
 * All functions are for the event loop.
 */

#ifndef NGX_HTTP_V2M_TASK_H
#define NGX_HTTP_V2M_TASK_H

#include "ngx_http_v2m_module.h"

typedef struct ngx_http_v2m_task_s    ngx_http_v2m_task_t;
typedef struct ngx_http_v2m_pending_s ngx_http_v2m_pending_t;

/* On a thread of the pool: may block, may use only its data; no nginx pool,
 * no request, no log.  Returns a V2M_* code. */
typedef int (*ngx_http_v2m_run_pt)(void *data, v2m_error_t *error);

/* On the loop.  gone: the request is being torn down, so it must not be
 * answered or finalized; only what it holds may be cleaned up. */
typedef void (*ngx_http_v2m_done_pt)(ngx_http_request_t *r, void *data, int rc,
                                     const v2m_error_t *error, ngx_uint_t gone);

/*
 * Makes a task in the request's pool, with data_size bytes of zeroed data.
 * It may be posted again after it completed.  NULL: out of memory.
 */
ngx_http_v2m_task_t *ngx_http_v2m_task_create(ngx_http_request_t  *r,
                                              size_t               data_size,
                                              ngx_http_v2m_run_pt  run,
                                              ngx_http_v2m_done_pt done);

/* The task's data. */
void *ngx_http_v2m_task_data(ngx_http_v2m_task_t *task);

/* NGX_OK; NGX_BUSY: the pool's queue is full; NGX_ERROR. */
ngx_int_t ngx_http_v2m_task_post(ngx_http_v2m_task_t *task,
                                 ngx_thread_pool_t   *pool);

/*
 * For a content handler that answers after one task: posts it, keeps the
 * request, and returns NGX_DONE, or the status of the failure.
 */
ngx_int_t ngx_http_v2m_task_offload(ngx_http_v2m_task_t *task,
                                    ngx_thread_pool_t   *pool);

/* On the loop, after work that belongs to no request. */
typedef void (*ngx_http_v2m_finished_pt)(void *data, int rc,
                                         const v2m_error_t *error);

/*
 * Posts work that belongs to no request.  data must stay until finished was
 * called.  NGX_OK, or NGX_BUSY or NGX_ERROR, when finished is not called.
 * Failures are logged with the name, static text such as "drop an upload".
 */
ngx_int_t ngx_http_v2m_task_background(ngx_thread_pool_t       *pool,
                                       const char              *name,
                                       ngx_http_v2m_run_pt      run,
                                       ngx_http_v2m_finished_pt finished,
                                       void                    *data);

/* The same for malloc'ed data, which is freed afterwards, also when posting
 * fails. */
ngx_int_t ngx_http_v2m_task_detach(ngx_thread_pool_t *pool, const char *name,
                                   ngx_http_v2m_run_pt run, void *data);

/*
 * The same keeping of the request for something other than a thread pool
 * that completes later, on the loop.  After pending_begin() the request
 * stays until pending_end(), which calls done, or pending_cancel(), which
 * does not.  The caller owns the memory of the pending.
 */
struct ngx_http_v2m_pending_s {
    ngx_event_t             event;
    ngx_http_request_t     *request;
    ngx_http_v2m_request_t *state;
    ngx_http_v2m_done_pt    done;
    void                   *data;
};

ngx_int_t ngx_http_v2m_pending_begin(ngx_http_v2m_pending_t *pending,
                                     ngx_http_request_t     *r,
                                     ngx_http_v2m_done_pt done, void *data);
void      ngx_http_v2m_pending_end(ngx_http_v2m_pending_t *pending, int rc,
                                   const v2m_error_t *error);
void      ngx_http_v2m_pending_cancel(ngx_http_v2m_pending_t *pending);

#endif /* NGX_HTTP_V2M_TASK_H */
