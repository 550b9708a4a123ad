/*
 * Short answers from memory, and headers.
 */

#ifndef NGX_HTTP_V2M_RESPONSE_H
#define NGX_HTTP_V2M_RESPONSE_H

#include "ngx_http_v2m_module.h"

/* Adds a response header.  The name is static text; the value must live as
 * long as the request.  NULL: out of memory. */
ngx_table_elt_t *ngx_http_v2m_add_header(ngx_http_request_t *r,
                                         const char *name, ngx_str_t *value);

/* Sets the Content-Type, static text. */
void ngx_http_v2m_content_type(ngx_http_request_t *r, const char *type);

/*
 * Sends a whole answer; the body is copied.  Returns what a content handler
 * returns, or what is passed to ngx_http_finalize_request().
 */
ngx_int_t ngx_http_v2m_send(ngx_http_request_t *r, ngx_uint_t status,
                            const char *type, const char *body);

/* As above with JSON text; frees it with free().  NULL is out of memory. */
ngx_int_t ngx_http_v2m_send_json(ngx_http_request_t *r, ngx_uint_t status,
                                 char *json);

/*
 * What the path has behind that of the location, without the slash between
 * them; nothing in a location given by "=" or "~".  NGX_DECLINED: the path
 * only begins with the same letters ("/jobsite" in a location "/jobs").
 */
ngx_int_t ngx_http_v2m_path_rest(ngx_http_request_t *r, ngx_str_t *rest);

/* The value of the first request header of that name, in lower case; NULL:
 * there is none. */
ngx_str_t *ngx_http_v2m_find_header(ngx_http_request_t *r, const char *name);

/* A zero-terminated copy in the request's pool; NULL: out of memory. */
char *ngx_http_v2m_cstring(ngx_http_request_t *r, const ngx_str_t *text);

#endif /* NGX_HTTP_V2M_RESPONSE_H */
