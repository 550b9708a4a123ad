/* The transcoder with files that chance has changed; a program of its own, as
 * it takes the longest of the fuzzing's targets. */

#include "fuzz_rounds.h"

#define TEST_ROUNDS 40 /* of each file */

static rounds_t rounds;


/* The length decides on the options, of which there are four kinds. */
static void
test_files_as_they_are(void **state)
{
    size_t i, cut;

    (void) state;

    for (i = 0; i < rounds.count; i++) {
        for (cut = 0; cut < 4 && cut < rounds.files[i].length; cut++) {
            assert_int_equal(fuzz_transcode(rounds.files[i].bytes,
                                            rounds.files[i].length - cut),
                             0);
        }
    }
}


static void
test_files_that_are_spoilt(void **state)
{
    (void) state;

    rounds_run(&rounds, fuzz_transcode, TEST_ROUNDS);
}


static int
setup(void **state)
{
    (void) state;

    rounds_begin(&rounds, "transcode");

    return 0;
}


static int
teardown(void **state)
{
    (void) state;

    rounds_end(&rounds);

    return 0;
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        { "S23 files as they are", test_files_as_they_are, NULL, NULL, NULL },
        { "S23 files that are spoilt", test_files_that_are_spoilt, NULL, NULL,
          NULL },
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
