/* Every target of t/fuzz but the transcoder, for as long as a test may take;
 * "make fuzz" looks further. */

#include "fuzz_rounds.h"

#define TEST_INPUTS 20000 /* of each target, about */

typedef struct {
    const char      *name;
    rounds_target_pt target;
} test_target_t;


static void
test_target(void **state)
{
    size_t          k;
    test_target_t  *test = *state;
    static rounds_t rounds;

    rounds_begin(&rounds, test->name);

    for (k = 0; k < rounds.count; k++) {
        assert_int_equal(
            test->target(rounds.files[k].bytes, rounds.files[k].length), 0);
    }

    rounds_run(&rounds, test->target, TEST_INPUTS / (int) rounds.count);
    rounds_end(&rounds);
}


int
main(void)
{
    static test_target_t targets[] = {
        { "boxes", fuzz_boxes },     { "channel", fuzz_channel },
        { "email", fuzz_email },     { "filename", fuzz_filename },
        { "form", fuzz_form },       { "job", fuzz_job },
        { "mail", fuzz_mail },       { "message", fuzz_message },
        { "mp3", fuzz_mp3 },         { "multipart", fuzz_multipart },
        { "options", fuzz_options }, { "token", fuzz_token },
    };

    const struct CMUnitTest tests[] = {
        { "S23 boxes of MP4", test_target, NULL, NULL, &targets[0] },
        { "S23 frames of the channel", test_target, NULL, NULL, &targets[1] },
        { "S23 e-mail addresses", test_target, NULL, NULL, &targets[2] },
        { "S23 file names", test_target, NULL, NULL, &targets[3] },
        { "S23 forms", test_target, NULL, NULL, &targets[4] },
        { "S23 job records", test_target, NULL, NULL, &targets[5] },
        { "S23 mails", test_target, NULL, NULL, &targets[6] },
        { "S23 messages", test_target, NULL, NULL, &targets[7] },
        { "S23 MP3 frames", test_target, NULL, NULL, &targets[8] },
        { "S23 multipart", test_target, NULL, NULL, &targets[9] },
        { "S23 options", test_target, NULL, NULL, &targets[10] },
        { "S23 tokens", test_target, NULL, NULL, &targets[11] },
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
