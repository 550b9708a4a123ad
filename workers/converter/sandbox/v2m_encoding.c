#include "v2m_encoding.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_segment.h"

#define V2M_ENCODING_THREADS 64

/* Whatever FFmpeg and LAME do, with room to spare. */
#define V2M_ENCODING_STACK (1024 * 1024)

/* Full scale is 1: a lossy codec may go beyond, but not far. */
#define V2M_ENCODING_LOUDEST 2.0f

/* Players do not recognize an MP3 of one frame. */
#define V2M_ENCODING_FRAMES_MIN 2

typedef enum {
    V2M_ENCODING_FREE, /* the caller's, as is FILLING */
    V2M_ENCODING_FULL,
    V2M_ENCODING_BUSY, /* a thread's */
    V2M_ENCODING_DONE
} v2m_encoding_state_t;

typedef struct {
    v2m_encoding_state_t state;
    v2m_segment_t        segment;
    int                  rc;
    v2m_error_t          error;
} v2m_encoding_slot_t;

struct v2m_encoding_s {
    v2m_encoding_options_t options;
    v2m_joiner_t           joiner;
    int64_t                samples; /* taken */
    int64_t                frames;  /* given to the joiner */

    pthread_mutex_t lock; /* guards states and quit */
    pthread_cond_t  work;
    pthread_cond_t  done;
    int             quit;
    int             threads; /* running */
    pthread_t       thread[V2M_ENCODING_THREADS];

    /* a ring: from oldest up to, but without, filling they are in use */
    int                  count;
    int64_t              oldest;
    int64_t              filling;
    v2m_encoding_slot_t *slots;
};


static v2m_encoding_slot_t *
v2m_encoding_slot(v2m_encoding_t *encoding, int64_t number)
{
    return &encoding->slots[number % encoding->count];
}


int
v2m_encoding_create(v2m_encoding_t              **encoding,
                    const v2m_encoding_options_t *options, v2m_error_t *error)
{
    int             i, rc;
    v2m_encoding_t *made;

    *encoding = NULL;

    made = calloc(1, sizeof(v2m_encoding_t));
    if (made == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    made->options = *options;

    if (made->options.threads > V2M_ENCODING_THREADS) {
        made->options.threads = V2M_ENCODING_THREADS;
    }

    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->work, NULL);
    pthread_cond_init(&made->done, NULL);

    v2m_joiner_init(&made->joiner, v2m_encoder_is_variable(&options->encoder),
                    options->write, options->data);

    /* one for each thread, and one that is being filled */

    made->slots =
        calloc((size_t) made->options.threads + 1, sizeof(v2m_encoding_slot_t));

    rc = made->slots != NULL ? V2M_OK
                             : v2m_error_set(error, V2M_ERROR, "out of memory");

    for (i = 0; rc == V2M_OK && i < made->options.threads + 1; i++) {
        made->count++;
        rc =
            v2m_segment_init(&made->slots[i].segment, options->encoder.channels,
                             options->frame_size, error);
    }

    if (rc != V2M_OK) {
        v2m_encoding_destroy(made);
        return rc;
    }

    *encoding = made;
    return V2M_OK;
}


void
v2m_encoding_destroy(v2m_encoding_t *encoding)
{
    int i;

    if (encoding == NULL) {
        return;
    }

    pthread_mutex_lock(&encoding->lock);
    encoding->quit = 1;
    pthread_cond_broadcast(&encoding->work);
    pthread_mutex_unlock(&encoding->lock);

    for (i = 0; i < encoding->threads; i++) {
        pthread_join(encoding->thread[i], NULL);
    }

    for (i = 0; i < encoding->count; i++) {
        v2m_segment_free(&encoding->slots[i].segment);
    }

    v2m_joiner_free(&encoding->joiner);
    pthread_cond_destroy(&encoding->done);
    pthread_cond_destroy(&encoding->work);
    pthread_mutex_destroy(&encoding->lock);
    free(encoding->slots);
    free(encoding);
}


int64_t
v2m_encoding_samples(const v2m_encoding_t *encoding)
{
    return encoding->samples;
}


/* With the lock held. */
static v2m_encoding_slot_t *
v2m_encoding_next(v2m_encoding_t *encoding)
{
    int64_t              i;
    v2m_encoding_slot_t *slot;

    for (i = encoding->oldest; i < encoding->filling; i++) {
        slot = v2m_encoding_slot(encoding, i);

        if (slot->state == V2M_ENCODING_FULL) {
            return slot;
        }
    }

    return NULL;
}


static void *
v2m_encoding_thread(void *data)
{
    int                  reservoir;
    v2m_encoding_t      *encoding = data;
    v2m_encoding_slot_t *slot;

    /* with a variable bitrate LAME does not need it, and the joiner makes the
     * best of the room anyway */
    reservoir = !v2m_encoder_is_variable(&encoding->options.encoder);

    pthread_mutex_lock(&encoding->lock);

    while (!encoding->quit) {
        slot = v2m_encoding_next(encoding);

        if (slot == NULL) {
            pthread_cond_wait(&encoding->work, &encoding->lock);
            continue;
        }

        slot->state = V2M_ENCODING_BUSY;

        pthread_mutex_unlock(&encoding->lock);
        slot->rc =
            v2m_segment_encode(&slot->segment, &encoding->options.encoder,
                               reservoir, &slot->error);
        pthread_mutex_lock(&encoding->lock);

        slot->state = V2M_ENCODING_DONE;
        pthread_cond_signal(&encoding->done);
    }

    pthread_mutex_unlock(&encoding->lock);

    return NULL;
}


/* One thread more, as long as that is allowed. */
static int
v2m_encoding_start_thread(v2m_encoding_t *encoding, v2m_error_t *error)
{
    int            rc;
    pthread_attr_t attributes;

    if (encoding->threads == encoding->options.threads) {
        return V2M_OK;
    }

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, V2M_ENCODING_STACK);
    rc = pthread_create(&encoding->thread[encoding->threads], &attributes,
                        v2m_encoding_thread, encoding);
    pthread_attr_destroy(&attributes);

    if (rc == 0) {
        encoding->threads++;
        return V2M_OK;
    }

    /* with fewer it takes longer */

    return encoding->threads > 0
               ? V2M_OK
               : v2m_error_set(error, V2M_ERROR, "cannot make a thread: %s",
                               strerror(rc));
}


static int
v2m_encoding_submit(v2m_encoding_t *encoding, v2m_error_t *error)
{
    pthread_mutex_lock(&encoding->lock);
    v2m_encoding_slot(encoding, encoding->filling)->state = V2M_ENCODING_FULL;
    encoding->filling++;
    pthread_cond_signal(&encoding->work);
    pthread_mutex_unlock(&encoding->lock);

    return v2m_encoding_start_thread(encoding, error);
}


/* Leaves out frames of nothing but padding at the end: players count the
 * padding of one frame only. */
static void
v2m_encoding_trim(v2m_encoding_t *encoding, v2m_frames_t *frames)
{
    int64_t needed;

    needed = (encoding->samples + encoding->options.delay
              + encoding->options.frame_size - 1)
             / encoding->options.frame_size;

    if (needed < V2M_ENCODING_FRAMES_MIN) {
        needed = V2M_ENCODING_FRAMES_MIN;
    }

    if (encoding->frames + frames->count > needed) {
        frames->count = (int) (needed - encoding->frames);
    }
}


static int
v2m_encoding_join(v2m_encoding_t *encoding, v2m_segment_t *segment,
                  v2m_error_t *error)
{
    int rc, count;

    if (segment->end) {
        v2m_encoding_trim(encoding, &segment->frames);
    }

    count = segment->frames.count;
    rc = v2m_joiner_add(&encoding->joiner, &segment->frames, error);

    if (rc == V2M_CONFLICT) {
        rc = v2m_segment_encode(segment, &encoding->options.encoder, 0, error);

        if (rc == V2M_OK) {
            segment->frames.count = count;
            rc = v2m_joiner_add(&encoding->joiner, &segment->frames, error);
        }
    }

    encoding->frames += count;

    return rc;
}


/* Joins the oldest segment, which must be in use.  Waits for it, or with
 * wait 0 gives V2M_NOT_FOUND when it is not done. */
static int
v2m_encoding_collect(v2m_encoding_t *encoding, int wait, v2m_error_t *error)
{
    int                  done;
    v2m_encoding_slot_t *slot;

    slot = v2m_encoding_slot(encoding, encoding->oldest);

    pthread_mutex_lock(&encoding->lock);

    while (wait && slot->state != V2M_ENCODING_DONE) {
        pthread_cond_wait(&encoding->done, &encoding->lock);
    }

    done = slot->state == V2M_ENCODING_DONE;

    if (done) {
        slot->state = V2M_ENCODING_FREE;
        encoding->oldest++;
    }

    pthread_mutex_unlock(&encoding->lock);

    if (!done) {
        return V2M_NOT_FOUND;
    }

    if (slot->rc != V2M_OK) {
        *error = slot->error;
        return slot->rc;
    }

    return v2m_encoding_join(encoding, &slot->segment, error);
}


/* Joins what is done, and more when all slots are in use. */
static int
v2m_encoding_make_room(v2m_encoding_t *encoding, v2m_error_t *error)
{
    int rc, full;

    rc = V2M_OK;

    while (rc == V2M_OK && encoding->oldest < encoding->filling) {
        full = encoding->filling - encoding->oldest == encoding->count;
        rc = v2m_encoding_collect(encoding, full, error);
    }

    return rc == V2M_NOT_FOUND ? V2M_OK : rc;
}


/* Submits the segment, and begins the next one with what they share. */
static int
v2m_encoding_next_segment(v2m_encoding_t *encoding, v2m_error_t *error)
{
    int            i, rc, shared;
    v2m_segment_t *full, *next;

    /* one slot is free: the one after this */

    full = &v2m_encoding_slot(encoding, encoding->filling)->segment;

    rc = v2m_encoding_submit(encoding, error);

    if (rc == V2M_OK) {
        rc = v2m_encoding_make_room(encoding, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    next = &v2m_encoding_slot(encoding, encoding->filling)->segment;
    shared =
        (V2M_SEGMENT_BEFORE + V2M_SEGMENT_AFTER) * encoding->options.frame_size;

    for (i = 0; i < encoding->options.encoder.channels; i++) {
        memcpy(next->samples[i], full->samples[i] + full->count - shared,
               (size_t) shared * sizeof(float));
    }

    next->before = V2M_SEGMENT_BEFORE;
    next->count = shared;

    return V2M_OK;
}


/* What is no sound, such as a broken file's, LAME cannot stand. */
static void
v2m_encoding_limit(float *samples, int count)
{
    int i;

    for (i = 0; i < count; i++) {
        if (samples[i] > V2M_ENCODING_LOUDEST) {
            samples[i] = V2M_ENCODING_LOUDEST;

        } else if (!(samples[i] >= -V2M_ENCODING_LOUDEST)) {
            samples[i] = samples[i] < 0 ? -V2M_ENCODING_LOUDEST : 0; /* NaN */
        }
    }
}


static void
v2m_encoding_amplify(float *samples, int count, float gain)
{
    int i;

    for (i = 0; i < count; i++) {
        samples[i] *= gain;
    }
}


int
v2m_encoding_add(v2m_encoding_t *encoding, AVAudioFifo *queue,
                 v2m_error_t *error)
{
    int            i, rc, ready, room;
    void          *planes[2];
    v2m_segment_t *segment;

    while ((ready = av_audio_fifo_size(queue)) > 0) {
        segment = &v2m_encoding_slot(encoding, encoding->filling)->segment;
        room = (segment->before + V2M_SEGMENT_FRAMES + V2M_SEGMENT_AFTER)
                   * encoding->options.frame_size
               - segment->count;

        if (room == 0) {
            rc = v2m_encoding_next_segment(encoding, error);
            if (rc != V2M_OK) {
                return rc;
            }

            continue;
        }

        for (i = 0; i < encoding->options.encoder.channels; i++) {
            planes[i] = segment->samples[i] + segment->count;
        }

        ready = ready < room ? ready : room;

        if (av_audio_fifo_read(queue, planes, ready) != ready) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }

        for (i = 0; i < encoding->options.encoder.channels; i++) {
            if (encoding->options.gain != 1) {
                v2m_encoding_amplify(planes[i], ready, encoding->options.gain);
            }

            v2m_encoding_limit(planes[i], ready);
        }

        segment->count += ready;
        encoding->samples += ready;
    }

    return V2M_OK;
}


int
v2m_encoding_finish(v2m_encoding_t *encoding, int64_t *padding,
                    v2m_error_t *error)
{
    int rc;

    v2m_encoding_slot(encoding, encoding->filling)->segment.end = 1;
    rc = v2m_encoding_submit(encoding, error);

    while (rc == V2M_OK && encoding->oldest < encoding->filling) {
        rc = v2m_encoding_collect(encoding, 1, error);
    }

    *padding = encoding->frames * encoding->options.frame_size
               - encoding->options.delay - encoding->samples;

    return rc == V2M_OK ? v2m_joiner_finish(&encoding->joiner, error) : rc;
}
