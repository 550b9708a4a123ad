/*
 * v2m-transcode: the converter's child, the only program that sees the inside
 * of a stranger's file.  It talks to its parent over V2M_CHANNEL_FD and ends
 * after one file.
 */

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <libavutil/log.h>

#include "v2m_channel.h"
#include "v2m_error.h"
#include "v2m_options.h"
#include "v2m_remote.h"
#include "v2m_sandbox.h"
#include "v2m_transcoding.h"

/* Lines of FFmpeg's that go to the log, for a look into a strange file. */
#define V2M_TRANSCODE_LINES 20


/* FFmpeg's complaints quote the file: nothing of it may look like a line of
 * the log's own.  May be called by any thread. */
static void
v2m_transcode_log(void *context, int level, const char *format, va_list args)
{
    int   prefix;
    char *p, line[256];

    static atomic_int lines;

    /* the video decoders are kept away on purpose */
    if (level > AV_LOG_ERROR || strstr(format, "not on whitelist") != NULL
        || atomic_fetch_add(&lines, 1) >= V2M_TRANSCODE_LINES)
    {
        return;
    }

    prefix = 1;
    av_log_format_line2(context, level, format, args, line, sizeof(line),
                        &prefix);

    line[strcspn(line, "\n")] = '\0';

    for (p = line; *p != '\0'; p++) {
        if (*p < 0x20 || *p > 0x7e) {
            *p = '?';
        }
    }

    fprintf(stderr, "%s\n", line);
}


static int
v2m_transcode_start(v2m_channel_t *channel, v2m_transcoding_t *transcoding,
                    v2m_remote_t *remote, v2m_error_t *error)
{
    int                 rc;
    v2m_channel_frame_t frame;

    rc = v2m_channel_receive(channel, &frame, error);
    if (rc != V2M_OK) {
        return rc;
    }

    if (frame.type != V2M_CHANNEL_START) {
        return v2m_error_set(error, V2M_CORRUPT, "the parent does not start");
    }

    rc = v2m_options_check(&frame.u.start.options, error);
    if (rc != V2M_OK) {
        return rc;
    }

    remote->channel = channel;
    remote->length = frame.u.start.length;

    memset(transcoding, 0, sizeof(*transcoding));
    v2m_remote_source(remote, &transcoding->source);
    v2m_remote_sink(remote, &transcoding->sink);
    transcoding->options = frame.u.start.options;
    transcoding->threads = frame.u.start.threads;
    transcoding->progress = v2m_remote_progress;
    transcoding->progress_data = remote;

    return V2M_OK;
}


static int
v2m_transcode_tell(v2m_channel_t *channel, const v2m_transcoded_t *transcoded,
                   int rc, v2m_error_t *error)
{
    v2m_channel_frame_t frame;

    memset(&frame, 0, sizeof(frame));

    if (rc == V2M_OK) {
        frame.type = V2M_CHANNEL_DONE;
        frame.u.done.samples = transcoded->samples;
        frame.u.done.rate = transcoded->rate;
        frame.u.done.length = transcoded->length;
        snprintf(frame.u.done.text, sizeof(frame.u.done.text), "%s",
                 transcoded->source);

    } else {
        frame.type = V2M_CHANNEL_FAILED;
        frame.u.failed.fault =
            rc == V2M_INVALID ? V2M_CHANNEL_FAULT_FILE : V2M_CHANNEL_FAULT_OURS;
        snprintf(frame.u.failed.text, sizeof(frame.u.failed.text), "%.*s",
                 V2M_CHANNEL_TEXT, error->text);
    }

    return v2m_channel_send(channel, &frame, error);
}


static int
v2m_transcode_run(v2m_error_t *error)
{
    int               rc;
    v2m_remote_t      remote;
    v2m_channel_t    *channel;
    v2m_transcoded_t  transcoded;
    v2m_transcoding_t transcoding;

    rc = v2m_sandbox_enter(error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_channel_create(&channel, V2M_CHANNEL_FD, V2M_CHANNEL_CHILD, NULL,
                            NULL, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_transcode_start(channel, &transcoding, &remote, error);

    if (rc == V2M_OK) {
        rc = v2m_transcode(&transcoding, &transcoded, error);
    }

    /* without a parent there is nobody to tell */
    if (rc != V2M_NOT_FOUND && rc != V2M_CORRUPT) {
        rc = v2m_transcode_tell(channel, &transcoded, rc, error);
    }

    v2m_channel_destroy(channel);

    return rc;
}


int
main(void)
{
    v2m_error_t error;
    struct stat status;

    if (fstat(V2M_CHANNEL_FD, &status) == -1 || !S_ISSOCK(status.st_mode)) {
        fputs("v2m-transcode is started by v2m-converter, not by hand\n",
              stderr);
        return 2;
    }

    /* these are meant for the parent, which ends its child itself */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);

    av_log_set_callback(v2m_transcode_log);

    if (v2m_transcode_run(&error) != V2M_OK) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }

    return EXIT_SUCCESS;
}
