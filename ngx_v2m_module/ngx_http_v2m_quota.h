/*
 * Quotas that the users' table has for single users:
 * ngx_http_v2m_quota_module, with v2m_quota_age.
 */

#ifndef NGX_HTTP_V2M_QUOTA_H
#define NGX_HTTP_V2M_QUOTA_H

#include "ngx_http_v2m_module.h"

#include "v2m_quotas.h"

/* What is known of single users, in this worker process; NULL: they have no
 * quotas of their own.  For the loop, and what it gives for any thread. */
v2m_quotas_t *ngx_http_v2m_quotas(ngx_http_request_t *r);

#endif /* NGX_HTTP_V2M_QUOTA_H */
