#include "ngx_http_v2m_response.h"

#include <stdlib.h>


ngx_table_elt_t *
ngx_http_v2m_add_header(ngx_http_request_t *r, const char *name,
                        ngx_str_t *value)
{
    ngx_table_elt_t *header;

    header = ngx_list_push(&r->headers_out.headers);
    if (header == NULL) {
        return NULL;
    }

    ngx_memzero(header, sizeof(ngx_table_elt_t));

    header->hash = 1;
    header->key.data = (u_char *) name;
    header->key.len = ngx_strlen(name);
    header->value = *value;

    return header;
}


void
ngx_http_v2m_content_type(ngx_http_request_t *r, const char *type)
{
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    /* none of our types takes a charset parameter */
    ngx_str_null(&r->headers_out.charset);
}


ngx_int_t
ngx_http_v2m_send(ngx_http_request_t *r, ngx_uint_t status, const char *type,
                  const char *body)
{
    size_t      length;
    ngx_buf_t  *b;
    ngx_int_t   rc;
    ngx_chain_t out;

    length = ngx_strlen(body);

    r->headers_out.status = status;
    r->headers_out.content_length_n = length;
    ngx_http_v2m_content_type(r, type);

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_create_temp_buf(r->pool, length);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, body, length);
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_v2m_send_json(ngx_http_request_t *r, ngx_uint_t status, char *json)
{
    ngx_int_t rc;

    if (json == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_v2m_send(r, status, "application/json", json);

    free(json);

    return rc;
}


char *
ngx_http_v2m_cstring(ngx_http_request_t *r, const ngx_str_t *text)
{
    u_char *copy;

    copy = ngx_pnalloc(r->pool, text->len + 1);

    if (copy != NULL) {
        ngx_memcpy(copy, text->data, text->len);
        copy[text->len] = '\0';
    }

    return (char *) copy;
}


ngx_int_t
ngx_http_v2m_path_rest(ngx_http_request_t *r, ngx_str_t *rest)
{
    ngx_http_core_loc_conf_t *clcf;

    ngx_str_null(rest);

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

#if (NGX_PCRE)
    if (clcf->regex) {
        return NGX_OK;
    }
#endif

    if (clcf->exact_match || clcf->named || r->uri.len <= clcf->name.len) {
        return NGX_OK;
    }

    rest->data = r->uri.data + clcf->name.len;
    rest->len = r->uri.len - clcf->name.len;

    if (clcf->name.len > 0 && clcf->name.data[clcf->name.len - 1] == '/') {
        return NGX_OK;
    }

    if (rest->data[0] != '/') {
        return NGX_DECLINED;
    }

    rest->data++;
    rest->len--;

    return NGX_OK;
}


ngx_str_t *
ngx_http_v2m_find_header(ngx_http_request_t *r, const char *name)
{
    size_t           length;
    ngx_uint_t       i;
    ngx_list_part_t *part;
    ngx_table_elt_t *header;

    length = ngx_strlen(name);

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (header[i].key.len == length
                && ngx_strncasecmp(header[i].key.data, (u_char *) name, length)
                       == 0)
            {
                return &header[i].value;
            }
        }
    }

    return NULL;
}
