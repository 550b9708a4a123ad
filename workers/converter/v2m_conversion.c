#include "v2m_conversion.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "v2m_channel.h"
#include "v2m_child.h"
#include "v2m_input.h"
#include "v2m_jobs.h"
#include "v2m_log.h"
#include "v2m_pause.h"

/* At most two writes of progress a second. */
#define V2M_CONVERSION_PROGRESS_MS 500

/* How long a transcoder may take to end after its last frame. */
#define V2M_CONVERSION_END_MS 2000

typedef struct {
    v2m_conversion_t *conversion;
    v2m_child_t       child;
    v2m_channel_t    *channel;
    v2m_input_t      *input;
    int64_t           began_ms;
    int64_t           heard_ms; /* when the transcoder said something */
    int               waiting;  /* for the store, not for the transcoder */
    int32_t           recorded; /* percent in the job's record */
    int64_t           recorded_ms;
    int               unrecorded; /* a failure to record was logged */
} v2m_watch_t;


/* Called a few times a second, whatever is waited for. */
static int
v2m_watch_tick(void *data, v2m_error_t *error)
{
    int64_t                          now;
    v2m_watch_t                     *watch = data;
    const v2m_conversion_settings_t *settings;

    settings = watch->conversion->settings;
    now = v2m_clock_ms();

    if (settings->stopping()) {
        return v2m_error_set(error, V2M_UNAVAILABLE,
                             "the converter is being stopped");
    }

    if (now - watch->began_ms > settings->limit_ms) {
        return v2m_error_set(error, V2M_INVALID,
                             "the conversion took longer than the %lld s that "
                             "it may take",
                             (long long) settings->limit_ms / 1000);
    }

    if (!watch->waiting && now - watch->heard_ms > settings->stall_ms) {
        return v2m_error_set(error, V2M_INVALID,
                             "the conversion stood still for %lld s",
                             (long long) settings->stall_ms / 1000);
    }

    return V2M_OK;
}


static int
v2m_watch_begin(v2m_watch_t *watch, v2m_error_t *error)
{
    v2m_channel_frame_t frame;

    memset(&frame, 0, sizeof(frame));
    frame.type = V2M_CHANNEL_START;
    frame.u.start.options = *watch->conversion->options;
    frame.u.start.length = watch->conversion->video->length;
    frame.u.start.threads = watch->conversion->settings->threads;

    return v2m_channel_send(watch->channel, &frame, error);
}


static int
v2m_watch_read(v2m_watch_t *watch, const v2m_channel_frame_t *question,
               v2m_error_t *error)
{
    int                  rc;
    v2m_channel_frame_t  answer;
    const unsigned char *bytes;

    answer.type = V2M_CHANNEL_DATA;
    answer.u.data.offset = question->u.read.offset;

    watch->waiting = 1;
    rc = v2m_input_read(watch->input, question->u.read.offset,
                        (size_t) question->u.read.length, &bytes,
                        &answer.u.data.length, error);
    watch->waiting = 0;
    watch->heard_ms = v2m_clock_ms();

    if (rc == V2M_CORRUPT) {
        v2m_log(V2M_LOG_ERROR, watch->conversion->job, "%s", error->text);
        return v2m_error_set(error, V2M_INVALID,
                             "the stored video is incomplete");
    }

    if (rc != V2M_OK) {
        return rc;
    }

    answer.u.data.bytes = bytes;

    return v2m_channel_send(watch->channel, &answer, error);
}


/* The record is for people who look: without it the conversion goes on. */
static void
v2m_watch_progress(v2m_watch_t *watch, int32_t percent)
{
    int64_t           now;
    v2m_error_t       error;
    v2m_conversion_t *conversion;

    conversion = watch->conversion;
    now = v2m_clock_ms();

    if (percent == watch->recorded
        || now - watch->recorded_ms < V2M_CONVERSION_PROGRESS_MS)
    {
        return;
    }

    if (v2m_jobs_progress(conversion->mongo, conversion->job, percent, &error)
            != V2M_OK
        && !watch->unrecorded)
    {
        watch->unrecorded = 1;
        v2m_log(V2M_LOG_WARNING, conversion->job,
                "cannot record the progress: %s", error.text);
    }

    watch->recorded = percent;
    watch->recorded_ms = v2m_clock_ms();
}


static int
v2m_watch_done(v2m_watch_t *watch, const v2m_channel_frame_t *frame,
               v2m_error_t *error)
{
    v2m_conversion_t *conversion;

    conversion = watch->conversion;

    if (frame->u.done.length != conversion->output->length
        || frame->u.done.samples > INT64_MAX / 1000)
    {
        return v2m_error_set(error, V2M_CORRUPT,
                             "the transcoder wrote %lld bytes and says %lld",
                             (long long) conversion->output->length,
                             (long long) frame->u.done.length);
    }

    conversion->duration_ms = frame->u.done.samples * 1000 / frame->u.done.rate;
    snprintf(conversion->source, sizeof(conversion->source), "%s",
             frame->u.done.text);

    return V2M_OK;
}


/* Takes one frame; *last is set when there will be no more. */
static int
v2m_watch_frame(v2m_watch_t *watch, const v2m_channel_frame_t *frame, int *last,
                v2m_error_t *error)
{
    switch (frame->type) {
    case V2M_CHANNEL_READ:
        return v2m_watch_read(watch, frame, error);

    case V2M_CHANNEL_WRITE:
        return v2m_output_write(watch->conversion->output, frame->u.data.offset,
                                frame->u.data.bytes, frame->u.data.length,
                                error);

    case V2M_CHANNEL_PROGRESS:
        v2m_watch_progress(watch, frame->u.progress.percent);
        return V2M_OK;

    case V2M_CHANNEL_DONE:
        *last = 1;
        return v2m_watch_done(watch, frame, error);

    default: /* V2M_CHANNEL_FAILED: the channel lets no other through */
        *last = 1;
        return v2m_error_set(error,
                             frame->u.failed.fault == V2M_CHANNEL_FAULT_FILE
                                 ? V2M_INVALID
                                 : V2M_ERROR,
                             "%s", frame->u.failed.text);
    }
}


static int
v2m_watch_talk(v2m_watch_t *watch, int *last, v2m_error_t *error)
{
    int                 rc;
    v2m_channel_frame_t frame;

    rc = v2m_watch_begin(watch, error);

    while (rc == V2M_OK && !*last) {
        rc = v2m_channel_receive(watch->channel, &frame, error);

        if (rc == V2M_OK) {
            watch->heard_ms = v2m_clock_ms();
            rc = v2m_watch_frame(watch, &frame, last, error);
        }
    }

    return rc;
}


/* What a transcoder that went away without a last frame means. */
static int
v2m_watch_lost(const v2m_watch_t *watch, v2m_child_end_t end, int number,
               v2m_error_t *error)
{
    const char *job;

    job = watch->conversion->job;

    switch (end) {
    case V2M_CHILD_CRASHED:
        v2m_log(V2M_LOG_ERROR, job, "v2m-transcode crashed: signal %d (%s)",
                number, strsignal(number));
        return v2m_error_set(error, V2M_INVALID,
                             "the file makes the converter crash: it is "
                             "damaged, or made to do harm");

    case V2M_CHILD_KILLED:
        return v2m_error_set(error, V2M_UNAVAILABLE,
                             "the transcoder was killed, perhaps for want of "
                             "memory");

    default:
        return v2m_error_set(error, V2M_ERROR,
                             "the transcoder ended with status %d", number);
    }
}


static int
v2m_watch_run(v2m_watch_t *watch, v2m_error_t *error)
{
    int             rc, last, number, gone;
    v2m_child_end_t end;

    last = 0;
    rc = v2m_child_start(&watch->child, watch->conversion->settings->transcoder,
                         error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_channel_create(&watch->channel, watch->child.fd,
                            V2M_CHANNEL_PARENT, v2m_watch_tick, watch, error);

    if (rc == V2M_OK) {
        rc = v2m_watch_talk(watch, &last, error);
        v2m_channel_destroy(watch->channel);
    }

    /* only a transcoder that is gone ends by itself */

    gone = rc == V2M_NOT_FOUND;
    end = v2m_child_end(&watch->child, last || gone ? V2M_CONVERSION_END_MS : 0,
                        watch->conversion->job, &number);

    if (gone) {
        return v2m_watch_lost(watch, end, number, error);
    }

    if (rc == V2M_CORRUPT) {
        v2m_log(V2M_LOG_ERROR, watch->conversion->job,
                "v2m-transcode broke its contract: %s", error->text);
        return v2m_error_set(error, V2M_INVALID,
                             "the file makes the converter misbehave: it is "
                             "damaged, or made to do harm");
    }

    return rc;
}


int
v2m_conversion_run(v2m_conversion_t *conversion, v2m_error_t *error)
{
    int         rc;
    v2m_watch_t watch;

    memset(&watch, 0, sizeof(watch));
    watch.conversion = conversion;
    watch.began_ms = v2m_clock_ms();
    watch.heard_ms = watch.began_ms;

    rc = v2m_input_create(&watch.input, conversion->mongo, conversion->video,
                          v2m_watch_tick, &watch, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_watch_run(&watch, error);

    v2m_input_destroy(watch.input);

    return rc;
}
