/*
 * The memory in which the worker processes count, as the files of the metrics
 * see it: ngx_http_v2m_metrics.c fills it, ngx_http_v2m_metrics_text.c tells
 * what is in it.
 */

#ifndef NGX_HTTP_V2M_METRICS_ZONE_H
#define NGX_HTTP_V2M_METRICS_ZONE_H

#include "ngx_http_v2m_metrics.h"
#include "v2m_jobs_count.h"
#include "v2m_prometheus.h"

/* Endpoint directives, and requests of none of them as number 0. */
#define NGX_HTTP_V2M_ENDPOINTS 32

/* Status codes told apart; the last number is for all others. */
#define NGX_HTTP_V2M_STATUSES 40

/* Processes, of several generations while reloads go on; more of them share
 * places. */
#define NGX_HTTP_V2M_SLOTS 256

/* What one process counts. */
typedef struct {
    _Atomic int64_t counters[NGX_HTTP_V2M_COUNTERS];
    _Atomic int64_t requests[NGX_HTTP_V2M_ENDPOINTS][NGX_HTTP_V2M_STATUSES];
    v2m_histogram_t durations[NGX_HTTP_V2M_ENDPOINTS];
    v2m_histogram_t waits[2];     /* of tasks for a thread: storage, login */
    v2m_histogram_t task_runs[2]; /* likewise, in the thread */

    /* of this process alone: they begin with 0 when another gets the place */
    _Atomic int64_t gauges[NGX_HTTP_V2M_GAUGES];
    _Atomic int64_t in_progress[NGX_HTTP_V2M_ENDPOINTS];
} ngx_http_v2m_measured_t;

/* The queues and those of their dead letters. */
#define NGX_HTTP_V2M_QUEUES 4

/* What is asked of the backends now and then.  Times are of v2m_clock_ms(), 0:
 * never yet. */
typedef struct {
    _Atomic int64_t due_ms; /* before this nobody asks */
    _Atomic int64_t jobs_ms;
    _Atomic int64_t jobs[V2M_JOB_STATES];
    _Atomic int64_t queued_ms; /* see v2m_jobs_count_t */
    _Atomic int64_t queues_ms;
    _Atomic int64_t queues[NGX_HTTP_V2M_QUEUES]; /* -1: there is no such */
} ngx_http_v2m_asked_t;

/* Whose place it is; under the zone's lock. */
typedef struct {
    ngx_pid_t  pid; /* 0: nobody's yet */
    ngx_uint_t worker;
    ngx_uint_t generation;
} ngx_http_v2m_slot_t;

typedef struct {
    ngx_http_v2m_asked_t    asked;
    ngx_uint_t              generation; /* of the configuration */
    ngx_uint_t              used;       /* the first of the places were */
    ngx_http_v2m_slot_t     slots[NGX_HTTP_V2M_SLOTS];
    ngx_http_v2m_measured_t measured[NGX_HTTP_V2M_SLOTS];
} ngx_http_v2m_metrics_shared_t;

/* The name of an endpoint by its number, NULL: there is none of that number. */
const char *ngx_http_v2m_metrics_endpoint_name(ngx_uint_t number);

/* The status that a number stands for, 0: all others. */
ngx_uint_t ngx_http_v2m_metrics_status(ngx_uint_t number);

/* Adds up what all processes counted; *processes is how many live. */
void ngx_http_v2m_metrics_sum(ngx_http_v2m_metrics_shared_t *shared,
                              ngx_http_v2m_measured_t       *sum,
                              ngx_uint_t                    *processes);

/* Asks the backends anew, in the background, if it is time for that. */
void ngx_http_v2m_metrics_ask(ngx_http_v2m_asked_t *asked, ngx_msec_t interval);

/* All of it as text, malloc'ed; NULL: out of memory. */
char *ngx_http_v2m_metrics_text(ngx_http_v2m_metrics_shared_t *shared);

#endif /* NGX_HTTP_V2M_METRICS_ZONE_H */
