/* GridFS at the level of chunks: what is written is read, whole and in
 * ranges, whatever the chunk size.  Against the server in V2M_MONGO_URI;
 * without it only the arithmetic. */

#include "gridfs_store.h"


static void
test_chunk_length(void **state)
{
    size_t i;

    static const struct {
        int64_t length;
        int32_t chunk_size;
        int32_t n;
        size_t  expected;
    } cases[] = {
        { 0, 10, 0, 0 },
        { 0, 10, 1, 0 },
        { 1, 10, 0, 1 },
        { 1, 10, 1, 0 },
        { 9, 10, 0, 9 },
        { 10, 10, 0, 10 },
        { 10, 10, 1, 0 },
        { 11, 10, 0, 10 },
        { 11, 10, 1, 1 },
        { 11, 10, 2, 0 },
        { 11, 10, -1, 0 },
        { 11, 10, INT32_MIN, 0 },
        { 11, 10, INT32_MAX, 0 },
        { 100, 1, 99, 1 },
        { 100, 1, 100, 0 },
        { 100, INT32_MAX, 0, 100 },
        { INT64_C(10000000000), V2M_GRIDFS_CHUNK_SIZE, 38296, 148480 },
        { INT64_C(10000000000), V2M_GRIDFS_CHUNK_SIZE, 38297, 0 },
        { INT64_C(2147483646) * INT32_MAX, INT32_MAX, INT32_MAX - 2,
          INT32_MAX },
        { INT64_C(2147483646) * INT32_MAX, INT32_MAX, INT32_MAX - 1, 0 },
    };

    (void) state;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        v2m_gridfs_file_t file = { .length = cases[i].length,
                                   .chunk_size = cases[i].chunk_size };

        assert_int_equal(v2m_gridfs_chunk_length(&file, cases[i].n),
                         cases[i].expected);
    }

    /* the chunks of a file make up its length */

    for (i = 0; i < 1000; i++) {
        size_t            sum;
        int32_t           n;
        v2m_gridfs_file_t file = { .length = (int64_t) i, .chunk_size = 7 };

        for (n = 0, sum = 0; v2m_gridfs_chunk_length(&file, n) > 0; n++) {
            sum += v2m_gridfs_chunk_length(&file, n);
        }

        assert_int_equal(sum, i);
        assert_int_equal(n, (i + 6) / 7);
    }
}


static void
test_round_trip(void **state)
{
    size_t            i;
    int32_t           n, first, count;
    v2m_error_t       error;
    v2m_gridfs_file_t file, found;

    static const struct {
        int64_t length;
        int32_t chunk_size;
        size_t  batch;
    } files[] = {
        { 0, V2M_GRIDFS_CHUNK_SIZE, 1 },
        { 1, V2M_GRIDFS_CHUNK_SIZE, 1 },
        { V2M_GRIDFS_CHUNK_SIZE - 1, V2M_GRIDFS_CHUNK_SIZE, 1 },
        { V2M_GRIDFS_CHUNK_SIZE, V2M_GRIDFS_CHUNK_SIZE, 1 },
        { V2M_GRIDFS_CHUNK_SIZE + 1, V2M_GRIDFS_CHUNK_SIZE, 2 },
        { 4 * V2M_GRIDFS_CHUNK_SIZE + 77, V2M_GRIDFS_CHUNK_SIZE, 4 },
        { 6, 1, 4 },
        { 4345, 1000, 16 },
        { 3 * MEBIBYTE + 5, MEBIBYTE, 2 },
        { 100, 8 * MEBIBYTE, 1 },
    };

    (void) state;

    need_store();

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        write_file(database, &file, files[i].length, files[i].chunk_size,
                   files[i].batch);

        assert_int_equal(
            v2m_gridfs_find_file(mongo, database, file.id, &found, &error),
            V2M_OK);
        assert_string_equal(found.id, file.id);
        assert_int_equal(found.length, files[i].length);
        assert_int_equal(found.chunk_size, files[i].chunk_size);
        assert_int_equal(found.upload_date_ms, file.upload_date_ms);
        assert_null(found.filename);

        /* every range of it */

        for (n = 0; v2m_gridfs_chunk_length(&found, n) > 0; n++) {
            /* void */
        }

        for (first = 0; first < n; first++) {
            for (count = 1; first + count <= n; count++) {
                assert_range(database, &found, first, count);
            }
        }

        v2m_gridfs_file_free(&found);
    }
}


static void
test_names(void **state)
{
    size_t            i;
    v2m_error_t       error;
    v2m_gridfs_file_t file, found;

    static const char *const names[] = {
        "",
        "a.mp4",
        ("say \"\xC3\xA4\" $where.\xF0\x9F\x8E"
         "\xB5"),
    };

    (void) state;

    need_store();

    for (i = 0; i < 3; i++) {
        memset(&file, 0, sizeof(file));
        v2m_id_generate(file.id);
        file.chunk_size = V2M_GRIDFS_CHUNK_SIZE;
        file.filename = (char *) names[i];
        assert_int_equal(v2m_gridfs_insert_file(mongo, database, &file, &error),
                         V2M_OK);
        assert_int_equal(v2m_gridfs_insert_file(mongo, database, &file, &error),
                         V2M_CONFLICT);

        assert_int_equal(
            v2m_gridfs_find_file(mongo, database, file.id, &found, &error),
            V2M_OK);
        assert_string_equal(found.filename, names[i]);
        v2m_gridfs_file_free(&found);
        assert_null(found.filename);
    }

    v2m_id_generate(file.id);
    assert_int_equal(
        v2m_gridfs_find_file(mongo, database, file.id, &found, &error),
        V2M_NOT_FOUND);
    assert_null(found.filename);
    v2m_gridfs_file_free(&found);
}


/* The specification's unique index stops a second writer. */
static void
test_unique_chunks(void **state)
{
    v2m_error_t        error;
    v2m_gridfs_file_t  file;
    v2m_gridfs_chunk_t chunks[2] = { { (const unsigned char *) "0123456789",
                                       10 },
                                     { (const unsigned char *) "x", 1 } };

    (void) state;

    need_store();
    assert_int_equal(v2m_gridfs_prepare(mongo, database, &error), V2M_OK);

    write_file(database, &file, 35, 10, 4);
    assert_int_equal(v2m_gridfs_insert_chunks(mongo, database, file.id, 3,
                                              chunks, 2, &error),
                     V2M_CONFLICT);
    assert_int_equal(v2m_gridfs_insert_chunks(mongo, database, file.id, 4,
                                              chunks, 2, &error),
                     V2M_OK);
    assert_range(database, &file, 0, 4);
}


static void
test_delete(void **state)
{
    v2m_id_t           unknown;
    v2m_error_t        error;
    v2m_gridfs_file_t  file, other, found;
    v2m_gridfs_chunk_t chunk = { (const unsigned char *) "x", 1 };

    (void) state;

    need_store();
    write_file(database, &file, 35, 10, 4);
    write_file(database, &other, 35, 10, 4);
    assert_int_equal(chunks_of(database, file.id), 4);

    assert_int_equal(v2m_gridfs_delete(mongo, database, file.id, &error),
                     V2M_OK);
    assert_int_equal(
        v2m_gridfs_find_file(mongo, database, file.id, &found, &error),
        V2M_NOT_FOUND);
    assert_int_equal(chunks_of(database, file.id), 0);
    assert_range(database, &other, 0, 4);

    /* again; chunks without a file; nothing at all */

    assert_int_equal(v2m_gridfs_delete(mongo, database, file.id, &error),
                     V2M_OK);
    assert_int_equal(v2m_gridfs_insert_chunks(mongo, database, file.id, 0,
                                              &chunk, 1, &error),
                     V2M_OK);
    assert_int_equal(chunks_of(database, file.id), 1);
    assert_int_equal(v2m_gridfs_delete(mongo, database, file.id, &error),
                     V2M_OK);
    assert_int_equal(chunks_of(database, file.id), 0);

    v2m_id_generate(unknown);
    assert_int_equal(v2m_gridfs_delete(mongo, database, unknown, &error),
                     V2M_OK);
    assert_range(database, &other, 0, 4);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunk_length),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_unique_chunks),
        cmocka_unit_test(test_delete),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
