#include "v2m_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


void
v2m_client_complain(const char *format, ...)
{
    va_list arguments;

    v2m_screen_hide();
    fputs("v2m: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    v2m_screen_unhide();
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


/* What the service says of an error, and what follows from it. */
static int
v2m_client_refused(const v2m_call_answer_t *answer)
{
    json_t     *problem;
    const char *detail;

    problem = answer->text != NULL
                  ? json_loadb(answer->text, answer->length, 0, NULL)
                  : NULL;
    detail = v2m_client_text(problem, "detail");

    if (detail[0] != '\0') {
        v2m_client_complain("%s", detail);
    } else {
        v2m_client_complain("the service answered with status %ld",
                            answer->status);
    }

    json_decref(problem);

    switch (answer->status) {
    case 401:
        return V2M_CLIENT_DENIED;

    case 429:
    case 503:
        return V2M_CLIENT_AWAY;

    default:
        return V2M_CLIENT_FAILED;
    }
}


int
v2m_client_judge(int rc, const v2m_call_answer_t *answer,
                 const v2m_error_t *error)
{
    if (rc == V2M_OK) {
        return answer->status / 100 == 2 ? V2M_CLIENT_DONE
                                         : v2m_client_refused(answer);
    }

    v2m_client_complain("%s", error->text);

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
v2m_client_call(v2m_client_t *client, v2m_call_t *call, const char *path,
                json_t **value)
{
    int               rc, result;
    v2m_error_t       error;
    v2m_call_answer_t answer;

    rc = v2m_client_ask(client, call, path, &answer, &error);
    result = v2m_client_judge(rc, &answer, &error);

    if (result == V2M_CLIENT_DONE && value != NULL) {
        *value = json_loadb(answer.text != NULL ? answer.text : "",
                            answer.length, 0, NULL);

        if (*value == NULL) {
            v2m_client_complain("the answer is not that of v2m");
            result = V2M_CLIENT_FAILED;
        }
    }

    v2m_call_answer_free(&answer);

    return result;
}
