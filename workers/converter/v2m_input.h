/*
 * A video in GridFS as byte ranges: a few chunks are kept, and while they are
 * read in order the next ones are fetched ahead, so that whoever reads does
 * not wait for the store.  Memory is bounded whatever the video's size.
 */

#ifndef V2M_INPUT_H
#define V2M_INPUT_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_gridfs.h"
#include "v2m_mongo.h"

typedef struct v2m_input_s v2m_input_t;

/*
 * Called while a read waits for the store, several times a second.  A result
 * other than V2M_OK ends the wait and becomes its result.
 */
typedef int (*v2m_input_wait_pt)(void *data, v2m_error_t *error);

/* Starts the threads that fetch.  mongo and file must outlive the input. */
int v2m_input_create(v2m_input_t **input, v2m_mongo_t *mongo,
                     const v2m_gridfs_file_t *file, v2m_input_wait_pt wait,
                     void *data, v2m_error_t *error);

/* Waits for fetches that are under way.  NULL is allowed. */
void v2m_input_destroy(v2m_input_t *input);

/*
 * Gives up to length bytes at the offset, as many as there are in their
 * chunk: at least 1, unless the file ends there.  *bytes is valid until the
 * next read.  For one thread.  V2M_CORRUPT: a chunk is missing or not of its
 * proper length; V2M_UNAVAILABLE: no store; else the wait's result.
 */
int v2m_input_read(v2m_input_t *input, int64_t offset, size_t length,
                   const unsigned char **bytes, size_t *got,
                   v2m_error_t *error);

#endif /* V2M_INPUT_H */
