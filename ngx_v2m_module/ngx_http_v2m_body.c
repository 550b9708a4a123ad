#include "ngx_http_v2m_body.h"

#include "ngx_http_v2m_problem.h"

typedef struct {
    ngx_http_v2m_body_pt handler;
    size_t               length;
    u_char               bytes[NGX_HTTP_V2M_BODY_MAX];
} ngx_http_v2m_body_t;

static void ngx_http_v2m_body_begin(ngx_http_request_t *r);
static void ngx_http_v2m_body_process(ngx_http_request_t *r);
static void ngx_http_v2m_body_cleanup(void *data);


static ngx_int_t
ngx_http_v2m_body_too_large(ngx_http_request_t *r)
{
    return ngx_http_v2m_over_limit(r, NGX_HTTP_V2M_COUNT_REFUSED_SIZE,
                                   NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                   "the body must not be larger than 4 KiB");
}


ngx_int_t
ngx_http_v2m_body_read(ngx_http_request_t *r, ngx_http_v2m_body_pt handler)
{
    ngx_int_t            rc;
    ngx_pool_cleanup_t  *cleanup;
    ngx_http_v2m_ctx_t  *ctx;
    ngx_http_v2m_body_t *body;

    if (r->headers_in.content_length_n > NGX_HTTP_V2M_BODY_MAX) {
        return ngx_http_v2m_body_too_large(r);
    }

    ctx = ngx_http_v2m_get_ctx(r);
    cleanup = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_v2m_body_t));

    if (ctx == NULL || cleanup == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body = cleanup->data;
    body->handler = handler;
    body->length = 0;
    cleanup->handler = ngx_http_v2m_body_cleanup;

    ctx->small_body = body;

    r->request_body_no_buffering = 1;
    r->request_body_in_file_only = 0;

    rc = ngx_http_read_client_request_body(r, ngx_http_v2m_body_begin);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


static void
ngx_http_v2m_body_cleanup(void *data)
{
    ngx_explicit_memzero(data, sizeof(ngx_http_v2m_body_t));
}


/* nginx's body reader is ready to give what arrives. */
static void
ngx_http_v2m_body_begin(ngx_http_request_t *r)
{
    r->read_event_handler = ngx_http_v2m_body_process;

    ngx_http_v2m_body_process(r);
}


/* NGX_DECLINED: there is more than that. */
static ngx_int_t
ngx_http_v2m_body_take(ngx_http_request_t *r, ngx_http_v2m_body_t *body)
{
    size_t       size;
    ngx_buf_t   *b;
    ngx_chain_t *cl;

    while (r->request_body && r->request_body->bufs) {
        cl = r->request_body->bufs;
        b = cl->buf;
        size = b->last - b->pos;

        if (size > NGX_HTTP_V2M_BODY_MAX - body->length) {
            return NGX_DECLINED;
        }

        /* the last one may have no memory */

        if (size > 0) {
            ngx_memcpy(body->bytes + body->length, b->pos, size);
            ngx_explicit_memzero(b->pos, size);
        }

        body->length += size;
        b->pos = b->last;

        r->request_body->bufs = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    return NGX_OK;
}


static void
ngx_http_v2m_body_process(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_str_t            text;
    ngx_http_v2m_ctx_t  *ctx;
    ngx_http_v2m_body_t *body;

    ctx = ngx_http_v2m_find_ctx(r);
    body = ctx->small_body;

    for (;;) {
        if (ngx_http_v2m_body_take(r, body) != NGX_OK) {
            rc = ngx_http_v2m_body_too_large(r);
            break;
        }

        if (!r->reading_body) {
            /* as it was before the body */
            r->read_event_handler = ngx_http_block_reading;

            text.data = body->bytes;
            text.len = body->length;

            rc = body->handler(r, &text);
            break;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            break;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return;
        }
    }

    ngx_http_v2m_body_cleanup(body);
    ngx_http_finalize_request(r, rc);
}
