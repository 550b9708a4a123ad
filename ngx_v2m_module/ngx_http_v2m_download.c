/*
 * GET and HEAD /download?fid={id}: looks an MP3 up, and answers with it.
 */

#include "ngx_http_v2m_download.h"

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"
#include "ngx_http_v2m_task.h"
#include "v2m_disposition.h"
#include "v2m_jobs.h"

#define NGX_HTTP_V2M_MP3_TYPE "audio/mpeg"

/* Each range costs a chunk at least, of 255 KiB usually: without a limit one
 * request for thousands of single bytes would read half a gigabyte. */
#define NGX_HTTP_V2M_RANGES_MAX 16

/* The look-up: which file, and may it be had. */
typedef struct {
    v2m_mongo_t      *mongo;
    const char       *owner;
    v2m_id_t          fid;
    v2m_job_t         job;
    v2m_gridfs_file_t file;
    ngx_table_elt_t  *disposition; /* for the loop only */
} ngx_http_v2m_lookup_t;

static int  ngx_http_v2m_lookup_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_lookup_done(ngx_http_request_t *r, void *data, int rc,
                                     const v2m_error_t *error, ngx_uint_t gone);
static ngx_int_t ngx_http_v2m_download_headers(ngx_http_request_t    *r,
                                               ngx_http_v2m_lookup_t *lookup);


ngx_int_t
ngx_http_v2m_download_handler(ngx_http_request_t *r)
{
    v2m_id_t                  id;
    ngx_int_t                 rc;
    ngx_str_t                 fid;
    ngx_http_v2m_task_t      *task;
    ngx_http_v2m_lookup_t    *lookup;
    ngx_http_v2m_main_conf_t *mcf;

    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return ngx_http_v2m_method_not_allowed(r, "GET, HEAD");
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_arg(r, (u_char *) "fid", 3, &fid) != NGX_OK) {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "\"fid\" is missing: give the id of the "
                                    "job as ?fid=ID");
    }

    if (!v2m_id_parse(id, (char *) fid.data, fid.len)) {
        return ngx_http_v2m_problem(r, NGX_HTTP_NOT_FOUND,
                                    "there is no such file");
    }

    task = ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_lookup_t),
                                    ngx_http_v2m_lookup_run,
                                    ngx_http_v2m_lookup_done);
    if (task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);

    lookup = ngx_http_v2m_task_data(task);
    lookup->mongo = mcf->mongo;
    lookup->owner = ngx_http_v2m_owner(r);
    ngx_memcpy(lookup->fid, id, sizeof(v2m_id_t));

    return ngx_http_v2m_task_offload(task, mcf->storage_pool);
}


static int
ngx_http_v2m_lookup_run(void *data, v2m_error_t *error)
{
    int                    rc;
    ngx_http_v2m_lookup_t *lookup = data;

    rc = v2m_jobs_find_by_fid(lookup->mongo, lookup->fid, lookup->owner,
                              &lookup->job, error);

    if (rc == V2M_OK && lookup->job.state == V2M_JOB_READY) {
        rc = v2m_gridfs_find_file(lookup->mongo, V2M_MP3S, lookup->job.mp3_fid,
                                  &lookup->file, error);
    }

    return rc;
}


/* 409 with the state, so that a person or a script knows whether to wait. */
static ngx_int_t
ngx_http_v2m_download_not_ready(ngx_http_request_t *r, const v2m_job_t *job)
{
    u_char     *detail;
    const char *reason;

    reason = job->reason ? job->reason : "no reason is known";

    detail = ngx_pnalloc(r->pool, 64 + ngx_strlen(reason));
    if (detail == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (job->state == V2M_JOB_FAILED) {
        ngx_sprintf(detail, "the job failed: %s%Z", reason);

    } else if (job->state == V2M_JOB_CONVERTING && job->progress >= 0) {
        ngx_sprintf(detail, "the job is converting, %D percent are done%Z",
                    job->progress);

    } else {
        ngx_sprintf(detail, "the MP3 is not ready, the job is %s%Z",
                    v2m_job_state_name(job->state));
    }

    return ngx_http_v2m_problem(r, NGX_HTTP_CONFLICT, (char *) detail);
}


static void
ngx_http_v2m_lookup_done(ngx_http_request_t *r, void *data, int rc,
                         const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_int_t              status;
    ngx_http_v2m_ctx_t    *ctx;
    ngx_http_v2m_lookup_t *lookup = data;

    status = NGX_OK;

    if (gone) {
        /* nobody to answer */

    } else if (rc == V2M_NOT_FOUND) {
        status = ngx_http_v2m_problem(r, NGX_HTTP_NOT_FOUND,
                                      "there is no such file");

    } else if (rc != V2M_OK) {
        status = ngx_http_v2m_failure(r, "look an MP3 up", rc, error);

    } else if (lookup->job.state != V2M_JOB_READY) {
        status = ngx_http_v2m_download_not_ready(r, &lookup->job);

    } else {
        ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);
        ngx_memcpy(ctx->job, lookup->job.id, sizeof(v2m_id_t));

        ngx_http_v2m_note_administrator(r, "downloaded", lookup->job.username,
                                        ctx->job);

        status = ngx_http_v2m_download_headers(r, lookup);

        if (status == NGX_OK) {
            status = ngx_http_send_header(r);
        }

        if (status == NGX_HTTP_RANGE_NOT_SATISFIABLE) {
            /* what follows is no MP3 */
            lookup->disposition->hash = 0;
        }

        if ((status == NGX_OK || status == NGX_AGAIN) && !r->header_only) {
            status = ngx_http_v2m_download_stream(
                r, lookup->mongo, &lookup->file, NGX_HTTP_V2M_MP3_TYPE);
        }
    }

    v2m_job_free(&lookup->job);
    v2m_gridfs_file_free(&lookup->file);

    if (!gone && status != NGX_DONE) {
        ngx_http_finalize_request(r, status);
    }
}


/* Whether so many ranges are asked for that the whole is the answer, which RFC
 * 9110 section 14.2 leaves to the server. */
static ngx_uint_t
ngx_http_v2m_many_ranges(ngx_http_request_t *r)
{
    size_t     i;
    ngx_str_t  value;
    ngx_uint_t ranges = 1;

    if (r->headers_in.range == NULL) {
        return 0;
    }

    value = r->headers_in.range->value;

    for (i = 0; i < value.len; i++) {
        ranges += (value.data[i] == ',');
    }

    return ranges > NGX_HTTP_V2M_RANGES_MAX;
}


static ngx_int_t
ngx_http_v2m_download_headers(ngx_http_request_t    *r,
                              ngx_http_v2m_lookup_t *lookup)
{
    u_char     *p;
    ngx_str_t   value;
    const char *name;

    name = lookup->job.name;

    value.data = ngx_pnalloc(
        r->pool, V2M_DISPOSITION_SIZE(name != NULL ? ngx_strlen(name) : 0));
    if (value.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value.len = v2m_disposition_write((char *) value.data, name);

    lookup->disposition =
        ngx_http_v2m_add_header(r, "Content-Disposition", &value);

    if (lookup->disposition == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a blob never changes, so its id is a strong validator */

    p = ngx_pnalloc(r->pool, V2M_ID_LENGTH + 2);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value.data = p;
    value.len = ngx_sprintf(p, "\"%s\"", lookup->file.id) - p;

    r->headers_out.etag = ngx_http_v2m_add_header(r, "ETag", &value);
    if (r->headers_out.etag == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = lookup->file.length;
    r->headers_out.last_modified_time = lookup->file.upload_date_ms / 1000;
    ngx_http_v2m_content_type(r, NGX_HTTP_V2M_MP3_TYPE);

    r->allow_ranges = 1;
    r->single_range = ngx_http_v2m_many_ranges(r);

    return NGX_OK;
}
