/*
 * GET /jobs/{id}/events and GET /jobs/events: jobs as server-sent events.
 *
 * A stream begins with the present state, from a query of its own, and goes on
 * with what the worker process's poll finds for all streams.  It joins before
 * that query, so that nothing falls between the two.
 */

#include "ngx_http_v2m_events.h"

#include <stdlib.h>
#include <string.h>

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_task.h"
#include "v2m_jobs.h"
#include "v2m_jobs_watch.h"
#include "v2m_pause.h"

/* What a new stream tells of jobs that came to their end, so that a client
 * that read the list before misses none. */
#define NGX_HTTP_V2M_EVENTS_PAST 60000 /* ms */

typedef struct {
    ngx_http_complex_value_t *job; /* its id; NULL: all of the user's */
} ngx_http_v2m_events_loc_conf_t;

/* The present state. */
typedef struct {
    v2m_mongo_t              *mongo;
    const char               *owner;
    v2m_id_t                  job; /* empty: all of the owner's */
    int64_t                   since_ms;
    ngx_http_v2m_event_list_t found;
    ngx_http_v2m_listener_t  *listener;

    unsigned known : 1; /* the client told which event it had last */
    uint32_t last;      /* the hash of that */
} ngx_http_v2m_present_t;

static ngx_int_t ngx_http_v2m_events_handler(ngx_http_request_t *r);
static int       ngx_http_v2m_present_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_present_done(ngx_http_request_t *r, void *data, int rc,
                                      const v2m_error_t *error,
                                      ngx_uint_t         gone);
static char *ngx_http_v2m_events_directive(ngx_conf_t *cf, ngx_command_t *cmd,
                                           void *conf);
static void *ngx_http_v2m_events_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_v2m_events_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_v2m_events_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_v2m_events_merge_loc_conf(ngx_conf_t *cf, void *parent,
                                                void *child);

static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_events = {
    ngx_http_v2m_events_handler, 1, 0
};

static ngx_http_v2m_range_t ngx_http_v2m_events_interval_range = {
    ngx_http_v2m_check_number, 100, 60 * 1000, "100ms to 1m"
};
static ngx_http_v2m_range_t ngx_http_v2m_events_heartbeat_range = {
    ngx_http_v2m_check_number, 1000, 600 * 1000, "1s to 10m"
};
static ngx_http_v2m_range_t ngx_http_v2m_events_max_range = {
    ngx_http_v2m_check_number, 1, 100000, "1 to 100000"
};

/* clang-format off */
static ngx_command_t ngx_http_v2m_events_commands[] = {

    { ngx_string("v2m_events"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1,
      ngx_http_v2m_events_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_events },

    { ngx_string("v2m_events_interval"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_events_main_conf_t, interval),
      &ngx_http_v2m_events_interval_range },

    { ngx_string("v2m_events_heartbeat"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_events_main_conf_t, heartbeat),
      &ngx_http_v2m_events_heartbeat_range },

    { ngx_string("v2m_events_max"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_events_main_conf_t, max),
      &ngx_http_v2m_events_max_range },

    { ngx_string("v2m_events_max_per_user"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_events_main_conf_t, max_per_user),
      &ngx_http_v2m_events_max_range },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_events_module_ctx = {
    NULL,
    NULL,

    ngx_http_v2m_events_create_main_conf,
    ngx_http_v2m_events_init_main_conf,

    NULL,
    NULL,

    ngx_http_v2m_events_create_loc_conf,
    ngx_http_v2m_events_merge_loc_conf
};

/* clang-format off */
ngx_module_t ngx_http_v2m_events_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_events_module_ctx,
    ngx_http_v2m_events_commands,
    NGX_HTTP_MODULE,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NGX_MODULE_V1_PADDING
};
/* clang-format on */


static ngx_int_t
ngx_http_v2m_events_refuse(ngx_http_request_t *r, ngx_int_t rc)
{
    switch (rc) {
    case NGX_BUSY:
        return ngx_http_v2m_over_limit(r, NGX_HTTP_V2M_COUNT_REFUSED_STREAMS,
                                       NGX_HTTP_SERVICE_UNAVAILABLE,
                                       "too many clients watch jobs, try again "
                                       "later");

    case NGX_DECLINED:
        return ngx_http_v2m_over_limit(
            r, NGX_HTTP_V2M_COUNT_REFUSED_USERS_STREAMS,
            NGX_HTTP_TOO_MANY_REQUESTS,
            "you watch your jobs too many times "
            "(v2m_events_max_per_user): close one of "
            "the others");

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static ngx_int_t
ngx_http_v2m_events_job(ngx_http_request_t *r, v2m_id_t id)
{
    ngx_str_t                       text;
    ngx_http_v2m_ctx_t             *ctx;
    ngx_http_v2m_events_loc_conf_t *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_events_module);

    id[0] = '\0';

    if (elcf->job == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, elcf->job, &text) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!v2m_id_parse(id, (char *) text.data, text.len)) {
        return ngx_http_v2m_problem(r, NGX_HTTP_NOT_FOUND,
                                    "there is no such job");
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);
    ngx_memcpy(ctx->job, id, sizeof(v2m_id_t));

    return NGX_OK;
}


/* Last-Event-ID is TIME-HASH; anything else counts as none. */
static void
ngx_http_v2m_present_last(ngx_http_request_t     *r,
                          ngx_http_v2m_present_t *present)
{
    u_char    *dash;
    off_t      time_ms;
    ngx_int_t  hash;
    ngx_str_t *value;

    value = ngx_http_v2m_find_header(r, "last-event-id");
    if (value == NULL) {
        return;
    }

    dash = ngx_strlchr(value->data, value->data + value->len, '-');
    if (dash == NULL) {
        return;
    }

    time_ms = ngx_atoof(value->data, dash - value->data);
    hash = ngx_hextoi(dash + 1, value->data + value->len - dash - 1);

    if (time_ms == NGX_ERROR || hash == NGX_ERROR) {
        return;
    }

    present->known = 1;
    present->last = (uint32_t) hash;
    present->since_ms = ngx_min(present->since_ms, time_ms);
}


static ngx_int_t
ngx_http_v2m_events_handler(ngx_http_request_t *r)
{
    v2m_id_t                         job;
    ngx_int_t                        rc;
    ngx_http_v2m_ctx_t              *ctx;
    ngx_http_v2m_task_t             *task;
    ngx_http_v2m_present_t          *present;
    ngx_http_v2m_listener_t         *listener;
    ngx_http_v2m_main_conf_t        *mcf;
    ngx_http_v2m_events_main_conf_t *emcf;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return ngx_http_v2m_method_not_allowed(r, "GET, HEAD");
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_v2m_events_job(r, job);
    if (rc != NGX_OK) {
        return rc;
    }

    listener = ngx_http_v2m_events_listener(r);
    task = ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_present_t),
                                    ngx_http_v2m_present_run,
                                    ngx_http_v2m_present_done);

    if (listener == NULL || task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);
    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);
    emcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_events_module);

    ngx_memcpy(listener->job, job, sizeof(v2m_id_t));

    present = ngx_http_v2m_task_data(task);
    present->mongo = mcf->mongo;
    present->owner = ctx->claims.username;
    present->since_ms = v2m_wall_ms() - NGX_HTTP_V2M_EVENTS_PAST;
    present->listener = listener;
    ngx_memcpy(present->job, job, sizeof(v2m_id_t));
    ngx_http_v2m_present_last(r, present);

    rc = ngx_http_v2m_events_join(listener, ctx->claims.username, emcf);
    if (rc != NGX_OK) {
        return ngx_http_v2m_events_refuse(r, rc);
    }

    rc = ngx_http_v2m_task_offload(task, mcf->storage_pool);

    if (rc != NGX_DONE) {
        ngx_http_v2m_events_leave(listener);
    }

    return rc;
}


static int
ngx_http_v2m_present_run(void *data, v2m_error_t *error)
{
    int                     rc;
    size_t                  i, count;
    v2m_job_t              *jobs;
    ngx_http_v2m_event_t   *event;
    ngx_http_v2m_present_t *present = data;

    if (present->job[0] != '\0') {
        count = 1;
        jobs = calloc(1, sizeof(v2m_job_t));
        if (jobs == NULL) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }

        rc = v2m_jobs_find(present->mongo, present->job, present->owner, jobs,
                           error);

        if (rc != V2M_OK) {
            free(jobs);
            return rc;
        }

    } else {
        rc =
            v2m_jobs_current(present->mongo, present->owner, present->since_ms,
                             NGX_HTTP_V2M_EVENTS_PENDING, &jobs, &count, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    rc = ngx_http_v2m_event_list_make(&present->found, jobs, count, error);

    /* what changed first is told first */

    for (i = 0; i < present->found.count / 2; i++) {
        event = present->found.events[i];
        present->found.events[i] =
            present->found.events[present->found.count - 1 - i];
        present->found.events[present->found.count - 1 - i] = event;
    }

    return rc;
}


static void
ngx_http_v2m_present_done(ngx_http_request_t *r, void *data, int rc,
                          const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_int_t                status;
    ngx_http_v2m_event_t    *event;
    ngx_http_v2m_present_t  *present = data;
    ngx_http_v2m_listener_t *listener = present->listener;

    event = present->found.count > 0 ? present->found.events[0] : NULL;

    if (gone) {
        ngx_http_v2m_event_list_free(&present->found);
        return;
    }

    if (rc == V2M_NOT_FOUND) {
        status =
            ngx_http_v2m_problem(r, NGX_HTTP_NOT_FOUND, "there is no such job");

    } else if (rc != V2M_OK) {
        status = ngx_http_v2m_failure(r, "look jobs up", rc, error);

    } else if (listener->job[0] != '\0' && event->ended && present->known
               && present->last == event->hash)
    {
        /* the client has all there is; this keeps it from coming back */

        r->headers_out.status = NGX_HTTP_NO_CONTENT;
        r->header_only = 1;
        status = ngx_http_send_header(r);

    } else {
        status = ngx_http_v2m_events_start(listener, present->since_ms,
                                           present->last);
    }

    if (status != NGX_DONE) {
        ngx_http_v2m_event_list_free(&present->found);
        ngx_http_v2m_events_leave(listener);
        ngx_http_finalize_request(r, status);
        return;
    }

    ngx_http_v2m_events_deliver(&present->found, present->since_ms, listener);
    ngx_http_v2m_event_list_free(&present->found);

    ngx_http_v2m_events_go(listener);
}


static char *
ngx_http_v2m_events_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                            *rv;
    ngx_str_t                       *value;
    ngx_http_compile_complex_value_t compile;
    ngx_http_v2m_events_loc_conf_t  *elcf = conf;

    rv = ngx_http_v2m_endpoint(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    elcf->job = NULL;

    if (cf->args->nelts == 1) {
        return NGX_CONF_OK;
    }

    elcf->job = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (elcf->job == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    ngx_memzero(&compile, sizeof(ngx_http_compile_complex_value_t));
    compile.cf = cf;
    compile.value = &value[1];
    compile.complex_value = elcf->job;

    return ngx_http_compile_complex_value(&compile) == NGX_OK ? NGX_CONF_OK
                                                              : NGX_CONF_ERROR;
}


static void *
ngx_http_v2m_events_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_events_main_conf_t *emcf;

    emcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_events_main_conf_t));
    if (emcf == NULL) {
        return NULL;
    }

    emcf->interval = NGX_CONF_UNSET_MSEC;
    emcf->heartbeat = NGX_CONF_UNSET_MSEC;
    emcf->max = NGX_CONF_UNSET;
    emcf->max_per_user = NGX_CONF_UNSET;

    return emcf;
}


static char *
ngx_http_v2m_events_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_v2m_events_main_conf_t *emcf = conf;

    ngx_conf_init_msec_value(emcf->interval, 500);
    ngx_conf_init_msec_value(emcf->heartbeat, 15000);
    ngx_conf_init_value(emcf->max, 2048);
    ngx_conf_init_value(emcf->max_per_user, 16);

    return NGX_CONF_OK;
}


static void *
ngx_http_v2m_events_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_events_loc_conf_t *elcf;

    elcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_events_loc_conf_t));

    if (elcf != NULL) {
        elcf->job = NGX_CONF_UNSET_PTR;
    }

    return elcf;
}


static char *
ngx_http_v2m_events_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_v2m_events_loc_conf_t *prev = parent;
    ngx_http_v2m_events_loc_conf_t *conf = child;

    ngx_conf_merge_ptr_value(conf->job, prev->job, NULL);

    return NGX_CONF_OK;
}
