/* A MongoDB that is away, hangs, or comes and goes: every call ends in time.
 * What needs a server uses the one in V2M_MONGO_URI, and is skipped without
 * it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "v2m_id.h"
#include "v2m_mongo.h"
#include "v2m_pause.h"

/* Each call must end within this, which is ample for the time-out. */
#define TEST_PATIENCE_MS 20000
#define TEST_TIMEOUT_MS  300

#define DATABASE   "v2m_test"
#define COLLECTION "things"


static v2m_mongo_t *
create(const char *uri)
{
    v2m_mongo_t        *created;
    v2m_error_t         error;
    v2m_mongo_options_t options = { "v2m-test", TEST_TIMEOUT_MS };

    if (v2m_mongo_create(&created, uri, &options, &error) != V2M_OK) {
        fail_msg("%s", error.text);
    }

    return created;
}


static int
ignore(void *data, const bson_t *document, v2m_error_t *error)
{
    (void) data;
    (void) document;
    (void) error;

    return V2M_OK;
}


/* A listening socket that takes connections and says nothing. */
static int
listen_somewhere(char uri[128])
{
    int                fd;
    socklen_t          length;
    struct sockaddr_in address;

    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_not_equal(fd, -1);

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    length = sizeof(address);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, length), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &address, &length), 0);
    snprintf(uri, 128, "mongodb://127.0.0.1:%d/?directConnection=true",
             ntohs(address.sin_port));

    return fd;
}


/* Every call fails as it should, and in time. */
static void
assert_unavailable(v2m_mongo_t *away)
{
    int         i, rc;
    int64_t     begun;
    bson_t      document = BSON_INITIALIZER, keys = BSON_INITIALIZER;
    v2m_id_t    id;
    bson_oid_t  oid;
    v2m_error_t error;

    v2m_id_generate(id);
    bson_oid_init_from_string(&oid, id);
    BSON_APPEND_OID(&document, "_id", &oid);
    BSON_APPEND_INT32(&keys, "text", 1);

    for (i = 0; i < 6; i++) {
        const bson_t *pointer = &document;

        error.code = V2M_OK;
        error.text[0] = '\0';
        begun = v2m_clock_ms();
        rc = i == 0   ? v2m_mongo_ping(away, &error)
             : i == 1 ? v2m_mongo_insert(away, DATABASE, COLLECTION, &pointer,
                                         1, &error)
             : i == 2 ? v2m_mongo_find(away, DATABASE, COLLECTION, &document,
                                       NULL, ignore, NULL, &error)
             : i == 3 ? v2m_mongo_update(away, DATABASE, COLLECTION, &document,
                                         &(bson_t) BSON_INITIALIZER, NULL, NULL,
                                         &error)
             : i == 4 ? v2m_mongo_delete(away, DATABASE, COLLECTION, &document,
                                         NULL, &error)
                      : v2m_mongo_index(away, DATABASE, COLLECTION, &keys, 0,
                                        &error);

        if (rc != V2M_UNAVAILABLE || error.code != rc) {
            fail_msg("call %d gives %d: %s", i, rc, error.text);
        }

        assert_true(v2m_clock_ms() - begun < TEST_PATIENCE_MS);
    }

    bson_destroy(&keys);
    bson_destroy(&document);
}


static void
test_nobody_listens(void **state)
{
    int          fd;
    char         uri[128];
    v2m_mongo_t *away;

    (void) state;

    fd = listen_somewhere(uri);
    close(fd);
    away = create(uri);
    assert_unavailable(away);
    v2m_mongo_destroy(away);
}


static void
test_nobody_answers(void **state)
{
    int          fd;
    char         uri[128];
    v2m_mongo_t *away;

    (void) state;

    fd = listen_somewhere(uri);
    away = create(uri);
    assert_unavailable(away);
    v2m_mongo_destroy(away);
    close(fd);
}


/* A relay to the real server, which can stop to pass anything on or go. */
typedef struct {
    int                listener;
    atomic_int         holding; /* pass nothing on */
    atomic_int         closing; /* close every connection, take no new one */
    atomic_int         ending;
    atomic_int         pairs; /* of connections */
    pthread_t          thread;
    struct sockaddr_in server;
} test_relay_t;

#define RELAYED 32 /* connections, at most */


/* Passes on what there is; 0 when the connection is over. */
static int
relay_some(int from, int to)
{
    char    buffer[65536];
    ssize_t n;

    n = recv(from, buffer, sizeof(buffer), 0);

    return n > 0 && send(to, buffer, (size_t) n, MSG_NOSIGNAL) == n;
}


static void
relay_accept(test_relay_t *relay, struct pollfd *fds, nfds_t *count)
{
    int client, server;

    client = accept(relay->listener, NULL, NULL);
    server = socket(AF_INET, SOCK_STREAM, 0);

    if (client == -1 || server == -1 || *count + 2 > RELAYED * 2 + 1
        || atomic_load(&relay->closing)
        || connect(server, (struct sockaddr *) &relay->server,
                   sizeof(relay->server))
               == -1)
    {
        close(client);
        close(server);
        return;
    }

    fds[*count] = (struct pollfd){ client, POLLIN, 0 };
    fds[*count + 1] = (struct pollfd){ server, POLLIN, 0 };
    *count += 2;
}


/* The pairs of connections lie behind the listener. */
static void *
relay_run(void *data)
{
    nfds_t        i, count;
    test_relay_t *relay = data;
    struct pollfd fds[RELAYED * 2 + 1];

    fds[0] = (struct pollfd){ relay->listener, POLLIN, 0 };
    count = 1;

    while (!atomic_load(&relay->ending)) {
        if (poll(fds, atomic_load(&relay->holding) ? 0 : count, 20) <= 0
            && !atomic_load(&relay->closing))
        {
            continue;
        }

        for (i = 1; i < count; i++) {
            nfds_t other = i % 2 == 1 ? i + 1 : i - 1;

            if (!atomic_load(&relay->closing)
                && (fds[i].revents == 0
                    || relay_some(fds[i].fd, fds[other].fd)))
            {
                continue;
            }

            /* the last pair takes the place of the one that is over */

            close(fds[i].fd);
            close(fds[other].fd);
            i = i < other ? i : other;
            memmove(fds + i, fds + count - 2, 2 * sizeof(fds[0]));
            count -= 2;
            i--;
        }

        if (fds[0].revents != 0) {
            relay_accept(relay, fds, &count);
        }

        atomic_store(&relay->pairs, (int) (count / 2));
    }

    for (i = 1; i < count; i++) {
        close(fds[i].fd);
    }

    return NULL;
}


/* Begins a relay to the server of V2M_MONGO_URI, if that is one by address. */
static void
relay_begin(test_relay_t *relay, char uri[128])
{
    int  port;
    char host[64];

    memset(relay, 0, sizeof(*relay));
    relay->server.sin_family = AF_INET;

    if (sscanf(getenv("V2M_MONGO_URI"), "mongodb://%63[0-9.]:%d", host, &port)
            != 2
        || inet_pton(AF_INET, host, &relay->server.sin_addr) != 1)
    {
        skip();
    }

    relay->server.sin_port = htons((uint16_t) port);
    relay->listener = listen_somewhere(uri);
    assert_int_equal(pthread_create(&relay->thread, NULL, relay_run, relay), 0);
}


static void
relay_end(test_relay_t *relay)
{
    atomic_store(&relay->ending, 1);
    pthread_join(relay->thread, NULL);
    close(relay->listener);
}


static void
await_ping(v2m_mongo_t *through)
{
    int64_t     until;
    v2m_error_t error;

    for (until = v2m_clock_ms() + TEST_PATIENCE_MS;
         v2m_mongo_ping(through, &error) != V2M_OK;)
    {
        if (v2m_clock_ms() > until) {
            fail_msg("the server was not found again: %s", error.text);
        }
    }
}


/* A server that was there hangs, or goes, and comes back. */
static void
test_comes_and_goes(void **state)
{
    char         uri[128];
    v2m_mongo_t *through;
    test_relay_t relay;

    (void) state;

    if (getenv("V2M_MONGO_URI") == NULL) {
        skip();
    }

    relay_begin(&relay, uri);
    through = create(uri);
    assert_int_equal(v2m_mongo_ping(through, NULL), V2M_OK);

    atomic_store(&relay.holding, 1);
    assert_unavailable(through);
    atomic_store(&relay.holding, 0);
    await_ping(through);

    atomic_store(&relay.closing, 1);
    assert_unavailable(through);
    atomic_store(&relay.closing, 0);
    await_ping(through);

    /* what was held back may have arrived after all */

    assert_int_equal(v2m_mongo_delete(through, DATABASE, COLLECTION,
                                      &(bson_t) BSON_INITIALIZER, NULL, NULL),
                     V2M_OK);

    v2m_mongo_destroy(through);
    relay_end(&relay);
}


/* None of these calls ends before all have begun. */
#define CONNECTIONS     4
#define IDLE_COLLECTION "restarted"

typedef struct {
    v2m_mongo_t      *mongo;
    pthread_barrier_t barrier;
} test_crowd_t;


static int
wait_for_all(void *data, const bson_t *document, v2m_error_t *error)
{
    test_crowd_t *crowd = data;

    (void) document;
    (void) error;

    pthread_barrier_wait(&crowd->barrier);

    return V2M_OK;
}


static void *
find_with_all(void *data)
{
    test_crowd_t *crowd = data;
    bson_t        one = BSON_INITIALIZER;
    v2m_error_t   error;

    BSON_APPEND_INT32(&one, "limit", 1);
    assert_int_equal(v2m_mongo_find(crowd->mongo, DATABASE, IDLE_COLLECTION,
                                    &(bson_t) BSON_INITIALIZER, &one,
                                    wait_for_all, crowd, &error),
                     V2M_OK);
    bson_destroy(&one);

    return NULL;
}


/* So many connections are left in the pool, each with an answer read. */
static void
fill_pool(v2m_mongo_t *mongo)
{
    int          i;
    pthread_t    threads[CONNECTIONS];
    test_crowd_t crowd = { .mongo = mongo };

    pthread_barrier_init(&crowd.barrier, NULL, CONNECTIONS);

    for (i = 0; i < CONNECTIONS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, find_with_all, &crowd), 0);
    }

    for (i = 0; i < CONNECTIONS; i++) {
        pthread_join(threads[i], NULL);
    }

    pthread_barrier_destroy(&crowd.barrier);
}


static void
insert_one(v2m_mongo_t *mongo)
{
    bson_t        document = BSON_INITIALIZER;
    v2m_error_t   error;
    const bson_t *pointer = &document;

    BSON_APPEND_INT32(&document, "text", 1);

    if (v2m_mongo_insert(mongo, DATABASE, IDLE_COLLECTION, &pointer, 1, &error)
        != V2M_OK)
    {
        fail_msg("%s", error.text);
    }

    bson_destroy(&document);
}


/* F6: it is restarted while all connections lie idle, and no call sees it. */
static void
test_restarted_while_idle(void **state)
{
    int          i;
    char         uri[256];
    int64_t      begun;
    v2m_mongo_t *idle;
    test_relay_t relay;

    (void) state;

    if (getenv("V2M_MONGO_URI") == NULL) {
        skip();
    }

    relay_begin(&relay, uri);
    /* nothing else must learn of it first, and time must not matter */
    strcat(uri, "&heartbeatFrequencyMS=60000&serverSelectionTimeoutMS=20000"
                "&connectTimeoutMS=20000&socketTimeoutMS=20000");
    idle = create(uri);
    insert_one(idle);
    fill_pool(idle);

    atomic_store(&relay.closing, 1);

    /* closed by the relay, and for longer than a check is good for */

    begun = v2m_clock_ms();
    while (v2m_clock_ms() - begun < V2M_MONGO_CHECK_MS
           || atomic_load(&relay.pairs) != 0)
    {
        assert_true(v2m_clock_ms() - begun < TEST_PATIENCE_MS);
        usleep(10000);
    }

    atomic_store(&relay.closing, 0);

    for (i = 0; i < 3 * CONNECTIONS; i++) {
        insert_one(idle);
    }

    fill_pool(idle);
    assert_int_equal(v2m_mongo_delete(idle, DATABASE, IDLE_COLLECTION,
                                      &(bson_t) BSON_INITIALIZER, NULL, NULL),
                     V2M_OK);

    v2m_mongo_destroy(idle);
    relay_end(&relay);
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_nobody_answers),
        cmocka_unit_test(test_comes_and_goes),
        cmocka_unit_test(test_restarted_while_idle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
