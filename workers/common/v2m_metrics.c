#include "v2m_metrics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "v2m_pause.h"
#include "v2m_prometheus.h"

/* Neighbours with one name are one metric. */
typedef struct {
    const char *name;
    const char *labels;
    const char *help;
} v2m_metric_t;

static const v2m_metric_t v2m_metrics_counters[V2M_METRICS_COUNTERS] = {
    [V2M_METRICS_READY] = { "v2m_jobs_total", "result=\"ready\"",
                            "Jobs brought to their end." },
    [V2M_METRICS_FAILED] = { "v2m_jobs_total", "result=\"failed\"", NULL },
    [V2M_METRICS_FAILED_FILE] = { "v2m_jobs_failed_total", "reason=\"file\"",
                                  "Jobs that failed, by the kind of reason." },
    [V2M_METRICS_FAILED_LIMIT] = { "v2m_jobs_failed_total", "reason=\"limit\"",
                                   NULL },
    [V2M_METRICS_FAILED_CRASH] = { "v2m_jobs_failed_total", "reason=\"crash\"",
                                   NULL },
    [V2M_METRICS_FAILED_VIDEO] = { "v2m_jobs_failed_total", "reason=\"video\"",
                                   NULL },
    [V2M_METRICS_FAILED_ATTEMPTS] = { "v2m_jobs_failed_total",
                                      "reason=\"attempts\"", NULL },
    [V2M_METRICS_SENT] = { "v2m_mails_total", "result=\"sent\"",
                           "Mails, by what became of them." },
    [V2M_METRICS_REFUSED] = { "v2m_mails_total", "result=\"failed\"", NULL },
    [V2M_METRICS_PUT_OFF] = { "v2m_mails_total", "result=\"put_off\"", NULL },
    [V2M_METRICS_HOOK_SENT] = { "v2m_webhooks_total", "result=\"sent\"",
                                "Webhooks, by what became of them." },
    [V2M_METRICS_HOOK_REFUSED] = { "v2m_webhooks_total", "result=\"failed\"",
                                   NULL },
    [V2M_METRICS_HOOK_PUT_OFF] = { "v2m_webhooks_total", "result=\"put_off\"",
                                   NULL },
    [V2M_METRICS_ACCOUNT_SENT] = { "v2m_account_mails_total", "result=\"sent\"",
                                   "Mails about accounts, by what became of "
                                   "them." },
    [V2M_METRICS_ACCOUNT_REFUSED] = { "v2m_account_mails_total",
                                      "result=\"failed\"", NULL },
    [V2M_METRICS_ACCOUNT_PUT_OFF] = { "v2m_account_mails_total",
                                      "result=\"put_off\"", NULL },
    [V2M_METRICS_ATTEMPTS] = { "v2m_attempts_total", "",
                               "Messages given to a handler." },
    [V2M_METRICS_REPEATED] = { "v2m_attempts_repeated_total", "",
                               "Of these, such that came before." },
    [V2M_METRICS_DONE] = { "v2m_deliveries_total", "outcome=\"done\"",
                           "Deliveries, by how they were settled." },
    [V2M_METRICS_GIVEN_BACK] = { "v2m_deliveries_total",
                                 "outcome=\"given_back\"", NULL },
    [V2M_METRICS_DEAD] = { "v2m_deliveries_total", "outcome=\"dead\"", NULL },
};

static const v2m_metric_t v2m_metrics_gauges[V2M_METRICS_GAUGES] = {
    [V2M_METRICS_IN_HAND] = { "v2m_deliveries_in_flight", "",
                              "Deliveries that are not settled." },
    [V2M_METRICS_HELD] = { "v2m_deliveries_held", "",
                           "Of these, such that wait for another attempt." },
    [V2M_METRICS_HANDLERS] = { "v2m_handlers", "",
                               "Threads that handle messages." },
    [V2M_METRICS_BUSY] = { "v2m_handlers_busy", "",
                           "Of these, such that are at a message." },
    [V2M_METRICS_CONNECTED] = { "v2m_broker_consuming", "",
                                "Whether messages come from the broker." },
    [V2M_METRICS_BLOCKED] = { "v2m_broker_blocked", "",
                              "Whether the broker takes no messages." },
};

static const v2m_metric_t v2m_metrics_phases[V2M_METRICS_PHASES] = {
    [V2M_METRICS_QUEUE] = { "v2m_queue_duration_seconds", "",
                            "From the publishing of a message to its first "
                            "arrival here." },
    [V2M_METRICS_HANDLING] = { "v2m_handler_duration_seconds", "",
                               "How long a message was handled." },
    [V2M_METRICS_CONVERTING] = { "v2m_conversion_duration_seconds", "",
                                 "How long it took to make an MP3 and to "
                                 "commit it." },
    [V2M_METRICS_FETCHING] = { "v2m_conversion_phase_duration_seconds",
                               "phase=\"fetch\"",
                               "Of that, waiting for the video, waiting for "
                               "the transcoder, and writing the MP3." },
    [V2M_METRICS_ENCODING] = { "v2m_conversion_phase_duration_seconds",
                               "phase=\"encode\"", NULL },
    [V2M_METRICS_STORING] = { "v2m_conversion_phase_duration_seconds",
                              "phase=\"store\"", NULL },
    [V2M_METRICS_HOOKING] = { "v2m_webhook_duration_seconds", "",
                              "How long a call of a webhook took, whatever "
                              "its answer was." },
    [V2M_METRICS_MAILING] = { "v2m_mail_duration_seconds", "",
                              "How long it took to give a mail to the mail "
                              "server, whatever that said." },
};

static _Atomic int64_t v2m_metrics_counts[V2M_METRICS_COUNTERS];
static _Atomic int64_t v2m_metrics_values[V2M_METRICS_GAUGES];
static v2m_histogram_t v2m_metrics_durations[V2M_METRICS_PHASES];
static _Atomic int64_t v2m_metrics_alive_ms;


void
v2m_metrics_count(v2m_metrics_counter_t counter)
{
    atomic_fetch_add(&v2m_metrics_counts[counter], 1);
}


void
v2m_metrics_set(v2m_metrics_gauge_t gauge, int64_t value)
{
    atomic_store(&v2m_metrics_values[gauge], value);
}


int64_t
v2m_metrics_get(v2m_metrics_gauge_t gauge)
{
    return atomic_load(&v2m_metrics_values[gauge]);
}


void
v2m_metrics_took(v2m_metrics_phase_t phase, int64_t us)
{
    v2m_histogram_observe(&v2m_metrics_durations[phase], us);
}


void
v2m_metrics_alive(void)
{
    atomic_store(&v2m_metrics_alive_ms, v2m_clock_ms());
}


int64_t
v2m_metrics_silence_ms(void)
{
    return v2m_clock_ms() - atomic_load(&v2m_metrics_alive_ms);
}


static void
v2m_metrics_begin(FILE *file, const v2m_metric_t *metric, const char *type)
{
    if (metric->help != NULL) {
        v2m_prometheus_metric(file, metric->name, type, metric->help);
    }
}


static void
v2m_metrics_write(FILE *file)
{
    int                 i;
    const v2m_metric_t *metric;

    for (i = 0; i < V2M_METRICS_COUNTERS; i++) {
        metric = &v2m_metrics_counters[i];
        v2m_metrics_begin(file, metric, "counter");
        v2m_prometheus_value(file, metric->name, metric->labels,
                             atomic_load(&v2m_metrics_counts[i]));
    }

    for (i = 0; i < V2M_METRICS_GAUGES; i++) {
        metric = &v2m_metrics_gauges[i];
        v2m_metrics_begin(file, metric, "gauge");
        v2m_prometheus_value(file, metric->name, metric->labels,
                             atomic_load(&v2m_metrics_values[i]));
    }

    for (i = 0; i < V2M_METRICS_PHASES; i++) {
        metric = &v2m_metrics_phases[i];
        v2m_metrics_begin(file, metric, "histogram");
        v2m_prometheus_histogram(file, metric->name, metric->labels,
                                 &v2m_metrics_durations[i]);
    }
}


char *
v2m_metrics_text(void)
{
    char  *text;
    FILE  *file;
    size_t length;

    file = open_memstream(&text, &length);
    if (file == NULL) {
        return NULL;
    }

    v2m_metrics_write(file);

    if (fclose(file) != 0) {
        free(text);
        return NULL;
    }

    return text;
}
