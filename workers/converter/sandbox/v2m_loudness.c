#include "v2m_loudness.h"

#include <ebur128.h>
#include <math.h>
#include <stdlib.h>

#define V2M_LOUDNESS_CHANNELS 2
#define V2M_LOUDNESS_BLOCK    4096

/* dBTP: room for what decoders of the MP3 make of it. */
#define V2M_LOUDNESS_PEAK -1.0

struct v2m_loudness_s {
    ebur128_state *state;
    int            channels;
    float          block[V2M_LOUDNESS_BLOCK * V2M_LOUDNESS_CHANNELS];
};


int
v2m_loudness_create(v2m_loudness_t **loudness, int rate, int channels,
                    v2m_error_t *error)
{
    v2m_loudness_t *made;

    *loudness = NULL;
    made = calloc(1, sizeof(v2m_loudness_t));

    if (made != NULL) {
        made->channels = channels;

        /* a histogram, because a list grows with the audio */
        made->state = ebur128_init((unsigned) channels, (unsigned long) rate,
                                   EBUR128_MODE_I | EBUR128_MODE_TRUE_PEAK
                                       | EBUR128_MODE_HISTOGRAM);
    }

    if (made == NULL || made->state == NULL) {
        free(made);
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    *loudness = made;
    return V2M_OK;
}


void
v2m_loudness_destroy(v2m_loudness_t *loudness)
{
    if (loudness != NULL) {
        ebur128_destroy(&loudness->state);
        free(loudness);
    }
}


/* What is no number, such as a broken file's, would spoil the whole. */
static float
v2m_loudness_sane(float sample)
{
    return sample > 2 ? 2 : sample >= -2 ? sample : sample < -2 ? -2 : 0;
}


int
v2m_loudness_add(v2m_loudness_t *loudness, float *const *planes, int samples,
                 v2m_error_t *error)
{
    int i, k, n, done;

    for (done = 0; done < samples; done += n) {
        n = samples - done < V2M_LOUDNESS_BLOCK ? samples - done
                                                : V2M_LOUDNESS_BLOCK;

        for (i = 0; i < n; i++) {
            for (k = 0; k < loudness->channels; k++) {
                loudness->block[i * loudness->channels + k] =
                    v2m_loudness_sane(planes[k][done + i]);
            }
        }

        if (ebur128_add_frames_float(loudness->state, loudness->block,
                                     (size_t) n)
            != EBUR128_SUCCESS)
        {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }
    }

    return V2M_OK;
}


float
v2m_loudness_gain(const v2m_loudness_t *loudness, int wanted, double *decibels)
{
    int    k;
    double measured, peak, most;

    *decibels = 0;
    most = 0;

    for (k = 0; k < loudness->channels; k++) {
        if (ebur128_true_peak(loudness->state, (unsigned) k, &peak)
                == EBUR128_SUCCESS
            && peak > most)
        {
            most = peak;
        }
    }

    if (ebur128_loudness_global(loudness->state, &measured) != EBUR128_SUCCESS
        || !isfinite(measured) || most <= 0)
    {
        return 1;
    }

    *decibels =
        fmin(-wanted / 10.0 - measured, V2M_LOUDNESS_PEAK - 20 * log10(most));

    return (float) pow(10, *decibels / 20);
}
