#include "v2m_mongo.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <mongoc/mongoc.h>

/*
 * Error codes of the server, from MongoDB's error_codes.yml.
 */
#define V2M_MONGO_INTERNAL_ERROR     1
#define V2M_MONGO_HOST_UNREACHABLE   6
#define V2M_MONGO_HOST_NOT_FOUND     7
#define V2M_MONGO_MAX_TIME_EXPIRED   50
#define V2M_MONGO_WRITE_CONCERN      64
#define V2M_MONGO_NETWORK_TIMEOUT    89
#define V2M_MONGO_SHUTDOWN           91
#define V2M_MONGO_WRITE_CONFLICT     112
#define V2M_MONGO_NO_PREFERRED       133
#define V2M_MONGO_PRIMARY_STEPPED    189
#define V2M_MONGO_EXCEEDED_TIME      262
#define V2M_MONGO_SOCKET             9001
#define V2M_MONGO_NOT_PRIMARY        10107
#define V2M_MONGO_DUPLICATE_KEY      11000
#define V2M_MONGO_INTERRUPTED        11600
#define V2M_MONGO_INTERRUPTED_CHANGE 11602
#define V2M_MONGO_NOT_PRIMARY_NO_OK  13435
#define V2M_MONGO_NOT_PRIMARY_OR_SEC 13436
#define V2M_MONGO_OUT_OF_DISK_SPACE  14031

struct v2m_mongo_s {
    mongoc_client_pool_t *pool;
    int64_t               timeout_us;
    _Atomic int64_t       checked; /* when, by the monotonic clock */
};

static pthread_once_t v2m_mongo_once = PTHREAD_ONCE_INIT;


static void
v2m_mongo_quiet(mongoc_log_level_t level, const char *domain,
                const char *message, void *data)
{
    (void) level;
    (void) domain;
    (void) message;
    (void) data;
}


static void
v2m_mongo_initialize(void)
{
    mongoc_init();

    /* every failure is reported by a result, and what the library prints by
     * itself goes to a standard error that may be no log */
    mongoc_log_set_handler(v2m_mongo_quiet, NULL);
}


static int
v2m_mongo_is_full(const bson_error_t *failure)
{
    return failure->code == V2M_MONGO_OUT_OF_DISK_SPACE
           || strstr(failure->message, "disk is full") != NULL
           || strstr(failure->message, "No space left") != NULL
           || strstr(failure->message, "no space left") != NULL
           || strstr(failure->message, "you are over your space quota") != NULL;
}


static int
v2m_mongo_server_code(uint32_t code)
{
    switch (code) {
    case V2M_MONGO_DUPLICATE_KEY:
        return V2M_CONFLICT;

    case V2M_MONGO_INTERNAL_ERROR:
    case V2M_MONGO_HOST_UNREACHABLE:
    case V2M_MONGO_HOST_NOT_FOUND:
    case V2M_MONGO_MAX_TIME_EXPIRED:
    case V2M_MONGO_WRITE_CONCERN:
    case V2M_MONGO_NETWORK_TIMEOUT:
    case V2M_MONGO_SHUTDOWN:
    case V2M_MONGO_WRITE_CONFLICT:
    case V2M_MONGO_NO_PREFERRED:
    case V2M_MONGO_PRIMARY_STEPPED:
    case V2M_MONGO_EXCEEDED_TIME:
    case V2M_MONGO_SOCKET:
    case V2M_MONGO_NOT_PRIMARY:
    case V2M_MONGO_INTERRUPTED:
    case V2M_MONGO_INTERRUPTED_CHANGE:
    case V2M_MONGO_NOT_PRIMARY_NO_OK:
    case V2M_MONGO_NOT_PRIMARY_OR_SEC:
        return V2M_UNAVAILABLE;

    default:
        return V2M_ERROR;
    }
}


static int
v2m_mongo_failed(v2m_error_t *error, const char *operation,
                 const bson_error_t *failure)
{
    int code;

    if (v2m_mongo_is_full(failure)) {
        code = V2M_FULL;

    } else {
        switch (failure->domain) {
        case MONGOC_ERROR_CLIENT:
        case MONGOC_ERROR_STREAM:
        case MONGOC_ERROR_PROTOCOL:
        case MONGOC_ERROR_SERVER_SELECTION:
        case MONGOC_ERROR_WRITE_CONCERN:
            code = V2M_UNAVAILABLE;
            break;

        case MONGOC_ERROR_BSON:
        case MONGOC_ERROR_COMMAND:
            code = V2M_INVALID;
            break;

        case MONGOC_ERROR_SERVER:
            code = v2m_mongo_server_code(failure->code);
            break;

        default:
            code = V2M_ERROR;
        }
    }

    return v2m_error_set(error, code, "MongoDB %s failed: %s", operation,
                         failure->message);
}


/* What is wrong with a URI; the library quotes the password when it is that. */
static int
v2m_mongo_bad_uri(v2m_error_t *error, const bson_error_t *failure)
{
    return v2m_error_set(error, V2M_INVALID, "the MongoDB URI is unusable: %s",
                         strstr(failure->message, "assword \"") == NULL
                             ? failure->message
                             : "the password has characters that must be "
                               "percent-encoded");
}


int
v2m_mongo_check_uri(const char *uri, v2m_error_t *error)
{
    bson_error_t  failure;
    mongoc_uri_t *parsed;

    pthread_once(&v2m_mongo_once, v2m_mongo_initialize);

    parsed = mongoc_uri_new_with_error(uri, &failure);
    if (parsed == NULL) {
        return v2m_mongo_bad_uri(error, &failure);
    }

    mongoc_uri_destroy(parsed);
    return V2M_OK;
}


static void
v2m_mongo_default(mongoc_uri_t *uri, const char *option, int32_t value)
{
    if (!mongoc_uri_has_option(uri, option)) {
        mongoc_uri_set_option_as_int32(uri, option, value);
    }
}


/* Waits for a majority, unless the URI says how many; what else it says of
 * writes stays. */
static void
v2m_mongo_default_writes(mongoc_uri_t *uri, int32_t timeout_ms)
{
    mongoc_write_concern_t *concern;

    if (mongoc_uri_has_option(uri, MONGOC_URI_W)) {
        return;
    }

    concern = mongoc_write_concern_copy(mongoc_uri_get_write_concern(uri));

    if (mongoc_uri_has_option(uri, MONGOC_URI_WTIMEOUTMS)) {
        timeout_ms = mongoc_write_concern_get_wtimeout(concern);
    }

    mongoc_write_concern_set_wmajority(concern, timeout_ms);
    mongoc_uri_set_write_concern(uri, concern);
    mongoc_write_concern_destroy(concern);
}


int
v2m_mongo_create(v2m_mongo_t **mongo, const char *uri,
                 const v2m_mongo_options_t *options, v2m_error_t *error)
{
    int           rc;
    v2m_mongo_t  *created;
    mongoc_uri_t *parsed;
    bson_error_t  failure;

    rc = v2m_mongo_check_uri(uri, error);
    if (rc != V2M_OK) {
        return rc;
    }

    parsed = mongoc_uri_new_with_error(uri, &failure);
    created = calloc(1, sizeof(v2m_mongo_t));

    if (parsed == NULL || created == NULL) {
        rc = v2m_error_set(error, V2M_ERROR, "out of memory");
        goto done;
    }

    v2m_mongo_default(parsed, MONGOC_URI_SERVERSELECTIONTIMEOUTMS,
                      options->timeout_ms);
    v2m_mongo_default(parsed, MONGOC_URI_CONNECTTIMEOUTMS, options->timeout_ms);
    v2m_mongo_default(parsed, MONGOC_URI_SOCKETTIMEOUTMS, options->timeout_ms);

    v2m_mongo_default_writes(parsed, options->timeout_ms);

    created->timeout_us = (int64_t) options->timeout_ms * 1000;
    created->pool = mongoc_client_pool_new_with_error(parsed, &failure);
    if (created->pool == NULL) {
        rc = v2m_mongo_bad_uri(error, &failure);
        goto done;
    }

    mongoc_client_pool_set_error_api(created->pool, MONGOC_ERROR_API_VERSION_2);
    mongoc_client_pool_set_appname(created->pool, options->application);

    *mongo = created;
    created = NULL;

done:

    v2m_mongo_destroy(created);

    if (parsed != NULL) {
        mongoc_uri_destroy(parsed);
    }

    return rc;
}


void
v2m_mongo_destroy(v2m_mongo_t *mongo)
{
    if (mongo == NULL) {
        return;
    }

    if (mongo->pool != NULL) {
        mongoc_client_pool_destroy(mongo->pool);
    }

    free(mongo);
}


static int
v2m_mongo_ping_by(mongoc_client_t *client, bson_error_t *failure)
{
    int    answered;
    bson_t command;

    bson_init(&command);
    BSON_APPEND_INT32(&command, "ping", 1);

    answered = mongoc_client_command_simple(client, "admin", &command, NULL,
                                            NULL, failure);
    bson_destroy(&command);

    return answered;
}


/*
 * A server that was restarted while nobody asked it anything has left dead
 * connections in the pool, of which the library learns only by using one, and
 * what it was used for fails: no write can be tried again unseen.  So that is
 * a ping, after which the library drops them all.
 */
static int
v2m_mongo_check(v2m_mongo_t *mongo, mongoc_client_t *client, v2m_error_t *error)
{
    int64_t      now;
    bson_error_t failure;

    now = bson_get_monotonic_time();

    if (now - atomic_load(&mongo->checked)
        < (int64_t) V2M_MONGO_CHECK_MS * 1000) {
        return V2M_OK;
    }

    /* what fails late is no dead connection, but a server that hangs */

    if (!v2m_mongo_ping_by(client, &failure)
        && (failure.domain != MONGOC_ERROR_STREAM
            || bson_get_monotonic_time() - now > mongo->timeout_us / 2))
    {
        return v2m_mongo_failed(error, "ping", &failure);
    }

    atomic_store(&mongo->checked, now);

    return V2M_OK;
}


/* A client for one call, to be pushed back.  NULL: the server is away, or all
 * of them stay in use for longer than the URI's waitQueueTimeoutMS. */
static mongoc_client_t *
v2m_mongo_pop(v2m_mongo_t *mongo, v2m_error_t *error)
{
    mongoc_client_t *client;

    client = mongoc_client_pool_pop(mongo->pool);

    if (client == NULL) {
        v2m_error_set(error, V2M_UNAVAILABLE,
                      "every connection to MongoDB is in use");
        return NULL;
    }

    if (v2m_mongo_check(mongo, client, error) != V2M_OK) {
        mongoc_client_pool_push(mongo->pool, client);
        return NULL;
    }

    return client;
}


int
v2m_mongo_ping(v2m_mongo_t *mongo, v2m_error_t *error)
{
    int              rc;
    bson_error_t     failure;
    mongoc_client_t *client;

    client = v2m_mongo_pop(mongo, error);
    if (client == NULL) {
        return V2M_UNAVAILABLE;
    }

    rc = V2M_OK;

    if (!v2m_mongo_ping_by(client, &failure)) {
        rc = v2m_mongo_failed(error, "ping", &failure);
    }

    mongoc_client_pool_push(mongo->pool, client);

    return rc;
}


int
v2m_mongo_insert(v2m_mongo_t *mongo, const char *database,
                 const char *collection, const bson_t **documents, size_t count,
                 v2m_error_t *error)
{
    int                  rc;
    bson_error_t         failure;
    mongoc_client_t     *client;
    mongoc_collection_t *target;

    client = v2m_mongo_pop(mongo, error);
    if (client == NULL) {
        return V2M_UNAVAILABLE;
    }

    target = mongoc_client_get_collection(client, database, collection);

    rc = V2M_OK;

    if (!mongoc_collection_insert_many(target, documents, count, NULL, NULL,
                                       &failure))
    {
        rc = v2m_mongo_failed(error, "insert", &failure);
    }

    mongoc_collection_destroy(target);
    mongoc_client_pool_push(mongo->pool, client);

    return rc;
}


int
v2m_mongo_insert_made(v2m_mongo_t *mongo, const char *database,
                      const char *collection, v2m_mongo_make_pt make,
                      void *data, size_t count, v2m_error_t *error)
{
    int                      taken;
    size_t                   i;
    bson_t                   document;
    bson_error_t             failure;
    mongoc_client_t         *client;
    mongoc_collection_t     *target;
    mongoc_bulk_operation_t *bulk;

    client = v2m_mongo_pop(mongo, error);
    if (client == NULL) {
        return V2M_UNAVAILABLE;
    }

    target = mongoc_client_get_collection(client, database, collection);
    bulk = mongoc_collection_create_bulk_operation_with_opts(target, NULL);

    for (i = 0, taken = 1; taken && i < count; i++) {
        bson_init(&document);
        make(data, i, &document);
        taken = mongoc_bulk_operation_insert_with_opts(bulk, &document, NULL,
                                                       &failure);
        bson_destroy(&document);
    }

    taken = taken && mongoc_bulk_operation_execute(bulk, NULL, &failure) != 0;

    mongoc_bulk_operation_destroy(bulk);
    mongoc_collection_destroy(target);
    mongoc_client_pool_push(mongo->pool, client);

    return taken ? V2M_OK : v2m_mongo_failed(error, "insert", &failure);
}


/* Gives each document to the caller, and destroys the cursor. */
static int
v2m_mongo_read(mongoc_cursor_t *cursor, const char *what,
               v2m_mongo_each_pt each, void *data, v2m_error_t *error)
{
    int           rc;
    bson_error_t  failure;
    const bson_t *document;

    rc = V2M_OK;

    while (rc == V2M_OK && mongoc_cursor_next(cursor, &document)) {
        rc = each(data, document, error);
    }

    if (rc == V2M_OK && mongoc_cursor_error(cursor, &failure)) {
        rc = v2m_mongo_failed(error, what, &failure);
    }

    mongoc_cursor_destroy(cursor);

    return rc;
}


int
v2m_mongo_find(v2m_mongo_t *mongo, const char *database, const char *collection,
               const bson_t *filter, const bson_t *opts, v2m_mongo_each_pt each,
               void *data, v2m_error_t *error)
{
    int                  rc;
    mongoc_client_t     *client;
    mongoc_cursor_t     *cursor;
    mongoc_collection_t *source;

    client = v2m_mongo_pop(mongo, error);
    if (client == NULL) {
        return V2M_UNAVAILABLE;
    }

    source = mongoc_client_get_collection(client, database, collection);
    cursor = mongoc_collection_find_with_opts(source, filter, opts, NULL);

    rc = v2m_mongo_read(cursor, "find", each, data, error);

    mongoc_collection_destroy(source);
    mongoc_client_pool_push(mongo->pool, client);

    return rc;
}


int
v2m_mongo_aggregate(v2m_mongo_t *mongo, const char *database,
                    const char *collection, const bson_t *pipeline,
                    v2m_mongo_each_pt each, void *data, v2m_error_t *error)
{
    int                  rc;
    mongoc_client_t     *client;
    mongoc_cursor_t     *cursor;
    mongoc_collection_t *source;

    client = v2m_mongo_pop(mongo, error);
    if (client == NULL) {
        return V2M_UNAVAILABLE;
    }

    source = mongoc_client_get_collection(client, database, collection);
    cursor = mongoc_collection_aggregate(source, MONGOC_QUERY_NONE, pipeline,
                                         NULL, NULL);

    rc = v2m_mongo_read(cursor, "aggregate", each, data, error);

    mongoc_collection_destroy(source);
    mongoc_client_pool_push(mongo->pool, client);

    return rc;
}


/* A count from the reply of an update or delete, 0 when it is not there. */
static int64_t
v2m_mongo_count(const bson_t *reply, const char *field)
{
    bson_iter_t iter;

    return bson_iter_init_find(&iter, reply, field) ? bson_iter_as_int64(&iter)
                                                    : 0;
}


int
v2m_mongo_update(v2m_mongo_t *mongo, const char *database,
                 const char *collection, const bson_t *filter,
                 const bson_t *update, const bson_t *opts, int64_t *matched,
                 v2m_error_t *error)
{
    int                  rc;
    bson_t               reply;
    bson_error_t         failure;
    mongoc_client_t     *client;
    mongoc_collection_t *target;

    client = v2m_mongo_pop(mongo, error);
    if (client == NULL) {
        return V2M_UNAVAILABLE;
    }

    target = mongoc_client_get_collection(client, database, collection);

    rc = V2M_OK;

    if (!mongoc_collection_update_one(target, filter, update, opts, &reply,
                                      &failure))
    {
        rc = v2m_mongo_failed(error, "update", &failure);

    } else if (matched != NULL) {
        *matched = v2m_mongo_count(&reply, "matchedCount");
    }

    bson_destroy(&reply);
    mongoc_collection_destroy(target);
    mongoc_client_pool_push(mongo->pool, client);

    return rc;
}


int
v2m_mongo_delete(v2m_mongo_t *mongo, const char *database,
                 const char *collection, const bson_t *filter, int64_t *deleted,
                 v2m_error_t *error)
{
    int                  rc;
    bson_t               reply;
    bson_error_t         failure;
    mongoc_client_t     *client;
    mongoc_collection_t *target;

    client = v2m_mongo_pop(mongo, error);
    if (client == NULL) {
        return V2M_UNAVAILABLE;
    }

    target = mongoc_client_get_collection(client, database, collection);

    rc = V2M_OK;

    if (!mongoc_collection_delete_many(target, filter, NULL, &reply, &failure))
    {
        rc = v2m_mongo_failed(error, "delete", &failure);

    } else if (deleted != NULL) {
        *deleted = v2m_mongo_count(&reply, "deletedCount");
    }

    bson_destroy(&reply);
    mongoc_collection_destroy(target);
    mongoc_client_pool_push(mongo->pool, client);

    return rc;
}


int
v2m_mongo_index(v2m_mongo_t *mongo, const char *database,
                const char *collection, const bson_t *keys, int unique,
                v2m_error_t *error)
{
    int              rc;
    char            *name;
    bson_t           command, indexes, index;
    bson_error_t     failure;
    mongoc_client_t *client;

    client = v2m_mongo_pop(mongo, error);
    if (client == NULL) {
        return V2M_UNAVAILABLE;
    }

    name = mongoc_collection_keys_to_index_string(keys);

    bson_init(&command);
    BSON_APPEND_UTF8(&command, "createIndexes", collection);
    BSON_APPEND_ARRAY_BEGIN(&command, "indexes", &indexes);
    BSON_APPEND_DOCUMENT_BEGIN(&indexes, "0", &index);
    BSON_APPEND_DOCUMENT(&index, "key", keys);
    BSON_APPEND_UTF8(&index, "name", name);

    if (unique) {
        BSON_APPEND_BOOL(&index, "unique", true);
    }

    bson_append_document_end(&indexes, &index);
    bson_append_array_end(&command, &indexes);

    rc = V2M_OK;

    if (!mongoc_client_write_command_with_opts(client, database, &command, NULL,
                                               NULL, &failure))
    {
        rc = v2m_mongo_failed(error, "createIndexes", &failure);
    }

    mongoc_client_pool_push(mongo->pool, client);
    bson_destroy(&command);
    bson_free(name);

    return rc;
}
