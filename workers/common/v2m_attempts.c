#include "v2m_attempts.h"


/* FNV-1a */
uint64_t
v2m_attempts_key(const char *body, size_t length)
{
    size_t   i;
    uint64_t key;

    key = 0xcbf29ce484222325u;

    for (i = 0; i < length; i++) {
        key ^= (unsigned char) body[i];
        key *= 0x100000001b3u;
    }

    return key != 0 ? key : 1;
}


static size_t
v2m_attempts_find(const v2m_attempts_t *attempts, uint64_t key)
{
    size_t i;

    for (i = 0; i < V2M_ATTEMPTS_KEPT; i++) {
        if (attempts->kept[i].key == key) {
            break;
        }
    }

    return i;
}


int
v2m_attempts_count(const v2m_attempts_t *attempts, uint64_t key)
{
    size_t i;

    i = v2m_attempts_find(attempts, key);

    return i < V2M_ATTEMPTS_KEPT ? attempts->kept[i].count : 0;
}


void
v2m_attempts_add(v2m_attempts_t *attempts, uint64_t key)
{
    size_t i;

    i = v2m_attempts_find(attempts, key);

    if (i == V2M_ATTEMPTS_KEPT) {
        i = attempts->next;
        attempts->next = (i + 1) % V2M_ATTEMPTS_KEPT;
        attempts->kept[i].key = key;
        attempts->kept[i].count = 0;
    }

    attempts->kept[i].count++;
}


void
v2m_attempts_forget(v2m_attempts_t *attempts, uint64_t key)
{
    size_t i;

    i = v2m_attempts_find(attempts, key);

    if (i < V2M_ATTEMPTS_KEPT) {
        attempts->kept[i].key = 0;
        attempts->kept[i].count = 0;
    }
}
