#include "v2m_metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "v2m_pause.h"

#define V2M_METRICS_BUCKETS 12

/* upper bounds, in ms; whatever is longer is in the sum alone */
static const int64_t v2m_metrics_bounds[V2M_METRICS_BUCKETS] = {
    10, 50, 100, 500, 1000, 5000, 10000, 30000, 60000, 300000, 1800000, 7200000
};

static const char *const v2m_metrics_phases[V2M_METRICS_PHASES] = {
    [V2M_METRICS_HANDLING] = "handle",   [V2M_METRICS_CONVERTING] = "convert",
    [V2M_METRICS_COMMITTING] = "commit", [V2M_METRICS_MAILING] = "mail",
    [V2M_METRICS_HOOKING] = "webhook",
};

/* Neighbours with one name are one metric. */
static const struct {
    const char *name;
    const char *label;
    const char *help;
} v2m_metrics_counters[V2M_METRICS_COUNTERS] = {
    [V2M_METRICS_READY] = { "v2m_jobs_total", "{result=\"ready\"}",
                            "Jobs brought to their end." },
    [V2M_METRICS_FAILED] = { "v2m_jobs_total", "{result=\"failed\"}", NULL },
    [V2M_METRICS_SENT] = { "v2m_mails_total", "{result=\"sent\"}",
                           "Mails, by what became of them." },
    [V2M_METRICS_REFUSED] = { "v2m_mails_total", "{result=\"failed\"}", NULL },
    [V2M_METRICS_PUT_OFF] = { "v2m_mails_total", "{result=\"put_off\"}", NULL },
    [V2M_METRICS_HOOK_SENT] = { "v2m_webhooks_total", "{result=\"sent\"}",
                                "Webhooks, by what became of them." },
    [V2M_METRICS_HOOK_REFUSED] = { "v2m_webhooks_total", "{result=\"failed\"}",
                                   NULL },
    [V2M_METRICS_HOOK_PUT_OFF] = { "v2m_webhooks_total", "{result=\"put_off\"}",
                                   NULL },
    [V2M_METRICS_ATTEMPTS] = { "v2m_attempts_total", "",
                               "Messages given to a handler." },
    [V2M_METRICS_REPEATED] = { "v2m_attempts_repeated_total", "",
                               "Of these, such that came before." },
    [V2M_METRICS_DONE] = { "v2m_deliveries_total", "{outcome=\"done\"}",
                           "Deliveries, by how they were settled." },
    [V2M_METRICS_GIVEN_BACK] = { "v2m_deliveries_total",
                                 "{outcome=\"given_back\"}", NULL },
    [V2M_METRICS_DEAD] = { "v2m_deliveries_total", "{outcome=\"dead\"}", NULL },
};

static const struct {
    const char *name;
    const char *help;
} v2m_metrics_gauges[V2M_METRICS_GAUGES] = {
    [V2M_METRICS_IN_HAND] = { "v2m_deliveries_in_flight",
                              "Deliveries that are not settled." },
    [V2M_METRICS_HELD] = { "v2m_deliveries_held",
                           "Of these, such that wait for another attempt." },
    [V2M_METRICS_CONNECTED] = { "v2m_broker_consuming",
                                "Whether messages come from the broker." },
    [V2M_METRICS_BLOCKED] = { "v2m_broker_blocked",
                              "Whether the broker takes no messages." },
};

typedef struct {
    _Atomic int64_t buckets[V2M_METRICS_BUCKETS];
    _Atomic int64_t count;
    _Atomic int64_t sum_ms;
} v2m_metrics_histogram_t;

static _Atomic int64_t         v2m_metrics_counts[V2M_METRICS_COUNTERS];
static _Atomic int64_t         v2m_metrics_values[V2M_METRICS_GAUGES];
static v2m_metrics_histogram_t v2m_metrics_took_ms[V2M_METRICS_PHASES];
static _Atomic int64_t         v2m_metrics_alive_ms;


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
v2m_metrics_took(v2m_metrics_phase_t phase, int64_t milliseconds)
{
    int                      i;
    v2m_metrics_histogram_t *histogram;

    histogram = &v2m_metrics_took_ms[phase];

    for (i = 0; i < V2M_METRICS_BUCKETS; i++) {
        if (milliseconds <= v2m_metrics_bounds[i]) {
            atomic_fetch_add(&histogram->buckets[i], 1);
            break;
        }
    }

    atomic_fetch_add(&histogram->count, 1);
    atomic_fetch_add(&histogram->sum_ms, milliseconds);
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
v2m_metrics_print_histogram(FILE *file, v2m_metrics_phase_t phase)
{
    int                      i;
    int64_t                  sum;
    v2m_metrics_histogram_t *histogram;

    histogram = &v2m_metrics_took_ms[phase];

    for (i = 0, sum = 0; i < V2M_METRICS_BUCKETS; i++) {
        sum += atomic_load(&histogram->buckets[i]);
        fprintf(file,
                "v2m_duration_seconds_bucket{phase=\"%s\",le=\"%g\"} %" PRId64
                "\n",
                v2m_metrics_phases[phase],
                (double) v2m_metrics_bounds[i] / 1000, sum);
    }

    fprintf(file,
            "v2m_duration_seconds_bucket{phase=\"%s\",le=\"+Inf\"} %" PRId64
            "\n"
            "v2m_duration_seconds_sum{phase=\"%s\"} %.3f\n"
            "v2m_duration_seconds_count{phase=\"%s\"} %" PRId64 "\n",
            v2m_metrics_phases[phase], atomic_load(&histogram->count),
            v2m_metrics_phases[phase],
            (double) atomic_load(&histogram->sum_ms) / 1000,
            v2m_metrics_phases[phase], atomic_load(&histogram->count));
}


char *
v2m_metrics_text(void)
{
    int    i;
    char  *text;
    FILE  *file;
    size_t length;

    file = open_memstream(&text, &length);
    if (file == NULL) {
        return NULL;
    }

    for (i = 0; i < V2M_METRICS_COUNTERS; i++) {
        if (v2m_metrics_counters[i].help != NULL) {
            fprintf(file, "# HELP %s %s\n# TYPE %s counter\n",
                    v2m_metrics_counters[i].name, v2m_metrics_counters[i].help,
                    v2m_metrics_counters[i].name);
        }

        fprintf(file, "%s%s %" PRId64 "\n", v2m_metrics_counters[i].name,
                v2m_metrics_counters[i].label,
                atomic_load(&v2m_metrics_counts[i]));
    }

    for (i = 0; i < V2M_METRICS_GAUGES; i++) {
        fprintf(file, "# HELP %s %s\n# TYPE %s gauge\n%s %" PRId64 "\n",
                v2m_metrics_gauges[i].name, v2m_metrics_gauges[i].help,
                v2m_metrics_gauges[i].name, v2m_metrics_gauges[i].name,
                atomic_load(&v2m_metrics_values[i]));
    }

    fputs("# HELP v2m_duration_seconds How long each phase took.\n"
          "# TYPE v2m_duration_seconds histogram\n",
          file);

    for (i = 0; i < V2M_METRICS_PHASES; i++) {
        v2m_metrics_print_histogram(file, (v2m_metrics_phase_t) i);
    }

    if (fclose(file) != 0) {
        free(text);
        return NULL;
    }

    return text;
}
