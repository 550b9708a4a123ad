/*
 * Pages of other origins (the CORS protocol, Fetch standard section 3.3):
 * ngx_http_v2m_cors_module, with v2m_cors_origin.
 *
 * Credentials, in the sense of a browser, are never allowed: tokens are in a
 * header that the page's own script sets, and there are no cookies.
 */

#include "ngx_http_v2m_module.h"

#include "ngx_http_v2m_response.h"

/* Seconds a browser may remember the answer to a preflight: a change of the
 * configuration comes through after so long. */
#define NGX_HTTP_V2M_CORS_MAX_AGE "600"

#define NGX_HTTP_V2M_CORS_ORIGIN "Access-Control-Allow-Origin"

/* What the endpoints take, with tus (its version 1.0.0). */
#define NGX_HTTP_V2M_CORS_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE"

#define NGX_HTTP_V2M_CORS_REQUEST                                              \
    "Authorization, Content-Type, Idempotency-Key, If-Match, "                 \
    "If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since, "        \
    "Last-Event-ID, Range, Tus-Resumable, Upload-Checksum, Upload-Concat, "    \
    "Upload-Defer-Length, Upload-Length, Upload-Metadata, Upload-Offset, "     \
    "X-HTTP-Method-Override, X-Request-ID, X-Requested-With"

/* Of what the endpoints answer with, what a script may not read unasked. */
#define NGX_HTTP_V2M_CORS_RESPONSE                                             \
    "Accept-Ranges, Allow, Content-Disposition, Content-Range, ETag, "         \
    "Location, Retry-After, Tus-Checksum-Algorithm, Tus-Extension, "           \
    "Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Concat, "                \
    "Upload-Defer-Length, Upload-Expires, Upload-Length, Upload-Metadata, "    \
    "Upload-Offset, V2M-Job, WWW-Authenticate"

typedef struct {
    ngx_array_t *origins; /* of ngx_str_t; NULL: none */
    ngx_flag_t   any;
} ngx_http_v2m_cors_conf_t;

static char     *ngx_http_v2m_cors_origin(ngx_conf_t *cf, ngx_command_t *cmd,
                                          void *conf);
static void     *ngx_http_v2m_cors_create_conf(ngx_conf_t *cf);
static char     *ngx_http_v2m_cors_merge_conf(ngx_conf_t *cf, void *parent,
                                              void *child);
static ngx_int_t ngx_http_v2m_cors_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_v2m_cors_preflight(ngx_http_request_t *r);
static ngx_int_t ngx_http_v2m_cors_header_filter(ngx_http_request_t *r);

static ngx_http_output_header_filter_pt ngx_http_v2m_next_header_filter;

/* clang-format off */
static ngx_command_t ngx_http_v2m_cors_commands[] = {

    { ngx_string("v2m_cors_origin"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_1MORE,
      ngx_http_v2m_cors_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_cors_module_ctx = {
    NULL,
    ngx_http_v2m_cors_init,

    NULL,
    NULL,

    NULL,
    NULL,

    ngx_http_v2m_cors_create_conf,
    ngx_http_v2m_cors_merge_conf
};

/* clang-format off */
ngx_module_t ngx_http_v2m_cors_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_cors_module_ctx,
    ngx_http_v2m_cors_commands,
    NGX_HTTP_MODULE,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NGX_MODULE_V1_PADDING
};
/* clang-format on */


/* As a browser writes it (RFC 6454 section 6.2): a scheme, "://", and a host
 * with perhaps a port, all in lower case. */
static ngx_uint_t
ngx_http_v2m_is_origin(const ngx_str_t *text)
{
    u_char *p, *last;

    last = text->data + text->len;

    p = ngx_strlchr(text->data, last, ':');

    if (p == NULL || p == text->data || last - p < 4
        || ngx_strncmp(p, "://", 3) != 0)
    {
        return 0;
    }

    for (p += 3; p < last; p++) {
        if ((*p < 'a' || *p > 'z') && (*p < '0' || *p > '9') && *p != '.'
            && *p != '-' && *p != ':' && *p != '[' && *p != ']' && *p != '_')
        {
            return 0;
        }
    }

    for (p = text->data; *p != ':'; p++) {
        if ((*p < 'a' || *p > 'z') && (*p < '0' || *p > '9') && *p != '+'
            && *p != '-' && *p != '.')
        {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_v2m_is_word(const ngx_str_t *text, const char *word)
{
    return text->len == ngx_strlen(word)
           && ngx_strncmp(text->data, word, text->len) == 0;
}


static char *
ngx_http_v2m_cors_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                *value, *origin;
    ngx_uint_t                i;
    ngx_http_v2m_cors_conf_t *ccf = conf;

    if (ccf->any != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    ccf->any = 0;

    if (ngx_http_v2m_is_word(&value[1], "off")
        || ngx_http_v2m_is_word(&value[1], "*"))
    {
        ccf->any = value[1].data[0] == '*';

        return cf->args->nelts == 2 ? NGX_CONF_OK
                                    : "has \"off\" or \"*\" beside an origin";
    }

    ccf->origins =
        ngx_array_create(cf->pool, cf->args->nelts - 1, sizeof(ngx_str_t));
    if (ccf->origins == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        if (!ngx_http_v2m_is_origin(&value[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"v2m_cors_origin\" is no origin: a "
                               "scheme and a host in lower case, such as "
                               "https://app.example.com",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        origin = ngx_array_push(ccf->origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        *origin = value[i];
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_v2m_cors_create_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_cors_conf_t *ccf;

    ccf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_cors_conf_t));

    if (ccf != NULL) {
        ccf->any = NGX_CONF_UNSET;
    }

    return ccf;
}


static char *
ngx_http_v2m_cors_merge_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_v2m_cors_conf_t *prev = parent;
    ngx_http_v2m_cors_conf_t *conf = child;

    if (conf->any == NGX_CONF_UNSET) {
        conf->origins = prev->origins;
    }

    ngx_conf_merge_value(conf->any, prev->any, 0);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_v2m_cors_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt       *handler;
    ngx_http_core_main_conf_t *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    /* before anyone asks for a token, which a preflight never has */

    handler = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }

    *handler = ngx_http_v2m_cors_preflight;

    ngx_http_v2m_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_v2m_cors_header_filter;

    return NGX_OK;
}


/* The origin to allow: the request's, or "*"; NULL: none. */
static const ngx_str_t *
ngx_http_v2m_cors_allowed(ngx_http_request_t             *r,
                          const ngx_http_v2m_cors_conf_t *ccf)
{
    ngx_str_t *origin, *allowed;
    ngx_uint_t i;

    static const ngx_str_t any = ngx_string("*");

    origin = ngx_http_v2m_find_header(r, "origin");

    if (origin == NULL) {
        return NULL;
    }

    if (ccf->any) {
        return &any;
    }

    for (i = 0; ccf->origins && i < ccf->origins->nelts; i++) {
        allowed = (ngx_str_t *) ccf->origins->elts + i;

        if (allowed->len == origin->len
            && ngx_memcmp(allowed->data, origin->data, origin->len) == 0)
        {
            return allowed;
        }
    }

    return NULL;
}


static ngx_uint_t
ngx_http_v2m_is_preflight(ngx_http_request_t *r)
{
    return r->method == NGX_HTTP_OPTIONS
           && ngx_http_v2m_find_header(r, "access-control-request-method")
                  != NULL;
}


static ngx_int_t
ngx_http_v2m_cors_preflight(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_v2m_cors_conf_t *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_cors_module);

    if ((!ccf->any && ccf->origins == NULL) || !ngx_http_v2m_is_preflight(r)
        || ngx_http_v2m_cors_allowed(r, ccf) == NULL)
    {
        return NGX_DECLINED;
    }

    rc = ngx_http_discard_request_body(r);

    return rc == NGX_OK ? NGX_HTTP_NO_CONTENT : rc;
}


/* There are headers already: nginx sends those of an error that comes of
 * sending others, such as 416, in a second round, and an application behind
 * "proxy_pass" may have its own. */
static ngx_uint_t
ngx_http_v2m_cors_is_done(ngx_http_request_t *r)
{
    ngx_uint_t       i;
    ngx_list_part_t *part;
    ngx_table_elt_t *header;

    static const ngx_str_t name = ngx_string(NGX_HTTP_V2M_CORS_ORIGIN);

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (header[i].hash != 0 && header[i].key.len == name.len
                && ngx_strncasecmp(header[i].key.data, name.data, name.len)
                       == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_v2m_cors_add(ngx_http_request_t *r, const char *name, const char *text)
{
    ngx_str_t value;

    value.data = (u_char *) text;
    value.len = ngx_strlen(text);

    return ngx_http_v2m_add_header(r, name, &value) != NULL ? NGX_OK
                                                            : NGX_ERROR;
}


static ngx_int_t
ngx_http_v2m_cors_header_filter(ngx_http_request_t *r)
{
    ngx_str_t                 value;
    const ngx_str_t          *origin;
    ngx_http_v2m_cors_conf_t *ccf;

    ccf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_cors_module);

    if ((!ccf->any && ccf->origins == NULL) || r != r->main
        || ngx_http_v2m_cors_is_done(r))
    {
        return ngx_http_v2m_next_header_filter(r);
    }

    /* also to those who name no origin: a cache may give it to one who does */

    if (!ccf->any && ngx_http_v2m_cors_add(r, "Vary", "Origin") != NGX_OK) {
        return NGX_ERROR;
    }

    origin = ngx_http_v2m_cors_allowed(r, ccf);

    if (origin == NULL) {
        return ngx_http_v2m_next_header_filter(r);
    }

    value = *origin;

    if (ngx_http_v2m_add_header(r, NGX_HTTP_V2M_CORS_ORIGIN, &value) == NULL) {
        return NGX_ERROR;
    }

    if (!ngx_http_v2m_is_preflight(r)) {
        if (ngx_http_v2m_cors_add(r, "Access-Control-Expose-Headers",
                                  NGX_HTTP_V2M_CORS_RESPONSE)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (ngx_http_v2m_cors_add(r, "Access-Control-Allow-Methods",
                                     NGX_HTTP_V2M_CORS_METHODS)
                   != NGX_OK
               || ngx_http_v2m_cors_add(r, "Access-Control-Allow-Headers",
                                        NGX_HTTP_V2M_CORS_REQUEST)
                      != NGX_OK
               || ngx_http_v2m_cors_add(r, "Access-Control-Max-Age",
                                        NGX_HTTP_V2M_CORS_MAX_AGE)
                      != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_v2m_next_header_filter(r);
}
