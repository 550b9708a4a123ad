/*
 * POST /upload: takes the request, and reads the body as it arrives.
 */

#include "ngx_http_v2m_upload.h"

#include <string.h>

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"

static ngx_int_t ngx_http_v2m_upload_type(ngx_http_request_t    *r,
                                          ngx_http_v2m_upload_t *upload);
static ngx_int_t ngx_http_v2m_upload_path(ngx_http_v2m_upload_t *upload);
static void      ngx_http_v2m_upload_body(ngx_http_request_t *r);
static void      ngx_http_v2m_upload_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_v2m_upload_consume(ngx_http_v2m_upload_t *upload);
static ngx_int_t ngx_http_v2m_upload_part(ngx_http_v2m_upload_t *upload,
                                          ngx_buf_t             *b);
static void      ngx_http_v2m_upload_end(ngx_http_v2m_upload_t *upload);
static ngx_int_t ngx_http_v2m_upload_lost(ngx_http_v2m_upload_t *upload);
static void      ngx_http_v2m_upload_fail(ngx_http_v2m_upload_t *upload);
static void      ngx_http_v2m_upload_failed(ngx_http_v2m_upload_t *upload);

static const ngx_http_v2m_upload_kind_t ngx_http_v2m_upload_whole = {
    ngx_http_v2m_upload_start,   NULL,
    ngx_http_v2m_quota_exceeded, ngx_http_v2m_upload_end,
    ngx_http_v2m_upload_lost,    ngx_http_v2m_upload_answer,
    ngx_http_v2m_upload_failed,  ngx_http_v2m_upload_drop
};


ngx_int_t
ngx_http_v2m_upload_handler(ngx_http_request_t *r)
{
    ngx_int_t              rc;
    ngx_http_v2m_upload_t *upload;

    if (r->method != NGX_HTTP_POST && r->method != NGX_HTTP_PUT) {
        return ngx_http_v2m_method_not_allowed(r, "POST, PUT");
    }

    upload = ngx_http_v2m_upload_create(r, &ngx_http_v2m_upload_whole);
    if (upload == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_v2m_upload_path(upload);

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_upload_query(upload);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_upload_check(upload);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_upload_type(r, upload);
    }

    return rc == NGX_OK ? ngx_http_v2m_admission(upload) : rc;
}


ngx_http_v2m_upload_t *
ngx_http_v2m_upload_create(ngx_http_request_t               *r,
                           const ngx_http_v2m_upload_kind_t *kind)
{
    const char            *trace;
    ngx_http_v2m_ctx_t    *ctx;
    ngx_http_v2m_upload_t *upload;

    upload = ngx_pcalloc(r->pool, sizeof(ngx_http_v2m_upload_t));
    if (upload == NULL) {
        return NULL;
    }

    upload->request = r;
    upload->kind = kind;
    upload->mcf = ngx_http_get_module_main_conf(r, ngx_http_v2m_module);
    upload->lcf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_module);
    upload->chunk_size = upload->lcf->chunk_size;

    v2m_job_init(&upload->job);

    if (ngx_http_v2m_upload_store_init(upload) != NGX_OK) {
        return NULL;
    }

    ctx = ngx_http_v2m_find_ctx(r);

    v2m_id_generate(upload->job.id);
    ngx_memcpy(ctx->job, upload->job.id, sizeof(v2m_id_t));

    trace = ngx_http_v2m_traceparent(r);

    if (trace != NULL) {
        ngx_memcpy(upload->job.traceparent, trace, sizeof(v2m_traceparent_t));
    }

    upload->job.username = strdup(ctx->claims.username);

    return upload->job.username == NULL ? NULL : upload;
}


/* The name of a file sent as the body itself, as "curl -T FILE URL/" makes
 * it. */
static ngx_int_t
ngx_http_v2m_upload_path(ngx_http_v2m_upload_t *upload)
{
    ngx_str_t rest;

    if (ngx_http_v2m_path_rest(upload->request, &rest) != NGX_OK) {
        return NGX_HTTP_NOT_FOUND;
    }

    return ngx_http_v2m_upload_name(upload, rest.data, rest.len) == NGX_OK
               ? NGX_OK
               : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


ngx_int_t
ngx_http_v2m_upload_start(ngx_http_v2m_upload_t *upload)
{
    ngx_int_t           rc;
    ngx_http_v2m_ctx_t *ctx;
    ngx_http_request_t *r = upload->request;

    r->request_body_no_buffering = 1;
    r->request_body_in_file_only = 0;

    /* ngx_http_v2m_upload_read() finds the upload through this */
    ctx = ngx_http_v2m_find_ctx(r);
    ctx->upload = upload;

    rc = ngx_http_read_client_request_body(r, ngx_http_v2m_upload_body);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


/* Tells a multipart body from a file as it is, and refuses what is neither. */
static ngx_int_t
ngx_http_v2m_upload_type(ngx_http_request_t *r, ngx_http_v2m_upload_t *upload)
{
    int              rc;
    ngx_str_t       *type;
    v2m_error_t      error;
    v2m_multipart_t *reader;

    if (r->headers_in.content_type == NULL) {
        return NGX_OK;
    }

    type = &r->headers_in.content_type->value;

    if ((type->len >= 5
         && ngx_strncasecmp(type->data, (u_char *) "text/", 5) == 0)
        || (type->len >= 16
            && ngx_strncasecmp(type->data, (u_char *) "application/json", 16)
                   == 0))
    {
        return ngx_http_v2m_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                    "send the video as multipart/form-data or "
                                    "as the body itself, for example as "
                                    "application/octet-stream");
    }

    if (type->len < 10
        || ngx_strncasecmp(type->data, (u_char *) "multipart/", 10) != 0)
    {
        return NGX_OK;
    }

    reader = ngx_palloc(r->pool, sizeof(v2m_multipart_t));
    if (reader == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = v2m_multipart_init(reader, (char *) type->data, type->len, &error);

    if (rc == V2M_NOT_FOUND) {
        return ngx_http_v2m_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                    "the only multipart type supported is "
                                    "multipart/form-data");
    }

    if (rc != V2M_OK) {
        return ngx_http_v2m_failure(r, "read a Content-Type", rc, &error);
    }

    upload->reader = reader;

    return NGX_OK;
}


/* nginx's body reader is ready to give what arrives. */
static void
ngx_http_v2m_upload_body(ngx_http_request_t *r)
{
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);

    r->read_event_handler = ngx_http_v2m_upload_read;

    ngx_http_v2m_upload_process(ctx->upload);
}


static void
ngx_http_v2m_upload_read(ngx_http_request_t *r)
{
    ngx_http_v2m_ctx_t *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_v2m_module);

    ngx_http_v2m_upload_process(ctx->upload);
}


ngx_uint_t
ngx_http_v2m_upload_read_all(ngx_http_v2m_upload_t *upload)
{
    ngx_http_request_t *r = upload->request;

    return !r->reading_body
           && (r->request_body == NULL || r->request_body->bufs == NULL);
}


/* The store is slower than the client, which must not be blamed for it by a
 * time-out; TCP or HTTP/2 flow control slow it down. */
static void
ngx_http_v2m_upload_wait(ngx_http_v2m_upload_t *upload)
{
    ngx_event_t *rev;

    rev = upload->request->connection->read;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        upload->status = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


void
ngx_http_v2m_upload_process(ngx_http_v2m_upload_t *upload)
{
    ngx_int_t           rc;
    ngx_connection_t   *c;
    ngx_http_request_t *r;

    r = upload->request;
    c = r->connection;

    while (!upload->finishing) {
        if (c->error && upload->status == 0) {
            upload->status = NGX_HTTP_CLIENT_CLOSED_REQUEST;
        }

        if (upload->status) {
            ngx_http_v2m_upload_fail(upload);
            return;
        }

        rc = ngx_http_v2m_upload_consume(upload);

        if (rc == NGX_ERROR) {
            continue;
        }

        if (rc == NGX_AGAIN) {
            ngx_http_v2m_upload_wait(upload);
            return;
        }

        if (!r->reading_body) {
            upload->kind->ended(upload);

            if (upload->status == 0) {
                return;
            }

            continue;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            upload->status = rc;

        } else if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return;
        }
    }
}


/* NGX_OK: all that arrived was taken; NGX_AGAIN: there is no room for more;
 * NGX_ERROR: the upload's status is set. */
static ngx_int_t
ngx_http_v2m_upload_consume(ngx_http_v2m_upload_t *upload)
{
    size_t              room;
    ngx_buf_t          *b;
    ngx_int_t           rc;
    ngx_chain_t        *cl;
    ngx_http_request_t *r;

    r = upload->request;

    while (r->request_body && r->request_body->bufs) {
        cl = r->request_body->bufs;
        b = cl->buf;

        while (b->pos < b->last) {
            if (upload->reader) {
                rc = ngx_http_v2m_upload_part(upload, b);

                if (rc != NGX_OK) {
                    return rc;
                }

                continue;
            }

            room = ngx_min(ngx_http_v2m_upload_room(upload),
                           (size_t) (b->last - b->pos));

            if (room == 0) {
                return NGX_AGAIN;
            }

            if (ngx_http_v2m_upload_append(upload, b->pos, room) != NGX_OK) {
                return NGX_ERROR;
            }

            b->pos += room;
        }

        r->request_body->bufs = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    return NGX_OK;
}


/* A part of the multipart body is a file. */
static ngx_int_t
ngx_http_v2m_upload_file(ngx_http_v2m_upload_t *upload)
{
    v2m_multipart_t *reader = upload->reader;

    upload->counted = 1;

    if (++upload->files > 1) {
        upload->status = ngx_http_v2m_problem(
            upload->request, NGX_HTTP_BAD_REQUEST,
            "exactly one file is needed, but there are several");
        return NGX_ERROR;
    }

    if (ngx_http_v2m_upload_name(upload, (u_char *) reader->filename,
                                 ngx_strlen(reader->filename))
        != NGX_OK)
    {
        upload->status = NGX_HTTP_INTERNAL_SERVER_ERROR;
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* One event of the multipart reader. */
static ngx_int_t
ngx_http_v2m_upload_part(ngx_http_v2m_upload_t *upload, ngx_buf_t *b)
{
    int                   rc;
    size_t                room;
    v2m_error_t           error;
    v2m_multipart_t      *reader;
    const unsigned char  *position;
    ngx_http_request_t   *r;
    v2m_multipart_event_t event;

    r = upload->request;
    reader = upload->reader;

    room = ngx_http_v2m_upload_room(upload);
    if (room == 0) {
        return NGX_AGAIN;
    }

    room = ngx_min(room, (size_t) (b->last - b->pos));
    position = b->pos;

    rc = v2m_multipart_read(reader, &position, b->pos + room, &event, &error);

    b->pos = (u_char *) position;

    if (rc != V2M_OK) {
        upload->status =
            ngx_http_v2m_failure(r, "read a multipart body", rc, &error);
        return NGX_ERROR;
    }

    switch (event) {
    case V2M_MULTIPART_PART:
        upload->in_file = reader->has_filename;
        upload->counted = 0;

        /* a field for a file that was left empty has neither name nor data */

        return upload->in_file && reader->filename[0] != '\0'
                   ? ngx_http_v2m_upload_file(upload)
                   : NGX_OK;

    case V2M_MULTIPART_DATA:
        if (!upload->in_file) {
            return NGX_OK;
        }

        if (!upload->counted && ngx_http_v2m_upload_file(upload) != NGX_OK) {
            return NGX_ERROR;
        }

        return ngx_http_v2m_upload_append(upload, reader->data, reader->length);

    case V2M_MULTIPART_DONE:
        upload->complete = 1;
        return NGX_OK;

    default:
        return NGX_OK;
    }
}


/* The whole body was read. */
static void
ngx_http_v2m_upload_end(ngx_http_v2m_upload_t *upload)
{
    const char         *problem;
    ngx_http_request_t *r;

    r = upload->request;
    problem = NULL;

    if (upload->reader == NULL) {
        if (upload->length == 0) {
            problem = "there is no file: send it as multipart/form-data or "
                      "as the body itself";
        }

    } else if (!upload->complete) {
        problem = "the multipart body ends before its closing boundary";

    } else if (upload->files == 0) {
        problem = "exactly one file is needed, but there is none";
    }

    if (problem != NULL) {
        upload->status = ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST, problem);
        return;
    }

    ngx_http_v2m_upload_wait(upload);
    r->read_event_handler = ngx_http_block_reading;

    ngx_http_v2m_upload_finish(upload);
}


/* The sweep took the upload for abandoned: the client may repeat it. */
static ngx_int_t
ngx_http_v2m_upload_lost(ngx_http_v2m_upload_t *upload)
{
    return ngx_http_v2m_problem(upload->request, NGX_HTTP_SERVICE_UNAVAILABLE,
                                "the upload took too long, try again");
}


/* Ends an upload that fails, once nothing is in flight any more. */
static void
ngx_http_v2m_upload_fail(ngx_http_v2m_upload_t *upload)
{
    ngx_http_request_t *r = upload->request;

    ngx_http_v2m_upload_wait(upload);

    if (upload->in_flight > 0) {
        return;
    }

    if (r->reading_body) {
        /* nginx closes the connection then: let the answer say so */
        r->keepalive = 0;
    }

    r->read_event_handler = ngx_http_block_reading;

    upload->kind->failed(upload);
}


/* An error_page may keep the request, and a client that still sends the
 * connection, but not what was stored. */
static void
ngx_http_v2m_upload_failed(ngx_http_v2m_upload_t *upload)
{
    ngx_http_v2m_upload_drop(upload);
    ngx_http_v2m_upload_refuse(upload);
}


void
ngx_http_v2m_upload_refuse(ngx_http_v2m_upload_t *upload)
{
    ngx_int_t           rc;
    ngx_connection_t   *c;
    ngx_http_request_t *r;

    r = upload->request;
    c = r->connection;
    rc = upload->status;

    if (rc == NGX_HTTP_REQUEST_TIME_OUT && !c->error) {
        /* nginx itself would close the connection without a word */

        c->timedout = 0;
        c->read->timedout = 0;
        rc = ngx_http_special_response_handler(r, rc);
    }

    ngx_http_finalize_request(r, rc);
}
