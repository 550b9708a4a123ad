/*
 * From bytes to chunks in GridFS: filling, batching, several inserts in
 * flight, and dropping what an upload that fails has left.
 */

#include "ngx_http_v2m_upload.h"

#include <stdlib.h>
#include <string.h>

#include "ngx_http_v2m_problem.h"
#include "v2m_jobs.h"

/* How often a long upload shows the sweep that it is alive, in seconds. */
#define NGX_HTTP_V2M_TOUCH 300

/* How often a store that answers is asked to delete chunks; then the sweep. */
#define NGX_HTTP_V2M_DROP_TRIES 3

/* The data of an insert's task: what its thread writes, in this order. */
typedef struct {
    v2m_mongo_t           *mongo;
    ngx_http_v2m_upload_t *upload; /* for the loop only */
    ngx_http_v2m_insert_t *insert; /* for the loop only */
    v2m_job_t             *job;
    const v2m_tus_t       *tus;    /* NULL: all in one body */
    ngx_uint_t             begin;  /* make the job's record */
    ngx_uint_t             touch;  /* show that the upload is alive */
    v2m_gridfs_chunk_t    *chunks; /* their data is freed by the loop */
    ngx_uint_t             count;
    int32_t                first;
    ngx_uint_t             finish; /* files document, queued */
    v2m_gridfs_file_t      file;
} ngx_http_v2m_insert_data_t;

typedef struct {
    v2m_mongo_t *mongo;
    v2m_id_t     id;
} ngx_http_v2m_drop_t;

static int  ngx_http_v2m_insert_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_insert_done(ngx_http_request_t *r, void *data, int rc,
                                     const v2m_error_t *error, ngx_uint_t gone);
static void ngx_http_v2m_upload_dispatch(ngx_http_v2m_upload_t *upload);
static ngx_http_v2m_insert_t             *
ngx_http_v2m_upload_free_insert(ngx_http_v2m_upload_t *upload);
static void ngx_http_v2m_upload_release(void *data);
static void ngx_http_v2m_upload_free(void *data);


ngx_int_t
ngx_http_v2m_upload_store_init(ngx_http_v2m_upload_t *upload)
{
    size_t                      size;
    ngx_uint_t                  i;
    ngx_pool_cleanup_t         *memory;
    ngx_http_cleanup_t         *cleanup;
    ngx_http_request_t         *r;
    ngx_http_v2m_insert_t      *insert;
    ngx_http_v2m_insert_data_t *data;

    r = upload->request;

    /* a batch, and what a delimiter held back may spill into the next one */
    size = (upload->lcf->upload_batch + 2) * sizeof(v2m_gridfs_chunk_t);

    memory = ngx_pool_cleanup_add(r->pool, 0);
    cleanup = ngx_http_cleanup_add(r, 0);
    upload->full = ngx_pcalloc(r->pool, size);
    upload->inserts = ngx_pcalloc(r->pool, upload->lcf->upload_inserts
                                               * sizeof(ngx_http_v2m_insert_t));

    if (memory == NULL || cleanup == NULL || upload->full == NULL
        || upload->inserts == NULL)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < upload->lcf->upload_inserts; i++) {
        insert = &upload->inserts[i];
        insert->task = ngx_http_v2m_task_create(
            r, sizeof(ngx_http_v2m_insert_data_t), ngx_http_v2m_insert_run,
            ngx_http_v2m_insert_done);

        if (insert->task == NULL) {
            return NGX_ERROR;
        }

        data = ngx_http_v2m_task_data(insert->task);
        data->chunks = ngx_pcalloc(r->pool, size);

        if (data->chunks == NULL) {
            return NGX_ERROR;
        }

        data->mongo = upload->mcf->mongo;
        data->upload = upload;
        data->insert = insert;
        data->job = &upload->job;
    }

    upload->room = INT64_MAX;
    upload->missing = INT32_MAX;

    memory->handler = ngx_http_v2m_upload_free;
    memory->data = upload;
    cleanup->handler = ngx_http_v2m_upload_release;
    cleanup->data = upload;

    return NGX_OK;
}


size_t
ngx_http_v2m_upload_room(ngx_http_v2m_upload_t *upload)
{
    if (upload->full_count >= upload->lcf->upload_batch) {
        return 0;
    }

    return upload->chunk_size - upload->chunk_length;
}


/* Moves the chunk being filled to the full ones. */
static void
ngx_http_v2m_upload_close_chunk(ngx_http_v2m_upload_t *upload)
{
    v2m_gridfs_chunk_t *full;

    full = &upload->full[upload->full_count++];
    full->data = upload->chunk;
    full->length = upload->chunk_length;

    upload->chunk = NULL;
    upload->chunk_length = 0;
}


ngx_int_t
ngx_http_v2m_upload_append(ngx_http_v2m_upload_t *upload,
                           const unsigned char *data, size_t length)
{
    size_t size;

    if ((int64_t) length > upload->room - upload->length) {
        upload->status = upload->kind->overflow(upload);
        return NGX_ERROR;
    }

    ngx_http_v2m_count(NGX_HTTP_V2M_COUNT_UPLOADED, length);

    if (upload->kind->taken != NULL) {
        upload->kind->taken(upload, data, length);
    }

    while (length > 0) {
        if (upload->chunk == NULL) {
            /* of which the kernel gives only the pages that are written to, so
             * slow clients hold little; to begin small and grow would leave
             * the heap full of holes */

            upload->chunk = malloc(upload->chunk_size);

            if (upload->chunk == NULL) {
                upload->status = NGX_HTTP_INTERNAL_SERVER_ERROR;
                return NGX_ERROR;
            }
        }

        size = ngx_min(length, upload->chunk_size - upload->chunk_length);

        ngx_memcpy(upload->chunk + upload->chunk_length, data, size);

        upload->chunk_length += size;
        upload->length += size;
        data += size;
        length -= size;

        if (upload->chunk_length == upload->chunk_size) {
            ngx_http_v2m_upload_close_chunk(upload);
            ngx_http_v2m_upload_dispatch(upload);
        }
    }

    return upload->status ? NGX_ERROR : NGX_OK;
}


static ngx_http_v2m_insert_t *
ngx_http_v2m_upload_free_insert(ngx_http_v2m_upload_t *upload)
{
    ngx_uint_t i;

    for (i = 0; i < upload->lcf->upload_inserts; i++) {
        if (!upload->inserts[i].busy) {
            return &upload->inserts[i];
        }
    }

    return NULL;
}


static void
ngx_http_v2m_upload_post(ngx_http_v2m_upload_t *upload,
                         ngx_http_v2m_insert_t *insert, ngx_uint_t finish)
{
    ngx_http_v2m_insert_data_t *data;

    data = ngx_http_v2m_task_data(insert->task);

    data->tus = upload->tus;
    data->begin = !upload->begun;
    data->touch = upload->begun && upload->tus == NULL
                  && ngx_time() - upload->touched > NGX_HTTP_V2M_TOUCH;
    data->first = upload->next;
    data->count = upload->full_count;
    data->finish = finish;

    ngx_memcpy(data->chunks, upload->full,
               upload->full_count * sizeof(v2m_gridfs_chunk_t));

    switch (ngx_http_v2m_task_post(insert->task, upload->mcf->storage_pool)) {
    case NGX_OK:
        break;

    case NGX_BUSY:
        /* an insert that completes tries again */

        if (upload->in_flight == 0) {
            upload->status = ngx_http_v2m_over_limit(
                upload->request, NGX_HTTP_V2M_COUNT_REFUSED_POOL,
                NGX_HTTP_SERVICE_UNAVAILABLE,
                "the service is busy, try again later");
        }

        return;

    default:
        upload->status = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return;
    }

    if (data->begin || data->touch) {
        upload->touched = ngx_time();
    }

    insert->busy = 1;
    upload->begun = 1;
    upload->in_flight++;
    upload->finishing = finish;
    upload->next += upload->full_count;
    upload->full_count = 0;
}


/*
 * Posts the full chunks.  The first insert goes at once and alone, as it also
 * makes the job's record, by which the sweep finds the chunks of a gateway
 * that died; after that one goes as soon as nothing is in flight, and further
 * ones with whole batches.  So a slow client's chunks do not wait, and a fast
 * client's travel together.
 */
static void
ngx_http_v2m_upload_dispatch(ngx_http_v2m_upload_t *upload)
{
    ngx_http_v2m_insert_t *insert;

    if (upload->full_count == 0 || upload->status) {
        return;
    }

    if (upload->in_flight > 0
        && (!upload->recorded
            || upload->full_count < upload->lcf->upload_batch))
    {
        return;
    }

    insert = ngx_http_v2m_upload_free_insert(upload);

    if (insert != NULL) {
        ngx_http_v2m_upload_post(upload, insert, 0);
    }
}


void
ngx_http_v2m_upload_finish(ngx_http_v2m_upload_t *upload)
{
    ngx_http_v2m_insert_data_t *data;

    if (upload->in_flight > 0) {
        return;
    }

    if (upload->chunk_length > 0) {
        ngx_http_v2m_upload_close_chunk(upload);
    }

    data = ngx_http_v2m_task_data(upload->inserts[0].task);

    ngx_memcpy(data->file.id, upload->job.id, sizeof(v2m_id_t));
    data->file.length = upload->length;
    data->file.chunk_size = upload->chunk_size;
    data->file.filename = upload->job.name;

    upload->job.size = upload->length;

    ngx_http_v2m_upload_post(upload, &upload->inserts[0], 1);
}


/* On a thread of the storage pool. */
static int
ngx_http_v2m_insert_piece(ngx_http_v2m_insert_data_t *insert,
                          v2m_error_t                *error)
{
    int rc;

    rc = V2M_OK;

    if (insert->count > 0) {
        rc = v2m_tus_insert(insert->mongo, insert->tus, insert->first,
                            insert->chunks, insert->count, error);
    }

    return rc == V2M_OK && insert->finish ? v2m_tus_finish(
               insert->mongo, insert->tus, &insert->file, error)
                                          : rc;
}


/* On a thread of the storage pool. */
static int
ngx_http_v2m_insert_run(void *data, v2m_error_t *error)
{
    int                         rc;
    ngx_http_v2m_insert_data_t *insert = data;

    if (insert->tus != NULL) {
        return ngx_http_v2m_insert_piece(insert, error);
    }

    rc = V2M_OK;

    if (insert->begin) {
        rc = v2m_jobs_begin(insert->mongo, insert->job, error);
    }

    if (rc == V2M_OK && insert->touch) {
        rc = v2m_jobs_touch(insert->mongo, insert->job->id, error);
    }

    if (rc == V2M_OK && insert->count > 0) {
        rc = v2m_gridfs_insert_chunks(insert->mongo, V2M_VIDEOS,
                                      insert->job->id, insert->first,
                                      insert->chunks, insert->count, error);
    }

    if (rc == V2M_OK && insert->finish) {
        rc = v2m_gridfs_insert_file(insert->mongo, V2M_VIDEOS, &insert->file,
                                    error);

        if (rc == V2M_OK) {
            rc = v2m_jobs_queue(insert->mongo, insert->job->id,
                                insert->job->name, insert->job->size, error);
        }
    }

    return rc;
}


static void
ngx_http_v2m_insert_done(ngx_http_request_t *r, void *data, int rc,
                         const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_uint_t                  i;
    ngx_http_v2m_upload_t      *upload;
    ngx_http_v2m_insert_data_t *insert = data;

    upload = insert->upload;

    for (i = 0; i < insert->count; i++) {
        free((void *) insert->chunks[i].data);
    }

    insert->insert->busy = 0;
    upload->in_flight--;

    if (rc == V2M_OK) {
        upload->recorded = 1;
        upload->queued = insert->finish;

    } else {
        upload->missing = ngx_min(upload->missing, insert->first);

        if (upload->status == 0) {
            upload->finishing = 0;
            upload->status =
                rc == V2M_CONFLICT
                    ? upload->kind->lost(upload)
                    : ngx_http_v2m_failure(r, "store a video", rc, error);
        }
    }

    if (upload->queued && !gone) {
        ngx_http_v2m_upload_stored(upload);
        return;
    }

    ngx_http_v2m_upload_completed(upload, gone);
}


void
ngx_http_v2m_upload_completed(ngx_http_v2m_upload_t *upload, ngx_uint_t gone)
{
    if (gone) {
        if (upload->in_flight == 0) {
            upload->kind->released(upload);
        }

        return;
    }

    /* what is left at the end goes with the last step */

    if (upload->in_flight > 0 || !ngx_http_v2m_upload_read_all(upload)) {
        ngx_http_v2m_upload_dispatch(upload);
    }

    ngx_http_v2m_upload_process(upload);
}


int32_t
ngx_http_v2m_upload_stored_chunks(ngx_http_v2m_upload_t *upload)
{
    int32_t                     count;
    ngx_uint_t                  i;
    ngx_http_v2m_insert_data_t *data;

    count = ngx_min(upload->next, upload->missing);

    for (i = 0; i < upload->lcf->upload_inserts; i++) {
        if (upload->inserts[i].busy) {
            data = ngx_http_v2m_task_data(upload->inserts[i].task);
            count = ngx_min(count, data->first);
        }
    }

    return count;
}


/* The request is over, or is being torn down while inserts are in flight. */
static void
ngx_http_v2m_upload_release(void *data)
{
    ngx_http_v2m_upload_t *upload = data;

    if (upload->in_flight == 0) {
        upload->kind->released(upload);
    }
}


static void
ngx_http_v2m_upload_free(void *data)
{
    ngx_http_v2m_upload_t *upload = data;

    while (upload->full_count > 0) {
        free((void *) upload->full[--upload->full_count].data);
    }

    free(upload->chunk);
    v2m_job_free(&upload->job);
}


int
ngx_http_v2m_upload_remove(v2m_mongo_t *mongo, const v2m_id_t id,
                           v2m_error_t *error)
{
    int       rc, tries;
    v2m_job_t job;

    rc = v2m_jobs_abandon(mongo, id, INT64_MAX, error);

    if (rc == V2M_CONFLICT) {
        rc = v2m_jobs_find(mongo, id, NULL, &job, error);

        if (rc == V2M_OK) {
            /* a last step whose answer was lost had succeeded */
            v2m_job_free(&job);
            return V2M_OK;
        }
    }

    /* without a record: the sweep took the upload for abandoned, and what was
     * stored after that is ours */

    if (rc != V2M_OK && rc != V2M_NOT_FOUND) {
        return rc;
    }

    /* to delete a large video may take longer than a store's reply may */

    tries = NGX_HTTP_V2M_DROP_TRIES;

    do {
        rc = v2m_gridfs_delete(mongo, V2M_VIDEOS, id, error);
    } while (rc == V2M_UNAVAILABLE && --tries > 0);

    if (rc == V2M_OK) {
        rc = v2m_jobs_remove(mongo, id, error);
    }

    return rc == V2M_NOT_FOUND ? V2M_OK : rc;
}


/* On a thread of the storage pool. */
static int
ngx_http_v2m_drop_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_drop_t *drop = data;

    return ngx_http_v2m_upload_remove(drop->mongo, drop->id, error);
}


void
ngx_http_v2m_upload_drop(ngx_http_v2m_upload_t *upload)
{
    ngx_http_v2m_drop_t *drop;

    if (!upload->begun || upload->queued || upload->released) {
        return;
    }

    upload->released = 1;

    drop = malloc(sizeof(ngx_http_v2m_drop_t));
    if (drop == NULL) {
        return;
    }

    drop->mongo = upload->mcf->mongo;
    ngx_memcpy(drop->id, upload->job.id, sizeof(v2m_id_t));

    (void) ngx_http_v2m_task_detach(upload->mcf->storage_pool,
                                    "drop an unfinished upload",
                                    ngx_http_v2m_drop_run, drop);
}
