/*
 * The body that belongs to the header which nginx's range filter has sent.
 */

#include "ngx_http_v2m_byteranges.h"

#define NGX_HTTP_V2M_BYTERANGES_TYPE "multipart/byteranges; boundary="

/* ngx_http_range_filter_module.c has no header for it. */
extern ngx_module_t ngx_http_range_body_filter_module;


/* The number at *p, which the range filter has found to be one. */
static off_t
ngx_http_v2m_byteranges_number(u_char **p)
{
    off_t number = 0;

    while (**p >= '0' && **p <= '9') {
        number = number * 10 + (*(*p)++ - '0');
    }

    return number;
}


/*
 * The next range of a Range header that the filter has accepted, "5-9", "5-" or
 * "-5" with spaces around each of its signs.  NGX_DECLINED: the file has none
 * of its bytes, so that it is left out.
 */
static ngx_int_t
ngx_http_v2m_byteranges_next(u_char **p, off_t length,
                             ngx_http_v2m_byterange_t *range)
{
    off_t      number;
    ngx_uint_t suffix;

    while (**p == ' ') {
        (*p)++;
    }

    suffix = (**p == '-');
    range->first = ngx_http_v2m_byteranges_number(p);

    while (**p == ' ' || **p == '-') {
        (*p)++;
    }

    if (**p >= '0' && **p <= '9') {
        number = ngx_http_v2m_byteranges_number(p);

        if (suffix) {
            range->first = length - ngx_min(number, length);
            range->end = length;

        } else {
            range->end = (number < length) ? number + 1 : length;
        }

    } else {
        range->end = length;
    }

    while (**p == ' ' || **p == ',') {
        (*p)++;
    }

    return range->first < range->end ? NGX_OK : NGX_DECLINED;
}


/* RFC 9110 section 14.6, in the spelling that the filter has counted. */
static ngx_int_t
ngx_http_v2m_byteranges_heading(ngx_http_request_t       *r,
                                ngx_http_v2m_byterange_t *range, off_t length,
                                const char *type, ngx_str_t *boundary)
{
    size_t size;

    size = sizeof(CRLF "--" CRLF "Content-Type: " CRLF "Content-Range: bytes "
                       "-/" CRLF CRLF)
           + boundary->len + ngx_strlen(type) + 3 * NGX_OFF_T_LEN;

    range->heading.data = ngx_pnalloc(r->pool, size);
    if (range->heading.data == NULL) {
        return NGX_ERROR;
    }

    range->heading.len =
        ngx_snprintf(range->heading.data, size,
                     CRLF "--%V" CRLF "Content-Type: %s" CRLF
                          "Content-Range: bytes %O-%O/%O" CRLF CRLF,
                     boundary, type, range->first, range->end - 1, length)
        - range->heading.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_byteranges_closing(ngx_http_request_t       *r,
                                ngx_http_v2m_byterange_t *range,
                                ngx_str_t                *boundary)
{
    size_t size;

    size = sizeof(CRLF "----" CRLF) + boundary->len;

    range->closing.data = ngx_pnalloc(r->pool, size);
    if (range->closing.data == NULL) {
        return NGX_ERROR;
    }

    range->closing.len =
        ngx_snprintf(range->closing.data, size, CRLF "--%V--" CRLF, boundary)
        - range->closing.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_byteranges_multipart(ngx_http_request_t *r, off_t length,
                                  const char *type, ngx_str_t *boundary,
                                  ngx_array_t *parts)
{
    u_char                   *p, *last;
    off_t                     sum = 0;
    ngx_http_v2m_byterange_t *part = NULL, range;

    p = r->headers_in.range->value.data + sizeof("bytes=") - 1;
    last = r->headers_in.range->value.data + r->headers_in.range->value.len;

    while (p < last) {
        ngx_memzero(&range, sizeof(range));

        if (ngx_http_v2m_byteranges_next(&p, length, &range) != NGX_OK) {
            continue;
        }

        if (ngx_http_v2m_byteranges_heading(r, &range, length, type, boundary)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        part = ngx_array_push(parts);
        if (part == NULL) {
            return NGX_ERROR;
        }

        *part = range;
        sum += range.heading.len + (range.end - range.first);
    }

    if (part == NULL
        || ngx_http_v2m_byteranges_closing(r, part, boundary) != NGX_OK)
    {
        return NGX_ERROR;
    }

    sum += part->closing.len;

    if (sum != r->headers_out.content_length_n) {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                      "v2m: ranges of %O bytes where nginx counted %O", sum,
                      r->headers_out.content_length_n);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_array_t *
ngx_http_v2m_byteranges(ngx_http_request_t *r, off_t length, const char *type)
{
    ngx_str_t                 boundary;
    ngx_array_t              *parts;
    ngx_http_v2m_byterange_t *part;

    ngx_http_set_ctx(r, NULL, ngx_http_range_body_filter_module);

    parts = ngx_array_create(r->pool, 1, sizeof(ngx_http_v2m_byterange_t));
    if (parts == NULL) {
        return NULL;
    }

    boundary = r->headers_out.content_type;

    if (boundary.len > sizeof(NGX_HTTP_V2M_BYTERANGES_TYPE) - 1
        && ngx_strncmp(boundary.data, NGX_HTTP_V2M_BYTERANGES_TYPE,
                       sizeof(NGX_HTTP_V2M_BYTERANGES_TYPE) - 1)
               == 0)
    {
        boundary.data += sizeof(NGX_HTTP_V2M_BYTERANGES_TYPE) - 1;
        boundary.len -= sizeof(NGX_HTTP_V2M_BYTERANGES_TYPE) - 1;

        return ngx_http_v2m_byteranges_multipart(r, length, type, &boundary,
                                                 parts)
                       == NGX_OK
                   ? parts
                   : NULL;
    }

    part = ngx_array_push(parts);
    if (part == NULL) {
        return NULL;
    }

    ngx_memzero(part, sizeof(ngx_http_v2m_byterange_t));

    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT) {
        part->first = r->headers_out.content_offset;
        part->end = part->first + r->headers_out.content_length_n;

    } else {
        part->end = length;
    }

    return parts;
}
