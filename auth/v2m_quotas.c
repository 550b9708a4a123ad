#include "v2m_quotas.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Users remembered at most: so many sets of so many each.  Of a full set the
 * one goes that was asked for the longest ago. */
#define V2M_QUOTAS_SETS 1024
#define V2M_QUOTAS_WAYS 4

/* How long a database that did not answer is left alone. */
#define V2M_QUOTAS_AWAY_MS 5000

typedef struct {
    char       *username; /* NULL: free */
    v2m_quota_t quota;
    int64_t     asked_ms;
} v2m_quotas_entry_t;

struct v2m_quotas_s {
    v2m_database_t *users;
    int64_t         age_ms;

    pthread_mutex_t    mutex;
    int64_t            away_ms; /* until then it is not asked */
    int                away;
    v2m_quotas_entry_t entries[V2M_QUOTAS_SETS][V2M_QUOTAS_WAYS];
};


static int64_t
v2m_quotas_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


int
v2m_quotas_create(v2m_quotas_t **quotas, v2m_database_t *users, int64_t age_ms,
                  v2m_error_t *error)
{
    v2m_quotas_t *made;

    *quotas = NULL;

    made = calloc(1, sizeof(v2m_quotas_t));
    if (made == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    made->users = users;
    made->age_ms = age_ms;
    pthread_mutex_init(&made->mutex, NULL);

    *quotas = made;
    return V2M_OK;
}


void
v2m_quotas_destroy(v2m_quotas_t *quotas)
{
    size_t i;

    if (quotas == NULL) {
        return;
    }

    for (i = 0; i < (size_t) V2M_QUOTAS_SETS * V2M_QUOTAS_WAYS; i++) {
        free(
            quotas->entries[i / V2M_QUOTAS_WAYS][i % V2M_QUOTAS_WAYS].username);
    }

    pthread_mutex_destroy(&quotas->mutex);
    free(quotas);
}


/* FNV-1a, 32 bits (draft-eastlake-fnv-17). */
static v2m_quotas_entry_t *
v2m_quotas_set(v2m_quotas_t *quotas, const char *username)
{
    uint32_t hash;

    for (hash = 2166136261U; *username != '\0'; username++) {
        hash = (hash ^ (unsigned char) *username) * 16777619U;
    }

    return quotas->entries[hash % V2M_QUOTAS_SETS];
}


/* The user's entry, or NULL; under the lock. */
static v2m_quotas_entry_t *
v2m_quotas_entry(v2m_quotas_t *quotas, const char *username)
{
    int                 i;
    v2m_quotas_entry_t *set;

    set = v2m_quotas_set(quotas, username);

    for (i = 0; i < V2M_QUOTAS_WAYS; i++) {
        if (set[i].username != NULL && strcmp(set[i].username, username) == 0) {
            return &set[i];
        }
    }

    return NULL;
}


/* What is known, whatever its age; under the lock. */
static void
v2m_quotas_known(v2m_quotas_t *quotas, const char *username, v2m_quota_t *quota)
{
    const v2m_quotas_entry_t *entry;

    entry = v2m_quotas_entry(quotas, username);

    if (entry != NULL) {
        *quota = entry->quota;

    } else {
        quota->jobs = V2M_QUOTA_DEFAULT;
        quota->bytes = V2M_QUOTA_DEFAULT;
    }
}


int
v2m_quotas_recall(v2m_quotas_t *quotas, const char *username,
                  v2m_quota_t *quota)
{
    int                       known;
    int64_t                   now;
    const v2m_quotas_entry_t *entry;

    now = v2m_quotas_now();

    pthread_mutex_lock(&quotas->mutex);

    entry = v2m_quotas_entry(quotas, username);
    known = (entry != NULL && now - entry->asked_ms < quotas->age_ms)
            || now < quotas->away_ms;

    if (known) {
        v2m_quotas_known(quotas, username, quota);
    }

    pthread_mutex_unlock(&quotas->mutex);

    return known;
}


/* Under the lock.  Without memory nothing is remembered. */
static void
v2m_quotas_remember(v2m_quotas_t *quotas, const char *username,
                    const v2m_quota_t *quota, int64_t now)
{
    int                 i;
    char               *copy;
    v2m_quotas_entry_t *set, *entry;

    entry = v2m_quotas_entry(quotas, username);

    if (entry == NULL) {
        copy = strdup(username);
        if (copy == NULL) {
            return;
        }

        set = v2m_quotas_set(quotas, username);
        entry = set;

        for (i = 1; i < V2M_QUOTAS_WAYS && entry->username != NULL; i++) {
            if (set[i].username == NULL || set[i].asked_ms < entry->asked_ms) {
                entry = &set[i];
            }
        }

        free(entry->username);
        entry->username = copy;
    }

    entry->quota = *quota;
    entry->asked_ms = now;
}


int
v2m_quotas_ask(v2m_quotas_t *quotas, const char *username, v2m_quota_t *quota,
               v2m_error_t *error)
{
    int     rc, again;
    int64_t now;

    rc = v2m_users_quota(quotas->users, username, quota, error);
    now = v2m_quotas_now();

    pthread_mutex_lock(&quotas->mutex);

    again = quotas->away;
    quotas->away = rc != V2M_OK;

    if (rc == V2M_OK) {
        v2m_quotas_remember(quotas, username, quota, now);

    } else {
        quotas->away_ms = now + V2M_QUOTAS_AWAY_MS;
        v2m_quotas_known(quotas, username, quota);
    }

    pthread_mutex_unlock(&quotas->mutex);

    return again ? V2M_OK : rc;
}
