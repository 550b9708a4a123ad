/*
 * Small request bodies as a whole: in memory, never in a file whatever the
 * configuration says, as what they hold may be secret.
 *
 * For the event loop.
 */

#ifndef NGX_HTTP_V2M_BODY_H
#define NGX_HTTP_V2M_BODY_H

#include "ngx_http_v2m_module.h"

#define NGX_HTTP_V2M_BODY_MAX 4096 /* bytes */

/* Gets the body, which is wiped afterwards, and returns as a content handler
 * does. */
typedef ngx_int_t (*ngx_http_v2m_body_pt)(ngx_http_request_t *r,
                                          const ngx_str_t    *body);

/* For the end of a content handler: reads the body and gives it to the
 * function; 413 if it is larger than that. */
ngx_int_t ngx_http_v2m_body_read(ngx_http_request_t  *r,
                                 ngx_http_v2m_body_pt handler);

#endif /* NGX_HTTP_V2M_BODY_H */
