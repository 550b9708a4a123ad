/*
 * Resumable uploads, tus 1.0.0 (https://tus.io/protocols/resumable-upload), as
 * their files see them: ngx_http_v2m_tus.c has the directives, and tells of and
 * removes uploads, ngx_http_v2m_tus_create.c makes them,
 * ngx_http_v2m_tus_patch.c goes on with them, ngx_http_v2m_tus_piece.c takes
 * their bytes by way of the files of ngx_http_v2m_upload.h, and
 * ngx_http_v2m_tus_header.c reads and writes headers.  The store's side is
 * v2m_tus.h.  All on the event loop, unless said otherwise.
 */

#ifndef NGX_HTTP_V2M_TUS_H
#define NGX_HTTP_V2M_TUS_H

#include "ngx_http_v2m_upload.h"

#include "v2m_digest.h"
#include "v2m_tus.h"

/* Statuses that nginx has no names for: RFC 4918 section 11.3, and tus. */
#define NGX_HTTP_V2M_LOCKED            423
#define NGX_HTTP_V2M_CHECKSUM_MISMATCH 460

typedef struct {
    time_t expires; /* seconds an upload is kept without going on */
} ngx_http_v2m_tus_conf_t;

/* The bytes of one request, and the upload that they are a piece of. */
typedef struct {
    ngx_http_v2m_upload_t *upload;
    v2m_tus_t              tus;    /* its offset: where the piece begins */
    int64_t                offset; /* the same, as the client says */
    int64_t                length; /* of the upload, likewise; -1: not said */

    v2m_digest_t *digest; /* NULL: none was asked for, or it is right */
    u_char        checksum[V2M_DIGEST_MAX];
    size_t        checksum_size;

    ngx_event_t          timer;
    ngx_http_v2m_task_t *note;
    int64_t              noted;      /* durable, as the record says */
    int64_t              noted_seen; /* the upload's length then */
    ngx_msec_t           noted_at;

    unsigned creating : 1;
    unsigned with_body : 1; /* of the request that creates it */
    unsigned held : 1;      /* we have the lease */
    unsigned noting : 1;
} ngx_http_v2m_tus_request_t;

extern ngx_module_t ngx_http_v2m_tus_module;

/* POST and PATCH: content handlers. */
ngx_int_t ngx_http_v2m_tus_create(ngx_http_request_t *r);
ngx_int_t ngx_http_v2m_tus_patch(ngx_http_request_t *r, const v2m_id_t id);

/* What POST and PATCH begin with; NULL: out of memory. */
ngx_http_v2m_tus_request_t *ngx_http_v2m_tus_begin(ngx_http_request_t *r);

/* Begins to read the body, whose request has the lease. */
ngx_int_t ngx_http_v2m_tus_start(ngx_http_v2m_tus_request_t *request);

/* The answer to the request that made an upload. */
ngx_int_t ngx_http_v2m_tus_created(ngx_http_v2m_tus_request_t *request);

/* An answer without a body, from the headers set so far; returns what a content
 * handler does. */
ngx_int_t ngx_http_v2m_tus_send(ngx_http_request_t *r, ngx_uint_t status);

/* The largest upload taken, bytes; INT64_MAX: any. */
int64_t ngx_http_v2m_tus_limit(ngx_http_request_t *r);

/* Refuses an upload of more bytes; NGX_OK or the status. */
ngx_int_t ngx_http_v2m_tus_check_length(ngx_http_request_t *r, int64_t length);

/* A request header that is a number of bytes.  NGX_DECLINED: it is not there;
 * NGX_ERROR: it is none. */
ngx_int_t ngx_http_v2m_tus_number(ngx_http_request_t *r, const char *name,
                                  int64_t *number);

/* Whether the Content-Type is that of bytes for an upload. */
ngx_uint_t ngx_http_v2m_tus_is_piece(ngx_http_request_t *r);

/* Reads Upload-Checksum and Upload-Metadata; NGX_OK or the status to refuse
 * with. */
ngx_int_t ngx_http_v2m_tus_checksum(ngx_http_v2m_tus_request_t *request);
ngx_int_t ngx_http_v2m_tus_metadata(ngx_http_v2m_tus_request_t *request);

/* Adds headers to the answer; the names are static text.  NGX_OK or
 * NGX_ERROR. */
ngx_int_t ngx_http_v2m_tus_add(ngx_http_request_t *r, const char *name,
                               const char *value);
ngx_int_t ngx_http_v2m_tus_add_number(ngx_http_request_t *r, const char *name,
                                      int64_t number);
ngx_int_t ngx_http_v2m_tus_add_expires(ngx_http_request_t *r,
                                       int64_t             expires_ms);

#endif /* NGX_HTTP_V2M_TUS_H */
