/*
 * How often this process gave a message back, for queues whose broker does
 * not count deliveries.  Several workers on one queue count each for itself,
 * and only the latest V2M_ATTEMPTS_KEPT messages are remembered: a message is
 * then tried more often than wanted, never less.  One thread.
 */

#ifndef V2M_ATTEMPTS_H
#define V2M_ATTEMPTS_H

#include <stddef.h>
#include <stdint.h>

#define V2M_ATTEMPTS_KEPT 256

/* Zeroed before its first use. */
typedef struct {
    size_t next;
    struct {
        uint64_t key; /* 0: free */
        int      count;
    } kept[V2M_ATTEMPTS_KEPT];
} v2m_attempts_t;

/* What tells one message from another: a hash of its body, never 0. */
uint64_t v2m_attempts_key(const char *body, size_t length);

int v2m_attempts_count(const v2m_attempts_t *attempts, uint64_t key);

void v2m_attempts_add(v2m_attempts_t *attempts, uint64_t key);

void v2m_attempts_forget(v2m_attempts_t *attempts, uint64_t key);

#endif /* V2M_ATTEMPTS_H */
