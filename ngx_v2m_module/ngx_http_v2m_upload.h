/*
 * An upload under way, as its four files see it: ngx_http_v2m_admission.c
 * decides whether it may begin, ngx_http_v2m_upload.c reads the body,
 * ngx_http_v2m_upload_store.c fills chunks and writes them, and
 * ngx_http_v2m_upload_answer.c publishes the job and answers.  All on the event
 * loop, unless said otherwise.
 */

#ifndef NGX_HTTP_V2M_UPLOAD_H
#define NGX_HTTP_V2M_UPLOAD_H

#include "ngx_http_v2m_task.h"

#include "v2m_gridfs.h"
#include "v2m_job.h"
#include "v2m_multipart.h"

/* One insert in flight; its data belongs to the thread while it is busy. */
typedef struct {
    ngx_http_v2m_task_t *task;
    ngx_uint_t           busy;
} ngx_http_v2m_insert_t;

typedef struct {
    ngx_http_request_t       *request;
    ngx_http_v2m_main_conf_t *mcf;
    ngx_http_v2m_loc_conf_t  *lcf;

    v2m_job_t        job;    /* read by the threads once begun */
    v2m_multipart_t *reader; /* NULL: the body is the file */
    ngx_uint_t       files;  /* file parts seen */

    /* the chunk being filled, of lcf->chunk_size; NULL: none is begun */
    unsigned char *chunk;
    size_t         chunk_length;

    /* chunks that are full and wait for an insert; one more than
     * lcf->upload_batch of them at most */
    v2m_gridfs_chunk_t *full;
    ngx_uint_t          full_count;

    ngx_http_v2m_insert_t *inserts; /* lcf->upload_inserts of them */
    ngx_uint_t             in_flight;
    int32_t                next;    /* number of the next chunk to insert */
    int64_t                length;  /* bytes of the file so far */
    v2m_quota_t            quota;   /* the user's; 0: any number */
    int64_t                room;    /* bytes that it leaves */
    time_t                 touched; /* when the record was last changed */

    ngx_int_t status; /* why the upload fails, 0: it does not */

    unsigned in_file : 1;   /* the multipart reader is inside a file */
    unsigned counted : 1;   /* which is one of the files seen */
    unsigned complete : 1;  /* its closing boundary was read */
    unsigned begun : 1;     /* the job's record is there, or may be */
    unsigned recorded : 1;  /* it is */
    unsigned finishing : 1; /* the last task was posted */
    unsigned queued : 1;    /* video and job are durable */
    unsigned released : 1;  /* the request is over */
} ngx_http_v2m_upload_t;

/* Goes on with an upload after something completed. */
void ngx_http_v2m_upload_process(ngx_http_v2m_upload_t *upload);

/*
 * Decides, before the body is read, on what needs a look into the store: the
 * Idempotency-Key of the request and the user's quotas.  Returns what a content
 * handler returns; goes on with ngx_http_v2m_upload_start() or answers.
 */
ngx_int_t ngx_http_v2m_admission(ngx_http_v2m_upload_t *upload);

/* Refuses an upload for which the quota leaves no room; returns the status. */
ngx_int_t ngx_http_v2m_quota_exceeded(ngx_http_v2m_upload_t *upload);

/* Begins to read the body; NGX_DONE, or the status of a failure. */
ngx_int_t ngx_http_v2m_upload_start(ngx_http_v2m_upload_t *upload);

/* The answer about the job: 201.  Returns what is passed to
 * ngx_http_finalize_request(). */
ngx_int_t ngx_http_v2m_upload_answer(ngx_http_v2m_upload_t *upload);

/* Whether all of the body has arrived and was taken. */
ngx_uint_t ngx_http_v2m_upload_read_all(ngx_http_v2m_upload_t *upload);

/* Answers, after the last task: video and job are durable. */
void ngx_http_v2m_upload_stored(ngx_http_v2m_upload_t *upload);

ngx_int_t ngx_http_v2m_upload_store_init(ngx_http_v2m_upload_t *upload);

/* How many bytes of the file may be appended now; 0: wait for the store. */
size_t ngx_http_v2m_upload_room(ngx_http_v2m_upload_t *upload);

/* Takes bytes of the file; more than the room only by a delimiter's length.
 * NGX_ERROR: the upload's status is set. */
ngx_int_t ngx_http_v2m_upload_append(ngx_http_v2m_upload_t *upload,
                                     const unsigned char *data, size_t length);

/* Writes what is left, the files document and the job's new state, once
 * nothing else is in flight. */
void ngx_http_v2m_upload_finish(ngx_http_v2m_upload_t *upload);

/* Begins to remove what an upload that failed has stored; nothing may be in
 * flight.  By itself that happens when the request ends. */
void ngx_http_v2m_upload_drop(ngx_http_v2m_upload_t *upload);

#endif /* NGX_HTTP_V2M_UPLOAD_H */
