/* Identifiers: what is one, and that no two are the same, in threads and in
 * processes that come of one another. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "v2m_id.h"

#define TEST_THREADS 4
#define TEST_IDS     5000 /* of each thread */


static int
parse(v2m_id_t id, const char *text, size_t length)
{
    int   rc;
    char *copy;

    copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    rc = v2m_id_parse(id, copy, length);
    free(copy);

    return rc;
}


static void
test_parse(void **state)
{
    int      i;
    char     text[V2M_ID_LENGTH];
    v2m_id_t id;

    (void) state;

    assert_int_equal(parse(id, "0123456789abcdefABCDEF00", 24), 1);
    assert_string_equal(id, "0123456789abcdefabcdef00");

    assert_int_equal(parse(id, "", 0), 0);
    assert_int_equal(parse(id, "0123456789abcdef0123456", 23), 0);
    assert_int_equal(parse(id, "0123456789abcdef012345678", 25), 0);
    assert_int_equal(parse(id, "0x23456789abcdef01234567", 24), 0);
    assert_int_equal(parse(id, "{\"$ne\":null}            ", 24), 0);

    /* each byte at each place */

    for (i = 0; i < 256 * V2M_ID_LENGTH; i++) {
        memset(text, '0', sizeof(text));
        text[i / 256] = (char) (i % 256);
        assert_int_equal(parse(id, text, sizeof(text)),
                         strchr("0123456789abcdefABCDEF", i % 256) != NULL
                             && i % 256 != 0);
    }
}


static void *
generate(void *data)
{
    int       i;
    v2m_id_t *ids = data;

    for (i = 0; i < TEST_IDS; i++) {
        v2m_id_generate(ids[i]);
    }

    return NULL;
}


static int
compare(const void *a, const void *b)
{
    return strcmp(a, b);
}


static void
test_threads(void **state)
{
    int       i;
    v2m_id_t *ids, parsed;
    pthread_t threads[TEST_THREADS];

    (void) state;

    ids = calloc(TEST_THREADS * TEST_IDS, sizeof(v2m_id_t));
    assert_non_null(ids);

    for (i = 0; i < TEST_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, generate,
                                        ids + (ptrdiff_t) i * TEST_IDS),
                         0);
    }

    for (i = 0; i < TEST_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }

    qsort(ids, TEST_THREADS * TEST_IDS, sizeof(v2m_id_t), compare);

    for (i = 0; i < TEST_THREADS * TEST_IDS; i++) {
        assert_int_equal(v2m_id_parse(parsed, ids[i], strlen(ids[i])), 1);
        assert_string_equal(parsed, ids[i]);

        if (i > 0) {
            assert_string_not_equal(ids[i - 1], ids[i]);
        }
    }

    free(ids);
}


/* nginx forks its workers from a process that may have made ids before. */
static void
test_processes(void **state)
{
    int      i, ends[2], status;
    pid_t    child;
    v2m_id_t before, ids[3];

    (void) state;

    v2m_id_generate(before);
    assert_int_equal(pipe(ends), 0);

    for (i = 0; i < 2; i++) {
        child = fork();
        assert_int_not_equal(child, -1);

        if (child == 0) {
            v2m_id_generate(ids[0]);
            _exit(write(ends[1], ids[0], sizeof(v2m_id_t)) != sizeof(v2m_id_t));
        }

        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(read(ends[0], ids[i], sizeof(v2m_id_t)),
                         sizeof(v2m_id_t));
    }

    v2m_id_generate(ids[2]);
    close(ends[0]);
    close(ends[1]);

    /* the second of their making may differ; the five random bytes must */

    assert_memory_not_equal(ids[0] + 8, ids[1] + 8, 10);
    assert_memory_not_equal(ids[0] + 8, ids[2] + 8, 10);
    assert_memory_not_equal(ids[1] + 8, ids[2] + 8, 10);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_processes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
