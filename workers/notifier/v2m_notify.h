/*
 * What a message in the queue "mp3" leads to: one mail to the job's owner and
 * a note of it in the job's record.
 */

#ifndef V2M_NOTIFY_H
#define V2M_NOTIFY_H

#include "v2m_error.h"
#include "v2m_mail.h"
#include "v2m_mongo.h"
#include "v2m_smtp.h"
#include "v2m_worker.h"

typedef struct v2m_notify_s v2m_notify_t;

typedef struct {
    v2m_mongo_t             *mongo;
    v2m_smtp_t              *smtp;
    const v2m_mail_sender_t *sender;
    const char              *url;  /* of the gateway, without a slash */
    int                      jobs; /* messages handled at a time, at most */
} v2m_notify_options_t;

/* What the options point at is kept, not copied. */
int v2m_notify_create(v2m_notify_t              **notify,
                      const v2m_notify_options_t *options, v2m_error_t *error);

/* No call of the handler may be under way.  NULL is allowed. */
void v2m_notify_destroy(v2m_notify_t *notify);

/* A v2m_worker_handler_pt with the v2m_notify_t as its data. */
v2m_worker_outcome_t v2m_notify_handle(void                        *data,
                                       const v2m_worker_delivery_t *delivery,
                                       v2m_worker_reply_t          *reply);

#endif /* V2M_NOTIFY_H */
