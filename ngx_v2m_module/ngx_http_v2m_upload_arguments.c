/*
 * What a request says about its upload: name and conversion options.
 */

#include "ngx_http_v2m_upload.h"

#include <stdlib.h>
#include <string.h>

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_webhook.h"
#include "v2m_filename.h"


ngx_int_t
ngx_http_v2m_upload_name(ngx_http_v2m_upload_t *upload, const u_char *path,
                         size_t length)
{
    char name[V2M_FILENAME_MAX + 1];

    v2m_filename_clean(name, (const char *) path, length);

    if (name[0] == '\0') {
        return NGX_OK;
    }

    free(upload->job.name);
    upload->job.name = strdup(name);

    return upload->job.name == NULL ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_v2m_upload_option(ngx_http_v2m_upload_t *upload, const ngx_str_t *name,
                           const ngx_str_t *value)
{
    int         rc;
    v2m_error_t error;

    if (name->len == 4 && ngx_strncmp(name->data, "name", 4) == 0) {
        return ngx_http_v2m_upload_name(upload, value->data, value->len)
                       == NGX_OK
                   ? NGX_OK
                   : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (name->len == 7 && ngx_strncmp(name->data, "webhook", 7) == 0) {
        rc = ngx_http_v2m_webhook_option(upload->request, &upload->job,
                                         value->data, value->len, &error);

    } else {
        rc = v2m_options_set(&upload->job.options, (char *) name->data,
                             name->len, (char *) value->data, value->len,
                             &error);
    }

    if (rc == V2M_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == V2M_OK) {
        return NGX_OK;
    }

    /* for who takes no others */
    (void) ngx_http_v2m_problem(upload->request, NGX_HTTP_V2M_UNPROCESSABLE,
                                error.text);

    return rc == V2M_NOT_FOUND ? NGX_DECLINED : NGX_HTTP_V2M_UNPROCESSABLE;
}


/* One "name=value". */
static ngx_int_t
ngx_http_v2m_upload_argument(ngx_http_v2m_upload_t *upload, ngx_str_t *name,
                             ngx_str_t *value)
{
    u_char   *dst, *src;
    ngx_int_t rc;
    ngx_str_t plain;

    dst = ngx_pnalloc(upload->request->pool, value->len + 1);
    if (dst == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    src = value->data;
    plain.data = dst;

    ngx_unescape_uri(&dst, &src, value->len, 0);
    plain.len = dst - plain.data;

    rc = ngx_http_v2m_upload_option(upload, name, &plain);

    return rc == NGX_DECLINED ? NGX_HTTP_V2M_UNPROCESSABLE : rc;
}


ngx_int_t
ngx_http_v2m_upload_query(ngx_http_v2m_upload_t *upload)
{
    u_char             *p, *last, *end, *equals;
    ngx_int_t           rc;
    ngx_str_t           name, value;
    ngx_http_request_t *r = upload->request;

    last = r->args.data + r->args.len;

    for (p = r->args.data; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        if (end == p) {
            continue;
        }

        equals = ngx_strlchr(p, end, '=');

        name.data = p;
        name.len = (equals ? equals : end) - p;
        value.data = equals ? equals + 1 : end;
        value.len = end - value.data;

        rc = ngx_http_v2m_upload_argument(upload, &name, &value);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_v2m_upload_check(ngx_http_v2m_upload_t *upload)
{
    ngx_str_t          *coding;
    v2m_error_t         error;
    ngx_http_request_t *r = upload->request;

    if (v2m_options_check(&upload->job.options, &error) != V2M_OK) {
        return ngx_http_v2m_problem(r, NGX_HTTP_V2M_UNPROCESSABLE, error.text);
    }

    coding = ngx_http_v2m_find_header(r, "content-encoding");

    if (coding != NULL
        && (coding->len != 8
            || ngx_strncasecmp(coding->data, (u_char *) "identity", 8) != 0))
    {
        return ngx_http_v2m_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                    "a compressed body (Content-Encoding) is "
                                    "not supported");
    }

    return NGX_OK;
}
