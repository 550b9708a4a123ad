/* The pauses between attempts: their bounds and their spread. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>

#include "v2m_pause.h"


/* Many pauses after one attempt; they must lie between half of the longest
 * and the longest, and reach into the outer quarters of that. */
static void
assert_pauses(int attempt, int64_t first_ms, int64_t most_ms, int64_t longest)
{
    int     i;
    int64_t pause, least, most;

    least = INT64_MAX;
    most = INT64_MIN;

    for (i = 0; i < 2000; i++) {
        pause = v2m_pause_ms(attempt, first_ms, most_ms);
        least = pause < least ? pause : least;
        most = pause > most ? pause : most;
    }

    assert_true(least >= longest - longest / 2);
    assert_true(most <= longest);
    assert_true(least <= longest - longest / 2 + longest / 8);
    assert_true(most >= longest - longest / 8);
}


static void
test_bounds(void **state)
{
    (void) state;

    assert_pauses(0, 1000, 60000, 1000);
    assert_pauses(1, 1000, 60000, 2000);
    assert_pauses(2, 1000, 60000, 4000);
    assert_pauses(5, 1000, 60000, 32000);
    assert_pauses(6, 1000, 60000, 60000);
    assert_pauses(7, 1000, 60000, 60000);
    assert_pauses(INT_MAX, 1000, 60000, 60000);
    assert_pauses(INT_MAX, 1, 86400000, 86400000);

    /* odd ones */

    assert_pauses(3, 5000, 5000, 5000);
    assert_pauses(0, 5000, 1000, 1000);
    assert_pauses(-1, 1000, 60000, 1000);
    assert_pauses(0, 7, 7, 7);
}


static void
test_small(void **state)
{
    int     i;
    int64_t pause;

    (void) state;

    assert_int_equal(v2m_pause_ms(0, 0, 0), 0);
    assert_int_equal(v2m_pause_ms(9, 0, 0), 0);
    assert_int_equal(v2m_pause_ms(0, 1, 1), 1);

    for (i = 0; i < 100; i++) {
        pause = v2m_pause_ms(0, 2, 2);
        assert_true(pause == 1 || pause == 2);
    }
}


static void
test_clock(void **state)
{
    int     i;
    int64_t now, next;

    (void) state;

    for (i = 0, now = v2m_clock_ms(); i < 100000; i++, now = next) {
        next = v2m_clock_ms();
        assert_true(next >= now);
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
