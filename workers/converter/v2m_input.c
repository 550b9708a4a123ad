#include "v2m_input.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define V2M_INPUT_THREADS 2

/* Chunks are kept in slots: about so many bytes of them, within limits.  Two
 * are needed at least, the one being read and the next. */
#define V2M_INPUT_MEMORY    (4 * 1024 * 1024)
#define V2M_INPUT_SLOTS_MIN 2
#define V2M_INPUT_SLOTS_MAX 16

#define V2M_INPUT_TICK_NS 200000000L

typedef enum {
    V2M_INPUT_FREE,
    V2M_INPUT_LOADING,
    V2M_INPUT_READY,
    V2M_INPUT_FAILED
} v2m_input_state_t;

typedef struct {
    v2m_input_state_t state;
    int32_t           n;      /* number of the chunk */
    uint64_t          used;   /* when it was read last */
    unsigned char    *buffer; /* of a chunk's size; belongs to a thread while
                                 loading */
    v2m_error_t error;        /* of the fetch that failed */
} v2m_input_slot_t;

struct v2m_input_s {
    v2m_mongo_t             *mongo;
    const v2m_gridfs_file_t *file;
    v2m_input_wait_pt        wait;
    void                    *wait_data;

    pthread_mutex_t  lock; /* guards all below */
    pthread_cond_t   work; /* there is something to fetch, or the end */
    pthread_cond_t   done; /* a fetch ended */
    int              quit;
    int32_t          chunks;  /* of the file */
    int32_t          wanted;  /* the chunk that the reader waits for or has */
    int32_t          ahead;   /* chunks to have beyond that one */
    uint64_t         counter; /* of reads */
    int              count;   /* slots */
    v2m_input_slot_t slots[V2M_INPUT_SLOTS_MAX];
    int              threads;
    pthread_t        thread[V2M_INPUT_THREADS];
};


static v2m_input_slot_t *
v2m_input_find(v2m_input_t *input, int32_t n)
{
    int i;

    for (i = 0; i < input->count; i++) {
        if (input->slots[i].state != V2M_INPUT_FREE && input->slots[i].n == n) {
            return &input->slots[i];
        }
    }

    return NULL;
}


/* A slot for another chunk: a free one, else the one that was not read for
 * the longest time.  NULL: all are needed. */
static v2m_input_slot_t *
v2m_input_vacate(v2m_input_t *input)
{
    int               i;
    v2m_input_slot_t *slot, *found;

    found = NULL;

    for (i = 0; i < input->count; i++) {
        slot = &input->slots[i];

        if (slot->state == V2M_INPUT_FREE) {
            return slot;
        }

        if (slot->state != V2M_INPUT_LOADING
            && (slot->n < input->wanted
                || slot->n > input->wanted + input->ahead)
            && (found == NULL || slot->used < found->used))
        {
            found = slot;
        }
    }

    return found;
}


/* The slot of the next chunk to fetch, marked as loading; NULL: nothing is to
 * be done. */
static v2m_input_slot_t *
v2m_input_next(v2m_input_t *input)
{
    int32_t           n, last;
    v2m_input_slot_t *slot;

    last = input->wanted + input->ahead;

    for (n = input->wanted; n <= last && n >= 0 && n < input->chunks; n++) {
        if (v2m_input_find(input, n) != NULL) {
            continue;
        }

        slot = v2m_input_vacate(input);

        if (slot != NULL) {
            slot->state = V2M_INPUT_LOADING;
            slot->n = n;
            slot->used = input->counter;
        }

        return slot;
    }

    return NULL;
}


/* Without the lock: the slot belongs to the thread. */
static int
v2m_input_load(v2m_input_t *input, v2m_input_slot_t *slot)
{
    if (slot->buffer == NULL) {
        slot->buffer = malloc((size_t) input->file->chunk_size);

        if (slot->buffer == NULL) {
            return v2m_error_set(&slot->error, V2M_ERROR, "out of memory");
        }
    }

    return v2m_gridfs_read_chunks(input->mongo, V2M_VIDEOS, input->file,
                                  slot->n, 1, slot->buffer, &slot->error);
}


static void *
v2m_input_fetch(void *data)
{
    int               rc;
    v2m_input_t      *input = data;
    v2m_input_slot_t *slot;

    pthread_mutex_lock(&input->lock);

    while (!input->quit) {
        slot = v2m_input_next(input);

        if (slot == NULL) {
            pthread_cond_wait(&input->work, &input->lock);
            continue;
        }

        pthread_mutex_unlock(&input->lock);
        rc = v2m_input_load(input, slot);
        pthread_mutex_lock(&input->lock);

        slot->state = rc == V2M_OK ? V2M_INPUT_READY : V2M_INPUT_FAILED;
        pthread_cond_broadcast(&input->done);
    }

    pthread_mutex_unlock(&input->lock);

    return NULL;
}


static void
v2m_input_size_slots(v2m_input_t *input)
{
    int32_t count;

    count = V2M_INPUT_MEMORY / input->file->chunk_size;

    if (count < V2M_INPUT_SLOTS_MIN) {
        count = V2M_INPUT_SLOTS_MIN;
    }

    if (count > V2M_INPUT_SLOTS_MAX) {
        count = V2M_INPUT_SLOTS_MAX;
    }

    input->count = count;
}


int
v2m_input_create(v2m_input_t **input, v2m_mongo_t *mongo,
                 const v2m_gridfs_file_t *file, v2m_input_wait_pt wait,
                 void *data, v2m_error_t *error)
{
    v2m_input_t       *made;
    pthread_condattr_t attributes;

    *input = NULL;

    made = calloc(1, sizeof(v2m_input_t));
    if (made == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    made->mongo = mongo;
    made->file = file;
    made->wait = wait;
    made->wait_data = data;
    made->wanted = -1;
    made->chunks =
        (int32_t) ((file->length + file->chunk_size - 1) / file->chunk_size);

    v2m_input_size_slots(made);

    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->work, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&made->done, &attributes);
    pthread_condattr_destroy(&attributes);

    while (made->threads < V2M_INPUT_THREADS) {
        if (pthread_create(&made->thread[made->threads], NULL, v2m_input_fetch,
                           made)
            != 0)
        {
            v2m_input_destroy(made);
            return v2m_error_set(error, V2M_ERROR, "cannot make a thread");
        }

        made->threads++;
    }

    *input = made;
    return V2M_OK;
}


void
v2m_input_destroy(v2m_input_t *input)
{
    int i;

    if (input == NULL) {
        return;
    }

    pthread_mutex_lock(&input->lock);
    input->quit = 1;
    pthread_cond_broadcast(&input->work);
    pthread_mutex_unlock(&input->lock);

    for (i = 0; i < input->threads; i++) {
        pthread_join(input->thread[i], NULL);
    }

    for (i = 0; i < input->count; i++) {
        free(input->slots[i].buffer);
    }

    pthread_cond_destroy(&input->done);
    pthread_cond_destroy(&input->work);
    pthread_mutex_destroy(&input->lock);
    free(input);
}


static void
v2m_input_pause(v2m_input_t *input)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += V2M_INPUT_TICK_NS;

    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }

    pthread_cond_timedwait(&input->done, &input->lock, &until);
}


/* Says what is wanted.  Fetching ahead begins when chunks are read in order:
 * a jump is often followed by another one. */
static void
v2m_input_want(v2m_input_t *input, int32_t n)
{
    if (n == input->wanted) {
        return;
    }

    if (n == input->wanted + 1) {
        if (input->ahead < input->count / 2) {
            input->ahead++;
        }

    } else {
        input->ahead = 0;
    }

    input->wanted = n;
    pthread_cond_broadcast(&input->work);
}


/* With the lock held: the slot of the chunk, once it is ready. */
static int
v2m_input_await(v2m_input_t *input, int32_t n, v2m_input_slot_t **slot,
                v2m_error_t *error)
{
    int rc;

    /* what failed ahead of the reader is worth a second try */

    *slot = v2m_input_find(input, n);

    if (*slot != NULL && (*slot)->state == V2M_INPUT_FAILED) {
        (*slot)->state = V2M_INPUT_FREE;
        pthread_cond_broadcast(&input->work);
    }

    for (;;) {
        *slot = v2m_input_find(input, n);

        if (*slot != NULL && (*slot)->state == V2M_INPUT_READY) {
            return V2M_OK;
        }

        if (*slot != NULL && (*slot)->state == V2M_INPUT_FAILED) {
            (*slot)->state = V2M_INPUT_FREE;
            *error = (*slot)->error;
            return error->code;
        }

        pthread_mutex_unlock(&input->lock);
        rc = input->wait(input->wait_data, error);
        pthread_mutex_lock(&input->lock);

        if (rc != V2M_OK) {
            return rc;
        }

        /* it may have come while the lock was open */

        *slot = v2m_input_find(input, n);

        if (*slot == NULL || (*slot)->state == V2M_INPUT_LOADING) {
            v2m_input_pause(input);
        }
    }
}


int
v2m_input_read(v2m_input_t *input, int64_t offset, size_t length,
               const unsigned char **bytes, size_t *got, v2m_error_t *error)
{
    int               rc;
    int32_t           n;
    size_t            skip, rest;
    v2m_input_slot_t *slot;

    *got = 0;
    *bytes = NULL;

    if (offset < 0 || offset >= input->file->length || length == 0) {
        return V2M_OK;
    }

    n = (int32_t) (offset / input->file->chunk_size);
    skip = (size_t) (offset % input->file->chunk_size);
    rest = v2m_gridfs_chunk_length(input->file, n) - skip;

    pthread_mutex_lock(&input->lock);

    v2m_input_want(input, n);
    rc = v2m_input_await(input, n, &slot, error);

    if (rc == V2M_OK) {
        slot->used = ++input->counter;
        *bytes = slot->buffer + skip;
        *got = length < rest ? length : rest;
    }

    pthread_mutex_unlock(&input->lock);

    return rc;
}
