/* The workers' loop against a real broker, the one in V2M_AMQP_URL: skipped
 * without it. */

#include "broker.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "v2m_amqp.h"
#include "v2m_id.h"
#include "v2m_pause.h"
#include "v2m_worker.h"

#define TEST_PATIENCE_MS 60000

/* What a test's handler saw, and what makes the test's worker end. */
typedef struct {
    char        queue[64];
    char        reply_queue[64];
    char        dead_queue[80];
    atomic_int  handled;
    atomic_int  enough; /* the worker is told to stop after so many */
    atomic_int  lasts;
    atomic_int  attempts; /* of the bad message */
    atomic_int  good_before_second;
    atomic_int  good;
    atomic_int  released;
    v2m_amqp_t *amqp;
} v2m_test_t;


static void
sleep_ms(long milliseconds)
{
    struct timespec time = { 0, milliseconds * 1000000 };

    nanosleep(&time, NULL);
}


static v2m_amqp_t *
connect_broker(void)
{
    v2m_amqp_t        *amqp;
    v2m_error_t        error;
    v2m_amqp_options_t options = { "v2m-test", 30, 5000 };

    if (v2m_amqp_connect(&amqp, broker_url(), &options, &error) != V2M_OK) {
        fail_msg("%s", error.text);
    }

    return amqp;
}


static void
setup(v2m_test_t *test)
{
    v2m_id_t id;

    memset(test, 0, sizeof(*test));
    v2m_id_generate(id);
    snprintf(test->queue, sizeof(test->queue), "test-%s", id);
    snprintf(test->dead_queue, sizeof(test->dead_queue), "%s.dead",
             test->queue);
    snprintf(test->reply_queue, sizeof(test->reply_queue), "test-%s-reply", id);

    test->amqp = connect_broker();
    assert_int_equal(v2m_amqp_declare(test->amqp, test->queue, 5, NULL),
                     V2M_OK);
    assert_int_equal(v2m_amqp_declare(test->amqp, test->reply_queue, 5, NULL),
                     V2M_OK);
    assert_int_equal(v2m_amqp_confirms(test->amqp, NULL), V2M_OK);
}


static void
finish(v2m_test_t *test)
{
    v2m_amqp_close(test->amqp);
    broker_delete(test->queue);
    broker_delete(test->reply_queue);
}


static void
publish(v2m_test_t *test, const char *body)
{
    uint64_t         tag;
    v2m_amqp_event_t event;

    assert_int_equal(v2m_amqp_publish(test->amqp, test->queue, body,
                                      strlen(body), "", &tag, NULL),
                     V2M_OK);
    do {
        assert_int_equal(v2m_amqp_wait(test->amqp, -1, 5000, &event, NULL),
                         V2M_OK);
        assert_int_not_equal(event.type, V2M_AMQP_NONE);
    } while (event.type != V2M_AMQP_ACK);
}


/* Waits until the queue holds so many ready messages. */
static void
assert_depth(v2m_test_t *test, const char *queue, int64_t expected)
{
    int64_t depth, until;

    depth = -1;
    until = v2m_clock_ms() + 10000;

    while (v2m_clock_ms() < until) {
        assert_int_equal(v2m_amqp_depth(test->amqp, queue, &depth, NULL),
                         V2M_OK);
        if (depth == expected) {
            return;
        }

        sleep_ms(50);
    }

    fail_msg("%d messages in %s, not %d", (int) depth, queue, (int) expected);
}


/* The worker runs on the main thread, so another one ends it. */
static void *
stop_when_enough(void *data)
{
    int64_t     until;
    v2m_test_t *test;

    test = data;
    until = v2m_clock_ms() + TEST_PATIENCE_MS;

    while (atomic_load(&test->handled) < atomic_load(&test->enough)
           && v2m_clock_ms() < until)
    {
        sleep_ms(10);
    }

    kill(getpid(), SIGTERM);

    return NULL;
}


static void
run(v2m_test_t *test, v2m_worker_handler_pt handle, int jobs, int attempts,
    int drain_ms)
{
    pthread_t            thread;
    v2m_error_t          error;
    v2m_worker_options_t options;

    memset(&options, 0, sizeof(options));
    options.name = "v2m-test";
    options.url = broker_url();
    options.queue = test->queue;
    options.reply_queue = test->reply_queue;
    options.jobs = jobs;
    options.delivery_limit = attempts;
    options.drain_ms = drain_ms;
    options.handle = handle;
    options.data = test;

    /* until the worker has its own handlers */
    signal(SIGTERM, SIG_IGN);

    assert_int_equal(pthread_create(&thread, NULL, stop_when_enough, test), 0);
    assert_int_equal(v2m_worker_run(&options, &error), V2M_OK);
    pthread_join(thread, NULL);
}


static v2m_worker_outcome_t
handle_with_reply(void *data, const v2m_worker_delivery_t *delivery,
                  v2m_worker_reply_t *reply)
{
    v2m_test_t *test;

    test = data;

    reply->queue = test->reply_queue;
    reply->body = strndup(delivery->body, delivery->length);
    snprintf(reply->message_id, sizeof(reply->message_id), "%s", reply->body);
    atomic_fetch_add(&test->handled, 1);

    return V2M_WORKER_DONE;
}


static void
test_replies(void **state)
{
    int        i;
    char       body[16];
    v2m_test_t test;

    (void) state;
    setup(&test);

    for (i = 0; i < 40; i++) {
        snprintf(body, sizeof(body), "%d", i);
        publish(&test, body);
    }

    test.enough = 40;
    run(&test, handle_with_reply, 4, 5, 10000);

    assert_depth(&test, test.queue, 0);
    assert_depth(&test, test.reply_queue, 40);
    finish(&test);
}


static v2m_worker_outcome_t
handle_reject(void *data, const v2m_worker_delivery_t *delivery,
              v2m_worker_reply_t *reply)
{
    v2m_test_t *test;

    (void) delivery;

    test = data;

    reply->queue = test->reply_queue;
    reply->body = strdup("failed");
    atomic_fetch_add(&test->handled, 1);

    return V2M_WORKER_REJECT;
}


static void
test_reject(void **state)
{
    v2m_test_t test;

    (void) state;
    setup(&test);
    publish(&test, "x");

    test.enough = 1;
    run(&test, handle_reject, 1, 5, 10000);

    assert_depth(&test, test.queue, 0);
    assert_depth(&test, test.dead_queue, 1);
    assert_depth(&test, test.reply_queue, 1);
    finish(&test);
}


static v2m_worker_outcome_t
handle_bad_one(void *data, const v2m_worker_delivery_t *delivery,
               v2m_worker_reply_t *reply)
{
    v2m_test_t *test;

    (void) reply;

    test = data;

    if (strcmp(delivery->body, "bad") != 0) {
        atomic_fetch_add(&test->good, 1);
        atomic_fetch_add(&test->handled, 1);
        return V2M_WORKER_DONE;
    }

    if (atomic_fetch_add(&test->attempts, 1) == 1) {
        atomic_store(&test->good_before_second, atomic_load(&test->good));
    }

    if (delivery->last) {
        atomic_fetch_add(&test->lasts, 1);
        atomic_fetch_add(&test->handled, 1);
    }

    return V2M_WORKER_RETRY;
}


/* One thread: a message between two attempts must not hold up the others. */
static void
test_retry(void **state)
{
    int        i;
    int64_t    begin;
    v2m_test_t test;

    (void) state;
    setup(&test);

    publish(&test, "bad");
    for (i = 0; i < 10; i++) {
        publish(&test, "good");
    }

    begin = v2m_clock_ms();
    test.enough = 11;
    run(&test, handle_bad_one, 1, 3, 10000);

    assert_int_equal(test.attempts, 3);
    assert_int_equal(test.lasts, 1);
    assert_int_equal(test.good_before_second, 10);
    assert_in_range(v2m_clock_ms() - begin, 250 + 500, TEST_PATIENCE_MS);
    assert_depth(&test, test.queue, 0);
    assert_depth(&test, test.dead_queue, 1);
    finish(&test);
}


static v2m_worker_outcome_t
handle_slowly(void *data, const v2m_worker_delivery_t *delivery,
              v2m_worker_reply_t *reply)
{
    int         i;
    v2m_test_t *test;

    (void) delivery;
    (void) reply;

    test = data;
    atomic_fetch_add(&test->handled, 1);

    for (i = 0; i < 50; i++) {
        sleep_ms(20);
    }

    atomic_fetch_add(&test->good, 1);

    return v2m_worker_stopping() ? V2M_WORKER_RETRY : V2M_WORKER_DONE;
}


/* What runs is finished, what waits is given back. */
static void
test_drain(void **state)
{
    v2m_test_t test;

    (void) state;
    setup(&test);
    publish(&test, "a");
    publish(&test, "b");
    publish(&test, "c");

    test.enough = 1;
    run(&test, handle_slowly, 1, 5, 20000);

    assert_int_equal(test.good, 1);
    assert_depth(&test, test.queue, 2);
    finish(&test);
}


static v2m_worker_outcome_t
handle_until_stopping(void *data, const v2m_worker_delivery_t *delivery,
                      v2m_worker_reply_t *reply)
{
    v2m_test_t *test;

    (void) delivery;
    (void) reply;

    test = data;
    atomic_fetch_add(&test->handled, 1);

    while (!v2m_worker_stopping()) {
        sleep_ms(10);
    }

    atomic_fetch_add(&test->released, 1);

    return V2M_WORKER_RETRY;
}


static void
test_give_back(void **state)
{
    v2m_test_t test;

    (void) state;
    setup(&test);
    publish(&test, "a");
    publish(&test, "b");

    test.enough = 2;
    run(&test, handle_until_stopping, 2, 1, 300);

    assert_int_equal(test.released, 2);
    assert_depth(&test, test.queue, 2);
    finish(&test);
}


static v2m_worker_outcome_t
handle_nothing(void *data, const v2m_worker_delivery_t *delivery,
               v2m_worker_reply_t *reply)
{
    (void) data;
    (void) delivery;
    (void) reply;

    return V2M_WORKER_DONE;
}


static void *
stop_soon(void *data)
{
    (void) data;

    sleep_ms(900);
    kill(getpid(), SIGTERM);

    return NULL;
}


static void
test_without_broker(void **state)
{
    int64_t              begin;
    pthread_t            thread;
    v2m_error_t          error;
    v2m_worker_options_t options;

    (void) state;

    memset(&options, 0, sizeof(options));
    options.name = "v2m-test";
    options.url = "amqp://guest:guest@127.0.0.1:1";
    options.queue = "test";
    options.jobs = 1;
    options.delivery_limit = 1;
    options.drain_ms = 60000;
    options.handle = handle_nothing;

    signal(SIGTERM, SIG_IGN);
    begin = v2m_clock_ms();

    assert_int_equal(pthread_create(&thread, NULL, stop_soon, NULL), 0);
    assert_int_equal(v2m_worker_run(&options, &error), V2M_OK);
    pthread_join(thread, NULL);

    assert_in_range(v2m_clock_ms() - begin, 900, 10000);

    options.url = "http://127.0.0.1";
    assert_int_equal(v2m_worker_run(&options, &error), V2M_INVALID);
}


static void
test_pauses(void **state)
{
    int     i, attempt;
    int64_t pause, full;

    (void) state;

    for (attempt = 0; attempt < 40; attempt++) {
        full = attempt < 6 ? 500 << attempt : 30000;

        for (i = 0; i < 50; i++) {
            pause = v2m_pause_ms(attempt, 500, 30000);
            assert_in_range(pause, full / 2, full);
        }
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses),         cmocka_unit_test(test_replies),
        cmocka_unit_test(test_reject),         cmocka_unit_test(test_retry),
        cmocka_unit_test(test_drain),          cmocka_unit_test(test_give_back),
        cmocka_unit_test(test_without_broker),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
