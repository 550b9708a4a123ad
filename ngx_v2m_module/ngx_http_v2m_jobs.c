/*
 * GET /jobs, GET /jobs/{id}, DELETE /jobs/{id}.
 */

#include <string.h>

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_task.h"
#include "v2m_jobs.h"
#include "v2m_utf8.h"

#define NGX_HTTP_V2M_JOBS_DEFAULT 20 /* jobs on a page of the list */
#define NGX_HTTP_V2M_JOBS_MAX     100

typedef struct {
    v2m_mongo_t *mongo;
    const char  *owner; /* NULL: anyone */
    int          admin;
    v2m_id_t     id; /* of the job, or what the page of the list begins after */
    size_t       limit;
    v2m_job_t    job;
    v2m_job_t   *jobs;
    size_t       count;
} ngx_http_v2m_jobs_t;

static ngx_int_t ngx_http_v2m_jobs_list_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_v2m_jobs_one_handler(ngx_http_request_t *r,
                                               ngx_str_t          *text);
static int       ngx_http_v2m_jobs_list_run(void *data, v2m_error_t *error);
static void      ngx_http_v2m_jobs_list_done(ngx_http_request_t *r, void *data,
                                             int rc, const v2m_error_t *error,
                                             ngx_uint_t gone);
static int       ngx_http_v2m_jobs_find_run(void *data, v2m_error_t *error);
static void      ngx_http_v2m_jobs_find_done(ngx_http_request_t *r, void *data,
                                             int rc, const v2m_error_t *error,
                                             ngx_uint_t gone);
static int       ngx_http_v2m_jobs_delete_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_jobs_delete_done(ngx_http_request_t *r, void *data,
                                          int rc, const v2m_error_t *error,
                                          ngx_uint_t gone);


ngx_int_t
ngx_http_v2m_jobs_handler(ngx_http_request_t *r)
{
    ngx_int_t rc;
    ngx_str_t rest;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_v2m_path_rest(r, &rest) != NGX_OK) {
        return NGX_HTTP_NOT_FOUND;
    }

    if (rest.len == 0) {
        return ngx_http_v2m_jobs_list_handler(r);
    }

    return ngx_http_v2m_jobs_one_handler(r, &rest);
}


static ngx_http_v2m_task_t *
ngx_http_v2m_jobs_task(ngx_http_request_t *r, ngx_http_v2m_run_pt run,
                       ngx_http_v2m_done_pt done)
{
    ngx_http_v2m_ctx_t       *ctx;
    ngx_http_v2m_task_t      *task;
    ngx_http_v2m_jobs_t      *jobs;
    ngx_http_v2m_main_conf_t *mcf;

    task = ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_jobs_t), run, done);
    if (task == NULL) {
        return NULL;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);
    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    jobs = ngx_http_v2m_task_data(task);
    jobs->mongo = mcf->mongo;
    jobs->owner = ngx_http_v2m_owner(r);
    jobs->admin = ctx->claims.admin;

    return task;
}


/* Whose jobs a list is of: ?user=EMAIL and ?all=1 are for administrators, who
 * see their own without. */
static ngx_int_t
ngx_http_v2m_jobs_list_owner(ngx_http_request_t *r, ngx_http_v2m_jobs_t *jobs)
{
    u_char             *dst, *src;
    size_t              length;
    ngx_str_t           user, all;
    ngx_uint_t          one, any;
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);
    jobs->owner = ctx->claims.username;

    one = ngx_http_arg(r, (u_char *) "user", 4, &user) == NGX_OK;
    any = ngx_http_arg(r, (u_char *) "all", 3, &all) == NGX_OK;

    if (!one && !any) {
        return NGX_OK;
    }

    if (!ctx->claims.admin) {
        return ngx_http_v2m_problem(r, NGX_HTTP_FORBIDDEN,
                                    "only administrators can list the jobs of "
                                    "others: leave \"user\" and \"all\" out");
    }

    if (one && any) {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "give \"user\" or \"all\", not both");
    }

    if (any) {
        if (all.len != 1 || all.data[0] != '1') {
            return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                        "\"all\" can only be 1");
        }

        jobs->owner = NULL;
        return NGX_OK;
    }

    src = user.data;
    user.data = ngx_pnalloc(r->pool, user.len + 1);
    if (user.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    dst = user.data;
    ngx_unescape_uri(&dst, &src, user.len, 0);
    *dst = '\0';

    /* nobody's name has a zero or is not UTF-8 */

    for (src = user.data; src < dst && *src != '\0'; src += length) {
        length = v2m_utf8_character(src, dst - src);

        if (length == 0) {
            break;
        }
    }

    if (dst == user.data || src < dst) {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "\"user\" must be the name of a user");
    }

    jobs->owner = (char *) user.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_v2m_jobs_list_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc, limit;
    ngx_str_t                 value;
    ngx_http_v2m_jobs_t      *jobs;
    ngx_http_v2m_task_t      *task;
    ngx_http_v2m_main_conf_t *mcf;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return ngx_http_v2m_method_not_allowed(r, "GET, HEAD");
    }

    task = ngx_http_v2m_jobs_task(r, ngx_http_v2m_jobs_list_run,
                                  ngx_http_v2m_jobs_list_done);
    if (task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    jobs = ngx_http_v2m_task_data(task);
    jobs->limit = NGX_HTTP_V2M_JOBS_DEFAULT;

    rc = ngx_http_v2m_jobs_list_owner(r, jobs);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_arg(r, (u_char *) "limit", 5, &value) == NGX_OK) {
        limit = ngx_atoi(value.data, value.len);

        if (limit < 1 || limit > NGX_HTTP_V2M_JOBS_MAX) {
            return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                        "\"limit\" must be a whole number "
                                        "from 1 to 100");
        }

        jobs->limit = limit;
    }

    if (ngx_http_arg(r, (u_char *) "after", 5, &value) == NGX_OK
        && !v2m_id_parse(jobs->id, (char *) value.data, value.len))
    {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "\"after\" must be the id of a job");
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    return ngx_http_v2m_task_offload(task, mcf->storage_pool);
}


static ngx_int_t
ngx_http_v2m_jobs_one_handler(ngx_http_request_t *r, ngx_str_t *text)
{
    v2m_id_t                  id;
    ngx_http_v2m_ctx_t       *ctx;
    ngx_http_v2m_jobs_t      *jobs;
    ngx_http_v2m_task_t      *task;
    ngx_http_v2m_main_conf_t *mcf;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD | NGX_HTTP_DELETE))) {
        return ngx_http_v2m_method_not_allowed(r, "GET, HEAD, DELETE");
    }

    if (!v2m_id_parse(id, (char *) text->data, text->len)) {
        return ngx_http_v2m_problem(r, NGX_HTTP_NOT_FOUND,
                                    "there is no such job");
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);
    ngx_memcpy(ctx->job, id, sizeof(v2m_id_t));

    task = r->method == NGX_HTTP_DELETE
               ? ngx_http_v2m_jobs_task(r, ngx_http_v2m_jobs_delete_run,
                                        ngx_http_v2m_jobs_delete_done)
               : ngx_http_v2m_jobs_task(r, ngx_http_v2m_jobs_find_run,
                                        ngx_http_v2m_jobs_find_done);
    if (task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    jobs = ngx_http_v2m_task_data(task);
    ngx_memcpy(jobs->id, id, sizeof(v2m_id_t));

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    return ngx_http_v2m_task_offload(task, mcf->storage_pool);
}


static ngx_int_t
ngx_http_v2m_jobs_failure(ngx_http_request_t *r, int rc,
                          const v2m_error_t *error)
{
    if (rc == V2M_NOT_FOUND) {
        return ngx_http_v2m_problem(r, NGX_HTTP_NOT_FOUND,
                                    "there is no such job");
    }

    return ngx_http_v2m_failure(r, "look a job up", rc, error);
}


/* One more than the page holds is asked for, to know whether there is one. */
static int
ngx_http_v2m_jobs_list_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_jobs_t *jobs = data;

    return v2m_jobs_list(jobs->mongo, jobs->owner, jobs->id, jobs->limit + 1,
                         &jobs->jobs, &jobs->count, error);
}


static void
ngx_http_v2m_jobs_list_done(ngx_http_request_t *r, void *data, int rc,
                            const v2m_error_t *error, ngx_uint_t gone)
{
    size_t               count;
    ngx_int_t            status;
    const char          *next;
    ngx_http_v2m_jobs_t *jobs = data;

    status = NGX_OK;

    if (gone) {
        /* nobody to answer */

    } else if (rc != V2M_OK) {
        status = ngx_http_v2m_jobs_failure(r, rc, error);

    } else {
        count = ngx_min(jobs->count, jobs->limit);
        next = jobs->count > count ? jobs->jobs[count - 1].id : NULL;

        status = ngx_http_v2m_send_json(
            r, NGX_HTTP_OK,
            v2m_job_list_json(jobs->jobs, count, next, jobs->admin));
    }

    v2m_jobs_free(jobs->jobs, jobs->count);

    if (!gone) {
        ngx_http_finalize_request(r, status);
    }
}


static int
ngx_http_v2m_jobs_find_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_jobs_t *jobs = data;

    return v2m_jobs_find(jobs->mongo, jobs->id, jobs->owner, &jobs->job, error);
}


static void
ngx_http_v2m_jobs_find_done(ngx_http_request_t *r, void *data, int rc,
                            const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_int_t            status;
    ngx_http_v2m_jobs_t *jobs = data;

    status = NGX_OK;

    if (gone) {
        /* nobody to answer */

    } else if (rc != V2M_OK) {
        status = ngx_http_v2m_jobs_failure(r, rc, error);

    } else {
        ngx_http_v2m_note_administrator(r, "read", jobs->job.username,
                                        jobs->id);
        status = ngx_http_v2m_send_json(r, NGX_HTTP_OK,
                                        v2m_job_json(&jobs->job, jobs->admin));
    }

    v2m_job_free(&jobs->job);

    if (!gone) {
        ngx_http_finalize_request(r, status);
    }
}


static int
ngx_http_v2m_jobs_delete_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_jobs_t *jobs = data;

    return v2m_jobs_drop(jobs->mongo, jobs->id, jobs->owner, &jobs->job, error);
}


static void
ngx_http_v2m_jobs_delete_done(ngx_http_request_t *r, void *data, int rc,
                              const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_int_t            status;
    ngx_http_v2m_jobs_t *jobs = data;

    if (rc == V2M_OK) {
        ngx_http_v2m_note_administrator(r, "deleted", jobs->job.username,
                                        jobs->id);
    }

    v2m_job_free(&jobs->job);

    if (gone) {
        return;
    }

    if (rc == V2M_OK) {
        r->headers_out.status = NGX_HTTP_NO_CONTENT;
        r->header_only = 1;
        status = ngx_http_send_header(r);

    } else if (rc == V2M_CONFLICT) {
        status = ngx_http_v2m_problem(r, NGX_HTTP_CONFLICT, error->text);

    } else {
        status = ngx_http_v2m_jobs_failure(r, rc, error);
    }

    ngx_http_finalize_request(r, status);
}
