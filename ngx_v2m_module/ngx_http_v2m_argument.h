/*
 * Arguments of directives that have the form NAME=VALUE.
 */

#ifndef NGX_HTTP_V2M_ARGUMENT_H
#define NGX_HTTP_V2M_ARGUMENT_H

#include <ngx_config.h>
#include <ngx_core.h>

/* The least that a zone of shared memory takes, bytes: nginx's own least. */
#define NGX_HTTP_V2M_ZONE_MIN ((ssize_t) (8 * ngx_pagesize))

/* The value, not empty, of an argument whose name, with its "=", is given;
 * NGX_DECLINED: it is another one. */
ngx_int_t ngx_http_v2m_argument(const ngx_str_t *argument, const char *name,
                                ngx_str_t *value);

/* Splits NAME:SIZE.  *size in bytes, NGX_ERROR when it is none; NGX_DECLINED:
 * there is no name or no size. */
ngx_int_t ngx_http_v2m_zone_argument(const ngx_str_t *value, ngx_str_t *name,
                                     ssize_t *size);

#endif /* NGX_HTTP_V2M_ARGUMENT_H */
