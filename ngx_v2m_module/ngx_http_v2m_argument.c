#include "ngx_http_v2m_argument.h"


ngx_int_t
ngx_http_v2m_argument(const ngx_str_t *argument, const char *name,
                      ngx_str_t *value)
{
    size_t length;

    length = ngx_strlen(name);

    if (argument->len <= length
        || ngx_strncmp(argument->data, name, length) != 0) {
        return NGX_DECLINED;
    }

    value->data = argument->data + length;
    value->len = argument->len - length;

    return NGX_OK;
}


ngx_int_t
ngx_http_v2m_zone_argument(const ngx_str_t *value, ngx_str_t *name,
                           ssize_t *size)
{
    u_char   *colon;
    ngx_str_t text;

    colon = ngx_strlchr(value->data, value->data + value->len, ':');

    if (colon == NULL || colon == value->data) {
        return NGX_DECLINED;
    }

    name->data = value->data;
    name->len = colon - value->data;
    text.data = colon + 1;
    text.len = value->data + value->len - text.data;

    *size = ngx_parse_size(&text);

    return NGX_OK;
}
