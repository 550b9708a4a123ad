/*
 * The rival of the upload and download rows: libmongoc's own GridFS bucket.
 *
 *   gridfs-bucket put URI DATABASE FILE   stores the file, prints its id
 *   gridfs-bucket get URI DATABASE ID     reads it, prints the bytes read
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <mongoc/mongoc.h>

#define BENCH_BUFFER (256 * 1024)


static int
bench_failed(const char *what, const bson_error_t *error)
{
    fprintf(stderr, "gridfs-bucket: %s: %s\n", what, error->message);

    return EXIT_FAILURE;
}


static int
bench_put(mongoc_gridfs_bucket_t *bucket, const char *path)
{
    char             text[25];
    bson_value_t     id;
    bson_error_t     error;
    mongoc_stream_t *file;

    file = mongoc_stream_file_new_for_path(path, O_RDONLY, 0);
    if (file == NULL) {
        perror(path);
        return EXIT_FAILURE;
    }

    if (!mongoc_gridfs_bucket_upload_from_stream(bucket, "bench", file, NULL,
                                                 &id, &error))
    {
        return bench_failed("upload", &error);
    }

    mongoc_stream_destroy(file);
    bson_oid_to_string(&id.value.v_oid, text);
    puts(text);
    bson_value_destroy(&id);

    return EXIT_SUCCESS;
}


static int
bench_get(mongoc_gridfs_bucket_t *bucket, const char *text)
{
    int64_t          sum;
    ssize_t          n;
    bson_value_t     id;
    bson_error_t     error;
    mongoc_stream_t *stream;

    static char buffer[BENCH_BUFFER];

    id.value_type = BSON_TYPE_OID;
    bson_oid_init_from_string(&id.value.v_oid, text);

    stream = mongoc_gridfs_bucket_open_download_stream(bucket, &id, &error);
    if (stream == NULL) {
        return bench_failed("download", &error);
    }

    for (sum = 0;; sum += n) {
        n = mongoc_stream_read(stream, buffer, sizeof(buffer), 1, 0);

        if (n <= 0) {
            break;
        }
    }

    if (mongoc_gridfs_bucket_stream_error(stream, &error)) {
        return bench_failed("download", &error);
    }

    mongoc_stream_destroy(stream);
    printf("%" PRId64 "\n", sum);

    return EXIT_SUCCESS;
}


int
main(int argc, char **argv)
{
    int                     rc;
    bson_error_t            error;
    mongoc_client_t        *client;
    mongoc_database_t      *database;
    mongoc_gridfs_bucket_t *bucket;

    if (argc != 5 || (strcmp(argv[1], "put") && strcmp(argv[1], "get"))) {
        fputs("Usage: gridfs-bucket put URI DATABASE FILE\n"
              "       gridfs-bucket get URI DATABASE ID\n",
              stderr);
        return 2;
    }

    mongoc_init();

    client = mongoc_client_new(argv[2]);
    if (client == NULL) {
        fprintf(stderr, "gridfs-bucket: unusable URI\n");
        return EXIT_FAILURE;
    }

    database = mongoc_client_get_database(client, argv[3]);
    bucket = mongoc_gridfs_bucket_new(database, NULL, NULL, &error);
    if (bucket == NULL) {
        return bench_failed("bucket", &error);
    }

    rc = strcmp(argv[1], "put") == 0 ? bench_put(bucket, argv[4])
                                     : bench_get(bucket, argv[4]);

    mongoc_gridfs_bucket_destroy(bucket);
    mongoc_database_destroy(database);
    mongoc_client_destroy(client);
    mongoc_cleanup();

    return rc;
}
