/* An MP4 without its video: what FFmpeg gets to read of it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "v2m_mask.h"

typedef struct {
    unsigned char bytes[16384];
    size_t        length;
    size_t        most;  /* bytes that one read gives */
    int           fails; /* reads that succeed before one fails; -1: all */
} test_file_t;

static test_file_t file;


static int64_t
file_size(void *data)
{
    return (int64_t) ((test_file_t *) data)->length;
}


static int
file_read_at(void *data, int64_t offset, unsigned char *buffer, size_t length,
             size_t *got, v2m_error_t *error)
{
    test_file_t *f = data;

    *got = 0;

    if (f->fails == 0) {
        return v2m_error_set(error, V2M_UNAVAILABLE, "away");
    }

    if (f->fails > 0) {
        f->fails--;
    }

    assert_true(offset >= 0);

    if ((size_t) offset < f->length) {
        *got = f->length - (size_t) offset;
        *got = *got < length ? *got : length;
        *got = *got < f->most ? *got : f->most;
        memcpy(buffer, f->bytes + offset, *got);
    }

    return V2M_OK;
}


static const v2m_byte_source_t source = { &file, file_size, file_read_at };


static int
set_up(void **state)
{
    (void) state;

    memset(&file, 0, sizeof(file));
    file.most = sizeof(file.bytes);
    file.fails = -1;

    return 0;
}


static void
put(const void *bytes, size_t length)
{
    assert_true(file.length + length <= sizeof(file.bytes));
    memcpy(file.bytes + file.length, bytes, length);
    file.length += length;
}


static void
put_size(size_t place, size_t size)
{
    file.bytes[place] = (unsigned char) (size >> 24);
    file.bytes[place + 1] = (unsigned char) (size >> 16);
    file.bytes[place + 2] = (unsigned char) (size >> 8);
    file.bytes[place + 3] = (unsigned char) size;
}


/* Begins a box, to be ended with end_box(). */
static size_t
begin_box(const char *type)
{
    size_t place;

    place = file.length;
    put("\0\0\0", 4);
    put(type, 4);

    return place;
}


static void
end_box(size_t place)
{
    put_size(place, file.length - place);
}


static void
put_box(const char *type, const char *content)
{
    size_t place;

    place = begin_box(type);
    put(content, strlen(content));
    end_box(place);
}


/* Returns the place of the track's box. */
static size_t
put_track(const char *handler)
{
    size_t track, media, box;

    track = begin_box("trak");
    put_box("tkhd", "............");
    media = begin_box("mdia");
    put_box("mdhd", "....");

    box = begin_box("hdlr");
    put("\0\0\0\0\0\0\0", 8);
    put(handler, 4);
    end_box(box);

    put_box("minf", "samples");
    end_box(media);
    end_box(track);

    return track;
}


/* Reads all of the masked file in pieces and compares it with the file in
 * which the tracks at the places are called "skip". */
static void
assert_hidden(const size_t *tracks, int count)
{
    int               i;
    size_t            got, step, offset;
    v2m_mask_t        mask;
    v2m_error_t       error;
    unsigned char     expected[sizeof(file.bytes)], buffer[64];
    v2m_byte_source_t masked;

    memcpy(expected, file.bytes, file.length);

    for (i = 0; i < count; i++) {
        assert_memory_equal(expected + tracks[i] + 4, "trak", 4);
        memcpy(expected + tracks[i] + 4, "skip", 4);
    }

    assert_int_equal(v2m_mask_open(&mask, &source, &masked, &error), V2M_OK);
    assert_int_equal(mask.count, count);
    assert_int_equal(masked.size(masked.data), file.length);

    for (step = 1; step <= sizeof(buffer); step++) {
        for (offset = 0; offset < file.length; offset += got) {
            assert_int_equal(masked.read_at(masked.data, (int64_t) offset,
                                            buffer, step, &got, &error),
                             V2M_OK);
            assert_in_range(got, 1, step);
            assert_memory_equal(buffer, expected + offset, got);
        }
    }
}


static void
test_hides_what_is_no_sound(void **state)
{
    size_t index, hidden[3];

    (void) state;

    put_box("ftyp", "isom");
    put_box("mdat", "trak trak trak");
    index = begin_box("moov");
    put_box("mvhd", "............");
    hidden[0] = put_track("vide");
    put_track("soun");
    hidden[1] = put_track("text");
    put_track("soun");
    hidden[2] = put_track("tmcd");
    put_box("udta", "trak");
    end_box(index);
    put_box("free", "");

    assert_hidden(hidden, 3);

    file.most = 1;
    assert_hidden(hidden, 3);
}


static void
test_long_sizes(void **state)
{
    size_t index, hidden;

    (void) state;

    put("\0\0\0\1mdat\0\0\0\0\0\0\0\x14....", 20);
    index = begin_box("moov");
    hidden = put_track("vide");
    put_track("soun");
    end_box(index);

    assert_hidden(&hidden, 1);
}


static void
test_leaves_fragments_alone(void **state)
{
    size_t index;

    (void) state;

    index = begin_box("moov");
    put_track("vide");
    put_track("soun");
    put_box("mvex", "");
    end_box(index);

    assert_hidden(NULL, 0);
}


static void
test_leaves_other_files_alone(void **state)
{
    (void) state;

    assert_hidden(NULL, 0);

    put("moov", 4);
    assert_hidden(NULL, 0);

    put("\x1a\x45\xdf\xa3 moov trak vide and so on", 30);
    assert_hidden(NULL, 0);
}


static void
test_leaves_tracks_without_a_handler_alone(void **state)
{
    size_t index, track;

    (void) state;

    index = begin_box("moov");
    put_box("trak", "");
    put_box("trak", "no box");
    track = begin_box("trak");
    put_box("mdia", "");
    end_box(track);
    end_box(index);

    assert_hidden(NULL, 0);
}


/* No size, wherever it stands, leads beyond the box around it or into an
 * endless loop. */
static void
test_sizes_that_are_wrong(void **state)
{
    size_t            i, k, length, index;
    v2m_mask_t        mask;
    v2m_error_t       error;
    unsigned char     good[sizeof(file.bytes)];
    v2m_byte_source_t masked;

    static const uint32_t sizes[] = { 0,   1,          2,          7,
                                      8,   9,          15,         16,
                                      100, 0x7fffffff, 0x80000000, 0xffffffff };

    (void) state;

    put_box("ftyp", "isom");
    index = begin_box("moov");
    put_track("vide");
    put_track("soun");
    end_box(index);

    length = file.length;
    memcpy(good, file.bytes, length);

    for (i = 0; i + 4 <= length; i++) {
        for (k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            memcpy(file.bytes, good, length);
            put_size(i, sizes[k]);
            assert_int_equal(v2m_mask_open(&mask, &source, &masked, &error),
                             V2M_OK);
            assert_in_range(mask.count, 0, 2);
        }

        memcpy(file.bytes, good, length);
        file.length = i;
        assert_int_equal(v2m_mask_open(&mask, &source, &masked, &error),
                         V2M_OK);
        file.length = length;
    }
}


static void
test_more_tracks_than_can_be(void **state)
{
    int    i;
    size_t index, hidden[V2M_MASK_TRACKS];

    (void) state;

    index = begin_box("moov");

    for (i = 0; i < V2M_MASK_TRACKS; i++) {
        hidden[i] = put_track("vide");
    }

    put_track("vide");
    end_box(index);

    assert_hidden(hidden, V2M_MASK_TRACKS);
}


static void
test_failures_of_the_source(void **state)
{
    int               rc, reads;
    size_t            index;
    v2m_mask_t        mask;
    v2m_error_t       error;
    v2m_byte_source_t masked;

    (void) state;

    put_box("ftyp", "isom");
    index = begin_box("moov");
    put_track("vide");
    end_box(index);

    for (reads = 0;; reads++) {
        file.fails = reads;
        rc = v2m_mask_open(&mask, &source, &masked, &error);

        if (file.fails > 0) {
            break;
        }

        if (rc != V2M_OK) {
            assert_int_equal(rc, V2M_UNAVAILABLE);
            assert_string_equal(error.text, "away");
        }
    }

    assert_int_equal(rc, V2M_OK);
    assert_int_equal(mask.count, 1);
    assert_true(reads > 5);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_hides_what_is_no_sound, set_up),
        cmocka_unit_test_setup(test_long_sizes, set_up),
        cmocka_unit_test_setup(test_leaves_fragments_alone, set_up),
        cmocka_unit_test_setup(test_leaves_other_files_alone, set_up),
        cmocka_unit_test_setup(test_leaves_tracks_without_a_handler_alone,
                               set_up),
        cmocka_unit_test_setup(test_sizes_that_are_wrong, set_up),
        cmocka_unit_test_setup(test_more_tracks_than_can_be, set_up),
        cmocka_unit_test_setup(test_failures_of_the_source, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
