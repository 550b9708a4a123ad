/*
 * An upload under way, as its files see it: ngx_http_v2m_upload_arguments.c
 * reads its options, ngx_http_v2m_admission.c decides whether it may begin,
 * ngx_http_v2m_upload.c reads the body, ngx_http_v2m_upload_store.c fills
 * chunks and writes them, and ngx_http_v2m_upload_answer.c publishes the job
 * and answers.  A video that comes in several requests goes the same way, with
 * what differs in ngx_http_v2m_tus*.c.  All on the event loop, unless said
 * otherwise.
 */

#ifndef NGX_HTTP_V2M_UPLOAD_H
#define NGX_HTTP_V2M_UPLOAD_H

#include "ngx_http_v2m_task.h"

#include "v2m_gridfs.h"
#include "v2m_job.h"
#include "v2m_multipart.h"
#include "v2m_tus.h"

typedef struct ngx_http_v2m_upload_s ngx_http_v2m_upload_t;

/* What differs between a video that comes in one body and one of many. */
typedef struct {
    /* The record is made, and the quotas allow it: goes on.  NGX_DONE, or the
     * status to refuse with. */
    ngx_int_t (*admitted)(ngx_http_v2m_upload_t *upload);

    /* Bytes of the file are taken; NULL: that does not matter. */
    void (*taken)(ngx_http_v2m_upload_t *upload, const unsigned char *data,
                  size_t length);

    /* There is no room for more bytes; returns the status to refuse with. */
    ngx_int_t (*overflow)(ngx_http_v2m_upload_t *upload);

    /* The whole body was taken: begins the last step, or sets the status.
     * Called again when something completed and neither was done. */
    void (*ended)(ngx_http_v2m_upload_t *upload);

    /* The record is no longer this request's; returns the status. */
    ngx_int_t (*lost)(ngx_http_v2m_upload_t *upload);

    /* Answers about the job, which is stored and published; returns what is
     * passed to ngx_http_finalize_request(). */
    ngx_int_t (*answer)(ngx_http_v2m_upload_t *upload);

    /* Nothing is in flight, and the status says why it fails: ends with
     * ngx_http_v2m_upload_refuse(). */
    void (*failed)(ngx_http_v2m_upload_t *upload);

    /* The request is over, whatever became of the upload, and nothing is in
     * flight; may be called more than once. */
    void (*released)(ngx_http_v2m_upload_t *upload);
} ngx_http_v2m_upload_kind_t;

/* One insert in flight; its data belongs to the thread while it is busy. */
typedef struct {
    ngx_http_v2m_task_t *task;
    ngx_uint_t           busy;
} ngx_http_v2m_insert_t;

struct ngx_http_v2m_upload_s {
    ngx_http_request_t               *request;
    ngx_http_v2m_main_conf_t         *mcf;
    ngx_http_v2m_loc_conf_t          *lcf;
    const ngx_http_v2m_upload_kind_t *kind;

    v2m_job_t        job;    /* read by the threads once begun */
    v2m_tus_t       *tus;    /* likewise; NULL: all in one body */
    void            *piece;  /* see ngx_http_v2m_tus.h */
    v2m_multipart_t *reader; /* NULL: the body is the file */
    ngx_uint_t       files;  /* file parts seen */

    /* the chunk being filled, of chunk_size; NULL: none is begun */
    size_t         chunk_size;
    unsigned char *chunk;
    size_t         chunk_length;

    /* chunks that are full and wait for an insert; one more than
     * lcf->upload_batch of them at most */
    v2m_gridfs_chunk_t *full;
    ngx_uint_t          full_count;

    ngx_http_v2m_insert_t *inserts; /* lcf->upload_inserts of them */
    ngx_uint_t             in_flight;
    int32_t                next;    /* number of the next chunk to insert */
    int32_t                missing; /* the first that failed; INT32_MAX: none */
    int64_t                length;  /* bytes of the file so far */
    v2m_quota_t            quota;   /* the user's; 0: any number */
    int64_t                room;    /* bytes that the file may have */
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
};

/* Makes an upload of the request's user, with a fresh id; NULL: out of memory,
 * or a fault of ours. */
ngx_http_v2m_upload_t *
ngx_http_v2m_upload_create(ngx_http_request_t               *r,
                           const ngx_http_v2m_upload_kind_t *kind);

/* Sets the file's name to the last part of the path; NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_v2m_upload_name(ngx_http_v2m_upload_t *upload,
                                   const u_char *path, size_t length);

/* Sets a conversion option, or the name.  NGX_OK or the status to refuse with;
 * NGX_DECLINED: there is no option of that name. */
ngx_int_t ngx_http_v2m_upload_option(ngx_http_v2m_upload_t *upload,
                                     const ngx_str_t       *name,
                                     const ngx_str_t       *value);

/* Sets those of the query; NGX_OK or the status to refuse with. */
ngx_int_t ngx_http_v2m_upload_query(ngx_http_v2m_upload_t *upload);

/* Checks the options against each other, and that the body has no coding;
 * likewise. */
ngx_int_t ngx_http_v2m_upload_check(ngx_http_v2m_upload_t *upload);

/* Goes on with an upload after something completed. */
void ngx_http_v2m_upload_process(ngx_http_v2m_upload_t *upload);

/*
 * Decides, before the body is read, on what needs a look into the store: the
 * Idempotency-Key of the request and the user's quotas.  Returns what a content
 * handler returns; goes on with ngx_http_v2m_upload_start() or answers.
 */
ngx_int_t ngx_http_v2m_admission(ngx_http_v2m_upload_t *upload);

/* Lets the user's own limits count in place of what is configured. */
void ngx_http_v2m_quota_limit(v2m_quota_t *quota, const v2m_quota_t *own);

/* Refuses an upload for which the quota leaves no room; returns the status. */
ngx_int_t ngx_http_v2m_quota_exceeded(ngx_http_v2m_upload_t *upload);

/* Begins to read the body; NGX_DONE, or the status of a failure. */
ngx_int_t ngx_http_v2m_upload_start(ngx_http_v2m_upload_t *upload);

/* Gives the error answer that the upload's status says. */
void ngx_http_v2m_upload_refuse(ngx_http_v2m_upload_t *upload);

/* The answer about a job that came in one body: 201. */
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

/* A task of the upload completed: goes on, or cleans up after a request that
 * is gone. */
void ngx_http_v2m_upload_completed(ngx_http_v2m_upload_t *upload,
                                   ngx_uint_t             gone);

/* How many of the file's first chunks are stored. */
int32_t ngx_http_v2m_upload_stored_chunks(ngx_http_v2m_upload_t *upload);

/* Writes what is left, the files document and the job's new state, once
 * nothing else is in flight. */
void ngx_http_v2m_upload_finish(ngx_http_v2m_upload_t *upload);

/* Begins to remove what an upload that failed has stored; nothing may be in
 * flight.  By itself that happens when the request ends. */
void ngx_http_v2m_upload_drop(ngx_http_v2m_upload_t *upload);

/* Removes what there is of an upload that did not come to its end; on a thread
 * of the storage pool.  V2M_OK also when it did come to its end after all, and
 * stays; else as of v2m_mongo.h. */
int ngx_http_v2m_upload_remove(v2m_mongo_t *mongo, const v2m_id_t id,
                               v2m_error_t *error);

#endif /* NGX_HTTP_V2M_UPLOAD_H */
