/*
 * Messages on their way to a broker, each until it was confirmed.  Only the
 * list: nothing here is locked, waits or sends.
 */

#ifndef V2M_UNCONFIRMED_H
#define V2M_UNCONFIRMED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "v2m_publisher.h"

typedef struct v2m_unconfirmed_s {
    TAILQ_ENTRY(v2m_unconfirmed_s) link;

    v2m_publisher_done_pt done;
    void                 *data;
    uint64_t              tag;    /* UINT64_MAX: not published yet */
    int64_t               due_ms; /* by when it must be confirmed */
    int                   returned;
    size_t                length;
    char                 *body;
    char                  message_id[]; /* then the body, in one piece */
} v2m_unconfirmed_t;

/* In the order of their tags. */
typedef TAILQ_HEAD(v2m_unconfirmed_list_s,
                   v2m_unconfirmed_s) v2m_unconfirmed_list_t;

/* A message of length bytes, in no list; body and id are copied.  To be freed
 * with free().  NULL: out of memory. */
v2m_unconfirmed_t *v2m_unconfirmed_create(const char *body, size_t length,
                                          const char           *message_id,
                                          v2m_publisher_done_pt done,
                                          void                 *data);

/* Takes a message out that a confirm is about: the one of this tag or, when the
 * confirm is of multiple, any up to it.  NULL: there is none (any more). */
v2m_unconfirmed_t *v2m_unconfirmed_take(v2m_unconfirmed_list_t *list,
                                        uint64_t tag, int multiple);

/* The broker gave a message of this id back as unroutable; its confirm, which
 * follows, is not to be trusted. */
void v2m_unconfirmed_return(v2m_unconfirmed_list_t *list,
                            const char             *message_id);

#endif /* V2M_UNCONFIRMED_H */
