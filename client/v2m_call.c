#include "v2m_call.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "v2m_pause.h"

#define V2M_CALL_TRIES    5
#define V2M_CALL_FIRST_MS 500
#define V2M_CALL_MOST_MS  10000
#define V2M_CALL_LOOK_MS  200 /* of a pause: a signal wakes one thread alone */
#define V2M_CALL_ANSWER   (16 * 1024 * 1024) /* bytes, 100 jobs fit easily */

typedef struct {
    const v2m_call_t  *call;
    v2m_call_answer_t *answer;
    CURL              *curl;
    struct curl_slist *headers;
    char               fault[CURL_ERROR_SIZE];
    int                wrote;  /* something of it is in "out" */
    int64_t            length; /* of the body, as announced */
    int64_t            given;  /* bytes of it */
    int                number; /* errno of a file that failed, 0: none did */
} v2m_call_state_t;

/* of all threads, and set by a signal handler: lock-free */
static atomic_int v2m_call_stop;


int
v2m_call_init(v2m_error_t *error)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return v2m_error_set(error, V2M_ERROR, "curl_global_init() failed");
    }

    return V2M_OK;
}


void
v2m_call_exit(void)
{
    curl_global_cleanup();
}


void
v2m_call_interrupt(void)
{
    v2m_call_stop = 1;
}


int
v2m_call_interrupted(void)
{
    return v2m_call_stop;
}


int
v2m_call_pause(int64_t milliseconds)
{
    int64_t         part;
    struct timespec pause;

    for (; milliseconds > 0 && !v2m_call_stop; milliseconds -= part) {
        part =
            milliseconds < V2M_CALL_LOOK_MS ? milliseconds : V2M_CALL_LOOK_MS;
        pause.tv_sec = 0;
        pause.tv_nsec = part * 1000000;
        nanosleep(&pause, NULL);
    }

    return !v2m_call_stop;
}


char *
v2m_call_escape(const char *text)
{
    char *escaped, *copy;

    escaped = curl_easy_escape(NULL, text, 0);
    copy = escaped != NULL ? strdup(escaped) : NULL;
    curl_free(escaped);

    return copy;
}


static size_t
v2m_call_take(char *bytes, size_t size, size_t count, void *data)
{
    char              *text;
    size_t             length;
    v2m_call_state_t  *state = data;
    v2m_call_answer_t *answer = state->answer;

    length = size * count;

    curl_easy_getinfo(state->curl, CURLINFO_RESPONSE_CODE, &answer->status);

    if (state->call->out != NULL && answer->status / 100 == 2) {
        /* not the range, but the whole of another version */
        if (!state->wrote && state->call->from > 0 && answer->status == 200
            && (fseeko(state->call->out, 0, SEEK_SET) != 0
                || ftruncate(fileno(state->call->out), 0) != 0))
        {
            state->number = errno;
            return 0;
        }

        state->wrote = 1;

        if (fwrite(bytes, 1, length, state->call->out) != length) {
            state->number = errno;
            return 0;
        }

        return length;
    }

    if (answer->length + length > V2M_CALL_ANSWER) {
        return 0;
    }

    text = realloc(answer->text, answer->length + length + 1);
    if (text == NULL) {
        return 0;
    }

    memcpy(text + answer->length, bytes, length);
    answer->text = text;
    answer->length += length;
    text[answer->length] = '\0';

    return length;
}


static size_t
v2m_call_give(char *bytes, size_t size, size_t count, void *data)
{
    v2m_call_state_t *state = data;
    size_t            length;

    /* not what was appended since the length was announced */

    length = size * count;

    if ((int64_t) length > state->length - state->given) {
        length = (size_t) (state->length - state->given);
    }

    if (length == 0) {
        return 0;
    }

    length = fread(bytes, 1, length, state->call->body);

    if (length == 0 && ferror(state->call->body)) {
        state->number = errno;
        return CURL_READFUNC_ABORT;
    }

    /* the service would wait for the rest */

    if (length == 0) {
        state->number = ENODATA;
        return CURL_READFUNC_ABORT;
    }

    state->given += (int64_t) length;

    return length;
}


/* libcurl sends a body again when a kept connection had ended. */
static int
v2m_call_seek(void *data, curl_off_t offset, int origin)
{
    v2m_call_state_t *state = data;

    /* libcurl only ever counts from the beginning of what is sent */

    if (origin != SEEK_SET
        || fseeko(state->call->body, state->call->body_from + offset, SEEK_SET)
               != 0)
    {
        return CURL_SEEKFUNC_FAIL;
    }

    state->given = offset;

    return CURL_SEEKFUNC_OK;
}


static int
v2m_call_progress(void *data, curl_off_t download, curl_off_t downloaded,
                  curl_off_t upload, curl_off_t uploaded)
{
    v2m_call_state_t *state = data;
    int64_t           done, all, before;

    before = upload > 0     ? state->call->body_from
             : download > 0 ? state->call->from
                            : 0;
    done = before + downloaded + uploaded;
    all = before + download + upload;

    if (all > 0) {
        v2m_screen_show(state->call->line, "%d %%", (int) (done * 100 / all));
    }

    return v2m_call_stop;
}


static int
v2m_call_add(v2m_call_state_t *state, const char *line)
{
    struct curl_slist *headers;

    headers = curl_slist_append(state->headers, line);
    if (headers == NULL) {
        return 0;
    }

    state->headers = headers;

    return 1;
}


static int
v2m_call_header(v2m_call_state_t *state, const char *name, const char *value)
{
    char line[1024];

    snprintf(line, sizeof(line), "%s: %s", name, value);

    return v2m_call_add(state, line);
}


/* Whether it is a POST without a body: that says so by "Content-Length: 0",
 * which some proxies insist on (RFC 9110 section 8.6). */
static int
v2m_call_is_empty_post(const v2m_call_t *call)
{
    return call->body == NULL && strcmp(call->method, "POST") == 0;
}


static int
v2m_call_headers(v2m_call_state_t *state)
{
    const v2m_call_t  *call = state->call;
    const char *const *line;

    for (line = call->headers; line != NULL && *line != NULL; line++) {
        if (!v2m_call_add(state, *line)) {
            return 0;
        }
    }

    return v2m_call_header(state, "Accept", "application/json")
           && (!v2m_call_is_empty_post(call)
               || v2m_call_add(state, "Content-Type:"))
           && (call->from == 0
               || v2m_call_header(state, "If-Range", call->version))
           && (call->body == NULL
               || v2m_call_header(state, "Content-Type",
                                  call->type != NULL
                                      ? call->type
                                      : "application/octet-stream"));
}


/* Looks up what is wanted in the answer. */
static void
v2m_call_find(v2m_call_state_t *state)
{
    v2m_call_header_t  *wanted;
    struct curl_header *header;

    for (wanted = state->call->wanted; wanted != NULL && wanted->name != NULL;
         wanted++)
    {
        wanted->value[0] = '\0';

        if (state->curl != NULL
            && curl_easy_header(state->curl, wanted->name, 0, CURLH_HEADER, -1,
                                &header)
                   == CURLHE_OK
            && strlen(header->value) < sizeof(wanted->value))
        {
            strcpy(wanted->value, header->value);
        }
    }
}


static int
v2m_call_prepare(v2m_call_state_t *state, v2m_error_t *error)
{
    char              range[32];
    CURL             *curl;
    struct stat       status;
    const v2m_call_t *call = state->call;

    state->curl = curl = curl_easy_init();

    if (curl == NULL || !v2m_call_headers(state)) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    curl_easy_setopt(curl, CURLOPT_URL, call->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(curl, CURLOPT_NOBODY,
                     strcmp(call->method, "HEAD") == 0 ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, state->headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "v2m");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, state->fault);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 15L);
    /* a minute with less than a byte a second is a connection that is gone */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, v2m_call_take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, state);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, v2m_call_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, state);

    if (call->token != NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long) CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, call->token);
    }

    if (call->email != NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, call->email);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, call->password);
    }

    if (call->from > 0) {
        snprintf(range, sizeof(range), "%lld-", (long long) call->from);
        curl_easy_setopt(curl, CURLOPT_RANGE, range);
    }

    if (v2m_call_is_empty_post(call)) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
    }

    if (call->body != NULL) {
        if (fstat(fileno(call->body), &status) != 0
            || fseeko(call->body, call->body_from, SEEK_SET) != 0)
        {
            return v2m_error_set(error, V2M_ERROR, "the file cannot be read");
        }

        state->given = 0;
        state->length = (int64_t) status.st_size - call->body_from;

        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t) state->length);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, v2m_call_give);
        curl_easy_setopt(curl, CURLOPT_READDATA, state);
        curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, v2m_call_seek);
        curl_easy_setopt(curl, CURLOPT_SEEKDATA, state);
    }

    return V2M_OK;
}


static int
v2m_call_once(v2m_call_state_t *state, v2m_error_t *error)
{
    int        rc;
    CURLcode   code;
    curl_off_t wait;

    free(state->answer->text);
    memset(state->answer, 0, sizeof(*state->answer));
    state->number = 0;
    wait = 0;

    rc = v2m_call_prepare(state, error);

    if (rc == V2M_OK) {
        code = curl_easy_perform(state->curl);

        curl_easy_getinfo(state->curl, CURLINFO_RESPONSE_CODE,
                          &state->answer->status);
        curl_easy_getinfo(state->curl, CURLINFO_RETRY_AFTER, &wait);

        if (v2m_call_stop) {
            rc = v2m_error_set(error, V2M_ERROR, "interrupted");

        } else if (code == CURLE_WRITE_ERROR || code == CURLE_READ_ERROR
                   || code == CURLE_ABORTED_BY_CALLBACK)
        {
            rc = v2m_error_set(error, V2M_ERROR, "%s",
                               state->number == ENODATA
                                   ? "the file became shorter"
                               : state->number != 0 ? strerror(state->number)
                                                    : "the answer is too long");

        } else if (code != CURLE_OK && state->answer->status < 400) {
            rc = v2m_error_set(error, V2M_UNAVAILABLE, "%.200s",
                               state->fault[0] != '\0'
                                   ? state->fault
                                   : curl_easy_strerror(code));
        }
    }

    state->answer->wait_s = (long) wait;
    v2m_call_find(state);
    curl_easy_cleanup(state->curl);
    curl_slist_free_all(state->headers);
    state->headers = NULL;

    return rc;
}


/* Whether what the status says passes by itself. */
static int
v2m_call_passes(const v2m_call_t *call, long status)
{
    switch (status) {
    case 429:
    case 502: /* of what stands before a service that is away */
    case 503:
    case 504:
        return 1;

    case 409: /* our first try, of which the service has not noticed the end */
        return call->keyed;

    default:
        return 0;
    }
}


int
v2m_call(const v2m_call_t *call, v2m_call_answer_t *answer, v2m_error_t *error)
{
    int              rc, again, tries;
    int64_t          pause_ms;
    v2m_call_state_t state;

    memset(&state, 0, sizeof(state));
    memset(answer, 0, sizeof(*answer));
    state.call = call;
    state.answer = answer;

    for (tries = 0;; tries++) {
        rc = v2m_call_once(&state, error);

        answer->repeated = tries > 0;

        again = rc == V2M_UNAVAILABLE
                || (rc == V2M_OK && v2m_call_passes(call, answer->status));

        if (!again || call->once || state.wrote || tries + 1 == V2M_CALL_TRIES
            || answer->wait_s > V2M_CALL_WAIT_S)
        {
            return rc;
        }

        pause_ms = v2m_pause_ms(tries, V2M_CALL_FIRST_MS, V2M_CALL_MOST_MS);

        if (pause_ms < answer->wait_s * 1000) {
            pause_ms = answer->wait_s * 1000;
        }

        if (!v2m_call_pause(pause_ms)) {
            return v2m_error_set(error, V2M_ERROR, "interrupted");
        }
    }
}


void
v2m_call_answer_free(v2m_call_answer_t *answer)
{
    if (answer->text != NULL) {
        explicit_bzero(answer->text, answer->length);
    }

    free(answer->text);
    memset(answer, 0, sizeof(*answer));
}
