/*
 * What a message in the queue "mp3" leads to: one mail to the job's owner, or
 * the call of the job's webhook, and a note of it in the job's record.
 *
 * A mail server that is away is waited for.  A mail that it puts off is tried
 * again with growing pauses: the first of them the worker's loop waits for,
 * for longer ones the mail is put aside in its job's record, and the sweep
 * sends the message anew when it is due.  A webhook that cannot be called is
 * put off likewise.
 */

#ifndef V2M_NOTIFY_H
#define V2M_NOTIFY_H

#include <stdint.h>

#include "v2m_breaker.h"
#include "v2m_error.h"
#include "v2m_hook.h"
#include "v2m_mail.h"
#include "v2m_mongo.h"
#include "v2m_smtp.h"
#include "v2m_worker.h"

/* The same for all messages. */
typedef struct {
    v2m_mongo_t             *mongo;
    v2m_smtp_t              *smtp;
    const v2m_mail_sender_t *sender;
    const char              *url; /* of the gateway, without a slash */
    v2m_hook_t               hook;
    v2m_breaker_t           *breaker;
    int64_t                  lease_ms; /* longer than one try can take */
    int64_t mail_patience_ms; /* how long a mail is tried that is put off */
    int64_t hook_patience_ms; /* likewise a webhook */
} v2m_notify_options_t;

/* A v2m_worker_handler_pt with v2m_notify_options_t as its data. */
v2m_worker_outcome_t v2m_notify_handle(void                        *data,
                                       const v2m_worker_delivery_t *delivery,
                                       v2m_worker_reply_t          *reply);

#endif /* V2M_NOTIFY_H */
