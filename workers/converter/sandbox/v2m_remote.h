/*
 * Byte source, byte sink and progress over the channel to the parent.
 */

#ifndef V2M_REMOTE_H
#define V2M_REMOTE_H

#include <stdint.h>

#include "v2m_bytes.h"
#include "v2m_channel.h"
#include "v2m_error.h"

typedef struct {
    v2m_channel_t *channel;
    int64_t        length; /* of the source, bytes */
} v2m_remote_t;

/* Both refer to the remote, which must outlive them. */
void v2m_remote_source(v2m_remote_t *remote, v2m_byte_source_t *source);
void v2m_remote_sink(v2m_remote_t *remote, v2m_byte_sink_t *sink);

/* Tells the parent; data is the v2m_remote_t. */
int v2m_remote_progress(void *data, v2m_channel_phase_t phase, int percent,
                        v2m_error_t *error);

#endif /* V2M_REMOTE_H */
