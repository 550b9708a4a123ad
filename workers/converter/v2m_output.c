#include "v2m_output.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define V2M_OUTPUT_CHUNK V2M_GRIDFS_CHUNK_SIZE

/* Numbers of chunks are 32 bits wide. */
#define V2M_OUTPUT_MAX ((int64_t) INT32_MAX * V2M_OUTPUT_CHUNK)


void
v2m_output_init(v2m_output_t *output, v2m_mongo_t *mongo)
{
    memset(output, 0, sizeof(*output));
    output->mongo = mongo;
    v2m_id_generate(output->id);
}


void
v2m_output_close(v2m_output_t *output)
{
    free(output->first);
    free(output->chunk);
    output->first = NULL;
    output->chunk = NULL;
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


/* Where the byte at the end of what was written belongs. */
static unsigned char *
v2m_output_buffer(v2m_output_t *output)
{
    unsigned char **buffer;

    buffer =
        output->length < V2M_OUTPUT_CHUNK ? &output->first : &output->chunk;

    if (*buffer == NULL) {
        *buffer = malloc(V2M_OUTPUT_CHUNK);
    }

    return *buffer;
}


static int
v2m_output_append(v2m_output_t *output, const unsigned char *bytes,
                  size_t length, v2m_error_t *error)
{
    int            rc;
    size_t         used, n;
    unsigned char *buffer;

    while (length > 0) {
        buffer = v2m_output_buffer(output);
        if (buffer == NULL) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }

        used = (size_t) (output->length % V2M_OUTPUT_CHUNK);
        n = V2M_OUTPUT_CHUNK - used < length ? V2M_OUTPUT_CHUNK - used : length;

        memcpy(buffer + used, bytes, n);
        output->length += (int64_t) n;
        bytes += n;
        length -= n;

        if (used + n == V2M_OUTPUT_CHUNK && buffer == output->chunk) {
            rc = v2m_output_store(
                output, (int32_t) (output->length / V2M_OUTPUT_CHUNK - 1),
                buffer, V2M_OUTPUT_CHUNK, error);
            if (rc != V2M_OK) {
                return rc;
            }
        }
    }

    return V2M_OK;
}


int
v2m_output_write(v2m_output_t *output, int64_t offset,
                 const unsigned char *bytes, size_t length, v2m_error_t *error)
{
    size_t  again;
    int64_t end;

    if (offset < 0 || offset > output->length
        || (int64_t) length > V2M_OUTPUT_MAX - offset)
    {
        return v2m_error_set(error, V2M_CORRUPT,
                             "a write at %lld, while the MP3 ends at %lld",
                             (long long) offset, (long long) output->length);
    }

    /* what of it was written before */

    again = (size_t) (output->length - offset) < length
                ? (size_t) (output->length - offset)
                : length;
    end = offset + (int64_t) again;

    if (again > 0) {
        if (end > V2M_OUTPUT_CHUNK) {
            return v2m_error_set(error, V2M_CORRUPT,
                                 "a second write at %lld of the MP3",
                                 (long long) offset);
        }

        memcpy(output->first + offset, bytes, again);
    }

    return v2m_output_append(output, bytes + again, length - again, error);
}


int
v2m_output_finish(v2m_output_t *output, const char *name, v2m_error_t *error)
{
    int               rc;
    size_t            used;
    v2m_gridfs_file_t file;

    used = (size_t) (output->length % V2M_OUTPUT_CHUNK);

    if (output->length > V2M_OUTPUT_CHUNK && used > 0) {
        rc = v2m_output_store(output,
                              (int32_t) (output->length / V2M_OUTPUT_CHUNK),
                              output->chunk, used, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    if (output->length > 0) {
        rc = v2m_output_store(output, 0, output->first,
                              output->length < V2M_OUTPUT_CHUNK
                                  ? (size_t) output->length
                                  : V2M_OUTPUT_CHUNK,
                              error);
        if (rc != V2M_OK) {
            return rc;
        }
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
