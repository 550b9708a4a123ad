/*
 * v2m-convert: turns a video on this machine into an MP3, with the transcoder
 * and the sandbox of the service, and without its servers.
 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "v2m_child.h"
#include "v2m_cores.h"
#include "v2m_local_file.h"
#include "v2m_log.h"
#include "v2m_meter.h"
#include "v2m_options.h"
#include "v2m_pause.h"
#include "v2m_session.h"

#define V2M_LOCAL_THREADS_MAX 256

/* What the program ends with. */
#define V2M_LOCAL_DONE  0
#define V2M_LOCAL_NOT   1 /* there is no MP3 */
#define V2M_LOCAL_USAGE 2

typedef struct {
    v2m_options_t options;
    const char   *from;
    const char   *to;
    int           threads;
    int           force;
    int           quiet;
    int           verbose;
} v2m_local_call_t;

typedef struct {
    const v2m_local_call_t *call;
    v2m_session_t           session;
    v2m_local_input_t       input;
    v2m_local_output_t      output;
    v2m_meter_t             meter;
} v2m_local_t;

static const char v2m_local_help[] =
    "Usage: v2m-convert [options] VIDEO MP3\n"
    "\n"
    "Makes an MP3 of the sound of a video, or of any other recording.\n"
    "\n"
    "      --bitrate=KBITS    constant, 32 to 320\n"
    "      --quality=NUMBER   variable: 0 (best, largest) to 9 (2)\n"
    "      --track=NUMBER     which audio track, counted from 1\n"
    "      --start=TIME       begin here: 83.5, or 1:23.5, or 1:02:03\n"
    "      --end=TIME         end here, counted from the video's beginning\n"
    "      --samplerate=HZ    8000 to 48000 (as the video has it)\n"
    "      --channels=NUMBER  1 or 2 (as the video has them, at most 2)\n"
    "      --loudnorm[=LUFS]  make it as loud as this, -31 to -8 (-16)\n"
    "      --threads=NUMBER   1 to 256 (the number of cores)\n"
    "  -f, -y, --force        replace an MP3 that is there already\n"
    "  -q, --quiet            show nothing but errors\n"
    "  -v, --verbose          show what the transcoder has to say, too\n"
    "  -h, --help             show this\n"
    "\n"
    "The MP3 appears only when all of it is there.  The program ends with 0\n"
    "when it is, with 1 when there is none, and with 2 when it was called\n"
    "wrongly.\n"
    "\n"
    "The environment: V2M_TRANSCODE, the program that decodes and encodes\n"
    "(v2m-transcode, beside this one).\n";

static volatile sig_atomic_t v2m_local_signal;


static void
v2m_local_on_signal(int number)
{
    v2m_local_signal = number;
}


static void
v2m_local_complain(const char *text)
{
    fprintf(stderr, "v2m-convert: %s\n", text);
}


static int
v2m_local_read_threads(v2m_local_call_t *call, const char *text)
{
    char *end;
    long  number;

    errno = 0;
    number = strtol(text, &end, 10);

    if (errno != 0 || end == text || *end != '\0' || number < 1
        || number > V2M_LOCAL_THREADS_MAX)
    {
        fprintf(stderr,
                "v2m-convert: --threads must be a whole number from 1 to %d\n",
                V2M_LOCAL_THREADS_MAX);
        return V2M_LOCAL_USAGE;
    }

    call->threads = (int) number;

    return V2M_LOCAL_DONE;
}


static int
v2m_local_read_option(v2m_local_call_t *call, const char *name,
                      const char *value)
{
    v2m_error_t error;

    if (v2m_options_set(&call->options, name, strlen(name), value,
                        strlen(value), &error)
        != V2M_OK)
    {
        v2m_local_complain(error.text);
        return V2M_LOCAL_USAGE;
    }

    return V2M_LOCAL_DONE;
}


/* What follows the options: two files, and options that fit together. */
static int
v2m_local_read_files(v2m_local_call_t *call, int count, char **files)
{
    v2m_error_t error;

    if (count != 2) {
        v2m_local_complain(count < 2 ? "a video and an MP3 must be named, see "
                                       "v2m-convert --help"
                                     : "only two files can be named: a video "
                                       "and an MP3");
        return V2M_LOCAL_USAGE;
    }

    if (v2m_options_check(&call->options, &error) != V2M_OK) {
        v2m_local_complain(error.text);
        return V2M_LOCAL_USAGE;
    }

    call->from = files[0];
    call->to = files[1];

    return V2M_LOCAL_DONE;
}


/* The options that are those of an upload stand first, in any order. */
static int
v2m_local_read(v2m_local_call_t *call, int argc, char **argv)
{
    int rc, letter, index;

    static const struct option list[] = {
        { "bitrate", required_argument, NULL, 'o' },
        { "quality", required_argument, NULL, 'o' },
        { "track", required_argument, NULL, 'o' },
        { "start", required_argument, NULL, 'o' },
        { "end", required_argument, NULL, 'o' },
        { "samplerate", required_argument, NULL, 'o' },
        { "channels", required_argument, NULL, 'o' },
        { "loudnorm", optional_argument, NULL, 'o' },
        { "threads", required_argument, NULL, 't' },
        { "force", no_argument, NULL, 'f' },
        { "quiet", no_argument, NULL, 'q' },
        { "verbose", no_argument, NULL, 'v' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };

    memset(call, 0, sizeof(*call));
    v2m_options_init(&call->options);
    rc = V2M_LOCAL_DONE;

    while (rc == V2M_LOCAL_DONE
           && (letter = getopt_long(argc, argv, "fyqvh", list, &index)) != -1)
    {
        switch (letter) {
        case 'o':
            rc = v2m_local_read_option(call, list[index].name,
                                       optarg != NULL ? optarg : "on");
            break;

        case 't':
            rc = v2m_local_read_threads(call, optarg);
            break;

        case 'f':
        case 'y':
            call->force = 1;
            break;

        case 'q':
            call->quiet = 1;
            break;

        case 'v':
            call->verbose = 1;
            break;

        case 'h':
            fputs(v2m_local_help, stdout);
            exit(V2M_LOCAL_DONE);

        default: /* getopt_long() said what is wrong */
            rc = V2M_LOCAL_USAGE;
        }
    }

    return rc == V2M_LOCAL_DONE
               ? v2m_local_read_files(call, argc - optind, argv + optind)
               : rc;
}


/* Whether a file that is there may be replaced: as the caller said, or says
 * now. */
static int
v2m_local_may_replace(const v2m_local_call_t *call, v2m_error_t *error)
{
    int first, c;

    if (call->force || !v2m_local_exists(call->to)) {
        return V2M_OK;
    }

    if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
        fprintf(stderr, "%s exists.  Replace it? [y/N] ", call->to);

        first = getchar();
        for (c = first; c != '\n' && c != EOF; c = getchar()) {
            /* the rest of the line */
        }

        if (first == 'y' || first == 'Y') {
            return V2M_OK;
        }
    }

    return v2m_error_set(error, V2M_INVALID,
                         "%.160s exists; --force replaces it", call->to);
}


static int
v2m_local_read_bytes(void *data, int64_t offset, size_t length,
                     const unsigned char **bytes, size_t *got,
                     v2m_error_t *error)
{
    v2m_local_t *local = data;

    return v2m_local_input_read(&local->input, offset, length, bytes, got,
                                error);
}


/* Any place of a file can be written again. */
static int
v2m_local_keep(void *data, int64_t offset, v2m_error_t *error)
{
    (void) data;
    (void) offset;
    (void) error;

    return V2M_OK;
}


static int
v2m_local_write_bytes(void *data, int64_t offset, const unsigned char *bytes,
                      size_t length, v2m_error_t *error)
{
    v2m_local_t *local = data;

    return v2m_local_output_write(&local->output, offset, bytes, length, error);
}


static int
v2m_local_restart(void *data, v2m_error_t *error)
{
    v2m_local_t *local = data;

    return v2m_local_output_restart(&local->output, error);
}


static void
v2m_local_progress(void *data, v2m_channel_phase_t phase, int32_t percent)
{
    v2m_local_t *local = data;

    (void) phase;

    v2m_meter_tell(&local->meter, percent);
}


static int
v2m_local_stopping(void *data)
{
    v2m_local_t *local = data;

    v2m_meter_draw(&local->meter);

    return v2m_local_signal != 0;
}


static void
v2m_local_tell(const v2m_local_t *local)
{
    int64_t ms;

    if (local->call->quiet) {
        return;
    }

    ms = local->session.samples * 1000 / local->session.rate;
    printf("%s: %lld:%02d.%d of sound in %lld bytes, made in %.1f s of %s\n",
           local->call->to, (long long) ms / 60000, (int) (ms / 1000 % 60),
           (int) (ms / 100 % 10), (long long) local->session.mp3_length,
           (double) (v2m_clock_ms() - local->session.began_ms) / 1000,
           local->session.source);
}


static int
v2m_local_convert(v2m_local_t *local, v2m_error_t *error)
{
    int   rc;
    char *transcoder;

    static const v2m_session_owner_t owner = {
        v2m_local_read_bytes, v2m_local_keep,     v2m_local_write_bytes,
        v2m_local_restart,    v2m_local_progress, v2m_local_stopping,
    };

    rc = v2m_child_find(&transcoder, error);

    if (rc == V2M_OK) {
        local->session.owner = &owner;
        local->session.data = local;
        local->session.transcoder = transcoder;
        local->session.options = &local->call->options;
        local->session.length = local->input.length;
        local->session.threads =
            local->call->threads > 0 ? local->call->threads : v2m_cores("");

        v2m_meter_init(&local->meter, local->call->quiet ? NULL : stderr);
        rc = v2m_session_run(&local->session, error);
        v2m_meter_end(&local->meter);
    }

    free(transcoder);

    return rc;
}


static int
v2m_local_run(v2m_local_t *local, v2m_error_t *error)
{
    int                     rc;
    const v2m_local_call_t *call;

    call = local->call;

    rc = v2m_local_input_open(&local->input, call->from, error);
    if (rc != V2M_OK) {
        return rc;
    }

    if (v2m_local_same(call->from, call->to)) {
        return v2m_error_set(error, V2M_INVALID,
                             "%.160s cannot be both the video and the MP3",
                             call->from);
    }

    rc = v2m_local_may_replace(call, error);

    if (rc == V2M_OK) {
        rc = v2m_local_output_open(&local->output, call->to,
                                   v2m_local_exists(call->to), error);
    }

    if (rc == V2M_OK) {
        rc = v2m_local_convert(local, error);
    }

    return rc == V2M_OK ? v2m_local_output_finish(&local->output, error) : rc;
}


static void
v2m_local_catch(void)
{
    size_t           i;
    struct sigaction action;

    static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };

    memset(&action, 0, sizeof(action));
    action.sa_handler = v2m_local_on_signal;

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sigaction(numbers[i], &action, NULL);
    }
}


int
main(int argc, char **argv)
{
    int              rc;
    v2m_error_t      error;
    v2m_local_call_t call;

    static v2m_local_t local;

    rc = v2m_local_read(&call, argc, argv);
    if (rc != V2M_LOCAL_DONE) {
        return rc;
    }

    setenv("V2M_LOG_LEVEL", call.verbose ? "info" : "error", 0);
    v2m_log_init("v2m-convert");
    v2m_local_catch();

    local.call = &call;
    local.input.fd = -1;
    local.output.fd = -1;

    rc = v2m_local_run(&local, &error);

    v2m_local_input_close(&local.input);
    v2m_local_output_close(&local.output);

    if (v2m_local_signal != 0) {
        signal(v2m_local_signal, SIG_DFL);
        raise(v2m_local_signal);
    }

    if (rc != V2M_OK) {
        v2m_local_complain(error.text);
        return V2M_LOCAL_NOT;
    }

    v2m_local_tell(&local);

    return V2M_LOCAL_DONE;
}
