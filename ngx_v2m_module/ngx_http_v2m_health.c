/*
 * /healthz: the process answers.  /readyz: what it depends on answers.
 *
 * A backend that hangs must neither keep /readyz waiting longer than those
 * who ask wait for it, nor take a thread for each of them: a worker process
 * asks each backend once at a time, for all who want to know.  While all
 * threads are busy the last answer counts, as load is no reason to be taken
 * out of a balancer.
 */

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_publish.h"
#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_task.h"

/* A backend that takes longer counts as away.  The usual time-out of those
 * who ask is a second. */
#define NGX_HTTP_V2M_READY_TIMEOUT 800 /* ms */

enum { NGX_HTTP_V2M_MONGODB, NGX_HTTP_V2M_MYSQL, NGX_HTTP_V2M_PROBES };

/* The question to one backend. */
typedef struct {
    const char               *name; /* for the log */
    ngx_http_v2m_run_pt       run;
    ngx_http_v2m_finished_pt  finished;
    ngx_uint_t                running;
    ngx_uint_t                ok;      /* as it was last known */
    ngx_atomic_t              started; /* a thread asks */
    ngx_http_v2m_main_conf_t *mcf;
} ngx_http_v2m_probe_t;

/* A request that waits for the answers, in its pool. */
typedef struct {
    ngx_queue_t         queue;
    ngx_http_request_t *request;
    ngx_event_t         timer;
    ngx_uint_t          missing; /* answers */
    ngx_uint_t          known[NGX_HTTP_V2M_PROBES];
} ngx_http_v2m_ready_t;

static int  ngx_http_v2m_mongodb_run(void *data, v2m_error_t *error);
static int  ngx_http_v2m_mysql_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_mongodb_finished(void *data, int rc,
                                          const v2m_error_t *error);
static void ngx_http_v2m_mysql_finished(void *data, int rc,
                                        const v2m_error_t *error);
static void ngx_http_v2m_ready_cleanup(void *data);
static void ngx_http_v2m_ready_timeout(ngx_event_t *event);
static void ngx_http_v2m_ready_answer(ngx_http_v2m_ready_t *ready);

/* Those of this worker process. */
static ngx_http_v2m_probe_t ngx_http_v2m_probes[NGX_HTTP_V2M_PROBES] = {
    { "reach MongoDB", ngx_http_v2m_mongodb_run, ngx_http_v2m_mongodb_finished,
      0, 0, 0, NULL },
    { "reach MySQL", ngx_http_v2m_mysql_run, ngx_http_v2m_mysql_finished, 0, 0,
      0, NULL },
};

static ngx_queue_t ngx_http_v2m_waiting;


static ngx_int_t
ngx_http_v2m_health_begin(ngx_http_request_t *r)
{
    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return ngx_http_v2m_method_not_allowed(r, "GET, HEAD");
    }

    return ngx_http_discard_request_body(r);
}


ngx_int_t
ngx_http_v2m_health_handler(ngx_http_request_t *r)
{
    ngx_int_t rc;

    rc = ngx_http_v2m_health_begin(r);
    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_v2m_send(r, NGX_HTTP_OK, "text/plain", "ok\n");
}


ngx_int_t
ngx_http_v2m_ready_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_uint_t                i;
    ngx_http_cleanup_t       *cleanup;
    ngx_http_v2m_ready_t     *ready;
    ngx_http_v2m_probe_t     *probe;
    ngx_http_v2m_main_conf_t *mcf;

    rc = ngx_http_v2m_health_begin(r);
    if (rc != NGX_OK) {
        return rc;
    }

    cleanup = ngx_http_cleanup_add(r, sizeof(ngx_http_v2m_ready_t));
    if (cleanup == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ready = cleanup->data;
    ngx_memzero(ready, sizeof(ngx_http_v2m_ready_t));

    if (ngx_http_v2m_waiting.next == NULL) {
        ngx_queue_init(&ngx_http_v2m_waiting);
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    for (i = 0; i < NGX_HTTP_V2M_PROBES; i++) {
        probe = &ngx_http_v2m_probes[i];

        if (!probe->running) {
            probe->mcf = mcf;
            probe->started = 0;

            if (ngx_http_v2m_task_background(mcf->storage_pool, probe->name,
                                             probe->run, probe->finished, probe)
                != NGX_OK)
            {
                return ngx_http_v2m_over_limit(
                    r, NGX_HTTP_V2M_COUNT_REFUSED_POOL,
                    NGX_HTTP_SERVICE_UNAVAILABLE,
                    "the service is busy, try again later");
            }

            probe->running = 1;
        }
    }

    ready->request = r;
    ready->missing = NGX_HTTP_V2M_PROBES;
    ready->timer.handler = ngx_http_v2m_ready_timeout;
    ready->timer.data = ready;
    ready->timer.log = r->connection->log;

    ngx_add_timer(&ready->timer, NGX_HTTP_V2M_READY_TIMEOUT);
    ngx_queue_insert_tail(&ngx_http_v2m_waiting, &ready->queue);

    cleanup->handler = ngx_http_v2m_ready_cleanup;

    r->main->count++;

    return NGX_DONE;
}


static int
ngx_http_v2m_mongodb_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_probe_t *probe = data;

    probe->started = 1;

    return v2m_mongo_ping(probe->mcf->mongo, error);
}


static int
ngx_http_v2m_mysql_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_probe_t *probe = data;

    probe->started = 1;

    return v2m_database_ping(probe->mcf->users, error);
}


static void
ngx_http_v2m_probe_finished(ngx_uint_t i, int rc)
{
    ngx_queue_t          *q, *next, complete;
    ngx_http_v2m_ready_t *ready;

    ngx_http_v2m_probes[i].running = 0;
    ngx_http_v2m_probes[i].ok = (rc == V2M_OK);

    ngx_queue_init(&complete);

    for (q = ngx_queue_head(&ngx_http_v2m_waiting);
         q != ngx_queue_sentinel(&ngx_http_v2m_waiting); q = next)
    {
        next = ngx_queue_next(q);
        ready = ngx_queue_data(q, ngx_http_v2m_ready_t, queue);

        if (!ready->known[i]) {
            ready->known[i] = 1;
            ready->missing--;
        }

        if (ready->missing == 0) {
            ngx_queue_remove(q);
            ngx_queue_insert_tail(&complete, q);
        }
    }

    /* an answer may end other requests, which leave the queue then */

    while (!ngx_queue_empty(&complete)) {
        q = ngx_queue_head(&complete);
        ngx_http_v2m_ready_answer(
            ngx_queue_data(q, ngx_http_v2m_ready_t, queue));
    }
}


static void
ngx_http_v2m_mongodb_finished(void *data, int rc, const v2m_error_t *error)
{
    ngx_http_v2m_probe_finished(NGX_HTTP_V2M_MONGODB, rc);
}


static void
ngx_http_v2m_mysql_finished(void *data, int rc, const v2m_error_t *error)
{
    ngx_http_v2m_probe_finished(NGX_HTTP_V2M_MYSQL, rc);
}


static void
ngx_http_v2m_ready_timeout(ngx_event_t *event)
{
    ngx_uint_t            i;
    ngx_http_v2m_ready_t *ready = event->data;

    for (i = 0; i < NGX_HTTP_V2M_PROBES; i++) {
        if (!ready->known[i] && ngx_http_v2m_probes[i].started) {
            ngx_http_v2m_probes[i].ok = 0;
        }
    }

    ngx_http_v2m_ready_answer(ready);
}


/* The request does not wait any more. */
static void
ngx_http_v2m_ready_cleanup(void *data)
{
    ngx_http_v2m_ready_t *ready = data;

    if (ready->request == NULL) {
        return;
    }

    ready->request = NULL;
    ngx_queue_remove(&ready->queue);

    if (ready->timer.timer_set) {
        ngx_del_timer(&ready->timer);
    }
}


/*
 * Without the store nothing works: 503.  Without the broker uploads are taken
 * and published later, without the users' database valid tokens go on working:
 * the service is degraded, and taking it out of a balancer would make it
 * worse.
 */
static void
ngx_http_v2m_ready_answer(ngx_http_v2m_ready_t *ready)
{
    u_char                    text[256];
    ngx_uint_t                broker, mongodb, mysql;
    const char               *status;
    ngx_connection_t         *c;
    ngx_http_request_t       *r;
    ngx_http_v2m_main_conf_t *mcf;

    r = ready->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);
    ngx_http_v2m_ready_cleanup(ready);

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    mongodb = ngx_http_v2m_probes[NGX_HTTP_V2M_MONGODB].ok;
    mysql = ngx_http_v2m_probes[NGX_HTTP_V2M_MYSQL].ok;
    broker = ngx_http_v2m_publisher_ready(mcf->publisher);

    status = !mongodb ? "unavailable" : broker && mysql ? "ready" : "degraded";

    ngx_snprintf(text, sizeof(text),
                 "{\"status\":\"%s\",\"backends\":{\"mongodb\":\"%s\","
                 "\"mysql\":\"%s\",\"rabbitmq\":\"%s\"}}\n%Z",
                 status, mongodb ? "ok" : "unavailable",
                 mysql ? "ok" : "unavailable", broker ? "ok" : "unavailable");

    ngx_http_finalize_request(
        r, ngx_http_v2m_send(
               r, mongodb ? NGX_HTTP_OK : NGX_HTTP_SERVICE_UNAVAILABLE,
               "application/json", (char *) text));

    ngx_http_run_posted_requests(c);
}
