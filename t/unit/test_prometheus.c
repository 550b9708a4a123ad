/* What is measured, and its text. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "v2m_prometheus.h"

static char *text;


static FILE *
begin(void)
{
    FILE         *file;
    static size_t length;

    file = open_memstream(&text, &length);
    assert_non_null(file);

    return file;
}


static void
end(FILE *file, const char *expected)
{
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, expected);
    free(text);
}


static void
test_values(void **state)
{
    FILE *file;

    (void) state;

    file = begin();
    v2m_prometheus_metric(file, "a_total", "counter", "What it is.");
    v2m_prometheus_value(file, "a_total", "", 0);
    v2m_prometheus_value(file, "a_total", "x=\"y\"", INT64_MAX);
    v2m_prometheus_seconds(file, "b_seconds", "", 1000001);
    v2m_prometheus_seconds(file, "b_seconds", "x=\"y\"", 999);
    end(file, "# HELP a_total What it is.\n# TYPE a_total counter\n"
              "a_total 0\na_total{x=\"y\"} 9223372036854775807\n"
              "b_seconds 1.000001\nb_seconds{x=\"y\"} 0.000999\n");
}


static void
test_bounds(void **state)
{
    static v2m_histogram_t histogram;

    (void) state;

    v2m_histogram_observe(&histogram, -5);
    v2m_histogram_observe(&histogram, 1000);
    v2m_histogram_observe(&histogram, 1001);
    v2m_histogram_observe(&histogram, 7200000000);
    v2m_histogram_observe(&histogram, 7200000001);

    assert_int_equal(histogram.buckets[0], 2);
    assert_int_equal(histogram.buckets[1], 1);
    assert_int_equal(histogram.buckets[V2M_HISTOGRAM_BOUNDS - 1], 1);
    assert_int_equal(histogram.buckets[V2M_HISTOGRAM_BOUNDS], 1);
    assert_int_equal(histogram.sum_us, 14400002002);
    assert_int_equal(v2m_histogram_count(&histogram), 5);
}


static void
test_sum(void **state)
{
    v2m_histogram_t one, two;

    (void) state;

    memset(&one, 0, sizeof(one));
    memset(&two, 0, sizeof(two));
    v2m_histogram_observe(&one, 500);
    v2m_histogram_observe(&two, 600);
    v2m_histogram_observe(&two, 3000000);
    v2m_histogram_add(&one, &two);

    assert_int_equal(one.buckets[0], 2);
    assert_int_equal(v2m_histogram_count(&one), 3);
    assert_int_equal(one.sum_us, 3001100);
    assert_int_equal(v2m_histogram_count(&two), 2);
}


static void
test_histogram(void **state)
{
    FILE                  *file;
    static v2m_histogram_t histogram;

    (void) state;

    v2m_histogram_observe(&histogram, 2000000);
    v2m_histogram_observe(&histogram, 2000000000);

    file = begin();
    v2m_prometheus_histogram(file, "h_seconds", "p=\"q\"", &histogram);
    end(file, "h_seconds_bucket{p=\"q\",le=\"0.001\"} 0\n"
              "h_seconds_bucket{p=\"q\",le=\"0.005\"} 0\n"
              "h_seconds_bucket{p=\"q\",le=\"0.01\"} 0\n"
              "h_seconds_bucket{p=\"q\",le=\"0.025\"} 0\n"
              "h_seconds_bucket{p=\"q\",le=\"0.05\"} 0\n"
              "h_seconds_bucket{p=\"q\",le=\"0.1\"} 0\n"
              "h_seconds_bucket{p=\"q\",le=\"0.25\"} 0\n"
              "h_seconds_bucket{p=\"q\",le=\"0.5\"} 0\n"
              "h_seconds_bucket{p=\"q\",le=\"1\"} 0\n"
              "h_seconds_bucket{p=\"q\",le=\"2.5\"} 1\n"
              "h_seconds_bucket{p=\"q\",le=\"5\"} 1\n"
              "h_seconds_bucket{p=\"q\",le=\"10\"} 1\n"
              "h_seconds_bucket{p=\"q\",le=\"30\"} 1\n"
              "h_seconds_bucket{p=\"q\",le=\"60\"} 1\n"
              "h_seconds_bucket{p=\"q\",le=\"300\"} 1\n"
              "h_seconds_bucket{p=\"q\",le=\"1800\"} 1\n"
              "h_seconds_bucket{p=\"q\",le=\"7200\"} 2\n"
              "h_seconds_bucket{p=\"q\",le=\"+Inf\"} 2\n"
              "h_seconds_sum{p=\"q\"} 2002.000000\n"
              "h_seconds_count{p=\"q\"} 2\n");

    memset(&histogram, 0, sizeof(histogram));
    file = begin();
    v2m_prometheus_histogram(file, "h", "", &histogram);
    assert_int_equal(fclose(file), 0);
    assert_non_null(strstr(text, "\nh_bucket{le=\"+Inf\"} 0\nh_sum 0.000000\n"
                                 "h_count 0\n"));
    free(text);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_histogram),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
