#include "v2m_tus_client.h"

#include <stdlib.h>
#include <string.h>

#include "v2m_pause.h"
#include "v2m_upload_state.h"

/* In a row, without a byte more: about a minute. */
#define V2M_TUS_CLIENT_TRIES    8
#define V2M_TUS_CLIENT_FIRST_MS 500
#define V2M_TUS_CLIENT_MOST_MS  30000

#define V2M_TUS_CLIENT_VERSION "Tus-Resumable: 1.0.0"

/* What came of a step. */
typedef enum {
    V2M_TUS_CLIENT_GOOD,
    V2M_TUS_CLIENT_PASSING, /* passes by itself: to be tried again */
    V2M_TUS_CLIENT_GONE,    /* there is no such upload (any more) */
    V2M_TUS_CLIENT_REFUSED,
} v2m_tus_client_step_t;

typedef struct {
    v2m_client_t            *client;
    const v2m_upload_file_t *file;
    char                    *key;
    v2m_upload_state_t       state;
    v2m_screen_line_t       *line;

    char    id[25];  /* of the upload; "": it is not begun */
    char    job[25]; /* once all of it is there; "": not yet */
    int64_t offset;  /* that many bytes the service has */

    /* of the last call */
    int               rc;
    v2m_call_answer_t answer;
    v2m_error_t       error;
} v2m_tus_client_t;


/* Base64, RFC 4648 section 4; malloc'ed, NULL when out of memory. */
static char *
v2m_tus_client_base64(const char *text)
{
    int                  bits;
    char                *encoded, *p;
    size_t               length;
    uint32_t             value;
    const unsigned char *byte;

    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";

    length = strlen(text);

    encoded = p = malloc((length + 2) / 3 * 4 + 1);
    if (encoded == NULL) {
        return NULL;
    }

    value = 0;
    bits = 0;

    for (byte = (const unsigned char *) text; *byte != '\0'; byte++) {
        value = value << 8 | *byte;

        for (bits += 8; bits >= 6; bits -= 6) {
            *p++ = digits[value >> (bits - 6) & 63];
        }
    }

    if (bits > 0) {
        *p++ = digits[value << (6 - bits) & 63];
    }

    while ((p - encoded) % 4 != 0) {
        *p++ = '=';
    }

    *p = '\0';

    return encoded;
}


/* One call, which is judged by its status. */
static v2m_tus_client_step_t
v2m_tus_client_ask(v2m_tus_client_t *tus, v2m_call_t *call, const char *path)
{
    v2m_call_answer_free(&tus->answer);

    tus->rc =
        v2m_client_ask(tus->client, call, path, &tus->answer, &tus->error);

    if (tus->rc == V2M_UNAVAILABLE) {
        return V2M_TUS_CLIENT_PASSING;
    }

    if (tus->rc != V2M_OK) {
        return V2M_TUS_CLIENT_REFUSED;
    }

    if (tus->answer.status / 100 == 2) {
        return V2M_TUS_CLIENT_GOOD;
    }

    switch (tus->answer.status) {
    case 404:
    case 410:
        return V2M_TUS_CLIENT_GONE;

    case 408:
    case 409: /* it is at another offset than we thought */
    case 423: /* the service has not given up our last request yet */
    case 429:
        return V2M_TUS_CLIENT_PASSING;

    case 501:
    case 507: /* no room: that lasts */
        return V2M_TUS_CLIENT_REFUSED;

    default:
        return tus->answer.status >= 500 ? V2M_TUS_CLIENT_PASSING
                                         : V2M_TUS_CLIENT_REFUSED;
    }
}


/* A call of the upload itself. */
static v2m_tus_client_step_t
v2m_tus_client_ask_of(v2m_tus_client_t *tus, v2m_call_t *call)
{
    char path[64];

    snprintf(path, sizeof(path), "/tus/%s", tus->id);
    call->once = 1;

    return v2m_tus_client_ask(tus, call, path);
}


/* Such as one that is cut inside its headers, or a network's own. */
static v2m_tus_client_step_t
v2m_tus_client_strange(v2m_tus_client_t *tus)
{
    tus->rc = v2m_error_set(&tus->error, V2M_INVALID,
                            "the answer is not that of v2m");

    return V2M_TUS_CLIENT_PASSING;
}


/* Remembers what the address of a new upload ends with. */
static v2m_tus_client_step_t
v2m_tus_client_begun(v2m_tus_client_t *tus, const char *location)
{
    const char *id;
    v2m_error_t error;

    id = strrchr(location, '/');

    if (id == NULL || !v2m_client_is_id(id + 1)) {
        return v2m_tus_client_strange(tus);
    }

    strcpy(tus->id, id + 1);
    tus->offset = 0;

    if (v2m_upload_state_keep(&tus->state, tus->id, &error) != V2M_OK) {
        v2m_client_complain("%s", error.text);
    }

    return V2M_TUS_CLIENT_GOOD;
}


static v2m_tus_client_step_t
v2m_tus_client_create(v2m_tus_client_t *tus)
{
    char       *name, *path, *metadata, length[64], key[V2M_CLIENT_KEY];
    v2m_call_t  call;
    const char *headers[] = { V2M_TUS_CLIENT_VERSION, length, key, NULL, NULL };
    v2m_call_header_t     wanted[] = { { "Location", "" }, { NULL, "" } };
    v2m_tus_client_step_t step;

    name = v2m_tus_client_base64(tus->file->label);

    if (name == NULL || !v2m_client_key(key)
        || asprintf(&metadata, "Upload-Metadata: filename %s", name) < 0)
    {
        metadata = NULL;
    }

    free(name);

    if (metadata == NULL
        || asprintf(&path, "/tus/%s%s",
                    tus->client->query[0] != '\0' ? "?" : "",
                    tus->client->query)
               < 0)
    {
        free(metadata);
        tus->rc = v2m_error_set(&tus->error, V2M_ERROR, "out of memory");
        return V2M_TUS_CLIENT_REFUSED;
    }

    snprintf(length, sizeof(length), "Upload-Length: %lld",
             (long long) tus->file->status.st_size);

    headers[3] = metadata;

    memset(&call, 0, sizeof(call));
    call.method = "POST";
    call.headers = headers;
    call.wanted = wanted;

    step = v2m_tus_client_ask(tus, &call, path);

    free(path);
    free(metadata);

    return step == V2M_TUS_CLIENT_GOOD
               ? v2m_tus_client_begun(tus, wanted[0].value)
               : step;
}


/* What both HEAD and PATCH tell. */
static void
v2m_tus_client_told(v2m_tus_client_t *tus, const v2m_call_header_t *job)
{
    if (v2m_client_is_id(job->value)) {
        strcpy(tus->job, job->value);
    }
}


/* How far it is. */
static v2m_tus_client_step_t
v2m_tus_client_look(v2m_tus_client_t *tus)
{
    char                 *end;
    v2m_call_t            call;
    v2m_call_header_t     wanted[] = { { "V2M-Job", "" },
                                       { "Upload-Offset", "" },
                                       { NULL, "" } };
    v2m_tus_client_step_t step;

    static const char *const headers[] = { V2M_TUS_CLIENT_VERSION, NULL };

    memset(&call, 0, sizeof(call));
    call.method = "HEAD";
    call.headers = headers;
    call.wanted = wanted;

    step = v2m_tus_client_ask_of(tus, &call);

    if (step == V2M_TUS_CLIENT_GOOD) {
        v2m_tus_client_told(tus, &wanted[0]);
        tus->offset = strtoll(wanted[1].value, &end, 10);

        if (end == wanted[1].value || *end != '\0' || tus->offset < 0
            || tus->offset > tus->file->status.st_size)
        {
            return v2m_tus_client_strange(tus);
        }
    }

    return step;
}


/* Sends the rest. */
static v2m_tus_client_step_t
v2m_tus_client_send(v2m_tus_client_t *tus)
{
    char                  offset[64];
    v2m_call_t            call;
    const char           *headers[] = { V2M_TUS_CLIENT_VERSION, offset, NULL };
    v2m_call_header_t     wanted[] = { { "V2M-Job", "" }, { NULL, "" } };
    v2m_tus_client_step_t step;

    snprintf(offset, sizeof(offset), "Upload-Offset: %lld",
             (long long) tus->offset);

    memset(&call, 0, sizeof(call));
    call.method = "PATCH";
    call.headers = headers;
    call.wanted = wanted;
    call.body = tus->file->stream;
    call.body_from = tus->offset;
    call.type = "application/offset+octet-stream";
    call.line = tus->line;

    step = v2m_tus_client_ask_of(tus, &call);

    if (step == V2M_TUS_CLIENT_GOOD) {
        v2m_tus_client_told(tus, &wanted[0]);

        if (tus->job[0] == '\0') {
            return v2m_tus_client_strange(tus);
        }
    }

    return step;
}


/* Begins or goes on, as far as it goes. */
static v2m_tus_client_step_t
v2m_tus_client_attempt(v2m_tus_client_t *tus)
{
    v2m_tus_client_step_t step;

    if (tus->id[0] == '\0') {
        step = v2m_tus_client_create(tus);

        /* it is the place that there is not */
        if (step == V2M_TUS_CLIENT_GONE) {
            return V2M_TUS_CLIENT_REFUSED;
        }

    } else {
        step = v2m_tus_client_look(tus);
    }

    return step == V2M_TUS_CLIENT_GOOD && tus->job[0] == '\0'
               ? v2m_tus_client_send(tus)
               : step;
}


/* Waits before the next attempt; 0: there is none. */
static int
v2m_tus_client_wait(v2m_tus_client_t *tus, int tries)
{
    int64_t pause_ms;

    if (tries >= V2M_TUS_CLIENT_TRIES || tus->id[0] == '\0') {
        return 0;
    }

    pause_ms = v2m_pause_ms(tries - 1, V2M_TUS_CLIENT_FIRST_MS,
                            V2M_TUS_CLIENT_MOST_MS);

    /* of a lock it says when it is over at the latest */

    if (tus->answer.status != 423) {
        if (tus->answer.wait_s > V2M_CALL_WAIT_S) {
            return 0;
        }

        if (pause_ms < tus->answer.wait_s * 1000) {
            pause_ms = tus->answer.wait_s * 1000;
        }
    }

    v2m_screen_show(tus->line, "broke off, trying again");

    if (!v2m_call_pause(pause_ms)) {
        tus->rc = v2m_error_set(&tus->error, V2M_ERROR, "interrupted");
        return 0;
    }

    return 1;
}


static void
v2m_tus_client_forget(v2m_tus_client_t *tus)
{
    tus->id[0] = '\0';
    tus->offset = 0;
    v2m_upload_state_forget(&tus->state);
}


/* Removes what there is of it, so that it does not count among the user's
 * files; else it expires. */
static void
v2m_tus_client_remove(v2m_tus_client_t *tus)
{
    v2m_call_t call;

    static const char *const headers[] = { V2M_TUS_CLIENT_VERSION, NULL };

    if (tus->id[0] != '\0') {
        memset(&call, 0, sizeof(call));
        call.method = "DELETE";
        call.headers = headers;

        (void) v2m_tus_client_ask_of(tus, &call);
        v2m_tus_client_forget(tus);
    }
}


/* Complains of how it ended. */
static int
v2m_tus_client_failed(v2m_tus_client_t *tus, v2m_tus_client_step_t step)
{
    int  result, lasting;
    long status;

    status = tus->rc == V2M_OK ? tus->answer.status : 0;

    if (tus->id[0] == '\0' && (status == 404 || status == 405)) {
        return V2M_TUS_CLIENT_NONE;
    }

    result =
        v2m_client_judge(tus->file->path, tus->rc, &tus->answer, &tus->error);

    if (tus->id[0] == '\0') {
        return result;
    }

    /* not what a login, room in the store, another network or another call may
     * change */
    lasting = step != V2M_TUS_CLIENT_PASSING
              && ((status / 100 == 4 && status != 401) || status == 501);

    if (lasting) {
        v2m_tus_client_remove(tus);

    } else if (tus->state.file >= 0) {
        v2m_client_complain("%s: what arrived is kept for a while; the same "
                            "command goes on with it",
                            tus->file->path);
    }

    return result;
}


/* The job of an upload that is complete. */
static int
v2m_tus_client_finish(v2m_tus_client_t *tus, json_t **job)
{
    int        result;
    char       path[64];
    v2m_call_t call;

    snprintf(path, sizeof(path), "/jobs/%s", tus->job);

    memset(&call, 0, sizeof(call));
    call.method = "GET";

    result = v2m_client_call(tus->client, tus->file->path, &call, path, job);

    if (result == V2M_CLIENT_DONE) {
        v2m_tus_client_forget(tus);
    } else {
        v2m_client_complain("%s was uploaded as job %s", tus->file->path,
                            tus->job);
    }

    return result;
}


static int
v2m_tus_client_changed(v2m_tus_client_t *tus)
{
    v2m_client_complain("%s changed while it was uploaded", tus->file->path);
    v2m_tus_client_remove(tus);

    return V2M_CLIENT_FAILED;
}


static int
v2m_tus_client_run(v2m_tus_client_t *tus, json_t **job)
{
    int                   tries, fresh;
    int64_t               before;
    v2m_tus_client_step_t step;

    for (tries = 1;; tries++) {
        if (!v2m_upload_file_is_same(tus->file)) {
            return v2m_tus_client_changed(tus);
        }

        before = tus->offset;
        fresh = tus->id[0] == '\0';
        step = v2m_tus_client_attempt(tus);

        /* also when a service refused it for its new length */

        if (step != V2M_TUS_CLIENT_PASSING
            && !v2m_upload_file_is_same(tus->file)) {
            return v2m_tus_client_changed(tus);
        }

        if (step == V2M_TUS_CLIENT_GOOD) {
            return v2m_tus_client_finish(tus, job);
        }

        if (tus->offset > before) {
            tries = 1;
        }

        /* one that it has just made will not be there the next time either */

        if (step == V2M_TUS_CLIENT_GONE && !fresh) {
            v2m_tus_client_forget(tus);
            continue;
        }

        if (step != V2M_TUS_CLIENT_PASSING || !v2m_tus_client_wait(tus, tries))
        {
            return v2m_tus_client_failed(tus, step);
        }
    }
}


/* Whose upload this is; "" where the service does not tell. */
static int
v2m_tus_client_user(v2m_tus_client_t *tus, json_t **claims)
{
    v2m_call_t            call;
    v2m_tus_client_step_t step;

    memset(&call, 0, sizeof(call));
    call.method = "POST";

    step = v2m_tus_client_ask(tus, &call, "/validate");

    if (tus->rc != V2M_OK || tus->answer.status == 401
        || step == V2M_TUS_CLIENT_PASSING)
    {
        return v2m_client_judge(tus->file->path, tus->rc, &tus->answer,
                                &tus->error);
    }

    *claims = tus->answer.text != NULL
                  ? json_loadb(tus->answer.text, tus->answer.length, 0, NULL)
                  : NULL;

    return V2M_CLIENT_DONE;
}


/* What an upload must have in common with one that is gone on with. */
static int
v2m_tus_client_key(v2m_tus_client_t *tus)
{
    int     result, length;
    char   *path;
    json_t *claims;

    claims = NULL;

    result = v2m_tus_client_user(tus, &claims);
    if (result != V2M_CLIENT_DONE) {
        return result;
    }

    path = realpath(tus->file->path, NULL);

    length =
        asprintf(&tus->key, "%s\n%s\n%s\n%s\n%llu:%llu %lld %lld.%09ld\n",
                 tus->client->account.url, v2m_client_text(claims, "username"),
                 tus->client->query, path != NULL ? path : tus->file->path,
                 (unsigned long long) tus->file->status.st_dev,
                 (unsigned long long) tus->file->status.st_ino,
                 (long long) tus->file->status.st_size,
                 (long long) tus->file->status.st_mtim.tv_sec,
                 tus->file->status.st_mtim.tv_nsec);

    free(path);
    json_decref(claims);

    if (length < 0) {
        tus->key = NULL;
        v2m_client_complain("out of memory");
        return V2M_CLIENT_FAILED;
    }

    return V2M_CLIENT_DONE;
}


/* Finds what an earlier call left; without it the upload begins anew. */
static void
v2m_tus_client_recall(v2m_tus_client_t *tus)
{
    int         rc;
    v2m_error_t error;

    rc = v2m_upload_state_open(&tus->state, tus->key, tus->id, &error);

    if (rc != V2M_OK && rc != V2M_CONFLICT) {
        v2m_client_complain("%s: uploads that break off cannot be gone on with",
                            error.text);
    }
}


int
v2m_tus_client_upload(v2m_client_t *client, const v2m_upload_file_t *file,
                      json_t **job)
{
    int              result;
    v2m_tus_client_t tus;

    memset(&tus, 0, sizeof(tus));
    tus.client = client;
    tus.file = file;
    tus.state.file = -1;
    tus.line = client->progress ? v2m_screen_begin(file->label) : NULL;

    result = v2m_tus_client_key(&tus);

    if (result == V2M_CLIENT_DONE) {
        v2m_tus_client_recall(&tus);
        result = v2m_tus_client_run(&tus, job);
        v2m_upload_state_close(&tus.state);
    }

    v2m_screen_end(tus.line);
    v2m_call_answer_free(&tus.answer);
    free(tus.key);

    return result;
}
