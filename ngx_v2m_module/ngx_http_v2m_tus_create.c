/*
 * POST of a resumable upload: makes it, and takes its first bytes if there are
 * some in the request.
 */

#include "ngx_http_v2m_tus.h"

#include "ngx_http_v2m_problem.h"
#include "ngx_http_v2m_response.h"


/* Upload-Length, or Upload-Defer-Length; NGX_OK or the status to refuse
 * with. */
static ngx_int_t
ngx_http_v2m_tus_length(ngx_http_v2m_tus_request_t *request)
{
    int64_t             length;
    ngx_int_t           rc;
    ngx_str_t          *deferred;
    ngx_http_request_t *r = request->upload->request;

    rc = ngx_http_v2m_tus_number(r, "upload-length", &length);
    deferred = ngx_http_v2m_find_header(r, "upload-defer-length");

    if (rc == NGX_DECLINED && deferred != NULL && deferred->len == 1
        && deferred->data[0] == '1')
    {
        return NGX_OK;
    }

    if (rc != NGX_OK || deferred != NULL) {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "either Upload-Length, in bytes, or "
                                    "\"Upload-Defer-Length: 1\" is needed");
    }

    if (length == 0) {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "there is no file: Upload-Length is 0");
    }

    rc = ngx_http_v2m_tus_check_length(r, length);

    if (rc != NGX_OK) {
        return rc;
    }

    request->tus.length = length;
    request->upload->job.size = length;

    return NGX_OK;
}


ngx_int_t
ngx_http_v2m_tus_create(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_v2m_upload_t      *upload;
    ngx_http_v2m_tus_conf_t    *conf;
    ngx_http_v2m_tus_request_t *request;

    request = ngx_http_v2m_tus_begin(r);
    if (request == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    upload = request->upload;
    request->creating = 1;
    request->with_body = ngx_http_v2m_tus_is_piece(r);

    if (!request->with_body && r->headers_in.content_length_n > 0) {
        return ngx_http_v2m_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                    "the bytes of an upload are sent as "
                                    "application/offset+octet-stream");
    }

    if (ngx_http_v2m_find_header(r, "upload-concat") != NULL) {
        return ngx_http_v2m_problem(r, NGX_HTTP_BAD_REQUEST,
                                    "uploads are not joined here "
                                    "(Upload-Concat): send the file as one");
    }

    rc = ngx_http_v2m_tus_length(request);

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_tus_checksum(request);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_tus_metadata(request);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_upload_query(upload);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_v2m_upload_check(upload);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    conf = ngx_http_get_module_loc_conf(r, ngx_http_v2m_tus_module);

    request->tus.chunk_size = upload->chunk_size;
    request->tus.keep_ms = (int64_t) conf->expires * 1000;

    if (request->with_body) {
        v2m_id_generate(request->tus.owner);
    }

    upload->tus = &request->tus;

    return ngx_http_v2m_admission(upload);
}


ngx_int_t
ngx_http_v2m_tus_created(ngx_http_v2m_tus_request_t *request)
{
    ngx_str_t              location;
    ngx_http_request_t    *r;
    ngx_http_v2m_upload_t *upload;

    upload = request->upload;
    r = upload->request;

    location.data = ngx_pnalloc(r->pool, r->uri.len + 1 + V2M_ID_LENGTH);
    if (location.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    location.len = ngx_sprintf(location.data, "%V%s%s", &r->uri,
                               r->uri.data[r->uri.len - 1] == '/' ? "" : "/",
                               upload->job.id)
                   - location.data;

    return ngx_http_v2m_add_header(r, "Location", &location) == NULL
               ? NGX_HTTP_INTERNAL_SERVER_ERROR
               : ngx_http_v2m_tus_send(r, NGX_HTTP_CREATED);
}
