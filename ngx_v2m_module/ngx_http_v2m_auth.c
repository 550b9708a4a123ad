/*
 * The access phase, and POST /validate.
 */

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_revocation.h"


ngx_int_t
ngx_http_v2m_access_handler(ngx_http_request_t *r)
{
    ngx_http_v2m_loc_conf_t *lcf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_module);

    if (!lcf->auth && (lcf->endpoint == NULL || !lcf->endpoint->needs_auth)) {
        return NGX_DECLINED;
    }

    return ngx_http_v2m_authenticate(r);
}


ngx_int_t
ngx_http_v2m_authenticate(ngx_http_request_t *r)
{
    int                       rc;
    u_char                   *p, *last;
    v2m_error_t               error;
    ngx_http_v2m_ctx_t       *ctx;
    ngx_http_v2m_main_conf_t *mcf;

    ctx = ngx_http_v2m_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->claims.username != NULL) {
        return NGX_OK;
    }

    if (r->headers_in.authorization == NULL) {
        return ngx_http_v2m_problem(r, NGX_HTTP_UNAUTHORIZED,
                                    "missing credentials");
    }

    p = r->headers_in.authorization->value.data;
    last = p + r->headers_in.authorization->value.len;

    if (last - p < 7 || ngx_strncasecmp(p, (u_char *) "Bearer ", 7) != 0) {
        return ngx_http_v2m_problem(r, NGX_HTTP_UNAUTHORIZED,
                                    "missing credentials: this address takes "
                                    "a Bearer token from POST /login");
    }

    for (p += 7; p < last && *p == ' '; p++) {
        /* void */
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    rc = v2m_token_cache_verify(mcf->cache, (char *) p, last - p, ngx_time(),
                                &ctx->claims, &error);

    if (rc == V2M_OK && ngx_http_v2m_is_revoked(r, &ctx->claims)) {
        v2m_claims_free(&ctx->claims);
        rc = v2m_error_set(&error, V2M_DENIED, "the token was revoked");
    }

    if (rc == V2M_DENIED) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "v2m: a token was refused: %s", error.text);
        ctx->denied = 1;
        return ngx_http_v2m_problem(r, NGX_HTTP_UNAUTHORIZED, error.text);
    }

    return rc == V2M_OK ? NGX_OK
                        : ngx_http_v2m_failure(r, "check a token", rc, &error);
}


ngx_int_t
ngx_http_v2m_validate_handler(ngx_http_request_t *r)
{
    ngx_int_t           rc;
    ngx_http_v2m_ctx_t *ctx;

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_v2m_method_not_allowed(r, "POST");
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);

    return ngx_http_v2m_send(r, NGX_HTTP_OK, "application/json",
                             ctx->claims.json);
}
