#include "v2m_progress.h"

#define V2M_PROGRESS_MOST 99


void
v2m_progress_begin(v2m_progress_t *progress, v2m_channel_phase_t phase,
                   int from, int to)
{
    progress->phase = phase;
    progress->from = from;
    progress->to = to;
}


int
v2m_progress_tell(v2m_progress_t *progress, int percent, v2m_error_t *error)
{
    if (percent >= 0) {
        percent =
            progress->from + percent * (progress->to - progress->from) / 100;
    }

    if (percent > V2M_PROGRESS_MOST) {
        percent = V2M_PROGRESS_MOST;
    }

    if (percent == progress->percent && progress->phase == progress->told) {
        return V2M_OK;
    }

    progress->percent = percent;
    progress->told = progress->phase;

    return progress->tell(progress->data, progress->phase, percent, error);
}
