#include "v2m_deliveries.h"

#include <stdlib.h>
#include <string.h>

#include "v2m_log.h"
#include "v2m_metrics.h"
#include "v2m_pause.h"
#include "v2m_point.h"

/* pauses before a message is given back for its next attempt */
#define V2M_DELIVERIES_FIRST_MS 500
#define V2M_DELIVERIES_MOST_MS  30000

#define V2M_DELIVERIES_CONFIRM_MS 10000

/* how many messages a worker keeps from the others between two attempts */
#define V2M_DELIVERIES_HELD 64

typedef enum {
    V2M_SETTLE_DONE,
    V2M_SETTLE_GIVE_BACK,
    V2M_SETTLE_DEAD
} v2m_settle_t;


void
v2m_deliveries_init(v2m_deliveries_t           *deliveries,
                    const v2m_worker_options_t *options,
                    v2m_handlers_t             *handlers)
{
    memset(deliveries, 0, sizeof(*deliveries));

    deliveries->options = options;
    deliveries->handlers = handlers;
    TAILQ_INIT(&deliveries->publishing);
    TAILQ_INIT(&deliveries->pausing);
}


void
v2m_deliveries_new_connection(v2m_deliveries_t *deliveries, v2m_amqp_t *amqp)
{
    deliveries->amqp = amqp;
    deliveries->connection++;
    deliveries->blocked = 0;
}


void
v2m_deliveries_new_consumer(v2m_deliveries_t *deliveries)
{
    deliveries->consumer++;
    deliveries->taken = 0;
    deliveries->paused = 0;
}


static void
v2m_deliveries_free_list(v2m_work_list_t *list)
{
    v2m_work_t *work;

    while ((work = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, work, link);
        v2m_work_free(work);
    }
}


void
v2m_deliveries_void(v2m_deliveries_t *deliveries)
{
    v2m_work_list_t waiting;

    TAILQ_INIT(&waiting);
    v2m_handlers_withdraw(deliveries->handlers, &waiting);

    v2m_deliveries_free_list(&waiting);
    v2m_deliveries_free_list(&deliveries->publishing);
    v2m_deliveries_free_list(&deliveries->pausing);

    deliveries->amqp = NULL;
    deliveries->connection++;
    deliveries->taken = 0;
    deliveries->paused = 0;
    deliveries->held = 0;
    deliveries->in_hand = 0;
}


/* Tells the broker and frees the work, which is in no list. */
static int
v2m_deliveries_settle(v2m_deliveries_t *deliveries, v2m_work_t *work,
                      v2m_settle_t how, v2m_error_t *error)
{
    uint64_t tag;

    tag = work->tag;
    deliveries->in_hand--;

    if (work->consumer == deliveries->consumer) {
        deliveries->taken--;
    }

    if (how == V2M_SETTLE_GIVE_BACK) {
        v2m_attempts_add(&deliveries->attempts, work->key);
    } else {
        v2m_attempts_forget(&deliveries->attempts, work->key);
    }

    v2m_work_free(work);

    v2m_metrics_count(how == V2M_SETTLE_DONE        ? V2M_METRICS_DONE
                      : how == V2M_SETTLE_GIVE_BACK ? V2M_METRICS_GIVEN_BACK
                                                    : V2M_METRICS_DEAD);

    v2m_point("settle");

    switch (how) {
    case V2M_SETTLE_DONE:
        return v2m_amqp_ack(deliveries->amqp, tag, error);
    case V2M_SETTLE_GIVE_BACK:
        return v2m_amqp_reject(deliveries->amqp, tag, 1, error);
    default:
        return v2m_amqp_reject(deliveries->amqp, tag, 0, error);
    }
}


static void
v2m_deliveries_hold(v2m_deliveries_t *deliveries, v2m_work_t *work, int again,
                    int64_t pause_ms)
{
    work->again = again;
    work->due_ms = v2m_clock_ms() + pause_ms;
    TAILQ_INSERT_TAIL(&deliveries->pausing, work, link);
    deliveries->held++;

    if (work->consumer == deliveries->consumer) {
        deliveries->paused++;
    }
}


/* Keeps the work for a while that grows with its attempts. */
static void
v2m_deliveries_pause(v2m_deliveries_t *deliveries, v2m_work_t *work)
{
    int64_t pause;

    pause = v2m_pause_ms(work->delivery.delivery_count, V2M_DELIVERIES_FIRST_MS,
                         V2M_DELIVERIES_MOST_MS);

    v2m_log(V2M_LOG_DEBUG, work->reply.job,
            "attempt %d did not work, next in %d ms",
            work->delivery.delivery_count + 1, (int) pause);

    v2m_deliveries_hold(deliveries, work, 0, pause);
}


static void
v2m_deliveries_unpause(v2m_deliveries_t *deliveries, v2m_work_t *work)
{
    TAILQ_REMOVE(&deliveries->pausing, work, link);
    deliveries->held--;

    if (work->consumer == deliveries->consumer) {
        deliveries->paused--;
    }
}


static int
v2m_deliveries_publish(v2m_deliveries_t *deliveries, v2m_work_t *work,
                       v2m_error_t *error)
{
    int rc;

    work->due_ms = v2m_clock_ms() + V2M_DELIVERIES_CONFIRM_MS;
    TAILQ_INSERT_TAIL(&deliveries->publishing, work, link);

    if (deliveries->blocked) {
        return V2M_OK;
    }

    v2m_point("publish");
    rc = v2m_amqp_publish(deliveries->amqp, work->reply.queue, work->reply.body,
                          strlen(work->reply.body), work->reply.message_id,
                          &work->publish_tag, error);

    if (rc == V2M_INVALID) {
        v2m_log(V2M_LOG_ERROR, work->reply.job,
                "a message of queue \"%s\" goes to the dead letters, its "
                "answer cannot be sent: %s",
                deliveries->options->queue, error->text);
        TAILQ_REMOVE(&deliveries->publishing, work, link);
        rc = v2m_deliveries_settle(deliveries, work, V2M_SETTLE_DEAD, error);
    }

    return rc;
}


static int
v2m_deliveries_retry(v2m_deliveries_t *deliveries, v2m_work_t *work,
                     int draining, v2m_error_t *error)
{
    if (draining) {
        return v2m_deliveries_settle(deliveries, work, V2M_SETTLE_GIVE_BACK,
                                     error);
    }

    if (work->delivery.last) {
        v2m_log(V2M_LOG_WARNING, work->reply.job,
                "a message of queue \"%s\" did not work %d times: it goes to "
                "the dead letters",
                deliveries->options->queue, work->delivery.delivery_count + 1);
        return v2m_deliveries_settle(deliveries, work, V2M_SETTLE_DEAD, error);
    }

    v2m_deliveries_pause(deliveries, work);

    return V2M_OK;
}


static int
v2m_deliveries_finish(v2m_deliveries_t *deliveries, v2m_work_t *work,
                      int draining, v2m_error_t *error)
{
    if (work->connection != deliveries->connection) {
        v2m_work_free(work);
        return V2M_OK;
    }

    if (work->outcome == V2M_WORKER_WAIT && !draining) {
        v2m_deliveries_hold(deliveries, work, 1, work->reply.pause_ms);
        return V2M_OK;
    }

    if (work->outcome == V2M_WORKER_RETRY || work->outcome == V2M_WORKER_WAIT) {
        return v2m_deliveries_retry(deliveries, work, draining, error);
    }

    if (work->reply.queue != NULL && work->reply.body != NULL) {
        return v2m_deliveries_publish(deliveries, work, error);
    }

    return v2m_deliveries_settle(
        deliveries, work,
        work->outcome == V2M_WORKER_DONE ? V2M_SETTLE_DONE : V2M_SETTLE_DEAD,
        error);
}


static int
v2m_deliveries_take(v2m_deliveries_t *deliveries, const v2m_amqp_event_t *event,
                    int draining, v2m_error_t *error)
{
    int         known;
    v2m_work_t *work;

    if (draining) {
        return v2m_amqp_reject(deliveries->amqp, event->tag, 1, error);
    }

    work = calloc(1, sizeof(*work));
    if (work != NULL) {
        work->body = malloc(event->length + 1);
    }

    if (work == NULL || work->body == NULL) {
        free(work);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    memcpy(work->body, event->body, event->length);
    work->body[event->length] = '\0';

    work->tag = event->tag;
    work->key = v2m_attempts_key(work->body, event->length);
    work->connection = deliveries->connection;
    work->consumer = deliveries->consumer;

    work->delivery.body = work->body;
    work->delivery.length = event->length;
    work->delivery.delivery_count = event->delivery_count;

    known = v2m_attempts_count(&deliveries->attempts, work->key);
    if (work->delivery.delivery_count < known) {
        work->delivery.delivery_count = known;
    }

    work->delivery.last = work->delivery.delivery_count + 1
                          >= deliveries->options->delivery_limit;

    work->delivery.held = deliveries->held;

    v2m_metrics_count(V2M_METRICS_ATTEMPTS);

    if (work->delivery.delivery_count > 0) {
        v2m_metrics_count(V2M_METRICS_REPEATED);

    } else if (event->published_ms > 0) {
        v2m_metrics_took(V2M_METRICS_QUEUE,
                         (v2m_wall_ms() - event->published_ms) * 1000);
    }

    deliveries->taken++;
    deliveries->in_hand++;
    v2m_handlers_submit(deliveries->handlers, work);

    return V2M_OK;
}


/* The first work that the broker's word is about. */
static v2m_work_t *
v2m_deliveries_published(const v2m_deliveries_t *deliveries,
                         const v2m_amqp_event_t *event)
{
    v2m_work_t *work;

    TAILQ_FOREACH(work, &deliveries->publishing, link)
    {
        if (work->publish_tag != 0
            && (work->publish_tag == event->tag
                || (event->multiple && work->publish_tag < event->tag)))
        {
            return work;
        }
    }

    return NULL;
}


static int
v2m_deliveries_confirm(v2m_deliveries_t       *deliveries,
                       const v2m_amqp_event_t *event, v2m_error_t *error)
{
    int         rc;
    v2m_work_t *work;

    while ((work = v2m_deliveries_published(deliveries, event)) != NULL) {
        TAILQ_REMOVE(&deliveries->publishing, work, link);

        if (event->type == V2M_AMQP_NACK || work->returned) {
            v2m_log(V2M_LOG_WARNING, work->reply.job,
                    "the broker did not take a message for queue \"%s\"",
                    work->reply.queue);
            v2m_deliveries_pause(deliveries, work);
            continue;
        }

        rc = v2m_deliveries_settle(deliveries, work,
                                   work->outcome == V2M_WORKER_DONE
                                       ? V2M_SETTLE_DONE
                                       : V2M_SETTLE_DEAD,
                                   error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    return V2M_OK;
}


/* The reply's queue is gone: the message counts as not sent, and the next
 * attempt finds a new queue. */
static int
v2m_deliveries_returned(v2m_deliveries_t *deliveries, const char *message_id,
                        v2m_error_t *error)
{
    v2m_work_t *work;

    TAILQ_FOREACH(work, &deliveries->publishing, link)
    {
        if (work->publish_tag != 0
            && strcmp(work->reply.message_id, message_id) == 0) {
            work->returned = 1;
        }
    }

    return v2m_amqp_declare(deliveries->amqp, deliveries->options->reply_queue,
                            deliveries->options->delivery_limit, error);
}


static int
v2m_deliveries_unblocked(v2m_deliveries_t *deliveries, v2m_error_t *error)
{
    int             rc;
    v2m_work_t     *work;
    v2m_work_list_t waiting;

    v2m_log(V2M_LOG_INFO, NULL, "the broker takes messages again");

    deliveries->blocked = 0;

    TAILQ_INIT(&waiting);
    TAILQ_CONCAT(&waiting, &deliveries->publishing, link);

    rc = V2M_OK;

    while ((work = TAILQ_FIRST(&waiting)) != NULL) {
        TAILQ_REMOVE(&waiting, work, link);

        if (work->publish_tag == 0 && rc == V2M_OK) {
            rc = v2m_deliveries_publish(deliveries, work, error);

        } else {
            work->due_ms = v2m_clock_ms() + V2M_DELIVERIES_CONFIRM_MS;
            TAILQ_INSERT_TAIL(&deliveries->publishing, work, link);
        }
    }

    return rc;
}


int
v2m_deliveries_event(v2m_deliveries_t       *deliveries,
                     const v2m_amqp_event_t *event, int draining,
                     v2m_error_t *error)
{
    switch (event->type) {
    case V2M_AMQP_DELIVERY:
        return v2m_deliveries_take(deliveries, event, draining, error);

    case V2M_AMQP_ACK:
    case V2M_AMQP_NACK:
        return v2m_deliveries_confirm(deliveries, event, error);

    case V2M_AMQP_RETURN:
        return v2m_deliveries_returned(deliveries, event->message_id, error);

    case V2M_AMQP_BLOCKED:
        v2m_log(V2M_LOG_WARNING, NULL,
                "the broker takes no messages for the time being (memory or "
                "disk alarm)");
        deliveries->blocked = 1;
        return V2M_OK;

    case V2M_AMQP_UNBLOCKED:
        return v2m_deliveries_unblocked(deliveries, error);

    default:
        return V2M_OK;
    }
}


static v2m_work_t *
v2m_deliveries_due(const v2m_work_list_t *list, int64_t now_ms)
{
    v2m_work_t *work;

    TAILQ_FOREACH(work, list, link)
    {
        if (work->due_ms <= now_ms) {
            return work;
        }
    }

    return NULL;
}


int
v2m_deliveries_advance(v2m_deliveries_t *deliveries, int draining,
                       v2m_error_t *error)
{
    int             rc;
    int64_t         now;
    v2m_work_t     *work;
    v2m_work_list_t finished;

    rc = V2M_OK;
    now = v2m_clock_ms();

    TAILQ_INIT(&finished);
    v2m_handlers_finished(deliveries->handlers, &finished);

    while (rc == V2M_OK && (work = TAILQ_FIRST(&finished)) != NULL) {
        TAILQ_REMOVE(&finished, work, link);
        rc = v2m_deliveries_finish(deliveries, work, draining, error);
    }

    v2m_deliveries_free_list(&finished);

    while (rc == V2M_OK
           && (work = v2m_deliveries_due(&deliveries->pausing, now)) != NULL)
    {
        v2m_deliveries_unpause(deliveries, work);

        if (work->again) {
            free(work->reply.body);
            memset(&work->reply, 0, sizeof(work->reply));
            work->delivery.held = deliveries->held;
            v2m_handlers_submit(deliveries->handlers, work);
            continue;
        }

        rc = v2m_deliveries_settle(deliveries, work, V2M_SETTLE_GIVE_BACK,
                                   error);
    }

    while (rc == V2M_OK && !deliveries->blocked
           && (work = v2m_deliveries_due(&deliveries->publishing, now)) != NULL)
    {
        v2m_log(V2M_LOG_WARNING, work->reply.job,
                "the broker did not confirm a message for queue \"%s\" in time",
                work->reply.queue);
        TAILQ_REMOVE(&deliveries->publishing, work, link);
        v2m_deliveries_pause(deliveries, work);
    }

    return rc;
}


static int64_t
v2m_deliveries_first_due(const v2m_work_list_t *list, int64_t most_ms)
{
    v2m_work_t *work;

    TAILQ_FOREACH(work, list, link)
    {
        if (work->due_ms < most_ms) {
            most_ms = work->due_ms;
        }
    }

    return most_ms;
}


int64_t
v2m_deliveries_next_due(const v2m_deliveries_t *deliveries, int64_t most_ms)
{
    most_ms = v2m_deliveries_first_due(&deliveries->pausing, most_ms);

    if (!deliveries->blocked) {
        most_ms = v2m_deliveries_first_due(&deliveries->publishing, most_ms);
    }

    return most_ms;
}


int
v2m_deliveries_crowded(const v2m_deliveries_t *deliveries)
{
    return !deliveries->blocked
           && deliveries->taken >= deliveries->options->jobs
           && 2 * deliveries->paused >= deliveries->options->jobs
           && deliveries->held < V2M_DELIVERIES_HELD;
}


void
v2m_deliveries_report(const v2m_deliveries_t *deliveries)
{
    v2m_metrics_set(V2M_METRICS_IN_HAND, deliveries->in_hand);
    v2m_metrics_set(V2M_METRICS_HELD, deliveries->held);
    v2m_metrics_set(V2M_METRICS_HANDLERS, deliveries->options->jobs);
    v2m_metrics_set(V2M_METRICS_BUSY,
                    v2m_handlers_running(deliveries->handlers));
    v2m_metrics_set(V2M_METRICS_BLOCKED, deliveries->blocked);
}


int
v2m_deliveries_idle(const v2m_deliveries_t *deliveries)
{
    return deliveries->in_hand == 0;
}


void
v2m_deliveries_discard_finished(v2m_deliveries_t *deliveries)
{
    v2m_work_list_t finished;

    TAILQ_INIT(&finished);
    v2m_handlers_finished(deliveries->handlers, &finished);
    v2m_deliveries_free_list(&finished);
}


int
v2m_deliveries_give_back_idle(v2m_deliveries_t *deliveries, v2m_error_t *error)
{
    int             rc;
    v2m_work_t     *work;
    v2m_work_list_t idle;

    TAILQ_INIT(&idle);
    v2m_handlers_withdraw(deliveries->handlers, &idle);

    while ((work = TAILQ_FIRST(&deliveries->pausing)) != NULL) {
        v2m_deliveries_unpause(deliveries, work);
        TAILQ_INSERT_TAIL(&idle, work, link);
    }

    rc = V2M_OK;

    while (rc == V2M_OK && (work = TAILQ_FIRST(&idle)) != NULL) {
        TAILQ_REMOVE(&idle, work, link);
        rc = v2m_deliveries_settle(deliveries, work, V2M_SETTLE_GIVE_BACK,
                                   error);
    }

    v2m_deliveries_free_list(&idle);

    return rc;
}


int
v2m_deliveries_give_back_all(v2m_deliveries_t *deliveries, v2m_error_t *error)
{
    int         rc;
    v2m_work_t *work;

    rc = v2m_deliveries_advance(deliveries, 1, error);

    while (rc == V2M_OK
           && (work = TAILQ_FIRST(&deliveries->publishing)) != NULL) {
        TAILQ_REMOVE(&deliveries->publishing, work, link);
        rc = v2m_deliveries_settle(deliveries, work, V2M_SETTLE_GIVE_BACK,
                                   error);
    }

    return rc == V2M_OK ? v2m_deliveries_give_back_idle(deliveries, error) : rc;
}
