#include "v2m_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>

#include "v2m_pause.h"

#define V2M_SOCKET_PROBES 4


void
v2m_socket_tune(int fd, int timeout_s)
{
    int          probes, interval;
    unsigned int timeout_ms;

    timeout_ms = (unsigned int) timeout_s * 1000;
    probes = V2M_SOCKET_PROBES;
    interval = timeout_s / V2M_SOCKET_PROBES + 1;

    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
               sizeof(timeout_ms));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}


/* poll() that goes on after a signal; no descriptor is ready when it fails. */
static void
v2m_socket_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    int     n;
    nfds_t  i;
    int64_t left, until;

    until = v2m_clock_ms() + timeout_ms;

    do {
        left = until - v2m_clock_ms();
        n = poll(fds, count, left > 0 ? (int) left : 0);
    } while (n == -1 && left > 0);

    for (i = 0; n == -1 && i < count; i++) {
        fds[i].revents = 0;
    }
}


int
v2m_socket_writable(int fd, int timeout_ms)
{
    struct pollfd pollfd;

    pollfd.fd = fd;
    pollfd.events = POLLOUT;
    v2m_socket_poll(&pollfd, 1, timeout_ms);

    return pollfd.revents != 0;
}


v2m_socket_ready_t
v2m_socket_wait(int fd, int wake_fd, int timeout_ms)
{
    struct pollfd pollfds[2];

    pollfds[0].fd = fd;
    pollfds[0].events = POLLIN;
    pollfds[1].fd = wake_fd;
    pollfds[1].events = POLLIN;
    v2m_socket_poll(pollfds, 2, timeout_ms);

    return pollfds[0].revents != 0   ? V2M_SOCKET_READABLE
           : pollfds[1].revents != 0 ? V2M_SOCKET_WOKEN
                                     : V2M_SOCKET_NOTHING;
}
