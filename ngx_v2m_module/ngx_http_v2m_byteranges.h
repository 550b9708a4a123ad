/*
 * What a response sends of a file, after nginx's range filter has decided on
 * Range, If-Range and max_ranges: the whole, a range, or several of them as
 * multipart/byteranges (RFC 9110 section 14.6).
 */

#ifndef NGX_HTTP_V2M_BYTERANGES_H
#define NGX_HTTP_V2M_BYTERANGES_H

#include "ngx_http_v2m_module.h"

/* Bytes of the file, with what stands before and after them in the body; both
 * texts are empty unless there are several ranges. */
typedef struct {
    off_t     first;
    off_t     end; /* the byte after the last one */
    ngx_str_t heading;
    ngx_str_t closing;
} ngx_http_v2m_byterange_t;

/*
 * The parts of the body, in their order, one at least; allocated from the
 * request's pool.  Called after the header was sent, with the length and the
 * type that it had before.  From then on nginx's filter lets the body through
 * as it comes: it can cut several ranges only out of a file that it is given
 * as one buffer.  Event loop only.  NULL: out of memory, or the header promises
 * another body.
 */
ngx_array_t *ngx_http_v2m_byteranges(ngx_http_request_t *r, off_t length,
                                     const char *type);

#endif /* NGX_HTTP_V2M_BYTERANGES_H */
