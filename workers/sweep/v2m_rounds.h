/*
 * One round of the sweep: what was queued but not published is published, and
 * so is what got lost, or is due; uploads that nobody goes on with and what is
 * old are removed.
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
    const char  *mp3_queue;      /* of jobs that came to their end */
    int          attempts;       /* for a queue that is not there yet */
    int64_t      unpublished_ms; /* how long a job may stay unpublished */
    int64_t      uploads_ms;     /* how long an upload may be without change */
    int64_t      lost_ms;        /* a job without a change counts as lost; 0:
                                    never */
    int     requeues;            /* how often a lost one is published anew */
    int64_t keep_video_ms;       /* after the job's end; -1: for ever */
    int64_t keep_mp3_ms;         /* likewise, and the job with it */
    int     dry_run;             /* only say what would be done */
} v2m_rounds_options_t;

/* Makes the indexes of all collections, where they are missing. */
int v2m_rounds_prepare(const v2m_rounds_options_t *options, v2m_error_t *error);

/* Does all duties, also when one of them fails; the error is then that of the
 * first failure.  What it does is logged. */
int v2m_rounds_run(const v2m_rounds_options_t *options, v2m_error_t *error);

#endif /* V2M_ROUNDS_H */
