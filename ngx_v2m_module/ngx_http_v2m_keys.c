/*
 * The module of the keys for tokens: a directory of our own, the secret of the
 * environment, other issuers, and the endpoint that gives out the public ones.
 */

#include "ngx_http_v2m_keys.h"

#include <stdlib.h>
#include <string.h>

#include "ngx_http_v2m_argument.h"
#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "v2m_config.h"

/* A key that is to sign is published this long before it does, at least. */
#define NGX_HTTP_V2M_JWKS_CACHE "public, max-age=300"

typedef struct {
    ngx_str_t    url;
    ngx_str_t    jwks;      /* a path */
    ngx_str_t    user;      /* data NULL: not given */
    ngx_str_t    admin;     /* likewise */
    ngx_array_t *audiences; /* of char * */
} ngx_http_v2m_issuer_t;

typedef struct {
    ngx_str_t    directory; /* data NULL: there is none */
    ngx_str_t    sign;      /* the kid; data NULL: not given */
    ngx_array_t *issuers;   /* of ngx_http_v2m_issuer_t; NULL: none */
    char        *jwks;      /* our public keys */
} ngx_http_v2m_keys_conf_t;

static char     *ngx_http_v2m_token_keys(ngx_conf_t *cf, ngx_command_t *cmd,
                                         void *conf);
static char     *ngx_http_v2m_token_issuer(ngx_conf_t *cf, ngx_command_t *cmd,
                                           void *conf);
static void     *ngx_http_v2m_keys_create_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_v2m_jwks_handler(ngx_http_request_t *r);

static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_jwks = {
    ngx_http_v2m_jwks_handler, 0, 0
};

/* clang-format off */
static ngx_command_t ngx_http_v2m_keys_commands[] = {

    { ngx_string("v2m_token_keys"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE12,
      ngx_http_v2m_token_keys,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("v2m_token_issuer"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_1MORE,
      ngx_http_v2m_token_issuer,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("v2m_jwks"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_jwks },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_keys_module_ctx = {
    NULL,
    NULL,

    ngx_http_v2m_keys_create_conf,
    NULL,

    NULL,
    NULL,

    NULL,
    NULL
};

/* clang-format off */
ngx_module_t ngx_http_v2m_keys_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_keys_module_ctx,
    ngx_http_v2m_keys_commands,
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


static void *
ngx_http_v2m_keys_create_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_keys_conf_t));
}


static char *
ngx_http_v2m_invalid_argument(ngx_conf_t *cf, ngx_str_t *argument)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       argument);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_v2m_token_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                *value;
    ngx_http_v2m_keys_conf_t *kcf = conf;

    if (kcf->directory.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    kcf->directory = value[1];

    if (ngx_conf_full_name(cf->cycle, &kcf->directory, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3
        && ngx_http_v2m_argument(&value[2], "sign=", &kcf->sign) != NGX_OK)
    {
        return ngx_http_v2m_invalid_argument(cf, &value[2]);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_v2m_token_issuer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                    **audience;
    ngx_str_t                *value, text;
    ngx_uint_t                i;
    ngx_http_v2m_issuer_t    *issuer;
    ngx_http_v2m_keys_conf_t *kcf = conf;

    if (kcf->issuers == NULL) {
        kcf->issuers =
            ngx_array_create(cf->pool, 1, sizeof(ngx_http_v2m_issuer_t));
        if (kcf->issuers == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    issuer = ngx_array_push(kcf->issuers);
    if (issuer == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(issuer, sizeof(ngx_http_v2m_issuer_t));

    issuer->audiences = ngx_array_create(cf->pool, 1, sizeof(char *));
    if (issuer->audiences == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    issuer->url = value[1];

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_v2m_argument(&value[i], "jwks=", &issuer->jwks) == NGX_OK
            || ngx_http_v2m_argument(&value[i], "user=", &issuer->user)
                   == NGX_OK
            || ngx_http_v2m_argument(&value[i], "admin=", &issuer->admin)
                   == NGX_OK)
        {
            continue;
        }

        if (ngx_http_v2m_argument(&value[i], "aud=", &text) != NGX_OK) {
            return ngx_http_v2m_invalid_argument(cf, &value[i]);
        }

        audience = ngx_array_push(issuer->audiences);
        if (audience == NULL) {
            return NGX_CONF_ERROR;
        }

        *audience = (char *) text.data;
    }

    if (issuer->jwks.data == NULL || issuer->audiences->nelts == 0) {
        return "needs \"jwks=FILE\" with the issuer's keys and \"aud=NAME\", "
               "which its tokens for this service have";
    }

    return ngx_conf_full_name(cf->cycle, &issuer->jwks, 1) == NGX_OK
               ? NGX_CONF_OK
               : NGX_CONF_ERROR;
}


/* Takes JWT_SECRET, which is needed only where no other key is given. */
static int
ngx_http_v2m_keys_secret(ngx_conf_t *cf, ngx_http_v2m_main_conf_t *mcf,
                         ngx_uint_t needed)
{
    int         rc;
    char       *secret;
    v2m_error_t error;

    if (ngx_http_v2m_setting(cf, &mcf->jwt_secret_file, "JWT_SECRET",
                             "v2m_jwt_secret_file", needed ? NULL : "", &secret)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = *secret == '\0' && !needed
             ? V2M_OK
             : v2m_token_keys_add_secret(mcf->keys, (unsigned char *) secret,
                                         strlen(secret), &error);

    v2m_config_wipe(secret);

    if (rc != V2M_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "v2m: JWT_SECRET: %s",
                           error.text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_keys_files(ngx_conf_t *cf, ngx_http_v2m_main_conf_t *mcf,
                        ngx_http_v2m_keys_conf_t *kcf)
{
    int                        rc;
    ngx_uint_t                 i;
    v2m_error_t                error;
    ngx_http_v2m_issuer_t     *issuer;
    v2m_token_issuer_options_t options;

    rc = V2M_OK;

    if (kcf->directory.data != NULL) {
        rc = v2m_token_keys_add_directory(mcf->keys,
                                          (char *) kcf->directory.data,
                                          (char *) kcf->sign.data, &error);

        if (rc != V2M_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "v2m: v2m_token_keys: %s",
                               error.text);
            return NGX_ERROR;
        }
    }

    for (i = 0; kcf->issuers && i < kcf->issuers->nelts; i++) {
        issuer = (ngx_http_v2m_issuer_t *) kcf->issuers->elts + i;

        options.url = (char *) issuer->url.data;
        options.file = (char *) issuer->jwks.data;
        options.audiences = issuer->audiences->elts;
        options.audience_count = issuer->audiences->nelts;
        options.user = (char *) issuer->user.data;
        options.admin = (char *) issuer->admin.data;

        rc = v2m_token_keys_add_issuer(mcf->keys, &options, &error);

        if (rc != V2M_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "v2m: v2m_token_issuer: %s", error.text);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_v2m_keys_read(ngx_conf_t *cf, ngx_http_v2m_main_conf_t *mcf)
{
    char                     *jwks;
    size_t                    length;
    v2m_error_t               error;
    ngx_http_v2m_keys_conf_t *kcf;

    kcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_keys_module);

    if (v2m_token_keys_create(&mcf->keys, &error) != V2M_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_v2m_keys_secret(
            cf, mcf, kcf->directory.data == NULL && kcf->issuers == NULL)
            != NGX_OK
        || ngx_http_v2m_keys_files(cf, mcf, kcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (mcf->signs && v2m_token_keys_signer(mcf->keys) == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "v2m: \"v2m_login\" has no key to sign tokens with: "
                           "put a private key into the directory of "
                           "\"v2m_token_keys\", or set JWT_SECRET");
        return NGX_ERROR;
    }

    jwks = v2m_token_keys_public(mcf->keys);
    if (jwks == NULL) {
        return NGX_ERROR;
    }

    length = ngx_strlen(jwks) + 1;

    kcf->jwks = ngx_palloc(cf->pool, length);

    if (kcf->jwks != NULL) {
        ngx_memcpy(kcf->jwks, jwks, length);
    }

    free(jwks);

    return kcf->jwks != NULL ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_v2m_jwks_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_v2m_keys_conf_t *kcf;

    static ngx_str_t cache = ngx_string(NGX_HTTP_V2M_JWKS_CACHE);

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return ngx_http_v2m_method_not_allowed(r, "GET, HEAD");
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_v2m_add_header(r, "Cache-Control", &cache) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    kcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_keys_module);

    return ngx_http_v2m_send(r, NGX_HTTP_OK, "application/jwk-set+json",
                             kcf->jwks);
}
