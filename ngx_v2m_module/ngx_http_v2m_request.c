/*
 * Our context of a request, and the way into an endpoint.
 */

#include "ngx_http_v2m_metrics.h"

static void ngx_http_v2m_ctx_cleanup(void *data);


ngx_http_v2m_ctx_t *
ngx_http_v2m_find_ctx(ngx_http_request_t *r)
{
    ngx_http_v2m_ctx_t *ctx;
    ngx_pool_cleanup_t *cleanup;

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);

    if (ctx != NULL || !(r->internal || r->filter_finalize)) {
        return ctx;
    }

    /* nginx forgets the contexts when it redirects; the pool does not, but
     * subrequests share it */

    for (cleanup = r->pool->cleanup; cleanup; cleanup = cleanup->next) {
        if (cleanup->handler != ngx_http_v2m_ctx_cleanup) {
            continue;
        }

        ctx = cleanup->data;

        if (ctx->request == r) {
            ngx_http_set_ctx(r, ctx, ngx_http_v2m_module);
            return ctx;
        }
    }

    return NULL;
}


ngx_http_v2m_ctx_t *
ngx_http_v2m_get_ctx(ngx_http_request_t *r)
{
    ngx_http_v2m_ctx_t *ctx;
    ngx_pool_cleanup_t *cleanup;

    ctx = ngx_http_v2m_find_ctx(r);
    if (ctx != NULL) {
        return ctx;
    }

    cleanup = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_v2m_ctx_t));
    if (cleanup == NULL) {
        return NULL;
    }

    ctx = cleanup->data;
    ngx_memzero(ctx, sizeof(ngx_http_v2m_ctx_t));
    ctx->request = r;

    cleanup->handler = ngx_http_v2m_ctx_cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_v2m_module);

    return ctx;
}


static void
ngx_http_v2m_ctx_cleanup(void *data)
{
    ngx_http_v2m_ctx_t *ctx = data;

    v2m_claims_free(&ctx->claims);
}


ngx_int_t
ngx_http_v2m_endpoint_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_v2m_loc_conf_t *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_module);

    if (r == r->main) {
        ngx_http_v2m_metrics_begin(r, lcf->endpoint_number);
    }

    /* subrequests come here without an access phase, and "satisfy any" lets
     * others decide in it; what needs a user needs one all the same */

    if (lcf->endpoint->needs_auth) {
        rc = ngx_http_v2m_authorize(r);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return lcf->endpoint->handler(r);
}


const char *
ngx_http_v2m_owner(ngx_http_request_t *r)
{
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_find_ctx(r);

    return ctx->claims.admin ? NULL : ctx->claims.username;
}


void
ngx_http_v2m_note_administrator(ngx_http_request_t *r, const char *done,
                                const char *username, const v2m_id_t job)
{
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_find_ctx(r);

    if (!ctx->claims.admin
        || (username != NULL
            && ngx_strcmp(ctx->claims.username, username) == 0))
    {
        return;
    }

    /* the owner's name may be of another program, and have any characters */

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "v2m: administrator %s %s job %s of someone else",
                  ctx->claims.username, done, job);
}
