/*
 * v2m_tus: directives, OPTIONS, HEAD and DELETE of resumable uploads.
 */

#include "ngx_http_v2m_tus.h"

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "v2m_jobs.h"

#define NGX_HTTP_V2M_TUS_VERSION "1.0.0"
#define NGX_HTTP_V2M_TUS_EXTENSIONS                                            \
    "creation,creation-with-upload,creation-defer-length,expiration,"          \
    "checksum,termination"

typedef struct {
    v2m_mongo_t *mongo;
    v2m_id_t     id;
    const char  *username;
    v2m_job_t    job;
    v2m_tus_t    tus;
} ngx_http_v2m_tus_look_t;

typedef struct {
    ngx_str_t  name;
    ngx_uint_t method;
} ngx_http_v2m_tus_method_t;

static ngx_int_t ngx_http_v2m_tus_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_v2m_tus_options(ngx_http_request_t *r);
static int       ngx_http_v2m_tus_find_run(void *data, v2m_error_t *error);
static int       ngx_http_v2m_tus_remove_run(void *data, v2m_error_t *error);
static void      ngx_http_v2m_tus_find_done(ngx_http_request_t *r, void *data,
                                            int rc, const v2m_error_t *error,
                                            ngx_uint_t gone);
static void      ngx_http_v2m_tus_remove_done(ngx_http_request_t *r, void *data,
                                              int rc, const v2m_error_t *error,
                                              ngx_uint_t gone);
static void     *ngx_http_v2m_tus_create_conf(ngx_conf_t *cf);
static char     *ngx_http_v2m_tus_merge_conf(ngx_conf_t *cf, void *parent,
                                             void *child);

/* OPTIONS needs no token, so the handler asks for it. */
static ngx_http_v2m_endpoint_t ngx_http_v2m_endpoint_tus = {
    ngx_http_v2m_tus_handler, 0, 0
};

static ngx_http_v2m_range_t ngx_http_v2m_tus_expires_range = {
    ngx_http_v2m_check_number, 1, 366 * 86400, "1s to 366d"
};

/* What X-HTTP-Method-Override may name. */
static const ngx_http_v2m_tus_method_t ngx_http_v2m_tus_methods[] = {
    { ngx_string("PATCH"), NGX_HTTP_PATCH },
    { ngx_string("DELETE"), NGX_HTTP_DELETE },
    { ngx_string("HEAD"), NGX_HTTP_HEAD },
    { ngx_string("OPTIONS"), NGX_HTTP_OPTIONS },
    { ngx_string("POST"), NGX_HTTP_POST },
};

/* clang-format off */
static ngx_command_t ngx_http_v2m_tus_commands[] = {

    { ngx_string("v2m_tus"),
      NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS,
      ngx_http_v2m_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_v2m_endpoint_tus },

    { ngx_string("v2m_tus_expires"),
      NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF
          | NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_v2m_tus_conf_t, expires),
      &ngx_http_v2m_tus_expires_range },

    ngx_null_command
};
/* clang-format on */

static ngx_http_module_t ngx_http_v2m_tus_ctx = { NULL,
                                                  NULL,

                                                  NULL,
                                                  NULL,

                                                  NULL,
                                                  NULL,

                                                  ngx_http_v2m_tus_create_conf,
                                                  ngx_http_v2m_tus_merge_conf };

/* clang-format off */
ngx_module_t ngx_http_v2m_tus_module = {
    NGX_MODULE_V1,
    &ngx_http_v2m_tus_ctx,
    ngx_http_v2m_tus_commands,
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
ngx_http_v2m_tus_create_conf(ngx_conf_t *cf)
{
    ngx_http_v2m_tus_conf_t *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_v2m_tus_conf_t));

    if (conf != NULL) {
        conf->expires = NGX_CONF_UNSET;
    }

    return conf;
}


static char *
ngx_http_v2m_tus_merge_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_v2m_tus_conf_t *prev = parent;
    ngx_http_v2m_tus_conf_t *conf = child;

    ngx_conf_merge_sec_value(conf->expires, prev->expires, 86400);

    return NGX_CONF_OK;
}


int64_t
ngx_http_v2m_tus_limit(ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    return clcf->client_max_body_size == 0 ? INT64_MAX
                                           : clcf->client_max_body_size;
}


ngx_int_t
ngx_http_v2m_tus_check_length(ngx_http_request_t *r, int64_t length)
{
    u_char  text[128];
    int64_t limit;

    limit = ngx_http_v2m_tus_limit(r);

    if (length <= limit) {
        return NGX_OK;
    }

    ngx_snprintf(text, sizeof(text),
                 "an upload may have %L bytes (Tus-Max-Size)%Z", limit);

    return ngx_http_v2m_problem(r, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                (char *) text);
}


/* The method, or the one that stands in for it where something on the way to us
 * does not let it through. */
static ngx_uint_t
ngx_http_v2m_tus_method(ngx_http_request_t *r)
{
    ngx_uint_t                       i;
    ngx_str_t                       *header;
    const ngx_http_v2m_tus_method_t *method;

    header = ngx_http_v2m_find_header(r, "x-http-method-override");

    if (header == NULL || r->method != NGX_HTTP_POST) {
        return r->method;
    }

    for (i = 0; i < sizeof(ngx_http_v2m_tus_methods)
                        / sizeof(ngx_http_v2m_tus_methods[0]);
         i++)
    {
        method = &ngx_http_v2m_tus_methods[i];

        if (header->len == method->name.len
            && ngx_strncmp(header->data, method->name.data, header->len) == 0)
        {
            return method->method;
        }
    }

    return NGX_HTTP_UNKNOWN;
}


/* HEAD and DELETE. */
static ngx_int_t
ngx_http_v2m_tus_look(ngx_http_request_t *r, const v2m_id_t id,
                      ngx_http_v2m_run_pt run, ngx_http_v2m_done_pt done)
{
    ngx_int_t                 rc;
    ngx_http_v2m_ctx_t       *ctx;
    ngx_http_v2m_task_t      *task;
    ngx_http_v2m_tus_look_t  *look;
    ngx_http_v2m_main_conf_t *mcf;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    task =
        ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_tus_look_t), run, done);
    if (task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = ngx_http_v2m_find_ctx(r);
    ngx_memcpy(ctx->job, id, sizeof(v2m_id_t));

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    look = ngx_http_v2m_task_data(task);
    look->mongo = mcf->mongo;
    look->username = ctx->claims.username;
    ngx_memcpy(look->id, id, sizeof(v2m_id_t));

    return ngx_http_v2m_task_offload(task, mcf->storage_pool);
}


static ngx_int_t
ngx_http_v2m_tus_dispatch(ngx_http_request_t *r, ngx_uint_t method,
                          const ngx_str_t *rest)
{
    v2m_id_t id;

    if (rest->len == 0) {
        return method == NGX_HTTP_POST
                   ? ngx_http_v2m_tus_create(r)
                   : ngx_http_v2m_method_not_allowed(r, "POST, OPTIONS");
    }

    if (method != NGX_HTTP_HEAD && method != NGX_HTTP_PATCH
        && method != NGX_HTTP_DELETE)
    {
        return ngx_http_v2m_method_not_allowed(r,
                                               "HEAD, PATCH, DELETE, OPTIONS");
    }

    if (!v2m_id_parse(id, (char *) rest->data, rest->len)) {
        return ngx_http_v2m_problem(r, NGX_HTTP_NOT_FOUND,
                                    "there is no such upload");
    }

    switch (method) {
    case NGX_HTTP_HEAD:
        return ngx_http_v2m_tus_look(r, id, ngx_http_v2m_tus_find_run,
                                     ngx_http_v2m_tus_find_done);

    case NGX_HTTP_PATCH:
        return ngx_http_v2m_tus_patch(r, id);

    default:
        return ngx_http_v2m_tus_look(r, id, ngx_http_v2m_tus_remove_run,
                                     ngx_http_v2m_tus_remove_done);
    }
}


static ngx_int_t
ngx_http_v2m_tus_handler(ngx_http_request_t *r)
{
    ngx_int_t  rc;
    ngx_str_t  rest, *version;
    ngx_uint_t method;

    if (ngx_http_v2m_tus_add(r, "Tus-Resumable", NGX_HTTP_V2M_TUS_VERSION)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_v2m_path_rest(r, &rest) != NGX_OK) {
        return NGX_HTTP_NOT_FOUND;
    }

    method = ngx_http_v2m_tus_method(r);

    if (method == NGX_HTTP_OPTIONS) {
        return ngx_http_v2m_tus_options(r);
    }

    rc = ngx_http_v2m_authorize(r);

    if (rc != NGX_OK) {
        return rc;
    }

    version = ngx_http_v2m_find_header(r, "tus-resumable");

    if (version == NULL || version->len != sizeof(NGX_HTTP_V2M_TUS_VERSION) - 1
        || ngx_strncmp(version->data, NGX_HTTP_V2M_TUS_VERSION, version->len)
               != 0)
    {
        if (ngx_http_v2m_tus_add(r, "Tus-Version", NGX_HTTP_V2M_TUS_VERSION)
            != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_v2m_problem(r, NGX_HTTP_PRECONDITION_FAILED,
                                    "this address is for tus clients: the "
                                    "request needs \"Tus-Resumable: 1.0.0\"");
    }

    return ngx_http_v2m_tus_dispatch(r, method, &rest);
}


ngx_int_t
ngx_http_v2m_tus_send(ngx_http_request_t *r, ngx_uint_t status)
{
    r->headers_out.status = status;
    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


static ngx_int_t
ngx_http_v2m_tus_options(ngx_http_request_t *r)
{
    int64_t   limit;
    ngx_int_t rc;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    limit = ngx_http_v2m_tus_limit(r);

    if (ngx_http_v2m_tus_add(r, "Tus-Version", NGX_HTTP_V2M_TUS_VERSION)
            != NGX_OK
        || ngx_http_v2m_tus_add(r, "Tus-Extension", NGX_HTTP_V2M_TUS_EXTENSIONS)
               != NGX_OK
        || ngx_http_v2m_tus_add(r, "Tus-Checksum-Algorithm", V2M_DIGEST_NAMES)
               != NGX_OK
        || (limit != INT64_MAX
            && ngx_http_v2m_tus_add_number(r, "Tus-Max-Size", limit) != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_v2m_tus_send(r, NGX_HTTP_NO_CONTENT);
}


static int
ngx_http_v2m_tus_find_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_tus_look_t *look = data;

    return v2m_tus_find(look->mongo, look->id, look->username, &look->job,
                        &look->tus, error);
}


static ngx_int_t
ngx_http_v2m_tus_tell(ngx_http_request_t *r, ngx_http_v2m_tus_look_t *look)
{
    ngx_int_t  rc;
    ngx_str_t  metadata;
    v2m_tus_t *tus = &look->tus;

    rc = ngx_http_v2m_tus_add_number(r, "Upload-Offset", tus->offset);

    if (rc == NGX_OK) {
        rc = tus->length < 0
                 ? ngx_http_v2m_tus_add(r, "Upload-Defer-Length", "1")
                 : ngx_http_v2m_tus_add_number(r, "Upload-Length", tus->length);
    }

    if (rc == NGX_OK && tus->metadata != NULL) {
        metadata.data = (u_char *) tus->metadata;
        metadata.len = ngx_strlen(tus->metadata);
        metadata.data = ngx_pstrdup(r->pool, &metadata);

        rc = metadata.data == NULL
                     || ngx_http_v2m_add_header(r, "Upload-Metadata", &metadata)
                            == NULL
                 ? NGX_ERROR
                 : NGX_OK;
    }

    if (rc == NGX_OK) {
        rc = look->job.state == V2M_JOB_UPLOADING
                 ? ngx_http_v2m_tus_add_expires(r, tus->expires_ms)
                 : ngx_http_v2m_tus_add(r, "V2M-Job",
                                        ngx_http_v2m_find_ctx(r)->job);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_tus_add(r, "Cache-Control", "no-store");
    }

    return rc == NGX_OK ? ngx_http_v2m_tus_send(r, NGX_HTTP_OK)
                        : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_http_v2m_tus_look_failure(ngx_http_request_t *r, int rc,
                              const v2m_error_t *error)
{
    return rc == V2M_NOT_FOUND
               ? ngx_http_v2m_problem(r, NGX_HTTP_NOT_FOUND,
                                      "there is no such upload")
               : ngx_http_v2m_failure(r, "look an upload up", rc, error);
}


static void
ngx_http_v2m_tus_find_done(ngx_http_request_t *r, void *data, int rc,
                           const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_int_t                status;
    ngx_http_v2m_tus_look_t *look = data;

    status = NGX_OK;

    if (!gone) {
        status = rc == V2M_OK ? ngx_http_v2m_tus_tell(r, look)
                              : ngx_http_v2m_tus_look_failure(r, rc, error);
    }

    if (rc == V2M_OK) {
        v2m_tus_free(&look->tus);
        v2m_job_free(&look->job);
    }

    if (!gone) {
        ngx_http_finalize_request(r, status);
    }
}


/* Of one that is finished the job goes. */
static int
ngx_http_v2m_tus_remove_run(void *data, v2m_error_t *error)
{
    int                      rc;
    ngx_http_v2m_tus_look_t *look = data;

    rc = v2m_tus_find(look->mongo, look->id, look->username, &look->job,
                      &look->tus, error);

    if (rc != V2M_OK) {
        return rc;
    }

    v2m_tus_free(&look->tus);
    v2m_job_free(&look->job);

    rc =
        v2m_jobs_drop(look->mongo, look->id, look->username, &look->job, error);

    v2m_job_free(&look->job);

    return rc;
}


static void
ngx_http_v2m_tus_remove_done(ngx_http_request_t *r, void *data, int rc,
                             const v2m_error_t *error, ngx_uint_t gone)
{
    if (!gone) {
        ngx_http_finalize_request(
            r, rc == V2M_OK ? ngx_http_v2m_tus_send(r, NGX_HTTP_NO_CONTENT)
                            : ngx_http_v2m_tus_look_failure(r, rc, error));
    }
}
