/* Frames of several encoders, made by hand, as one stream of a constant
 * bitrate: what a decoder finds in it is what went in. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "v2m_joiner.h"

/* MPEG-1, 64 kbit/s, 44,100 Hz, stereo */
#define HEAD 36
#define AREA 172

#define MOST 65536

typedef struct {
    unsigned char put[MOST];
    size_t        put_length;
    v2m_frames_t  got;
} test_stream_t;


static int
take(void *data, const unsigned char *bytes, size_t length, v2m_error_t *error)
{
    test_stream_t *stream = data;

    return v2m_frames_take(&stream->got, bytes, length, 1, error);
}


/* part2_3_length of each granule and channel */
static void
put_lengths(unsigned char *side, int bytes)
{
    int i, bit, place, value;

    for (i = 0; i < 4; i++) {
        value = bytes * 2;
        place = 20 + 59 * i;

        for (bit = 11; bit >= 0; bit--, place++) {
            side[place >> 3] |=
                (unsigned char) ((value >> bit & 1) << (7 - (place & 7)));
        }
    }
}


/* Adds a frame with that much main data. */
static void
add_frame(test_stream_t *stream, v2m_frames_t *frames, int length)
{
    int           i;
    v2m_frame_t  *frame;
    unsigned char c;

    frames->frames = realloc(frames->frames, (size_t) (frames->count + 1)
                                                 * sizeof(v2m_frame_t));
    frames->data = realloc(frames->data, frames->length + (size_t) length + 1);
    assert_non_null(frames->frames);
    assert_non_null(frames->data);
    assert_true(stream->put_length + (size_t) length <= MOST);

    frame = &frames->frames[frames->count++];
    frames->capacity = frames->count;
    memset(frame, 0, sizeof(*frame));
    memcpy(frame->head, "\xff\xfb\x50\x00", 4);
    put_lengths(frame->head + 4, length);
    frame->head_length = HEAD;
    frame->area = AREA;
    frame->length = length;
    frame->offset = frames->length;

    for (i = 0; i < length; i++) {
        c = (unsigned char) (stream->put_length * 31 >> 2);
        frames->data[frames->length++] = c;
        stream->put[stream->put_length++] = c;
    }

    frames->data_capacity = frames->length;
}


static void
assert_same(test_stream_t *stream, int frames)
{
    assert_int_equal(stream->got.count, frames);
    assert_int_equal(stream->got.length, stream->put_length);
    assert_memory_equal(stream->got.data, stream->put, stream->put_length);
    v2m_frames_free(&stream->got);
}


/* The room before a segment was found in the one before it; that it is more
 * than the low sample rates have does not matter to the segment after. */
static void
test_much_room_is_kept(void **state)
{
    int                  i;
    v2m_error_t          error;
    v2m_frames_t         frames;
    v2m_joiner_t         joiner;
    static test_stream_t stream;

    (void) state;

    memset(&stream, 0, sizeof(stream));
    memset(&frames, 0, sizeof(frames));
    v2m_joiner_init(&joiner, 0, take, &stream);

    for (i = 0; i < 10; i++) {
        add_frame(&stream, &frames, AREA - 100);
    }

    assert_int_equal(v2m_joiner_add(&joiner, &frames, &error), V2M_OK);
    v2m_frames_free(&frames);

    add_frame(&stream, &frames, AREA + 400);
    add_frame(&stream, &frames, AREA);
    assert_int_equal(v2m_joiner_add(&joiner, &frames, &error), V2M_OK);
    v2m_frames_free(&frames);

    add_frame(&stream, &frames, AREA);
    assert_int_equal(v2m_joiner_add(&joiner, &frames, &error), V2M_OK);
    assert_int_equal(v2m_joiner_finish(&joiner, &error), V2M_OK);

    assert_same(&stream, 13);
    v2m_frames_free(&frames);
    v2m_joiner_free(&joiner);
}


/* More than a frame can refer to: refused, and nothing taken. */
static void
test_too_much_room_is_refused(void **state)
{
    int                  i;
    v2m_error_t          error;
    v2m_frames_t         frames;
    v2m_joiner_t         joiner;
    static test_stream_t stream;

    (void) state;

    memset(&stream, 0, sizeof(stream));
    memset(&frames, 0, sizeof(frames));
    v2m_joiner_init(&joiner, 0, take, &stream);

    for (i = 0; i < 10; i++) {
        add_frame(&stream, &frames, AREA - 100);
    }

    assert_int_equal(v2m_joiner_add(&joiner, &frames, &error), V2M_OK);
    v2m_frames_free(&frames);

    add_frame(&stream, &frames, AREA + V2M_FRAMES_BACK + 1);
    assert_int_equal(v2m_joiner_add(&joiner, &frames, &error), V2M_CONFLICT);
    stream.put_length -= AREA + V2M_FRAMES_BACK + 1;
    v2m_frames_free(&frames);

    add_frame(&stream, &frames, AREA);
    assert_int_equal(v2m_joiner_add(&joiner, &frames, &error), V2M_OK);
    assert_int_equal(v2m_joiner_finish(&joiner, &error), V2M_OK);

    assert_same(&stream, 11);
    v2m_frames_free(&frames);
    v2m_joiner_free(&joiner);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_much_room_is_kept),
        cmocka_unit_test(test_too_much_room_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
