#include "v2m_message.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_filename.h"
#include "v2m_json.h"

#define V2M_MESSAGE_USERNAME_MAX 255


static int
v2m_message_take_id(v2m_id_t id, const char *field, const json_t *value,
                    v2m_error_t *error)
{
    if (!json_is_string(value)
        || !v2m_id_parse(id, json_string_value(value),
                         json_string_length(value)))
    {
        return v2m_error_set(error, V2M_INVALID,
                             "the message's %s is not an id of 24 hex digits",
                             field);
    }

    return V2M_OK;
}


/* The name becomes an address in a mail's header: no line may be hidden in
 * it. */
static int
v2m_message_username_usable(const char *username, size_t length)
{
    size_t i;

    for (i = 0; i < length; i++) {
        if ((unsigned char) username[i] < 0x20 || username[i] == 0x7F) {
            return 0;
        }
    }

    return length > 0 && length <= V2M_MESSAGE_USERNAME_MAX;
}


static int
v2m_message_take_username(v2m_message_t *message, const json_t *value,
                          v2m_error_t *error)
{
    if (!json_is_string(value)
        || !v2m_message_username_usable(json_string_value(value),
                                        json_string_length(value)))
    {
        return v2m_error_set(error, V2M_INVALID,
                             "the message's username is missing, longer than "
                             "%d bytes, or has control characters",
                             V2M_MESSAGE_USERNAME_MAX);
    }

    message->username = strdup(json_string_value(value));

    return message->username != NULL
               ? V2M_OK
               : v2m_error_set(error, V2M_ERROR, "out of memory");
}


/* The fields that other producers do not send. */
static int
v2m_message_take_extras(v2m_message_t *message, const json_t *name,
                        const json_t *failure, v2m_error_t *error)
{
    char clean[V2M_FILENAME_MAX + 1];

    if (json_is_string(name)) {
        v2m_filename_clean(clean, json_string_value(name),
                           json_string_length(name));

        if (*clean != '\0' && (message->name = strdup(clean)) == NULL) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }
    }

    if (json_is_string(failure) && json_string_length(failure) > 0) {
        message->error = strdup(json_string_value(failure));

        if (message->error == NULL) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }
    }

    return V2M_OK;
}


static int
v2m_message_take(v2m_message_t *message, const json_t *root, v2m_error_t *error)
{
    int     rc;
    json_t *mp3_fid, *trace;

    if (!json_is_object(root)) {
        return v2m_error_set(error, V2M_INVALID,
                             "the message is no JSON object");
    }

    rc = v2m_message_take_id(message->video_fid, "video_fid",
                             json_object_get(root, "video_fid"), error);
    if (rc != V2M_OK) {
        return rc;
    }

    mp3_fid = json_object_get(root, "mp3_fid");

    if (mp3_fid != NULL && !json_is_null(mp3_fid)
        && !(json_is_string(mp3_fid) && json_string_length(mp3_fid) == 0))
    {
        rc = v2m_message_take_id(message->mp3_fid, "mp3_fid", mp3_fid, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    rc = v2m_message_take_username(message, json_object_get(root, "username"),
                                   error);
    if (rc != V2M_OK) {
        return rc;
    }

    message->ours = json_is_number(json_object_get(root, "version"));

    trace = json_object_get(root, "traceparent");
    v2m_trace_parse(message->traceparent, json_string_value(trace),
                    json_string_length(trace));

    return v2m_message_take_extras(message, json_object_get(root, "name"),
                                   json_object_get(root, "error"), error);
}


int
v2m_message_parse(v2m_message_t *message, const char *text, size_t length,
                  v2m_error_t *error)
{
    int          rc;
    json_t      *root;
    json_error_t problem;

    memset(message, 0, sizeof(v2m_message_t));

    /* no number is of interest, so none is too big */

    root =
        json_loadb(text, length,
                   JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &problem);
    if (root == NULL) {
        return v2m_error_set(error, V2M_INVALID,
                             "the message is no JSON: %.100s", problem.text);
    }

    rc = v2m_message_take(message, root, error);

    json_decref(root);

    return rc;
}


char *
v2m_message_format(const v2m_message_t *message)
{
    int     failed;
    char   *text;
    json_t *root;

    root = json_object();

    failed = json_object_set_new(root, "video_fid",
                                 v2m_json_text(message->video_fid));
    failed |= json_object_set_new(root, "mp3_fid",
                                  *message->mp3_fid != '\0'
                                      ? v2m_json_text(message->mp3_fid)
                                      : json_null());
    failed |=
        json_object_set_new(root, "username", v2m_json_text(message->username));

    if (message->name != NULL) {
        failed |=
            json_object_set_new(root, "name", v2m_json_text(message->name));
    }

    if (message->error != NULL) {
        failed |=
            json_object_set_new(root, "error", v2m_json_text(message->error));
    }

    if (message->traceparent[0] != '\0') {
        failed |= json_object_set_new(root, "traceparent",
                                      json_string(message->traceparent));
    }

    failed |=
        json_object_set_new(root, "version", json_integer(V2M_MESSAGE_VERSION));

    text = failed ? NULL : json_dumps(root, JSON_COMPACT);

    json_decref(root);

    return text;
}


void
v2m_message_free(v2m_message_t *message)
{
    free(message->username);
    free(message->name);
    free(message->error);
    memset(message, 0, sizeof(v2m_message_t));
}
