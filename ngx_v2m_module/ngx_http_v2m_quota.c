#include "ngx_http_v2m_quota.h"

#define NGX_HTTP_V2M_QUOTA_AGE 60000 /* milliseconds */

typedef struct {
    ngx_msec_t    age;    /* 0: off */
    v2m_quotas_t *quotas; /* made in each worker process */
} ngx_http_v2m_quota_conf_t;

static void     *ngx_http_v2m_quota_create_conf(ngx_conf_t *cf);
static char     *ngx_http_v2m_quota_init_conf(ngx_conf_t *cf, void *conf);
static ngx_int_t ngx_http_v2m_quota_init_process(ngx_cycle_t *cycle);
static void      ngx_http_v2m_quota_exit_process(ngx_cycle_t *cycle);

static ngx_http_v2m_range_t ngx_http_v2m_quota_age_range = {
    ngx_http_v2m_check_number, 0, 86400 * 1000, "0 to 1d"
};

/* clang-format off */
static ngx_command_t ngx_http_v2m_quota_commands[] = {

    { ngx_string("v2m_quota_age"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_quota_conf_t, age),
      &ngx_http_v2m_quota_age_range },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_quota_module_ctx = {
    NULL,
    NULL,

    ngx_http_v2m_quota_create_conf,
    ngx_http_v2m_quota_init_conf,

    NULL,
    NULL,

    NULL,
    NULL
};

/* clang-format off */
ngx_module_t ngx_http_v2m_quota_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_quota_module_ctx,
    ngx_http_v2m_quota_commands,
    NGX_HTTP_MODULE,
    NULL,
    NULL,
    ngx_http_v2m_quota_init_process,
    NULL,
    NULL,
    ngx_http_v2m_quota_exit_process,
    NULL,
    NGX_MODULE_V1_PADDING
};
/* clang-format on */


static void *
ngx_http_v2m_quota_create_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_quota_conf_t *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_quota_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->age = NGX_CONF_UNSET_MSEC;

    return conf;
}


static char *
ngx_http_v2m_quota_init_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_v2m_quota_conf_t *qcf = conf;

    ngx_conf_init_msec_value(qcf->age, NGX_HTTP_V2M_QUOTA_AGE);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_v2m_quota_init_process(ngx_cycle_t *cycle)
{
    v2m_error_t                error;
    ngx_http_v2m_main_conf_t  *mcf;
    ngx_http_v2m_quota_conf_t *qcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_v2m_module);

    if (mcf == NULL || mcf->users == NULL || !mcf->endpoints) {
        return NGX_OK;
    }

    qcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_v2m_quota_module);

    if (qcf->age == 0) {
        return NGX_OK;
    }

    if (v2m_quotas_create(&qcf->quotas, mcf->users, qcf->age, &error) != V2M_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "v2m: %s", error.text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_v2m_quota_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_v2m_quota_conf_t *qcf;

    qcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_v2m_quota_module);

    if (qcf != NULL) {
        v2m_quotas_destroy(qcf->quotas);
        qcf->quotas = NULL;
    }
}


v2m_quotas_t *
ngx_http_v2m_quotas(ngx_http_request_t *r)
{
    ngx_http_v2m_quota_conf_t *qcf;

    qcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_quota_module);

    return qcf->quotas;
}
