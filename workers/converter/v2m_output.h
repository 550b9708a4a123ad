/*
 * An MP3 on its way into GridFS: chunks are stored as they fill up, but for
 * those with bytes that the transcoder writes again at the end.  The file
 * becomes visible with v2m_output_finish().
 */

#ifndef V2M_OUTPUT_H
#define V2M_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_gridfs.h"
#include "v2m_id.h"
#include "v2m_mongo.h"

/* Chunks that are held back: what is kept may lie over the border of two. */
#define V2M_OUTPUT_HELD 2

typedef struct {
    v2m_mongo_t   *mongo;
    v2m_id_t       id;     /* fresh for each attempt */
    int64_t        length; /* bytes so far */
    int            stored; /* chunks may be in the store */
    int64_t        kept;   /* where the bytes kept begin, -1: none are */
    unsigned char *held[V2M_OUTPUT_HELD]; /* the chunks with these, once full */
    unsigned char *chunk;                 /* the one being filled */
} v2m_output_t;

/* Makes a fresh id; stores nothing yet.  To be closed with
 * v2m_output_close(). */
void v2m_output_init(v2m_output_t *output, v2m_mongo_t *mongo);

/* Frees the memory. */
void v2m_output_close(v2m_output_t *output);

/* V2M_CHANNEL_KEPT bytes from the offset on may be written again.  To be
 * called once, before one of them is written. */
int v2m_output_keep(v2m_output_t *output, int64_t offset, v2m_error_t *error);

/* Takes bytes at the end of what was written, or again some that are kept.
 * V2M_CORRUPT: anywhere else. */
int v2m_output_write(v2m_output_t *output, int64_t offset,
                     const unsigned char *bytes, size_t length,
                     v2m_error_t *error);

/* Drops all that was written, and what was kept; the id stays. */
int v2m_output_restart(v2m_output_t *output, v2m_error_t *error);

/* Stores the rest, the chunks held back and the files document.  The name may
 * be NULL. */
int v2m_output_finish(v2m_output_t *output, const char *name,
                      v2m_error_t *error);

/* Deletes whatever was stored of it. */
int v2m_output_discard(v2m_output_t *output, v2m_error_t *error);

#endif /* V2M_OUTPUT_H */
