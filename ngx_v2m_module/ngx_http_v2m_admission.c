/*
 * Whether an upload may begin: Idempotency-Key and quotas.
 */

#include "ngx_http_v2m_upload.h"

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_quota.h"
#include "ngx_http_v2m_response.h"
#include "v2m_jobs.h"
#include "v2m_requests.h"
#include "v2m_usage.h"

#define NGX_HTTP_V2M_KEY_MAX 255

typedef struct {
    ngx_http_v2m_upload_t *upload; /* for the loop only */
    v2m_mongo_t           *mongo;
    v2m_job_t             *job;
    v2m_tus_t             *tus;
    const char            *key;    /* NULL: none was given */
    v2m_quotas_t          *quotas; /* to ask; NULL: the quota is known */
    v2m_quota_t            quota;
    int                    asked; /* what became of that */
    v2m_error_t            asking;
    v2m_job_t              found; /* the job of a repeated key */
    v2m_usage_t            usage;
    int64_t                size;    /* of the file, 0: not known, as of forms */
    ngx_uint_t             removed; /* over the quota, and gone again */
} ngx_http_v2m_admission_t;

static ngx_int_t ngx_http_v2m_admission_key(ngx_http_v2m_upload_t *upload,
                                            const char           **key);
static int       ngx_http_v2m_admission_run(void *data, v2m_error_t *error);
static void      ngx_http_v2m_admission_done(ngx_http_request_t *r, void *data,
                                             int rc, const v2m_error_t *error,
                                             ngx_uint_t gone);


static ngx_uint_t
ngx_http_v2m_admission_limited(const v2m_quota_t *quota)
{
    return quota->jobs > 0 || quota->bytes > 0;
}


/* The status to refuse an upload of that size with, 0: there is room.  Of a
 * form only a part is the file: there the bytes decide, as they come. */
static ngx_int_t
ngx_http_v2m_admission_over(const v2m_quota_t *quota, const v2m_usage_t *usage,
                            int64_t size)
{
    if (quota->jobs > 0 && usage->jobs >= quota->jobs) {
        return NGX_HTTP_TOO_MANY_REQUESTS;
    }

    if (quota->bytes > 0
        && (usage->bytes >= quota->bytes || size > quota->bytes - usage->bytes))
    {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    return 0;
}


void
ngx_http_v2m_quota_limit(v2m_quota_t *quota, const v2m_quota_t *own)
{
    if (own->jobs != V2M_QUOTA_DEFAULT) {
        quota->jobs = own->jobs;
    }

    if (own->bytes != V2M_QUOTA_DEFAULT) {
        quota->bytes = own->bytes;
    }
}


ngx_int_t
ngx_http_v2m_admission(ngx_http_v2m_upload_t *upload)
{
    ngx_int_t                 rc;
    const char               *key;
    v2m_quota_t               own;
    v2m_quotas_t             *quotas;
    ngx_http_request_t       *r;
    ngx_http_v2m_task_t      *task;
    ngx_http_v2m_loc_conf_t  *lcf;
    ngx_http_v2m_admission_t *admission;

    r = upload->request;
    lcf = upload->lcf;

    key = NULL;

    /* of a resumable upload that has bytes in its first request the answer
     * would have to say how many of them were taken */

    if (upload->tus == NULL || upload->tus->owner[0] == '\0') {
        rc = ngx_http_v2m_admission_key(upload, &key);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    upload->quota.jobs = lcf->quota_jobs;
    upload->quota.bytes = lcf->quota_bytes;

    quotas = ngx_http_v2m_quotas(r);

    if (quotas != NULL && v2m_quotas_recall(quotas, upload->job.username, &own))
    {
        ngx_http_v2m_quota_limit(&upload->quota, &own);
        quotas = NULL;
    }

    if (upload->tus == NULL) {
        if (key == NULL && quotas == NULL
            && !ngx_http_v2m_admission_limited(&upload->quota))
        {
            return upload->kind->admitted(upload);
        }

        /* what is announced counts for the quota until the true size is
         * known */
        upload->job.size = ngx_max(r->headers_in.content_length_n, 0);
    }

    task = ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_admission_t),
                                    ngx_http_v2m_admission_run,
                                    ngx_http_v2m_admission_done);
    if (task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    admission = ngx_http_v2m_task_data(task);
    admission->upload = upload;
    admission->mongo = upload->mcf->mongo;
    admission->job = &upload->job;
    admission->tus = upload->tus;
    admission->key = key;
    admission->quotas = quotas;
    admission->quota = upload->quota;
    admission->size = upload->reader == NULL ? upload->job.size : 0;

    rc = ngx_http_v2m_task_offload(task, upload->mcf->storage_pool);

    if (rc == NGX_DONE) {
        upload->in_flight++;
    }

    return rc;
}


/* The key of the request: printable ASCII, in quotes or not. */
static ngx_int_t
ngx_http_v2m_admission_key(ngx_http_v2m_upload_t *upload, const char **key)
{
    size_t              i;
    ngx_str_t          *header, value;
    ngx_http_request_t *r = upload->request;

    *key = NULL;

    header = ngx_http_v2m_find_header(r, "idempotency-key");
    if (header == NULL) {
        return NGX_OK;
    }

    value = *header;

    if (value.len >= 2 && value.data[0] == '"'
        && value.data[value.len - 1] == '"') {
        value.data++;
        value.len -= 2;
    }

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < 0x20 || value.data[i] > 0x7e) {
            break;
        }
    }

    if (value.len == 0 || value.len > NGX_HTTP_V2M_KEY_MAX || i < value.len) {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "an Idempotency-Key is 1 to 255 printable "
                                    "ASCII characters");
    }

    *key = ngx_http_v2m_cstring(r, &value);

    return *key == NULL ? NGX_HTTP_INTERNAL_SERVER_ERROR : NGX_OK;
}


/* On a thread of the storage pool.  V2M_CONFLICT: the key has a job. */
static int
ngx_http_v2m_admission_run(void *data, v2m_error_t *error)
{
    int                       rc;
    v2m_error_t               ignored; /* the sweep removes it then */
    v2m_quota_t               own;
    ngx_http_v2m_admission_t *admission = data;

    if (admission->quotas != NULL) {
        admission->asked =
            v2m_quotas_ask(admission->quotas, admission->job->username, &own,
                           &admission->asking);
        ngx_http_v2m_quota_limit(&admission->quota, &own);
    }

    /* the record comes first, so that of uploads that begin at the same time
     * each sees the other */

    rc = admission->key != NULL
             ? v2m_requests_begin(admission->mongo, admission->key,
                                  admission->job, admission->tus,
                                  &admission->found, error)
         : admission->tus != NULL
             ? v2m_tus_begin(admission->mongo, admission->job, admission->tus,
                             error)
             : v2m_jobs_begin(admission->mongo, admission->job, error);

    if (rc == V2M_OK && ngx_http_v2m_admission_limited(&admission->quota)) {
        rc = v2m_usage(admission->mongo, admission->job->username,
                       admission->job->id, &admission->usage, error);

        /* before the answer, or it would count for the client's next one */

        if (rc == V2M_OK
            && ngx_http_v2m_admission_over(&admission->quota, &admission->usage,
                                           admission->size)
                   != 0)
        {
            admission->removed =
                ngx_http_v2m_upload_remove(admission->mongo, admission->job->id,
                                           &ignored)
                == V2M_OK;
        }
    }

    return rc;
}


/* The quotas; NGX_OK, or the status to refuse with. */
static ngx_int_t
ngx_http_v2m_admission_quota(ngx_http_v2m_upload_t          *upload,
                             const ngx_http_v2m_admission_t *admission)
{
    u_char             text[128];
    ngx_int_t          over;
    const v2m_usage_t *usage = &admission->usage;

    over = ngx_http_v2m_admission_over(&upload->quota, usage, admission->size);

    if (over == NGX_HTTP_TOO_MANY_REQUESTS) {
        ngx_snprintf(text, sizeof(text),
                     "%L of your jobs are not finished yet, and %L is the "
                     "limit (v2m_quota_jobs)%Z",
                     usage->jobs, upload->quota.jobs);

        return ngx_http_v2m_over_limit(
            upload->request, NGX_HTTP_V2M_COUNT_REFUSED_JOBS,
            NGX_HTTP_TOO_MANY_REQUESTS, (char *) text);
    }

    if (upload->quota.bytes <= 0) {
        return NGX_OK;
    }

    upload->room = upload->quota.bytes - usage->bytes;

    return over != 0 ? ngx_http_v2m_quota_exceeded(upload) : NGX_OK;
}


ngx_int_t
ngx_http_v2m_quota_exceeded(ngx_http_v2m_upload_t *upload)
{
    u_char text[192];

    ngx_snprintf(text, sizeof(text),
                 "your files may take %L bytes (v2m_quota_bytes), of which %L "
                 "are left: delete jobs to make room%Z",
                 upload->quota.bytes, ngx_max(upload->room, 0));

    return ngx_http_v2m_over_limit(
        upload->request, NGX_HTTP_V2M_COUNT_REFUSED_BYTES,
        NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, (char *) text);
}


/* The key was used before: the answer is that job, whose upload may still be
 * under way. */
static ngx_int_t
ngx_http_v2m_admission_repeated(ngx_http_v2m_upload_t *upload)
{
    ngx_int_t           rc;
    ngx_uint_t          resumable;
    ngx_http_v2m_ctx_t *ctx;
    ngx_http_request_t *r = upload->request;

    ctx = ngx_http_v2m_find_ctx(r);
    ngx_memcpy(ctx->job, upload->job.id, sizeof(v2m_id_t));

    resumable = upload->job.tails[0] != '\0';

    if (resumable != (upload->tus != NULL)) {
        return ngx_http_v2m_problem(r, NGX_HTTP_CONFLICT,
                                    "this Idempotency-Key is that of an upload "
                                    "of another kind");
    }

    if (upload->job.state == V2M_JOB_UPLOADING && !resumable) {
        return ngx_http_v2m_problem(r, NGX_HTTP_CONFLICT,
                                    "an upload with this Idempotency-Key is "
                                    "under way");
    }

    /* whoever waits for a "100 Continue" need not send the file again */
    r->expect_tested = 1;

    rc = ngx_http_discard_request_body(r);

    return rc == NGX_OK ? upload->kind->answer(upload) : rc;
}


static ngx_int_t
ngx_http_v2m_admission_decide(ngx_http_v2m_upload_t          *upload,
                              const ngx_http_v2m_admission_t *admission, int rc,
                              const v2m_error_t *error)
{
    ngx_int_t status;

    if (rc == V2M_CONFLICT && admission->key != NULL) {
        return ngx_http_v2m_admission_repeated(upload);
    }

    if (rc != V2M_OK) {
        return ngx_http_v2m_failure(upload->request, "begin an upload", rc,
                                    error);
    }

    status = ngx_http_v2m_admission_quota(upload, admission);

    return status == NGX_OK ? upload->kind->admitted(upload) : status;
}


static void
ngx_http_v2m_admission_done(ngx_http_request_t *r, void *data, int rc,
                            const v2m_error_t *error, ngx_uint_t gone)
{
    v2m_job_t                 job;
    ngx_int_t                 status;
    ngx_http_v2m_upload_t    *upload;
    ngx_http_v2m_admission_t *admission = data;

    upload = admission->upload;
    upload->in_flight--;
    upload->quota = admission->quota;

    if (admission->asked != V2M_OK) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "v2m: the quotas of users cannot be read, so the last "
                      "known ones hold, or the configured ones: %s",
                      admission->asking.text);
    }

    if (rc == V2M_CONFLICT && admission->key != NULL) {
        job = upload->job;
        upload->job = admission->found;
        v2m_job_free(&job);

    } else {
        upload->begun = 1;
        upload->recorded = rc == V2M_OK;
        upload->released = admission->removed;
        upload->touched = ngx_time();
    }

    if (gone) {
        ngx_http_v2m_upload_drop(upload);
        return;
    }

    status = ngx_http_v2m_admission_decide(upload, admission, rc, error);

    if (status >= NGX_HTTP_SPECIAL_RESPONSE) {
        /* a client that still sends keeps the request for a while, but not
         * this upload, which would count for its next ones */
        ngx_http_v2m_upload_drop(upload);
    }

    ngx_http_finalize_request(r, status);
}
