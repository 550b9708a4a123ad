#include "ngx_http_v2m_problem.h"

#include <string.h>

#include "ngx_http_v2m_response.h"

#define NGX_HTTP_V2M_RETRY_AFTER 5 /* seconds, for 503 and 429 */

/* What the endpoints take, all together. */
#define NGX_HTTP_V2M_METHODS "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

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
    { 423, "Locked", "another request is at this" },
    { 429, "Too Many Requests", "too many requests, try again later" },
    { 431, "Request Header Fields Too Large", "the headers are too large" },
    { 460, "Checksum Mismatch", "the bytes do not have the checksum" },
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
    ctx->problem = status;

    return status;
}


ngx_int_t
ngx_http_v2m_over_limit(ngx_http_request_t *r, ngx_http_v2m_counter_t refusal,
                        ngx_int_t status, const char *detail)
{
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_get_ctx(r);

    if (ctx != NULL) {
        ctx->refusal = refusal;
    }

    return ngx_http_v2m_problem(r, status, detail);
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
    ctx->detail.len = 0;
    ctx->problem = NGX_HTTP_NOT_ALLOWED;

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
        return ngx_http_v2m_over_limit(r, NGX_HTTP_V2M_COUNT_REFUSED_BACKEND,
                                       NGX_HTTP_SERVICE_UNAVAILABLE,
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
ngx_http_v2m_problem_body(ngx_http_request_t *r, ngx_str_t *body,
                          const ngx_str_t *found)
{
    u_char                       *p;
    size_t                        escape;
    ngx_str_t                     detail;
    const ngx_http_v2m_problem_t *problem;

    problem = ngx_http_v2m_problem_find(r->headers_out.status);

    if (found != NULL && found->len > 0) {
        detail = *found;

    } else {
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


static ngx_table_elt_t *
ngx_http_v2m_problem_header(ngx_http_request_t *r, const char *name,
                            const char *text)
{
    ngx_str_t value;

    value.data = (u_char *) text;
    value.len = ngx_strlen(text);

    return ngx_http_v2m_add_header(r, name, &value);
}


static ngx_table_elt_t *
ngx_http_v2m_problem_retry(ngx_http_request_t *r, ngx_uint_t seconds)
{
    ngx_str_t value;

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NULL;
    }

    value.len = ngx_sprintf(value.data, "%ui", seconds) - value.data;

    return ngx_http_v2m_add_header(r, "Retry-After", &value);
}


/* The headers that go with the status of an error; ctx: it is one that we
 * found, NULL: nginx or another module did. */
static ngx_int_t
ngx_http_v2m_problem_headers(ngx_http_request_t *r, ngx_http_v2m_ctx_t *ctx)
{
    const char      *text;
    ngx_table_elt_t *header;

    switch (r->headers_out.status) {
    case NGX_HTTP_UNAUTHORIZED:
        /* beside another module's challenge, if "satisfy any" asked both */

        if (ctx == NULL && r->headers_out.www_authenticate != NULL) {
            return NGX_OK;
        }

        text = ctx == NULL || !(ctx->basic || ctx->denied)
                   ? "Bearer realm=\"v2m\""
               : ctx->basic ? "Basic realm=\"v2m\", charset=\"UTF-8\""
                            : "Bearer realm=\"v2m\", error=\"invalid_token\"";

        header = ngx_http_v2m_problem_header(r, "WWW-Authenticate", text);

        if (r->headers_out.www_authenticate == NULL) {
            r->headers_out.www_authenticate = header;
        }

        break;

    case NGX_HTTP_FORBIDDEN:
        if (ctx == NULL || !ctx->scope) {
            return NGX_OK;
        }

        /* RFC 6750 section 3.1 */
        header = ngx_http_v2m_problem_header(
            r, "WWW-Authenticate",
            "Bearer realm=\"v2m\", error=\"insufficient_scope\"");
        break;

    case NGX_HTTP_NOT_ALLOWED:
        if (ctx != NULL && ctx->allow != NULL) {
            text = ctx->allow;

        } else if (ctx == NULL
                   && (r->method == NGX_HTTP_UNKNOWN
                       || r->method == NGX_HTTP_TRACE))
        {
            /* refused before the location was known: no address takes it, and
             * RFC 9110 wants the header even so */

            text = NGX_HTTP_V2M_METHODS;

        } else {
            /* nginx's own handlers say that of all other methods */

            text = "GET, HEAD";
        }

        header = ngx_http_v2m_problem_header(r, "Allow", text);
        break;

    case NGX_HTTP_SERVICE_UNAVAILABLE:
    case NGX_HTTP_TOO_MANY_REQUESTS:
        header = ngx_http_v2m_problem_retry(r, ctx && ctx->retry_after
                                                   ? ctx->retry_after
                                                   : NGX_HTTP_V2M_RETRY_AFTER);
        break;

    default:
        return NGX_OK;
    }

    return header == NULL ? NGX_ERROR : NGX_OK;
}


static ngx_uint_t
ngx_http_v2m_problem_wanted(ngx_http_request_t *r)
{
    ngx_http_v2m_loc_conf_t *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_module);

    return lcf->problem_details == NGX_CONF_UNSET
               ? lcf->endpoint != NULL
               : (ngx_uint_t) lcf->problem_details;
}


static ngx_int_t
ngx_http_v2m_problem_header_filter(ngx_http_request_t *r)
{
    ngx_uint_t          wanted, ours;
    ngx_http_v2m_ctx_t *ctx;

    /* err_status is set by nginx's error handling only: an answer of this
     * status that a proxied application made is its own */

    if (r != r->main || r->err_status < NGX_HTTP_BAD_REQUEST
        || r->err_status != r->headers_out.status)
    {
        return ngx_http_v2m_next_header_filter(r);
    }

    wanted = ngx_http_v2m_problem_wanted(r);
    ctx = wanted ? ngx_http_v2m_get_ctx(r) : ngx_http_v2m_find_ctx(r);

    if (ctx == NULL) {
        return wanted ? NGX_ERROR : ngx_http_v2m_next_header_filter(r);
    }

    ours = ctx->problem == r->err_status;

    if ((wanted || ours)
        && ngx_http_v2m_problem_headers(r, ours ? ctx : NULL) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!wanted) {
        return ngx_http_v2m_next_header_filter(r);
    }

    if (ngx_http_v2m_problem_body(r, &ctx->body, ours ? &ctx->detail : NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->replace_body = 1;

    ngx_http_v2m_content_type(r, "application/problem+json");

    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);
    ngx_http_clear_content_length(r);

    r->headers_out.content_length_n = ctx->body.len;

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

    if (ctx->body.len == 0) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = ctx->body.data;
    b->last = b->pos + ctx->body.len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    ctx->body.len = 0;

    out.buf = b;
    out.next = NULL;

    return ngx_http_v2m_next_body_filter(r, &out);
}


void
ngx_http_v2m_problem_init(void)
{
    ngx_http_v2m_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_v2m_problem_header_filter;

    ngx_http_v2m_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_v2m_problem_body_filter;
}
