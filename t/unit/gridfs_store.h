/*
 * The store of the GridFS tests, two buckets in it, and files of known bytes.
 */

#ifndef GRIDFS_STORE_H
#define GRIDFS_STORE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_gridfs.h"

#define MEBIBYTE (1024 * 1024)

static char         database[64];  /* with the specification's indexes */
static char         unindexed[64]; /* where anything can be put */
static v2m_mongo_t *mongo;


static inline void
empty(const char *name)
{
    assert_int_equal(v2m_mongo_delete(mongo, name, "fs.files",
                                      &(bson_t) BSON_INITIALIZER, NULL, NULL),
                     V2M_OK);
    assert_int_equal(v2m_mongo_delete(mongo, name, "fs.chunks",
                                      &(bson_t) BSON_INITIALIZER, NULL, NULL),
                     V2M_OK);
}


static inline int
setup(void **state)
{
    v2m_id_t            id;
    v2m_error_t         error;
    v2m_mongo_options_t options = { "v2m-test", 20000 };

    (void) state;

    if (getenv("V2M_MONGO_URI") == NULL) {
        return 0;
    }

    v2m_id_generate(id);
    snprintf(database, sizeof(database), "v2m_test_%s", id);
    snprintf(unindexed, sizeof(unindexed), "v2m_test_%s_", id);

    if (v2m_mongo_create(&mongo, getenv("V2M_MONGO_URI"), &options, &error)
        != V2M_OK)
    {
        print_error("%s\n", error.text);
        return -1;
    }

    return v2m_gridfs_prepare(mongo, database, NULL);
}


static inline int
teardown(void **state)
{
    (void) state;

    if (mongo != NULL) {
        empty(database);
        empty(unindexed);
        v2m_mongo_destroy(mongo);
    }

    return 0;
}


static inline void
need_store(void)
{
    if (mongo == NULL) {
        skip();
    }
}


/* The byte at each place of every test's file. */
static inline unsigned char
byte_at(int64_t offset)
{
    return (unsigned char) (offset * 31 + offset / 251 + offset / 65536);
}


static inline unsigned char *
make_bytes(size_t length)
{
    size_t         i;
    unsigned char *bytes;

    bytes = malloc(length > 0 ? length : 1);
    assert_non_null(bytes);

    for (i = 0; i < length; i++) {
        bytes[i] = byte_at((int64_t) i);
    }

    return bytes;
}


/* Writes the chunks of a file with so many in each command, then its
 * document. */
static inline void
write_file(const char *to, v2m_gridfs_file_t *file, int64_t length,
           int32_t chunk_size, size_t batch)
{
    size_t             count;
    int32_t            n;
    v2m_error_t        error;
    unsigned char     *bytes;
    v2m_gridfs_chunk_t chunks[16];

    memset(file, 0, sizeof(*file));
    v2m_id_generate(file->id);
    file->length = length;
    file->chunk_size = chunk_size;
    bytes = make_bytes((size_t) length);

    for (n = 0; v2m_gridfs_chunk_length(file, n) > 0; n += (int32_t) count) {
        for (count = 0; count < batch; count++) {
            int32_t next = n + (int32_t) count;

            if (v2m_gridfs_chunk_length(file, next) == 0) {
                break;
            }

            chunks[count].data = bytes + (int64_t) next * chunk_size;
            chunks[count].length = v2m_gridfs_chunk_length(file, next);
        }

        if (v2m_gridfs_insert_chunks(mongo, to, file->id, n, chunks, count,
                                     &error)
            != V2M_OK)
        {
            fail_msg("%s", error.text);
        }
    }

    free(bytes);
    assert_int_equal(v2m_gridfs_insert_file(mongo, to, file, &error), V2M_OK);
}


static inline void
assert_range(const char *from, const v2m_gridfs_file_t *file, int32_t first,
             int32_t count)
{
    size_t         i, length;
    int32_t        n;
    v2m_error_t    error;
    unsigned char *buffer;

    for (n = first, length = 0; n < first + count; n++) {
        length += v2m_gridfs_chunk_length(file, n);
    }

    buffer = malloc(length > 0 ? length : 1);
    assert_non_null(buffer);

    if (v2m_gridfs_read_chunks(mongo, from, file, first, count, buffer, &error)
        != V2M_OK)
    {
        fail_msg("chunks %d to %d: %s", first, first + count, error.text);
    }

    for (i = 0; i < length; i++) {
        if (buffer[i]
            != byte_at((int64_t) first * file->chunk_size + (int64_t) i)) {
            fail_msg("byte %zu of chunks %d to %d is wrong", i, first,
                     first + count);
        }
    }

    free(buffer);
}


static inline int
count_one(void *data, const bson_t *document, v2m_error_t *error)
{
    (void) document;
    (void) error;

    ++*(int *) data;

    return V2M_OK;
}


static inline int
chunks_of(const char *in, const v2m_id_t id)
{
    int        count;
    bson_t     filter = BSON_INITIALIZER;
    bson_oid_t oid;

    count = 0;
    bson_oid_init_from_string(&oid, id);
    BSON_APPEND_OID(&filter, "files_id", &oid);
    assert_int_equal(v2m_mongo_find(mongo, in, "fs.chunks", &filter, NULL,
                                    count_one, &count, NULL),
                     V2M_OK);
    bson_destroy(&filter);

    return count;
}

#endif /* GRIDFS_STORE_H */
