/*
 * One mail about one job, or one call of its webhook: claimed in the job's
 * record, sent, noted there; put off, waited with or put aside when the server
 * does not take it.
 */

#ifndef V2M_NOTICE_H
#define V2M_NOTICE_H

#include <stdint.h>

#include "v2m_error.h"
#include "v2m_id.h"
#include "v2m_job.h"
#include "v2m_notify.h"
#include "v2m_patience.h"
#include "v2m_worker.h"

/* Besides the outcomes of the worker's loop. */
#define V2M_NOTICE_GO_ON -1

/* Zeroed before the fields of the first group are set. */
typedef struct {
    const v2m_notify_options_t *options;
    v2m_worker_reply_t         *reply;
    const char                 *id;    /* the job's */
    int                         held;  /* messages that the loop waits with */
    v2m_id_t                    owner; /* of the claim: an id of its own */
    v2m_job_t                   job;   /* in its end state, not notified */
    v2m_patience_t              patience; /* with the store */

    int64_t claimed_ms;
    int64_t retry_after_ms; /* that the webhook's server asked for; 0: none */
    int     waits;          /* for the mail server, in a row */
    int64_t away_ms;        /* since when; 0: it is not away */
} v2m_notice_t;

/* What follows from a failed call of the store: the outcome. */
int v2m_notice_store_trouble(const v2m_id_t id, const v2m_error_t *error);

/* Tries once.  Returns the outcome, or V2M_NOTICE_GO_ON: try again. */
int v2m_notice_send(v2m_notice_t *notice);

#endif /* V2M_NOTICE_H */
