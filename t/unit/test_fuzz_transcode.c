/* The transcoder with files that chance has changed, always the same ones;
 * t/fuzz/fuzz_transcode.c looks further. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>

#include "../fuzz/transcode.h"

#define TEST_CORPUS "t/fuzz/corpus/transcode"
#define TEST_FILES  64
#define TEST_LENGTH 65536
#define TEST_ROUNDS 40 /* of each file */

typedef struct {
    uint8_t bytes[TEST_LENGTH];
    size_t  length;
} test_file_t;

static test_file_t files[TEST_FILES];
static size_t      file_count;
static uint32_t    chance = 1;


static uint32_t
draw(uint32_t below)
{
    chance = chance * 1664525 + 1013904223;

    return (uint32_t) ((uint64_t) chance * below >> 32);
}


static int
is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}


static void
read_corpus(void)
{
    int             i, count;
    char            path[512];
    FILE           *file;
    struct dirent **entries;

    count = scandir(TEST_CORPUS, &entries, is_file, alphasort);
    assert_in_range(count, 1, TEST_FILES);

    for (i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "%s/%s", TEST_CORPUS, entries[i]->d_name);
        file = fopen(path, "r");
        assert_non_null(file);
        files[i].length = fread(files[i].bytes, 1, TEST_LENGTH, file);
        assert_in_range(files[i].length, 1, TEST_LENGTH - 1);
        fclose(file);
        free(entries[i]);
    }

    free(entries);
    file_count = (size_t) count;
}


/* Changes some bytes, most of them where formats keep what matters; sometimes
 * the file's length, which decides on the options. */
static void
spoil(test_file_t *file)
{
    uint32_t i, changes, near, place;

    static const uint8_t values[] = { 0, 0xff, 0x7f, 0x80, 1 };

    if (draw(3) == 0) {
        file->length -= draw((uint32_t) file->length / 2);
    }

    changes = 1 + draw(12);

    for (i = 0; i < changes; i++) {
        near = draw(2) == 0 ? (uint32_t) file->length : 256;
        place = draw(near < file->length ? near : (uint32_t) file->length);
        file->bytes[place] =
            draw(2) == 0 ? values[draw(sizeof(values))] : (uint8_t) draw(256);
    }
}


static void
test_files_as_they_are(void **state)
{
    size_t i, cut;

    (void) state;

    read_corpus();

    for (i = 0; i < file_count; i++) {
        for (cut = 0; cut < 4 && cut < files[i].length; cut++) {
            assert_int_equal(
                fuzz_transcode(files[i].bytes, files[i].length - cut), 0);
        }
    }
}


static void
test_files_that_are_spoilt(void **state)
{
    int                i;
    size_t             k;
    static test_file_t file;

    (void) state;

    for (i = 0; i < TEST_ROUNDS; i++) {
        for (k = 0; k < file_count; k++) {
            file = files[k];
            spoil(&file);
            assert_int_equal(fuzz_transcode(file.bytes, file.length), 0);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_as_they_are),
        cmocka_unit_test(test_files_that_are_spoilt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
