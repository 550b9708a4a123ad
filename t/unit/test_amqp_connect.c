/* Connecting to RabbitMQ: to the broker in V2M_AMQP_URL, tests that need it are
 * skipped without; and to servers that are none. */

#include "broker.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "v2m_amqp.h"


static int
try_connect(v2m_amqp_t **amqp, const char *url, int timeout_ms,
            v2m_error_t *error)
{
    v2m_amqp_options_t options = { "v2m-test", 30, timeout_ms };

    return v2m_amqp_connect(amqp, url, &options, error);
}


static void
test_url(void **state)
{
    size_t      i;
    v2m_error_t error;

    static const char *const good[] = {
        "amqp://localhost",
        "amqp://localhost/",
        "amqp://user:pass@localhost:5672/vhost",
        "amqps://user:p%40ss@host.example.org/%2F",
        "amqp://[::1]:5672/",
        "amqp://user:pass@one.example.org,two.example.org:5673,[::1]/vhost",
    };
    static const char *const bad[] = {
        "",
        "localhost",
        "http://localhost",
        "amqp:localhost",
        "amqp://localhost:port",
        "amqp://localhost:0",
        "amqp://user:pass@one,/",
        "amqp://user:pass@one,,two",
        "amqp://user:pass@,two",
        "amqp://user:pass@one,two:port",
        "amqp://user:pass@one,user:pass@two",
        "amqp://user:pa%ss@localhost",
        "amqp://user@pass@localhost",
    };

    (void) state;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (v2m_amqp_check_url(good[i], &error) != V2M_OK) {
            fail_msg("%s: %s", good[i], error.text);
        }
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (v2m_amqp_check_url(bad[i], &error) != V2M_INVALID) {
            fail_msg("\"%s\" was taken", bad[i]);
        }

        assert_null(strstr(error.text, "pass"));
    }
}


static void
test_queue_name(void **state)
{
    char        name[V2M_AMQP_QUEUE_MAX + 2];
    v2m_error_t error;

    (void) state;

    memset(name, 'q', sizeof(name));
    name[V2M_AMQP_QUEUE_MAX + 1] = '\0';

    assert_int_equal(v2m_amqp_check_queue(name, &error), V2M_INVALID);
    assert_int_equal(v2m_amqp_check_queue(name + 1, &error), V2M_OK);
    assert_int_equal(v2m_amqp_check_queue("q", &error), V2M_OK);
    assert_int_equal(v2m_amqp_check_queue("", &error), V2M_INVALID);
}


/* A server at a port of its own. */
static int
listen_somewhere(char *url, size_t size)
{
    int                fd;
    socklen_t          length;
    struct sockaddr_in address;

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    length = sizeof(address);

    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &address, &length), 0);
    assert_int_equal(listen(fd, 8), 0);

    snprintf(url, size, "amqp://user:secret@127.0.0.1:%d/",
             ntohs(address.sin_port));

    return fd;
}


static void
test_nobody_there(void **state)
{
    int         fd;
    char        url[64];
    v2m_amqp_t *amqp;
    v2m_error_t error;

    (void) state;

    fd = listen_somewhere(url, sizeof(url));
    close(fd);

    assert_int_equal(try_connect(&amqp, url, 5000, &error), V2M_UNAVAILABLE);
    assert_non_null(strstr(error.text, "at 127.0.0.1:"));
    assert_null(strstr(error.text, "secret"));
}


/* The system takes the connection, but no program does. */
static void
test_silent_server(void **state)
{
    int         fd;
    char        url[64];
    v2m_amqp_t *amqp;
    v2m_error_t error;

    (void) state;

    fd = listen_somewhere(url, sizeof(url));

    assert_int_equal(try_connect(&amqp, url, 200, &error), V2M_UNAVAILABLE);
    assert_non_null(strstr(error.text, "logging in"));
    close(fd);
}


/* The broker's URL with another host, of a URL of ours, before its own. */
static void
put_before(char *result, size_t size, const char *other)
{
    const char *host;

    host = strrchr(broker_url(), '@') + 1;
    other = strrchr(other, '@') + 1;

    snprintf(result, size, "%.*s%.*s,%s", (int) (host - broker_url()),
             broker_url(), (int) strcspn(other, "/"), other, host);
}


/* Whichever of the hosts is the first, the one that works is found. */
static void
test_refused_by_one(void **state)
{
    int         i, fd;
    char        url[256], other[64];
    v2m_amqp_t *amqp;
    v2m_error_t error;

    (void) state;

    fd = listen_somewhere(other, sizeof(other));
    close(fd);
    put_before(url, sizeof(url), other);

    for (i = 0; i < 2; i++) {
        if (try_connect(&amqp, url, 5000, &error) != V2M_OK) {
            fail_msg("%s", error.text);
        }

        v2m_amqp_close(amqp);
    }
}


/* One that hangs takes all the time of one call, and none of the next. */
static void
test_one_hangs(void **state)
{
    int         i, fd, good;
    char        url[256], other[64];
    v2m_amqp_t *amqp;
    v2m_error_t error;

    (void) state;

    fd = listen_somewhere(other, sizeof(other));
    put_before(url, sizeof(url), other);
    good = 0;

    for (i = 0; i < 2; i++) {
        if (try_connect(&amqp, url, 1000, &error) == V2M_OK) {
            good++;
            v2m_amqp_close(amqp);
        }
    }

    assert_int_equal(good, 1);
    close(fd);
}


static void *
answer_as_a_web_server(void *data)
{
    int     fd;
    char    request[64];
    ssize_t n;

    static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
                                 "Content-Length: 0\r\n\r\n";

    fd = accept(*(int *) data, NULL, NULL);
    n = read(fd, request, sizeof(request));
    n = write(fd, answer, sizeof(answer) - 1);
    (void) n;
    close(fd);

    return NULL;
}


static void
test_other_server(void **state)
{
    int         fd;
    char        url[64];
    pthread_t   thread;
    v2m_amqp_t *amqp;
    v2m_error_t error;

    (void) state;

    fd = listen_somewhere(url, sizeof(url));
    pthread_create(&thread, NULL, answer_as_a_web_server, &fd);

    assert_int_equal(try_connect(&amqp, url, 5000, &error), V2M_UNAVAILABLE);

    pthread_join(thread, NULL);
    close(fd);
}


static void
test_refused_login(void **state)
{
    char        url[256];
    v2m_amqp_t *amqp;
    v2m_error_t error;
    const char *host, *path;

    (void) state;

    host = strrchr(broker_url(), '@') + 1;
    path = strchr(host, '/');

    snprintf(url, sizeof(url), "amqp://nobody:secret@%s", host);
    assert_int_equal(try_connect(&amqp, url, 5000, &error), V2M_UNAVAILABLE);
    assert_non_null(strstr(error.text, "ACCESS_REFUSED"));
    assert_null(strstr(error.text, "secret"));

    snprintf(url, sizeof(url), "%.*s/nowhere",
             path == NULL ? (int) strlen(broker_url())
                          : (int) (path - broker_url()),
             broker_url());
    assert_int_equal(try_connect(&amqp, url, 5000, &error), V2M_UNAVAILABLE);
    assert_non_null(strstr(error.text, "NOT_ALLOWED"));
}


int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url),
        cmocka_unit_test(test_queue_name),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_silent_server),
        cmocka_unit_test(test_refused_by_one),
        cmocka_unit_test(test_one_hangs),
        cmocka_unit_test(test_other_server),
        cmocka_unit_test(test_refused_login),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
