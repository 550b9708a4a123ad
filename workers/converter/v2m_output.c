#include "v2m_output.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_channel.h"

#define V2M_OUTPUT_CHUNK V2M_GRIDFS_CHUNK_SIZE

/* Numbers of chunks are 32 bits wide. */
#define V2M_OUTPUT_MAX ((int64_t) INT32_MAX * V2M_OUTPUT_CHUNK)


void
v2m_output_init(v2m_output_t *output, v2m_mongo_t *mongo)
{
    memset(output, 0, sizeof(*output));
    output->mongo = mongo;
    output->kept = -1;
    v2m_id_generate(output->id);
}


void
v2m_output_close(v2m_output_t *output)
{
    int i;

    for (i = 0; i < V2M_OUTPUT_HELD; i++) {
        free(output->held[i]);
        output->held[i] = NULL;
    }

    free(output->chunk);
    output->chunk = NULL;
}


int
v2m_output_keep(v2m_output_t *output, int64_t offset, v2m_error_t *error)
{
    if (output->kept != -1 || offset < output->length) {
        return v2m_error_set(error, V2M_CORRUPT,
                             "bytes at %lld of the MP3 cannot be kept any more",
                             (long long) offset);
    }

    output->kept = offset;

    return V2M_OK;
}


static int
v2m_output_store(v2m_output_t *output, int32_t n, const unsigned char *data,
                 size_t length, v2m_error_t *error)
{
    v2m_gridfs_chunk_t chunk;

    chunk.data = data;
    chunk.length = length;
    output->stored = 1;

    return v2m_gridfs_insert_chunks(output->mongo, V2M_MP3S, output->id, n,
                                    &chunk, 1, error);
}


/* Which of the chunks held back the n-th chunk is; NULL: none of them. */
static unsigned char **
v2m_output_held(v2m_output_t *output, int64_t n)
{
    int64_t first;

    first = output->kept / V2M_OUTPUT_CHUNK;

    if (output->kept == -1 || n < first
        || n * V2M_OUTPUT_CHUNK >= output->kept + V2M_CHANNEL_KEPT)
    {
        return NULL;
    }

    return &output->held[n - first];
}


/* The chunk being filled is full. */
static int
v2m_output_full(v2m_output_t *output, v2m_error_t *error)
{
    int64_t         n;
    unsigned char **held;

    n = output->length / V2M_OUTPUT_CHUNK - 1;
    held = v2m_output_held(output, n);

    if (held != NULL) {
        *held = output->chunk;
        output->chunk = NULL;
        return V2M_OK;
    }

    return v2m_output_store(output, (int32_t) n, output->chunk,
                            V2M_OUTPUT_CHUNK, error);
}


static int
v2m_output_append(v2m_output_t *output, const unsigned char *bytes,
                  size_t length, v2m_error_t *error)
{
    int    rc;
    size_t used, n;

    while (length > 0) {
        if (output->chunk == NULL) {
            output->chunk = malloc(V2M_OUTPUT_CHUNK);
            if (output->chunk == NULL) {
                return v2m_error_set(error, V2M_ERROR, "out of memory");
            }
        }

        used = (size_t) (output->length % V2M_OUTPUT_CHUNK);
        n = V2M_OUTPUT_CHUNK - used < length ? V2M_OUTPUT_CHUNK - used : length;

        memcpy(output->chunk + used, bytes, n);
        output->length += (int64_t) n;
        bytes += n;
        length -= n;

        if (used + n == V2M_OUTPUT_CHUNK) {
            rc = v2m_output_full(output, error);
            if (rc != V2M_OK) {
                return rc;
            }
        }
    }

    return V2M_OK;
}


/* Writes bytes again, which are all there and kept. */
static void
v2m_output_rewrite(v2m_output_t *output, int64_t offset,
                   const unsigned char *bytes, size_t length)
{
    size_t         i;
    int64_t        n;
    unsigned char *chunk;

    for (i = 0; i < length; i++, offset++) {
        n = offset / V2M_OUTPUT_CHUNK;
        chunk = n == output->length / V2M_OUTPUT_CHUNK
                    ? output->chunk
                    : *v2m_output_held(output, n);
        chunk[offset % V2M_OUTPUT_CHUNK] = bytes[i];
    }
}


int
v2m_output_write(v2m_output_t *output, int64_t offset,
                 const unsigned char *bytes, size_t length, v2m_error_t *error)
{
    int64_t end;

    if (offset < 0 || (int64_t) length > V2M_OUTPUT_MAX - offset) {
        return v2m_error_set(error, V2M_CORRUPT, "the MP3 is too long");
    }

    if (offset == output->length) {
        return v2m_output_append(output, bytes, length, error);
    }

    end = offset + (int64_t) length;

    if (output->kept == -1 || offset < output->kept || end > output->length
        || end > output->kept + V2M_CHANNEL_KEPT)
    {
        return v2m_error_set(error, V2M_CORRUPT,
                             "a write at %lld, while the MP3 ends at %lld",
                             (long long) offset, (long long) output->length);
    }

    v2m_output_rewrite(output, offset, bytes, length);

    return V2M_OK;
}


int
v2m_output_restart(v2m_output_t *output, v2m_error_t *error)
{
    int rc;

    rc = v2m_output_discard(output, error);

    if (rc == V2M_OK) {
        v2m_output_close(output);
        output->length = 0;
        output->stored = 0;
        output->kept = -1;
    }

    return rc;
}


static int
v2m_output_finish_chunks(v2m_output_t *output, v2m_error_t *error)
{
    int    i, rc;
    size_t used;

    used = (size_t) (output->length % V2M_OUTPUT_CHUNK);
    rc = V2M_OK;

    if (used > 0) {
        rc = v2m_output_store(output,
                              (int32_t) (output->length / V2M_OUTPUT_CHUNK),
                              output->chunk, used, error);
    }

    for (i = 0; rc == V2M_OK && i < V2M_OUTPUT_HELD; i++) {
        if (output->held[i] != NULL) {
            rc = v2m_output_store(
                output, (int32_t) (output->kept / V2M_OUTPUT_CHUNK) + i,
                output->held[i], V2M_OUTPUT_CHUNK, error);
        }
    }

    return rc;
}


int
v2m_output_finish(v2m_output_t *output, const char *name, v2m_error_t *error)
{
    int               rc;
    v2m_gridfs_file_t file;

    rc = v2m_output_finish_chunks(output, error);
    if (rc != V2M_OK) {
        return rc;
    }

    memset(&file, 0, sizeof(file));
    memcpy(file.id, output->id, sizeof(v2m_id_t));
    file.length = output->length;
    file.chunk_size = V2M_OUTPUT_CHUNK;
    file.filename = (char *) name;

    output->stored = 1;

    return v2m_gridfs_insert_file(output->mongo, V2M_MP3S, &file, error);
}


int
v2m_output_discard(v2m_output_t *output, v2m_error_t *error)
{
    if (!output->stored) {
        return V2M_OK;
    }

    return v2m_gridfs_delete(output->mongo, V2M_MP3S, output->id, error);
}
