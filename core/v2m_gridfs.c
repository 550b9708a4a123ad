#include "v2m_gridfs.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_pause.h"

#define V2M_GRIDFS_FILES  "fs.files"
#define V2M_GRIDFS_CHUNKS "fs.chunks"

/* Where v2m_gridfs_take_chunk() is within a reply. */
typedef struct {
    const v2m_gridfs_file_t *file;
    int32_t                  next;
    int32_t                  end;
    unsigned char           *buffer;
} v2m_gridfs_reading_t;

/* The chunks of one command. */
typedef struct {
    bson_oid_t                file_id;
    int32_t                   first;
    const v2m_gridfs_chunk_t *chunks;
} v2m_gridfs_insert_t;


static void
v2m_gridfs_chunk_document(void *data, size_t i, bson_t *document)
{
    bson_oid_t                oid;
    v2m_gridfs_insert_t      *insert = data;
    const v2m_gridfs_chunk_t *chunk = &insert->chunks[i];

    bson_oid_init(&oid, NULL);

    BSON_APPEND_OID(document, "_id", &oid);
    BSON_APPEND_OID(document, "files_id", &insert->file_id);
    BSON_APPEND_INT32(document, "n", insert->first + (int32_t) i);
    BSON_APPEND_BINARY(document, "data", BSON_SUBTYPE_BINARY, chunk->data,
                       (uint32_t) chunk->length);
}


int
v2m_gridfs_insert_chunks(v2m_mongo_t *mongo, const char *database,
                         const v2m_id_t file_id, int32_t first,
                         const v2m_gridfs_chunk_t *chunks, size_t count,
                         v2m_error_t *error)
{
    v2m_gridfs_insert_t insert;

    bson_oid_init_from_string(&insert.file_id, file_id);
    insert.first = first;
    insert.chunks = chunks;

    return v2m_mongo_insert_made(mongo, database, V2M_GRIDFS_CHUNKS,
                                 v2m_gridfs_chunk_document, &insert, count,
                                 error);
}


int
v2m_gridfs_insert_file(v2m_mongo_t *mongo, const char *database,
                       v2m_gridfs_file_t *file, v2m_error_t *error)
{
    int           rc;
    bson_t        document;
    bson_oid_t    oid;
    const bson_t *pointer;

    file->upload_date_ms = v2m_wall_ms();

    bson_oid_init_from_string(&oid, file->id);

    bson_init(&document);
    BSON_APPEND_OID(&document, "_id", &oid);
    BSON_APPEND_INT64(&document, "length", file->length);
    BSON_APPEND_INT32(&document, "chunkSize", file->chunk_size);
    BSON_APPEND_DATE_TIME(&document, "uploadDate", file->upload_date_ms);

    if (file->filename != NULL) {
        BSON_APPEND_UTF8(&document, "filename", file->filename);
    }

    pointer = &document;
    rc =
        v2m_mongo_insert(mongo, database, V2M_GRIDFS_FILES, &pointer, 1, error);

    bson_destroy(&document);

    return rc;
}


/* A field that is a number, of whatever type; -1 when it is none. */
static int64_t
v2m_gridfs_number(const bson_t *document, const char *field)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, document, field)
                   && BSON_ITER_HOLDS_NUMBER(&iter)
               ? bson_iter_as_int64(&iter)
               : -1;
}


static int
v2m_gridfs_take_file(void *data, const bson_t *document, v2m_error_t *error)
{
    int64_t            chunk_size;
    bson_iter_t        iter;
    v2m_gridfs_file_t *file = data;

    file->length = v2m_gridfs_number(document, "length");
    chunk_size = v2m_gridfs_number(document, "chunkSize");

    if (file->length < 0 || chunk_size <= 0 || chunk_size > INT32_MAX
        || file->length / chunk_size >= INT32_MAX)
    {
        return v2m_error_set(error, V2M_CORRUPT,
                             "the files document of %s has no usable length "
                             "and chunkSize",
                             file->id);
    }

    file->chunk_size = (int32_t) chunk_size;

    if (bson_iter_init_find(&iter, document, "uploadDate")
        && BSON_ITER_HOLDS_DATE_TIME(&iter))
    {
        file->upload_date_ms = bson_iter_date_time(&iter);
    }

    if (bson_iter_init_find(&iter, document, "filename")
        && BSON_ITER_HOLDS_UTF8(&iter))
    {
        file->filename = strdup(bson_iter_utf8(&iter, NULL));

        if (file->filename == NULL) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }
    }

    return V2M_OK;
}


int
v2m_gridfs_find_file(v2m_mongo_t *mongo, const char *database,
                     const v2m_id_t file_id, v2m_gridfs_file_t *file,
                     v2m_error_t *error)
{
    int        rc;
    bson_t     filter, opts;
    bson_oid_t oid;

    memset(file, 0, sizeof(v2m_gridfs_file_t));
    memcpy(file->id, file_id, sizeof(v2m_id_t));

    bson_oid_init_from_string(&oid, file_id);

    bson_init(&filter);
    BSON_APPEND_OID(&filter, "_id", &oid);

    bson_init(&opts);
    BSON_APPEND_INT64(&opts, "limit", 1);

    rc = v2m_mongo_find(mongo, database, V2M_GRIDFS_FILES, &filter, &opts,
                        v2m_gridfs_take_file, file, error);

    bson_destroy(&opts);
    bson_destroy(&filter);

    /* v2m_gridfs_take_file() never leaves a chunk size of 0 */

    if (rc == V2M_OK && file->chunk_size == 0) {
        rc = v2m_error_set(error, V2M_NOT_FOUND, "there is no file %s in %s",
                           file_id, database);
    }

    if (rc != V2M_OK) {
        v2m_gridfs_file_free(file);
    }

    return rc;
}


void
v2m_gridfs_file_free(v2m_gridfs_file_t *file)
{
    free(file->filename);
    file->filename = NULL;
}


size_t
v2m_gridfs_chunk_length(const v2m_gridfs_file_t *file, int32_t n)
{
    int64_t rest;

    rest = file->length - (int64_t) n * file->chunk_size;

    if (n < 0 || rest <= 0) {
        return 0;
    }

    return rest < file->chunk_size ? (size_t) rest : (size_t) file->chunk_size;
}


static int
v2m_gridfs_take_chunk(void *data, const bson_t *document, v2m_error_t *error)
{
    size_t                expected;
    int64_t               n;
    uint32_t              length;
    bson_iter_t           iter;
    const uint8_t        *bytes;
    bson_subtype_t        subtype;
    v2m_gridfs_reading_t *reading = data;

    n = v2m_gridfs_number(document, "n");

    if (n != reading->next || n >= reading->end) {
        return v2m_error_set(error, V2M_CORRUPT,
                             "chunk %d of file %s is missing or doubled",
                             reading->next, reading->file->id);
    }

    if (!bson_iter_init_find(&iter, document, "data")
        || !BSON_ITER_HOLDS_BINARY(&iter))
    {
        return v2m_error_set(error, V2M_CORRUPT,
                             "chunk %d of file %s has no data", reading->next,
                             reading->file->id);
    }

    bson_iter_binary(&iter, &subtype, &length, &bytes);

    expected = v2m_gridfs_chunk_length(reading->file, reading->next);

    if (length != expected) {
        return v2m_error_set(error, V2M_CORRUPT,
                             "chunk %d of file %s is %u bytes long instead of "
                             "%zu",
                             reading->next, reading->file->id, length,
                             expected);
    }

    memcpy(reading->buffer, bytes, length);

    reading->buffer += length;
    reading->next++;

    return V2M_OK;
}


/* Initializes a filter for the chunks first .. first + count - 1. */
static void
v2m_gridfs_filter_chunks(bson_t *filter, const v2m_id_t file_id, int32_t first,
                         int32_t count)
{
    bson_t     range;
    bson_oid_t oid;

    bson_oid_init_from_string(&oid, file_id);

    bson_init(filter);
    BSON_APPEND_OID(filter, "files_id", &oid);
    BSON_APPEND_DOCUMENT_BEGIN(filter, "n", &range);
    BSON_APPEND_INT32(&range, "$gte", first);
    BSON_APPEND_INT32(&range, "$lt", first + count);
    bson_append_document_end(filter, &range);
}


int
v2m_gridfs_read_chunks(v2m_mongo_t *mongo, const char *database,
                       const v2m_gridfs_file_t *file, int32_t first,
                       int32_t count, unsigned char *buffer, v2m_error_t *error)
{
    int                  rc;
    bson_t               filter, opts, sort;
    v2m_gridfs_reading_t reading;

    reading.file = file;
    reading.next = first;
    reading.end = first + count;
    reading.buffer = buffer;

    v2m_gridfs_filter_chunks(&filter, file->id, first, count);

    /* one more than there are, so that the first reply is also the last */

    bson_init(&opts);
    BSON_APPEND_INT32(&opts, "batchSize", count + 1);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sort);
    BSON_APPEND_INT32(&sort, "n", 1);
    bson_append_document_end(&opts, &sort);

    rc = v2m_mongo_find(mongo, database, V2M_GRIDFS_CHUNKS, &filter, &opts,
                        v2m_gridfs_take_chunk, &reading, error);

    bson_destroy(&opts);
    bson_destroy(&filter);

    if (rc == V2M_OK && reading.next != reading.end) {
        rc = v2m_error_set(error, V2M_CORRUPT, "chunk %d of file %s is missing",
                           reading.next, file->id);
    }

    return rc;
}


static int
v2m_gridfs_delete_by(v2m_mongo_t *mongo, const char *database,
                     const char *collection, const char *field,
                     const v2m_id_t file_id, v2m_error_t *error)
{
    int        rc;
    bson_t     filter;
    bson_oid_t oid;

    bson_oid_init_from_string(&oid, file_id);

    bson_init(&filter);
    BSON_APPEND_OID(&filter, field, &oid);

    rc = v2m_mongo_delete(mongo, database, collection, &filter, NULL, error);

    bson_destroy(&filter);

    return rc;
}


int
v2m_gridfs_delete(v2m_mongo_t *mongo, const char *database,
                  const v2m_id_t file_id, v2m_error_t *error)
{
    int rc;

    rc = v2m_gridfs_delete_by(mongo, database, V2M_GRIDFS_FILES, "_id", file_id,
                              error);
    if (rc != V2M_OK) {
        return rc;
    }

    return v2m_gridfs_delete_by(mongo, database, V2M_GRIDFS_CHUNKS, "files_id",
                                file_id, error);
}


int
v2m_gridfs_delete_chunk(v2m_mongo_t *mongo, const char *database,
                        const v2m_id_t file_id, int32_t n, v2m_error_t *error)
{
    int    rc;
    bson_t filter;

    v2m_gridfs_filter_chunks(&filter, file_id, n, 1);

    rc = v2m_mongo_delete(mongo, database, V2M_GRIDFS_CHUNKS, &filter, NULL,
                          error);

    bson_destroy(&filter);

    return rc;
}


static int
v2m_gridfs_take_id(void *data, const bson_t *document, v2m_error_t *error)
{
    char        key[16];
    bson_t     *ids = data;
    bson_iter_t iter;

    (void) error;

    if (bson_iter_init_find(&iter, document, "_id")) {
        bson_snprintf(key, sizeof(key), "%u", bson_count_keys(ids));
        bson_append_value(ids, key, -1, bson_iter_value(&iter));
    }

    return V2M_OK;
}


int
v2m_gridfs_list_chunks(v2m_mongo_t *mongo, const char *database,
                       const v2m_id_t file_id, int32_t first, int32_t count,
                       bson_t *ids, v2m_error_t *error)
{
    int    rc;
    bson_t filter, opts, fields;

    v2m_gridfs_filter_chunks(&filter, file_id, first, count);

    bson_init(&opts);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &fields);
    BSON_APPEND_INT32(&fields, "_id", 1);
    bson_append_document_end(&opts, &fields);

    rc = v2m_mongo_find(mongo, database, V2M_GRIDFS_CHUNKS, &filter, &opts,
                        v2m_gridfs_take_id, ids, error);

    bson_destroy(&opts);
    bson_destroy(&filter);

    return rc;
}


int
v2m_gridfs_delete_listed(v2m_mongo_t *mongo, const char *database,
                         const bson_t *ids, v2m_error_t *error)
{
    int    rc;
    bson_t filter, in;

    bson_init(&filter);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &in);
    BSON_APPEND_ARRAY(&in, "$in", ids);
    bson_append_document_end(&filter, &in);

    rc = v2m_mongo_delete(mongo, database, V2M_GRIDFS_CHUNKS, &filter, NULL,
                          error);

    bson_destroy(&filter);

    return rc;
}


int
v2m_gridfs_prepare(v2m_mongo_t *mongo, const char *database, v2m_error_t *error)
{
    int    rc;
    bson_t keys;

    bson_init(&keys);
    BSON_APPEND_INT32(&keys, "filename", 1);
    BSON_APPEND_INT32(&keys, "uploadDate", 1);

    rc = v2m_mongo_index(mongo, database, V2M_GRIDFS_FILES, &keys, 0, error);

    bson_destroy(&keys);

    if (rc != V2M_OK) {
        return rc;
    }

    bson_init(&keys);
    BSON_APPEND_INT32(&keys, "files_id", 1);
    BSON_APPEND_INT32(&keys, "n", 1);

    rc = v2m_mongo_index(mongo, database, V2M_GRIDFS_CHUNKS, &keys, 1, error);

    bson_destroy(&keys);

    return rc;
}
