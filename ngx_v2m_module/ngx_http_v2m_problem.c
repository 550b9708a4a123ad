#include "ngx_http_v2m_problem.h"

#include <string.h>

#include "ngx_http_v2m_response.h"

#define NGX_HTTP_V2M_RETRY_AFTER 5 /* seconds, for 503 and 429 */

typedef struct {
    ngx_uint_t  status;
    const char *title;
    const char *detail;
} ngx_http_v2m_problem_t;

static ngx_int_t ngx_http_v2m_problem_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_v2m_problem_body_filter(ngx_http_request_t *r,
                                                  ngx_chain_t        *in);

static ngx_http_output_header_filter_pt ngx_http_v2m_next_header_filter;
static ngx_http_output_body_filter_pt   ngx_http_v2m_next_body_filter;

/* Titles as in the IANA registry of status codes; the details serve where
 * nobody gave a better one, such as for errors of nginx itself. */
static const ngx_http_v2m_problem_t ngx_http_v2m_problems[] = {
    { 400, "Bad Request", "the request is malformed" },
    { 401, "Unauthorized", "missing credentials" },
    { 403, "Forbidden", "this is not allowed" },
    { 404, "Not Found", "there is nothing at this address" },
    { 405, "Method Not Allowed", "this method is not allowed here" },
    { 408, "Request Timeout", "the request took too long to arrive" },
    { 409, "Conflict", "the state of the resource does not allow this" },
    { 411, "Length Required", "the request must state its length" },
    { 412, "Precondition Failed", "a precondition of the request is not met" },
    { 413, "Content Too Large", "the body is larger than this service takes" },
    { 414, "URI Too Long", "the address is too long" },
    { 415, "Unsupported Media Type", "this type of body is not supported" },
    { 416, "Range Not Satisfiable", "the file has no such range" },
    { 421, "Misdirected Request", "this server does not answer for the host" },
    { 422, "Unprocessable Content", "an option is unusable" },
    { 429, "Too Many Requests", "too many requests, try again later" },
    { 431, "Request Header Fields Too Large", "the headers are too large" },
    { 500, "Internal Server Error", "the service made a mistake" },
    { 501, "Not Implemented", "this method or coding is not implemented" },
    { 502, "Bad Gateway", "a backend answered wrongly" },
    { 503, "Service Unavailable", "the service is busy, try again later" },
    { 504, "Gateway Timeout", "a backend did not answer in time" },
    { 507, "Insufficient Storage", "the store is full, try again later" },
};

static const ngx_http_v2m_problem_t ngx_http_v2m_problem_other = {
    0, "Error", "the request could not be served"
};


ngx_int_t
ngx_http_v2m_problem(ngx_http_request_t *r, ngx_int_t status,
                     const char *detail)
{
    size_t              length;
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    length = ngx_strlen(detail);

    ctx->detail.data = ngx_pnalloc(r->pool, length);
    if (ctx->detail.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(ctx->detail.data, detail, length);
    ctx->detail.len = length;

    return status;
}


ngx_int_t
ngx_http_v2m_method_not_allowed(ngx_http_request_t *r, const char *allow)
{
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->allow = allow;

    return NGX_HTTP_NOT_ALLOWED;
}


ngx_int_t
ngx_http_v2m_failure(ngx_http_request_t *r, const char *operation, int rc,
                     const v2m_error_t *error)
{
    ngx_log_t *log = r->connection->log;

    switch (rc) {
    case V2M_INVALID:
        ngx_log_error(NGX_LOG_INFO, log, 0, "v2m: could not %s: %s", operation,
                      error->text);
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST, error->text);

    case V2M_NOT_FOUND:
        return NGX_HTTP_NOT_FOUND;

    case V2M_UNAVAILABLE:
        ngx_log_error(NGX_LOG_ERR, log, 0, "v2m: could not %s: %s", operation,
                      error->text);
        return ngx_http_v2m_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                    "a backend of the service is away, "
                                    "try again later");

    case V2M_FULL:
        ngx_log_error(NGX_LOG_ERR, log, 0, "v2m: could not %s: %s", operation,
                      error->text);
        return NGX_HTTP_INSUFFICIENT_STORAGE;

    case V2M_CORRUPT:
        ngx_log_error(NGX_LOG_ERR, log, 0, "v2m: could not %s: %s", operation,
                      error->text);
        return ngx_http_v2m_problem(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                    "the stored file is damaged");

    default:
        ngx_log_error(NGX_LOG_ALERT, log, 0, "v2m: could not %s: %s", operation,
                      error->text);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static const ngx_http_v2m_problem_t *
ngx_http_v2m_problem_find(ngx_uint_t status)
{
    ngx_uint_t i;

    for (i = 0;
         i < sizeof(ngx_http_v2m_problems) / sizeof(ngx_http_v2m_problems[0]);
         i++)
    {
        if (ngx_http_v2m_problems[i].status == status) {
            return &ngx_http_v2m_problems[i];
        }
    }

    return &ngx_http_v2m_problem_other;
}


static ngx_int_t
ngx_http_v2m_problem_body(ngx_http_request_t *r, ngx_str_t *body)
{
    u_char                       *p;
    size_t                        escape;
    ngx_str_t                     detail;
    ngx_http_v2m_ctx_t           *ctx;
    const ngx_http_v2m_problem_t *problem;

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);
    problem = ngx_http_v2m_problem_find(r->headers_out.status);

    detail = ctx->detail;

    if (detail.len == 0) {
        detail.data = (u_char *) problem->detail;
        detail.len = ngx_strlen(problem->detail);
    }

    escape = ngx_escape_json(NULL, detail.data, detail.len);

    body->data = ngx_pnalloc(r->pool, 128 + ngx_strlen(problem->title)
                                          + detail.len + escape);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(body->data,
                    "{\"type\":\"about:blank\",\"title\":\"%s\","
                    "\"status\":%ui,\"detail\":\"",
                    problem->title, r->headers_out.status);
    p = (u_char *) ngx_escape_json(p, detail.data, detail.len);
    p = ngx_sprintf(p, "\"}\n");

    body->len = p - body->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_problem_headers(ngx_http_request_t *r, ngx_http_v2m_ctx_t *ctx)
{
    u_char     *p;
    ngx_str_t   value;
    ngx_uint_t  status, seconds;
    const char *challenge;

    status = r->headers_out.status;

    if (status == NGX_HTTP_NOT_ALLOWED && ctx->allow != NULL) {
        value.data = (u_char *) ctx->allow;
        value.len = ngx_strlen(ctx->allow);

        return ngx_http_v2m_add_header(r, "Allow", &value) == NULL ? NGX_ERROR
                                                                   : NGX_OK;
    }

    if (status == NGX_HTTP_UNAUTHORIZED
        && r->headers_out.www_authenticate == NULL) {
        challenge = ctx->basic ? "Basic realm=\"v2m\", charset=\"UTF-8\""
                    : ctx->denied
                        ? "Bearer realm=\"v2m\", error=\"invalid_token\""
                        : "Bearer realm=\"v2m\"";

        value.data = (u_char *) challenge;
        value.len = ngx_strlen(challenge);

        r->headers_out.www_authenticate =
            ngx_http_v2m_add_header(r, "WWW-Authenticate", &value);

        return r->headers_out.www_authenticate == NULL ? NGX_ERROR : NGX_OK;
    }

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        || status == NGX_HTTP_TOO_MANY_REQUESTS)
    {
        seconds =
            ctx->retry_after ? ctx->retry_after : NGX_HTTP_V2M_RETRY_AFTER;

        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        value.data = p;
        value.len = ngx_sprintf(p, "%ui", seconds) - p;

        return ngx_http_v2m_add_header(r, "Retry-After", &value) == NULL
                   ? NGX_ERROR
                   : NGX_OK;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_problem_header_filter(ngx_http_request_t *r)
{
    ngx_str_t                body;
    ngx_http_v2m_ctx_t      *ctx;
    ngx_http_v2m_loc_conf_t *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_module);

    if (r != r->main || !lcf->problem_details
        || r->headers_out.status < NGX_HTTP_BAD_REQUEST)
    {
        return ngx_http_v2m_next_header_filter(r);
    }

    ctx = ngx_http_v2m_get_ctx(r);

    if (ctx != NULL && ctx->own_body) {
        return ngx_http_v2m_next_header_filter(r);
    }

    if (ctx == NULL || ngx_http_v2m_problem_headers(r, ctx) != NGX_OK
        || ngx_http_v2m_problem_body(r, &body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->replace_body = 1;
    ctx->detail = body;

    ngx_http_v2m_content_type(r, "application/problem+json");

    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);
    ngx_http_clear_content_length(r);

    r->headers_out.content_length_n = body.len;

    return ngx_http_v2m_next_header_filter(r);
}


static ngx_int_t
ngx_http_v2m_problem_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t          *b;
    ngx_chain_t         out, *cl;
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);

    if (ctx == NULL || !ctx->replace_body || r != r->main || in == NULL) {
        return ngx_http_v2m_next_body_filter(r, in);
    }

    /* the page that was about to be sent counts as sent */

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    if (ctx->detail.len == 0) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = ctx->detail.data;
    b->last = b->pos + ctx->detail.len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    ctx->detail.len = 0;

    out.buf = b;
    out.next = NULL;

    return ngx_http_v2m_next_body_filter(r, &out);
}


ngx_int_t
ngx_http_v2m_problem_init(ngx_conf_t *cf)
{
    ngx_http_v2m_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_v2m_problem_header_filter;

    ngx_http_v2m_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_v2m_problem_body_filter;

    return NGX_OK;
}
