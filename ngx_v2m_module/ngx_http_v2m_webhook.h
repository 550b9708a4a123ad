/*
 * Webhooks: the option of an upload, and the user's secret.
 */

#ifndef NGX_HTTP_V2M_WEBHOOK_H
#define NGX_HTTP_V2M_WEBHOOK_H

#include "ngx_http_v2m_module.h"

#include "v2m_job.h"

/* Takes the option "webhook" of an upload.  V2M_INVALID: it names the option,
 * and may be shown to the client; V2M_ERROR: out of memory. */
int ngx_http_v2m_webhook_option(ngx_http_request_t *r, v2m_job_t *job,
                                const u_char *value, size_t length,
                                v2m_error_t *error);

#endif /* NGX_HTTP_V2M_WEBHOOK_H */
