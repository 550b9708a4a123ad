#include "ngx_http_v2m_webhook.h"

#include <stdlib.h>
#include <string.h>

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "v2m_config.h"
#include "v2m_webhook.h"

typedef struct {
    ngx_str_t          key_file;
    v2m_webhook_keys_t keys; /* count 0: there are no webhooks */
    int                http; /* plain http:// is allowed */
} ngx_http_v2m_webhook_conf_t;

static ngx_int_t ngx_http_v2m_webhook_postconfiguration(ngx_conf_t *cf);
static void     *ngx_http_v2m_webhook_create_conf(ngx_conf_t *cf);
static void      ngx_http_v2m_webhook_free(void *data);
static ngx_int_t ngx_http_v2m_webhook_handler(ngx_http_request_t *r);

static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_webhook_secret = {
    ngx_http_v2m_webhook_handler, 1, 0
};

/* clang-format off */
static ngx_command_t ngx_http_v2m_webhook_commands[] = {

    { ngx_string("v2m_webhook_key_file"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_webhook_conf_t, key_file),
      NULL },

    { ngx_string("v2m_webhook_secret"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_webhook_secret },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_webhook_module_ctx = {
    NULL,
    ngx_http_v2m_webhook_postconfiguration,

    ngx_http_v2m_webhook_create_conf,
    NULL,

    NULL,
    NULL,

    NULL,
    NULL
};

/* clang-format off */
ngx_module_t ngx_http_v2m_webhook_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_webhook_module_ctx,
    ngx_http_v2m_webhook_commands,
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
ngx_http_v2m_webhook_create_conf(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t          *cleanup;
    ngx_http_v2m_webhook_conf_t *wcf;

    wcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_webhook_conf_t));
    cleanup = ngx_pool_cleanup_add(cf->pool, 0);

    if (wcf == NULL || cleanup == NULL) {
        return NULL;
    }

    cleanup->handler = ngx_http_v2m_webhook_free;
    cleanup->data = wcf;

    return wcf;
}


static void
ngx_http_v2m_webhook_free(void *data)
{
    ngx_http_v2m_webhook_conf_t *wcf = data;

    v2m_webhook_keys_wipe(&wcf->keys);
}


/* Reads the environment, where there are endpoints. */
static ngx_int_t
ngx_http_v2m_webhook_postconfiguration(ngx_conf_t *cf)
{
    int                          rc;
    char                        *keys;
    v2m_error_t                  error;
    ngx_http_v2m_main_conf_t    *mcf;
    ngx_http_v2m_webhook_conf_t *wcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_module);
    wcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_webhook_module);

    if (!mcf->endpoints) {
        return NGX_OK;
    }

    if (ngx_http_v2m_setting(cf, &wcf->key_file, "V2M_WEBHOOK_KEY",
                             "v2m_webhook_key_file", "", &keys)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = v2m_webhook_keys_parse(&wcf->keys, keys, &error);
    v2m_config_wipe(keys);

    if (rc == V2M_OK) {
        rc = v2m_webhook_read_http(&wcf->http, &error);
    }

    if (rc != V2M_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "v2m: %s", error.text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


int
ngx_http_v2m_webhook_option(ngx_http_request_t *r, v2m_job_t *job,
                            const u_char *value, size_t length,
                            v2m_error_t *error)
{
    int                          rc;
    ngx_http_v2m_webhook_conf_t *wcf;

    wcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_webhook_module);

    if (wcf->keys.count == 0) {
        return v2m_error_set(error, V2M_INVALID,
                             "option \"webhook\" cannot be used: this service "
                             "has no webhooks (V2M_WEBHOOK_KEY)");
    }

    rc = v2m_webhook_check_url((const char *) value, length, wcf->http, error);

    if (rc != V2M_OK) {
        return rc;
    }

    free(job->webhook);
    job->webhook = strndup((const char *) value, length);

    return job->webhook != NULL
               ? V2M_OK
               : v2m_error_set(error, V2M_ERROR, "out of memory");
}


static ngx_int_t
ngx_http_v2m_webhook_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    v2m_error_t                  error;
    ngx_http_v2m_ctx_t          *ctx;
    ngx_http_v2m_webhook_conf_t *wcf;

    char json[sizeof("{\"secret\":\"\"}") + V2M_WEBHOOK_SECRET_SIZE];
    char secret[V2M_WEBHOOK_SECRET_SIZE];

    static ngx_str_t cache = ngx_string("no-store");

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return ngx_http_v2m_method_not_allowed(r, "GET, HEAD");
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);
    wcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_webhook_module);

    if (wcf->keys.count == 0) {
        return ngx_http_v2m_problem(r, NGX_HTTP_NOT_FOUND,
                                    "this service has no webhooks "
                                    "(V2M_WEBHOOK_KEY)");
    }

    if (v2m_webhook_secret(&wcf->keys, ctx->claims.username, secret, &error)
        != V2M_OK)
    {
        return ngx_http_v2m_failure(r, "make a secret", error.code, &error);
    }

    if (ngx_http_v2m_add_header(r, "Cache-Control", &cache) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* base64 has nothing that JSON would escape */
    ngx_snprintf((u_char *) json, sizeof(json), "{\"secret\":\"%s\"}%Z",
                 secret);
    ngx_explicit_memzero(secret, sizeof(secret));

    rc = ngx_http_v2m_send(r, NGX_HTTP_OK, "application/json", json);
    ngx_explicit_memzero(json, sizeof(json));

    return rc;
}
