/*
 * /healthz: the process answers.  /readyz: what it depends on answers.
 */

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_publish.h"
#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_task.h"

typedef struct {
    v2m_mongo_t *mongo;
    v2m_users_t *users;
    int          mongo_rc;
    int          users_rc;
    v2m_error_t  mongo_error;
    v2m_error_t  users_error;
} ngx_http_v2m_ready_t;

static int  ngx_http_v2m_ready_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_ready_done(ngx_http_request_t *r, void *data, int rc,
                                    const v2m_error_t *error, ngx_uint_t gone);


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
    ngx_http_v2m_task_t      *task;
    ngx_http_v2m_ready_t     *ready;
    ngx_http_v2m_main_conf_t *mcf;

    rc = ngx_http_v2m_health_begin(r);
    if (rc != NGX_OK) {
        return rc;
    }

    task = ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_ready_t),
                                    ngx_http_v2m_ready_run,
                                    ngx_http_v2m_ready_done);
    if (task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    ready = ngx_http_v2m_task_data(task);
    ready->mongo = mcf->mongo;
    ready->users = mcf->users;

    return ngx_http_v2m_task_offload(task, mcf->storage_pool);
}


static int
ngx_http_v2m_ready_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_ready_t *ready = data;

    ready->mongo_rc = v2m_mongo_ping(ready->mongo, &ready->mongo_error);
    ready->users_rc = v2m_users_ping(ready->users, &ready->users_error);

    return V2M_OK;
}


/*
 * Without the store nothing works: 503.  Without the broker uploads are taken
 * and published later, without the users' database valid tokens go on working:
 * the service is degraded, and taking it out of a balancer would make it
 * worse.
 */
static void
ngx_http_v2m_ready_done(ngx_http_request_t *r, void *data, int rc,
                        const v2m_error_t *error, ngx_uint_t gone)
{
    u_char                    text[256];
    ngx_uint_t                broker;
    const char               *status;
    ngx_http_v2m_ready_t     *ready = data;
    ngx_http_v2m_main_conf_t *mcf;

    if (gone) {
        return;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);
    broker = ngx_http_v2m_publisher_ready(mcf->publisher);

    if (ready->mongo_rc != V2M_OK) {
        status = "unavailable";
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "v2m: not ready: %s",
                      ready->mongo_error.text);

    } else {
        status = broker && ready->users_rc == V2M_OK ? "ready" : "degraded";
    }

    if (ready->users_rc != V2M_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "v2m: logins do not work: %s", ready->users_error.text);
    }

    ngx_snprintf(text, sizeof(text),
                 "{\"status\":\"%s\",\"backends\":{\"mongodb\":\"%s\","
                 "\"mysql\":\"%s\",\"rabbitmq\":\"%s\"}}\n%Z",
                 status, ready->mongo_rc == V2M_OK ? "ok" : "unavailable",
                 ready->users_rc == V2M_OK ? "ok" : "unavailable",
                 broker ? "ok" : "unavailable");

    ngx_http_finalize_request(
        r, ngx_http_v2m_send(r,
                             ready->mongo_rc == V2M_OK
                                 ? NGX_HTTP_OK
                                 : NGX_HTTP_SERVICE_UNAVAILABLE,
                             "application/json", (char *) text));
}
