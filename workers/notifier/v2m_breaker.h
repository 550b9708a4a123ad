/*
 * A circuit breaker for webhooks: after a call that took long, other calls of
 * its user are put off for a multiple of that time.  So one user, whose
 * receivers hang, cannot keep all handlers from the notices of others.
 *
 * By users and not by hosts, as one user may name any number of hosts.  Of this
 * process alone; any thread.
 */

#ifndef V2M_BREAKER_H
#define V2M_BREAKER_H

#include <pthread.h>
#include <stdint.h>

#define V2M_BREAKER_USERS 64
#define V2M_BREAKER_NAME  256 /* longer names are cut */

typedef struct {
    char    username[V2M_BREAKER_NAME];
    int64_t until_ms;
} v2m_breaker_entry_t;

typedef struct {
    pthread_mutex_t     lock;
    v2m_breaker_entry_t entries[V2M_BREAKER_USERS];
} v2m_breaker_t;

void v2m_breaker_init(v2m_breaker_t *breaker);
void v2m_breaker_destroy(v2m_breaker_t *breaker);

/* A call of this user took so long, whatever came of it.  now_ms is that of
 * v2m_clock_ms().  When there are too many users the one whose time ends first
 * is forgotten. */
void v2m_breaker_note(v2m_breaker_t *breaker, const char *username,
                      int64_t took_ms, int64_t now_ms);

/* How long calls of this user are to wait; 0: they may be made. */
int64_t v2m_breaker_wait_ms(v2m_breaker_t *breaker, const char *username,
                            int64_t now_ms);

#endif /* V2M_BREAKER_H */
