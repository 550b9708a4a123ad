/*
 * From a media file to an MP3: the whole of it, over byte ranges.
 */

#ifndef V2M_TRANSCODING_H
#define V2M_TRANSCODING_H

#include <stdint.h>

#include "v2m_bytes.h"
#include "v2m_channel.h"
#include "v2m_error.h"
#include "v2m_options.h"

#define V2M_TRANSCODING_SOURCE 200

typedef struct {
    v2m_byte_source_t source;
    v2m_byte_sink_t   sink;
    v2m_options_t     options; /* checked already */
    int               threads; /* that may be used, at least 1 */

    /* Called whenever phase or percentage (-1: unknown) change; a failure ends
     * the transcoding. */
    int (*progress)(void *data, v2m_channel_phase_t phase, int percent,
                    v2m_error_t *error);
    void *progress_data;
} v2m_transcoding_t;

typedef struct {
    int64_t samples;                        /* of the MP3 */
    int     rate;                           /* of the MP3, Hz */
    int64_t length;                         /* of the MP3, bytes */
    char    source[V2M_TRANSCODING_SOURCE]; /* what it was made of */
} v2m_transcoded_t;

/*
 * V2M_INVALID: the fault is the file's, the text is for its owner; V2M_ERROR:
 * the fault is ours; else what source, sink or progress returned.
 */
int v2m_transcode(const v2m_transcoding_t *transcoding,
                  v2m_transcoded_t *transcoded, v2m_error_t *error);

#endif /* V2M_TRANSCODING_H */
