/* Files in GridFS that other drivers wrote, and those that contradict
 * themselves.  Against the server in V2M_MONGO_URI, skipped without it. */

#include "gridfs_store.h"


/* Inserts a files document with these fields as another driver might, and
 * finds it. */
static int
find_document(const bson_t *fields, v2m_gridfs_file_t *found)
{
    int           rc;
    bson_t        document = BSON_INITIALIZER;
    v2m_id_t      id;
    bson_oid_t    oid;
    v2m_error_t   error;
    const bson_t *pointer = &document;

    v2m_id_generate(id);
    bson_oid_init_from_string(&oid, id);
    BSON_APPEND_OID(&document, "_id", &oid);
    bson_concat(&document, fields);
    assert_int_equal(
        v2m_mongo_insert(mongo, unindexed, "fs.files", &pointer, 1, &error),
        V2M_OK);
    bson_destroy(&document);

    rc = v2m_gridfs_find_file(mongo, unindexed, id, found, &error);

    if (rc != V2M_OK) {
        assert_int_equal(error.code, rc);
        assert_null(found->filename);
    }

    return rc;
}


static void
test_other_drivers(void **state)
{
    bson_t            fields = BSON_INITIALIZER, metadata;
    v2m_gridfs_file_t found;

    (void) state;

    need_store();

    /* numbers of every type, fields that we do not write */

    BSON_APPEND_UTF8(&fields, "md5", "0123456789abcdef0123456789abcdef");
    BSON_APPEND_DOUBLE(&fields, "length", 5e9);
    BSON_APPEND_DOUBLE(&fields, "chunkSize", 261120);
    BSON_APPEND_DATE_TIME(&fields, "uploadDate", 1700000000123);
    BSON_APPEND_UTF8(&fields, "filename", "a.mp4");
    BSON_APPEND_UTF8(&fields, "contentType", "video/mp4");
    BSON_APPEND_DOCUMENT_BEGIN(&fields, "metadata", &metadata);
    BSON_APPEND_INT32(&metadata, "length", 1);
    bson_append_document_end(&fields, &metadata);

    assert_int_equal(find_document(&fields, &found), V2M_OK);
    assert_int_equal(found.length, INT64_C(5000000000));
    assert_int_equal(found.chunk_size, 261120);
    assert_int_equal(found.upload_date_ms, 1700000000123);
    assert_string_equal(found.filename, "a.mp4");
    v2m_gridfs_file_free(&found);
    bson_destroy(&fields);

    /* hardly anything */

    bson_init(&fields);
    BSON_APPEND_INT32(&fields, "length", 3);
    BSON_APPEND_INT64(&fields, "chunkSize", 1);
    BSON_APPEND_NULL(&fields, "filename");
    BSON_APPEND_UTF8(&fields, "uploadDate", "yesterday");
    assert_int_equal(find_document(&fields, &found), V2M_OK);
    assert_int_equal(found.length, 3);
    assert_int_equal(found.chunk_size, 1);
    assert_int_equal(found.upload_date_ms, 0);
    assert_null(found.filename);
    bson_destroy(&fields);
}


static void
test_unusable_documents(void **state)
{
    size_t            i;
    bson_t            fields;
    v2m_gridfs_file_t found;

    static const struct {
        int64_t length;
        int64_t chunk_size;
    } bad[] = {
        { -1, 255 },
        { INT64_MIN, 255 },
        { 100, 0 },
        { 100, -255 },
        { 100, (int64_t) INT32_MAX + 1 },
        { 100, (INT64_C(1) << 32) + 255 },
        { INT64_MAX, 255 },
        { INT32_MAX, 1 },
    };

    (void) state;

    need_store();

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bson_init(&fields);
        BSON_APPEND_INT64(&fields, "length", bad[i].length);
        BSON_APPEND_INT64(&fields, "chunkSize", bad[i].chunk_size);
        BSON_APPEND_UTF8(&fields, "filename", "a.mp4");
        assert_int_equal(find_document(&fields, &found), V2M_CORRUPT);
        bson_destroy(&fields);
    }

    bson_init(&fields);
    BSON_APPEND_INT64(&fields, "length", 5);
    assert_int_equal(find_document(&fields, &found), V2M_CORRUPT);
    BSON_APPEND_UTF8(&fields, "chunkSize", "255");
    assert_int_equal(find_document(&fields, &found), V2M_CORRUPT);
    bson_destroy(&fields);

    bson_init(&fields);
    BSON_APPEND_INT64(&fields, "chunkSize", 255);
    assert_int_equal(find_document(&fields, &found), V2M_CORRUPT);
    BSON_APPEND_UTF8(&fields, "length", "5");
    assert_int_equal(find_document(&fields, &found), V2M_CORRUPT);
    bson_destroy(&fields);
}


/* What a chunk of the broken file is like. */
typedef enum {
    TEST_GOOD,
    TEST_MISSING,
    TEST_SHORT,
    TEST_LONG,
    TEST_EMPTY,
    TEST_DOUBLED,
    TEST_NO_DATA,
    TEST_TEXT,
    TEST_LONG_NUMBER, /* good, its n is a 64-bit number */
    TEST_REAL_NUMBER  /* good, its n is a floating-point number */
} test_chunk_t;


static void
insert_chunk(const v2m_id_t id, int32_t n, size_t length, test_chunk_t what)
{
    bson_t        document = BSON_INITIALIZER;
    bson_oid_t    oid;
    v2m_error_t   error;
    const bson_t *pointer = &document;
    unsigned char bytes[64];

    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = byte_at(n * 10 + (int64_t) i);
    }

    bson_oid_init(&oid, NULL);
    BSON_APPEND_OID(&document, "_id", &oid);
    bson_oid_init_from_string(&oid, id);
    BSON_APPEND_OID(&document, "files_id", &oid);

    if (what == TEST_LONG_NUMBER) {
        BSON_APPEND_INT64(&document, "n", n);
    } else if (what == TEST_REAL_NUMBER) {
        BSON_APPEND_DOUBLE(&document, "n", n);
    } else {
        BSON_APPEND_INT32(&document, "n", n);
    }

    if (what == TEST_TEXT) {
        BSON_APPEND_UTF8(&document, "data", "0123456789");
    } else if (what != TEST_NO_DATA) {
        BSON_APPEND_BINARY(&document, "data", BSON_SUBTYPE_BINARY, bytes,
                           (uint32_t) length);
    }

    if (v2m_mongo_insert(mongo, unindexed, "fs.chunks", &pointer, 1, &error)
        != V2M_OK)
    {
        fail_msg("%s", error.text);
    }

    bson_destroy(&document);
}


/* A file of 35 bytes in chunks of 10, with one chunk of the kind.  0: the
 * server does not show what is wrong, as it keeps one chunk of a number. */
static int
broken_file(v2m_gridfs_file_t *file, int32_t bad, test_chunk_t what)
{
    size_t       length;
    int32_t      n;
    test_chunk_t kind;

    memset(file, 0, sizeof(*file));
    v2m_id_generate(file->id);
    file->length = 35;
    file->chunk_size = 10;

    for (n = 0; n < 4; n++) {
        kind = n == bad ? what : TEST_GOOD;
        length = n < 3 ? 10 : 5;
        length = kind == TEST_SHORT   ? length - 1
                 : kind == TEST_LONG  ? length + 1
                 : kind == TEST_EMPTY ? 0
                                      : length;

        if (kind != TEST_MISSING) {
            insert_chunk(file->id, n, length, kind);
        }

        if (kind == TEST_DOUBLED) {
            insert_chunk(file->id, n, length, kind);
        }
    }

    return what != TEST_DOUBLED || chunks_of(unindexed, file->id) == 5;
}


/* Whole, and only what lies beside the chunk that is bad. */
static void
test_broken_files(void **state)
{
    int               what;
    int32_t           bad, first, count;
    v2m_error_t       error;
    unsigned char    *buffer;
    v2m_gridfs_file_t file;

    (void) state;

    need_store();

    for (what = TEST_MISSING; what <= TEST_REAL_NUMBER; what++) {
        for (bad = 0; bad < 4; bad++) {
            if (!broken_file(&file, bad, (test_chunk_t) what)) {
                continue;
            }

            for (first = 0; first < 4; first++) {
                for (count = 1; first + count <= 4; count++) {
                    if (what >= TEST_LONG_NUMBER || bad < first
                        || bad >= first + count) {
                        assert_range(unindexed, &file, first, count);
                        continue;
                    }

                    buffer =
                        malloc((size_t) (first + count == 4 ? count * 10 - 5
                                                            : count * 10));
                    assert_non_null(buffer);
                    assert_int_equal(v2m_gridfs_read_chunks(mongo, unindexed,
                                                            &file, first, count,
                                                            buffer, &error),
                                     V2M_CORRUPT);
                    assert_non_null(strstr(error.text, file.id));
                    free(buffer);
                }
            }
        }
    }
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_drivers),
        cmocka_unit_test(test_unusable_documents),
        cmocka_unit_test(test_broken_files),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
