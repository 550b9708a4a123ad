/*
 * What a message in the queue "video" leads to: an MP3 committed to the job's
 * record, or the reason why there is none; and the message for the queue
 * "mp3".
 */

#ifndef V2M_CONVERT_H
#define V2M_CONVERT_H

#include "v2m_conversion.h"
#include "v2m_mongo.h"
#include "v2m_worker.h"

/* The data of v2m_convert_handle(); the same for all messages. */
typedef struct {
    v2m_mongo_t              *mongo;
    const char               *reply_queue; /* "mp3" */
    v2m_conversion_settings_t settings;
} v2m_convert_t;

/* A v2m_worker_handler_pt with a v2m_convert_t as its data. */
v2m_worker_outcome_t v2m_convert_handle(void                        *data,
                                        const v2m_worker_delivery_t *delivery,
                                        v2m_worker_reply_t          *reply);

#endif /* V2M_CONVERT_H */
