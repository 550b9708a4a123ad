/*
 * GridFS at the level of chunks, exactly the GridFS specification
 * (https://github.com/mongodb/specifications, source/gridfs/gridfs-spec.md),
 * bucket "fs", collections fs.files and fs.chunks.
 *
 * The driver's own bucket writes one chunk at a time and cannot seek; here
 * the caller decides how many chunks go in one command and how many commands
 * are under way.  All functions block and may be called from any thread.
 */

#ifndef V2M_GRIDFS_H
#define V2M_GRIDFS_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_id.h"
#include "v2m_mongo.h"

/* The databases that hold a bucket (compatible with the tutorial stack). */
#define V2M_VIDEOS "videos"
#define V2M_MP3S   "mp3s"

/* The specification's default: 255 KiB, so that a document of a chunk and
 * its fields fits a power of two. */
#define V2M_GRIDFS_CHUNK_SIZE (255 * 1024)

typedef struct {
    v2m_id_t id;
    int64_t  length;         /* bytes */
    int32_t  chunk_size;     /* bytes; every chunk but the last is as long */
    int64_t  upload_date_ms; /* since the epoch, UTC */
    char    *filename;       /* malloc'ed UTF-8, NULL when the file has none */
} v2m_gridfs_file_t;

typedef struct {
    const unsigned char *data;
    size_t               length;
} v2m_gridfs_chunk_t;

/*
 * Inserts chunks first, first + 1, ... of a file with one command.  Each but
 * the file's last must be chunk_size bytes long.  A repeated call after
 * V2M_UNAVAILABLE may give V2M_CONFLICT: the first one had arrived.
 */
int v2m_gridfs_insert_chunks(v2m_mongo_t *mongo, const char *database,
                             const v2m_id_t file_id, int32_t first,
                             const v2m_gridfs_chunk_t *chunks, size_t count,
                             v2m_error_t *error);

/* Makes the files document, which makes the file visible.  The upload date is
 * set to now.  All chunks must be there already. */
int v2m_gridfs_insert_file(v2m_mongo_t *mongo, const char *database,
                           v2m_gridfs_file_t *file, v2m_error_t *error);

/* V2M_NOT_FOUND: no such file; V2M_CORRUPT: its document is unusable.
 * The file is to be freed with v2m_gridfs_file_free(). */
int v2m_gridfs_find_file(v2m_mongo_t *mongo, const char *database,
                         const v2m_id_t file_id, v2m_gridfs_file_t *file,
                         v2m_error_t *error);

void v2m_gridfs_file_free(v2m_gridfs_file_t *file);

/*
 * The length that chunk n of the file must have, 0 beyond the end.
 */
size_t v2m_gridfs_chunk_length(const v2m_gridfs_file_t *file, int32_t n);

/*
 * Reads chunks first .. first + count - 1 one after the other into the
 * buffer, which must have room for all of them.  Ask for few at a time: some
 * servers do not limit a reply.
 * V2M_CORRUPT: a chunk is missing, doubled, or not of its proper length.
 */
int v2m_gridfs_read_chunks(v2m_mongo_t *mongo, const char *database,
                           const v2m_gridfs_file_t *file, int32_t first,
                           int32_t count, unsigned char *buffer,
                           v2m_error_t *error);

/* Deletes the files document, then the chunks, whichever of them exist. */
int v2m_gridfs_delete(v2m_mongo_t *mongo, const char *database,
                      const v2m_id_t file_id, v2m_error_t *error);

/* Deletes one chunk, if it is there. */
int v2m_gridfs_delete_chunk(v2m_mongo_t *mongo, const char *database,
                            const v2m_id_t file_id, int32_t n,
                            v2m_error_t *error);

/* Appends the _ids of those of the chunks first .. first + count - 1 that are
 * there to *ids, an array that was initialized; then deletes those alone. */
int v2m_gridfs_list_chunks(v2m_mongo_t *mongo, const char *database,
                           const v2m_id_t file_id, int32_t first, int32_t count,
                           bson_t *ids, v2m_error_t *error);
int v2m_gridfs_delete_listed(v2m_mongo_t *mongo, const char *database,
                             const bson_t *ids, v2m_error_t *error);

/* Makes the specification's indexes of a bucket if they are not there. */
int v2m_gridfs_prepare(v2m_mongo_t *mongo, const char *database,
                       v2m_error_t *error);

#endif /* V2M_GRIDFS_H */
