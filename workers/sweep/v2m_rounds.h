/*
 * One round of the sweep: what was queued but not published is published,
 * uploads that nobody goes on with are removed.
 */

#ifndef V2M_ROUNDS_H
#define V2M_ROUNDS_H

#include <stdint.h>

#include "v2m_error.h"
#include "v2m_mongo.h"

typedef struct {
    v2m_mongo_t *mongo;
    const char  *amqp_url;
    const char  *queue;          /* of videos */
    int          attempts;       /* for a queue that is not there yet */
    int64_t      unpublished_ms; /* how long a job may stay unpublished */
    int64_t      uploads_ms;     /* how long an upload may be without change */
    int          dry_run;        /* only say what would be done */
} v2m_rounds_options_t;

/* Makes the indexes of all collections, where they are missing. */
int v2m_rounds_prepare(const v2m_rounds_options_t *options, v2m_error_t *error);

/* Does both duties, the second also when the first fails; the error is then
 * that of the first failure.  What it does is logged. */
int v2m_rounds_run(const v2m_rounds_options_t *options, v2m_error_t *error);

#endif /* V2M_ROUNDS_H */
