#include "v2m_conversion.h"

#include <stdio.h>
#include <string.h>

#include "v2m_input.h"
#include "v2m_jobs.h"
#include "v2m_log.h"
#include "v2m_pause.h"
#include "v2m_session.h"

/* At most two writes of progress a second. */
#define V2M_CONVERSION_PROGRESS_MS 500

/* The record shows at least so often that the converter lives: the sweep takes
 * a job that is silent for lost. */
#define V2M_CONVERSION_ALIVE_MS 20000

typedef struct {
    v2m_conversion_t   *conversion;
    v2m_session_t       session;
    v2m_input_t        *input;
    v2m_channel_phase_t phase;    /* in the job's record; 0: none yet */
    int32_t             recorded; /* percent, likewise */
    int64_t             recorded_ms;
    int64_t             alive_ms;   /* when the record last changed */
    int                 unrecorded; /* a failure to record was logged */
} v2m_stored_t;

static int v2m_stored_alive(v2m_stored_t *stored, int rc);


static int
v2m_stored_read(void *data, int64_t offset, size_t length,
                const unsigned char **bytes, size_t *got, v2m_error_t *error)
{
    int           rc;
    v2m_stored_t *stored = data;

    rc = v2m_input_read(stored->input, offset, length, bytes, got, error);

    if (rc == V2M_CORRUPT) {
        v2m_log(V2M_LOG_ERROR, stored->conversion->job, "%s", error->text);
        stored->session.fault = V2M_SESSION_SOURCE;
        return v2m_error_set(error, V2M_INVALID,
                             "the stored video is incomplete");
    }

    return v2m_stored_alive(stored, rc);
}


static int
v2m_stored_keep(void *data, int64_t offset, v2m_error_t *error)
{
    v2m_stored_t *stored = data;

    return v2m_output_keep(stored->conversion->output, offset, error);
}


static int
v2m_stored_write(void *data, int64_t offset, const unsigned char *bytes,
                 size_t length, v2m_error_t *error)
{
    v2m_stored_t *stored = data;

    return v2m_stored_alive(stored,
                            v2m_output_write(stored->conversion->output, offset,
                                             bytes, length, error));
}


static int
v2m_stored_restart(void *data, v2m_error_t *error)
{
    v2m_stored_t *stored = data;

    return v2m_output_restart(stored->conversion->output, error);
}


static const char *
v2m_stored_phase(v2m_channel_phase_t phase)
{
    switch (phase) {
    case V2M_CHANNEL_COPYING:
        return "copying";

    case V2M_CHANNEL_MEASURING:
        return "measuring";

    case V2M_CHANNEL_ENCODING:
        return "encoding";

    default: /* it has not said anything yet */
        return "";
    }
}


/* The record is for people who look: without it the conversion goes on. */
static void
v2m_stored_record(v2m_stored_t *stored, v2m_channel_phase_t phase,
                  int32_t percent, int64_t now)
{
    int64_t           left;
    v2m_error_t       error;
    v2m_conversion_t *conversion = stored->conversion;

    left = v2m_session_left_s(now - stored->session.began_ms, percent);

    if (v2m_jobs_progress(conversion->mongo, conversion->job, percent,
                          left < INT32_MAX ? (int32_t) left : INT32_MAX,
                          v2m_stored_phase(phase), &error)
            != V2M_OK
        && !stored->unrecorded)
    {
        stored->unrecorded = 1;
        v2m_log(V2M_LOG_WARNING, conversion->job,
                "cannot record the progress: %s", error.text);
    }

    stored->alive_ms = v2m_clock_ms();
}


static void
v2m_stored_progress(void *data, v2m_channel_phase_t phase, int32_t percent)
{
    int64_t       now;
    v2m_stored_t *stored = data;

    now = v2m_clock_ms();

    if ((percent == stored->recorded && phase == stored->phase)
        || now - stored->recorded_ms < V2M_CONVERSION_PROGRESS_MS)
    {
        return;
    }

    v2m_stored_record(stored, phase, percent, now);

    stored->phase = phase;
    stored->recorded = percent;
    stored->recorded_ms = stored->alive_ms;
}


/* After a call of the store; gives its result back.  A transcoder that does
 * not get further reads or writes all the same, or is taken for one that
 * stands still. */
static int
v2m_stored_alive(v2m_stored_t *stored, int rc)
{
    int64_t now;

    now = v2m_clock_ms();

    if (rc == V2M_OK && now - stored->alive_ms >= V2M_CONVERSION_ALIVE_MS) {
        v2m_stored_record(stored, stored->phase, stored->recorded, now);
    }

    return rc;
}


static int
v2m_stored_stopping(void *data)
{
    v2m_stored_t *stored = data;

    return stored->conversion->settings->stopping();
}


int
v2m_conversion_run(v2m_conversion_t *conversion, v2m_error_t *error)
{
    int            rc;
    v2m_stored_t   stored;
    v2m_session_t *session;

    static const v2m_session_owner_t owner = {
        v2m_stored_read,    v2m_stored_keep,     v2m_stored_write,
        v2m_stored_restart, v2m_stored_progress, v2m_stored_stopping,
    };

    memset(&stored, 0, sizeof(stored));
    stored.conversion = conversion;
    stored.alive_ms = v2m_clock_ms();

    session = &stored.session;
    session->owner = &owner;
    session->data = &stored;
    session->job = conversion->job;
    session->transcoder = conversion->settings->transcoder;
    session->options = conversion->options;
    session->length = conversion->video->length;
    session->threads = conversion->settings->threads;
    session->limit_ms = conversion->settings->limit_ms;
    session->stall_ms = conversion->settings->stall_ms;

    rc = v2m_input_create(&stored.input, conversion->mongo, conversion->video,
                          v2m_session_tick, session, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_session_run(session, error);

    v2m_input_destroy(stored.input);

    conversion->fault = session->fault;
    conversion->read_us = session->read_us;
    conversion->write_us = session->write_us;

    if (rc == V2M_OK) {
        conversion->duration_ms = session->samples * 1000 / session->rate;
        snprintf(conversion->source, sizeof(conversion->source), "%s",
                 session->source);
    }

    return rc;
}
