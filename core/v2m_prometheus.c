#include "v2m_prometheus.h"

#include <inttypes.h>

static const struct {
    int64_t     us;
    const char *text; /* in seconds */
} v2m_histogram_bounds[V2M_HISTOGRAM_BOUNDS] = {
    { 1000, "0.001" },      { 5000, "0.005" },      { 10000, "0.01" },
    { 25000, "0.025" },     { 50000, "0.05" },      { 100000, "0.1" },
    { 250000, "0.25" },     { 500000, "0.5" },      { 1000000, "1" },
    { 2500000, "2.5" },     { 5000000, "5" },       { 10000000, "10" },
    { 30000000, "30" },     { 60000000, "60" },     { 300000000, "300" },
    { 1800000000, "1800" }, { 7200000000, "7200" },
};


void
v2m_histogram_observe(v2m_histogram_t *histogram, int64_t us)
{
    int i;

    us = us < 0 ? 0 : us;

    for (i = 0; i < V2M_HISTOGRAM_BOUNDS; i++) {
        if (us <= v2m_histogram_bounds[i].us) {
            break;
        }
    }

    atomic_fetch_add_explicit(&histogram->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_us, us, memory_order_relaxed);
}


void
v2m_histogram_add(v2m_histogram_t *histogram, const v2m_histogram_t *other)
{
    int i;

    for (i = 0; i <= V2M_HISTOGRAM_BOUNDS; i++) {
        histogram->buckets[i] += other->buckets[i];
    }

    histogram->sum_us += other->sum_us;
}


int64_t
v2m_histogram_count(const v2m_histogram_t *histogram)
{
    int     i;
    int64_t count;

    for (i = 0, count = 0; i <= V2M_HISTOGRAM_BOUNDS; i++) {
        count += histogram->buckets[i];
    }

    return count;
}


void
v2m_prometheus_metric(FILE *file, const char *name, const char *type,
                      const char *help)
{
    fprintf(file, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}


/* NAME{LABELS}, or NAME alone. */
static void
v2m_prometheus_name(FILE *file, const char *name, const char *labels)
{
    fprintf(file, *labels != '\0' ? "%s{%s} " : "%s%s ", name, labels);
}


void
v2m_prometheus_value(FILE *file, const char *name, const char *labels,
                     int64_t value)
{
    v2m_prometheus_name(file, name, labels);
    fprintf(file, "%" PRId64 "\n", value);
}


void
v2m_prometheus_seconds(FILE *file, const char *name, const char *labels,
                       int64_t us)
{
    v2m_prometheus_name(file, name, labels);
    fprintf(file, "%" PRId64 ".%06d\n", us / 1000000, (int) (us % 1000000));
}


void
v2m_prometheus_histogram(FILE *file, const char *name, const char *labels,
                         const v2m_histogram_t *histogram)
{
    int         i;
    char        suffixed[128];
    int64_t     count;
    const char *comma;

    comma = *labels != '\0' ? "," : "";

    for (i = 0, count = 0; i <= V2M_HISTOGRAM_BOUNDS; i++) {
        count += histogram->buckets[i];

        fprintf(
            file, "%s_bucket{%s%sle=\"%s\"} %" PRId64 "\n", name, labels, comma,
            i < V2M_HISTOGRAM_BOUNDS ? v2m_histogram_bounds[i].text : "+Inf",
            count);
    }

    snprintf(suffixed, sizeof(suffixed), "%s_sum", name);
    v2m_prometheus_seconds(file, suffixed, labels, histogram->sum_us);

    /* by what was printed above, whatever was observed since */

    snprintf(suffixed, sizeof(suffixed), "%s_count", name);
    v2m_prometheus_value(file, suffixed, labels, count);
}
