/* What goes over one connection to RabbitMQ, to the broker in V2M_AMQP_URL:
 * skipped without. */

#include "broker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "v2m_amqp.h"
#include "v2m_id.h"
#include "v2m_pause.h"

#define TEST_PATIENCE_MS 20000

typedef struct {
    char        queue[64];
    char        dead[80];
    v2m_amqp_t *amqp;
    v2m_error_t error;
} v2m_test_t;


static int
try_connect(v2m_amqp_t **amqp, const char *url, int timeout_ms,
            v2m_error_t *error)
{
    v2m_amqp_options_t options = { "v2m-test", 30, timeout_ms };

    return v2m_amqp_connect(amqp, url, &options, error);
}


static void
setup(v2m_test_t *test)
{
    v2m_id_t id;

    memset(test, 0, sizeof(*test));
    v2m_id_generate(id);
    snprintf(test->queue, sizeof(test->queue), "test-%s", id);
    snprintf(test->dead, sizeof(test->dead), "%s.dead", test->queue);

    if (try_connect(&test->amqp, broker_url(), 5000, &test->error) != V2M_OK) {
        fail_msg("%s", test->error.text);
    }
}


static void
setup_queue(v2m_test_t *test)
{
    setup(test);
    assert_int_equal(v2m_amqp_declare(test->amqp, test->queue, 5, &test->error),
                     V2M_OK);
}


static void
finish(v2m_test_t *test)
{
    v2m_amqp_close(test->amqp);
    broker_delete(test->queue);
}


/* The next event that there is; a failed connection ends the test. */
static v2m_amqp_event_t
next_event(v2m_test_t *test)
{
    v2m_amqp_event_t event;

    if (v2m_amqp_wait(test->amqp, -1, TEST_PATIENCE_MS, &event, &test->error)
        != V2M_OK)
    {
        fail_msg("%s", test->error.text);
    }

    return event;
}


static void
assert_no_event(v2m_test_t *test)
{
    v2m_amqp_event_t event;

    assert_int_equal(v2m_amqp_wait(test->amqp, -1, 200, &event, &test->error),
                     V2M_OK);
    assert_int_equal(event.type, V2M_AMQP_NONE);
}


static uint64_t
publish(v2m_test_t *test, const char *queue, const char *body,
        const char *message_id)
{
    uint64_t tag;

    assert_int_equal(v2m_amqp_publish(test->amqp, queue, body, strlen(body),
                                      message_id, &tag, &test->error),
                     V2M_OK);

    return tag;
}


static void
assert_depth(v2m_test_t *test, const char *queue, int64_t expected)
{
    int64_t depth, until;

    until = v2m_clock_ms() + TEST_PATIENCE_MS;

    do {
        assert_int_equal(
            v2m_amqp_depth(test->amqp, queue, &depth, &test->error), V2M_OK);
    } while (depth != expected && v2m_clock_ms() < until);

    assert_int_equal(depth, expected);
}


static void
test_declare(void **state)
{
    int64_t    depth;
    v2m_test_t test;

    (void) state;
    setup(&test);

    /* what does not go wrong for the connection */
    assert_int_equal(v2m_amqp_depth(test.amqp, test.queue, &depth, &test.error),
                     V2M_NOT_FOUND);

    assert_int_equal(v2m_amqp_declare(test.amqp, test.queue, 5, &test.error),
                     V2M_OK);
    assert_int_equal(v2m_amqp_declare(test.amqp, test.queue, 7, &test.error),
                     V2M_OK);
    assert_depth(&test, test.queue, 0);
    assert_depth(&test, test.dead, 0);

    assert_int_equal(v2m_amqp_declare(test.amqp, "", 7, &test.error),
                     V2M_INVALID);
    assert_depth(&test, test.queue, 0);
    finish(&test);
}


/* One that is there is used as it is: no dead letters are made for it. */
static void
test_foreign_queue(void **state)
{
    int64_t    depth;
    v2m_test_t test;

    (void) state;
    setup(&test);
    broker_make_classic(test.queue, 0);

    assert_int_equal(v2m_amqp_declare(test.amqp, test.queue, 5, &test.error),
                     V2M_OK);
    assert_int_equal(v2m_amqp_depth(test.amqp, test.dead, &depth, &test.error),
                     V2M_NOT_FOUND);
    publish(&test, test.queue, "x", "");
    assert_depth(&test, test.queue, 1);
    finish(&test);
}


/* Bodies of no, one, and several frames come back as they were. */
static void
test_bodies(void **state)
{
    char            *body;
    size_t           i, k;
    uint64_t         tag;
    v2m_test_t       test;
    v2m_amqp_event_t event;

    static const size_t lengths[] = {
        0, 1, 1000, 131063, 131064, 131065, V2M_AMQP_BODY_MAX
    };
    static const size_t count = sizeof(lengths) / sizeof(lengths[0]);

    (void) state;
    setup_queue(&test);

    body = malloc(V2M_AMQP_BODY_MAX + 1);
    for (k = 0; k <= V2M_AMQP_BODY_MAX; k++) {
        body[k] = (char) (k * 7 + k / 256);
    }

    for (i = 0; i < count; i++) {
        assert_int_equal(v2m_amqp_publish(test.amqp, test.queue, body,
                                          lengths[i], "id", &tag, &test.error),
                         V2M_OK);
    }

    assert_int_equal(v2m_amqp_publish(test.amqp, test.queue, body,
                                      V2M_AMQP_BODY_MAX + 1, "id", &tag,
                                      &test.error),
                     V2M_INVALID);

    assert_int_equal(v2m_amqp_consume(test.amqp, test.queue, 100, &test.error),
                     V2M_OK);

    for (i = 0; i < count; i++) {
        event = next_event(&test);
        assert_int_equal(event.type, V2M_AMQP_DELIVERY);
        assert_int_equal(event.length, lengths[i]);
        assert_int_equal(event.delivery_count, 0);
        assert_string_equal(event.message_id, "id");
        assert_memory_equal(event.body, body, lengths[i]);
        assert_int_equal(v2m_amqp_ack(test.amqp, event.tag, &test.error),
                         V2M_OK);
    }

    assert_no_event(&test);
    free(body);
    finish(&test);
}


static void
test_message_id(void **state)
{
    char             id[V2M_AMQP_MESSAGE_ID_MAX + 2];
    uint64_t         tag;
    v2m_test_t       test;
    v2m_amqp_event_t event;

    (void) state;
    setup_queue(&test);

    memset(id, 'i', sizeof(id));
    id[V2M_AMQP_MESSAGE_ID_MAX + 1] = '\0';

    assert_int_equal(
        v2m_amqp_publish(test.amqp, test.queue, "x", 1, id, &tag, &test.error),
        V2M_INVALID);
    publish(&test, test.queue, "x", id + 1);

    assert_int_equal(v2m_amqp_consume(test.amqp, test.queue, 1, &test.error),
                     V2M_OK);
    event = next_event(&test);
    assert_string_equal(event.message_id, id + 1);
    finish(&test);
}


/* Another producer's message, larger than any that we read, is not kept in
 * memory, but still goes to the dead letters. */
static void
test_giant(void **state)
{
    char            *body;
    v2m_test_t       test;
    v2m_amqp_event_t event;

    (void) state;
    setup_queue(&test);

    body = calloc(1, 1000000);
    broker_publish(test.queue, body, 1000000);
    broker_publish(test.queue, "small", 5);
    free(body);

    assert_int_equal(v2m_amqp_consume(test.amqp, test.queue, 5, &test.error),
                     V2M_OK);

    event = next_event(&test);
    assert_int_equal(event.type, V2M_AMQP_DELIVERY);
    assert_int_equal(event.length, 0);
    assert_int_equal(v2m_amqp_reject(test.amqp, event.tag, 0, &test.error),
                     V2M_OK);

    event = next_event(&test);
    assert_int_equal(event.length, 5);
    assert_memory_equal(event.body, "small", 5);

    assert_depth(&test, test.dead, 1);
    finish(&test);
}


/* However the broker puts its answers together, each message gets one. */
static void
test_confirms(void **state)
{
    int              i, left;
    uint64_t         tag;
    v2m_test_t       test;
    v2m_amqp_event_t event;

    static unsigned char confirmed[1001];

    (void) state;
    setup_queue(&test);
    memset(confirmed, 0, sizeof(confirmed));
    assert_int_equal(v2m_amqp_confirms(test.amqp, &test.error), V2M_OK);

    for (i = 1; i <= 1000; i++) {
        assert_int_equal(publish(&test, test.queue, "x", ""), i);
    }

    for (left = 1000; left > 0;) {
        event = next_event(&test);
        assert_int_equal(event.type, V2M_AMQP_ACK);
        assert_in_range(event.tag, 1, 1000);

        for (tag = event.multiple ? 1 : event.tag; tag <= event.tag; tag++) {
            left -= !confirmed[tag];
            confirmed[tag] = 1;
        }
    }

    assert_depth(&test, test.queue, 1000);
    finish(&test);
}


static void
test_returned(void **state)
{
    uint64_t         tag;
    v2m_test_t       test;
    v2m_amqp_event_t event;

    (void) state;
    setup(&test);
    assert_int_equal(v2m_amqp_confirms(test.amqp, &test.error), V2M_OK);

    tag = publish(&test, test.queue, "body", "the id");

    event = next_event(&test);
    assert_int_equal(event.type, V2M_AMQP_RETURN);
    assert_string_equal(event.message_id, "the id");

    event = next_event(&test);
    assert_int_equal(event.type, V2M_AMQP_ACK);
    assert_int_equal(event.tag, tag);
    finish(&test);
}


static void
test_nacked(void **state)
{
    int              i, acks, nacks;
    v2m_test_t       test;
    v2m_amqp_event_t event;

    (void) state;
    setup(&test);
    broker_make_classic(test.queue, 1);
    assert_int_equal(v2m_amqp_confirms(test.amqp, &test.error), V2M_OK);

    acks = 0;
    nacks = 0;

    for (i = 0; i < 10; i++) {
        publish(&test, test.queue, "x", "");
        event = next_event(&test);
        assert_int_equal(event.tag, i + 1);
        acks += event.type == V2M_AMQP_ACK;
        nacks += event.type == V2M_AMQP_NACK;
    }

    assert_int_equal(acks + nacks, 10);
    assert_in_range(acks, 1, 2);
    finish(&test);
}


static void
redeliver(v2m_test_t *test)
{
    v2m_amqp_event_t event;

    publish(test, test->queue, "x", "");
    assert_int_equal(v2m_amqp_consume(test->amqp, test->queue, 1, &test->error),
                     V2M_OK);

    event = next_event(test);
    assert_int_equal(event.delivery_count, 0);
    assert_int_equal(v2m_amqp_reject(test->amqp, event.tag, 1, &test->error),
                     V2M_OK);

    event = next_event(test);
    assert_int_equal(event.type, V2M_AMQP_DELIVERY);
    assert_int_equal(event.delivery_count, 1);
    finish(test);
}


static void
test_delivery_count(void **state)
{
    v2m_test_t test;

    (void) state;

    setup_queue(&test);
    redeliver(&test);

    setup(&test);
    broker_make_classic(test.queue, 0);
    redeliver(&test);
}


static void
test_prefetch(void **state)
{
    v2m_test_t       test;
    v2m_amqp_event_t event;

    (void) state;
    setup_queue(&test);
    publish(&test, test.queue, "1", "");
    publish(&test, test.queue, "2", "");
    publish(&test, test.queue, "3", "");

    assert_int_equal(v2m_amqp_consume(test.amqp, test.queue, 2, &test.error),
                     V2M_OK);
    event = next_event(&test);
    event = next_event(&test);
    assert_no_event(&test);

    assert_int_equal(v2m_amqp_ack(test.amqp, event.tag, &test.error), V2M_OK);
    event = next_event(&test);
    assert_memory_equal(event.body, "3", 1);
    finish(&test);
}


static void
test_cancel(void **state)
{
    v2m_test_t test;

    (void) state;
    setup_queue(&test);

    assert_int_equal(v2m_amqp_cancel(test.amqp, &test.error), V2M_OK);
    assert_int_equal(v2m_amqp_consume(test.amqp, test.queue, 2, &test.error),
                     V2M_OK);
    assert_int_equal(v2m_amqp_cancel(test.amqp, &test.error), V2M_OK);
    publish(&test, test.queue, "x", "");
    assert_no_event(&test);
    assert_depth(&test, test.queue, 1);

    /* and once more */
    assert_int_equal(v2m_amqp_consume(test.amqp, test.queue, 2, &test.error),
                     V2M_OK);
    assert_int_equal(next_event(&test).type, V2M_AMQP_DELIVERY);
    finish(&test);
}


/* What was delivered before the queue went can still be acknowledged. */
static void
test_cancelled(void **state)
{
    uint64_t         tag;
    v2m_test_t       test;
    v2m_amqp_event_t event;

    (void) state;
    setup_queue(&test);
    publish(&test, test.queue, "x", "");
    assert_int_equal(v2m_amqp_consume(test.amqp, test.queue, 2, &test.error),
                     V2M_OK);
    tag = next_event(&test).tag;

    broker_delete(test.queue);
    event = next_event(&test);
    assert_int_equal(event.type, V2M_AMQP_CANCELLED);
    assert_int_equal(v2m_amqp_ack(test.amqp, tag, &test.error), V2M_OK);

    assert_int_equal(v2m_amqp_declare(test.amqp, test.queue, 5, &test.error),
                     V2M_OK);
    assert_int_equal(v2m_amqp_consume(test.amqp, test.queue, 2, &test.error),
                     V2M_OK);
    publish(&test, test.queue, "y", "");
    assert_int_equal(next_event(&test).type, V2M_AMQP_DELIVERY);
    finish(&test);
}


/* A fault of ours, for which the broker closes the channel. */
static void
test_closed_by_the_broker(void **state)
{
    int              rc;
    v2m_test_t       test;
    v2m_amqp_event_t event;

    (void) state;
    setup_queue(&test);

    assert_int_equal(v2m_amqp_ack(test.amqp, 77, &test.error), V2M_OK);
    rc = v2m_amqp_wait(test.amqp, -1, TEST_PATIENCE_MS, &event, &test.error);
    assert_int_equal(rc, V2M_UNAVAILABLE);
    assert_non_null(strstr(test.error.text, "PRECONDITION_FAILED"));
    finish(&test);
}


/* What was acknowledged is so, although more was on its way here. */
static void
test_close(void **state)
{
    int              i, round;
    v2m_test_t       test;
    v2m_amqp_t      *consumer;
    v2m_amqp_event_t event;

    (void) state;

    for (round = 0; round < 10; round++) {
        setup(&test);
        broker_make_classic(test.queue, 0);

        for (i = 0; i < 300; i++) {
            publish(&test, test.queue, "some message", "");
        }

        assert_depth(&test, test.queue, 300);
        assert_int_equal(try_connect(&consumer, broker_url(), 5000, NULL),
                         V2M_OK);
        assert_int_equal(v2m_amqp_consume(consumer, test.queue, 200, NULL),
                         V2M_OK);

        for (i = 0; i < 50; i++) {
            assert_int_equal(
                v2m_amqp_wait(consumer, -1, TEST_PATIENCE_MS, &event, NULL),
                V2M_OK);
            assert_int_equal(event.type, V2M_AMQP_DELIVERY);
            assert_int_equal(v2m_amqp_ack(consumer, event.tag, NULL), V2M_OK);
        }

        v2m_amqp_close(consumer);
        assert_depth(&test, test.queue, 250);
        finish(&test);
    }
}


static void
test_wake(void **state)
{
    int              fd;
    int64_t          begin;
    v2m_test_t       test;
    v2m_amqp_event_t event;

    (void) state;
    setup_queue(&test);
    fd = eventfd(1, EFD_NONBLOCK);
    begin = v2m_clock_ms();

    assert_int_equal(v2m_amqp_wait(test.amqp, fd, 600000, &event, &test.error),
                     V2M_OK);
    assert_int_equal(event.type, V2M_AMQP_NONE);
    assert_in_range(v2m_clock_ms() - begin, 0, 60000);

    close(fd);
    finish(&test);
}


/* A broker may be told to use no heartbeats. */
static void
test_without_heartbeats(void **state)
{
    v2m_test_t         test;
    v2m_amqp_options_t options = { "v2m-test", 0, 5000 };

    (void) state;
    setup_queue(&test);
    v2m_amqp_close(test.amqp);

    assert_int_equal(
        v2m_amqp_connect(&test.amqp, broker_url(), &options, &test.error),
        V2M_OK);
    assert_no_event(&test);
    publish(&test, test.queue, "x", "");
    assert_depth(&test, test.queue, 1);
    finish(&test);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_declare),
        cmocka_unit_test(test_foreign_queue),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_message_id),
        cmocka_unit_test(test_giant),
        cmocka_unit_test(test_confirms),
        cmocka_unit_test(test_returned),
        cmocka_unit_test(test_nacked),
        cmocka_unit_test(test_delivery_count),
        cmocka_unit_test(test_prefetch),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_closed_by_the_broker),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_without_heartbeats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
