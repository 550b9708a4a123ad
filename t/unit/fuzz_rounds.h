/*
 * The targets of t/fuzz with the files of their corpora as they are, and as
 * chance has changed them: always the same ones.
 */

#ifndef FUZZ_ROUNDS_H
#define FUZZ_ROUNDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>

#include "../fuzz/targets.h"

#define ROUNDS_CORPUS "t/fuzz/corpus"
#define ROUNDS_FILES  512
#define ROUNDS_LENGTH 65536

typedef int (*rounds_target_pt)(const uint8_t *bytes, size_t length);

typedef struct {
    uint8_t *bytes;
    size_t   length;
} rounds_file_t;

typedef struct {
    rounds_file_t files[ROUNDS_FILES];
    size_t        count;
    uint32_t      chance;
} rounds_t;


static inline uint32_t
rounds_draw(rounds_t *rounds, uint32_t below)
{
    rounds->chance = rounds->chance * 1664525 + 1013904223;

    return (uint32_t) ((uint64_t) rounds->chance * below >> 32);
}


static inline int
rounds_is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}


/* Reads the target's corpus. */
static inline void
rounds_begin(rounds_t *rounds, const char *target)
{
    int             i, count;
    char            path[512];
    FILE           *file;
    struct dirent **entries;
    static uint8_t  bytes[ROUNDS_LENGTH];

    memset(rounds, 0, sizeof(*rounds));
    rounds->chance = 1;

    snprintf(path, sizeof(path), ROUNDS_CORPUS "/%s", target);
    count = scandir(path, &entries, rounds_is_file, alphasort);
    assert_in_range(count, 1, ROUNDS_FILES);

    for (i = 0; i < count; i++) {
        snprintf(path, sizeof(path), ROUNDS_CORPUS "/%s/%s", target,
                 entries[i]->d_name);
        file = fopen(path, "r");
        assert_non_null(file);
        rounds->files[i].length = fread(bytes, 1, ROUNDS_LENGTH, file);
        assert_in_range(rounds->files[i].length, 0, ROUNDS_LENGTH - 1);
        rounds->files[i].bytes = fuzz_copy(bytes, rounds->files[i].length);
        fclose(file);
        free(entries[i]);
    }

    free(entries);
    rounds->count = (size_t) count;
}


static inline void
rounds_end(rounds_t *rounds)
{
    size_t i;

    for (i = 0; i < rounds->count; i++) {
        free(rounds->files[i].bytes);
    }
}


/* Changes some bytes, most of them where formats keep what matters; sometimes
 * the file's length. */
static inline void
rounds_spoil(rounds_t *rounds, uint8_t *bytes, size_t *length)
{
    uint32_t i, changes, near, place;

    static const uint8_t values[] = { 0, 0xff, 0x7f, 0x80, 1 };

    if (rounds_draw(rounds, 3) == 0) {
        *length -= rounds_draw(rounds, (uint32_t) *length / 2);
    }

    changes = 1 + rounds_draw(rounds, 12);

    for (i = 0; i<changes && * length> 0; i++) {
        near = rounds_draw(rounds, 2) == 0 ? (uint32_t) *length : 256;
        place = rounds_draw(rounds, near < *length ? near : (uint32_t) *length);
        bytes[place] = rounds_draw(rounds, 2) == 0
                           ? values[rounds_draw(rounds, sizeof(values))]
                           : (uint8_t) rounds_draw(rounds, 256);
    }
}


static inline void
rounds_run(rounds_t *rounds, rounds_target_pt target, int count)
{
    int            i;
    size_t         k, length;
    static uint8_t bytes[ROUNDS_LENGTH];

    for (i = 0; i < count; i++) {
        for (k = 0; k < rounds->count; k++) {
            length = rounds->files[k].length;
            memcpy(bytes, rounds->files[k].bytes, length);
            rounds_spoil(rounds, bytes, &length);
            assert_int_equal(target(bytes, length), 0);
        }
    }
}

#endif /* FUZZ_ROUNDS_H */
