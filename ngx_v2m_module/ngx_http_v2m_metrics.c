#include "ngx_http_v2m_metrics_zone.h"

#include <signal.h>

#include "ngx_http_v2m_argument.h"
#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "v2m_pause.h"

#define NGX_HTTP_V2M_METRICS_ZONE     "v2m_metrics"
#define NGX_HTTP_V2M_METRICS_INTERVAL 15000 /* ms */
#define NGX_HTTP_V2M_METRICS_TYPE     "text/plain; version=0.0.4; charset=utf-8"

typedef struct {
    ngx_http_v2m_metrics_shared_t *shared;
    ngx_slab_pool_t               *slab;
    ngx_uint_t                     generation;
} ngx_http_v2m_metrics_zone_t;

typedef struct {
    ngx_shm_zone_t *zone; /* NULL: nobody asks */
    ngx_msec_t      interval;
} ngx_http_v2m_metrics_conf_t;

static void     *ngx_http_v2m_metrics_create_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_v2m_metrics_postconfiguration(ngx_conf_t *cf);
static char     *ngx_http_v2m_metrics(ngx_conf_t *cf, ngx_command_t *cmd,
                                      void *conf);
static ngx_int_t ngx_http_v2m_metrics_init_zone(ngx_shm_zone_t *zone,
                                                void           *data);
static ngx_int_t ngx_http_v2m_metrics_log(ngx_http_request_t *r);
static ngx_int_t ngx_http_v2m_metrics_handler(ngx_http_request_t *r);

static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_metrics = {
    ngx_http_v2m_metrics_handler, 0, 0
};

/* clang-format off */
static ngx_command_t ngx_http_v2m_metrics_commands[] = {

    { ngx_string("v2m_metrics"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1,
      ngx_http_v2m_metrics,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_metrics },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_metrics_module_ctx = {
    NULL,
    ngx_http_v2m_metrics_postconfiguration,

    ngx_http_v2m_metrics_create_conf,
    NULL,

    NULL,
    NULL,

    NULL,
    NULL
};

/* clang-format off */
ngx_module_t ngx_http_v2m_metrics_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_metrics_module_ctx,
    ngx_http_v2m_metrics_commands,
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

static const ngx_uint_t ngx_http_v2m_statuses[NGX_HTTP_V2M_STATUSES] = {
    0,   200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401,
    403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417,
    421, 422, 423, 429, 431, 499, 500, 501, 502, 503, 504, 507
};

/* Numbers are given once for as long as this code is loaded, which is as long
 * as the zone is kept. */
static const char *ngx_http_v2m_endpoint_names[NGX_HTTP_V2M_ENDPOINTS] = {
    "other"
};

/* Where this process counts. */
static ngx_http_v2m_measured_t  ngx_http_v2m_void;
static ngx_http_v2m_measured_t *ngx_http_v2m_measured = &ngx_http_v2m_void;


static void
ngx_http_v2m_add(_Atomic int64_t *number, int64_t change)
{
    atomic_fetch_add_explicit(number, change, memory_order_relaxed);
}


void
ngx_http_v2m_count(ngx_http_v2m_counter_t counter, int64_t number)
{
    ngx_http_v2m_add(&ngx_http_v2m_measured->counters[counter], number);
}


void
ngx_http_v2m_gauge(ngx_http_v2m_gauge_t gauge, int64_t change)
{
    ngx_http_v2m_add(&ngx_http_v2m_measured->gauges[gauge], change);
}


ngx_uint_t
ngx_http_v2m_metrics_endpoint(const ngx_str_t *directive)
{
    ngx_uint_t  i;
    const char *name;

    /* the "v2m_" says nothing */
    name = (char *) directive->data + 4;

    for (i = 1; i < NGX_HTTP_V2M_ENDPOINTS; i++) {
        if (ngx_http_v2m_endpoint_names[i] == NULL) {
            ngx_http_v2m_endpoint_names[i] = name;
        }

        if (ngx_strcmp(ngx_http_v2m_endpoint_names[i], name) == 0) {
            return i;
        }
    }

    return 0;
}


const char *
ngx_http_v2m_metrics_endpoint_name(ngx_uint_t number)
{
    return ngx_http_v2m_endpoint_names[number];
}


ngx_uint_t
ngx_http_v2m_metrics_status(ngx_uint_t number)
{
    return ngx_http_v2m_statuses[number];
}


static void *
ngx_http_v2m_metrics_create_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_metrics_conf_t *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_metrics_conf_t));

    if (mcf != NULL) {
        mcf->interval = NGX_HTTP_V2M_METRICS_INTERVAL;
    }

    return mcf;
}


/* interval=TIME */
static ngx_int_t
ngx_http_v2m_metrics_argument(ngx_str_t *argument, ngx_msec_t *interval)
{
    ngx_int_t time;
    ngx_str_t text;

    if (ngx_http_v2m_argument(argument, "interval=", &text) != NGX_OK) {
        return NGX_DECLINED;
    }

    time = ngx_parse_time(&text, 0);

    if (time == NGX_ERROR || time < 100 || time > 3600 * 1000) {
        return NGX_DECLINED;
    }

    *interval = time;

    return NGX_OK;
}


static char *
ngx_http_v2m_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    size_t                       size;
    ngx_str_t                    name, *value;
    ngx_http_v2m_metrics_conf_t *mcf;

    value = cf->args->elts;
    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_metrics_module);

    if (cf->args->nelts == 2
        && ngx_http_v2m_metrics_argument(&value[1], &mcf->interval) != NGX_OK)
    {
        return "takes interval=TIME, from 100ms to 1h";
    }

    if (mcf->zone != NULL) {
        return ngx_http_v2m_endpoint(cf, cmd, conf);
    }

    /* what the zone notes of each page, and its beginning */
    size = sizeof(ngx_http_v2m_metrics_shared_t);
    size +=
        (size / ngx_pagesize + 1) * sizeof(ngx_slab_page_t) + 16 * ngx_pagesize;

    ngx_str_set(&name, NGX_HTTP_V2M_METRICS_ZONE);

    mcf->zone =
        ngx_shared_memory_add(cf, &name, size, &ngx_http_v2m_metrics_module);
    if (mcf->zone == NULL) {
        return NGX_CONF_ERROR;
    }

    mcf->zone->init = ngx_http_v2m_metrics_init_zone;
    mcf->zone->data =
        ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_metrics_zone_t));

    return mcf->zone->data == NULL ? NGX_CONF_ERROR
                                   : ngx_http_v2m_endpoint(cf, cmd, conf);
}


static ngx_int_t
ngx_http_v2m_metrics_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_handler_pt         *handler;
    ngx_http_core_main_conf_t   *cmcf;
    ngx_http_v2m_metrics_conf_t *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_metrics_module);

    if (mcf->zone == NULL) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    handler = ngx_array_push(&cmcf->phases[NGX_HTTP_LOG_PHASE].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }

    *handler = ngx_http_v2m_metrics_log;

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_metrics_init_zone(ngx_shm_zone_t *shm, void *data)
{
    ngx_http_v2m_metrics_zone_t   *old = data;
    ngx_http_v2m_metrics_zone_t   *zone = shm->data;
    ngx_http_v2m_metrics_shared_t *shared;

    zone->slab = (ngx_slab_pool_t *) shm->shm.addr;

    if (old != NULL) {
        zone->shared = old->shared;

    } else if (shm->shm.exists) {
        zone->shared = zone->slab->data;

    } else {
        /* it is fresh, and a place is zeroed for its first owner: what nobody
         * uses takes no memory */

        shared =
            ngx_slab_alloc(zone->slab, sizeof(ngx_http_v2m_metrics_shared_t));
        if (shared == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(&shared->asked, sizeof(ngx_http_v2m_asked_t));
        shared->generation = 0;
        shared->used = 0;

        zone->slab->data = shared;
        zone->shared = shared;
    }

    zone->generation = ++zone->shared->generation;

    return NGX_OK;
}


/* Whether the process that a place belongs to has ended. */
static ngx_uint_t
ngx_http_v2m_slot_free(const ngx_http_v2m_slot_t *slot)
{
    return kill(slot->pid, 0) == -1 && ngx_errno == NGX_ESRCH;
}


/*
 * Finds a place for this process: that of its predecessor, which was killed and
 * may have the same number as another process by now, else that of one that
 * ended, else a new one.  NGX_DECLINED: all are taken.
 */
static ngx_int_t
ngx_http_v2m_slot_find(ngx_http_v2m_metrics_zone_t *zone, ngx_uint_t *number)
{
    ngx_uint_t                     i;
    ngx_http_v2m_slot_t           *slot;
    ngx_http_v2m_metrics_shared_t *shared = zone->shared;

    for (i = 0; i < shared->used; i++) {
        slot = &shared->slots[i];

        if (slot->generation == zone->generation && slot->worker == ngx_worker)
        {
            *number = i;
            return NGX_OK;
        }
    }

    for (i = 0; i < shared->used; i++) {
        if (ngx_http_v2m_slot_free(&shared->slots[i])) {
            *number = i;
            return NGX_OK;
        }
    }

    if (shared->used == NGX_HTTP_V2M_SLOTS) {
        return NGX_DECLINED;
    }

    *number = shared->used++;
    ngx_memzero(&shared->measured[*number], sizeof(ngx_http_v2m_measured_t));

    return NGX_OK;
}


static void
ngx_http_v2m_slot_take(ngx_http_v2m_metrics_zone_t *zone)
{
    ngx_uint_t               number;
    ngx_http_v2m_slot_t     *slot;
    ngx_http_v2m_measured_t *measured;

    if (ngx_http_v2m_slot_find(zone, &number) != NGX_OK) {
        ngx_http_v2m_measured =
            &zone->shared->measured[ngx_worker % NGX_HTTP_V2M_SLOTS];
        return;
    }

    slot = &zone->shared->slots[number];
    slot->pid = ngx_pid;
    slot->worker = ngx_worker;
    slot->generation = zone->generation;

    measured = &zone->shared->measured[number];
    ngx_memzero((void *) measured->gauges, sizeof(measured->gauges));
    ngx_memzero((void *) measured->in_progress, sizeof(measured->in_progress));

    ngx_http_v2m_measured = measured;
}


void
ngx_http_v2m_metrics_start(ngx_cycle_t *cycle)
{
    ngx_http_v2m_metrics_conf_t *mcf;
    ngx_http_v2m_metrics_zone_t *zone;

    mcf =
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_v2m_metrics_module);

    if (mcf->zone == NULL) {
        return;
    }

    zone = mcf->zone->data;

    ngx_shmtx_lock(&zone->slab->mutex);
    ngx_http_v2m_slot_take(zone);
    ngx_shmtx_unlock(&zone->slab->mutex);
}


void
ngx_http_v2m_metrics_begin(ngx_http_request_t *r, ngx_uint_t endpoint)
{
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_get_ctx(r);

    /* an internal redirect may lead to another endpoint: the first counts */

    if (ctx != NULL && ctx->endpoint == 0 && endpoint != 0) {
        ctx->endpoint = endpoint;
        ngx_http_v2m_add(&ngx_http_v2m_measured->in_progress[endpoint], 1);
    }
}


void
ngx_http_v2m_metrics_sent(ngx_http_request_t *r)
{
    off_t               sent;
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_find_ctx(r);
    sent = r->connection->sent - (off_t) r->header_size;

    if (sent > ctx->sent) {
        ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_DOWNLOADED, sent - ctx->sent);
        ctx->sent = sent;
    }
}


/* What a request was refused by, when nobody said so. */
static ngx_http_v2m_counter_t
ngx_http_v2m_metrics_refusal(ngx_uint_t status)
{
    switch (status) {
    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return NGX_HTTP_V2M_COUNT_REFUSED_SIZE;

    case NGX_HTTP_TOO_MANY_REQUESTS:
        return NGX_HTTP_V2M_COUNT_REFUSED_RATE;

    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return NGX_HTTP_V2M_COUNT_REFUSED_OTHER;

    case NGX_HTTP_INSUFFICIENT_STORAGE:
        return NGX_HTTP_V2M_COUNT_REFUSED_FULL;

    default:
        return NGX_HTTP_V2M_COUNTERS;
    }
}


static ngx_uint_t
ngx_http_v2m_metrics_request_status(ngx_http_request_t *r)
{
    ngx_uint_t i, status;

    status = r->err_status ? r->err_status : r->headers_out.status;

    for (i = 1; i < NGX_HTTP_V2M_STATUSES; i++) {
        if (ngx_http_v2m_statuses[i] == status) {
            return i;
        }
    }

    return 0;
}


/* The log phase, when a request has ended. */
static ngx_int_t
ngx_http_v2m_metrics_log(ngx_http_request_t *r)
{
    ngx_time_t              *now;
    ngx_uint_t               status, endpoint;
    ngx_http_v2m_ctx_t      *ctx;
    ngx_http_v2m_counter_t   refusal;
    ngx_http_v2m_loc_conf_t *lcf;

    if (r != r->main) {
        return NGX_OK;
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_module);
    ctx = ngx_http_v2m_find_ctx(r);

    endpoint = lcf->endpoint_number;

    if (ctx != NULL && ctx->endpoint != 0) {
        endpoint = ctx->endpoint;
        ngx_http_v2m_add(&ngx_http_v2m_measured->in_progress[endpoint], -1);
    }

    if (ctx != NULL && ctx->download != NULL) {
        ngx_http_v2m_metrics_sent(r);
    }

    status = ngx_http_v2m_metrics_request_status(r);
    refusal = ngx_http_v2m_metrics_refusal(ngx_http_v2m_statuses[status]);

    if (refusal != NGX_HTTP_V2M_COUNTERS) {
        ngx_http_v2m_count(ctx != NULL && ctx->refusal ? ctx->refusal : refusal,
                           1);
    }

    now = ngx_timeofday();

    ngx_http_v2m_add(&ngx_http_v2m_measured->requests[endpoint][status], 1);
    v2m_histogram_observe(&ngx_http_v2m_measured->durations[endpoint],
                          ((int64_t) (now->sec - r->start_sec) * 1000
                           + (int64_t) now->msec - (int64_t) r->start_msec)
                              * 1000);

    return NGX_OK;
}


void
ngx_http_v2m_meter_post(ngx_http_v2m_task_meter_t *meter,
                        const ngx_thread_pool_t   *pool)
{
    ngx_http_v2m_main_conf_t *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(ngx_cycle, ngx_http_v2m_module);

    meter->login = pool == mcf->login_pool && pool != mcf->storage_pool;
    meter->since_us = v2m_clock_us();

    /* before the thread can take it */
    ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_QUEUED + meter->login, 1);
}


void
ngx_http_v2m_meter_overflow(ngx_http_v2m_task_meter_t *meter)
{
    ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_QUEUED + meter->login, -1);
    ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_OVERFLOWS + meter->login, 1);
}


void
ngx_http_v2m_meter_begin(ngx_http_v2m_task_meter_t *meter)
{
    int64_t now;

    now = v2m_clock_us();

    ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_QUEUED + meter->login, -1);
    ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_RUNNING + meter->login, 1);
    v2m_histogram_observe(&ngx_http_v2m_measured->waits[meter->login],
                          now - meter->since_us);

    meter->since_us = now;
}


void
ngx_http_v2m_meter_end(ngx_http_v2m_task_meter_t *meter, int rc)
{
    ngx_uint_t error;

    ngx_http_v2m_gauge(NGX_HTTP_V2M_GAUGE_RUNNING + meter->login, -1);
    ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_TASKS + meter->login, 1);
    v2m_histogram_observe(&ngx_http_v2m_measured->task_runs[meter->login],
                          v2m_clock_us() - meter->since_us);

    switch (rc) {
    case V2M_UNAVAILABLE:
        error = NGX_HTTP_V2M_COUNT_UNAVAILABLE;
        break;

    case V2M_FULL:
        error = NGX_HTTP_V2M_COUNT_FULL;
        break;

    case V2M_CORRUPT:
        error = NGX_HTTP_V2M_COUNT_CORRUPT;
        break;

    case V2M_ERROR:
        error = NGX_HTTP_V2M_COUNT_ERROR;
        break;

    default:
        return;
    }

    if (meter->login) {
        error += NGX_HTTP_V2M_COUNT_LOGIN_UNAVAILABLE
                 - NGX_HTTP_V2M_COUNT_UNAVAILABLE;
    }

    ngx_http_v2m_count(error, 1);
}


static void
ngx_http_v2m_metrics_add_measured(ngx_http_v2m_measured_t       *sum,
                                  const ngx_http_v2m_measured_t *measured)
{
    ngx_uint_t i, n;

    for (i = 0; i < NGX_HTTP_V2M_COUNTERS; i++) {
        sum->counters[i] += measured->counters[i];
    }

    for (i = 0; i < NGX_HTTP_V2M_ENDPOINTS; i++) {
        for (n = 0; n < NGX_HTTP_V2M_STATUSES; n++) {
            sum->requests[i][n] += measured->requests[i][n];
        }

        v2m_histogram_add(&sum->durations[i], &measured->durations[i]);
    }

    for (i = 0; i < 2; i++) {
        v2m_histogram_add(&sum->waits[i], &measured->waits[i]);
        v2m_histogram_add(&sum->task_runs[i], &measured->task_runs[i]);
    }
}


void
ngx_http_v2m_metrics_sum(ngx_http_v2m_metrics_shared_t *shared,
                         ngx_http_v2m_measured_t *sum, ngx_uint_t *processes)
{
    ngx_uint_t                     i, n;
    const ngx_http_v2m_measured_t *measured;

    *processes = 0;

    for (i = 0; i < shared->used; i++) {
        measured = &shared->measured[i];

        ngx_http_v2m_metrics_add_measured(sum, measured);

        if (ngx_http_v2m_slot_free(&shared->slots[i])) {
            continue;
        }

        (*processes)++;

        for (n = 0; n < NGX_HTTP_V2M_GAUGES; n++) {
            sum->gauges[n] += measured->gauges[n];
        }

        for (n = 0; n < NGX_HTTP_V2M_ENDPOINTS; n++) {
            sum->in_progress[n] += measured->in_progress[n];
        }
    }
}


static ngx_int_t
ngx_http_v2m_metrics_handler(ngx_http_request_t *r)
{
    char                        *text;
    ngx_int_t                    rc;
    ngx_http_v2m_metrics_conf_t *mcf;
    ngx_http_v2m_metrics_zone_t *zone;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return ngx_http_v2m_method_not_allowed(r, "GET, HEAD");
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_metrics_module);
    zone = mcf->zone->data;

    ngx_http_v2m_metrics_ask(&zone->shared->asked, mcf->interval);

    text = ngx_http_v2m_metrics_text(zone->shared);
    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_v2m_send(r, NGX_HTTP_OK, NGX_HTTP_V2M_METRICS_TYPE, text);

    free(text);

    return rc;
}
