/*
 * One conversion: starts the transcoder, gives it the video's bytes, takes
 * the MP3's, and watches over it.
 */

#ifndef V2M_CONVERSION_H
#define V2M_CONVERSION_H

#include <stdint.h>

#include "v2m_error.h"
#include "v2m_gridfs.h"
#include "v2m_mongo.h"
#include "v2m_options.h"
#include "v2m_output.h"
#include "v2m_session.h"

#define V2M_CONVERSION_SOURCE 201

/* Settings, the same for all conversions. */
typedef struct {
    const char *transcoder; /* path of v2m-transcode */
    int         threads;    /* that one transcoder may use */
    int64_t     limit_ms;   /* for a whole conversion */
    int64_t     stall_ms;   /* for the transcoder to say something */
    int (*stopping)(void);  /* a conversion gives up when it says 1 */
} v2m_conversion_settings_t;

typedef struct {
    const v2m_conversion_settings_t *settings;
    v2m_mongo_t                     *mongo;
    const char                      *job; /* its id */
    const v2m_options_t             *options;
    const v2m_gridfs_file_t         *video;
    v2m_output_t                    *output;

    /* the results */
    int64_t             duration_ms;                   /* of the MP3 */
    char                source[V2M_CONVERSION_SOURCE]; /* what the audio was */
    v2m_session_fault_t fault;                         /* of V2M_INVALID */
    int64_t             read_us;  /* waiting for the video */
    int64_t             write_us; /* writing the MP3 */
} v2m_conversion_t;

/*
 * Fills the output, which is neither finished nor discarded here; progress
 * goes to the job's record.  Blocks.
 * V2M_INVALID: the fault is the file's, the text tells its owner;
 * V2M_UNAVAILABLE, V2M_ERROR: another attempt may succeed.
 */
int v2m_conversion_run(v2m_conversion_t *conversion, v2m_error_t *error);

#endif /* V2M_CONVERSION_H */
