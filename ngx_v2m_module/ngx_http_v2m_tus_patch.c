/*
 * PATCH of a resumable upload: takes its lease, and puts it in the state that
 * the last request left it in.
 */

#include "ngx_http_v2m_tus.h"

#include <stdlib.h>

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_quota.h"
#include "ngx_http_v2m_response.h"
#include "v2m_usage.h"

typedef struct {
    v2m_mongo_t                *mongo;
    ngx_http_v2m_tus_request_t *request; /* for the loop only */
    v2m_id_t                    id;
    const char                 *username;
    int64_t                     offset; /* as the client says */
    int64_t                     length; /* likewise; -1: not said */
    int64_t                     keep_ms;
    v2m_quotas_t               *quotas; /* to ask; NULL: it is known */
    v2m_quota_t                 quota;

    v2m_job_t      job;
    v2m_tus_t      tus;
    v2m_usage_t    usage;
    unsigned char *tail; /* chunk_size of memory; NULL: there is none */
    unsigned       found : 1;
    unsigned       finished : 1;
    unsigned       elsewhere : 1; /* it is at another offset */
    unsigned       over : 1;      /* the quota has no room for its length */
} ngx_http_v2m_tus_acquire_t;

static int  ngx_http_v2m_tus_acquire_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_tus_acquire_done(ngx_http_request_t *r, void *data,
                                          int rc, const v2m_error_t *error,
                                          ngx_uint_t gone);


ngx_int_t
ngx_http_v2m_tus_patch(ngx_http_request_t *r, const v2m_id_t id)
{
    v2m_quota_t                 own;
    ngx_int_t                   rc;
    ngx_http_v2m_ctx_t         *ctx;
    ngx_http_v2m_task_t        *task;
    ngx_http_v2m_tus_conf_t    *conf;
    ngx_http_v2m_tus_acquire_t *acquire;
    ngx_http_v2m_tus_request_t *request;

    if (!ngx_http_v2m_tus_is_piece(r)) {
        return ngx_http_v2m_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                    "the bytes of an upload are sent as "
                                    "application/offset+octet-stream");
    }

    request = ngx_http_v2m_tus_begin(r);
    if (request == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_v2m_tus_number(r, "upload-offset", &request->offset) != NGX_OK
        || ngx_http_v2m_tus_number(r, "upload-length", &request->length)
               == NGX_ERROR)
    {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "Upload-Offset is needed, in bytes");
    }

    rc = ngx_http_v2m_tus_check_length(r, request->length);

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_tus_checksum(request);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_upload_check(request->upload);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    task = ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_tus_acquire_t),
                                    ngx_http_v2m_tus_acquire_run,
                                    ngx_http_v2m_tus_acquire_done);
    if (task == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx = ngx_http_v2m_find_ctx(r);
    ngx_memcpy(ctx->job, id, sizeof(v2m_id_t));

    conf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_tus_module);

    acquire = ngx_http_v2m_task_data(task);
    acquire->mongo = request->upload->mcf->mongo;
    acquire->request = request;
    ngx_memcpy(acquire->id, id, sizeof(v2m_id_t));
    acquire->username = ctx->claims.username;
    acquire->offset = request->offset;
    acquire->length = request->length;
    acquire->keep_ms = (int64_t) conf->expires * 1000;
    acquire->quota.bytes = request->upload->lcf->quota_bytes;
    acquire->quotas = ngx_http_v2m_quotas(r);

    if (acquire->quotas != NULL
        && v2m_quotas_recall(acquire->quotas, acquire->username, &own))
    {
        ngx_http_v2m_quota_limit(&acquire->quota, &own);
        acquire->quotas = NULL;
    }

    return ngx_http_v2m_task_offload(task, request->upload->mcf->storage_pool);
}


/* Whether the request fits the upload; on a thread of the storage pool. */
static int
ngx_http_v2m_tus_compare(ngx_http_v2m_tus_acquire_t *acquire,
                         v2m_error_t                *error)
{
    v2m_tus_t *tus = &acquire->tus;

    if (acquire->offset != tus->offset) {
        acquire->elsewhere = 1;
        return v2m_error_set(error, V2M_CONFLICT,
                             "the upload is at another offset");
    }

    if (acquire->length < 0) {
        return V2M_OK;
    }

    if (tus->length >= 0 && acquire->length != tus->length) {
        return v2m_error_set(error, V2M_INVALID,
                             "the upload's length was said to be %lld",
                             (long long) tus->length);
    }

    return acquire->length == 0 || acquire->length < tus->offset
               ? v2m_error_set(error, V2M_INVALID,
                               "the upload has more bytes than Upload-Length "
                               "says")
               : V2M_OK;
}


/* What the user's other files take; on a thread of the storage pool. */
static int
ngx_http_v2m_tus_usage(ngx_http_v2m_tus_acquire_t *acquire, v2m_error_t *error)
{
    v2m_quota_t own;

    if (acquire->quotas != NULL) {
        /* what was known last holds, where the database does not answer */
        (void) v2m_quotas_ask(acquire->quotas, acquire->username, &own, NULL);
        ngx_http_v2m_quota_limit(&acquire->quota, &own);
    }

    return acquire->quota.bytes > 0
               ? v2m_usage(acquire->mongo, acquire->username, acquire->id,
                           &acquire->usage, error)
               : V2M_OK;
}


/* With the lease: what the request needs; on a thread of the storage pool.
 * told: its length is in the record for the first time. */
static int
ngx_http_v2m_tus_prepare(ngx_http_v2m_tus_acquire_t *acquire, ngx_uint_t told,
                         v2m_error_t *error)
{
    int        rc;
    v2m_tus_t *tus = &acquire->tus;

    if (tus->offset % tus->chunk_size != 0) {
        acquire->tail = malloc(tus->chunk_size);

        if (acquire->tail == NULL) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }

        rc = v2m_tus_read_tail(acquire->mongo, tus, acquire->tail, error);

        if (rc != V2M_OK) {
            return rc;
        }
    }

    if (tus->length >= 0 && !told) {
        return V2M_OK;
    }

    rc = ngx_http_v2m_tus_usage(acquire, error);

    /* the record comes first here as well, see ngx_http_v2m_admission_run() */

    if (rc == V2M_OK && told && acquire->quota.bytes > 0
        && tus->length > acquire->quota.bytes - acquire->usage.bytes)
    {
        acquire->over = 1;
        rc = v2m_error_set(error, V2M_INVALID, "there is no room for it");
    }

    return rc;
}


/* On a thread of the storage pool. */
static int
ngx_http_v2m_tus_acquire_run(void *data, v2m_error_t *error)
{
    int                         rc;
    ngx_uint_t                  told;
    v2m_tus_piece_t             nothing;
    ngx_http_v2m_tus_acquire_t *acquire = data;

    rc = v2m_tus_find(acquire->mongo, acquire->id, acquire->username,
                      &acquire->job, &acquire->tus, error);

    if (rc != V2M_OK) {
        return rc;
    }

    acquire->found = 1;
    acquire->tus.keep_ms = acquire->keep_ms;

    rc = ngx_http_v2m_tus_compare(acquire, error);

    if (rc != V2M_OK) {
        return rc;
    }

    if (acquire->job.state != V2M_JOB_UPLOADING) {
        acquire->finished = 1;
        return V2M_OK;
    }

    v2m_id_generate(acquire->tus.owner);

    told = acquire->length >= 0 && acquire->tus.length < 0;

    rc = v2m_tus_acquire(acquire->mongo, &acquire->tus, acquire->length, error);

    if (rc != V2M_OK) {
        return rc;
    }

    rc = ngx_http_v2m_tus_prepare(acquire, told, error);

    if (rc != V2M_OK) {
        if (told) {
            /* nobody has seen yet whether there is room for it */
            acquire->tus.length = -1;
        }

        ngx_memzero(&nothing, sizeof(nothing));
        nothing.offset = acquire->tus.offset;
        (void) v2m_tus_pause(acquire->mongo, &acquire->tus, &nothing, NULL);
    }

    return rc;
}


static ngx_int_t
ngx_http_v2m_tus_acquire_failure(ngx_http_request_t               *r,
                                 const ngx_http_v2m_tus_acquire_t *acquire,
                                 int rc, const v2m_error_t *error)
{
    u_char                 text[128];
    ngx_http_v2m_upload_t *upload = acquire->request->upload;

    if (acquire->over) {
        upload->quota = acquire->quota;
        upload->room = acquire->quota.bytes - acquire->usage.bytes;
        return ngx_http_v2m_quota_exceeded(upload);
    }

    if (rc == V2M_NOT_FOUND) {
        return ngx_http_v2m_problem(r, NGX_HTTP_NOT_FOUND,
                                    "there is no such upload");
    }

    if (rc != V2M_CONFLICT) {
        return ngx_http_v2m_failure(r, "go on with an upload", rc, error);
    }

    if (acquire->elsewhere) {
        ngx_snprintf(text, sizeof(text),
                     "the upload is at offset %L: ask with HEAD%Z",
                     acquire->tus.offset);
        return ngx_http_v2m_problem(r, NGX_HTTP_CONFLICT, (char *) text);
    }

    if (ngx_http_v2m_tus_add_number(r, "Retry-After", V2M_TUS_LEASE_MS / 1000)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_v2m_problem(r, NGX_HTTP_V2M_LOCKED,
                                "another request goes on with this upload");
}


/* All bytes were there before. */
static ngx_int_t
ngx_http_v2m_tus_again(ngx_http_v2m_tus_request_t *request)
{
    ngx_int_t           rc;
    ngx_http_request_t *r = request->upload->request;

    if (r->headers_in.content_length_n > 0) {
        return request->upload->kind->overflow(request->upload);
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    request->upload->queued = 1;
    request->upload->length = request->tus.offset;

    return request->upload->kind->answer(request->upload);
}


/* Puts the upload in the state that the last request left it in. */
static void
ngx_http_v2m_tus_resume(ngx_http_v2m_tus_request_t *request,
                        ngx_http_v2m_tus_acquire_t *acquire)
{
    ngx_http_v2m_upload_t *upload = request->upload;

    /* one that a gateway without it began has the trace of this request */
    if (acquire->job.traceparent[0] == '\0') {
        ngx_memcpy(acquire->job.traceparent, upload->job.traceparent,
                   sizeof(v2m_traceparent_t));
    }

    v2m_job_free(&upload->job);
    upload->job = acquire->job;
    request->tus = acquire->tus;

    upload->begun = 1;
    upload->recorded = 1;
    upload->tus = &request->tus;
    upload->chunk_size = request->tus.chunk_size;
    upload->length = request->tus.offset;
    upload->next = request->tus.offset / upload->chunk_size;
    upload->chunk = acquire->tail;
    upload->chunk_length = request->tus.offset % upload->chunk_size;
    upload->room = request->tus.length;

    if (request->tus.length < 0) {
        upload->room = ngx_http_v2m_tus_limit(upload->request);

        upload->quota = acquire->quota;

        if (upload->quota.bytes > 0) {
            upload->room = ngx_min(upload->room,
                                   upload->quota.bytes - acquire->usage.bytes);
        }
    }
}


static void
ngx_http_v2m_tus_acquire_done(ngx_http_request_t *r, void *data, int rc,
                              const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_int_t                   status;
    ngx_http_v2m_upload_t      *upload;
    ngx_http_v2m_tus_acquire_t *acquire = data;
    ngx_http_v2m_tus_request_t *request = acquire->request;

    upload = request->upload;

    if (rc != V2M_OK) {
        status = gone ? NGX_OK
                      : ngx_http_v2m_tus_acquire_failure(r, acquire, rc, error);
        free(acquire->tail);

        if (acquire->found) {
            v2m_tus_free(&acquire->tus);
            v2m_job_free(&acquire->job);
        }

        if (!gone) {
            ngx_http_finalize_request(r, status);
        }

        return;
    }

    ngx_http_v2m_tus_resume(request, acquire);
    request->held = !acquire->finished;

    if (gone) {
        upload->kind->released(upload);
        return;
    }

    if (acquire->finished) {
        ngx_http_finalize_request(r, ngx_http_v2m_tus_again(request));
        return;
    }

    if (r->headers_in.content_length_n > upload->room - upload->length) {
        upload->status = upload->kind->overflow(upload);
        upload->kind->failed(upload);
        return;
    }

    ngx_http_finalize_request(r, ngx_http_v2m_tus_start(request));
}
