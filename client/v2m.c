/*
 * v2m: the service from the command line.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "v2m_call.h"
#include "v2m_cli.h"
#include "v2m_parallel.h"
#include "v2m_screen.h"

#define V2M_CLI_LINE      1024
#define V2M_CLI_RESUMABLE (16 * 1024 * 1024) /* bytes */

typedef struct {
    const char *name;
    int         least; /* words */
    int         most;
    int (*run)(v2m_cli_t *cli);
} v2m_cli_command_t;

static const char v2m_cli_help[] =
    "Usage: v2m COMMAND [options] [WORDS]\n"
    "\n"
    "Turns videos into MP3s with a v2m service.\n"
    "\n"
    "  login [URL]      ask for e-mail and password (or read them, a line "
    "each,\n"
    "                   from standard input), and keep the token\n"
    "  logout           forget the token\n"
    "  convert FILE...  upload, wait, and put the MP3 beside each file\n"
    "  upload FILE...   upload only; prints the jobs' ids\n"
    "  status ID...     what jobs are at\n"
    "  wait ID...       wait until jobs are ready or failed\n"
    "  download ID...   fetch MP3s; goes on with what is there of them\n"
    "  list             all your jobs, newest first\n"
    "  delete ID...     remove jobs, their videos and MP3s\n"
    "\n"
    "  -o, --output=FILE      where download puts the MP3\n"
    "  -j, --parallel=NUMBER  how many files at a time, 1 to 64 (1)\n"
    "      --resumable=SIZE   files from this size on are uploaded so that "
    "the\n"
    "                         same command goes on where it broke off: bytes, "
    "or\n"
    "                         with k, m or g, or \"off\" (16m)\n"
    "      --json             print jobs as JSON, one on a line\n"
    "  -q, --quiet            show no progress\n"
    "  -h, --help             show this\n"
    "\n"
    "Options of a conversion, for convert and upload:\n"
    "      --bitrate=KBITS    constant, 32 to 320\n"
    "      --quality=NUMBER   variable: 0 (best, largest) to 9 (2)\n"
    "      --track=NUMBER     which audio track, counted from 1\n"
    "      --start=TIME       begin here: 83.5, or 1:23.5, or 1:02:03\n"
    "      --end=TIME         end here, counted from the video's beginning\n"
    "      --samplerate=HZ    8000 to 48000 (as the video has it)\n"
    "      --channels=NUMBER  1 or 2 (as the video has them, at most 2)\n"
    "      --loudnorm[=LUFS]  make it as loud as this, -31 to -8 (-16)\n"
    "      --webhook=URL      is called at the end, in place of an e-mail\n"
    "\n"
    "It ends with 0 when all went well, 1 when something failed, 2 when it "
    "was\n"
    "called wrongly, 3 when the login is missing, wrong or expired, and 4 "
    "when\n"
    "the service is away or too busy.\n"
    "\n"
    "The environment: V2M_URL, the service; V2M_TOKEN, a token; otherwise "
    "they\n"
    "are those that login kept under $XDG_CONFIG_HOME/v2m (~/.config/v2m).\n"
    "Uploads that broke off are remembered under $XDG_STATE_HOME/v2m\n"
    "(~/.local/state/v2m).\n";


static void
v2m_cli_on_signal(int number)
{
    (void) number;

    v2m_call_interrupt();
}


static void
v2m_cli_print_text(const json_t *job)
{
    char line[64];

    snprintf(line, sizeof(line), "%.24s  %-10.20s  ",
             v2m_client_text(job, "id"), v2m_client_text(job, "state"));
    v2m_screen_put(stdout, line);
    v2m_screen_put(stdout, v2m_client_text(job, "name"));

    if (json_is_string(json_object_get(job, "reason"))) {
        fputs(": ", stdout);
        v2m_screen_put(stdout, v2m_client_text(job, "reason"));
    }
}


void
v2m_cli_print(const v2m_cli_t *cli, const json_t *job)
{
    v2m_screen_hide();

    if (cli->json) {
        json_dumpf(job, stdout, JSON_COMPACT);

    } else {
        v2m_cli_print_text(job);
    }

    putchar('\n');
    v2m_screen_unhide();
}


static int
v2m_cli_read_line(char *line, const char *what)
{
    if (fgets(line, V2M_CLI_LINE, stdin) == NULL) {
        if (v2m_call_interrupted()) {
            v2m_client_complain("interrupted");
        } else {
            v2m_client_complain("there is no %s on standard input", what);
        }
        return 0;
    }

    line[strcspn(line, "\r\n")] = '\0';

    return 1;
}


/* On a terminal without echo.  Control-C ends it: getpass() would take that for
 * a part of the password. */
static int
v2m_cli_read_password(char *line)
{
    int            read;
    struct termios shown, hidden;

    if (tcgetattr(STDIN_FILENO, &shown) != 0) {
        return v2m_cli_read_line(line, "password");
    }

    /* what stops or kills the program would leave the terminal so */

    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t) ECHO;
    hidden.c_cc[VSUSP] = _POSIX_VDISABLE;
    hidden.c_cc[VQUIT] = _POSIX_VDISABLE;

    fputs("Password: ", stderr);

    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) != 0) {
        v2m_client_complain("the terminal's echo cannot be turned off: %s",
                            strerror(errno));
        return 0;
    }

    read = v2m_cli_read_line(line, "password");
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    fputc('\n', stderr);

    return read;
}


static int
v2m_cli_login(v2m_cli_t *cli)
{
    int         result;
    char        email[V2M_CLI_LINE], password[V2M_CLI_LINE];
    v2m_error_t error;

    if (isatty(STDIN_FILENO)) {
        fputs("E-mail: ", stderr);
    }

    if (!v2m_cli_read_line(email, "e-mail") || !v2m_cli_read_password(password))
    {
        return v2m_call_interrupted() ? V2M_CLIENT_FAILED : V2M_CLIENT_USAGE;
    }

    result = v2m_client_login(&cli->client, email, password);
    explicit_bzero(password, sizeof(password));

    if (result == V2M_CLIENT_DONE
        && v2m_account_save(&cli->client.account, &error) != V2M_OK)
    {
        v2m_client_complain("%s", error.text);
        result = V2M_CLIENT_FAILED;
    }

    return result;
}


static int
v2m_cli_logout(v2m_cli_t *cli)
{
    v2m_error_t error;

    (void) cli;

    if (v2m_account_forget(&error) != V2M_OK) {
        v2m_client_complain("%s", error.text);
        return V2M_CLIENT_FAILED;
    }

    return V2M_CLIENT_DONE;
}


/* Does it with each word; the first failure is what the program ends with. */
static int
v2m_cli_each(v2m_cli_t *cli, int (*one)(v2m_cli_t *cli, const char *word))
{
    int i, result, rc;

    result = V2M_CLIENT_DONE;

    for (i = 0; i < cli->count && !v2m_call_interrupted(); i++) {
        rc = one(cli, cli->words[i]);

        if (result == V2M_CLIENT_DONE) {
            result = rc;
        }
    }

    return result;
}


static int
v2m_cli_status_one(v2m_cli_t *cli, const char *id)
{
    int     result;
    json_t *job;

    result = v2m_client_status(&cli->client, id, &job);

    if (result == V2M_CLIENT_DONE) {
        v2m_cli_print(cli, job);
        json_decref(job);
    }

    return result;
}


static int
v2m_cli_status(v2m_cli_t *cli)
{
    return v2m_cli_each(cli, v2m_cli_status_one);
}


static int
v2m_cli_wait_one(v2m_cli_t *cli, const char *id)
{
    int     result;
    json_t *job;

    result = v2m_client_wait(&cli->client, id, id, &job);

    if (result == V2M_CLIENT_DONE) {
        v2m_cli_print(cli, job);

        if (strcmp(v2m_client_text(job, "state"), "failed") == 0) {
            result = V2M_CLIENT_FAILED;
        }

        json_decref(job);
    }

    return result;
}


static int
v2m_cli_wait(v2m_cli_t *cli)
{
    return v2m_cli_each(cli, v2m_cli_wait_one);
}


static int
v2m_cli_list(v2m_cli_t *cli)
{
    int     result;
    size_t  i;
    json_t *jobs, *job;

    result = v2m_client_list(&cli->client, &jobs);

    if (result == V2M_CLIENT_DONE) {
        json_array_foreach(jobs, i, job)
        {
            v2m_cli_print(cli, job);
        }
    }

    json_decref(jobs);

    return result;
}


static int
v2m_cli_delete_one(v2m_cli_t *cli, const char *id)
{
    return v2m_client_delete(&cli->client, id);
}


static int
v2m_cli_delete(v2m_cli_t *cli)
{
    return v2m_cli_each(cli, v2m_cli_delete_one);
}


static const v2m_cli_command_t v2m_cli_commands[] = {
    { "login", 0, 1, v2m_cli_login },
    { "logout", 0, 0, v2m_cli_logout },
    { "convert", 1, 1000000, v2m_cli_convert },
    { "upload", 1, 1000000, v2m_cli_upload },
    { "status", 1, 1000000, v2m_cli_status },
    { "wait", 1, 1000000, v2m_cli_wait },
    { "download", 1, 1000000, v2m_cli_download },
    { "list", 0, 0, v2m_cli_list },
    { "delete", 1, 1000000, v2m_cli_delete },
};


static const v2m_cli_command_t *
v2m_cli_find(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof(v2m_cli_commands) / sizeof(v2m_cli_commands[0]); i++)
    {
        if (strcmp(v2m_cli_commands[i].name, name) == 0) {
            return &v2m_cli_commands[i];
        }
    }

    return NULL;
}


/* Appends an option to the query; the service says whether it is usable. */
static int
v2m_cli_add_option(char **query, const char *name, const char *value)
{
    int   length;
    char *escaped, *longer;

    escaped = v2m_call_escape(value);
    length = escaped != NULL
                 ? asprintf(&longer, "%s%s%s=%s", *query,
                            (*query)[0] != '\0' ? "&" : "", name, escaped)
                 : -1;
    free(escaped);

    if (length < 0) {
        v2m_client_complain("out of memory");
        return 0;
    }

    free(*query);
    *query = longer;

    return 1;
}


/* How many at a time. */
static int
v2m_cli_read_number(int *number, const char *text)
{
    long  value;
    char *end;

    value = strtol(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value < 1
        || value > V2M_PARALLEL_MAX)
    {
        v2m_client_complain("--parallel must be a number from 1 to %d",
                            V2M_PARALLEL_MAX);
        return 0;
    }

    *number = (int) value;

    return 1;
}


/* From which size on uploads are resumable. */
static int
v2m_cli_read_size(int64_t *size, const char *text)
{
    int         shift;
    char       *end;
    long long   value;
    const char *unit;

    static const char units[] = "kmg";

    if (strcmp(text, "off") == 0) {
        *size = INT64_MAX;
        return 1;
    }

    errno = 0;
    value = strtoll(text, &end, 10);
    unit = *end != '\0' ? strchr(units, *end | 0x20) : NULL;
    shift = unit != NULL ? 10 * (int) (unit - units + 1) : 0;

    if (*text < '0' || *text > '9' || end[unit != NULL] != '\0' || errno != 0
        || value > INT64_MAX >> shift)
    {
        v2m_client_complain("--resumable must be a number of bytes, as in 16m, "
                            "or off");
        return 0;
    }

    *size = value << shift;

    return 1;
}


static int
v2m_cli_read(v2m_cli_t *cli, char **query, int argc, char **argv)
{
    int letter, index;

    static const struct option list[] = {
        { "bitrate", required_argument, NULL, 'c' },
        { "quality", required_argument, NULL, 'c' },
        { "track", required_argument, NULL, 'c' },
        { "start", required_argument, NULL, 'c' },
        { "end", required_argument, NULL, 'c' },
        { "samplerate", required_argument, NULL, 'c' },
        { "channels", required_argument, NULL, 'c' },
        { "loudnorm", optional_argument, NULL, 'c' },
        { "webhook", required_argument, NULL, 'c' },
        { "output", required_argument, NULL, 'o' },
        { "parallel", required_argument, NULL, 'j' },
        { "resumable", required_argument, NULL, 'r' },
        { "json", no_argument, NULL, 'J' },
        { "quiet", no_argument, NULL, 'q' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };

    while ((letter = getopt_long(argc, argv, "j:o:qh", list, &index)) != -1) {
        switch (letter) {
        case 'c':
            if (!v2m_cli_add_option(query, list[index].name,
                                    optarg != NULL ? optarg : "on"))
            {
                return V2M_CLIENT_FAILED;
            }
            break;

        case 'o':
            cli->output = optarg;
            break;

        case 'j':
            if (!v2m_cli_read_number(&cli->at_once, optarg)) {
                return V2M_CLIENT_USAGE;
            }
            break;

        case 'r':
            if (!v2m_cli_read_size(&cli->client.resumable, optarg)) {
                return V2M_CLIENT_USAGE;
            }
            break;

        case 'J':
            cli->json = 1;
            break;

        case 'q':
            cli->client.progress = 0;
            break;

        case 'h':
            fputs(v2m_cli_help, stdout);
            exit(V2M_CLIENT_DONE);

        default: /* getopt_long() said what is wrong */
            return V2M_CLIENT_USAGE;
        }
    }

    cli->words = argv + optind;
    cli->count = argc - optind;

    return V2M_CLIENT_DONE;
}


static int
v2m_cli_run(v2m_cli_t *cli)
{
    int                      login;
    v2m_error_t              error;
    const v2m_cli_command_t *command;

    command = cli->count > 0 ? v2m_cli_find(cli->words[0]) : NULL;

    if (command == NULL) {
        v2m_client_complain("a command is needed, see v2m --help");
        return V2M_CLIENT_USAGE;
    }

    cli->words++;
    cli->count--;

    if (cli->count < command->least || cli->count > command->most) {
        v2m_client_complain("%s: too %s words, see v2m --help", command->name,
                            cli->count < command->least ? "few" : "many");
        return V2M_CLIENT_USAGE;
    }

    if (command->run == v2m_cli_logout) {
        return v2m_cli_logout(cli);
    }

    login = command->run == v2m_cli_login && cli->count == 1;

    if (v2m_account_load(&cli->client.account, login ? cli->words[0] : NULL,
                         &error)
        != V2M_OK)
    {
        v2m_client_complain("%s", error.text);
        return V2M_CLIENT_USAGE;
    }

    return command->run(cli);
}


/* Nothing that is opened later, such as a file that is downloaded to, may get
 * the number of one of the three when that is closed. */
static void
v2m_cli_open_standard(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDONLY);
    } while (fd >= 0 && fd < STDERR_FILENO);

    if (fd > STDERR_FILENO) {
        close(fd);
    }
}


int
main(int argc, char **argv)
{
    int              result;
    char            *query;
    v2m_cli_t        cli;
    v2m_error_t      error;
    struct sigaction action;

    v2m_cli_open_standard();

    memset(&cli, 0, sizeof(cli));
    memset(&action, 0, sizeof(action));
    cli.client.progress = isatty(STDERR_FILENO);
    cli.client.resumable = V2M_CLI_RESUMABLE;
    cli.at_once = 1;

    action.sa_handler = v2m_cli_on_signal;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    query = strdup("");

    if (query == NULL || v2m_call_init(&error) != V2M_OK) {
        v2m_client_complain("out of memory");
        free(query);
        return V2M_CLIENT_FAILED;
    }

    result = v2m_cli_read(&cli, &query, argc, argv);

    if (result == V2M_CLIENT_DONE) {
        cli.client.query = query;
        result = v2m_cli_run(&cli);
    }

    if ((fflush(stdout) != 0 || ferror(stdout)) && result == V2M_CLIENT_DONE) {
        v2m_client_complain("standard output cannot be written");
        result = V2M_CLIENT_FAILED;
    }

    v2m_account_free(&cli.client.account);
    v2m_call_exit();
    free(query);

    return result;
}
