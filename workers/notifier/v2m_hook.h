/*
 * The call of a job's webhook: what is sent, and what the answer means.
 */

#ifndef V2M_HOOK_H
#define V2M_HOOK_H

#include <stdint.h>

#include "v2m_error.h"
#include "v2m_http.h"
#include "v2m_job.h"
#include "v2m_webhook.h"

/* The same for all calls. */
typedef struct {
    const v2m_http_t         *http;
    const v2m_webhook_keys_t *keys;
} v2m_hook_t;

/*
 * Calls the webhook of a job in its end state, once.  Each call about this end
 * has the same webhook-id.  V2M_CONFLICT: to be tried again, no sooner than in
 * *retry_after_ms (0: whenever); V2M_INVALID: that would be no help.  Error
 * texts name the host alone, and may be shown to the owner.  Any thread.
 */
int v2m_hook_call(const v2m_hook_t *hook, const v2m_job_t *job,
                  int64_t *retry_after_ms, v2m_error_t *error);

#endif /* V2M_HOOK_H */
