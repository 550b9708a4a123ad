#include "v2m_session.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "v2m_log.h"
#include "v2m_pause.h"

/* How long a transcoder may take to end after its last frame. */
#define V2M_SESSION_END_MS 2000

/* How long it will take is known only after a while. */
#define V2M_SESSION_GUESS_MS 1000


int
v2m_session_tick(void *data, v2m_error_t *error)
{
    int64_t        now;
    v2m_session_t *session = data;

    now = v2m_clock_ms();

    if (session->owner->stopping(session->data)) {
        return v2m_error_set(error, V2M_UNAVAILABLE,
                             "the conversion is being stopped");
    }

    if (session->limit_ms > 0 && now - session->began_ms > session->limit_ms) {
        session->fault = V2M_SESSION_LIMIT;
        return v2m_error_set(error, V2M_INVALID,
                             "the conversion took longer than the %lld s that "
                             "it may take",
                             (long long) session->limit_ms / 1000);
    }

    if (session->stall_ms > 0 && !session->waiting
        && now - session->heard_ms > session->stall_ms)
    {
        session->fault = V2M_SESSION_LIMIT;
        return v2m_error_set(error, V2M_INVALID,
                             "the conversion stood still for %lld s",
                             (long long) session->stall_ms / 1000);
    }

    return V2M_OK;
}


static int
v2m_session_begin(v2m_session_t *session, v2m_error_t *error)
{
    v2m_channel_frame_t frame;

    memset(&frame, 0, sizeof(frame));
    frame.type = V2M_CHANNEL_START;
    frame.u.start.options = *session->options;
    frame.u.start.length = session->length;
    frame.u.start.threads = session->threads;

    return v2m_channel_send(session->channel, &frame, error);
}


static int
v2m_session_read(v2m_session_t *session, const v2m_channel_frame_t *question,
                 v2m_error_t *error)
{
    int                  rc;
    int64_t              began;
    v2m_channel_frame_t  answer;
    const unsigned char *bytes;

    answer.type = V2M_CHANNEL_DATA;
    answer.u.data.offset = question->u.read.offset;

    began = v2m_clock_us();
    session->waiting = 1;
    rc = session->owner->read(session->data, question->u.read.offset,
                              (size_t) question->u.read.length, &bytes,
                              &answer.u.data.length, error);
    session->waiting = 0;
    session->read_us += v2m_clock_us() - began;
    session->heard_ms = v2m_clock_ms();

    if (rc != V2M_OK) {
        return rc;
    }

    answer.u.data.bytes = bytes;

    return v2m_channel_send(session->channel, &answer, error);
}


static int
v2m_session_keep(v2m_session_t *session, int64_t offset, v2m_error_t *error)
{
    if (session->kept != -1 || offset < session->mp3_length) {
        return v2m_error_set(error, V2M_CORRUPT,
                             "bytes at %lld are to be kept, too late",
                             (long long) offset);
    }

    session->kept = offset;

    return session->owner->keep(session->data, offset, error);
}


static int
v2m_session_write(v2m_session_t *session, int64_t offset,
                  const unsigned char *bytes, size_t length, v2m_error_t *error)
{
    int     rc, again;
    int64_t began;

    again = session->kept != -1 && offset >= session->kept
            && offset + (int64_t) length <= session->kept + V2M_CHANNEL_KEPT
            && offset + (int64_t) length <= session->mp3_length;

    if (offset != session->mp3_length && !again) {
        return v2m_error_set(
            error, V2M_CORRUPT, "a write at %lld, while the MP3 ends at %lld",
            (long long) offset, (long long) session->mp3_length);
    }

    began = v2m_clock_us();
    rc = session->owner->write(session->data, offset, bytes, length, error);
    session->write_us += v2m_clock_us() - began;

    if (rc == V2M_OK && !again) {
        session->mp3_length += (int64_t) length;
    }

    return rc;
}


static int
v2m_session_restart(v2m_session_t *session, v2m_error_t *error)
{
    session->mp3_length = 0;
    session->kept = -1;

    return session->owner->restart(session->data, error);
}


static int
v2m_session_done(v2m_session_t *session, const v2m_channel_frame_t *frame,
                 v2m_error_t *error)
{
    if (frame->u.done.length != session->mp3_length
        || frame->u.done.samples > INT64_MAX / 1000)
    {
        return v2m_error_set(
            error, V2M_CORRUPT, "the transcoder wrote %lld bytes and says %lld",
            (long long) session->mp3_length, (long long) frame->u.done.length);
    }

    session->samples = frame->u.done.samples;
    session->rate = frame->u.done.rate;
    snprintf(session->source, sizeof(session->source), "%s",
             frame->u.done.text);

    return V2M_OK;
}


/* Takes one frame; *last is set when there will be no more. */
static int
v2m_session_frame(v2m_session_t *session, const v2m_channel_frame_t *frame,
                  int *last, v2m_error_t *error)
{
    switch (frame->type) {
    case V2M_CHANNEL_READ:
        return v2m_session_read(session, frame, error);

    case V2M_CHANNEL_KEEP:
        return v2m_session_keep(session, frame->u.keep.offset, error);

    case V2M_CHANNEL_WRITE:
        return v2m_session_write(session, frame->u.data.offset,
                                 frame->u.data.bytes, frame->u.data.length,
                                 error);

    case V2M_CHANNEL_RESTART:
        return v2m_session_restart(session, error);

    case V2M_CHANNEL_PROGRESS:
        session->owner->progress(session->data, frame->u.progress.phase,
                                 frame->u.progress.percent);
        return V2M_OK;

    case V2M_CHANNEL_DONE:
        *last = 1;
        return v2m_session_done(session, frame, error);

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
v2m_session_talk(v2m_session_t *session, int *last, v2m_error_t *error)
{
    int                 rc;
    v2m_channel_frame_t frame;

    rc = v2m_session_begin(session, error);

    while (rc == V2M_OK && !*last) {
        rc = v2m_channel_receive(session->channel, &frame, error);

        if (rc == V2M_OK) {
            session->heard_ms = v2m_clock_ms();
            rc = v2m_session_frame(session, &frame, last, error);
        }
    }

    return rc;
}


/* What a transcoder that went away without a last frame means. */
static int
v2m_session_lost(v2m_session_t *session, v2m_child_end_t end, int number,
                 v2m_error_t *error)
{
    if (end == V2M_CHILD_CRASHED && number == SIGXCPU) {
        session->fault = V2M_SESSION_LIMIT;
        return v2m_error_set(error, V2M_INVALID,
                             "the conversion took more processor time than it "
                             "may take");
    }

    switch (end) {
    case V2M_CHILD_CRASHED:
        v2m_log(V2M_LOG_ERROR, session->job,
                "v2m-transcode crashed: signal %d (%s)", number,
                strsignal(number));
        session->fault = V2M_SESSION_CRASH;
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


int
v2m_session_run(v2m_session_t *session, v2m_error_t *error)
{
    int             rc, last, number, gone;
    v2m_child_end_t end;

    last = 0;
    session->began_ms = v2m_clock_ms();
    session->heard_ms = session->began_ms;
    session->kept = -1;

    /* more than all its threads can use until the limit, in case nobody looks
     * at that */

    rc = v2m_child_start(&session->child, session->transcoder,
                         session->limit_ms / 1000 * (2 * session->threads + 1),
                         error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_channel_create(&session->channel, session->child.fd,
                            V2M_CHANNEL_PARENT, v2m_session_tick, session,
                            error);

    if (rc == V2M_OK) {
        rc = v2m_session_talk(session, &last, error);
        v2m_channel_destroy(session->channel);
    }

    /* only a transcoder that is gone ends by itself */

    gone = rc == V2M_NOT_FOUND;
    end = v2m_child_end(&session->child, last || gone ? V2M_SESSION_END_MS : 0,
                        session->job, &number);

    if (gone) {
        return v2m_session_lost(session, end, number, error);
    }

    if (rc == V2M_CORRUPT) {
        v2m_log(V2M_LOG_ERROR, session->job,
                "v2m-transcode broke its contract: %s", error->text);
        session->fault = V2M_SESSION_CRASH;
        return v2m_error_set(error, V2M_INVALID,
                             "the file makes the converter misbehave: it is "
                             "damaged, or made to do harm");
    }

    return rc;
}


int64_t
v2m_session_left_s(int64_t took_ms, int32_t percent)
{
    return percent < 1 || took_ms < V2M_SESSION_GUESS_MS
               ? -1
               : took_ms * (100 - percent) / percent / 1000;
}
