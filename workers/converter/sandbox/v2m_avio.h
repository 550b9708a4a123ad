/*
 * FFmpeg's view of byte sources: seekable AVIOContexts.
 */

#ifndef V2M_AVIO_H
#define V2M_AVIO_H

#include <stdint.h>
#include <libavformat/avio.h>

#include "v2m_bytes.h"
#include "v2m_error.h"

typedef struct {
    AVIOContext      *context;
    v2m_byte_source_t source;
    int64_t           offset; /* of the next byte */
    int64_t           length; /* of the source */
    v2m_error_t       error;  /* the first failure; code V2M_OK: none */
} v2m_avio_t;

/* The v2m_avio_t must stay where it is until v2m_avio_close(). */
int v2m_avio_open(v2m_avio_t *avio, const v2m_byte_source_t *source,
                  v2m_error_t *error);

/* Frees the context.  To be called once for each v2m_avio_t that was opened or
 * set to zero. */
void v2m_avio_close(v2m_avio_t *avio);

#endif /* V2M_AVIO_H */
