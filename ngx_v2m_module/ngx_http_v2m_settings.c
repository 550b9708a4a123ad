/*
 * Where the settings come from: the directives, else the environment of
 * nginx's master process, read once when the configuration is.
 */

#include <stdlib.h>

#include "ngx_http_v2m_keys.h"
#include "v2m_amqp.h"
#include "v2m_config.h"

static ngx_int_t ngx_http_v2m_settings_queues(ngx_conf_t               *cf,
                                              ngx_http_v2m_main_conf_t *mcf);
static ngx_int_t ngx_http_v2m_settings_database(ngx_conf_t               *cf,
                                                ngx_http_v2m_main_conf_t *mcf);
static void      ngx_http_v2m_settings_free(void *data);


ngx_int_t
ngx_http_v2m_settings(ngx_conf_t *cf, ngx_http_v2m_main_conf_t *mcf)
{
    v2m_error_t         error;
    ngx_pool_cleanup_t *cleanup;

    if (!mcf->tokens) {
        return NGX_OK;
    }

    cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    if (cleanup == NULL) {
        return NGX_ERROR;
    }

    cleanup->handler = ngx_http_v2m_settings_free;
    cleanup->data = mcf;

    if (ngx_http_v2m_keys_read(cf, mcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if ((mcf->endpoints || mcf->database)
        && ngx_http_v2m_settings_database(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!mcf->endpoints) {
        return NGX_OK;
    }

    if (ngx_http_v2m_setting(cf, &mcf->mongo_uri_file, "V2M_MONGO_URI",
                             "v2m_mongo_uri_file", NULL, &mcf->mongo_uri)
            != NGX_OK
        || ngx_http_v2m_setting(cf, &mcf->amqp_url_file, "V2M_AMQP_URL",
                                "v2m_amqp_url_file", NULL, &mcf->amqp_url)
               != NGX_OK
        || ngx_http_v2m_settings_queues(cf, mcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (v2m_mongo_check_uri(mcf->mongo_uri, &error) != V2M_OK
        || v2m_amqp_check_url(mcf->amqp_url, &error) != V2M_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "v2m: %s", error.text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_settings_queues(ngx_conf_t *cf, ngx_http_v2m_main_conf_t *mcf)
{
    ngx_str_t none = ngx_null_string;

    if (ngx_http_v2m_setting(cf, &none, "VIDEO_QUEUE", NULL, "video",
                             &mcf->queues[0])
            != NGX_OK
        || ngx_http_v2m_setting(cf, &none, "MP3_QUEUE", NULL, "mp3",
                                &mcf->queues[1])
               != NGX_OK
        || asprintf(&mcf->queues[2], "%s.dead", mcf->queues[0]) == -1
        || asprintf(&mcf->queues[3], "%s.dead", mcf->queues[1]) == -1)
    {
        return NGX_ERROR;
    }

    mcf->video_queue = mcf->queues[0];

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_settings_database(ngx_conf_t *cf, ngx_http_v2m_main_conf_t *mcf)
{
    int64_t     port;
    ngx_str_t   none = ngx_null_string;
    v2m_error_t error;

    if (ngx_http_v2m_setting(cf, &mcf->mysql_password_file, "MYSQL_PASSWORD",
                             "v2m_mysql_password_file", NULL,
                             &mcf->mysql_password)
            != NGX_OK
        || ngx_http_v2m_setting(cf, &none, "MYSQL_HOST", NULL, "127.0.0.1",
                                &mcf->mysql_host)
               != NGX_OK
        || ngx_http_v2m_setting(cf, &none, "MYSQL_USER", NULL, "v2m",
                                &mcf->mysql_user)
               != NGX_OK
        || ngx_http_v2m_setting(cf, &none, "MYSQL_DB", NULL, "auth",
                                &mcf->mysql_database)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (v2m_config_integer("MYSQL_PORT", 3306, 1, 65535, &port, &error)
        != V2M_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "v2m: %s", error.text);
        return NGX_ERROR;
    }

    mcf->mysql_port = port;

    return NGX_OK;
}


ngx_int_t
ngx_http_v2m_setting(ngx_conf_t *cf, ngx_str_t *file, const char *environment,
                     const char *directive, const char *fallback, char **value)
{
    int         rc;
    ngx_str_t   path;
    v2m_error_t error;

    if (file->data == NULL) {
        rc = v2m_config_string(environment, fallback, value, &error);

    } else {
        path = *file;

        if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
            return NGX_ERROR;
        }

        rc = v2m_config_file(directive, (char *) path.data, value, &error);
    }

    if (rc == V2M_OK && *value == NULL) {
        rc = v2m_error_set(&error, V2M_INVALID,
                           "%s is not set: give it in nginx's environment, or "
                           "a file with it as %s_FILE or in the directive "
                           "\"%s\"",
                           environment, environment, directive);
    }

    if (rc != V2M_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "v2m: %s", error.text);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_v2m_settings_free(void *data)
{
    ngx_uint_t                i;
    ngx_http_v2m_main_conf_t *mcf = data;

    v2m_config_wipe(mcf->mongo_uri);
    v2m_config_wipe(mcf->amqp_url);
    v2m_config_wipe(mcf->mysql_password);
    free(mcf->mysql_host);
    free(mcf->mysql_user);
    free(mcf->mysql_database);

    for (i = 0; i < sizeof(mcf->queues) / sizeof(mcf->queues[0]); i++) {
        free(mcf->queues[i]);
    }

    v2m_token_keys_destroy(mcf->keys);
}
