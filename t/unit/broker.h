/*
 * What unit tests do with the broker behind the back of the code they test.
 * Every function ends the test when it fails.
 */

#ifndef TEST_BROKER_H
#define TEST_BROKER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

#define BROKER_SKIPPED "V2M_AMQP_URL is not set"


/* The broker to test with; without one the test is skipped. */
static inline const char *
broker_url(void)
{
    const char *url;

    url = getenv("V2M_AMQP_URL");

    if (url == NULL) {
        print_message("skipped: " BROKER_SKIPPED "\n");
        skip();
    }

    return url;
}


static inline amqp_connection_state_t
broker_open(void)
{
    char                       *url;
    amqp_socket_t              *socket;
    struct amqp_connection_info info;
    amqp_connection_state_t     connection;

    url = strdup(broker_url());
    assert_int_equal(amqp_parse_url(url, &info), AMQP_STATUS_OK);

    if (*info.vhost == '\0') {
        info.vhost = "/";
    }

    connection = amqp_new_connection();
    socket = amqp_tcp_socket_new(connection);
    assert_int_equal(amqp_socket_open(socket, info.host, info.port),
                     AMQP_STATUS_OK);
    assert_int_equal(amqp_login(connection, info.vhost, 0, 131072, 0,
                                AMQP_SASL_METHOD_PLAIN, info.user,
                                info.password)
                         .reply_type,
                     AMQP_RESPONSE_NORMAL);
    assert_non_null(amqp_channel_open(connection, 1));
    free(url);

    return connection;
}


static inline void
broker_close(amqp_connection_state_t connection)
{
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
}


/* Deletes a queue and its dead letters, where there are such. */
static inline void
broker_delete(const char *queue)
{
    char                    dead[300];
    amqp_connection_state_t connection;

    snprintf(dead, sizeof(dead), "%s.dead", queue);

    connection = broker_open();
    amqp_queue_delete(connection, 1, amqp_cstring_bytes(queue), 0, 0);
    amqp_queue_delete(connection, 1, amqp_cstring_bytes(dead), 0, 0);
    broker_close(connection);
}


/* Makes a classic queue that refuses what is more than so many messages, 0:
 * that takes any number. */
static inline void
broker_make_classic(const char *queue, int most)
{
    amqp_table_t            table;
    amqp_table_entry_t      entries[2];
    amqp_connection_state_t connection;

    entries[0].key = amqp_cstring_bytes("x-max-length");
    entries[0].value.kind = AMQP_FIELD_KIND_I32;
    entries[0].value.value.i32 = most;
    entries[1].key = amqp_cstring_bytes("x-overflow");
    entries[1].value.kind = AMQP_FIELD_KIND_UTF8;
    entries[1].value.value.bytes = amqp_cstring_bytes("reject-publish");

    table.num_entries = most > 0 ? 2 : 0;
    table.entries = entries;

    connection = broker_open();
    assert_non_null(amqp_queue_declare(connection, 1, amqp_cstring_bytes(queue),
                                       0, 0, 0, 0, table));
    broker_close(connection);
}


/* Publishes without limits, and waits until the broker has it. */
static inline void
broker_publish(const char *queue, const char *body, size_t length)
{
    amqp_bytes_t            bytes;
    amqp_connection_state_t connection;

    bytes.bytes = (void *) body;
    bytes.len = length;

    connection = broker_open();
    assert_int_equal(amqp_basic_publish(connection, 1, amqp_empty_bytes,
                                        amqp_cstring_bytes(queue), 0, 0, NULL,
                                        bytes),
                     AMQP_STATUS_OK);

    /* the broker answers in order */
    assert_non_null(amqp_queue_declare(connection, 1, amqp_cstring_bytes(queue),
                                       1, 0, 0, 0, amqp_empty_table));
    broker_close(connection);
}

#endif /* TEST_BROKER_H */
