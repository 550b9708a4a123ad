#include "v2m_unconfirmed.h"

#include <stdlib.h>
#include <string.h>


v2m_unconfirmed_t *
v2m_unconfirmed_create(const char *body, size_t length, const char *message_id,
                       v2m_publisher_done_pt done, void *data)
{
    size_t             id_size;
    v2m_unconfirmed_t *message;

    id_size = strlen(message_id) + 1;

    message = calloc(1, sizeof(v2m_unconfirmed_t) + id_size + length);
    if (message == NULL) {
        return NULL;
    }

    memcpy(message->message_id, message_id, id_size);

    message->body = message->message_id + id_size;
    memcpy(message->body, body, length);

    message->length = length;
    message->done = done;
    message->data = data;
    message->tag = UINT64_MAX;

    return message;
}


v2m_unconfirmed_t *
v2m_unconfirmed_take(v2m_unconfirmed_list_t *list, uint64_t tag, int multiple)
{
    v2m_unconfirmed_t *message;

    TAILQ_FOREACH(message, list, link)
    {
        if (message->tag > tag) {
            break;
        }

        if (multiple || message->tag == tag) {
            TAILQ_REMOVE(list, message, link);
            return message;
        }
    }

    return NULL;
}


void
v2m_unconfirmed_return(v2m_unconfirmed_list_t *list, const char *message_id)
{
    v2m_unconfirmed_t *message;

    TAILQ_FOREACH(message, list, link)
    {
        if (!message->returned && strcmp(message->message_id, message_id) == 0)
        {
            message->returned = 1;
            return;
        }
    }
}
