/* The connection to MongoDB: what each failure becomes.  Against the server in
 * V2M_MONGO_URI; without it only what needs none. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_id.h"
#include "v2m_mongo.h"

#define COLLECTION "things"

static char         database[64];
static v2m_mongo_t *mongo;


static v2m_mongo_t *
create(const char *uri, int32_t timeout_ms)
{
    v2m_mongo_t        *created;
    v2m_error_t         error;
    v2m_mongo_options_t options = { "v2m-test", timeout_ms };

    if (v2m_mongo_create(&created, uri, &options, &error) != V2M_OK) {
        fail_msg("%s", error.text);
    }

    return created;
}


static int
setup(void **state)
{
    v2m_id_t id;

    (void) state;

    if (getenv("V2M_MONGO_URI") != NULL) {
        v2m_id_generate(id);
        snprintf(database, sizeof(database), "v2m_test_%s", id);
        mongo = create(getenv("V2M_MONGO_URI"), 10000);
    }

    return 0;
}


static int
teardown(void **state)
{
    bson_t all = BSON_INITIALIZER;

    (void) state;

    if (mongo != NULL) {
        v2m_mongo_delete(mongo, database, COLLECTION, &all, NULL, NULL);
        v2m_mongo_destroy(mongo);
    }

    return 0;
}


static void
need_store(void)
{
    if (mongo == NULL) {
        skip();
    }
}


static void
test_uris(void **state)
{
    size_t      i;
    v2m_error_t error;

    static const char *const good[] = {
        "mongodb://localhost",
        "mongodb://127.0.0.1:27017/",
        "mongodb://user:secret@a.example,b.example:27018/?replicaSet=r",
        "mongodb://[::1]:27017/admin?w=1&connectTimeoutMS=100",
        "mongodb+srv://cluster.example.org/",
    };
    static const char *const bad[] = {
        "",
        "localhost",
        "http://user:secret@localhost",
        "mongodb://",
        "mongodb:///",
        "mongodb://user:secret@",
        "mongodb://user:secret@localhost:port",
        "mongodb://user:secret@localhost:99999",
        "mongodb://user:secret%@localhost",
        "mongodb://user:secret:more@localhost",
        "mongodb://user:/secret@localhost",
        "mongodb://user@:secret@localhost",
        "mongodb://user:secret@localhost/?w",
        "mongodb://user:secret@a,/b?x=%",
        "mongodb+srv://user:secret@a.example:27017/",
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (v2m_mongo_check_uri(good[i], &error) != V2M_OK) {
            fail_msg("%s: %s", good[i], error.text);
        }
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        v2m_mongo_t        *created;
        v2m_mongo_options_t options = { "v2m-test", 100 };

        error.code = V2M_OK;

        if (v2m_mongo_check_uri(bad[i], &error) != V2M_INVALID) {
            fail_msg("%s is taken", bad[i]);
        }

        assert_int_equal(error.code, V2M_INVALID);
        assert_null(strstr(error.text, "secret"));

        assert_int_equal(v2m_mongo_create(&created, bad[i], &options, &error),
                         V2M_INVALID);
        assert_null(strstr(error.text, "secret"));
    }
}


static void
append_id(bson_t *document, const v2m_id_t id)
{
    bson_oid_t oid;

    bson_oid_init_from_string(&oid, id);
    BSON_APPEND_OID(document, "_id", &oid);
}


static int
insert(v2m_mongo_t *to, const v2m_id_t id, const char *text, v2m_error_t *error)
{
    int           rc;
    bson_t        document = BSON_INITIALIZER;
    const bson_t *pointer = &document;

    append_id(&document, id);
    BSON_APPEND_UTF8(&document, "text", text);
    rc = v2m_mongo_insert(to, database, COLLECTION, &pointer, 1, error);
    bson_destroy(&document);

    return rc;
}


static int
count_documents(void *data, const bson_t *document, v2m_error_t *error)
{
    (void) document;
    (void) error;

    ++*(int *) data;

    return V2M_OK;
}


static int
count_of(const v2m_id_t id)
{
    int    count;
    bson_t filter = BSON_INITIALIZER;

    count = 0;
    append_id(&filter, id);
    assert_int_equal(v2m_mongo_find(mongo, database, COLLECTION, &filter, NULL,
                                    count_documents, &count, NULL),
                     V2M_OK);
    bson_destroy(&filter);

    return count;
}


static void
test_insert(void **state)
{
    char       *big;
    v2m_id_t    id;
    v2m_error_t error;

    (void) state;

    need_store();
    assert_int_equal(v2m_mongo_ping(mongo, &error), V2M_OK);

    v2m_id_generate(id);
    assert_int_equal(insert(mongo, id, "a", &error), V2M_OK);
    assert_int_equal(insert(mongo, id, "b", &error), V2M_CONFLICT);
    assert_int_equal(error.code, V2M_CONFLICT);
    assert_int_equal(count_of(id), 1);

    /* what no server would take */

    v2m_id_generate(id);
    big = calloc(1, 64 << 20);
    assert_non_null(big);
    memset(big, 'x', (64 << 20) - 1);
    assert_int_equal(insert(mongo, id, big, &error), V2M_INVALID);
    free(big);
    assert_int_equal(count_of(id), 0);
}


/* One command: stops at the first failure, what was before it stays. */
static void
test_insert_many(void **state)
{
    int           i;
    bson_t        documents[3];
    v2m_id_t      ids[3];
    v2m_error_t   error;
    const bson_t *pointers[3];

    (void) state;

    need_store();

    for (i = 0; i < 3; i++) {
        v2m_id_generate(ids[i]);
        bson_init(&documents[i]);
        append_id(&documents[i], ids[i == 1 ? 0 : i]);
        pointers[i] = &documents[i];
    }

    assert_int_equal(
        v2m_mongo_insert(mongo, database, COLLECTION, pointers, 3, &error),
        V2M_CONFLICT);
    assert_int_equal(count_of(ids[0]), 1);
    assert_int_equal(count_of(ids[2]), 0);

    for (i = 0; i < 3; i++) {
        bson_destroy(&documents[i]);
    }
}


static int
stop_at_second(void *data, const bson_t *document, v2m_error_t *error)
{
    (void) document;

    return ++*(int *) data == 2
               ? v2m_error_set(error, V2M_CORRUPT, "seen enough")
               : V2M_OK;
}


static void
test_find(void **state)
{
    int         i, count;
    bson_t      all = BSON_INITIALIZER, none = BSON_INITIALIZER, broken;
    v2m_id_t    id;
    v2m_error_t error;

    (void) state;

    need_store();

    for (i = 0; i < 3; i++) {
        v2m_id_generate(id);
        assert_int_equal(insert(mongo, id, "a", &error), V2M_OK);
    }

    /* the caller's own result ends it */

    count = 0;
    assert_int_equal(v2m_mongo_find(mongo, database, COLLECTION, &all, NULL,
                                    stop_at_second, &count, &error),
                     V2M_CORRUPT);
    assert_int_equal(count, 2);
    assert_string_equal(error.text, "seen enough");

    /* nothing found is no failure, nor is a collection that is not there */

    v2m_id_generate(id);
    append_id(&none, id);
    count = 0;
    assert_int_equal(v2m_mongo_find(mongo, database, COLLECTION, &none, NULL,
                                    count_documents, &count, &error),
                     V2M_OK);
    assert_int_equal(v2m_mongo_find(mongo, database, "nowhere", &all, NULL,
                                    count_documents, &count, &error),
                     V2M_OK);
    assert_int_equal(count, 0);

    /* a question that the server does not understand */

    bson_init(&broken);
    BSON_APPEND_INT32(&broken, "$nonsense", 1);
    assert_int_not_equal(v2m_mongo_find(mongo, database, COLLECTION, &broken,
                                        NULL, count_documents, &count, &error),
                         V2M_OK);
    assert_int_not_equal(error.code, V2M_UNAVAILABLE);

    bson_destroy(&broken);
    bson_destroy(&none);
}


static void
test_update_and_delete(void **state)
{
    bson_t      filter = BSON_INITIALIZER, update = BSON_INITIALIZER, set;
    bson_t      opts = BSON_INITIALIZER, all = BSON_INITIALIZER;
    int64_t     count;
    v2m_id_t    id;
    v2m_error_t error;

    (void) state;

    need_store();
    v2m_id_generate(id);
    append_id(&filter, id);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
    BSON_APPEND_UTF8(&set, "text", "new");
    bson_append_document_end(&update, &set);

    count = -1;
    assert_int_equal(v2m_mongo_update(mongo, database, COLLECTION, &filter,
                                      &update, NULL, &count, &error),
                     V2M_OK);
    assert_int_equal(count, 0);

    BSON_APPEND_BOOL(&opts, "upsert", true);
    assert_int_equal(v2m_mongo_update(mongo, database, COLLECTION, &filter,
                                      &update, &opts, NULL, &error),
                     V2M_OK);

    /* met, though it changes nothing */

    assert_int_equal(v2m_mongo_update(mongo, database, COLLECTION, &filter,
                                      &update, NULL, &count, &error),
                     V2M_OK);
    assert_int_equal(count, 1);

    assert_int_equal(
        v2m_mongo_delete(mongo, database, COLLECTION, &filter, &count, &error),
        V2M_OK);
    assert_int_equal(count, 1);
    assert_int_equal(
        v2m_mongo_delete(mongo, database, COLLECTION, &filter, &count, &error),
        V2M_OK);
    assert_int_equal(count, 0);
    assert_int_equal(
        v2m_mongo_delete(mongo, database, "nowhere", &all, &count, &error),
        V2M_OK);
    assert_int_equal(count, 0);

    bson_destroy(&opts);
    bson_destroy(&update);
    bson_destroy(&filter);
}


static void
test_index(void **state)
{
    int         i;
    bson_t      keys = BSON_INITIALIZER;
    v2m_id_t    id;
    v2m_error_t error;

    (void) state;

    need_store();
    BSON_APPEND_INT32(&keys, "text", 1);

    /* again and again, as every process does that starts */

    for (i = 0; i < 2; i++) {
        if (v2m_mongo_index(mongo, database, "unique", &keys, 1, &error)
            != V2M_OK) {
            fail_msg("%s", error.text);
        }
    }

    for (i = 0; i < 2; i++) {
        bson_t        document = BSON_INITIALIZER;
        const bson_t *pointer = &document;

        v2m_id_generate(id);
        append_id(&document, id);
        BSON_APPEND_UTF8(&document, "text", "same");
        assert_int_equal(
            v2m_mongo_insert(mongo, database, "unique", &pointer, 1, &error),
            i == 0 ? V2M_OK : V2M_CONFLICT);
        bson_destroy(&document);
    }

    bson_destroy(&keys);
    assert_int_equal(v2m_mongo_delete(mongo, database, "unique",
                                      &(bson_t) BSON_INITIALIZER, NULL, &error),
                     V2M_OK);
}


static void *
insert_some(void *data)
{
    int      i;
    v2m_id_t id;

    for (i = 0; i < 20; i++) {
        v2m_id_generate(id);

        if (insert(data, id, "x", NULL) != V2M_OK) {
            return (void *) "an insert failed";
        }
    }

    return NULL;
}


static void
test_threads(void **state)
{
    int       i;
    void     *problem;
    pthread_t threads[8];

    (void) state;

    need_store();

    for (i = 0; i < 8; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, insert_some, mongo),
                         0);
    }

    for (i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], &problem), 0);
        assert_null(problem);
    }
}


/* Holds the only connection until told. */
static int
hold(void *data, const bson_t *document, v2m_error_t *error)
{
    v2m_mongo_t *busy = data;

    (void) document;

    if (v2m_mongo_ping(busy, error) != V2M_UNAVAILABLE) {
        return v2m_error_set(error, V2M_ERROR, "a second connection");
    }

    return V2M_OK;
}


static void
test_all_in_use(void **state)
{
    int          count;
    char         uri[512];
    bson_t       filter = BSON_INITIALIZER;
    v2m_id_t     id;
    v2m_error_t  error;
    v2m_mongo_t *small;

    (void) state;

    need_store();
    snprintf(uri, sizeof(uri), "%s%smaxPoolSize=1&waitQueueTimeoutMS=100",
             getenv("V2M_MONGO_URI"),
             strchr(getenv("V2M_MONGO_URI"), '?') ? "&" : "?");
    small = create(uri, 10000);

    v2m_id_generate(id);
    assert_int_equal(insert(small, id, "a", &error), V2M_OK);
    append_id(&filter, id);
    assert_int_equal(v2m_mongo_find(small, database, COLLECTION, &filter, NULL,
                                    hold, small, &error),
                     V2M_OK);

    count = 0;
    assert_int_equal(v2m_mongo_find(small, database, COLLECTION, &filter, NULL,
                                    count_documents, &count, &error),
                     V2M_OK);
    assert_int_equal(count, 1);
    bson_destroy(&filter);
    v2m_mongo_destroy(small);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uris),
        cmocka_unit_test(test_insert),
        cmocka_unit_test(test_insert_many),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_update_and_delete),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_all_in_use),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
