/*
 * An incremental reader of multipart/form-data (RFC 7578, RFC 2046 section
 * 5.1).  It allocates nothing, keeps no copy of the data, and gives the same
 * events however its input is cut.
 */

#ifndef V2M_MULTIPART_H
#define V2M_MULTIPART_H

#include <stddef.h>

#include "v2m_error.h"

#define V2M_MULTIPART_BOUNDARY_MAX 70   /* RFC 2046 section 5.1.1 */
#define V2M_MULTIPART_HEADER_MAX   8192 /* one part's header lines, bytes */
#define V2M_MULTIPART_NAME_MAX     1024 /* field and file names, bytes */

typedef enum {
    V2M_MULTIPART_MORE, /* the input is used up: feed more */
    V2M_MULTIPART_PART, /* a part begins: name, filename, has_filename */
    V2M_MULTIPART_DATA, /* data, length: bytes of the part */
    V2M_MULTIPART_END,  /* the part is over */
    V2M_MULTIPART_DONE  /* the closing boundary was read */
} v2m_multipart_event_t;

typedef struct {
    /* of the part under way, set with V2M_MULTIPART_PART */
    char name[V2M_MULTIPART_NAME_MAX];
    char filename[V2M_MULTIPART_NAME_MAX]; /* UTF-8, no directories */
    int  has_filename;

    /* set with V2M_MULTIPART_DATA; points into the input or the reader */
    const unsigned char *data;
    size_t               length;

    /* the reader's own */
    int    state;
    size_t matched; /* of the delimiter */
    size_t assumed; /* of these, did not come as data */
    size_t delimiter_length;
    size_t header_length;
    char   delimiter[V2M_MULTIPART_BOUNDARY_MAX + 8];
    char   header[V2M_MULTIPART_HEADER_MAX];
} v2m_multipart_t;

/*
 * Finds the boundary in the value of a Content-Type header and makes the
 * reader ready.  V2M_NOT_FOUND: the type is not multipart/form-data;
 * V2M_INVALID: it is, but the boundary is missing or malformed.
 */
int v2m_multipart_init(v2m_multipart_t *reader, const char *content_type,
                       size_t length, v2m_error_t *error);

/*
 * Takes input from *position up to last, moves *position past what was used
 * and gives one event.  V2M_INVALID: the body is malformed, a part's header is
 * too long, or it is no form-data.
 */
int v2m_multipart_read(v2m_multipart_t *reader, const unsigned char **position,
                       const unsigned char *last, v2m_multipart_event_t *event,
                       v2m_error_t *error);

#endif /* V2M_MULTIPART_H */
