/*
 * Streams an MP3 out of GridFS, with a few reads ahead of the socket, and only
 * the chunks that its ranges need.
 */

#include <stdlib.h>

#include "ngx_http_v2m_byteranges.h"
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

/* One read of chunks of one part; its data belongs to the thread while
 * pending. */
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
    size_t                   size;   /* of the buffer */

    /* for the loop only: what is sent of the buffer, and around it */
    size_t           offset;
    size_t           length;
    const ngx_str_t *heading; /* NULL: in the middle of a part */
    const ngx_str_t *closing; /* NULL: likewise */
    unsigned         last : 1;
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

    ngx_http_v2m_byterange_t *part; /* the one to read next */
    ngx_http_v2m_byterange_t *end;  /* after the last one */
    int32_t                   next; /* the chunk of it to read next */

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
                             const v2m_gridfs_file_t *file, const char *type)
{
    ngx_array_t             *parts;
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

    parts = ngx_http_v2m_byteranges(r, download->file.length, type);
    if (parts == NULL) {
        return NGX_ERROR;
    }

    if (download->file.length == 0) {
        return ngx_http_send_special(r, NGX_HTTP_LAST);
    }

    lcf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_module);
    ngx_http_v2m_download_measure(download, lcf);

    if (ngx_http_v2m_download_make_reads(download, mongo) != NGX_OK) {
        return NGX_ERROR;
    }

    download->part = parts->elts;
    download->end = download->part + parts->nelts;
    download->next = download->part->first / download->file.chunk_size;

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


/* The next chunks of the part, and what is sent with them. */
static ngx_int_t
ngx_http_v2m_download_aim(ngx_http_v2m_download_t  *download,
                          ngx_http_v2m_read_data_t *data)
{
    off_t                     start, first, end;
    size_t                    size;
    int32_t                   n, needed;
    ngx_http_v2m_byterange_t *part;

    part = download->part;

    needed = (part->end - 1) / download->file.chunk_size + 1 - download->next;

    data->first = download->next;
    data->count = ngx_min(download->batch, needed);

    for (n = 0, size = 0; n < data->count; n++) {
        size += v2m_gridfs_chunk_length(&download->file, data->first + n);
    }

    start = (off_t) data->first * download->file.chunk_size;
    first = ngx_max(part->first, start);
    end = ngx_min(part->end, start + (off_t) size);

    data->offset = first - start;
    data->length = end - first;
    data->heading = (first == part->first) ? &part->heading : NULL;
    data->closing = (end == part->end) ? &part->closing : NULL;
    data->last = (data->closing != NULL && part + 1 == download->end);

    if (data->size < size) {
        free(data->buffer);
        data->size = 0;

        data->buffer = malloc(size);
        if (data->buffer == NULL) {
            return NGX_ERROR;
        }

        data->size = size;
    }

    return NGX_OK;
}


/* Posts reads as far as there is room for them, in the order of the body. */
static ngx_int_t
ngx_http_v2m_download_post(ngx_http_v2m_download_t *download)
{
    ngx_http_v2m_read_t      *read;
    ngx_http_v2m_main_conf_t *mcf;
    ngx_http_v2m_read_data_t *data;

    mcf = ngx_http_get_module_main_conf(download->request, ngx_http_v2m_module);

    while (download->part < download->end) {
        read = &download->reads[download->tail];

        if (read->state != NGX_HTTP_V2M_READ_FREE) {
            return NGX_OK;
        }

        data = ngx_http_v2m_task_data(read->task);

        if (ngx_http_v2m_download_aim(download, data) != NGX_OK) {
            return NGX_ERROR;
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
        download->tail = (download->tail + 1) % download->count;
        download->next += data->count;

        if (data->closing != NULL && ++download->part < download->end) {
            download->next = download->part->first / download->file.chunk_size;
        }
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


static ngx_int_t
ngx_http_v2m_download_add(ngx_http_v2m_download_t *download, ngx_chain_t ***end,
                          u_char *data, size_t length)
{
    ngx_buf_t   *b;
    ngx_chain_t *link;

    link = ngx_chain_get_free_buf(download->request->pool, &download->free);
    if (link == NULL) {
        return NGX_ERROR;
    }

    b = link->buf;
    ngx_memzero(b, sizeof(ngx_buf_t));
    b->start = data;
    b->pos = data;
    b->last = data + length;
    b->end = b->last;
    b->memory = 1;
    b->tag = (ngx_buf_tag_t) &ngx_http_v2m_module;

    **end = link;
    *end = &link->next;

    return NGX_OK;
}


/* What a read brought, as a chain of buffers. */
static ngx_chain_t *
ngx_http_v2m_download_chain(ngx_http_v2m_download_t  *download,
                            ngx_http_v2m_read_data_t *data)
{
    ngx_chain_t *out = NULL, **end = &out, *link;

    if (data->heading != NULL && data->heading->len > 0
        && ngx_http_v2m_download_add(download, &end, data->heading->data,
                                     data->heading->len)
               != NGX_OK)
    {
        return NULL;
    }

    if (ngx_http_v2m_download_add(download, &end, data->buffer + data->offset,
                                  data->length)
        != NGX_OK)
    {
        return NULL;
    }

    if (data->closing != NULL && data->closing->len > 0
        && ngx_http_v2m_download_add(download, &end, data->closing->data,
                                     data->closing->len)
               != NGX_OK)
    {
        return NULL;
    }

    *end = NULL;

    for (link = out; link->next != NULL; link = link->next) { /* void */
    }

    link->buf->flush = 1;
    link->buf->last_buf = data->last;
    link->buf->last_in_chain = data->last;

    return out;
}


/* NGX_DONE: all is handed to nginx; NGX_AGAIN: wait; NGX_ERROR. */
static ngx_int_t
ngx_http_v2m_download_output(ngx_http_v2m_download_t *download)
{
    ngx_int_t                 rc;
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

            out = ngx_http_v2m_download_chain(download, data);
            if (out == NULL) {
                return NGX_ERROR;
            }

            read->state = NGX_HTTP_V2M_READ_SENDING;
            download->last_sent = data->last;

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
