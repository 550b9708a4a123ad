#include "v2m_hook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define V2M_HOOK_HEADER 512 /* bytes; four signatures fit */


static int
v2m_hook_judge(const v2m_http_answer_t *answer, v2m_error_t *error)
{
    int status;

    status = answer->status;

    if (status < 300) {
        return V2M_OK;
    }

    if (status < 400) {
        return v2m_error_set(error, V2M_INVALID,
                             "it answered %d, and redirects are not followed",
                             status);
    }

    return v2m_error_set(
        error, status == 429 || status >= 500 ? V2M_CONFLICT : V2M_INVALID,
        "it answered %d", status);
}


static int
v2m_hook_post(const v2m_hook_t *hook, const v2m_job_t *job, const char *body,
              int64_t *retry_after_ms, v2m_error_t *error)
{
    int               rc;
    char              id[96], stamp[64], signature[V2M_HOOK_HEADER];
    char             *signatures;
    int64_t           now;
    v2m_http_answer_t answer;

    const char *const headers[] = { id, stamp, signature, NULL };

    now = (int64_t) time(NULL);

    /* a job that was tried anew has another end */
    snprintf(id, sizeof(id), "webhook-id: msg_%s_%" PRId64, job->id,
             job->finished_ms);
    snprintf(stamp, sizeof(stamp), "webhook-timestamp: %" PRId64, now);

    signatures = v2m_webhook_sign(hook->keys, job->username,
                                  id + sizeof("webhook-id: ") - 1, now, body);
    if (signatures == NULL) {
        return v2m_error_set(error, V2M_ERROR, "cannot sign");
    }

    snprintf(signature, sizeof(signature), "webhook-signature: %s", signatures);
    free(signatures);

    rc = v2m_http_post(hook->http, job->webhook, headers, body, &answer, error);

    if (rc == V2M_OK) {
        *retry_after_ms = answer.retry_after_ms;
        rc = v2m_hook_judge(&answer, error);
    }

    return rc;
}


int
v2m_hook_call(const v2m_hook_t *hook, const v2m_job_t *job,
              int64_t *retry_after_ms, v2m_error_t *error)
{
    int         rc;
    char       *body;
    size_t      length;
    const char *host;
    v2m_error_t cause;

    *retry_after_ms = 0;
    host = v2m_webhook_host(job->webhook, &length);
    body = v2m_job_event_json(job);

    if (hook->keys->count == 0) {
        rc = v2m_error_set(&cause, V2M_CONFLICT,
                           "the notifier has no V2M_WEBHOOK_KEY");
    } else if (body == NULL) {
        rc = v2m_error_set(&cause, V2M_ERROR, "out of memory");
    } else {
        rc = v2m_hook_post(hook, job, body, retry_after_ms, &cause);
    }

    free(body);

    if (rc == V2M_OK) {
        return V2M_OK;
    }

    /* whatever is wrong is so with this webhook, and holds up no other */

    return v2m_error_set(error,
                         rc == V2M_INVALID || rc == V2M_DENIED ? V2M_INVALID
                                                               : V2M_CONFLICT,
                         "the webhook at %.*s: %s",
                         length < 100 ? (int) length : 100, host, cause.text);
}
