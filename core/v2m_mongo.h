/*
 * The connection to MongoDB: the one place that uses libmongoc.
 *
 * A v2m_mongo_t is a pool of clients.  Every function may be called from any
 * thread at any time and blocks at most for twice the time-outs given at
 * creation (call none of them on nginx's event loop).  Writes are acknowledged
 * by a majority unless the URI says otherwise.  A server that went away is
 * found again without any help of the caller.
 *
 * Common results beside V2M_OK: V2M_UNAVAILABLE (no server, time-out),
 * V2M_CONFLICT (duplicate key), V2M_FULL (the server's disk or quota),
 * V2M_INVALID (the server refused the document), V2M_ERROR.
 */

#ifndef V2M_MONGO_H
#define V2M_MONGO_H

#include <stddef.h>
#include <stdint.h>
#include <bson/bson.h>

#include "v2m_error.h"

/*
 * A call pings the server first when none did so for this long: a server that
 * was restarted meanwhile has left dead connections behind, and the ping gets
 * the failure instead of the call.
 */
#define V2M_MONGO_CHECK_MS 1000

typedef struct v2m_mongo_s v2m_mongo_t;

typedef struct {
    const char *application; /* the name shown in the server's log */
    int32_t     timeout_ms;  /* for finding a server and for each reply */
} v2m_mongo_options_t;

/*
 * Checks the URI and makes the pool; connects only when first used.  To be
 * called after fork(), as the pool has threads of its own.
 * V2M_INVALID: the URI is unusable.
 */
int v2m_mongo_create(v2m_mongo_t **mongo, const char *uri,
                     const v2m_mongo_options_t *options, v2m_error_t *error);

/* No other call may be under way.  NULL is allowed. */
void v2m_mongo_destroy(v2m_mongo_t *mongo);

/* V2M_INVALID and a text for a person when the URI is unusable. */
int v2m_mongo_check_uri(const char *uri, v2m_error_t *error);

/* One round trip to the server that takes writes. */
int v2m_mongo_ping(v2m_mongo_t *mongo, v2m_error_t *error);

/* Inserts all the documents with one command; stops at the first failure. */
int v2m_mongo_insert(v2m_mongo_t *mongo, const char *database,
                     const char *collection, const bson_t **documents,
                     size_t count, v2m_error_t *error);

/* Makes document i, which is empty. */
typedef void (*v2m_mongo_make_pt)(void *data, size_t i, bson_t *document);

/* As v2m_mongo_insert(), for large documents: each is made when the command
 * takes it up and freed at once, so that no two of them are in memory. */
int v2m_mongo_insert_made(v2m_mongo_t *mongo, const char *database,
                          const char *collection, v2m_mongo_make_pt make,
                          void *data, size_t count, v2m_error_t *error);

/*
 * Called for each document found; the document is valid during the call only.
 * A return value other than V2M_OK ends the search and becomes its result.
 */
typedef int (*v2m_mongo_each_pt)(void *data, const bson_t *document,
                                 v2m_error_t *error);

/* opts: those of the find command (sort, limit, projection, batchSize). */
int v2m_mongo_find(v2m_mongo_t *mongo, const char *database,
                   const char *collection, const bson_t *filter,
                   const bson_t *opts, v2m_mongo_each_pt each, void *data,
                   v2m_error_t *error);

/* The same for the documents that a pipeline, {pipeline: [stages]}, makes. */
int v2m_mongo_aggregate(v2m_mongo_t *mongo, const char *database,
                        const char *collection, const bson_t *pipeline,
                        v2m_mongo_each_pt each, void *data, v2m_error_t *error);

/*
 * Updates at most one document.  opts may be NULL or hold {upsert: true}.
 * *matched (may be NULL) is the number of documents the filter met.
 */
int v2m_mongo_update(v2m_mongo_t *mongo, const char *database,
                     const char *collection, const bson_t *filter,
                     const bson_t *update, const bson_t *opts, int64_t *matched,
                     v2m_error_t *error);

/* Deletes every document the filter meets; *deleted may be NULL. */
int v2m_mongo_delete(v2m_mongo_t *mongo, const char *database,
                     const char *collection, const bson_t *filter,
                     int64_t *deleted, v2m_error_t *error);

/* Makes an index if it is not there; keys as {field: 1, ...}. */
int v2m_mongo_index(v2m_mongo_t *mongo, const char *database,
                    const char *collection, const bson_t *keys, int unique,
                    v2m_error_t *error);

#endif /* V2M_MONGO_H */
