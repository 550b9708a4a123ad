/*
 * The end of an upload that is stored: its job is published and told of.
 */

#include "ngx_http_v2m_upload.h"

#include <stdlib.h>
#include <string.h>

#include "ngx_http_v2m_publish.h"
#include "ngx_http_v2m_response.h"
#include "v2m_jobs.h"
#include "v2m_message.h"

typedef struct {
    v2m_mongo_t *mongo;
    v2m_id_t     id;
} ngx_http_v2m_published_t;

static void ngx_http_v2m_upload_published(ngx_http_request_t *r, void *data,
                                          int rc, const v2m_error_t *error,
                                          ngx_uint_t gone);


void
ngx_http_v2m_upload_stored(ngx_http_v2m_upload_t *upload)
{
    char               *body;
    v2m_error_t         error;
    v2m_message_t       message;
    ngx_http_request_t *r;

    r = upload->request;

    upload->job.state = V2M_JOB_QUEUED;

    ngx_memzero(&message, sizeof(message));
    ngx_memcpy(message.video_fid, upload->job.id, sizeof(v2m_id_t));
    message.username = upload->job.username;
    message.name = upload->job.name;

    ngx_memcpy(message.traceparent, upload->job.traceparent,
               sizeof(v2m_traceparent_t));

    body = v2m_message_format(&message);

    if (body != NULL
        && ngx_http_v2m_publish(r, body, upload->job.id,
                                ngx_http_v2m_upload_published, upload, &error)
               == NGX_OK)
    {
        free(body);
        return;
    }

    if (body == NULL) {
        v2m_error_set(&error, V2M_ERROR, "out of memory");
    }

    free(body);

    ngx_http_v2m_upload_published(r, upload, error.code, &error, 0);
}


/* On a thread of the storage pool. */
static int
ngx_http_v2m_published_run(void *data, v2m_error_t *error)
{
    int                       rc;
    ngx_http_v2m_published_t *published = data;

    rc = v2m_jobs_published(published->mongo, published->id, error);

    /* its owner removed the job meanwhile */

    return rc == V2M_CONFLICT ? V2M_OK : rc;
}


static void
ngx_http_v2m_upload_note(ngx_http_v2m_upload_t *upload)
{
    ngx_http_v2m_published_t *published;

    upload->job.published = 1;

    published = malloc(sizeof(ngx_http_v2m_published_t));
    if (published == NULL) {
        return;
    }

    published->mongo = upload->mcf->mongo;
    ngx_memcpy(published->id, upload->job.id, sizeof(v2m_id_t));

    /* if this is lost, the sweep publishes the job again, which does no harm */

    (void) ngx_http_v2m_task_detach(upload->mcf->storage_pool,
                                    "note that a job is published",
                                    ngx_http_v2m_published_run, published);
}


/* The job is durable whatever the broker says: without its confirm the sweep
 * publishes the job later. */
static void
ngx_http_v2m_upload_published(ngx_http_request_t *r, void *data, int rc,
                              const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_http_v2m_upload_t *upload = data;

    if (rc == V2M_OK) {
        ngx_http_v2m_upload_note(upload);

    } else {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "v2m: job %s is not published yet: %s", upload->job.id,
                      error->text);
    }

    if (!gone) {
        ngx_http_finalize_request(r, upload->kind->answer(upload));
    }
}


ngx_int_t
ngx_http_v2m_upload_answer(ngx_http_v2m_upload_t *upload)
{
    u_char             *p;
    ngx_str_t           location;
    ngx_http_request_t *r = upload->request;

    p = ngx_pnalloc(r->pool, sizeof("/jobs/") + V2M_ID_LENGTH);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    location.data = p;
    location.len = ngx_sprintf(p, "/jobs/%s", upload->job.id) - p;

    if (ngx_http_v2m_add_header(r, "Location", &location) == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_v2m_send_json(r, NGX_HTTP_CREATED,
                                  v2m_job_json(&upload->job, 0));
}
