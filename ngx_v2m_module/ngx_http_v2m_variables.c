/*
 * Variables for logs, limits and maps: $v2m_user, $v2m_admin, $v2m_job,
 * $v2m_claim_NAME, $v2m_account, $v2m_traceparent, $v2m_trace.
 */

#include <stdlib.h>

#include "ngx_http_v2m_module.h"

#define NGX_HTTP_V2M_CLAIM_PREFIX "v2m_claim_"

static ngx_int_t ngx_http_v2m_user_variable(ngx_http_request_t        *r,
                                            ngx_http_variable_value_t *v,
                                            uintptr_t                  data);
static ngx_int_t ngx_http_v2m_admin_variable(ngx_http_request_t        *r,
                                             ngx_http_variable_value_t *v,
                                             uintptr_t                  data);
static ngx_int_t ngx_http_v2m_job_variable(ngx_http_request_t        *r,
                                           ngx_http_variable_value_t *v,
                                           uintptr_t                  data);
static ngx_int_t ngx_http_v2m_claim_variable(ngx_http_request_t        *r,
                                             ngx_http_variable_value_t *v,
                                             uintptr_t                  data);
static ngx_int_t ngx_http_v2m_account_variable(ngx_http_request_t        *r,
                                               ngx_http_variable_value_t *v,
                                               uintptr_t                  data);
static ngx_int_t ngx_http_v2m_trace_variable(ngx_http_request_t        *r,
                                             ngx_http_variable_value_t *v,
                                             uintptr_t                  data);

static ngx_http_variable_t ngx_http_v2m_variables[] = {
    { ngx_string("v2m_user"), NULL, ngx_http_v2m_user_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string("v2m_admin"), NULL, ngx_http_v2m_admin_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string("v2m_job"), NULL, ngx_http_v2m_job_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },
    { ngx_string(NGX_HTTP_V2M_CLAIM_PREFIX), NULL, ngx_http_v2m_claim_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE | NGX_HTTP_VAR_PREFIX, 0 },
    { ngx_string("v2m_account"), NULL, ngx_http_v2m_account_variable, 0, 0, 0 },
    { ngx_string("v2m_traceparent"), NULL, ngx_http_v2m_trace_variable, 0, 0,
      0 },
    { ngx_string("v2m_trace"), NULL, ngx_http_v2m_trace_variable, 1, 0, 0 },
    ngx_http_null_variable
};


ngx_int_t
ngx_http_v2m_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t *variable, *added;

    for (variable = ngx_http_v2m_variables; variable->name.len; variable++) {
        added = ngx_http_add_variable(cf, &variable->name, variable->flags);
        if (added == NULL) {
            return NGX_ERROR;
        }

        added->get_handler = variable->get_handler;
        added->data = variable->data;
    }

    return NGX_OK;
}


static void
ngx_http_v2m_set_variable(ngx_http_variable_value_t *v, const char *text,
                          size_t length)
{
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = (text == NULL || length == 0);
    v->data = (u_char *) text;
    v->len = v->not_found ? 0 : length;
}


/* What the token says; a subrequest may be the one that asked for it.  NULL:
 * nobody is authenticated. */
static const v2m_claims_t *
ngx_http_v2m_claims(ngx_http_request_t *r)
{
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_find_ctx(r);

    if (ctx == NULL || ctx->claims.username == NULL) {
        ctx = ngx_http_v2m_find_ctx(r->main);
    }

    return ctx != NULL && ctx->claims.username != NULL ? &ctx->claims : NULL;
}


static ngx_int_t
ngx_http_v2m_user_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                           uintptr_t data)
{
    const v2m_claims_t *claims;

    claims = ngx_http_v2m_claims(r);

    ngx_http_v2m_set_variable(v, claims ? claims->username : NULL,
                              claims ? ngx_strlen(claims->username) : 0);

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_admin_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                            uintptr_t data)
{
    const v2m_claims_t *claims;

    claims = ngx_http_v2m_claims(r);

    ngx_http_v2m_set_variable(v, claims && claims->admin ? "1" : NULL, 1);

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_job_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                          uintptr_t data)
{
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_find_ctx(r->main);

    ngx_http_v2m_set_variable(v, ctx ? ctx->job : NULL,
                              ctx ? ngx_strlen(ctx->job) : 0);

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_claim_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                            uintptr_t data)
{
    char               *value;
    size_t              length, prefix;
    u_char             *copy;
    ngx_str_t          *name = (ngx_str_t *) data;
    const v2m_claims_t *claims;

    prefix = sizeof(NGX_HTTP_V2M_CLAIM_PREFIX) - 1;
    claims = ngx_http_v2m_claims(r);

    value = claims != NULL ? v2m_claims_get(
                claims, (char *) name->data + prefix, name->len - prefix)
                           : NULL;

    if (value == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    length = ngx_strlen(value);
    copy = ngx_pnalloc(r->pool, length);

    if (copy != NULL) {
        ngx_memcpy(copy, value, length);
    }

    free(value);

    if (copy == NULL) {
        return NGX_ERROR;
    }

    ngx_http_v2m_set_variable(v, (char *) copy, length);

    return NGX_OK;
}


ngx_int_t
ngx_http_v2m_account(ngx_http_request_t *r, const ngx_str_t *user,
                     ngx_str_t *account)
{
    size_t i, length;

    length = user->len;

    while (length > 0 && user->data[length - 1] == ' ') {
        length--;
    }

    for (i = 0; i < length; i++) {
        if (user->data[i] <= 0x20 || user->data[i] >= 0x7f) {
            break;
        }
    }

    if (i < length || length == 0 || length > V2M_USERS_NAME_MAX) {
        ngx_str_set(account, "other");
        return NGX_DECLINED;
    }

    account->len = length;
    account->data = ngx_pnalloc(r->pool, length);

    if (account->data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(account->data, user->data, length);

    return NGX_OK;
}


/* The account that a login is about. */
static ngx_int_t
ngx_http_v2m_account_variable(ngx_http_request_t        *r,
                              ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t rc;
    ngx_str_t account;

    rc = ngx_http_auth_basic_user(r);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED || r->headers_in.user.len == 0) {
        ngx_http_v2m_set_variable(v, NULL, 0);
        return NGX_OK;
    }

    if (ngx_http_v2m_account(r, &r->headers_in.user, &account) == NGX_ERROR) {
        return NGX_ERROR;
    }

    ngx_http_v2m_set_variable(v, (char *) account.data, account.len);

    return NGX_OK;
}


/* The value of the one traceparent that the request has; with several nobody
 * knows which is meant. */
static ngx_str_t *
ngx_http_v2m_trace_header(ngx_http_request_t *r)
{
    ngx_str_t       *found;
    ngx_uint_t       i;
    ngx_list_part_t *part;
    ngx_table_elt_t *header;

    found = NULL;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (header[i].key.len != sizeof("traceparent") - 1
                || ngx_strncasecmp(header[i].key.data, (u_char *) "traceparent",
                                   header[i].key.len)
                       != 0)
            {
                continue;
            }

            if (found != NULL) {
                return NULL;
            }

            found = &header[i].value;
        }
    }

    return found;
}


const char *
ngx_http_v2m_traceparent(ngx_http_request_t *r)
{
    ngx_str_t          *header;
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_get_ctx(r->main);

    if (ctx == NULL || ctx->trace[0] != '\0') {
        return ctx ? ctx->trace : NULL;
    }

    header = ngx_http_v2m_trace_header(r->main);

    if (header == NULL
        || !v2m_trace_parse(ctx->trace, (char *) header->data, header->len))
    {
        v2m_trace_begin(ctx->trace);
    }

    return ctx->trace;
}


/* data: 1: the id of the trace alone */
static ngx_int_t
ngx_http_v2m_trace_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
                            uintptr_t data)
{
    const char *trace;

    trace = ngx_http_v2m_traceparent(r);

    if (trace == NULL) {
        return NGX_ERROR;
    }

    if (data) {
        ngx_http_v2m_set_variable(v, trace + V2M_TRACE_ID_OFFSET,
                                  V2M_TRACE_ID_LENGTH);
    } else {
        ngx_http_v2m_set_variable(v, trace, V2M_TRACEPARENT_LENGTH);
    }

    return NGX_OK;
}
