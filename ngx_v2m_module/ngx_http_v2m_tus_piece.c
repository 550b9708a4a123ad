/*
 * The bytes of resumable uploads, for a request that has the lease: reads the
 * body as that of any upload, notes how far it is, and leaves what came in a
 * state from which the next request can go on.
 */

#include "ngx_http_v2m_tus.h"

#include <stdlib.h>
#include <string.h>

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"

/* How often is looked whether there is something to note, in milliseconds; and
 * how long bytes may arrive, of which none are durable yet, before at least the
 * lease is renewed. */
#define NGX_HTTP_V2M_TUS_TICK  1000
#define NGX_HTTP_V2M_TUS_RENEW 3000

typedef struct {
    v2m_mongo_t     *mongo;
    const v2m_tus_t *tus;
    int64_t          offset;

    ngx_http_v2m_tus_request_t *request; /* for the loop only */
} ngx_http_v2m_tus_note_t;

/* What a request leaves behind; its memory is its own, as the request may be
 * gone before it is stored. */
typedef struct {
    ngx_http_v2m_pending_t      pending;
    ngx_http_v2m_tus_request_t *request; /* NULL: it is gone */
    v2m_mongo_t                *mongo;
    v2m_tus_t                   tus;
    v2m_tus_piece_t             piece;
    ngx_uint_t                  lost;     /* the lease was */
    v2m_gridfs_chunk_t          chunks[]; /* of malloc'ed data */
} ngx_http_v2m_tus_keep_t;

static int       ngx_http_v2m_tus_note_run(void *data, v2m_error_t *error);
static void      ngx_http_v2m_tus_note_done(ngx_http_request_t *r, void *data,
                                            int rc, const v2m_error_t *error,
                                            ngx_uint_t gone);
static void      ngx_http_v2m_tus_tick(ngx_event_t *event);
static void      ngx_http_v2m_tus_free_request(void *data);
static ngx_int_t ngx_http_v2m_tus_admitted(ngx_http_v2m_upload_t *upload);
static void      ngx_http_v2m_tus_taken(ngx_http_v2m_upload_t *upload,
                                        const unsigned char *data, size_t length);
static ngx_int_t ngx_http_v2m_tus_overflow(ngx_http_v2m_upload_t *upload);
static void      ngx_http_v2m_tus_ended(ngx_http_v2m_upload_t *upload);
static ngx_int_t ngx_http_v2m_tus_lost(ngx_http_v2m_upload_t *upload);
static ngx_int_t ngx_http_v2m_tus_answer(ngx_http_v2m_upload_t *upload);
static void      ngx_http_v2m_tus_failed(ngx_http_v2m_upload_t *upload);
static void      ngx_http_v2m_tus_released(ngx_http_v2m_upload_t *upload);

static const ngx_http_v2m_upload_kind_t ngx_http_v2m_tus_kind = {
    ngx_http_v2m_tus_admitted, ngx_http_v2m_tus_taken,
    ngx_http_v2m_tus_overflow, ngx_http_v2m_tus_ended,
    ngx_http_v2m_tus_lost,     ngx_http_v2m_tus_answer,
    ngx_http_v2m_tus_failed,   ngx_http_v2m_tus_released
};


ngx_http_v2m_tus_request_t *
ngx_http_v2m_tus_begin(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t         *cleanup;
    ngx_http_v2m_tus_note_t    *note;
    ngx_http_v2m_tus_request_t *request;

    cleanup = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_v2m_tus_request_t));
    if (cleanup == NULL) {
        return NULL;
    }

    request = cleanup->data;
    ngx_memzero(request, sizeof(ngx_http_v2m_tus_request_t));
    cleanup->handler = ngx_http_v2m_tus_free_request;

    request->length = -1;
    request->tus.length = -1;

    request->note = ngx_http_v2m_task_create(r, sizeof(ngx_http_v2m_tus_note_t),
                                             ngx_http_v2m_tus_note_run,
                                             ngx_http_v2m_tus_note_done);

    request->upload = ngx_http_v2m_upload_create(r, &ngx_http_v2m_tus_kind);

    if (request->note == NULL || request->upload == NULL) {
        return NULL;
    }

    request->upload->piece = request;

    note = ngx_http_v2m_task_data(request->note);
    note->mongo = request->upload->mcf->mongo;
    note->tus = &request->tus;
    note->request = request;

    request->timer.handler = ngx_http_v2m_tus_tick;
    request->timer.data = request;
    request->timer.log = r->connection->log;

    return request;
}


static void
ngx_http_v2m_tus_free_request(void *data)
{
    ngx_http_v2m_tus_request_t *request = data;

    if (request->timer.timer_set) {
        ngx_del_timer(&request->timer);
    }

    v2m_digest_free(request->digest);
    v2m_tus_free(&request->tus);
}


/* The record is made. */
static ngx_int_t
ngx_http_v2m_tus_admitted(ngx_http_v2m_upload_t *upload)
{
    ngx_int_t                   rc;
    ngx_http_request_t         *r = upload->request;
    ngx_http_v2m_tus_request_t *request = upload->piece;

    if (request->tus.length >= 0) {
        upload->room = request->tus.length;

    } else {
        upload->room = ngx_min(upload->room, ngx_http_v2m_tus_limit(r));
    }

    if (request->with_body) {
        request->held = 1;

        if (r->headers_in.content_length_n > upload->room) {
            return ngx_http_v2m_tus_overflow(upload);
        }

        return ngx_http_v2m_tus_start(request);
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    /* what is made stays, whatever becomes of the answer */
    upload->released = 1;

    return ngx_http_v2m_tus_answer(upload);
}


ngx_int_t
ngx_http_v2m_tus_start(ngx_http_v2m_tus_request_t *request)
{
    ngx_int_t rc;

    request->noted = request->tus.offset;
    request->noted_seen = request->tus.offset;
    request->noted_at = ngx_current_msec;

    ngx_add_timer(&request->timer, NGX_HTTP_V2M_TUS_TICK);

    rc = ngx_http_v2m_upload_start(request->upload);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE && request->timer.timer_set) {
        /* the client may keep the request for a while */
        ngx_del_timer(&request->timer);
    }

    return rc;
}


static void
ngx_http_v2m_tus_taken(ngx_http_v2m_upload_t *upload, const unsigned char *data,
                       size_t length)
{
    ngx_http_v2m_tus_request_t *request = upload->piece;

    if (request->digest != NULL) {
        v2m_digest_update(request->digest, data, length);
    }
}


static ngx_int_t
ngx_http_v2m_tus_overflow(ngx_http_v2m_upload_t *upload)
{
    u_char                      text[128];
    ngx_http_v2m_tus_request_t *request = upload->piece;

    if (request->tus.length < 0
        && upload->room < ngx_http_v2m_tus_limit(upload->request))
    {
        return ngx_http_v2m_quota_exceeded(upload);
    }

    ngx_snprintf(text, sizeof(text),
                 "the upload has room for %L bytes from its offset on%Z",
                 ngx_max(upload->room - request->tus.offset, 0));

    return ngx_http_v2m_problem(
        upload->request, NGX_HTTP_REQUEST_ENTITY_TOO_LARGE, (char *) text);
}


static ngx_int_t
ngx_http_v2m_tus_lost(ngx_http_v2m_upload_t *upload)
{
    return ngx_http_v2m_problem(upload->request, NGX_HTTP_CONFLICT,
                                "another request went on with this upload, or "
                                "removed it: ask with HEAD");
}


/* How many bytes are durable by now.  Those of a checksum do not count before
 * it is known to be right. */
static int64_t
ngx_http_v2m_tus_durable(ngx_http_v2m_tus_request_t *request)
{
    int64_t                stored;
    ngx_http_v2m_upload_t *upload = request->upload;

    if (request->digest != NULL) {
        return request->tus.offset;
    }

    stored = (int64_t) ngx_http_v2m_upload_stored_chunks(upload)
             * request->tus.chunk_size;

    return ngx_max(stored, request->tus.offset);
}


static void
ngx_http_v2m_tus_tick(ngx_event_t *event)
{
    int64_t                     durable;
    ngx_msec_t                  since;
    ngx_http_request_t         *r;
    ngx_http_v2m_upload_t      *upload;
    ngx_http_v2m_tus_note_t    *note;
    ngx_http_v2m_tus_request_t *request = event->data;

    upload = request->upload;
    r = upload->request;

    ngx_http_set_log_request(r->connection->log, r);

    if (upload->finishing || upload->status || !request->held) {
        return;
    }

    event->timedout = 0;
    ngx_add_timer(event, NGX_HTTP_V2M_TUS_TICK);

    durable = ngx_http_v2m_tus_durable(request);
    since = ngx_current_msec - request->noted_at;

    if (request->noting
        || (durable == request->noted
            && (upload->length == request->noted_seen
                || since < NGX_HTTP_V2M_TUS_RENEW)))
    {
        return;
    }

    note = ngx_http_v2m_task_data(request->note);
    note->offset = durable;

    if (ngx_http_v2m_task_post(request->note, upload->mcf->storage_pool)
        == NGX_OK) {
        request->noting = 1;
        request->noted_seen = upload->length;
        upload->in_flight++;
    }
}


/* On a thread of the storage pool. */
static int
ngx_http_v2m_tus_note_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_tus_note_t *note = data;

    return v2m_tus_note(note->mongo, note->tus, note->offset, error);
}


static void
ngx_http_v2m_tus_note_done(ngx_http_request_t *r, void *data, int rc,
                           const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_http_v2m_upload_t      *upload;
    ngx_http_v2m_tus_note_t    *note = data;
    ngx_http_v2m_tus_request_t *request = note->request;

    upload = request->upload;
    upload->in_flight--;
    request->noting = 0;

    if (rc == V2M_OK) {
        request->noted = note->offset;
        request->noted_at = ngx_current_msec;

    } else if (rc == V2M_CONFLICT && upload->status == 0) {
        upload->status =
            gone ? NGX_HTTP_CONFLICT : ngx_http_v2m_tus_lost(upload);

    } else {
        /* a store that is away is seen by the inserts as well */
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "v2m: could not note how far an upload is: %s",
                      error->text);
    }

    ngx_http_v2m_upload_completed(upload, gone);
}


/* Compares the checksum, once. */
static ngx_int_t
ngx_http_v2m_tus_verify(ngx_http_v2m_tus_request_t *request)
{
    u_char value[V2M_DIGEST_MAX];

    if (request->digest == NULL) {
        return NGX_OK;
    }

    v2m_digest_final(request->digest, value);

    if (ngx_memcmp(value, request->checksum, request->checksum_size) != 0) {
        request->upload->status = ngx_http_v2m_problem(
            request->upload->request, NGX_HTTP_V2M_CHECKSUM_MISMATCH,
            "the bytes do not have the checksum, and were discarded");
        return NGX_ERROR;
    }

    v2m_digest_free(request->digest);
    request->digest = NULL;

    return NGX_OK;
}


static void
ngx_http_v2m_tus_keep_free(ngx_http_v2m_tus_keep_t *keep)
{
    size_t i;

    for (i = 0; i < keep->piece.count; i++) {
        free((void *) keep->chunks[i].data);
    }

    free((void *) keep->piece.tail.data);
    free(keep);
}


/* On a thread of the storage pool. */
static int
ngx_http_v2m_tus_keep_run(void *data, v2m_error_t *error)
{
    int                      rc;
    ngx_http_v2m_tus_keep_t *keep = data;

    rc = v2m_tus_pause(keep->mongo, &keep->tus, &keep->piece, error);

    if (rc == V2M_CONFLICT) {
        v2m_tus_clean(keep->mongo, &keep->tus);

        /* another request goes on, or removed it: that is no fault to log */
        keep->lost = 1;
        rc = V2M_OK;
    }

    return rc;
}


static void
ngx_http_v2m_tus_keep_finished(void *data, int rc, const v2m_error_t *error)
{
    ngx_http_v2m_tus_keep_t *keep = data;

    if (keep->request != NULL) {
        ngx_http_v2m_pending_end(&keep->pending, keep->lost ? V2M_CONFLICT : rc,
                                 error);
    }

    ngx_http_v2m_tus_keep_free(keep);
}


static void
ngx_http_v2m_tus_kept(ngx_http_request_t *r, void *data, int rc,
                      const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_http_v2m_upload_t      *upload;
    ngx_http_v2m_tus_keep_t    *keep = data;
    ngx_http_v2m_tus_request_t *request = keep->request;

    if (gone) {
        return;
    }

    upload = request->upload;

    if (rc != V2M_OK && upload->status == 0) {
        upload->status =
            rc == V2M_CONFLICT
                ? ngx_http_v2m_tus_lost(upload)
                : ngx_http_v2m_failure(r, "keep a piece of a video", rc, error);
    }

    if (upload->status) {
        ngx_http_v2m_upload_refuse(upload);
        return;
    }

    ngx_http_finalize_request(r, ngx_http_v2m_tus_answer(upload));
}


/* Moves what is not stored yet out of the upload. */
static void
ngx_http_v2m_tus_keep_take(ngx_http_v2m_tus_keep_t    *keep,
                           ngx_http_v2m_tus_request_t *request)
{
    ngx_http_v2m_upload_t *upload = request->upload;

    keep->piece.offset = ngx_http_v2m_tus_durable(request);
    keep->piece.discard = request->digest != NULL;

    if (request->digest != NULL || upload->missing != INT32_MAX
        || upload->length == request->tus.offset)
    {
        return;
    }

    keep->piece.offset = upload->length;
    keep->piece.first = upload->next;
    keep->piece.chunks = keep->chunks;
    keep->piece.count = upload->full_count;
    ngx_memcpy(keep->chunks, upload->full,
               upload->full_count * sizeof(v2m_gridfs_chunk_t));

    keep->piece.tail.data = upload->chunk;
    keep->piece.tail.length = upload->chunk_length;

    /* a last step that could not be begun had closed the last chunk */

    if (keep->piece.count > 0
        && keep->chunks[keep->piece.count - 1].length < upload->chunk_size)
    {
        keep->piece.tail = keep->chunks[--keep->piece.count];
    }

    upload->full_count = 0;
    upload->chunk = NULL;
    upload->chunk_length = 0;
}


/* Begins to store what came and to give the lease back; the answer follows,
 * unless the request is gone.  NGX_ERROR: then the lease runs out by itself. */
static ngx_int_t
ngx_http_v2m_tus_keep(ngx_http_v2m_tus_request_t *request, ngx_uint_t gone)
{
    size_t                   size;
    ngx_http_v2m_tus_keep_t *keep;
    ngx_http_v2m_upload_t   *upload = request->upload;

    request->held = 0;

    size = upload->full_count * sizeof(v2m_gridfs_chunk_t);
    keep = calloc(1, sizeof(ngx_http_v2m_tus_keep_t) + size);

    if (keep == NULL) {
        return NGX_ERROR;
    }

    keep->mongo = upload->mcf->mongo;
    keep->tus = request->tus;
    ngx_http_v2m_tus_keep_take(keep, request);

    if (!gone) {
        keep->request = request;

        if (ngx_http_v2m_pending_begin(&keep->pending, upload->request,
                                       ngx_http_v2m_tus_kept, keep)
            != NGX_OK)
        {
            ngx_http_v2m_tus_keep_free(keep);
            return NGX_ERROR;
        }
    }

    if (ngx_http_v2m_task_background(
            upload->mcf->storage_pool, "keep a piece of an upload",
            ngx_http_v2m_tus_keep_run, ngx_http_v2m_tus_keep_finished, keep)
        == NGX_OK)
    {
        upload->finishing = 1;
        return NGX_OK;
    }

    if (!gone) {
        ngx_http_v2m_pending_cancel(&keep->pending);
    }

    ngx_http_v2m_tus_keep_free(keep);

    return NGX_ERROR;
}


/* The body of this request was taken. */
static void
ngx_http_v2m_tus_ended(ngx_http_v2m_upload_t *upload)
{
    ngx_http_request_t         *r = upload->request;
    ngx_http_v2m_tus_request_t *request = upload->piece;

    if (upload->in_flight > 0 || ngx_http_v2m_tus_verify(request) != NGX_OK) {
        return;
    }

    r->read_event_handler = ngx_http_block_reading;

    if (upload->length == request->tus.length) {
        ngx_http_v2m_upload_finish(upload);
        return;
    }

    if (ngx_http_v2m_tus_keep(request, 0) != NGX_OK) {
        upload->status =
            ngx_http_v2m_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                 "the service is busy, try again later");
    }
}


static void
ngx_http_v2m_tus_failed(ngx_http_v2m_upload_t *upload)
{
    ngx_http_v2m_tus_request_t *request = upload->piece;

    if (request->creating) {
        /* its address is not told, so nobody could go on with it */
        ngx_http_v2m_upload_drop(upload);
        ngx_http_v2m_upload_refuse(upload);
        return;
    }

    if (!request->held || ngx_http_v2m_tus_keep(request, 0) != NGX_OK) {
        ngx_http_v2m_upload_refuse(upload);
    }
}


static void
ngx_http_v2m_tus_released(ngx_http_v2m_upload_t *upload)
{
    ngx_http_v2m_tus_request_t *request = upload->piece;

    if (!request->held || upload->queued || upload->released) {
        return;
    }

    if (request->creating) {
        ngx_http_v2m_upload_drop(upload);
        return;
    }

    (void) ngx_http_v2m_tus_keep(request, 1);
}


static ngx_int_t
ngx_http_v2m_tus_answer(ngx_http_v2m_upload_t *upload)
{
    ngx_int_t                   rc;
    ngx_http_request_t         *r = upload->request;
    ngx_http_v2m_tus_conf_t    *conf;
    ngx_http_v2m_tus_request_t *request = upload->piece;

    request->held = 0;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_tus_module);

    rc = upload->queued ? ngx_http_v2m_tus_add(r, "V2M-Job", upload->job.id)
                        : ngx_http_v2m_tus_add_expires(
                            r, ((int64_t) ngx_time() + conf->expires) * 1000);

    if (rc == NGX_OK && (!request->creating || request->with_body)) {
        rc = ngx_http_v2m_tus_add_number(r, "Upload-Offset", upload->length);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return request->creating ? ngx_http_v2m_tus_created(request)
                             : ngx_http_v2m_tus_send(r, NGX_HTTP_NO_CONTENT);
}
