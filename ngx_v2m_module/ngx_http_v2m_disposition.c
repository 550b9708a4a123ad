#include "ngx_http_v2m_disposition.h"

#include <ctype.h>
#include <string.h>


/* Characters that stand for themselves in filename* (RFC 8187, attr-char). */
static ngx_uint_t
ngx_http_v2m_is_attr_char(u_char ch)
{
    return isalnum(ch) || (ch != '\0' && strchr("!#$&+-.^_`|~", ch) != NULL);
}


ngx_int_t
ngx_http_v2m_disposition(ngx_http_request_t *r, const char *name,
                         ngx_str_t *value)
{
    u_char      ch, *p;
    size_t      i, length;
    const char *dot;
    ngx_uint_t  plain;

    static const char hex[] = "0123456789ABCDEF";

    if (name == NULL || *name == '\0' || *name == '.') {
        name = "audio";
    }

    dot = strrchr(name, '.');
    length = dot != NULL ? (size_t) (dot - name) : strlen(name);

    p = ngx_pnalloc(r->pool, 80 + 4 * length);
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;
    plain = 1;

    p = ngx_sprintf(p, "attachment; filename=\"");

    for (i = 0; i < length; i++) {
        ch = name[i];

        if (ch < 0x20 || ch > 0x7E || ch == '"' || ch == '\\' || ch == '%') {
            plain = 0;

            /* one underscore for each character, not for each byte */
            if ((ch & 0xC0) != 0x80) {
                *p++ = '_';
            }

            continue;
        }

        *p++ = ch;
    }

    p = ngx_sprintf(p, ".mp3\"");

    if (!plain) {
        p = ngx_sprintf(p, "; filename*=UTF-8''");

        for (i = 0; i < length; i++) {
            ch = name[i];

            if (ngx_http_v2m_is_attr_char(ch)) {
                *p++ = ch;

            } else {
                *p++ = '%';
                *p++ = hex[ch >> 4];
                *p++ = hex[ch & 15];
            }
        }

        p = ngx_sprintf(p, ".mp3");
    }

    value->len = p - value->data;

    return NGX_OK;
}
