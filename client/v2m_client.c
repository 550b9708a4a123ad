#include "v2m_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>


void
v2m_client_complain(const char *format, ...)
{
    char   *text;
    va_list arguments;

    va_start(arguments, format);

    if (vasprintf(&text, format, arguments) < 0) {
        text = NULL;
    }

    va_end(arguments);

    v2m_screen_hide();
    fputs("v2m: ", stderr);
    v2m_screen_put(stderr, text != NULL ? text : "out of memory");
    fputc('\n', stderr);
    v2m_screen_unhide();

    free(text);
}


const char *
v2m_client_text(const json_t *job, const char *name)
{
    const char *text;

    text = json_string_value(json_object_get(job, name));

    return text != NULL ? text : "";
}


int
v2m_client_is_id(const char *text)
{
    return strlen(text) == 24 && strspn(text, "0123456789abcdefABCDEF") == 24;
}


int
v2m_client_key(char header[V2M_CLIENT_KEY])
{
    size_t        i;
    char         *p;
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes)) {
        return 0;
    }

    p = stpcpy(header, "Idempotency-Key: ");

    for (i = 0; i < sizeof(bytes); i++) {
        p += sprintf(p, "%02x", bytes[i]);
    }

    return 1;
}


int
v2m_client_ask(v2m_client_t *client, v2m_call_t *call, const char *path,
               v2m_call_answer_t *answer, v2m_error_t *error)
{
    int   rc;
    char *url;

    memset(answer, 0, sizeof(*answer));

    if (client->account.token == NULL && call->email == NULL) {
        return v2m_error_set(error, V2M_DENIED, "log in first: v2m login");
    }

    if (asprintf(&url, "%s%s", client->account.url, path) < 0) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    call->url = url;
    call->token = call->email == NULL ? client->account.token : NULL;

    rc = v2m_call(call, answer, error);

    free(url);

    return rc;
}


static void
v2m_client_complain_of(const char *about, const char *text)
{
    v2m_client_complain("%s%s%s", about != NULL ? about : "",
                        about != NULL ? ": " : "", text);
}


/* What the service says of an error, and what follows from it. */
static int
v2m_client_refused(const char *about, const v2m_call_answer_t *answer)
{
    char        text[160];
    json_t     *problem;
    const char *detail;

    problem = answer->text != NULL
                  ? json_loadb(answer->text, answer->length, 0, NULL)
                  : NULL;
    detail = v2m_client_text(problem, "detail");

    snprintf(text, sizeof(text), "the service answered with status %ld%s",
             answer->status,
             answer->status / 100 == 3
                 ? ", a redirect, which is not followed: is its address right, "
                   "with https:// or http://?"
                 : "");

    v2m_client_complain_of(about, detail[0] != '\0' ? detail : text);
    json_decref(problem);

    switch (answer->status) {
    case 401:
        return V2M_CLIENT_DENIED;

    case 429:
    case 502:
    case 503:
    case 504:
        return V2M_CLIENT_AWAY;

    default:
        return V2M_CLIENT_FAILED;
    }
}


int
v2m_client_judge(const char *about, int rc, const v2m_call_answer_t *answer,
                 const v2m_error_t *error)
{
    if (rc == V2M_OK) {
        return answer->status / 100 == 2 ? V2M_CLIENT_DONE
                                         : v2m_client_refused(about, answer);
    }

    v2m_client_complain_of(about, error->text);

    switch (rc) {
    case V2M_UNAVAILABLE:
        return V2M_CLIENT_AWAY;

    case V2M_DENIED:
        return V2M_CLIENT_DENIED;

    default:
        return V2M_CLIENT_FAILED;
    }
}


int
v2m_client_call(v2m_client_t *client, const char *about, v2m_call_t *call,
                const char *path, json_t **value)
{
    int               rc, result;
    v2m_error_t       error;
    v2m_call_answer_t answer;

    rc = v2m_client_ask(client, call, path, &answer, &error);
    result = v2m_client_judge(about, rc, &answer, &error);

    if (result == V2M_CLIENT_DONE && value != NULL) {
        *value = json_loadb(answer.text != NULL ? answer.text : "",
                            answer.length, 0, NULL);

        if (*value == NULL) {
            v2m_client_complain_of(about, "the answer is not that of v2m");
            result = V2M_CLIENT_FAILED;
        }
    }

    v2m_call_answer_free(&answer);

    return result;
}
