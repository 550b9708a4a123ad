/*
 * How far a transcoding is, told only when that changes.
 */

#ifndef V2M_PROGRESS_H
#define V2M_PROGRESS_H

#include "v2m_channel.h"
#include "v2m_error.h"

typedef struct {
    /* Called whenever phase or percentage (-1: unknown) change; a failure ends
     * the transcoding. */
    int (*tell)(void *data, v2m_channel_phase_t phase, int percent,
                v2m_error_t *error);
    void *data;

    v2m_channel_phase_t phase;
    int                 from; /* percent of the whole when the phase begins */
    int                 to;   /* and when it ends */

    /* the last ones told */
    v2m_channel_phase_t told;
    int                 percent;
} v2m_progress_t;

/* Begins a phase that is this part of the whole, in percent. */
void v2m_progress_begin(v2m_progress_t *progress, v2m_channel_phase_t phase,
                        int from, int to);

/* percent: of the phase, 0 to 100, or -1: unknown.  Never tells 100, which is
 * true only when all is written. */
int v2m_progress_tell(v2m_progress_t *progress, int percent,
                      v2m_error_t *error);

#endif /* V2M_PROGRESS_H */
