#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_id.h"
#include "v2m_json.h"
#include "v2m_message.h"
#include "v2m_pause.h"
#include "v2m_tool.h"

/* How many letters are looked at in one go. */
#define V2M_TOOL_LETTERS 1000

/* How long a letter, or a confirm, is waited for. */
#define V2M_TOOL_WAIT_MS 5000

typedef struct {
    uint64_t      tag;
    char         *body;
    size_t        length;
    v2m_message_t message;
    int           readable; /* it is a message that names a job */
} v2m_letter_t;

typedef struct {
    v2m_tool_t       *tool;
    v2m_amqp_t       *amqp;
    v2m_outbox_kind_t kind;
    const char       *name;  /* of the queue, as given */
    const char       *queue; /* where the letters were before */
    char              dead[V2M_AMQP_QUEUE_MAX + 8];
    v2m_letter_t     *letters;
    size_t            count;
    size_t            there; /* in the queue, perhaps more than are read */
} v2m_letters_t;


static int
v2m_letters_take(v2m_letters_t *letters, const v2m_amqp_event_t *event,
                 v2m_error_t *error)
{
    v2m_letter_t *letter;

    letter = &letters->letters[letters->count];

    letter->body = malloc(event->length + 1);
    if (letter->body == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    memcpy(letter->body, event->body, event->length);
    letter->body[event->length] = '\0';
    letter->length = event->length;
    letter->tag = event->tag;
    letter->readable =
        v2m_message_parse(&letter->message, letter->body, letter->length, NULL)
        == V2M_OK;
    letters->count++;

    return V2M_OK;
}


/* They stay the queue's until they are acknowledged. */
static int
v2m_letters_read(v2m_letters_t *letters, v2m_error_t *error)
{
    int              rc;
    size_t           wanted;
    int64_t          depth;
    v2m_amqp_event_t event;

    rc = v2m_amqp_depth(letters->amqp, letters->dead, &depth, error);

    if (rc == V2M_NOT_FOUND) {
        return V2M_OK;
    }

    if (rc != V2M_OK) {
        return rc;
    }

    letters->there = (size_t) depth;
    wanted = depth > V2M_TOOL_LETTERS ? V2M_TOOL_LETTERS : (size_t) depth;

    letters->letters = calloc(wanted + 1, sizeof(v2m_letter_t));
    if (letters->letters == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (wanted > 0) {
        rc =
            v2m_amqp_consume(letters->amqp, letters->dead, (int) wanted, error);
    }

    while (rc == V2M_OK && letters->count < wanted) {
        rc = v2m_amqp_wait(letters->amqp, -1, V2M_TOOL_WAIT_MS, &event, error);

        if (rc != V2M_OK || event.type == V2M_AMQP_NONE) {
            break; /* somebody else has the rest */
        }

        if (event.type == V2M_AMQP_DELIVERY) {
            rc = v2m_letters_take(letters, &event, error);
        }
    }

    return rc;
}


static int
v2m_letters_open(v2m_letters_t *letters, v2m_tool_t *tool, const char *name,
                 v2m_error_t *error)
{
    int rc;

    memset(letters, 0, sizeof(*letters));
    letters->tool = tool;
    letters->name = name;
    letters->kind =
        strcmp(name, "mp3") == 0 ? V2M_OUTBOX_MAILS : V2M_OUTBOX_VIDEOS;
    letters->queue =
        letters->kind == V2M_OUTBOX_MAILS ? tool->mp3_queue : tool->queue;
    snprintf(letters->dead, sizeof(letters->dead), "%.*s.dead",
             V2M_AMQP_QUEUE_MAX, letters->queue);

    rc = v2m_tool_connect(tool, &letters->amqp, letters->queue, error);

    return rc == V2M_OK ? v2m_letters_read(letters, error) : rc;
}


/* What was not acknowledged goes back. */
static void
v2m_letters_close(v2m_letters_t *letters)
{
    size_t i;

    for (i = 0; i < letters->count; i++) {
        free(letters->letters[i].body);
        v2m_message_free(&letters->letters[i].message);
    }

    free(letters->letters);
    v2m_amqp_close(letters->amqp);
}


static json_t *
v2m_letter_json(const v2m_letters_t *letters, const v2m_letter_t *letter)
{
    const v2m_message_t *message = &letter->message;

    if (!letter->readable) {
        return json_pack("{s:s, s:n, s:o}", "queue", letters->name, "id",
                         "body", v2m_json_text(letter->body));
    }

    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "queue", letters->name, "id",
                     message->video_fid, "username",
                     v2m_json_text(message->username), "name",
                     v2m_json_text(message->name), "error",
                     v2m_json_text(message->error));
}


static void
v2m_letter_print(const v2m_letters_t *letters, const v2m_letter_t *letter)
{
    const v2m_message_t *message = &letter->message;

    printf("%-6s  %-24s  ", letters->name,
           letter->readable ? message->video_fid : "-");
    v2m_tool_print_text(letter->readable ? message->username : "-");
    printf("  ");
    v2m_tool_print_text(!letter->readable       ? letter->body
                        : message->name != NULL ? message->name
                                                : "-");
    putchar('\n');
}


static int
v2m_dead_list(v2m_tool_t *tool, const char *name, json_t *list,
              v2m_error_t *error)
{
    int           rc;
    size_t        i;
    v2m_letters_t letters;

    rc = v2m_letters_open(&letters, tool, name, error);

    for (i = 0; rc == V2M_OK && i < letters.count; i++) {
        if (list != NULL) {
            json_array_append_new(
                list, v2m_letter_json(&letters, &letters.letters[i]));
        } else {
            v2m_letter_print(&letters, &letters.letters[i]);
        }
    }

    if (rc == V2M_OK && letters.there > letters.count) {
        fprintf(stderr, "v2m-jobs: %zu of %zu letters of \"%s\" are shown\n",
                letters.count, letters.there, letters.dead);
    }

    v2m_letters_close(&letters);

    return rc;
}


/* Publishes the letter itself and waits for the confirm. */
static int
v2m_letter_send(v2m_letters_t *letters, const v2m_letter_t *letter,
                v2m_error_t *error)
{
    int              rc;
    int64_t          until;
    uint64_t         tag;
    v2m_amqp_event_t event;

    if (letter->length == 0) {
        return v2m_error_set(error, V2M_CONFLICT,
                             "an empty letter, or one that is too long, cannot "
                             "be sent again");
    }

    rc = v2m_amqp_publish(
        letters->amqp, letters->queue, letter->body, letter->length,
        letter->readable ? letter->message.video_fid : "", &tag, error);
    if (rc != V2M_OK) {
        return rc;
    }

    for (until = v2m_clock_ms() + V2M_TOOL_WAIT_MS; v2m_clock_ms() < until;) {
        rc = v2m_amqp_wait(letters->amqp, -1, V2M_TOOL_WAIT_MS, &event, error);

        if (rc != V2M_OK) {
            return rc;
        }

        if (event.type == V2M_AMQP_ACK && event.tag >= tag) {
            return V2M_OK;
        }

        if (event.type == V2M_AMQP_NACK || event.type == V2M_AMQP_RETURN) {
            break;
        }
    }

    return v2m_error_set(error, V2M_UNAVAILABLE,
                         "the broker did not take the letter again");
}


/* A job that failed is to be tried anew, which a message alone cannot do. */
static int
v2m_letter_retry(v2m_letters_t *letters, const v2m_letter_t *letter,
                 v2m_error_t *error)
{
    int rc;

    rc = letter->readable ? v2m_tool_again(
             letters->tool, letter->message.video_fid, letters->kind, error)
                          : V2M_CONFLICT;

    if (rc == V2M_CONFLICT || rc == V2M_NOT_FOUND) {
        rc = v2m_letter_send(letters, letter, error);
    }

    return rc == V2M_OK ? v2m_amqp_ack(letters->amqp, letter->tag, error) : rc;
}


static int
v2m_letter_drop(v2m_letters_t *letters, const v2m_letter_t *letter,
                v2m_error_t *error)
{
    return v2m_amqp_ack(letters->amqp, letter->tag, error);
}


/* Whether a letter is one of those named. */
static int
v2m_letter_meant(const v2m_letter_t *letter, int all, int count, char **ids,
                 char *seen)
{
    int i;

    for (i = 0; i < count; i++) {
        if (letter->readable && strcmp(ids[i], letter->message.video_fid) == 0)
        {
            seen[i] = 1;
            return 1;
        }
    }

    return all;
}


static int
v2m_dead_each(v2m_tool_t *tool, const char *name, int count, char **ids,
              int (*each)(v2m_letters_t *, const v2m_letter_t *, v2m_error_t *))
{
    int           rc, status;
    char         *seen;
    size_t        i, done;
    v2m_error_t   error;
    v2m_letters_t letters;

    seen = calloc((size_t) count + 1, 1);
    rc = v2m_letters_open(&letters, tool, name, &error);
    done = 0;

    if (seen == NULL) {
        rc = v2m_error_set(&error, V2M_ERROR, "out of memory");
    }

    for (i = 0; rc == V2M_OK && i < letters.count; i++) {
        if (v2m_letter_meant(&letters.letters[i], tool->all, count, ids, seen))
        {
            rc = each(&letters, &letters.letters[i], &error);
            done += rc == V2M_OK;
        }
    }

    status = rc == V2M_OK ? V2M_TOOL_DONE : v2m_tool_failed(rc, &error);

    for (i = 0; rc == V2M_OK && i < (size_t) count; i++) {
        if (!seen[i]) {
            fprintf(stderr, "v2m-jobs: there is no letter about %s in \"%s\"\n",
                    ids[i], letters.dead);
            status = V2M_TOOL_NOT_FOUND;
        }
    }

    fprintf(stderr, "%zu of %zu letters of \"%s\"\n", done, letters.there,
            letters.dead);
    v2m_letters_close(&letters);
    free(seen);

    return status;
}


static int
v2m_dead_list_all(v2m_tool_t *tool, const char *name)
{
    int         rc;
    json_t     *list;
    v2m_error_t error;

    list = tool->json ? json_array() : NULL;

    if (list == NULL) {
        printf("%-6s  %-24s  %s\n", "QUEUE", "ID", "USER  NAME");
    }

    rc = name != NULL ? v2m_dead_list(tool, name, list, &error)
                      : v2m_dead_list(tool, "video", list, &error);

    if (rc == V2M_OK && name == NULL) {
        rc = v2m_dead_list(tool, "mp3", list, &error);
    }

    if (list != NULL && rc == V2M_OK) {
        v2m_tool_print_json(json_pack("{s:O}", "letters", list));
    }

    json_decref(list);

    return rc == V2M_OK ? V2M_TOOL_DONE : v2m_tool_failed(rc, &error);
}


int
v2m_tool_dead(v2m_tool_t *tool, int count, char **arguments)
{
    const char *verb, *name;

    verb = count > 0 ? arguments[0] : "";
    name = count > 1 ? arguments[1] : NULL;

    if (name != NULL && strcmp(name, "video") != 0 && strcmp(name, "mp3") != 0)
    {
        fprintf(stderr, "v2m-jobs: the queue is video or mp3, not \"%s\"\n",
                name);
        return V2M_TOOL_USAGE;
    }

    if (strcmp(verb, "list") == 0 && count <= 2) {
        return v2m_dead_list_all(tool, name);
    }

    if (name == NULL || (count == 2) != (tool->all != 0)) {
        fprintf(stderr,
                "v2m-jobs: dead list [QUEUE], dead retry|drop QUEUE ID..., or "
                "--all instead of ids\n");
        return V2M_TOOL_USAGE;
    }

    if (strcmp(verb, "retry") == 0) {
        return v2m_dead_each(tool, name, count - 2, arguments + 2,
                             v2m_letter_retry);
    }

    if (strcmp(verb, "drop") == 0) {
        return v2m_dead_each(tool, name, count - 2, arguments + 2,
                             v2m_letter_drop);
    }

    fprintf(stderr, "v2m-jobs: dead knows list, retry and drop\n");

    return V2M_TOOL_USAGE;
}
