/* The outermost boxes of an MP4: a file that was cut off, and one that was
 * not or that cannot be told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "v2m_boxes.h"

/* A file whose length may be more than what there is of it. */
typedef struct {
    unsigned char bytes[4096];
    size_t        length;
    int64_t       size;
    size_t        most;   /* bytes that one read gives */
    int64_t       broken; /* offset at which reading fails, or -1 */
    int           reads;
} test_file_t;

static test_file_t file;


static int64_t
file_size(void *data)
{
    return ((test_file_t *) data)->size;
}


static int
file_read_at(void *data, int64_t offset, unsigned char *buffer, size_t length,
             size_t *got, v2m_error_t *error)
{
    test_file_t *f = data;

    f->reads++;
    *got = 0;

    assert_true(offset >= 0);
    assert_true(length > 0);

    if (f->broken >= 0 && offset + (int64_t) length > f->broken) {
        return v2m_error_set(error, V2M_UNAVAILABLE, "broken");
    }

    if (offset < (int64_t) f->length) {
        *got = f->length - (size_t) offset;
        *got = *got < length ? *got : length;
        *got = *got < f->most ? *got : f->most;
        memcpy(buffer, f->bytes + offset, *got);
    }

    return V2M_OK;
}


static void
file_begin(void)
{
    memset(&file, 0, sizeof(file));
    file.most = sizeof(file.bytes);
    file.broken = -1;
}


static void
put_number(uint64_t value, int bytes)
{
    while (bytes-- > 0) {
        file.bytes[file.length++] = (unsigned char) (value >> (8 * bytes));
    }

    file.size = (int64_t) file.length;
}


static void
put_header(uint32_t size, const char *type)
{
    put_number(size, 4);
    memcpy(file.bytes + file.length, type, 4);
    file.length += 4;
    file.size = (int64_t) file.length;
}


static void
put_box(const char *type, size_t payload)
{
    put_header((uint32_t) payload + 8, type);
    memset(file.bytes + file.length, 'x', payload);
    file.length += payload;
    file.size = (int64_t) file.length;
}


static int
cut_off(void)
{
    v2m_byte_source_t source = { &file, file_size, file_read_at };

    return v2m_boxes_cut_off(&source);
}


/* A whole file, its index in front or behind, told cut at each byte. */
static void
test_every_cut(void **state)
{
    int     front;
    size_t  index, most;
    int64_t size;

    (void) state;

    for (front = 0; front < 2; front++) {
        for (most = 1; most <= 32; most *= 2) {
            file_begin();
            put_box("ftyp", 16);

            if (front) {
                put_box("moov", 40);
                index = file.length;
                put_box("mdat", 50);

            } else {
                put_box("free", 0);
                put_box("mdat", 50);
                put_box("moov", 40);
                index = file.length;
            }

            file.most = most;

            for (size = file.size; size >= 0; size--) {
                file.size = size;
                file.length = (size_t) size;
                assert_int_equal(cut_off(), size < (int64_t) index);
            }
        }
    }
}


static void
test_sizes(void **state)
{
    (void) state;

    /* 64-bit sizes */

    file_begin();
    put_header(1, "mdat");
    put_number(16 + 10, 8);
    file.length += 10;
    put_box("moov", 8);
    assert_int_equal(cut_off(), 0);
    file.size = 20;
    assert_int_equal(cut_off(), 1);
    file.length = file.size = 12;
    assert_int_equal(cut_off(), 1);

    file_begin();
    put_header(1, "mdat");
    put_number(UINT64_MAX, 8);
    assert_int_equal(cut_off(), 1);

    file_begin();
    put_header(1, "mdat");
    put_number((uint64_t) INT64_MAX + 1, 8);
    assert_int_equal(cut_off(), 1);

    file_begin();
    put_header(1, "moov");
    put_number(24, 8);
    put_number(0, 8);
    assert_int_equal(cut_off(), 0);
    file.size--;
    assert_int_equal(cut_off(), 1);

    /* up to the end */

    file_begin();
    put_box("ftyp", 16);
    put_header(0, "moov");
    put_number(0, 8);
    assert_int_equal(cut_off(), 0);

    file_begin();
    put_box("ftyp", 16);
    put_header(0, "mdat");
    put_number(0, 8);
    assert_int_equal(cut_off(), 1);

    /* more than the file can have */

    file_begin();
    put_box("ftyp", 16);
    put_header(0xFFFFFFFF, "mdat");
    assert_int_equal(cut_off(), 1);
}


/* Damaged: not even a cut explains it. */
static void
test_nonsense(void **state)
{
    uint64_t size;

    (void) state;

    for (size = 2; size < 8; size++) {
        file_begin();
        put_box("ftyp", 16);
        put_header((uint32_t) size, "mdat");
        put_number(0, 8);
        assert_int_equal(cut_off(), 0);
    }

    for (size = 0; size < 16; size++) {
        file_begin();
        put_box("ftyp", 16);
        put_header(1, "mdat");
        put_number(size, 8);
        put_number(0, 8);
        assert_int_equal(cut_off(), 0);
    }
}


static void
test_many(void **state)
{
    int i;

    (void) state;

    file_begin();

    for (i = 0; i < 500; i++) {
        put_box("free", 0);
    }

    /* it gives up, at no great cost */

    assert_int_equal(cut_off(), 0);
    assert_in_range(file.reads, 1, 200);
}


/* What cannot be read does not tell anything. */
static void
test_failures(void **state)
{
    int64_t broken;

    (void) state;

    for (broken = 0; broken < 24 + 16; broken++) {
        file_begin();
        put_box("ftyp", 16);
        put_header(100, "mdat");
        put_number(0, 8);
        file.broken = broken;
        assert_int_equal(cut_off(), 0);
    }

    /* it ends before the length that it tells */

    file_begin();
    put_box("ftyp", 16);
    put_number(0, 4);
    file.size += 1000;
    assert_int_equal(cut_off(), 0);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_nonsense),  cmocka_unit_test(test_many),
        cmocka_unit_test(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
