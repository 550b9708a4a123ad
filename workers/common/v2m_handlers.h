/*
 * The handler threads of a worker: work goes in, finished work comes out over
 * a list and a descriptor that becomes readable.  All functions are for the
 * one thread that made them.
 */

#ifndef V2M_HANDLERS_H
#define V2M_HANDLERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "v2m_error.h"
#include "v2m_worker.h"

/* One delivery and what became of it.  It is in one list at a time. */
typedef struct v2m_work_s {
    TAILQ_ENTRY(v2m_work_s) link;

    /* for the handler; body is malloc'ed and zero-terminated */
    v2m_worker_delivery_t delivery;
    char                 *body;

    /* from the handler */
    v2m_worker_outcome_t outcome;
    v2m_worker_reply_t   reply;

    /* the worker's own notes, which the handlers leave alone */
    uint64_t connection;  /* deliveries of an older one cannot be settled */
    uint64_t consumer;    /* whose prefetch window it takes a place in */
    uint64_t tag;         /* of the delivery */
    uint64_t publish_tag; /* of the reply, 0: not published yet */
    uint64_t key;         /* see v2m_attempts.h */
    int64_t  due_ms;      /* end of the pause, or of the wait for a confirm */
    int      returned;    /* the reply was unroutable */
    int      again;       /* after the pause: 1: to a handler, 0: back */
} v2m_work_t;

typedef TAILQ_HEAD(v2m_work_list_s, v2m_work_s) v2m_work_list_t;

typedef struct v2m_handlers_s v2m_handlers_t;

/* Frees a work, with body and reply. */
void v2m_work_free(v2m_work_t *work);

int v2m_handlers_create(v2m_handlers_t **handlers, int threads,
                        v2m_worker_handler_pt handle, void *data,
                        v2m_error_t *error);

/* An eventfd, readable when there is finished work; whoever wants to end a
 * wait for it may write to it as well. */
int v2m_handlers_fd(const v2m_handlers_t *handlers);

/* Hands over a work.  Never blocks; the caller bounds how many there are. */
void v2m_handlers_submit(v2m_handlers_t *handlers, v2m_work_t *work);

/* Moves finished work to the end of the list and resets the descriptor. */
void v2m_handlers_finished(v2m_handlers_t *handlers, v2m_work_list_t *list);

/* Moves work that no handler began yet to the end of the list. */
void v2m_handlers_withdraw(v2m_handlers_t *handlers, v2m_work_list_t *list);

/* Number of works that handlers are at. */
int v2m_handlers_running(v2m_handlers_t *handlers);

/* Ends the threads and frees what is left; waits for handlers that run.
 * NULL is allowed. */
void v2m_handlers_destroy(v2m_handlers_t *handlers);

#endif /* V2M_HANDLERS_H */
