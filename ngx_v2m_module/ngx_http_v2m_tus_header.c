#include "ngx_http_v2m_tus.h"

#include <string.h>

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"


ngx_int_t
ngx_http_v2m_tus_number(ngx_http_request_t *r, const char *name,
                        int64_t *number)
{
    off_t      value;
    ngx_str_t *header;

    header = ngx_http_v2m_find_header(r, name);

    if (header == NULL) {
        return NGX_DECLINED;
    }

    value = ngx_atoof(header->data, header->len);

    if (value == NGX_ERROR) {
        return NGX_ERROR;
    }

    *number = value;

    return NGX_OK;
}


ngx_uint_t
ngx_http_v2m_tus_is_piece(ngx_http_request_t *r)
{
    ngx_str_t *type;

    static const ngx_str_t piece =
        ngx_string("application/offset+octet-stream");

    if (r->headers_in.content_type == NULL) {
        return 0;
    }

    type = &r->headers_in.content_type->value;

    return type->len == piece.len
           && ngx_strncasecmp(type->data, piece.data, piece.len) == 0;
}


/* ALGORITHM BASE64 */
ngx_int_t
ngx_http_v2m_tus_checksum(ngx_http_v2m_tus_request_t *request)
{
    int                 rc;
    size_t              size;
    u_char             *space, *last;
    ngx_str_t          *header, text, value;
    v2m_error_t         error;
    ngx_http_request_t *r = request->upload->request;

    header = ngx_http_v2m_find_header(r, "upload-checksum");

    if (header == NULL) {
        return NGX_OK;
    }

    last = header->data + header->len;
    space = ngx_strlchr(header->data, last, ' ');

    if (space == NULL) {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "an Upload-Checksum is an algorithm, a "
                                    "space and the checksum in base64");
    }

    rc = v2m_digest_create(&request->digest, (char *) header->data,
                           space - header->data, &size, &error);

    if (rc == V2M_NOT_FOUND) {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST, error.text);
    }

    if (rc != V2M_OK) {
        return ngx_http_v2m_failure(r, "begin a checksum", rc, &error);
    }

    text.data = space + 1;
    text.len = last - text.data;

    value.data = ngx_pnalloc(r->pool, ngx_base64_decoded_length(text.len));
    if (value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_decode_base64(&value, &text) != NGX_OK || value.len != size) {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "the checksum is not one of this "
                                    "algorithm, in base64");
    }

    ngx_memcpy(request->checksum, value.data, size);
    request->checksum_size = size;

    return NGX_OK;
}


/* One "KEY BASE64"; keys that nobody here knows are the client's own matter. */
static ngx_int_t
ngx_http_v2m_tus_pair(ngx_http_v2m_tus_request_t *request, u_char *p,
                      u_char *last)
{
    u_char             *space;
    ngx_int_t           rc;
    ngx_str_t           name, text, value;
    ngx_http_request_t *r = request->upload->request;

    space = ngx_strlchr(p, last, ' ');

    name.data = p;
    name.len = (space ? space : last) - p;
    text.data = space ? space + 1 : last;
    text.len = last - text.data;

    value.data = ngx_pnalloc(r->pool, ngx_base64_decoded_length(text.len) + 1);
    if (value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (name.len == 0 || ngx_decode_base64(&value, &text) != NGX_OK) {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "Upload-Metadata is a list, with commas, "
                                    "of keys each with a space and a value in "
                                    "base64");
    }

    if (name.len == 8 && ngx_strncmp(name.data, "filename", 8) == 0) {
        ngx_str_set(&name, "name");
    }

    rc = ngx_http_v2m_upload_option(request->upload, &name, &value);

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


ngx_int_t
ngx_http_v2m_tus_metadata(ngx_http_v2m_tus_request_t *request)
{
    u_char    *p, *last, *end;
    ngx_int_t  rc;
    ngx_str_t *header;

    header =
        ngx_http_v2m_find_header(request->upload->request, "upload-metadata");

    if (header == NULL || header->len == 0) {
        return NGX_OK;
    }

    last = header->data + header->len;

    for (p = header->data; p <= last; p = end + 1) {
        while (p < last && *p == ' ') {
            p++;
        }

        end = ngx_strlchr(p, last, ',');

        if (end == NULL) {
            end = last;
        }

        rc = ngx_http_v2m_tus_pair(request, p, end);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    request->tus.metadata = strndup((char *) header->data, header->len);

    return request->tus.metadata == NULL ? NGX_HTTP_INTERNAL_SERVER_ERROR
                                         : NGX_OK;
}


ngx_int_t
ngx_http_v2m_tus_add(ngx_http_request_t *r, const char *name, const char *value)
{
    ngx_str_t text;

    text.data = (u_char *) value;
    text.len = ngx_strlen(value);

    return ngx_http_v2m_add_header(r, name, &text) == NULL ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_v2m_tus_add_number(ngx_http_request_t *r, const char *name,
                            int64_t number)
{
    ngx_str_t text;

    text.data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    text.len = ngx_sprintf(text.data, "%L", number) - text.data;

    return ngx_http_v2m_add_header(r, name, &text) == NULL ? NGX_ERROR : NGX_OK;
}


ngx_int_t
ngx_http_v2m_tus_add_expires(ngx_http_request_t *r, int64_t expires_ms)
{
    ngx_str_t text;

    text.data =
        ngx_pnalloc(r->pool, sizeof("Mon, 28 Sep 1970 06:00:00 GMT") - 1);
    if (text.data == NULL) {
        return NGX_ERROR;
    }

    text.len = ngx_http_time(text.data, expires_ms / 1000) - text.data;

    return ngx_http_v2m_add_header(r, "Upload-Expires", &text) == NULL
               ? NGX_ERROR
               : NGX_OK;
}
