#include "v2m_worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "v2m_amqp.h"
#include "v2m_deliveries.h"
#include "v2m_log.h"
#include "v2m_metrics.h"
#include "v2m_pause.h"
#include "v2m_handlers.h"

#define V2M_WORKER_HEARTBEAT_S 30
#define V2M_WORKER_TIMEOUT_MS  5000
#define V2M_WORKER_TURN_MS     1000

/* pauses between attempts to connect */
#define V2M_WORKER_CONNECT_FIRST_MS 100
#define V2M_WORKER_CONNECT_MOST_MS  10000

/* a connection that held this long counts as good: pauses begin anew */
#define V2M_WORKER_GOOD_MS 10000

/* before consuming again from a queue that was deleted */
#define V2M_WORKER_CANCELLED_MS 1000

/* for handlers to return once v2m_worker_stopping() says so */
#define V2M_WORKER_GIVE_UP_MS 3000

typedef struct {
    const v2m_worker_options_t *options;
    v2m_handlers_t             *handlers;
    v2m_deliveries_t            deliveries;
    v2m_amqp_t                 *amqp; /* NULL: not connected */
    int                         consuming;
    int64_t                     consume_ms;   /* when to consume again */
    v2m_error_t                 trouble;      /* what the log said, or "" */
    int                         failures;     /* to connect, in a row */
    int64_t                     connect_ms;   /* when to connect again */
    int64_t                     connected_ms; /* since when */
    int                         draining;
    int64_t                     drain_ms; /* when the present patience ends */
} v2m_worker_t;

static atomic_int v2m_worker_signals;
static atomic_int v2m_worker_stop;
static atomic_int v2m_worker_wake_fd = -1;


int
v2m_worker_draining(void)
{
    return atomic_load(&v2m_worker_signals) > 0;
}


int
v2m_worker_stopping(void)
{
    return atomic_load(&v2m_worker_stop);
}


static void
v2m_worker_signal(int signal_number)
{
    int      saved;
    ssize_t  written;
    uint64_t one;

    /* whoever asks twice does not want to wait; the broker takes back what
     * the closed connection held */
    if (atomic_fetch_add(&v2m_worker_signals, 1) > 0) {
        _exit(128 + signal_number);
    }

    saved = errno;
    one = 1;
    written = write(atomic_load(&v2m_worker_wake_fd), &one, sizeof(one));
    (void) written;
    errno = saved;
}


static void
v2m_worker_install_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);

    action.sa_handler = v2m_worker_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}


/* The connection is of no more use: everything that came over it is void, and
 * the broker delivers it again. */
static void
v2m_worker_lost(v2m_worker_t *worker, const v2m_error_t *error)
{
    int64_t now;

    now = v2m_clock_ms();

    /* not every attempt, only what is new */

    if (strcmp(error->text, worker->trouble.text) != 0) {
        v2m_log(V2M_LOG_WARNING, NULL,
                "no connection to the broker, trying again: %s", error->text);
        worker->trouble = *error;
    }

    if (worker->connected_ms != 0
        && now - worker->connected_ms > V2M_WORKER_GOOD_MS)
    {
        worker->failures = 0;
    }

    v2m_deliveries_void(&worker->deliveries);
    v2m_amqp_close(worker->amqp);
    worker->amqp = NULL;
    worker->consuming = 0;
    worker->connected_ms = 0;
    worker->connect_ms =
        now
        + v2m_pause_ms(worker->failures++, V2M_WORKER_CONNECT_FIRST_MS,
                       V2M_WORKER_CONNECT_MOST_MS);
}


static int
v2m_worker_consume(v2m_worker_t *worker, v2m_error_t *error)
{
    int rc;

    rc = v2m_amqp_consume(worker->amqp, worker->options->queue,
                          worker->options->jobs, error);

    if (rc == V2M_OK) {
        worker->consuming = 1;
        v2m_deliveries_new_consumer(&worker->deliveries);
    }

    return rc;
}


static int
v2m_worker_declare_and_consume(v2m_worker_t *worker, v2m_error_t *error)
{
    int rc;

    rc = v2m_amqp_declare(worker->amqp, worker->options->queue,
                          worker->options->delivery_limit, error);

    return rc == V2M_OK ? v2m_worker_consume(worker, error) : rc;
}


static int
v2m_worker_open(v2m_worker_t *worker, v2m_error_t *error)
{
    int                         rc;
    v2m_amqp_options_t          amqp;
    const v2m_worker_options_t *options;

    options = worker->options;

    amqp.name = options->name;
    amqp.heartbeat_s = V2M_WORKER_HEARTBEAT_S;
    amqp.timeout_ms = V2M_WORKER_TIMEOUT_MS;

    rc = v2m_amqp_connect(&worker->amqp, options->url, &amqp, error);
    if (rc != V2M_OK) {
        worker->amqp = NULL;
        return rc;
    }

    v2m_deliveries_new_connection(&worker->deliveries, worker->amqp);

    if (options->reply_queue != NULL) {
        rc = v2m_amqp_declare(worker->amqp, options->reply_queue,
                              options->delivery_limit, error);
        if (rc == V2M_OK) {
            rc = v2m_amqp_confirms(worker->amqp, error);
        }

        if (rc != V2M_OK) {
            return rc;
        }
    }

    return v2m_worker_declare_and_consume(worker, error);
}


static void
v2m_worker_connect(v2m_worker_t *worker)
{
    v2m_error_t error;

    if (v2m_worker_open(worker, &error) != V2M_OK) {
        v2m_worker_lost(worker, &error);
        return;
    }

    v2m_log(V2M_LOG_INFO, NULL, "%s, consuming from queue \"%s\"",
            worker->trouble.text[0] != '\0' ? "the broker is back"
                                            : "connected",
            worker->options->queue);

    worker->trouble.text[0] = '\0';
    worker->connected_ms = v2m_clock_ms();
}


/* A consumer of its own for the rest of the queue, so that messages that wait
 * for their next attempt do not hold up the others. */
static int
v2m_worker_renew_consumer(v2m_worker_t *worker, v2m_error_t *error)
{
    int rc;

    rc = v2m_amqp_cancel(worker->amqp, error);

    return rc == V2M_OK ? v2m_worker_consume(worker, error) : rc;
}


static int
v2m_worker_event(v2m_worker_t *worker, const v2m_amqp_event_t *event,
                 v2m_error_t *error)
{
    if (event->type != V2M_AMQP_CANCELLED) {
        return v2m_deliveries_event(&worker->deliveries, event,
                                    worker->draining, error);
    }

    if (worker->consuming) {
        v2m_log(V2M_LOG_WARNING, NULL,
                "the broker ended consuming from queue \"%s\" (was it "
                "deleted?), beginning again",
                worker->options->queue);

        worker->consuming = 0;
        worker->consume_ms =
            v2m_clock_ms()
            + v2m_pause_ms(0, V2M_WORKER_CANCELLED_MS, V2M_WORKER_CANCELLED_MS);
    }

    return V2M_OK;
}


/* Waits for one event and does what is due; everything while connected. */
static int
v2m_worker_turn(v2m_worker_t *worker, int64_t timeout_ms, v2m_error_t *error)
{
    int              rc;
    v2m_amqp_event_t event;

    rc = v2m_amqp_wait(worker->amqp, v2m_handlers_fd(worker->handlers),
                       (int) timeout_ms, &event, error);

    if (rc == V2M_OK) {
        rc = v2m_worker_event(worker, &event, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_deliveries_advance(&worker->deliveries, worker->draining,
                                    error);
    }

    if (rc != V2M_OK || worker->draining) {
        return rc;
    }

    if (!worker->consuming) {
        return v2m_clock_ms() < worker->consume_ms
                   ? V2M_OK
                   : v2m_worker_declare_and_consume(worker, error);
    }

    if (v2m_deliveries_crowded(&worker->deliveries)) {
        return v2m_worker_renew_consumer(worker, error);
    }

    return V2M_OK;
}


static void
v2m_worker_turn_unconnected(v2m_worker_t *worker, int64_t timeout_ms)
{
    struct pollfd wake;

    wake.fd = v2m_handlers_fd(worker->handlers);
    wake.events = POLLIN;
    poll(&wake, 1, (int) timeout_ms);

    v2m_deliveries_discard_finished(&worker->deliveries);
}


static void
v2m_worker_begin_drain(v2m_worker_t *worker)
{
    int         rc;
    v2m_error_t error;

    worker->draining = 1;
    worker->drain_ms = v2m_clock_ms() + worker->options->drain_ms;

    v2m_log(V2M_LOG_INFO, NULL, "told to stop, %d under way",
            v2m_handlers_running(worker->handlers));

    if (worker->amqp == NULL) {
        return;
    }

    rc = worker->consuming ? v2m_amqp_cancel(worker->amqp, &error) : V2M_OK;
    worker->consuming = 0;

    if (rc == V2M_OK) {
        rc = v2m_deliveries_give_back_idle(&worker->deliveries, &error);
    }

    if (rc != V2M_OK) {
        v2m_worker_lost(worker, &error);
    }
}


/* Returns 1 when there is nothing left to wait for. */
static int
v2m_worker_drained(v2m_worker_t *worker)
{
    int64_t now;

    if (v2m_handlers_running(worker->handlers) == 0
        && (worker->amqp == NULL || v2m_deliveries_idle(&worker->deliveries)))
    {
        return 1;
    }

    now = v2m_clock_ms();

    if (!v2m_worker_stopping()) {
        /* without its connection, what a handler finishes is void */
        if (now >= worker->drain_ms || worker->amqp == NULL) {
            atomic_store(&v2m_worker_stop, 1);
            worker->drain_ms = now + V2M_WORKER_GIVE_UP_MS;
        }

        return 0;
    }

    return now >= worker->drain_ms;
}


static int64_t
v2m_worker_timeout(v2m_worker_t *worker)
{
    int64_t due, now;

    now = v2m_clock_ms();
    due = now + V2M_WORKER_TURN_MS;

    if (worker->draining && worker->drain_ms < due) {
        due = worker->drain_ms;
    }

    if (worker->amqp == NULL) {
        if (!worker->draining && worker->connect_ms < due) {
            due = worker->connect_ms;
        }

    } else {
        due = v2m_deliveries_next_due(&worker->deliveries, due);

        if (!worker->draining && !worker->consuming && worker->consume_ms < due)
        {
            due = worker->consume_ms;
        }
    }

    return due > now ? due - now : 0;
}


static void
v2m_worker_loop(v2m_worker_t *worker)
{
    v2m_error_t error;

    for (;;) {
        v2m_metrics_alive();
        v2m_metrics_set(V2M_METRICS_CONNECTED,
                        worker->amqp != NULL && worker->consuming);
        v2m_deliveries_report(&worker->deliveries);

        if (atomic_load(&v2m_worker_signals) > 0 && !worker->draining) {
            v2m_worker_begin_drain(worker);
        }

        if (worker->draining && v2m_worker_drained(worker)) {
            return;
        }

        if (worker->amqp == NULL && !worker->draining
            && v2m_clock_ms() >= worker->connect_ms)
        {
            v2m_worker_connect(worker);
            continue;
        }

        if (worker->amqp == NULL) {
            v2m_worker_turn_unconnected(worker, v2m_worker_timeout(worker));

        } else if (v2m_worker_turn(worker, v2m_worker_timeout(worker), &error)
                   != V2M_OK)
        {
            v2m_worker_lost(worker, &error);
        }
    }
}


/* What is still unacknowledged goes back with the connection. */
static void
v2m_worker_end(v2m_worker_t *worker)
{
    v2m_error_t error;

    if (worker->amqp != NULL) {
        v2m_deliveries_give_back_all(&worker->deliveries, &error);
        v2m_amqp_close(worker->amqp);
    }

    if (v2m_handlers_running(worker->handlers) > 0) {
        v2m_log(V2M_LOG_WARNING, NULL,
                "stopped without waiting longer for %d under way, the broker "
                "delivers them again",
                v2m_handlers_running(worker->handlers));
        _exit(EXIT_FAILURE);
    }

    v2m_log(V2M_LOG_INFO, NULL, "stopped");
}


int
v2m_worker_run(const v2m_worker_options_t *options, v2m_error_t *error)
{
    int          rc;
    v2m_worker_t worker;

    rc = v2m_amqp_check_url(options->url, error);
    if (rc != V2M_OK) {
        return rc;
    }

    memset(&worker, 0, sizeof(worker));
    worker.options = options;

    rc = v2m_handlers_create(&worker.handlers, options->jobs, options->handle,
                             options->data, error);
    if (rc != V2M_OK) {
        return rc;
    }

    atomic_store(&v2m_worker_signals, 0);
    atomic_store(&v2m_worker_stop, 0);
    atomic_store(&v2m_worker_wake_fd, v2m_handlers_fd(worker.handlers));
    v2m_worker_install_signals();

    v2m_deliveries_init(&worker.deliveries, options, worker.handlers);

    v2m_worker_loop(&worker);
    v2m_worker_end(&worker);

    v2m_deliveries_void(&worker.deliveries);
    v2m_handlers_destroy(worker.handlers);

    return V2M_OK;
}
