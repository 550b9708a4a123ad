/*
 * v2m-jobs: looks at jobs, sends them anew, removes them; the same for dead
 * letters.
 */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_config.h"
#include "v2m_id.h"
#include "v2m_tool.h"

#define V2M_TOOL_MONGO_TIMEOUT_MS 10000

#define V2M_TOOL_LIMIT      50
#define V2M_TOOL_LIMIT_MOST 10000

typedef struct {
    const char *name;
    int         least; /* arguments */
    int         most;  /* -1: any number */
    int (*run)(v2m_tool_t *tool, int count, char **arguments);
} v2m_tool_command_t;

static const char v2m_tool_help[] =
    "Usage: v2m-jobs list [--state STATE] [--user EMAIL] [--limit N]\n"
    "                     [--after ID] [--json]\n"
    "       v2m-jobs show [--json] ID...\n"
    "       v2m-jobs retry ID...\n"
    "       v2m-jobs mail ID...\n"
    "       v2m-jobs drop ID...\n"
    "       v2m-jobs dead list [--json] [QUEUE]\n"
    "       v2m-jobs dead retry QUEUE ID...|--all\n"
    "       v2m-jobs dead drop QUEUE ID...|--all\n"
    "       v2m-jobs --help\n"
    "\n"
    "Looks after everyone's jobs.\n"
    "\n"
    "  list   prints jobs, the newest first: 50, or N; those after the one "
    "with\n"
    "         the ID; of one STATE (uploading, queued, converting, ready,\n"
    "         failed) or user\n"
    "  show   prints all about each job\n"
    "  retry  has failed jobs converted once more\n"
    "  mail   has the mails and webhooks sent once more that were given up\n"
    "  drop   removes jobs with their videos and MP3s\n"
    "  dead   lists the letters of dead-letter queues; sends letters back to\n"
    "         their QUEUE (video or mp3), and their jobs with them if they\n"
    "         failed; or drops letters\n"
    "\n"
    "  --json  print JSON instead of a table\n"
    "\n"
    "Settings come from the environment; each NAME can be given as NAME_FILE,\n"
    "the path of a file that holds the value.\n"
    "\n"
    "  V2M_MONGO_URI  MongoDB, mongodb://HOST:PORT (required)\n"
    "  V2M_AMQP_URL   RabbitMQ, amqp://USER:PASSWORD@HOST:PORT (required by\n"
    "                 retry, mail and dead)\n"
    "  VIDEO_QUEUE    the queue of uploaded videos (video)\n"
    "  MP3_QUEUE      the queue of finished jobs (mp3)\n"
    "  V2M_ATTEMPTS   attempts before a message goes to the dead letters, for "
    "a\n"
    "                 queue that is made, 1 to 1000 (5)\n"
    "\n"
    "Exit status: 0 done; 1 failed; 2 wrong usage; 3 there is no such job or\n"
    "letter; 4 the job is in a state that does not allow it.\n";

static const v2m_tool_command_t v2m_tool_commands[] = {
    { "list", 0, 0, v2m_tool_list },    { "show", 1, -1, v2m_tool_show },
    { "retry", 1, -1, v2m_tool_retry }, { "mail", 1, -1, v2m_tool_mail },
    { "drop", 1, -1, v2m_tool_drop },   { "dead", 1, -1, v2m_tool_dead },
};


int
v2m_tool_failed(int rc, const v2m_error_t *error)
{
    fprintf(stderr, "v2m-jobs: %s\n", error->text);

    return rc == V2M_NOT_FOUND  ? V2M_TOOL_NOT_FOUND
           : rc == V2M_CONFLICT ? V2M_TOOL_CONFLICT
                                : V2M_TOOL_TROUBLE;
}


int
v2m_tool_connect(const v2m_tool_t *tool, v2m_amqp_t **amqp, const char *queue,
                 v2m_error_t *error)
{
    int rc;

    rc = v2m_outbox_connect(amqp, tool->amqp_url, "v2m-jobs", error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_amqp_declare(*amqp, queue, tool->attempts, error);
    if (rc != V2M_OK) {
        v2m_amqp_close(*amqp);
        *amqp = NULL;
    }

    return rc;
}


/* Takes one option; 0: it is unusable. */
static int
v2m_tool_option(v2m_tool_t *tool, int option)
{
    char           *end;
    long            limit;
    v2m_job_state_t state;
    static v2m_id_t after;

    switch (option) {
    case 'j':
        tool->json = 1;
        return 1;

    case 'a':
        tool->all = 1;
        return 1;

    case 's':
        if (v2m_job_state_parse(&state, optarg) != V2M_OK) {
            fprintf(stderr, "v2m-jobs: there is no state \"%s\"\n", optarg);
            return 0;
        }

        tool->state = (int) state;
        return 1;

    case 'u':
        tool->user = optarg;
        return 1;

    case 'l':
        limit = strtol(optarg, &end, 10);

        if (*end != '\0' || end == optarg || limit < 1
            || limit > V2M_TOOL_LIMIT_MOST) {
            fprintf(stderr, "v2m-jobs: --limit takes 1 to %d\n",
                    V2M_TOOL_LIMIT_MOST);
            return 0;
        }

        tool->limit = (int) limit;
        return 1;

    case 'i':
        if (!v2m_id_parse(after, optarg, strlen(optarg))) {
            fprintf(stderr, "v2m-jobs: --after takes a job's id\n");
            return 0;
        }

        tool->after = after;
        return 1;

    default:
        return 0;
    }
}


/* The command that the arguments ask for, with what is left of them; NULL: the
 * exit status is in *status. */
static const v2m_tool_command_t *
v2m_tool_arguments(v2m_tool_t *tool, int argc, char **argv, int *status)
{
    int    option, count;
    size_t i;

    static const struct option options[] = {
        { "state", required_argument, NULL, 's' },
        { "user", required_argument, NULL, 'u' },
        { "limit", required_argument, NULL, 'l' },
        { "after", required_argument, NULL, 'i' },
        { "json", no_argument, NULL, 'j' },
        { "all", no_argument, NULL, 'a' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 },
    };

    *status = V2M_TOOL_USAGE;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(v2m_tool_help, stdout);
            *status = V2M_TOOL_DONE;
            return NULL;
        }

        if (!v2m_tool_option(tool, option)) {
            fputs("see v2m-jobs --help\n", stderr);
            return NULL;
        }
    }

    count = argc - optind - 1;

    for (i = 0; i < sizeof(v2m_tool_commands) / sizeof(v2m_tool_commands[0]);
         i++) {
        if (count >= v2m_tool_commands[i].least
            && (v2m_tool_commands[i].most == -1
                || count <= v2m_tool_commands[i].most)
            && strcmp(argv[optind], v2m_tool_commands[i].name) == 0)
        {
            return &v2m_tool_commands[i];
        }
    }

    fputs(v2m_tool_help, stderr);

    return NULL;
}


static int
v2m_tool_read(v2m_tool_t *tool, int broker, v2m_error_t *error)
{
    int     rc;
    int64_t attempts;

    if ((rc = v2m_config_required("V2M_MONGO_URI", &tool->mongo_uri, error))
            != V2M_OK
        || (rc = broker ? v2m_config_required("V2M_AMQP_URL", &tool->amqp_url,
                                              error)
                        : V2M_OK)
               != V2M_OK
        || (rc = v2m_config_string("VIDEO_QUEUE", "video", &tool->queue, error))
               != V2M_OK
        || (rc = v2m_config_string("MP3_QUEUE", "mp3", &tool->mp3_queue, error))
               != V2M_OK
        || (rc = v2m_config_integer("V2M_ATTEMPTS", 5, 1, 1000, &attempts,
                                    error))
               != V2M_OK)
    {
        return rc;
    }

    tool->attempts = (int) attempts;

    return V2M_OK;
}


int
main(int argc, char **argv)
{
    int                       rc, status, broker;
    v2m_tool_t                tool;
    v2m_error_t               error;
    v2m_mongo_options_t       options;
    const v2m_tool_command_t *command;

    memset(&tool, 0, sizeof(tool));
    tool.state = -1;
    tool.limit = V2M_TOOL_LIMIT;

    command = v2m_tool_arguments(&tool, argc, argv, &status);
    if (command == NULL) {
        return status;
    }

    broker = command->run == v2m_tool_retry || command->run == v2m_tool_mail
             || command->run == v2m_tool_dead;

    rc = v2m_tool_read(&tool, broker, &error);

    if (rc == V2M_OK) {
        options.application = "v2m-jobs";
        options.timeout_ms = V2M_TOOL_MONGO_TIMEOUT_MS;
        rc = v2m_mongo_create(&tool.mongo, tool.mongo_uri, &options, &error);
    }

    status = rc == V2M_OK
                 ? command->run(&tool, argc - optind - 1, argv + optind + 1)
                 : v2m_tool_failed(rc, &error);

    v2m_mongo_destroy(tool.mongo);
    v2m_config_wipe(tool.mongo_uri);
    v2m_config_wipe(tool.amqp_url);
    free(tool.queue);
    free(tool.mp3_queue);

    return status;
}
