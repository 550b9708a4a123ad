/*
 * How loud audio is as a whole, and the gain that makes it as loud as wanted
 * (EBU R 128, ITU-R BS.1770).
 */

#ifndef V2M_LOUDNESS_H
#define V2M_LOUDNESS_H

#include "v2m_error.h"

typedef struct v2m_loudness_s v2m_loudness_t;

/* rate: Hz; channels: 1 or 2. */
int v2m_loudness_create(v2m_loudness_t **loudness, int rate, int channels,
                        v2m_error_t *error);

/* NULL is allowed. */
void v2m_loudness_destroy(v2m_loudness_t *loudness);

/* Takes so many samples of each channel, planar. */
int v2m_loudness_add(v2m_loudness_t *loudness, float *const *planes,
                     int samples, v2m_error_t *error);

/*
 * What to multiply the samples by, so that they have the loudness (tenths of a
 * LU below full scale), or as much of it as leaves the true peak below -1
 * dBTP.  *decibels is the same gain, for a person.  Silence stays as it is.
 */
float v2m_loudness_gain(const v2m_loudness_t *loudness, int wanted,
                        double *decibels);

#endif /* V2M_LOUDNESS_H */
