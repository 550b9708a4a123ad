/*
 * The Content-Disposition of an MP3.
 */

#ifndef NGX_HTTP_V2M_DISPOSITION_H
#define NGX_HTTP_V2M_DISPOSITION_H

#include "ngx_http_v2m_module.h"

/*
 * Makes an attachment's header value (RFC 6266) for the video's name, its
 * extension replaced by ".mp3": a filename in ASCII and, when that is not the
 * whole truth, a filename* (RFC 8187).  name may be NULL.
 */
ngx_int_t ngx_http_v2m_disposition(ngx_http_request_t *r, const char *name,
                                   ngx_str_t *value);

#endif /* NGX_HTTP_V2M_DISPOSITION_H */
