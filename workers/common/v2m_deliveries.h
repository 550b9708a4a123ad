/*
 * What becomes of each delivery of a worker's connection: handled, its reply
 * published and confirmed, its pause before the next attempt, settled.  For
 * the thread that owns the connection.
 *
 * A function that fails leaves the connection unusable: close it and call
 * v2m_deliveries_void().
 */

#ifndef V2M_DELIVERIES_H
#define V2M_DELIVERIES_H

#include <stdint.h>

#include "v2m_amqp.h"
#include "v2m_attempts.h"
#include "v2m_error.h"
#include "v2m_handlers.h"
#include "v2m_worker.h"

typedef struct {
    const v2m_worker_options_t *options;
    v2m_handlers_t             *handlers;
    v2m_amqp_t                 *amqp;
    uint64_t                    connection; /* counted, for old deliveries */
    uint64_t                    consumer;   /* counted likewise */
    int                         taken;   /* of the consumer's prefetch window */
    int                         paused;  /* of these, between two attempts */
    int                         held;    /* paused, of all consumers */
    int                         in_hand; /* not settled, of this connection */
    int                         blocked; /* the broker takes no messages */
    v2m_work_list_t             publishing;
    v2m_work_list_t             pausing;
    v2m_attempts_t              attempts;
} v2m_deliveries_t;

/* The options and the handlers are kept, not copied. */
void v2m_deliveries_init(v2m_deliveries_t           *deliveries,
                         const v2m_worker_options_t *options,
                         v2m_handlers_t             *handlers);

void v2m_deliveries_new_connection(v2m_deliveries_t *deliveries,
                                   v2m_amqp_t       *amqp);

/* A consumer with a prefetch window of options->jobs was begun. */
void v2m_deliveries_new_consumer(v2m_deliveries_t *deliveries);

/* Forgets all deliveries; what handlers still make of them is dropped. */
void v2m_deliveries_void(v2m_deliveries_t *deliveries);

/* Takes a delivery, a confirm, a return or an alarm.  While draining
 * deliveries are given back at once. */
int v2m_deliveries_event(v2m_deliveries_t       *deliveries,
                         const v2m_amqp_event_t *event, int draining,
                         v2m_error_t *error);

/* Goes on with what handlers finished and with what is due. */
int v2m_deliveries_advance(v2m_deliveries_t *deliveries, int draining,
                           v2m_error_t *error);

/* When the next thing is due, at most the given time. */
int64_t v2m_deliveries_next_due(const v2m_deliveries_t *deliveries,
                                int64_t                 most_ms);

/* 1 when pausing deliveries leave too little of the prefetch window for
 * others. */
int v2m_deliveries_crowded(const v2m_deliveries_t *deliveries);

/* Tells v2m_metrics.h how many there are. */
void v2m_deliveries_report(const v2m_deliveries_t *deliveries);

/* 1 when every delivery was settled. */
int v2m_deliveries_idle(const v2m_deliveries_t *deliveries);

/* Drops what handlers finished, while there is no connection. */
void v2m_deliveries_discard_finished(v2m_deliveries_t *deliveries);

/* Gives back what no handler is at and no confirm is awaited for. */
int v2m_deliveries_give_back_idle(v2m_deliveries_t *deliveries,
                                  v2m_error_t      *error);

/* Settles what is finished, then gives back all that can be: what handlers
 * are still at goes back when the connection is closed. */
int v2m_deliveries_give_back_all(v2m_deliveries_t *deliveries,
                                 v2m_error_t      *error);

#endif /* V2M_DELIVERIES_H */
