/*
 * The loop that converter and notifier share: connect, consume, hand each
 * message to a handler thread, publish what it says, acknowledge, retry,
 * drain.
 *
 * The calling thread owns the connection to RabbitMQ and serves heartbeats
 * while the handler threads work; a lost connection is made anew with growing
 * pauses (the broker redelivers what was not acknowledged).
 */

#ifndef V2M_WORKER_H
#define V2M_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_id.h"

typedef enum {
    V2M_WORKER_DONE,  /* publish the reply, if any, then acknowledge */
    V2M_WORKER_RETRY, /* passing trouble: give back after a growing pause */
    V2M_WORKER_WAIT,  /* handle it again after reply->pause_ms: that spends no
                         attempt.  Keep it short: the message stays with this
                         worker, and with many of them others have to wait */
    V2M_WORKER_REJECT /* will never work: publish the reply, if any, then to
                         the dead-letter queue */
} v2m_worker_outcome_t;

/* What is published, with a confirm, before the delivery is settled.  When the
 * broker does not take it, the delivery is given back after a pause. */
typedef struct {
    const char *queue; /* NULL: nothing; not freed */
    char       *body;  /* malloc'ed JSON; the loop frees it */
    char        message_id[64];
    int64_t     pause_ms; /* of V2M_WORKER_WAIT */
    v2m_id_t    job;      /* what the message is about, for the log; or "" */
} v2m_worker_reply_t;

typedef struct {
    const char *body; /* not zero-terminated */
    size_t      length;
    int         delivery_count; /* earlier deliveries of the same message */
    int         last;           /* a retry would go to the dead letters */
    int         held;           /* messages that this worker keeps meanwhile */
} v2m_worker_delivery_t;

/*
 * Handles one message on a handler thread; may take as long as it needs.  It
 * should look at v2m_worker_stopping() now and then and may then return
 * V2M_WORKER_RETRY, which gives the message back at once.
 */
typedef v2m_worker_outcome_t (*v2m_worker_handler_pt)(
    void *data, const v2m_worker_delivery_t *delivery,
    v2m_worker_reply_t *reply);

typedef struct {
    const char           *name;  /* shown in RabbitMQ's list of connections */
    const char           *url;   /* amqp://... */
    const char           *queue; /* consumed; declared when missing */
    const char           *reply_queue; /* declared as well; may be NULL */
    int                   jobs; /* handler threads, and the prefetch count */
    int                   delivery_limit; /* attempts before dead-lettering */
    int                   drain_ms;       /* on SIGTERM: to finish what runs */
    v2m_worker_handler_pt handle;
    void                 *data;
} v2m_worker_options_t;

/*
 * Runs until SIGTERM or SIGINT, then stops consuming, lets the handlers end
 * for drain_ms, gives back what is left, and returns V2M_OK.  A handler that
 * does not return a few seconds after v2m_worker_stopping() became 1, and a
 * second signal, end the process with a failure; the broker then delivers
 * again.  Returns V2M_INVALID at once when the URL is unusable; waits for a
 * broker that is not there.  Installs its own handlers for SIGTERM and SIGINT
 * and ignores SIGPIPE.  To be called once, on the main thread.
 */
int v2m_worker_run(const v2m_worker_options_t *options, v2m_error_t *error);

/* 1 once the worker was told to stop: there is time to finish, but nothing
 * that may take long should be begun.  Any thread. */
int v2m_worker_draining(void);

/* 1 once the worker was told to stop and the time to drain has passed.  Any
 * thread. */
int v2m_worker_stopping(void);

#endif /* V2M_WORKER_H */
