/* The channel between the converter and its transcoder: each frame as it was
 * sent, nothing else taken, and waits that end. */

#include "channel_ends.h"


static void
test_start(void **state)
{
    v2m_channel_frame_t frame;

    static const int64_t least[] = { -1, -1, -1, -1, -1, -1, -1, -1, 0, 1 };
    static const int64_t most[] = { INT32_MAX, INT32_MAX, INT32_MAX, INT64_MAX,
                                    INT64_MAX, INT32_MAX, INT32_MAX, INT32_MAX,
                                    INT64_MAX, 1024 };

    (void) state;

    frame.type = V2M_CHANNEL_START;
    frame.u.start.options =
        (v2m_options_t){ 128, 2, 3, 1500, 83456, 44100, 1, 160 };
    frame.u.start.length = INT64_C(0x0102030405060708);
    frame.u.start.threads = 16;
    raw_start((int64_t[]){ 128, 2, 3, 1500, 83456, 44100, 1, 160,
                           INT64_C(0x0102030405060708), 16 });
    assert_frame(&frame);

    v2m_options_init(&frame.u.start.options);
    frame.u.start.length = 0;
    frame.u.start.threads = 1;
    raw_start(least);
    assert_frame(&frame);

    frame.u.start.options =
        (v2m_options_t){ INT32_MAX, INT32_MAX, INT32_MAX, INT64_MAX,
                         INT64_MAX, INT32_MAX, INT32_MAX, INT32_MAX };
    frame.u.start.length = INT64_MAX;
    frame.u.start.threads = 1024;
    raw_start(most);
    assert_frame(&frame);

    /* each number one below what it may be */

    for (int i = 0; i < 10; i++) {
        int64_t numbers[10];

        memcpy(numbers, least, sizeof(numbers));
        numbers[i]--;
        raw_start(numbers);
        assert_int_equal(receive_raw(V2M_CHANNEL_CHILD, 999, &frame),
                         V2M_CORRUPT);
    }

    raw_start((int64_t[]){ -1, -1, -1, -1, -1, -1, -1, -1, 0, 1025 });
    assert_int_equal(receive_raw(V2M_CHANNEL_CHILD, 999, &frame), V2M_CORRUPT);
}


static void
test_data(void **state)
{
    size_t              i;
    unsigned char      *bytes;
    v2m_channel_type_t  type;
    v2m_channel_frame_t frame;

    (void) state;

    bytes = malloc(V2M_CHANNEL_RANGE);
    assert_non_null(bytes);

    for (i = 0; i < V2M_CHANNEL_RANGE; i++) {
        bytes[i] = (unsigned char) (i * 7 + i / 256);
    }

    for (i = 0; i < 2; i++) {
        type = i == 0 ? V2M_CHANNEL_DATA : V2M_CHANNEL_WRITE;
        frame.type = type;
        frame.u.data.bytes = bytes;

        frame.u.data.offset = INT64_C(0x0807060504030201);
        frame.u.data.length = 3;
        raw_data(type, frame.u.data.offset, bytes, 3);
        assert_frame(&frame);

        frame.u.data.offset = 0;
        frame.u.data.length = V2M_CHANNEL_RANGE;
        raw_data(type, 0, bytes, V2M_CHANNEL_RANGE);
        assert_frame(&frame);

        frame.u.data.offset = INT64_MAX - V2M_CHANNEL_RANGE;
        frame.u.data.length = 1;
        raw_data(type, frame.u.data.offset, bytes, 1);
        assert_frame(&frame);

        /* one byte too many, an offset out of bounds, no room for one */

        raw_data(type, 0, bytes, V2M_CHANNEL_RANGE);
        raw_number(0, 1);
        raw_end();
        assert_int_equal(receive_raw(receiver_of(type), 99999, &frame),
                         V2M_CORRUPT);

        raw_data(type, -1, bytes, 1);
        assert_int_equal(receive_raw(receiver_of(type), 99, &frame),
                         V2M_CORRUPT);
        raw_data(type, INT64_MAX - V2M_CHANNEL_RANGE + 1, bytes, 1);
        assert_int_equal(receive_raw(receiver_of(type), 99, &frame),
                         V2M_CORRUPT);

        raw.length = HEADER + 7;
        raw_end();
        assert_int_equal(receive_raw(receiver_of(type), 99, &frame),
                         V2M_CORRUPT);
        raw.length = HEADER;
        raw_end();
        assert_int_equal(receive_raw(receiver_of(type), 99, &frame),
                         V2M_CORRUPT);
    }

    /* nothing: the video's end, but never an MP3's piece */

    frame.type = V2M_CHANNEL_DATA;
    frame.u.data.offset = 5;
    frame.u.data.bytes = bytes;
    frame.u.data.length = 0;
    raw_data(V2M_CHANNEL_DATA, 5, bytes, 0);
    assert_frame(&frame);

    raw_data(V2M_CHANNEL_WRITE, 5, bytes, 0);
    assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 99, &frame), V2M_CORRUPT);

    free(bytes);
}


static void
assert_refused_length(v2m_channel_side_t side, int change)
{
    v2m_channel_frame_t frame;

    raw.length = (size_t) ((int) raw.length + change);
    raw_end();
    assert_int_equal(receive_raw(side, 999, &frame), V2M_CORRUPT);
}


static void
test_read(void **state)
{
    int                 i;
    v2m_channel_frame_t frame;

    static const struct {
        int64_t offset;
        int32_t length;
        int     rc;
    } reads[] = {
        { 0, 1, V2M_OK },
        { INT64_MAX, V2M_CHANNEL_RANGE, V2M_OK },
        { 0, 0, V2M_CORRUPT },
        { 0, -1, V2M_CORRUPT },
        { 0, V2M_CHANNEL_RANGE + 1, V2M_CORRUPT },
        { -1, 1, V2M_CORRUPT },
        { INT64_MIN, INT32_MIN, V2M_CORRUPT },
    };

    (void) state;

    for (i = 0; i < 7; i++) {
        raw_read(reads[i].offset, reads[i].length);

        if (reads[i].rc != V2M_OK) {
            assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 99, &frame),
                             reads[i].rc);
            continue;
        }

        frame.type = V2M_CHANNEL_READ;
        frame.u.read.offset = reads[i].offset;
        frame.u.read.length = reads[i].length;
        assert_frame(&frame);
    }

    raw_read(0, 1);
    assert_refused_length(V2M_CHANNEL_PARENT, -1);
    raw_read(0, 1);
    assert_refused_length(V2M_CHANNEL_PARENT, 1);
}


static void
test_keep_and_restart(void **state)
{
    v2m_channel_frame_t frame;

    (void) state;

    frame.type = V2M_CHANNEL_KEEP;

    for (int i = 0; i < 2; i++) {
        frame.u.keep.offset = i == 0 ? 0 : INT64_MAX - V2M_CHANNEL_KEPT;
        raw_keep(frame.u.keep.offset);
        assert_frame(&frame);
    }

    raw_keep(-1);
    assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 99, &frame), V2M_CORRUPT);
    raw_keep(INT64_MAX - V2M_CHANNEL_KEPT + 1);
    assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 99, &frame), V2M_CORRUPT);
    raw_keep(1);
    assert_refused_length(V2M_CHANNEL_PARENT, -1);
    raw_keep(1);
    assert_refused_length(V2M_CHANNEL_PARENT, 1);

    frame.type = V2M_CHANNEL_RESTART;
    raw_restart();
    assert_frame(&frame);
    raw_restart();
    assert_refused_length(V2M_CHANNEL_PARENT, 1);
}


static void
test_progress(void **state)
{
    int                 phase, percent;
    v2m_channel_frame_t frame;

    (void) state;

    for (percent = -3; percent < 104; percent++) {
        raw_progress(V2M_CHANNEL_COPYING, percent);
        assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 99, &frame),
                         percent >= -1 && percent <= 100 ? V2M_OK
                                                         : V2M_CORRUPT);
    }

    for (phase = -1; phase <= V2M_CHANNEL_ENCODING + 1; phase++) {
        raw_progress(phase, 50);
        assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 99, &frame),
                         phase >= V2M_CHANNEL_COPYING
                                 && phase <= V2M_CHANNEL_ENCODING
                             ? V2M_OK
                             : V2M_CORRUPT);
    }

    frame.type = V2M_CHANNEL_PROGRESS;
    frame.u.progress.phase = V2M_CHANNEL_ENCODING;
    frame.u.progress.percent = -1;
    raw_progress(V2M_CHANNEL_ENCODING, -1);
    assert_frame(&frame);

    raw_progress(V2M_CHANNEL_COPYING, 1);
    assert_refused_length(V2M_CHANNEL_PARENT, -1);
    raw_progress(V2M_CHANNEL_COPYING, 1);
    assert_refused_length(V2M_CHANNEL_PARENT, 1);
}


static void
test_done(void **state)
{
    int                 i;
    v2m_channel_frame_t frame;

    static const struct {
        int64_t samples;
        int32_t rate;
        int64_t length;
    } bad[] = {
        { -1, 1, 0 },        { 0, 0, 0 },  { 0, -1, 0 },
        { 0, 1000001, 0 },   { 0, 1, -1 }, { INT64_MIN, 1, 0 },
        { 0, INT32_MIN, 0 },
    };

    (void) state;

    frame.type = V2M_CHANNEL_DONE;
    frame.u.done.samples = INT64_C(0x1122334455667788);
    frame.u.done.rate = 44100;
    frame.u.done.length = INT64_MAX;
    strcpy(frame.u.done.text, "AAC, 48000 Hz, stereo");
    raw_done(frame.u.done.samples, 44100, INT64_MAX, frame.u.done.text);
    assert_frame(&frame);

    frame.u.done.samples = frame.u.done.length = 0;
    frame.u.done.rate = 1;
    frame.u.done.text[0] = '\0';
    raw_done(0, 1, 0, "");
    assert_frame(&frame);

    for (i = 0; i < 7; i++) {
        raw_done(bad[i].samples, bad[i].rate, bad[i].length, "");
        assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 99, &frame),
                         V2M_CORRUPT);
    }

    raw_done(0, 1, 0, "");
    assert_refused_length(V2M_CHANNEL_PARENT, -1);
}


/* A text as the receiver gets it. */
static void
assert_text(const char *text, size_t length, const char *expected)
{
    v2m_channel_frame_t frame;

    raw_failed(V2M_CHANNEL_FAULT_OURS, "");
    raw_bytes(text, length);
    raw_end();
    memset(&frame, 'x', sizeof(frame));
    assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 9, &frame), V2M_OK);
    assert_string_equal(frame.u.failed.text, expected);

    raw_done(1, 2, 3, "");
    raw_bytes(text, length);
    raw_end();
    memset(&frame, 'x', sizeof(frame));
    assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 9, &frame), V2M_OK);
    assert_string_equal(frame.u.done.text, expected);
}


static void
test_failed(void **state)
{
    int                 fault;
    char                text[V2M_CHANNEL_TEXT + 2];
    v2m_channel_frame_t frame;

    (void) state;

    memset(text, 't', sizeof(text));
    text[V2M_CHANNEL_TEXT] = '\0';

    frame.type = V2M_CHANNEL_FAILED;
    frame.u.failed.fault = V2M_CHANNEL_FAULT_FILE;
    strcpy(frame.u.failed.text, text);
    raw_failed(V2M_CHANNEL_FAULT_FILE, text);
    assert_frame(&frame);

    for (fault = -2; fault < 4; fault++) {
        raw_failed(fault, "x");
        assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 99, &frame),
                         fault == V2M_CHANNEL_FAULT_FILE
                                 || fault == V2M_CHANNEL_FAULT_OURS
                             ? V2M_OK
                             : V2M_CORRUPT);
    }

    assert_text("", 0, "");
    assert_text("\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x8E\xB5", 11,
                "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x8E\xB5");
    assert_text("a\r\nb\0c\x1B[m\x7F\xC2\x85\xFF\xE2\x82", 15,
                "a??b?c?[m?"
                "??"
                "?"
                "??");
    assert_text(text, V2M_CHANNEL_TEXT, text);

    text[V2M_CHANNEL_TEXT] = 't';
    text[V2M_CHANNEL_TEXT + 1] = '\0';
    raw_failed(V2M_CHANNEL_FAULT_FILE, text);
    assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 99, &frame), V2M_CORRUPT);
    raw_done(1, 1, 1, text);
    assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 99, &frame), V2M_CORRUPT);
    raw.length = HEADER + 3;
    raw_end();
    assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, 99, &frame), V2M_CORRUPT);
}


/* Types that are none and lengths that nothing has: refused with the header,
 * before anything else came. */
static void
test_headers(void **state)
{
    size_t              i, j;
    v2m_channel_frame_t frame;

    static const uint32_t types[] = { 0,          10,         11,
                                      0x100,      0x01000000, 0x7FFFFFFF,
                                      0x80000001, 0xFFFFFFFF };
    static const uint32_t lengths[] = { V2M_CHANNEL_RANGE + 1024, 0x7FFFFFFF,
                                        0x80000000, 0xFFFFFFFF };

    (void) state;

    for (i = 0; i < 8; i++) {
        raw_begin(types[i]);
        raw_number(0, 4);
        assert_int_equal(receive_raw(V2M_CHANNEL_PARENT, HEADER, &frame),
                         V2M_CORRUPT);
        assert_int_equal(receive_raw(V2M_CHANNEL_CHILD, HEADER, &frame),
                         V2M_CORRUPT);
    }

    for (i = V2M_CHANNEL_START; i <= V2M_CHANNEL_FAILED; i++) {
        for (j = 0; j < 4; j++) {
            raw.length = 0;
            raw_number(i, 4);
            raw_number(lengths[j], 4);
            assert_int_equal(
                receive_raw(receiver_of((uint32_t) i), HEADER, &frame),
                V2M_CORRUPT);
        }
    }
}


/* What a side may not send does not leave it. */
static void
test_send_refused(void **state)
{
    int                 type;
    char                byte;
    test_ends_t         ends;
    v2m_error_t         error;
    v2m_channel_frame_t frame;

    (void) state;

    open_ends(&ends);
    memset(&frame, 0, sizeof(frame));

    for (type = 0; type <= V2M_CHANNEL_FAILED + 1; type++) {
        frame.type = (v2m_channel_type_t) type;

        if (receiver_of((uint32_t) type) == V2M_CHANNEL_PARENT) {
            assert_int_equal(v2m_channel_send(ends.parent, &frame, &error),
                             V2M_INVALID);
        }

        if (type < V2M_CHANNEL_READ || type > V2M_CHANNEL_FAILED) {
            assert_int_equal(v2m_channel_send(ends.child, &frame, &error),
                             V2M_INVALID);
        }
    }

    frame.type = V2M_CHANNEL_DATA;
    frame.u.data.bytes = raw.bytes;
    frame.u.data.length = V2M_CHANNEL_RANGE + 1;
    assert_int_equal(v2m_channel_send(ends.parent, &frame, &error),
                     V2M_INVALID);
    frame.type = V2M_CHANNEL_WRITE;
    assert_int_equal(v2m_channel_send(ends.child, &frame, &error), V2M_INVALID);

    assert_int_equal(recv(ends.fds[0], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(recv(ends.fds[1], &byte, 1, MSG_DONTWAIT), -1);
    close_ends(&ends);
}


static void
test_gone(void **state)
{
    int                 i;
    test_ends_t         ends;
    v2m_error_t         error;
    v2m_channel_frame_t frame;

    (void) state;

    raw.length = 0;
    assert_int_equal(receive_gone(V2M_CHANNEL_PARENT, &frame), V2M_NOT_FOUND);
    assert_int_equal(receive_gone(V2M_CHANNEL_CHILD, &frame), V2M_NOT_FOUND);

    /* sending to nobody is no signal */

    open_ends(&ends);
    close_fd(&ends.fds[1]);
    frame.type = V2M_CHANNEL_DATA;
    frame.u.data.offset = 0;
    frame.u.data.bytes = raw.bytes;
    frame.u.data.length = V2M_CHANNEL_RANGE;
    assert_int_equal(v2m_channel_send(ends.parent, &frame, &error),
                     V2M_NOT_FOUND);
    assert_int_equal(error.code, V2M_NOT_FOUND);
    close_ends(&ends);

    /* what came before the end is still to be had */

    open_ends(&ends);
    frame.type = V2M_CHANNEL_PROGRESS;
    frame.u.progress.phase = V2M_CHANNEL_ENCODING;

    for (i = 0; i < 3; i++) {
        frame.u.progress.percent = i;
        assert_int_equal(v2m_channel_send(ends.child, &frame, &error), V2M_OK);
    }

    close_fd(&ends.fds[1]);

    for (i = 0; i < 3; i++) {
        assert_int_equal(v2m_channel_receive(ends.parent, &frame, &error),
                         V2M_OK);
        assert_int_equal(frame.u.progress.percent, i);
    }

    assert_int_equal(v2m_channel_receive(ends.parent, &frame, &error),
                     V2M_NOT_FOUND);
    close_ends(&ends);
}


/* The wait's result ends a receive that gets nothing, and a send that nobody
 * takes. */
static void
test_wait(void **state)
{
    int                 i;
    test_ends_t         ends;
    v2m_error_t         error;
    v2m_channel_frame_t frame;

    (void) state;

    open_ends(&ends);
    ends.allowed = 3;
    ends.rc = V2M_UNAVAILABLE;
    assert_int_equal(v2m_channel_receive(ends.parent, &frame, &error),
                     V2M_UNAVAILABLE);
    assert_string_equal(error.text, "enough");
    assert_int_equal(ends.waits, 4);
    close_ends(&ends);

    open_ends(&ends);
    ends.allowed = 2;
    ends.rc = V2M_CONFLICT;
    frame.type = V2M_CHANNEL_DATA;
    frame.u.data.offset = 0;
    frame.u.data.bytes = raw.bytes;
    frame.u.data.length = V2M_CHANNEL_RANGE;

    for (i = 0; i < 100; i++) {
        if (v2m_channel_send(ends.parent, &frame, &error) != V2M_OK) {
            break;
        }
    }

    assert_int_equal(error.code, V2M_CONFLICT);
    assert_int_equal(ends.waits, 3);
    close_ends(&ends);
}


/* Both send to each other more than any buffer holds, each in a thread, while
 * two more receive: nothing is lost, mixed or out of order. */
typedef struct {
    v2m_channel_t     *channel;
    v2m_channel_type_t type;
} test_flow_t;

#define FLOW_FRAMES 200


static void *
send_flow(void *data)
{
    int64_t             i;
    test_flow_t        *flow = data;
    unsigned char      *bytes;
    v2m_channel_frame_t frame;

    bytes = malloc(V2M_CHANNEL_RANGE);

    if (bytes == NULL) {
        return (void *) "no memory";
    }

    for (i = 0; i < FLOW_FRAMES; i++) {
        frame.type = flow->type;
        frame.u.data.offset = i;
        frame.u.data.length = (size_t) (1 + i * 7919 % V2M_CHANNEL_RANGE);
        frame.u.data.bytes = bytes;
        memset(bytes, (int) (i % 256), frame.u.data.length);

        if (v2m_channel_send(flow->channel, &frame, NULL) != V2M_OK) {
            free(bytes);
            return (void *) "a send failed";
        }
    }

    free(bytes);

    return NULL;
}


static void *
receive_flow(void *data)
{
    size_t              j;
    int64_t             i;
    test_flow_t        *flow = data;
    v2m_channel_frame_t frame;

    for (i = 0; i < FLOW_FRAMES; i++) {
        if (v2m_channel_receive(flow->channel, &frame, NULL) != V2M_OK
            || frame.type != flow->type || frame.u.data.offset != i
            || frame.u.data.length
                   != (size_t) (1 + i * 7919 % V2M_CHANNEL_RANGE))
        {
            return (void *) "a wrong frame";
        }

        for (j = 0; j < frame.u.data.length; j++) {
            if (frame.u.data.bytes[j] != (unsigned char) (i % 256)) {
                return (void *) "a wrong byte";
            }
        }
    }

    return NULL;
}


static void
test_both_ways(void **state)
{
    int            i, fds[2];
    void          *problem;
    pthread_t      threads[4];
    v2m_channel_t *parent, *child;

    (void) state;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(v2m_channel_create(&parent, fds[0], V2M_CHANNEL_PARENT,
                                        NULL, NULL, NULL),
                     V2M_OK);
    assert_int_equal(
        v2m_channel_create(&child, fds[1], V2M_CHANNEL_CHILD, NULL, NULL, NULL),
        V2M_OK);

    test_flow_t flows[4] = { { parent, V2M_CHANNEL_DATA },
                             { child, V2M_CHANNEL_DATA },
                             { child, V2M_CHANNEL_WRITE },
                             { parent, V2M_CHANNEL_WRITE } };

    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL,
                                        i % 2 == 0 ? send_flow : receive_flow,
                                        &flows[i]),
                         0);
    }

    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &problem), 0);

        if (problem != NULL) {
            fail_msg("%s", (char *) problem);
        }
    }

    v2m_channel_destroy(parent);
    v2m_channel_destroy(child);
    close(fds[0]);
    close(fds[1]);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_keep_and_restart),
        cmocka_unit_test(test_done),
        cmocka_unit_test(test_failed),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_send_refused),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
