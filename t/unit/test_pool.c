/* The pool of connections: bounds, reuse, what breaks, and threads. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_pool.h"

#define CAPACITY 3
#define THREADS  8

typedef struct {
    int dead;   /* no longer works */
    int in_use; /* by more than one at a time: a fault */
} connection_t;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int             opened, closed, most, unavailable;


static int
open_connection(void *data, void **connection, v2m_error_t *error)
{
    assert_ptr_equal(data, &opened);

    if (unavailable) {
        return v2m_error_set(error, V2M_UNAVAILABLE, "nobody is there");
    }

    *connection = calloc(1, sizeof(connection_t));
    assert_non_null(*connection);

    pthread_mutex_lock(&mutex);
    opened++;
    most = opened - closed > most ? opened - closed : most;
    pthread_mutex_unlock(&mutex);

    return V2M_OK;
}


static int
connection_works(void *connection)
{
    return !((connection_t *) connection)->dead;
}


static void
close_connection(void *connection)
{
    pthread_mutex_lock(&mutex);
    closed++;
    pthread_mutex_unlock(&mutex);

    free(connection);
}


static v2m_pool_t *
make(int timeout_ms)
{
    char               what[] = "the server";
    v2m_pool_t        *pool;
    v2m_error_t        error;
    v2m_pool_options_t options = {
        .capacity = CAPACITY,
        .timeout_ms = timeout_ms,
        .what = what,
        .open = open_connection,
        .works = connection_works,
        .close = close_connection,
        .data = &opened,
    };

    opened = closed = most = unavailable = 0;

    assert_int_equal(v2m_pool_create(&pool, &options, &error), V2M_OK);

    memset(what, 'x', sizeof(what));

    return pool;
}


static connection_t *
take(v2m_pool_t *pool)
{
    void       *connection;
    v2m_error_t error;

    assert_int_equal(v2m_pool_take(pool, &connection, &error), V2M_OK);

    return connection;
}


static void
test_reuse(void **state)
{
    v2m_pool_t   *pool;
    connection_t *one, *two;

    (void) state;

    pool = make(0);
    assert_int_equal(opened, 0);

    one = take(pool);
    two = take(pool);
    assert_int_equal(opened, 2);

    v2m_pool_give(pool, one, 0);
    assert_ptr_equal(take(pool), one);
    assert_int_equal(opened, 2);

    v2m_pool_give(pool, one, 0);
    v2m_pool_give(pool, two, 0);
    assert_int_equal(closed, 0);

    v2m_pool_destroy(pool);
    assert_int_equal(closed, 2);

    v2m_pool_destroy(NULL);
}


static void
test_full(void **state)
{
    int           i;
    void         *other;
    v2m_pool_t   *pool;
    v2m_error_t   error;
    connection_t *taken[CAPACITY];

    (void) state;

    pool = make(1);

    for (i = 0; i < CAPACITY; i++) {
        taken[i] = take(pool);
    }

    assert_int_equal(v2m_pool_take(pool, &other, &error), V2M_UNAVAILABLE);
    assert_string_equal(error.text, "all 3 connections to the server are busy");

    /* there is room again, with the same one and with a new one */

    v2m_pool_give(pool, taken[0], 0);
    assert_ptr_equal(take(pool), taken[0]);

    v2m_pool_give(pool, taken[0], 1);
    assert_int_equal(closed, 1);
    taken[0] = take(pool);
    assert_int_equal(opened, CAPACITY + 1);

    for (i = 0; i < CAPACITY; i++) {
        v2m_pool_give(pool, taken[i], 0);
    }

    v2m_pool_destroy(pool);
    assert_int_equal(closed, opened);
}


/* A server that restarted has ended every idle connection. */
static void
test_broken(void **state)
{
    int           i;
    void         *none;
    v2m_pool_t   *pool;
    v2m_error_t   error;
    connection_t *taken[CAPACITY];

    (void) state;

    pool = make(0);

    for (i = 0; i < CAPACITY; i++) {
        taken[i] = take(pool);
    }

    for (i = 0; i < CAPACITY; i++) {
        taken[i]->dead = 1;
        v2m_pool_give(pool, taken[i], 0);
    }

    /* as long as it is away no room is lost */

    unavailable = 1;

    for (i = 0; i < 2 * CAPACITY; i++) {
        assert_int_equal(v2m_pool_take(pool, &none, &error), V2M_UNAVAILABLE);
        assert_string_equal(error.text, "nobody is there");
    }

    assert_int_equal(closed, CAPACITY);

    unavailable = 0;

    for (i = 0; i < CAPACITY; i++) {
        taken[i] = take(pool);
        assert_false(taken[i]->dead);
    }

    assert_int_equal(v2m_pool_take(pool, &none, &error), V2M_UNAVAILABLE);
    assert_string_equal(error.text, "all 3 connections to the server are busy");

    for (i = 0; i < CAPACITY; i++) {
        v2m_pool_give(pool, taken[i], 0);
    }

    v2m_pool_destroy(pool);
    assert_int_equal(closed, opened);
}


static void *
use(void *pool)
{
    int   i;
    void *taken;

    for (i = 0; i < 500; i++) {
        if (v2m_pool_take(pool, &taken, NULL) != V2M_OK
            || ((connection_t *) taken)->in_use++ != 0)
        {
            return NULL;
        }

        sched_yield();

        ((connection_t *) taken)->in_use--;
        v2m_pool_give(pool, taken, i % 7 == 0);
    }

    return pool;
}


/* More threads than connections: they wait, and each has its own. */
static void
test_threads(void **state)
{
    int         i;
    void       *result;
    pthread_t   threads[THREADS];
    v2m_pool_t *pool;

    (void) state;

    pool = make(60000);

    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use, pool), 0);
    }

    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, pool);
    }

    assert_in_range(most, 1, CAPACITY);

    v2m_pool_destroy(pool);
    assert_int_equal(closed, opened);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
