/*
 * What hashes passwords beside POST /login: ngx_http_v2m_login_module has its
 * settings.
 */

#ifndef NGX_HTTP_V2M_LOGIN_H
#define NGX_HTTP_V2M_LOGIN_H

#include "ngx_http_v2m_module.h"

/* v2m_password_cost. */
ngx_int_t ngx_http_v2m_password_cost(ngx_http_request_t *r);

/* On a thread of a pool that does nothing but hashing, before it does: a hash
 * takes a core for tens of milliseconds, which all other threads and processes
 * may interrupt at once from now on. */
void ngx_http_v2m_login_be_nice(void);

#endif /* NGX_HTTP_V2M_LOGIN_H */
