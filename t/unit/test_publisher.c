/* The publisher's thread, with the broker in V2M_AMQP_URL: tests that need it
 * are skipped without.  What needs a broker that fails is in
 * t/e2e/test_publisher.py. */

#include "broker.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "v2m_amqp.h"
#include "v2m_id.h"
#include "v2m_pause.h"
#include "v2m_publisher.h"

#define TEST_PATIENCE_MS 60000
#define TEST_THREADS     4
#define TEST_MANY        10000 /* by all threads */

typedef struct {
    char             queue[64];
    v2m_publisher_t *publisher;
    atomic_int       connected;
    atomic_int       troubles;
    atomic_int       confirmed;
    atomic_int       failed;
    atomic_int       full; /* refused */
    atomic_int       done[TEST_MANY];
} v2m_test_t;

/* One message. */
typedef struct {
    v2m_test_t *test;
    int         number;
} v2m_message_note_t;


static void
on_state(void *data, const v2m_error_t *error)
{
    v2m_test_t *test;

    test = data;

    if (error == NULL) {
        atomic_fetch_add(&test->connected, 1);
    } else {
        atomic_fetch_add(&test->troubles, 1);
    }
}


static void
on_done(void *data, int rc, const v2m_error_t *error)
{
    v2m_test_t         *test;
    v2m_message_note_t *note;

    note = data;
    test = note->test;

    if (rc == V2M_OK && error == NULL) {
        atomic_fetch_add(&test->confirmed, 1);
    } else if (rc == V2M_UNAVAILABLE && error->text[0] != '\0') {
        atomic_fetch_add(&test->failed, 1);
    }

    atomic_fetch_add(&test->done[note->number], 1);
    free(note);
}


static v2m_test_t *
setup(const char *url, size_t capacity)
{
    v2m_id_t                id;
    v2m_test_t             *test;
    v2m_error_t             error;
    v2m_publisher_options_t options;

    test = calloc(1, sizeof(v2m_test_t));
    v2m_id_generate(id);
    snprintf(test->queue, sizeof(test->queue), "test-%s", id);

    memset(&options, 0, sizeof(options));
    options.url = url;
    options.queue = test->queue;
    options.name = "v2m-test";
    options.delivery_limit = 5;
    options.confirm_timeout_ms = 30000;
    options.capacity = capacity;
    options.state = on_state;
    options.data = test;

    if (v2m_publisher_start(&test->publisher, &options, &error) != V2M_OK) {
        fail_msg("%s", error.text);
    }

    return test;
}


static void
sleep_ms(long milliseconds)
{
    struct timespec time = { 0, milliseconds * 1000000 };

    nanosleep(&time, NULL);
}


static void
wait_until(atomic_int *value, int least)
{
    int64_t until;

    until = v2m_clock_ms() + TEST_PATIENCE_MS;

    while (atomic_load(value) < least && v2m_clock_ms() < until) {
        sleep_ms(5);
    }

    assert_in_range(atomic_load(value), least, INT32_MAX);
}


static int
send_one(v2m_test_t *test, int number)
{
    int                 rc;
    char                body[32];
    v2m_error_t         error;
    v2m_message_note_t *note;

    note = malloc(sizeof(*note));
    note->test = test;
    note->number = number;
    snprintf(body, sizeof(body), "message %d", number);

    rc = v2m_publisher_send(test->publisher, body, strlen(body), body, on_done,
                            note, &error);
    if (rc != V2M_OK) {
        free(note);
    }

    return rc;
}


/* Sends its share of all; what was refused is tried again. */
static void *
send_many(void *data)
{
    int         rc, number, thread;
    v2m_test_t *test;

    static atomic_int threads;

    test = data;
    thread = atomic_fetch_add(&threads, 1) % TEST_THREADS;

    for (number = thread; number < TEST_MANY; number += TEST_THREADS) {
        while ((rc = send_one(test, number)) == V2M_FULL) {
            atomic_fetch_add(&test->full, 1);
            sleep_ms(1);
        }

        if (rc != V2M_OK) {
            atomic_fetch_add(&test->failed, 1);
        }
    }

    return NULL;
}


static void
send_all(v2m_test_t *test)
{
    int       i;
    pthread_t threads[TEST_THREADS];

    for (i = 0; i < TEST_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, test), 0);
    }

    for (i = 0; i < TEST_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}


static void
assert_each_done_once(v2m_test_t *test)
{
    int i;

    for (i = 0; i < TEST_MANY; i++) {
        assert_int_equal(test->done[i], 1);
    }
}


static int64_t
depth(const char *queue)
{
    int64_t            messages;
    v2m_amqp_t        *amqp;
    v2m_error_t        error;
    v2m_amqp_options_t options = { "v2m-test", 30, 5000 };

    messages = -1;

    if (v2m_amqp_connect(&amqp, broker_url(), &options, &error) != V2M_OK
        || v2m_amqp_depth(amqp, queue, &messages, &error) != V2M_OK)
    {
        fail_msg("%s", error.text);
    }

    v2m_amqp_close(amqp);

    return messages;
}


static void
finish(v2m_test_t *test)
{
    broker_delete(test->queue);
    free(test);
}


static void
test_unusable_options(void **state)
{
    v2m_error_t             error;
    v2m_publisher_t        *publisher;
    v2m_publisher_options_t options;

    (void) state;

    memset(&options, 0, sizeof(options));
    options.name = "v2m-test";
    options.capacity = 1;

    options.url = "http://localhost";
    options.queue = "test";
    assert_int_equal(v2m_publisher_start(&publisher, &options, &error),
                     V2M_INVALID);

    options.url = "amqp://localhost";
    options.queue = "";
    assert_int_equal(v2m_publisher_start(&publisher, &options, &error),
                     V2M_INVALID);

    v2m_publisher_stop(NULL);
}


static void
test_without_broker(void **state)
{
    v2m_test_t *test;

    (void) state;
    test = setup("amqp://user:password@127.0.0.1:1/", 10);

    wait_until(&test->troubles, 1);
    assert_false(v2m_publisher_ready(test->publisher));
    assert_int_equal(send_one(test, 0), V2M_UNAVAILABLE);

    v2m_publisher_stop(test->publisher);
    assert_int_equal(test->done[0], 0);
    assert_int_equal(test->connected, 0);
    free(test);
}


/* More at a time than the broker confirms with one word. */
static void
test_many_in_flight(void **state)
{
    v2m_test_t *test;

    (void) state;
    test = setup(broker_url(), TEST_MANY);

    wait_until(&test->connected, 1);
    assert_true(v2m_publisher_ready(test->publisher));
    send_all(test);
    wait_until(&test->confirmed, TEST_MANY);
    v2m_publisher_stop(test->publisher);

    assert_int_equal(test->failed, 0);
    assert_int_equal(test->full, 0);
    assert_each_done_once(test);
    assert_int_equal(depth(test->queue), TEST_MANY);
    finish(test);
}


/* The bound holds, and what was refused can be sent again. */
static void
test_few_at_a_time(void **state)
{
    v2m_test_t *test;

    (void) state;
    test = setup(broker_url(), 100);

    wait_until(&test->connected, 1);
    send_all(test);
    wait_until(&test->confirmed, TEST_MANY);
    v2m_publisher_stop(test->publisher);

    assert_int_equal(test->failed, 0);
    assert_in_range(test->full, 1, INT32_MAX);
    assert_each_done_once(test);
    finish(test);
}


static void
test_stop_in_flight(void **state)
{
    v2m_test_t *test;

    (void) state;
    test = setup(broker_url(), TEST_MANY);

    wait_until(&test->connected, 1);
    send_all(test);
    v2m_publisher_stop(test->publisher);

    /* nothing comes later, as the thread is gone */
    assert_int_equal(test->confirmed + test->failed, TEST_MANY);
    assert_each_done_once(test);
    assert_in_range(depth(test->queue), test->confirmed, TEST_MANY);
    finish(test);
}


static void
test_too_long(void **state)
{
    char       *body;
    v2m_test_t *test;
    v2m_error_t error;

    static const char id[] =
        "0123456789012345678901234567890123456789012345678901234567890123";

    (void) state;
    test = setup(broker_url(), 10);
    wait_until(&test->connected, 1);
    body = calloc(1, V2M_AMQP_BODY_MAX + 1);

    assert_int_equal(v2m_publisher_send(test->publisher, body,
                                        V2M_AMQP_BODY_MAX + 1, "id", on_done,
                                        NULL, &error),
                     V2M_INVALID);
    assert_int_equal(
        v2m_publisher_send(test->publisher, body, 1, id, on_done, NULL, &error),
        V2M_INVALID);
    assert_int_equal(send_one(test, 0), V2M_OK);
    wait_until(&test->confirmed, 1);

    free(body);
    v2m_publisher_stop(test->publisher);
    finish(test);
}


/* How many of the process's threads may take SIGTERM. */
static int
threads_that_take_signals(void)
{
    int                threads;
    DIR               *directory;
    char               path[300], line[128];
    FILE              *status;
    struct dirent     *entry;
    unsigned long long blocked;

    threads = 0;
    directory = opendir("/proc/self/task");

    while ((entry = readdir(directory)) != NULL) {
        snprintf(path, sizeof(path), "/proc/self/task/%s/status",
                 entry->d_name);

        status = fopen(path, "r");
        if (entry->d_name[0] == '.' || status == NULL) {
            continue;
        }

        while (fgets(line, sizeof(line), status) != NULL) {
            if (sscanf(line, "SigBlk: %llx", &blocked) == 1) {
                threads += !(blocked >> (SIGTERM - 1) & 1);
            }
        }

        fclose(status);
    }

    closedir(directory);

    return threads;
}


/* They are for the loop of the process it is in. */
static void
test_takes_no_signals(void **state)
{
    int         before;
    v2m_test_t *test;

    (void) state;

    before = threads_that_take_signals();
    assert_in_range(before, 1, 100);

    test = setup("amqp://user:password@127.0.0.1:1/", 10);
    wait_until(&test->troubles, 1);
    assert_int_equal(threads_that_take_signals(), before);

    v2m_publisher_stop(test->publisher);
    free(test);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unusable_options),
        cmocka_unit_test(test_without_broker),
        cmocka_unit_test(test_takes_no_signals),
        cmocka_unit_test(test_many_in_flight),
        cmocka_unit_test(test_few_at_a_time),
        cmocka_unit_test(test_stop_in_flight),
        cmocka_unit_test(test_too_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
