/*
 * Who gets in: ngx_http_v2m_auth_module, with v2m_auth and v2m_require, and
 * POST /validate.
 */

#include "ngx_http_v2m_argument.h"
#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_revocation.h"

#define NGX_HTTP_V2M_AUTH_OFF      0
#define NGX_HTTP_V2M_AUTH_ON       1
#define NGX_HTTP_V2M_AUTH_OPTIONAL 2

#define NGX_HTTP_V2M_SCHEME "Bearer"

/* What must hold: a value that is neither empty nor a word for "no". */
typedef struct {
    ngx_http_complex_value_t value;
    ngx_uint_t               status; /* with which it is refused */
} ngx_http_v2m_require_t;

typedef struct {
    ngx_uint_t   auth;
    ngx_array_t *require; /* of ngx_http_v2m_require_t; NULL: nothing */
} ngx_http_v2m_auth_conf_t;

static char *ngx_http_v2m_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_v2m_require(ngx_conf_t *cf, ngx_command_t *cmd,
                                  void *conf);
static void *ngx_http_v2m_auth_create_conf(ngx_conf_t *cf);
static char *ngx_http_v2m_auth_merge_conf(ngx_conf_t *cf, void *parent,
                                          void *child);
static ngx_int_t ngx_http_v2m_auth_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_v2m_access_handler(ngx_http_request_t *r);

static ngx_conf_enum_t ngx_http_v2m_auth_values[] = {
    { ngx_string("off"), NGX_HTTP_V2M_AUTH_OFF },
    { ngx_string("on"), NGX_HTTP_V2M_AUTH_ON },
    { ngx_string("optional"), NGX_HTTP_V2M_AUTH_OPTIONAL },
    { ngx_null_string, 0 }
};

/* clang-format off */
static ngx_command_t ngx_http_v2m_auth_commands[] = {

    { ngx_string("v2m_auth"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_HTTP_LMT_CONF | NGX_CONF_TAKE1,
      ngx_http_v2m_auth,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_auth_conf_t, auth),
      ngx_http_v2m_auth_values },

    { ngx_string("v2m_require"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_HTTP_LMT_CONF | NGX_CONF_1MORE,
      ngx_http_v2m_require,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_auth_module_ctx = {
    NULL,
    ngx_http_v2m_auth_init,

    NULL,
    NULL,

    NULL,
    NULL,

    ngx_http_v2m_auth_create_conf,
    ngx_http_v2m_auth_merge_conf
};

/* clang-format off */
ngx_module_t ngx_http_v2m_auth_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_auth_module_ctx,
    ngx_http_v2m_auth_commands,
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


static char *
ngx_http_v2m_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                     *rv;
    ngx_http_v2m_auth_conf_t *acf = conf;
    ngx_http_v2m_main_conf_t *mcf;

    rv = ngx_conf_set_enum_slot(cf, cmd, conf);

    if (rv == NGX_CONF_OK && acf->auth != NGX_HTTP_V2M_AUTH_OFF) {
        mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_module);
        mcf->tokens = 1;
    }

    return rv;
}


/* Several of the same level add up. */
static char *
ngx_http_v2m_require(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                       *value, text;
    ngx_uint_t                       i, count, status;
    ngx_http_v2m_require_t          *require;
    ngx_http_v2m_auth_conf_t        *acf = conf;
    ngx_http_compile_complex_value_t ccv;

    value = cf->args->elts;
    count = cf->args->nelts;
    status = NGX_HTTP_FORBIDDEN;

    if (ngx_http_v2m_argument(&value[count - 1], "error=", &text) == NGX_OK) {
        count--;

        if (text.len == 3 && ngx_strncmp(text.data, "401", 3) == 0) {
            status = NGX_HTTP_UNAUTHORIZED;

        } else if (text.len != 3 || ngx_strncmp(text.data, "403", 3) != 0) {
            return "can only refuse with \"error=401\" or \"error=403\"";
        }
    }

    if (count == 1) {
        return "needs a value to look at";
    }

    if (acf->require == NULL) {
        acf->require =
            ngx_array_create(cf->pool, 1, sizeof(ngx_http_v2m_require_t));
        if (acf->require == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 1; i < count; i++) {
        require = ngx_array_push(acf->require);
        if (require == NULL) {
            return NGX_CONF_ERROR;
        }

        require->status = status;

        ngx_memzero(&ccv, sizeof(ccv));
        ccv.cf = cf;
        ccv.value = &value[i];
        ccv.complex_value = &require->value;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        /* such as a name whose "$" was forgotten, which would let all in */

        if (require->value.lengths == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"v2m_require\" has no variable",
                               &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_v2m_auth_create_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_auth_conf_t *acf;

    acf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_auth_conf_t));

    if (acf != NULL) {
        acf->auth = NGX_CONF_UNSET_UINT;
    }

    return acf;
}


static ngx_uint_t
ngx_http_v2m_needs_auth(const ngx_http_v2m_endpoint_t *endpoint)
{
    return endpoint != NULL && endpoint->needs_auth;
}


static char *
ngx_http_v2m_auth_merge_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_v2m_auth_conf_t *prev = parent;
    ngx_http_v2m_auth_conf_t *conf = child;

    ngx_http_v2m_loc_conf_t  *lcf;
    ngx_http_core_loc_conf_t *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_v2m_module);

    /* "v2m_auth on" of a whole server must not close its login; a block inside
     * the location has its endpoint from there */

    if (conf->auth == NGX_CONF_UNSET_UINT && lcf->endpoint != NULL
        && !clcf->noname) {
        conf->auth = NGX_HTTP_V2M_AUTH_OFF;
    }

    ngx_conf_merge_uint_value(conf->auth, prev->auth, NGX_HTTP_V2M_AUTH_OFF);

    if (conf->require == NULL) {
        conf->require = prev->require;
        return NGX_CONF_OK;
    }

    /* of a server it is for those of its locations that have users */

    if (clcf->name.len > 0 && conf->auth == NGX_HTTP_V2M_AUTH_OFF
        && !ngx_http_v2m_needs_auth(lcf->endpoint))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"v2m_require\" in location \"%V\" needs \"v2m_auth\"",
                      &clcf->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_v2m_auth_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt       *handler;
    ngx_http_v2m_main_conf_t  *mcf;
    ngx_http_core_main_conf_t *cmcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_module);

    if (!mcf->tokens) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    handler = ngx_array_push(&cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }

    *handler = ngx_http_v2m_access_handler;

    return NGX_OK;
}


/* What the request's Authorization header says after "Bearer", perhaps
 * nothing; NGX_DECLINED: there is no such header, or it is of another
 * scheme. */
static ngx_int_t
ngx_http_v2m_bearer(ngx_http_request_t *r, ngx_str_t *token)
{
    size_t     length;
    ngx_str_t *header;

    if (r->headers_in.authorization == NULL) {
        return NGX_DECLINED;
    }

    header = &r->headers_in.authorization->value;
    length = sizeof(NGX_HTTP_V2M_SCHEME) - 1;

    if (header->len < length
        || ngx_strncasecmp(header->data, (u_char *) NGX_HTTP_V2M_SCHEME, length)
               != 0
        || (header->len > length && header->data[length] != ' '))
    {
        return NGX_DECLINED;
    }

    while (length < header->len && header->data[length] == ' ') {
        length++;
    }

    token->data = header->data + length;
    token->len = header->len - length;

    return NGX_OK;
}


/* NGX_OK: the request has a valid token, whose claims are in its context; else
 * the status to answer with. */
static ngx_int_t
ngx_http_v2m_authenticate(ngx_http_request_t *r)
{
    int                       rc;
    ngx_str_t                 token;
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

    if (ngx_http_v2m_bearer(r, &token) != NGX_OK || token.len == 0) {
        return ngx_http_v2m_problem(r, NGX_HTTP_UNAUTHORIZED,
                                    "missing credentials: this address takes "
                                    "a Bearer token from POST /login");
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    rc = v2m_token_cache_verify(mcf->cache, (char *) token.data, token.len,
                                ngx_time(), &ctx->claims, &error);

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


/* Variables of claims have these words for a JSON false and null. */
static ngx_uint_t
ngx_http_v2m_is_granted(const ngx_str_t *value)
{
    ngx_uint_t i;

    static const ngx_str_t refusals[] = { ngx_string(""), ngx_string("0"),
                                          ngx_string("false"),
                                          ngx_string("null") };

    for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (value->len == refusals[i].len
            && ngx_strncmp(value->data, refusals[i].data, value->len) == 0)
        {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_v2m_refuse(ngx_http_request_t           *r,
                    const ngx_http_v2m_require_t *require)
{
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_v2m_get_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* who has not said who he is may do so */

    if (ctx->claims.username == NULL) {
        return ngx_http_v2m_problem(r, NGX_HTTP_UNAUTHORIZED,
                                    "missing credentials");
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "v2m: the token of %s was refused by \"v2m_require %V\"",
                  ctx->claims.username, &require->value.value);

    if (require->status == NGX_HTTP_UNAUTHORIZED) {
        ctx->denied = 1;

    } else {
        ctx->scope = 1;
    }

    return ngx_http_v2m_problem(r, require->status,
                                "the token is valid, but does not give access "
                                "to this address");
}


/* NGX_OK, or the status to refuse with. */
static ngx_int_t
ngx_http_v2m_check_require(ngx_http_request_t *r)
{
    ngx_str_t                 value;
    ngx_uint_t                i;
    ngx_http_v2m_require_t   *require;
    ngx_http_v2m_auth_conf_t *acf;

    acf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_auth_module);

    for (i = 0; acf->require && i < acf->require->nelts; i++) {
        require = (ngx_http_v2m_require_t *) acf->require->elts + i;

        if (ngx_http_complex_value(r, &require->value, &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (!ngx_http_v2m_is_granted(&value)) {
            return ngx_http_v2m_refuse(r, require);
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_v2m_authorize(ngx_http_request_t *r)
{
    ngx_int_t rc;

    rc = ngx_http_v2m_authenticate(r);

    return rc == NGX_OK ? ngx_http_v2m_check_require(r) : rc;
}


/* Decides before the body is read. */
static ngx_int_t
ngx_http_v2m_access_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_str_t                 token;
    ngx_http_v2m_loc_conf_t  *lcf;
    ngx_http_v2m_auth_conf_t *acf;

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_module);
    acf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_auth_module);

    if (acf->auth == NGX_HTTP_V2M_AUTH_ON
        || ngx_http_v2m_needs_auth(lcf->endpoint)) {
        return ngx_http_v2m_authorize(r);
    }

    if (acf->auth == NGX_HTTP_V2M_AUTH_OFF) {
        return NGX_DECLINED;
    }

    if (ngx_http_v2m_bearer(r, &token) == NGX_OK) {
        return ngx_http_v2m_authorize(r);
    }

    /* anonymous: to "satisfy any" that is no consent */

    rc = ngx_http_v2m_check_require(r);

    return rc == NGX_OK ? NGX_DECLINED : rc;
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
