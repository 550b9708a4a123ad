/*
 * What a client of a slow or vanished server needs of a connected socket:
 * waits that end.
 */

#ifndef V2M_SOCKET_H
#define V2M_SOCKET_H

/*
 * Lets the kernel end the connection when the other side takes no data, or
 * does not answer, for about the given time.
 */
void v2m_socket_tune(int fd, int timeout_s);

/* Waits until at least a few kilobytes can be sent.  Returns 1, or 0 when the
 * time has passed. */
int v2m_socket_writable(int fd, int timeout_ms);

typedef enum {
    V2M_SOCKET_NOTHING, /* the time has passed */
    V2M_SOCKET_READABLE,
    V2M_SOCKET_WOKEN /* only wake_fd is readable */
} v2m_socket_ready_t;

/* Waits until the socket or wake_fd (may be -1) is readable. */
v2m_socket_ready_t v2m_socket_wait(int fd, int wake_fd, int timeout_ms);

#endif /* V2M_SOCKET_H */
