#include "v2m_breaker.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* A call that takes longer is a slow one. */
#define V2M_BREAKER_SLOW_MS 2000

/* For so many times as long as it took the user's calls are put off, but not
 * for longer than the most. */
#define V2M_BREAKER_FACTOR  4
#define V2M_BREAKER_MOST_MS 300000


void
v2m_breaker_init(v2m_breaker_t *breaker)
{
    memset(breaker, 0, sizeof(*breaker));
    pthread_mutex_init(&breaker->lock, NULL);
}


void
v2m_breaker_destroy(v2m_breaker_t *breaker)
{
    pthread_mutex_destroy(&breaker->lock);
}


/* NULL: there is none. */
static v2m_breaker_entry_t *
v2m_breaker_find(v2m_breaker_t *breaker, const char *username)
{
    size_t i;

    for (i = 0; i < V2M_BREAKER_USERS; i++) {
        if (strncmp(breaker->entries[i].username, username,
                    V2M_BREAKER_NAME - 1)
            == 0) {
            return &breaker->entries[i];
        }
    }

    return NULL;
}


static v2m_breaker_entry_t *
v2m_breaker_first(v2m_breaker_t *breaker)
{
    size_t               i;
    v2m_breaker_entry_t *first;

    first = breaker->entries;

    for (i = 1; i < V2M_BREAKER_USERS; i++) {
        if (breaker->entries[i].until_ms < first->until_ms) {
            first = &breaker->entries[i];
        }
    }

    return first;
}


void
v2m_breaker_note(v2m_breaker_t *breaker, const char *username, int64_t took_ms,
                 int64_t now_ms)
{
    int64_t              pause;
    v2m_breaker_entry_t *entry;

    if (took_ms < V2M_BREAKER_SLOW_MS) {
        return;
    }

    pause = took_ms < V2M_BREAKER_MOST_MS / V2M_BREAKER_FACTOR
                ? took_ms * V2M_BREAKER_FACTOR
                : V2M_BREAKER_MOST_MS;

    pthread_mutex_lock(&breaker->lock);

    entry = v2m_breaker_find(breaker, username);

    if (entry == NULL) {
        entry = v2m_breaker_first(breaker);
        snprintf(entry->username, sizeof(entry->username), "%s", username);
    }

    entry->until_ms = now_ms + pause;

    pthread_mutex_unlock(&breaker->lock);
}


int64_t
v2m_breaker_wait_ms(v2m_breaker_t *breaker, const char *username,
                    int64_t now_ms)
{
    int64_t              until;
    v2m_breaker_entry_t *entry;

    pthread_mutex_lock(&breaker->lock);

    entry = v2m_breaker_find(breaker, username);
    until = entry != NULL ? entry->until_ms : 0;

    pthread_mutex_unlock(&breaker->lock);

    return until > now_ms ? until - now_ms : 0;
}
