/*
 * Streams an MP3 out of GridFS, with a few reads ahead of the socket, and only
 * the chunks that a range needs.
 */

#include <stdlib.h>

#include "ngx_http_v2m_download.h"
#include "ngx_http_v2m_metrics.h"
#include "ngx_http_v2m_task.h"

/* Chunks in one read, however small they are. */
#define NGX_HTTP_V2M_BATCH_MAX 64

typedef enum {
    NGX_HTTP_V2M_READ_FREE,
    NGX_HTTP_V2M_READ_PENDING,
    NGX_HTTP_V2M_READ_READY,
    NGX_HTTP_V2M_READ_SENDING
} ngx_http_v2m_read_state_t;

typedef struct ngx_http_v2m_download_s ngx_http_v2m_download_t;

/* One read of some chunks; its data belongs to the thread while pending. */
typedef struct {
    ngx_http_v2m_task_t      *task;
    ngx_http_v2m_read_state_t state;
} ngx_http_v2m_read_t;

typedef struct {
    ngx_http_v2m_download_t *download; /* for the loop only */
    ngx_http_v2m_read_t     *read;     /* for the loop only */
    v2m_mongo_t             *mongo;
    const v2m_gridfs_file_t *file;
    int32_t                  first;
    int32_t                  count;
    unsigned char           *buffer; /* malloc'ed */
    size_t                   length; /* bytes of these chunks */
} ngx_http_v2m_read_data_t;

struct ngx_http_v2m_download_s {
    ngx_http_request_t *request;
    v2m_gridfs_file_t   file;

    ngx_http_v2m_read_t *reads; /* a ring */
    ngx_uint_t           count; /* of them */
    ngx_uint_t           head;  /* the one to send next */
    ngx_uint_t           tail;  /* the one to post next */
    ngx_uint_t           pending;
    int32_t              batch; /* chunks in one read */

    int32_t next; /* the chunk to read next */
    int32_t end;  /* the chunk after the last one needed */

    ngx_chain_t *free;
    ngx_chain_t *busy;

    unsigned failed : 1;
    unsigned last_sent : 1;
};

static void ngx_http_v2m_download_process(ngx_http_v2m_download_t *download);
static ngx_int_t ngx_http_v2m_download_post(ngx_http_v2m_download_t *download);
static ngx_int_t
            ngx_http_v2m_download_output(ngx_http_v2m_download_t *download);
static void ngx_http_v2m_download_write(ngx_http_request_t *r);
static int  ngx_http_v2m_read_run(void *data, v2m_error_t *error);
static void ngx_http_v2m_read_done(ngx_http_request_t *r, void *data, int rc,
                                   const v2m_error_t *error, ngx_uint_t gone);
static void ngx_http_v2m_download_free(void *data);


/*
 * The range filter has decided by now on Range and If-Range.  It drops what is
 * before the range itself, so it is given what we do not read as a buffer
 * without content, which never leaves it.
 */
static ngx_int_t
ngx_http_v2m_download_skip(ngx_http_v2m_download_t *download, off_t skip)
{
    ngx_buf_t  *b;
    ngx_chain_t out;

    b = ngx_calloc_buf(download->request->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->in_file = 1;
    b->file_last = skip;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(download->request, &out);
}


/* The directives count chunks of the usual size: of small ones more are read at
 * once, and of large ones fewer. */
static void
ngx_http_v2m_download_measure(ngx_http_v2m_download_t *download,
                              ngx_http_v2m_loc_conf_t *lcf)
{
    uint64_t chunks, chunk_size;

    chunk_size = download->file.chunk_size;

    chunks = lcf->download_batch * V2M_GRIDFS_CHUNK_SIZE / chunk_size;
    chunks = ngx_min(chunks, NGX_HTTP_V2M_BATCH_MAX);
    download->batch = ngx_max(chunks, 1);

    chunks = lcf->download_batch * lcf->download_reads * V2M_GRIDFS_CHUNK_SIZE
             / (download->batch * chunk_size);
    chunks = ngx_min(chunks, lcf->download_reads);
    download->count = ngx_max(chunks, ngx_min(lcf->download_reads, 2));
}


static ngx_int_t
ngx_http_v2m_download_make_reads(ngx_http_v2m_download_t *download,
                                 v2m_mongo_t             *mongo)
{
    ngx_uint_t                i;
    ngx_http_request_t       *r;
    ngx_pool_cleanup_t       *cleanup;
    ngx_http_v2m_read_t      *read;
    ngx_http_v2m_read_data_t *data;

    r = download->request;

    cleanup = ngx_pool_cleanup_add(r->pool, 0);
    download->reads =
        ngx_pcalloc(r->pool, download->count * sizeof(ngx_http_v2m_read_t));

    if (cleanup == NULL || download->reads == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < download->count; i++) {
        read = &download->reads[i];
        read->task = ngx_http_v2m_task_create(
            r, sizeof(ngx_http_v2m_read_data_t), ngx_http_v2m_read_run,
            ngx_http_v2m_read_done);

        if (read->task == NULL) {
            return NGX_ERROR;
        }

        data = ngx_http_v2m_task_data(read->task);
        data->download = download;
        data->read = read;
        data->mongo = mongo;
        data->file = &download->file;
    }

    cleanup->handler = ngx_http_v2m_download_free;
    cleanup->data = download;

    return NGX_OK;
}


ngx_int_t
ngx_http_v2m_download_stream(ngx_http_request_t *r, v2m_mongo_t *mongo,
                             const v2m_gridfs_file_t *file)
{
    off_t                    first, last;
    ngx_http_v2m_ctx_t      *ctx;
    ngx_http_v2m_loc_conf_t *lcf;
    ngx_http_v2m_download_t *download;

    download = ngx_pcalloc(r->pool, sizeof(ngx_http_v2m_download_t));
    if (download == NULL) {
        return NGX_ERROR;
    }

    download->request = r;

    /* the copy needs no name */

    download->file = *file;
    download->file.filename = NULL;

    first = 0;
    last = download->file.length;

    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT) {
        first = r->headers_out.content_offset;
        last = first + r->headers_out.content_length_n;
    }

    if (last == first) {
        return ngx_http_send_special(r, NGX_HTTP_LAST);
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_module);
    ngx_http_v2m_download_measure(download, lcf);

    if (ngx_http_v2m_download_make_reads(download, mongo) != NGX_OK) {
        return NGX_ERROR;
    }

    download->next = first / download->file.chunk_size;
    download->end = (last - 1) / download->file.chunk_size + 1;

    if (download->next > 0
        && ngx_http_v2m_download_skip(download, (off_t) download->next
                                                    * download->file.chunk_size)
               == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);
    ctx->download = download;

    r->write_event_handler = ngx_http_v2m_download_write;

    if (!r->discard_body) {
        /* nothing more is read for a client that went away */
        r->read_event_handler = ngx_http_test_reading;
    }

    ngx_http_v2m_download_process(download);

    return NGX_DONE;
}


/* Posts reads as far as there is room for them, in the order of the file. */
static ngx_int_t
ngx_http_v2m_download_post(ngx_http_v2m_download_t *download)
{
    int32_t                   n;
    ngx_http_v2m_read_t      *read;
    ngx_http_v2m_main_conf_t *mcf;
    ngx_http_v2m_read_data_t *data;

    mcf = ngx_http_get_module_main_conf(download->request, ngx_http_v2m_module);

    while (download->next < download->end) {
        read = &download->reads[download->tail];

        if (read->state != NGX_HTTP_V2M_READ_FREE) {
            return NGX_OK;
        }

        data = ngx_http_v2m_task_data(read->task);
        data->first = download->next;
        data->count = ngx_min(download->batch, download->end - download->next);

        for (n = 0, data->length = 0; n < data->count; n++) {
            data->length +=
                v2m_gridfs_chunk_length(&download->file, data->first + n);
        }

        if (data->buffer == NULL) {
            data->buffer = malloc(data->length);
            if (data->buffer == NULL) {
                return NGX_ERROR;
            }
        }

        switch (ngx_http_v2m_task_post(read->task, mcf->storage_pool)) {
        case NGX_OK:
            break;

        case NGX_BUSY:
            /* what is read or sent meanwhile brings us here again */

            if (download->pending > 0 || download->busy != NULL) {
                return NGX_OK;
            }

            ngx_log_error(NGX_LOG_ERR, download->request->connection->log, 0,
                          "v2m: a download ends early, the storage pool's "
                          "queue is full");
            return NGX_ERROR;

        default:
            return NGX_ERROR;
        }

        read->state = NGX_HTTP_V2M_READ_PENDING;
        download->pending++;
        download->next += data->count;
        download->tail = (download->tail + 1) % download->count;
    }

    return NGX_OK;
}


static int
ngx_http_v2m_read_run(void *data, v2m_error_t *error)
{
    ngx_http_v2m_read_data_t *read = data;

    return v2m_gridfs_read_chunks(read->mongo, V2M_MP3S, read->file,
                                  read->first, read->count, read->buffer,
                                  error);
}


static void
ngx_http_v2m_read_done(ngx_http_request_t *r, void *data, int rc,
                       const v2m_error_t *error, ngx_uint_t gone)
{
    ngx_http_v2m_download_t  *download;
    ngx_http_v2m_read_data_t *read = data;

    download = read->download;

    read->read->state = NGX_HTTP_V2M_READ_READY;
    download->pending--;

    if (rc != V2M_OK) {
        download->failed = 1;
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "v2m: a download ends early: %s", error->text);
    }

    if (!gone) {
        ngx_http_v2m_download_process(download);
    }
}


static void
ngx_http_v2m_download_write(ngx_http_request_t *r)
{
    ngx_event_t        *wev;
    ngx_http_v2m_ctx_t *ctx;

    wev = r->connection->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);

    ngx_http_v2m_download_process(ctx->download);
}


/*
 * Sends what is ready, reads what has room, and ends the request when all is
 * sent or something failed.  A failure ends the connection: a client must
 * never take a part for the whole.
 */
static void
ngx_http_v2m_download_process(ngx_http_v2m_download_t *download)
{
    ngx_int_t                 rc;
    ngx_event_t              *wev;
    ngx_http_request_t       *r;
    ngx_http_core_loc_conf_t *clcf;

    r = download->request;
    wev = r->connection->write;

    if (!download->failed) {
        rc = ngx_http_v2m_download_output(download);
        ngx_http_v2m_metrics_sent(r);

        if (rc == NGX_DONE) {
            /* a delayed event (limit_rate) goes on by its timer alone */

            if (wev->timer_set && !wev->delayed) {
                ngx_del_timer(wev);
            }

            ngx_http_finalize_request(r, NGX_OK);
            return;
        }

        if (rc == NGX_ERROR) {
            download->failed = 1;
        }
    }

    if (download->failed) {
        /* with reads still pending nginx keeps the request until they end */
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (download->busy == NULL) {
        if (wev->timer_set && !wev->delayed) {
            ngx_del_timer(wev);
        }

        return;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
    }
}


/* NGX_DONE: all is handed to nginx; NGX_AGAIN: wait; NGX_ERROR. */
static ngx_int_t
ngx_http_v2m_download_output(ngx_http_v2m_download_t *download)
{
    ngx_int_t                 rc;
    ngx_buf_t                *b;
    ngx_chain_t              *out;
    ngx_http_request_t       *r;
    ngx_http_v2m_read_t      *read;
    ngx_http_v2m_read_data_t *data;

    r = download->request;

    for (;;) {
        read = &download->reads[download->head];
        out = NULL;

        if (read->state == NGX_HTTP_V2M_READ_READY) {
            data = ngx_http_v2m_task_data(read->task);

            out = ngx_chain_get_free_buf(r->pool, &download->free);
            if (out == NULL) {
                return NGX_ERROR;
            }

            b = out->buf;
            ngx_memzero(b, sizeof(ngx_buf_t));
            b->start = data->buffer;
            b->pos = data->buffer;
            b->last = data->buffer + data->length;
            b->end = b->last;
            b->memory = 1;
            b->flush = 1;
            b->tag = (ngx_buf_tag_t) &ngx_http_v2m_module;
            b->last_buf = (data->first + data->count == download->end);
            b->last_in_chain = b->last_buf;

            read->state = NGX_HTTP_V2M_READ_SENDING;
            download->last_sent = b->last_buf;

        } else if (download->busy == NULL) {
            return ngx_http_v2m_download_post(download) == NGX_OK ? NGX_AGAIN
                                                                  : NGX_ERROR;
        }

        rc = ngx_http_output_filter(r, out);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        ngx_chain_update_chains(r->pool, &download->free, &download->busy, &out,
                                (ngx_buf_tag_t) &ngx_http_v2m_module);

        if (download->last_sent) {
            return NGX_DONE;
        }

        if (download->busy != NULL) {
            return ngx_http_v2m_download_post(download) == NGX_OK ? NGX_AGAIN
                                                                  : NGX_ERROR;
        }

        download->reads[download->head].state = NGX_HTTP_V2M_READ_FREE;
        download->head = (download->head + 1) % download->count;

        if (ngx_http_v2m_download_post(download) != NGX_OK) {
            return NGX_ERROR;
        }
    }
}


static void
ngx_http_v2m_download_free(void *data)
{
    ngx_uint_t                i;
    ngx_http_v2m_download_t  *download = data;
    ngx_http_v2m_read_data_t *read;

    for (i = 0; i < download->count; i++) {
        read = ngx_http_v2m_task_data(download->reads[i].task);
        free(read->buffer);
    }
}
