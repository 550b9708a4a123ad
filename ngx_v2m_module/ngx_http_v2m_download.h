/*
 * What the two halves of a download share: the look-up, and the stream.
 */

#ifndef NGX_HTTP_V2M_DOWNLOAD_H
#define NGX_HTTP_V2M_DOWNLOAD_H

#include "ngx_http_v2m_module.h"
#include "v2m_gridfs.h"

/*
 * Sends the body of the response whose header was sent: the MP3's bytes, or
 * the ranges of them that the header promises.  The file is copied; type is
 * the Content-Type of it.
 * Returns NGX_DONE when it goes on by itself and will finalize the request,
 * else what is passed to ngx_http_finalize_request().
 */
ngx_int_t ngx_http_v2m_download_stream(ngx_http_request_t      *r,
                                       v2m_mongo_t             *mongo,
                                       const v2m_gridfs_file_t *file,
                                       const char              *type);

#endif /* NGX_HTTP_V2M_DOWNLOAD_H */
