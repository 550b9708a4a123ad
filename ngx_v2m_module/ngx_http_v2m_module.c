/*
 * Directives, configuration, and the life of a worker process.
 */

#include "ngx_http_v2m_module.h"

#include <malloc.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "ngx_http_v2m_metrics.h"
#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_publish.h"
#include "v2m_gridfs.h"

/* Tokens that a worker process remembers; each takes about 1 KiB. */
#define NGX_HTTP_V2M_TOKENS_REMEMBERED 1024

static char *ngx_http_v2m_problem_details(ngx_conf_t *cf, ngx_command_t *cmd,
                                          void *conf);
static char *ngx_http_v2m_thread_pool(ngx_conf_t *cf, ngx_command_t *cmd,
                                      void *conf);
static ngx_int_t ngx_http_v2m_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_v2m_postconfiguration(ngx_conf_t *cf);
static void     *ngx_http_v2m_create_main_conf(ngx_conf_t *cf);
static char     *ngx_http_v2m_init_main_conf(ngx_conf_t *cf, void *conf);
static void     *ngx_http_v2m_create_loc_conf(ngx_conf_t *cf);
static char     *ngx_http_v2m_merge_loc_conf(ngx_conf_t *cf, void *parent,
                                             void *child);
static ngx_int_t ngx_http_v2m_init_process(ngx_cycle_t *cycle);
static void      ngx_http_v2m_exit_process(ngx_cycle_t *cycle);

static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_validate = {
    ngx_http_v2m_validate_handler, 1, 0
};
static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_upload = {
    ngx_http_v2m_upload_handler, 1, 0
};
static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_jobs = {
    ngx_http_v2m_jobs_handler, 1, 0
};
static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_download = {
    ngx_http_v2m_download_handler, 1, 0
};
static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_health = {
    ngx_http_v2m_health_handler, 0, 0
};
static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_ready = {
    ngx_http_v2m_ready_handler, 0, 0
};

/* A chunk and its fields must fit a document (16 MiB). */
static ngx_http_v2m_range_t ngx_http_v2m_chunk_size_range = {
    ngx_http_v2m_check_number, 16384, 8 * 1024 * 1024, "16k to 8m"
};
static ngx_http_v2m_range_t ngx_http_v2m_few_range = {
    ngx_http_v2m_check_number, 1, 64, "1 to 64"
};
static ngx_http_v2m_range_t ngx_http_v2m_attempts_range = {
    ngx_http_v2m_check_number, 1, 1000, "1 to 1000"
};
static ngx_http_v2m_range_t ngx_http_v2m_backend_timeout_range = {
    ngx_http_v2m_check_number, 1000, 300 * 1000, "1s to 5m"
};
static ngx_http_v2m_range_t ngx_http_v2m_confirm_timeout_range = {
    ngx_http_v2m_check_number, 100, 60 * 1000, "100ms to 1m"
};
static ngx_http_v2m_range_t ngx_http_v2m_token_lifetime_range = {
    ngx_http_v2m_check_seconds, 1, 366 * 86400, "1s to 366d"
};

static char ngx_http_v2m_conflict[] =
    "conflicts with another content handler of this location";

/* clang-format off */
static ngx_command_t ngx_http_v2m_commands[] = {

    { ngx_string("v2m_validate"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_validate },

    { ngx_string("v2m_upload"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_upload },

    { ngx_string("v2m_jobs"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_jobs },

    { ngx_string("v2m_download"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_download },

    { ngx_string("v2m_health"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_health },

    { ngx_string("v2m_ready"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_ready },

    { ngx_string("v2m_problem_details"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_FLAG,
      ngx_http_v2m_problem_details,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_loc_conf_t, problem_details),
      NULL },

    { ngx_string("v2m_chunk_size"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_loc_conf_t, chunk_size),
      &ngx_http_v2m_chunk_size_range },

    { ngx_string("v2m_upload_batch"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_loc_conf_t, upload_batch),
      &ngx_http_v2m_few_range },

    { ngx_string("v2m_upload_inserts"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_loc_conf_t, upload_inserts),
      &ngx_http_v2m_few_range },

    { ngx_string("v2m_download_batch"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_loc_conf_t, download_batch),
      &ngx_http_v2m_few_range },

    { ngx_string("v2m_download_reads"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_loc_conf_t, download_reads),
      &ngx_http_v2m_few_range },

    { ngx_string("v2m_quota_jobs"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_loc_conf_t, quota_jobs),
      NULL },

    { ngx_string("v2m_quota_bytes"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_TAKE1,
      ngx_conf_set_off_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_loc_conf_t, quota_bytes),
      NULL },

    { ngx_string("v2m_storage_pool"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_http_v2m_thread_pool,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_main_conf_t, storage_pool),
      NULL },

    { ngx_string("v2m_login_pool"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_http_v2m_thread_pool,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_main_conf_t, login_pool),
      NULL },

    { ngx_string("v2m_mongo_uri_file"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_main_conf_t, mongo_uri_file),
      NULL },

    { ngx_string("v2m_amqp_url_file"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_main_conf_t, amqp_url_file),
      NULL },

    { ngx_string("v2m_mysql_password_file"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_main_conf_t, mysql_password_file),
      NULL },

    { ngx_string("v2m_jwt_secret_file"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_main_conf_t, jwt_secret_file),
      NULL },

    { ngx_string("v2m_backend_timeout"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_main_conf_t, backend_timeout),
      &ngx_http_v2m_backend_timeout_range },

    { ngx_string("v2m_confirm_timeout"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_main_conf_t, confirm_timeout),
      &ngx_http_v2m_confirm_timeout_range },

    { ngx_string("v2m_attempts"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_main_conf_t, attempts),
      &ngx_http_v2m_attempts_range },

    { ngx_string("v2m_token_lifetime"),
      NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_v2m_main_conf_t, token_lifetime),
      &ngx_http_v2m_token_lifetime_range },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_module_ctx = {
    ngx_http_v2m_preconfiguration,
    ngx_http_v2m_postconfiguration,

    ngx_http_v2m_create_main_conf,
    ngx_http_v2m_init_main_conf,

    NULL,
    NULL,

    ngx_http_v2m_create_loc_conf,
    ngx_http_v2m_merge_loc_conf
};

/* clang-format off */
ngx_module_t ngx_http_v2m_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_module_ctx,
    ngx_http_v2m_commands,
    NGX_HTTP_MODULE,
    NULL,
    NULL,
    ngx_http_v2m_init_process,
    NULL,
    NULL,
    ngx_http_v2m_exit_process,
    NULL,
    NGX_MODULE_V1_PADDING
};
/* clang-format on */


char *
ngx_http_v2m_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_v2m_loc_conf_t  *lcf;
    ngx_http_v2m_main_conf_t *mcf;
    ngx_http_core_loc_conf_t *clcf;

    lcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_v2m_module);

    if (lcf->endpoint == cmd->post) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler != NULL) {
        return ngx_http_v2m_conflict;
    }

    clcf->handler = ngx_http_v2m_endpoint_handler;
    lcf->endpoint = cmd->post;
    lcf->endpoint_number = ngx_http_v2m_metrics_endpoint(&cmd->name);

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_module);
    mcf->endpoints = 1;
    mcf->tokens = 1;
    mcf->signs |= lcf->endpoint->signs;
    mcf->problems = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_v2m_problem_details(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                     *rv;
    ngx_http_v2m_loc_conf_t  *lcf = conf;
    ngx_http_v2m_main_conf_t *mcf;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv == NGX_CONF_OK && lcf->problem_details) {
        mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_module);
        mcf->problems = 1;
    }

    return rv;
}


static char *
ngx_http_v2m_thread_pool(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t          *value;
    ngx_thread_pool_t **pool;

    pool = (ngx_thread_pool_t **) ((char *) conf + cmd->offset);

    if (*pool != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    /* a name without a "thread_pool" fails when the configuration is read */

    *pool = ngx_thread_pool_add(cf, &value[1]);

    return *pool == NULL ? NGX_CONF_ERROR : NGX_CONF_OK;
}


static char *
ngx_http_v2m_check_range(ngx_conf_t *cf, const ngx_http_v2m_range_t *range,
                         int64_t number)
{
    ngx_str_t *value;

    if (number >= range->low && number <= range->high) {
        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" must be from %s",
                       &value[0], range->text);

    return NGX_CONF_ERROR;
}


char *
ngx_http_v2m_check_number(ngx_conf_t *cf, void *post, void *data)
{
    ngx_int_t *number = data;

    return ngx_http_v2m_check_range(cf, post, *number);
}


char *
ngx_http_v2m_check_seconds(ngx_conf_t *cf, void *post, void *data)
{
    time_t *seconds = data;

    return ngx_http_v2m_check_range(cf, post, *seconds);
}


static ngx_int_t
ngx_http_v2m_preconfiguration(ngx_conf_t *cf)
{
    return ngx_http_v2m_add_variables(cf);
}


static ngx_int_t
ngx_http_v2m_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_v2m_main_conf_t *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_v2m_module);

    if (ngx_http_v2m_settings(cf, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (mcf->problems || mcf->tokens) {
        ngx_http_v2m_problem_init();
    }

    return NGX_OK;
}


static void *
ngx_http_v2m_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_main_conf_t *mcf;

    mcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_main_conf_t));
    if (mcf == NULL) {
        return NULL;
    }

    mcf->backend_timeout = NGX_CONF_UNSET_MSEC;
    mcf->confirm_timeout = NGX_CONF_UNSET_MSEC;
    mcf->attempts = NGX_CONF_UNSET;
    mcf->token_lifetime = NGX_CONF_UNSET;

    return mcf;
}


static char *
ngx_http_v2m_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_v2m_main_conf_t *mcf = conf;

    ngx_conf_init_msec_value(mcf->backend_timeout, 10000);
    ngx_conf_init_msec_value(mcf->confirm_timeout, 5000);
    ngx_conf_init_value(mcf->attempts, 5);
    ngx_conf_init_value(mcf->token_lifetime, V2M_TOKEN_LIFETIME);

    if (!mcf->endpoints && !mcf->database) {
        return NGX_CONF_OK;
    }

    /* without a name: nginx's pool "default" */

    if (mcf->storage_pool == NULL) {
        mcf->storage_pool = ngx_thread_pool_add(cf, NULL);
    }

    if (mcf->login_pool == NULL) {
        mcf->login_pool = ngx_thread_pool_add(cf, NULL);
    }

    if (mcf->storage_pool == NULL || mcf->login_pool == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_v2m_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_loc_conf_t *lcf;

    lcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_loc_conf_t));
    if (lcf == NULL) {
        return NULL;
    }

    lcf->problem_details = NGX_CONF_UNSET;
    lcf->chunk_size = NGX_CONF_UNSET_SIZE;
    lcf->upload_batch = NGX_CONF_UNSET_UINT;
    lcf->upload_inserts = NGX_CONF_UNSET_UINT;
    lcf->download_batch = NGX_CONF_UNSET_UINT;
    lcf->download_reads = NGX_CONF_UNSET_UINT;
    lcf->quota_jobs = NGX_CONF_UNSET;
    lcf->quota_bytes = NGX_CONF_UNSET;

    return lcf;
}


static char *
ngx_http_v2m_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_v2m_loc_conf_t *prev = parent;
    ngx_http_v2m_loc_conf_t *conf = child;

    ngx_http_core_loc_conf_t *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* blocks inside a location: "if" keeps the handler, "limit_except" does
     * not */

    if (conf->endpoint == NULL && (clcf->noname || clcf->lmt_excpt)) {
        conf->endpoint = prev->endpoint;
        conf->endpoint_number = prev->endpoint_number;

        if (clcf->lmt_excpt && clcf->handler == NULL && conf->endpoint) {
            clcf->handler = ngx_http_v2m_endpoint_handler;
        }

    } else if (conf->endpoint != NULL) {
        if (clcf->handler != ngx_http_v2m_endpoint_handler) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "the v2m endpoint in location \"%V\" %s", &clcf->name,
                          ngx_http_v2m_conflict);
            return NGX_CONF_ERROR;
        }
    }

    ngx_conf_merge_value(conf->problem_details, prev->problem_details,
                         NGX_CONF_UNSET);
    ngx_conf_merge_size_value(conf->chunk_size, prev->chunk_size,
                              V2M_GRIDFS_CHUNK_SIZE);
    ngx_conf_merge_uint_value(conf->upload_batch, prev->upload_batch, 2);
    ngx_conf_merge_uint_value(conf->upload_inserts, prev->upload_inserts, 3);
    ngx_conf_merge_uint_value(conf->download_batch, prev->download_batch, 2);
    ngx_conf_merge_uint_value(conf->download_reads, prev->download_reads, 3);
    ngx_conf_merge_value(conf->quota_jobs, prev->quota_jobs, 0);
    ngx_conf_merge_off_value(conf->quota_bytes, prev->quota_bytes, 0);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_v2m_init_backends(ngx_cycle_t *cycle, ngx_http_v2m_main_conf_t *mcf)
{
    v2m_error_t            error;
    v2m_mongo_options_t    mongo;
    v2m_database_options_t users;

    ngx_memzero(&users, sizeof(users));
    users.host = mcf->mysql_host;
    users.port = mcf->mysql_port;
    users.user = mcf->mysql_user;
    users.password = mcf->mysql_password;
    users.database = mcf->mysql_database;
    users.timeout_ms = mcf->backend_timeout;

    if (v2m_database_create(&mcf->users, &users, &error) != V2M_OK) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "v2m: %s", error.text);
        return NGX_ERROR;
    }

    if (!mcf->endpoints) {
        return NGX_OK;
    }

    ngx_memzero(&mongo, sizeof(mongo));
    mongo.application = "v2m gateway";
    mongo.timeout_ms = mcf->backend_timeout;

    if (v2m_mongo_create(&mcf->mongo, mcf->mongo_uri, &mongo, &error) != V2M_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "v2m: %s", error.text);
        return NGX_ERROR;
    }

    return ngx_http_v2m_publisher_init(cycle, mcf);
}


static ngx_int_t
ngx_http_v2m_init_process(ngx_cycle_t *cycle)
{
    v2m_error_t               error;
    ngx_http_v2m_main_conf_t *mcf;

    /* nginx's cache helpers come here as well */

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_v2m_module);

    if (mcf == NULL || !mcf->tokens) {
        return NGX_OK;
    }

    ngx_http_v2m_metrics_start(cycle);

#ifdef M_ARENA_MAX
    /* else each thread of the pools keeps the largest command it ever sent in
     * an arena of its own */
    mallopt(M_ARENA_MAX, 1);
#endif

    if (v2m_token_cache_create(&mcf->cache, mcf->keys,
                               NGX_HTTP_V2M_TOKENS_REMEMBERED, &error)
        != V2M_OK)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "v2m: %s", error.text);
        return NGX_ERROR;
    }

    return mcf->endpoints || mcf->database
               ? ngx_http_v2m_init_backends(cycle, mcf)
               : NGX_OK;
}


static void
ngx_http_v2m_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_v2m_main_conf_t *mcf;

#ifdef __SANITIZE_ADDRESS__
    /* nginx forgets where these are before the process ends, and a leak that
     * has to be looked up in t/lsan.supp costs each process half a second */
    __lsan_ignore_object(cycle->connections);
    __lsan_ignore_object(cycle->read_events);
    __lsan_ignore_object(cycle->write_events);
#endif

    mcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_v2m_module);

    if (mcf == NULL) {
        return;
    }

    v2m_token_cache_destroy(mcf->cache);
    mcf->cache = NULL;

    ngx_http_v2m_publisher_exit(mcf->publisher);
    mcf->publisher = NULL;

    /* nobody uses these any more: nginx has ended its thread pools */

    v2m_database_destroy(mcf->users);
    mcf->users = NULL;
    v2m_mongo_destroy(mcf->mongo);
    mcf->mongo = NULL;
}
