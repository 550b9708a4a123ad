/*
 * What the gateway counts: ngx_http_v2m_metrics_module, with the directive
 * v2m_metrics.
 *
 * Each worker process counts in a place of its own in memory that all of them
 * share, so that nothing is ever waited for, and the numbers survive reloads
 * and the death of a process.  Without the directive everything is counted into
 * the void.  Any thread, unless it says otherwise; nothing blocks.
 */

#ifndef NGX_HTTP_V2M_METRICS_H
#define NGX_HTTP_V2M_METRICS_H

#include "ngx_http_v2m_module.h"

/* What only grows.  Neighbours that are one metric stay together. */
typedef enum {
    NGX_HTTP_V2M_COUNT_UPLOADED,   /* bytes of videos taken */
    NGX_HTTP_V2M_COUNT_DOWNLOADED, /* bytes of MP3s sent */

    NGX_HTTP_V2M_COUNT_LOGIN_GOOD,
    NGX_HTTP_V2M_COUNT_LOGIN_WRONG,
    NGX_HTTP_V2M_COUNT_LOGIN_MISSING, /* credentials */
    NGX_HTTP_V2M_COUNT_LOGIN_LIMITED, /* v2m_login_limit */
    NGX_HTTP_V2M_COUNT_LOGIN_ERROR,   /* neither right nor wrong */

    /* requests that were refused by a limit, see ngx_http_v2m_over_limit() */
    NGX_HTTP_V2M_COUNT_REFUSED_RATE, /* limit_req and limit_conn */
    NGX_HTTP_V2M_COUNT_REFUSED_LOGINS,
    NGX_HTTP_V2M_COUNT_REFUSED_JOBS,
    NGX_HTTP_V2M_COUNT_REFUSED_BYTES,
    NGX_HTTP_V2M_COUNT_REFUSED_STREAMS,
    NGX_HTTP_V2M_COUNT_REFUSED_USERS_STREAMS,
    NGX_HTTP_V2M_COUNT_REFUSED_SIZE,
    NGX_HTTP_V2M_COUNT_REFUSED_POOL,
    NGX_HTTP_V2M_COUNT_REFUSED_BACKEND,
    NGX_HTTP_V2M_COUNT_REFUSED_FULL,
    NGX_HTTP_V2M_COUNT_REFUSED_OTHER,

    /* those of the storage pool, then those of the login pool */
    NGX_HTTP_V2M_COUNT_TASKS,
    NGX_HTTP_V2M_COUNT_LOGIN_TASKS,
    NGX_HTTP_V2M_COUNT_OVERFLOWS,
    NGX_HTTP_V2M_COUNT_LOGIN_OVERFLOWS,
    NGX_HTTP_V2M_COUNT_UNAVAILABLE,
    NGX_HTTP_V2M_COUNT_FULL,
    NGX_HTTP_V2M_COUNT_CORRUPT,
    NGX_HTTP_V2M_COUNT_ERROR,
    NGX_HTTP_V2M_COUNT_LOGIN_UNAVAILABLE,
    NGX_HTTP_V2M_COUNT_LOGIN_FULL,
    NGX_HTTP_V2M_COUNT_LOGIN_CORRUPT,
    NGX_HTTP_V2M_COUNT_LOGIN_ERRORS,

    /* in the order of v2m_publisher_event_t */
    NGX_HTTP_V2M_COUNT_CONFIRMED,
    NGX_HTTP_V2M_COUNT_NACKED,
    NGX_HTTP_V2M_COUNT_RETURNED,
    NGX_HTTP_V2M_COUNT_EXPIRED,
    NGX_HTTP_V2M_COUNT_LOST,
    NGX_HTTP_V2M_COUNT_UNSENT, /* not even taken by the publisher */
    NGX_HTTP_V2M_COUNT_CONNECTS,

    NGX_HTTP_V2M_COUNTERS
} ngx_http_v2m_counter_t;

/* What goes up and down, of the living processes. */
typedef enum {
    NGX_HTTP_V2M_GAUGE_QUEUED, /* storage, then login */
    NGX_HTTP_V2M_GAUGE_LOGIN_QUEUED,
    NGX_HTTP_V2M_GAUGE_RUNNING,
    NGX_HTTP_V2M_GAUGE_LOGIN_RUNNING,
    NGX_HTTP_V2M_GAUGE_PUBLISHING, /* messages that wait for their confirm */
    NGX_HTTP_V2M_GAUGE_CONNECTED,  /* to the broker */
    NGX_HTTP_V2M_GAUGE_BLOCKED,    /* by the broker */

    NGX_HTTP_V2M_GAUGES
} ngx_http_v2m_gauge_t;

/* To be called in each worker process before anything is counted. */
void ngx_http_v2m_metrics_start(ngx_cycle_t *cycle);

void ngx_http_v2m_count(ngx_http_v2m_counter_t counter, int64_t number);
void ngx_http_v2m_gauge(ngx_http_v2m_gauge_t gauge, int64_t change);

/*
 * The number that stands for an endpoint directive in all that is counted by
 * endpoint; 0 is what has none.  To be called when the configuration is read.
 */
ngx_uint_t ngx_http_v2m_metrics_endpoint(const ngx_str_t *directive);

/* What the broker said of the queues that the metrics asked about. */
void ngx_http_v2m_metrics_depths(const int64_t *messages);

/* The request is in progress at its endpoint from now on, until it is logged.
 * For the event loop. */
void ngx_http_v2m_metrics_begin(ngx_http_request_t *r, ngx_uint_t endpoint);

/* Counts what was sent of a download's body since it was last called.  For the
 * event loop. */
void ngx_http_v2m_metrics_sent(ngx_http_request_t *r);

/* A task on its way through a thread pool. */
typedef struct {
    ngx_uint_t login; /* the pool is the login's */
    int64_t    since_us;
} ngx_http_v2m_task_meter_t;

/* It is about to be posted, or it was, but the pool's queue is full.  For the
 * event loop. */
void ngx_http_v2m_meter_post(ngx_http_v2m_task_meter_t *meter,
                             const ngx_thread_pool_t   *pool);
void ngx_http_v2m_meter_overflow(ngx_http_v2m_task_meter_t *meter);

/* On the pool's thread: it begins, and it ended with a V2M_* code. */
void ngx_http_v2m_meter_begin(ngx_http_v2m_task_meter_t *meter);
void ngx_http_v2m_meter_end(ngx_http_v2m_task_meter_t *meter, int rc);

#endif /* NGX_HTTP_V2M_METRICS_H */
