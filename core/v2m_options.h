/*
 * The conversion options: query parameters of an upload, kept in the job,
 * checked by the gateway and again by the converter.
 */

#ifndef V2M_OPTIONS_H
#define V2M_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"

/* Every field is -1 when it was not given. */
typedef struct {
    int32_t bitrate;    /* constant bit rate, kbit/s: MPEG-1 Layer III's */
    int32_t quality;    /* variable bit rate, LAME's 0 (best) to 9 */
    int32_t track;      /* audio track, counted from 1 */
    int64_t start_ms;   /* cut: where to begin, milliseconds */
    int64_t end_ms;     /* cut: where to end, milliseconds */
    int32_t samplerate; /* Hz, one that MP3 has */
    int32_t channels;   /* 1 or 2 */
    int32_t loudness;   /* to have as a whole: tenths of a LU below full scale,
                           160 for -16 LUFS */
} v2m_options_t;

/* The quality used when neither bitrate nor quality is given. */
#define V2M_OPTIONS_DEFAULT_QUALITY 2

/* The loudness that "loudnorm" means when it is only switched on. */
#define V2M_OPTIONS_DEFAULT_LOUDNESS 160

void v2m_options_init(v2m_options_t *options);

/*
 * Sets one option from text.  Times are seconds with up to three decimals
 * ("83.5") or [H:]MM:SS[.mmm].  A loudness is "on" or in LUFS ("-16.5").
 * V2M_NOT_FOUND: there is no option of that name.
 * V2M_INVALID: the text names the option and the values it takes.
 */
int v2m_options_set(v2m_options_t *options, const char *name,
                    size_t name_length, const char *value, size_t value_length,
                    v2m_error_t *error);

/*
 * Checks the options against each other, once all were set, and that each has
 * a value it can have, however it was set.
 */
int v2m_options_check(const v2m_options_t *options, v2m_error_t *error);

#endif /* V2M_OPTIONS_H */
