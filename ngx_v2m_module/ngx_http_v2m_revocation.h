/*
 * Tokens that are good no longer though they have not expired:
 * ngx_http_v2m_revocation_module, with v2m_revocation and v2m_logout.
 *
 * The list is in the users' database.  One worker process at a time reads what
 * was added and keeps it in memory that all of them share, also with those of
 * the configuration before and after; no request waits for the database.
 *
 * For the event loop.
 */

#ifndef NGX_HTTP_V2M_REVOCATION_H
#define NGX_HTTP_V2M_REVOCATION_H

#include "ngx_http_v2m_module.h"
#include "v2m_revocations.h"

/* 1 when the token with these claims was revoked. */
ngx_uint_t ngx_http_v2m_is_revoked(ngx_http_request_t *r,
                                   const v2m_claims_t *claims);

/* For the setter of a directive that adds to the list: fails "nginx -t" when
 * the configuration has no "v2m_revocation". */
void ngx_http_v2m_need_revocation(ngx_conf_t *cf, const char *directive);

/* What is in the database now holds here at once. */
void ngx_http_v2m_revoke_here(ngx_http_request_t     *r,
                              const v2m_revocation_t *revocation);

#endif /* NGX_HTTP_V2M_REVOCATION_H */
