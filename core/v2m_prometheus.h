/*
 * What is measured, and its text for Prometheus: the text exposition format
 * 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Observing is for any thread, of several processes as well when the histogram
 * is in memory that they share, and never blocks; writing is for one thread.
 */

#ifndef V2M_PROMETHEUS_H
#define V2M_PROMETHEUS_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

/* Durations: upper bounds from a millisecond to two hours, and what is
 * longer. */
#define V2M_HISTOGRAM_BOUNDS 17

/* Zeroed: nothing was observed. */
typedef struct {
    _Atomic int64_t buckets[V2M_HISTOGRAM_BOUNDS + 1];
    _Atomic int64_t sum_us;
} v2m_histogram_t;

/* Adds a duration in microseconds; one below zero, as clocks of several
 * machines make it, counts as none. */
void v2m_histogram_observe(v2m_histogram_t *histogram, int64_t us);

/* Adds all of another one. */
void v2m_histogram_add(v2m_histogram_t       *histogram,
                       const v2m_histogram_t *other);

/* How many durations there are. */
int64_t v2m_histogram_count(const v2m_histogram_t *histogram);

/* Begins a metric: its HELP and TYPE.  type: counter, gauge or histogram;
 * help: one line without a backslash. */
void v2m_prometheus_metric(FILE *file, const char *name, const char *type,
                           const char *help);

/* One value of it.  labels: NAME="VALUE",... without braces, or "". */
void v2m_prometheus_value(FILE *file, const char *name, const char *labels,
                          int64_t value);

/* The same for a number of seconds, given in microseconds. */
void v2m_prometheus_seconds(FILE *file, const char *name, const char *labels,
                            int64_t us);

/* The lines of a histogram, in seconds. */
void v2m_prometheus_histogram(FILE *file, const char *name, const char *labels,
                              const v2m_histogram_t *histogram);

#endif /* V2M_PROMETHEUS_H */
