/*
 * The metrics as Prometheus reads them.  Labels have few values: none is a
 * user's, a job's or an address.
 */

#include "ngx_http_v2m_metrics_zone.h"

#include <stdlib.h>

#include "v2m_pause.h"

/* A metric's values; without a help they go on with the metric before. */
typedef struct {
    const char *name;
    const char *labels;
    const char *help;
} ngx_http_v2m_metric_t;

#define NGX_HTTP_V2M_REFUSALS "v2m_refusals_total"

static const ngx_http_v2m_metric_t
    ngx_http_v2m_counter_metrics[NGX_HTTP_V2M_COUNTERS] = {
        [NGX_HTTP_V2M_COUNT_UPLOADED] = { "v2m_upload_bytes_total", "",
                                          "Bytes of videos taken." },
        [NGX_HTTP_V2M_COUNT_DOWNLOADED] = { "v2m_download_bytes_total", "",
                                            "Bytes of MP3s sent." },

        [NGX_HTTP_V2M_COUNT_LOGIN_GOOD] = { "v2m_logins_total",
                                            "result=\"good\"",
                                            "Logins, by what became of them." },
        [NGX_HTTP_V2M_COUNT_LOGIN_WRONG] = { "v2m_logins_total",
                                             "result=\"wrong\"", NULL },
        [NGX_HTTP_V2M_COUNT_LOGIN_MISSING] = { "v2m_logins_total",
                                               "result=\"missing\"", NULL },
        [NGX_HTTP_V2M_COUNT_LOGIN_LIMITED] = { "v2m_logins_total",
                                               "result=\"limited\"", NULL },
        [NGX_HTTP_V2M_COUNT_LOGIN_ERROR] = { "v2m_logins_total",
                                             "result=\"error\"", NULL },

        [NGX_HTTP_V2M_COUNT_REFUSED_RATE] = { NGX_HTTP_V2M_REFUSALS,
                                              "reason=\"rate\"",
                                              "Requests answered with 413, "
                                              "429, 503 or 507, by the "
                                              "reason." },
        [NGX_HTTP_V2M_COUNT_REFUSED_LOGINS] = { NGX_HTTP_V2M_REFUSALS,
                                                "reason=\"failed_logins\"",
                                                NULL },
        [NGX_HTTP_V2M_COUNT_REFUSED_JOBS] = { NGX_HTTP_V2M_REFUSALS,
                                              "reason=\"quota_jobs\"", NULL },
        [NGX_HTTP_V2M_COUNT_REFUSED_BYTES] = { NGX_HTTP_V2M_REFUSALS,
                                               "reason=\"quota_bytes\"", NULL },
        [NGX_HTTP_V2M_COUNT_REFUSED_STREAMS] = { NGX_HTTP_V2M_REFUSALS,
                                                 "reason=\"streams\"", NULL },
        [NGX_HTTP_V2M_COUNT_REFUSED_USERS_STREAMS] = { NGX_HTTP_V2M_REFUSALS,
                                                       "reason=\"streams_of_"
                                                       "user\"",
                                                       NULL },
        [NGX_HTTP_V2M_COUNT_REFUSED_SIZE] = { NGX_HTTP_V2M_REFUSALS,
                                              "reason=\"size\"", NULL },
        [NGX_HTTP_V2M_COUNT_REFUSED_POOL] = { NGX_HTTP_V2M_REFUSALS,
                                              "reason=\"pool\"", NULL },
        [NGX_HTTP_V2M_COUNT_REFUSED_BACKEND] = { NGX_HTTP_V2M_REFUSALS,
                                                 "reason=\"backend\"", NULL },
        [NGX_HTTP_V2M_COUNT_REFUSED_FULL] = { NGX_HTTP_V2M_REFUSALS,
                                              "reason=\"store_full\"", NULL },
        [NGX_HTTP_V2M_COUNT_REFUSED_OTHER] = { NGX_HTTP_V2M_REFUSALS,
                                               "reason=\"other\"", NULL },

        [NGX_HTTP_V2M_COUNT_TASKS] = { "v2m_tasks_total", "pool=\"storage\"",
                                       "Tasks that a thread pool has done." },
        [NGX_HTTP_V2M_COUNT_LOGIN_TASKS] = { "v2m_tasks_total",
                                             "pool=\"login\"", NULL },
        [NGX_HTTP_V2M_COUNT_OVERFLOWS] = { "v2m_task_overflows_total",
                                           "pool=\"storage\"",
                                           "Tasks that found the queue of "
                                           "their pool full." },
        [NGX_HTTP_V2M_COUNT_LOGIN_OVERFLOWS] = { "v2m_task_overflows_total",
                                                 "pool=\"login\"", NULL },
        [NGX_HTTP_V2M_COUNT_UNAVAILABLE] = { "v2m_task_errors_total",
                                             "pool=\"storage\",error="
                                             "\"unavailable\"",
                                             "Tasks that failed: the backend "
                                             "was away or full, a stored file "
                                             "was "
                                             "damaged, or it was our own "
                                             "fault." },
        [NGX_HTTP_V2M_COUNT_FULL] = { "v2m_task_errors_total",
                                      "pool=\"storage\",error=\"full\"", NULL },
        [NGX_HTTP_V2M_COUNT_CORRUPT] = { "v2m_task_errors_total",
                                         "pool=\"storage\",error=\"corrupt\"",
                                         NULL },
        [NGX_HTTP_V2M_COUNT_ERROR] = { "v2m_task_errors_total",
                                       "pool=\"storage\",error=\"internal\"",
                                       NULL },
        [NGX_HTTP_V2M_COUNT_LOGIN_UNAVAILABLE] = { "v2m_task_errors_total",
                                                   "pool=\"login\",error="
                                                   "\"unavailable\"",
                                                   NULL },
        [NGX_HTTP_V2M_COUNT_LOGIN_FULL] = { "v2m_task_errors_total",
                                            "pool=\"login\",error=\"full\"",
                                            NULL },
        [NGX_HTTP_V2M_COUNT_LOGIN_CORRUPT] = { "v2m_task_errors_total",
                                               "pool=\"login\",error="
                                               "\"corrupt\"",
                                               NULL },
        [NGX_HTTP_V2M_COUNT_LOGIN_ERRORS] = { "v2m_task_errors_total",
                                              "pool=\"login\",error="
                                              "\"internal\"",
                                              NULL },

        [NGX_HTTP_V2M_COUNT_CONFIRMED] = { "v2m_publishes_total",
                                           "result=\"confirmed\"",
                                           "Messages for the broker; but for "
                                           "the confirmed ones the sweep sends "
                                           "them anew." },
        [NGX_HTTP_V2M_COUNT_NACKED] = { "v2m_publishes_total",
                                        "result=\"nacked\"", NULL },
        [NGX_HTTP_V2M_COUNT_RETURNED] = { "v2m_publishes_total",
                                          "result=\"returned\"", NULL },
        [NGX_HTTP_V2M_COUNT_EXPIRED] = { "v2m_publishes_total",
                                         "result=\"expired\"", NULL },
        [NGX_HTTP_V2M_COUNT_LOST] = { "v2m_publishes_total", "result=\"lost\"",
                                      NULL },
        [NGX_HTTP_V2M_COUNT_UNSENT] = { "v2m_publishes_total",
                                        "result=\"unsent\"", NULL },
        [NGX_HTTP_V2M_COUNT_CONNECTS] = { "v2m_publisher_connects_total", "",
                                          "Connections made to the broker." },
    };

static const ngx_http_v2m_metric_t
    ngx_http_v2m_gauge_metrics[NGX_HTTP_V2M_GAUGES] = {
        [NGX_HTTP_V2M_GAUGE_QUEUED] = { "v2m_tasks_queued", "pool=\"storage\"",
                                        "Tasks that wait for a thread of their "
                                        "pool." },
        [NGX_HTTP_V2M_GAUGE_LOGIN_QUEUED] = { "v2m_tasks_queued",
                                              "pool=\"login\"", NULL },
        [NGX_HTTP_V2M_GAUGE_RUNNING] = { "v2m_tasks_running",
                                         "pool=\"storage\"",
                                         "Tasks that a thread of their pool is "
                                         "at." },
        [NGX_HTTP_V2M_GAUGE_LOGIN_RUNNING] = { "v2m_tasks_running",
                                               "pool=\"login\"", NULL },
        [NGX_HTTP_V2M_GAUGE_PUBLISHING] = { "v2m_publishes_in_flight", "",
                                            "Messages that wait for the "
                                            "broker's confirm." },
        [NGX_HTTP_V2M_GAUGE_CONNECTED] = { "v2m_publishers_connected", "",
                                           "Worker processes that are "
                                           "connected to the broker." },
        [NGX_HTTP_V2M_GAUGE_BLOCKED] = { "v2m_publishers_blocked", "",
                                         "Worker processes that the broker "
                                         "takes no messages of." },
    };


static void
ngx_http_v2m_text_values(FILE *file, const char *type,
                         const ngx_http_v2m_metric_t *metrics,
                         const _Atomic int64_t *values, ngx_uint_t count)
{
    ngx_uint_t i;

    for (i = 0; i < count; i++) {
        if (metrics[i].help != NULL) {
            v2m_prometheus_metric(file, metrics[i].name, type, metrics[i].help);
        }

        v2m_prometheus_value(file, metrics[i].name, metrics[i].labels,
                             values[i]);
    }
}


/* Of the codes only those that were ever answered with. */
static void
ngx_http_v2m_text_codes(FILE *file, const char *endpoint,
                        const _Atomic int64_t *requests)
{
    char       labels[128];
    ngx_uint_t i, status;

    for (i = 0; i < NGX_HTTP_V2M_STATUSES; i++) {
        if (requests[i] == 0) {
            continue;
        }

        status = ngx_http_v2m_metrics_status(i);

        if (status == 0) {
            snprintf(labels, sizeof(labels), "endpoint=\"%s\",code=\"other\"",
                     endpoint);
        } else {
            snprintf(labels, sizeof(labels), "endpoint=\"%s\",code=\"%u\"",
                     endpoint, (unsigned) status);
        }

        v2m_prometheus_value(file, "v2m_http_requests_total", labels,
                             requests[i]);
    }
}


static void
ngx_http_v2m_text_requests(FILE *file, const ngx_http_v2m_measured_t *sum)
{
    char        labels[64];
    ngx_uint_t  i;
    const char *name;

    v2m_prometheus_metric(file, "v2m_http_requests_total", "counter",
                          "Requests that have ended, by the endpoint's "
                          "directive and the status.");

    for (i = 0; i < NGX_HTTP_V2M_ENDPOINTS; i++) {
        name = ngx_http_v2m_metrics_endpoint_name(i);

        if (name != NULL) {
            ngx_http_v2m_text_codes(file, name, sum->requests[i]);
        }
    }

    v2m_prometheus_metric(file, "v2m_http_requests_in_progress", "gauge",
                          "Requests that have not ended: uploads, downloads, "
                          "streams of events and so on.");

    for (i = 1; i < NGX_HTTP_V2M_ENDPOINTS; i++) {
        name = ngx_http_v2m_metrics_endpoint_name(i);

        if (name != NULL) {
            snprintf(labels, sizeof(labels), "endpoint=\"%s\"", name);
            v2m_prometheus_value(file, "v2m_http_requests_in_progress", labels,
                                 sum->in_progress[i]);
        }
    }

    v2m_prometheus_metric(file, "v2m_http_request_duration_seconds",
                          "histogram",
                          "How long requests took, from their first byte to "
                          "the last of the answer.");

    for (i = 0; i < NGX_HTTP_V2M_ENDPOINTS; i++) {
        name = ngx_http_v2m_metrics_endpoint_name(i);

        if (name != NULL && v2m_histogram_count(&sum->durations[i]) > 0) {
            snprintf(labels, sizeof(labels), "endpoint=\"%s\"", name);
            v2m_prometheus_histogram(file, "v2m_http_request_duration_seconds",
                                     labels, &sum->durations[i]);
        }
    }
}


static void
ngx_http_v2m_text_tasks(FILE *file, const char *name, const char *help,
                        const v2m_histogram_t pools[2])
{
    v2m_prometheus_metric(file, name, "histogram", help);
    v2m_prometheus_histogram(file, name, "pool=\"storage\"", &pools[0]);
    v2m_prometheus_histogram(file, name, "pool=\"login\"", &pools[1]);
}


/* How long ago that was. */
static void
ngx_http_v2m_text_age(FILE *file, const char *name, int64_t then_ms)
{
    int64_t age;

    age = v2m_clock_ms() - then_ms;

    v2m_prometheus_metric(file, name, "gauge",
                          "How old the numbers above are.");
    v2m_prometheus_seconds(file, name, "", ngx_max(age, 0) * 1000);
}


static void
ngx_http_v2m_text_jobs(FILE *file, const ngx_http_v2m_asked_t *asked)
{
    char       labels[64];
    int64_t    since, age;
    ngx_uint_t i;

    if (asked->jobs_ms == 0) {
        return;
    }

    v2m_prometheus_metric(file, "v2m_stored_jobs", "gauge",
                          "Jobs in the store, by their state.");

    for (i = 0; i < V2M_JOB_STATES; i++) {
        snprintf(labels, sizeof(labels), "state=\"%s\"",
                 v2m_job_state_name((v2m_job_state_t) i));
        v2m_prometheus_value(file, "v2m_stored_jobs", labels, asked->jobs[i]);
    }

    since = asked->queued_ms;
    age = since == 0 ? 0 : v2m_wall_ms() - since;

    v2m_prometheus_metric(file, "v2m_stored_jobs_queued_seconds", "gauge",
                          "How long the job that is queued for longest is; 0 "
                          "when none is.");
    v2m_prometheus_seconds(file, "v2m_stored_jobs_queued_seconds", "",
                           ngx_max(age, 0) * 1000);

    ngx_http_v2m_text_age(file, "v2m_stored_jobs_age_seconds", asked->jobs_ms);
}


static void
ngx_http_v2m_text_queues(FILE *file, const ngx_http_v2m_asked_t *asked)
{
    char       labels[64];
    int64_t    messages;
    ngx_uint_t i;

    static const char *const names[NGX_HTTP_V2M_QUEUES] = { "video", "mp3",
                                                            "video.dead",
                                                            "mp3.dead" };

    if (asked->queues_ms == 0) {
        return;
    }

    v2m_prometheus_metric(file, "v2m_queue_messages", "gauge",
                          "Messages that wait in a queue for a worker; of "
                          "those ending in dead, for an operator.");

    for (i = 0; i < NGX_HTTP_V2M_QUEUES; i++) {
        messages = asked->queues[i];

        if (messages >= 0) {
            snprintf(labels, sizeof(labels), "queue=\"%s\"", names[i]);
            v2m_prometheus_value(file, "v2m_queue_messages", labels, messages);
        }
    }

    ngx_http_v2m_text_age(file, "v2m_queue_messages_age_seconds",
                          asked->queues_ms);
}


static void
ngx_http_v2m_text_nginx(FILE *file, ngx_uint_t processes)
{
    v2m_prometheus_metric(file, "v2m_worker_processes", "gauge",
                          "nginx's worker processes, those that shut down as "
                          "well.");
    v2m_prometheus_value(file, "v2m_worker_processes", "", processes);

#if (NGX_STAT_STUB)

    v2m_prometheus_metric(file, "v2m_connections", "gauge",
                          "Connections of clients, by what they are at.");
    v2m_prometheus_value(file, "v2m_connections", "state=\"reading\"",
                         *ngx_stat_reading);
    v2m_prometheus_value(file, "v2m_connections", "state=\"writing\"",
                         *ngx_stat_writing);
    v2m_prometheus_value(file, "v2m_connections", "state=\"waiting\"",
                         *ngx_stat_waiting);

    v2m_prometheus_metric(file, "v2m_connections_accepted_total", "counter",
                          "Connections of clients accepted.");
    v2m_prometheus_value(file, "v2m_connections_accepted_total", "",
                         *ngx_stat_accepted);

    v2m_prometheus_metric(file, "v2m_connections_dropped_total", "counter",
                          "Connections that were accepted, but not served, as "
                          "there were too many.");
    v2m_prometheus_value(file, "v2m_connections_dropped_total", "",
                         *ngx_stat_accepted - *ngx_stat_handled);

#endif
}


char *
ngx_http_v2m_metrics_text(ngx_http_v2m_metrics_shared_t *shared)
{
    char                    *text;
    FILE                    *file;
    size_t                   length;
    ngx_uint_t               processes;
    ngx_http_v2m_measured_t *sum;

    sum = calloc(1, sizeof(ngx_http_v2m_measured_t));
    if (sum == NULL) {
        return NULL;
    }

    file = open_memstream(&text, &length);
    if (file == NULL) {
        free(sum);
        return NULL;
    }

    ngx_http_v2m_metrics_sum(shared, sum, &processes);

    ngx_http_v2m_text_requests(file, sum);
    ngx_http_v2m_text_values(file, "counter", ngx_http_v2m_counter_metrics,
                             sum->counters, NGX_HTTP_V2M_COUNTERS);
    ngx_http_v2m_text_values(file, "gauge", ngx_http_v2m_gauge_metrics,
                             sum->gauges, NGX_HTTP_V2M_GAUGES);
    ngx_http_v2m_text_tasks(file, "v2m_task_wait_seconds",
                            "How long tasks waited for a thread.", sum->waits);
    ngx_http_v2m_text_tasks(file, "v2m_task_duration_seconds",
                            "How long tasks took in their thread.",
                            sum->task_runs);
    ngx_http_v2m_text_jobs(file, &shared->asked);
    ngx_http_v2m_text_queues(file, &shared->asked);
    ngx_http_v2m_text_nginx(file, processes);

    free(sum);

    if (fclose(file) != 0) {
        free(text);
        return NULL;
    }

    return text;
}
