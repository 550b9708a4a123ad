#include "v2m_options.h"

#include <stdio.h>
#include <string.h>

#define V2M_OPTIONS_QUALITY_MAX 9
#define V2M_OPTIONS_TRACK_MAX   100
#define V2M_OPTIONS_HOURS_MAX   100
#define V2M_OPTIONS_MS_MAX      (V2M_OPTIONS_HOURS_MAX * INT64_C(3600000))
#define V2M_OPTIONS_LOUDEST     80 /* tenths of a LU below full scale */
#define V2M_OPTIONS_QUIETEST    310
#define V2M_OPTIONS_SHOWN       24 /* of a wrong value, bytes */

/* ISO 11172-3 and 13818-3, and MPEG-2.5 by custom: lower sampling rates have
 * bit rates of their own. */
static const int32_t v2m_options_bitrates[] = { 32,  40,  48,  56,  64,
                                                80,  96,  112, 128, 160,
                                                192, 224, 256, 320, 0 };
static const int32_t v2m_options_samplerates[] = { 8000,  11025, 12000, 16000,
                                                   22050, 24000, 32000, 44100,
                                                   48000, 0 };
static const int32_t v2m_options_channels[] = { 1, 2, 0 };

#define V2M_OPTIONS_MPEG2_RATE     24000
#define V2M_OPTIONS_MPEG2_BITRATE  160
#define V2M_OPTIONS_MPEG25_RATE    12000
#define V2M_OPTIONS_MPEG25_BITRATE 64


void
v2m_options_init(v2m_options_t *options)
{
    options->bitrate = -1;
    options->quality = -1;
    options->track = -1;
    options->start_ms = -1;
    options->end_ms = -1;
    options->samplerate = -1;
    options->channels = -1;
    options->loudness = -1;
}


/* The value as far as it can be shown to anyone, in any log. */
static const char *
v2m_options_shown(char shown[V2M_OPTIONS_SHOWN + 4], const char *value,
                  size_t length)
{
    size_t i;

    for (i = 0; i < length && i < V2M_OPTIONS_SHOWN; i++) {
        shown[i] = (value[i] >= 0x20 && value[i] < 0x7F && value[i] != '"')
                       ? value[i]
                       : '?';
    }

    strcpy(shown + i, length > V2M_OPTIONS_SHOWN ? "..." : "");

    return shown;
}


static int
v2m_options_wrong(const char *name, const char *expected, const char *value,
                  size_t length, v2m_error_t *error)
{
    char shown[V2M_OPTIONS_SHOWN + 4];

    return v2m_error_set(error, V2M_INVALID,
                         "option \"%s\" must be %s; not \"%s\"", name, expected,
                         v2m_options_shown(shown, value, length));
}


/* Decimal digits only, from *position.  Returns how many there were, 0 when
 * the number has more than nine. */
static size_t
v2m_options_digits(const char *text, size_t length, size_t *position,
                   int64_t *number)
{
    size_t i;

    *number = 0;

    for (i = *position; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
        if (i - *position == 9) {
            return 0;
        }

        *number = *number * 10 + (text[i] - '0');
    }

    length = i - *position;
    *position = i;

    return length;
}


/* Returns -1 when the text is no whole number. */
static int64_t
v2m_options_number(const char *text, size_t length)
{
    size_t  position;
    int64_t number;

    position = 0;

    if (v2m_options_digits(text, length, &position, &number) == 0
        || position != length)
    {
        return -1;
    }

    return number;
}


static int
v2m_options_listed(const int32_t *list, int64_t number)
{
    size_t i;

    for (i = 0; list[i] != 0; i++) {
        if (number == list[i]) {
            return 1;
        }
    }

    return 0;
}


static int
v2m_options_set_listed(int32_t *option, const char *name, const int32_t *list,
                       const char *value, size_t length, v2m_error_t *error)
{
    size_t  i, used;
    char    expected[128];
    int64_t number;

    number = v2m_options_number(value, length);

    if (v2m_options_listed(list, number)) {
        *option = (int32_t) number;
        return V2M_OK;
    }

    used = (size_t) snprintf(expected, sizeof(expected), "one of %d", list[0]);

    for (i = 1; list[i] != 0; i++) {
        used += (size_t) snprintf(expected + used, sizeof(expected) - used,
                                  ", %d", list[i]);
    }

    return v2m_options_wrong(name, expected, value, length, error);
}


static int
v2m_options_set_range(int32_t *option, const char *name, int32_t minimum,
                      int32_t maximum, const char *value, size_t length,
                      v2m_error_t *error)
{
    char    expected[64];
    int64_t number;

    number = v2m_options_number(value, length);

    if (number >= minimum && number <= maximum) {
        *option = (int32_t) number;
        return V2M_OK;
    }

    snprintf(expected, sizeof(expected), "a whole number from %d to %d",
             minimum, maximum);

    return v2m_options_wrong(name, expected, value, length, error);
}


/* [H:]MM:SS[.mmm] or S[.mmm].  Returns milliseconds, or -1. */
static int64_t
v2m_options_time(const char *text, size_t length)
{
    int     fields;
    size_t  position, digits;
    int64_t number, seconds, fraction;

    position = 0;
    seconds = 0;

    for (fields = 1;; fields++) {
        digits = v2m_options_digits(text, length, &position, &number);

        if (digits == 0 || (fields > 1 && (digits != 2 || number > 59))) {
            return -1;
        }

        seconds = seconds * 60 + number;

        if (position == length || text[position] != ':') {
            break;
        }

        /* hours are followed by two fields */

        if (fields == 3) {
            return -1;
        }

        position++;
    }

    if (position == length) {
        return seconds * 1000;
    }

    if (text[position++] != '.') {
        return -1;
    }

    digits = v2m_options_digits(text, length, &position, &fraction);

    if (digits < 1 || digits > 3 || position != length) {
        return -1;
    }

    for (; digits < 3; digits++) {
        fraction *= 10;
    }

    return seconds * 1000 + fraction;
}


static int
v2m_options_set_time(int64_t *option, const char *name, const char *value,
                     size_t length, v2m_error_t *error)
{
    char    expected[96];
    int64_t time;

    time = v2m_options_time(value, length);

    if (time >= 0 && time <= V2M_OPTIONS_MS_MAX) {
        *option = time;
        return V2M_OK;
    }

    snprintf(expected, sizeof(expected),
             "a time in seconds like 83.5, or like 1:23.5 or 1:02:03, up to "
             "%d hours",
             V2M_OPTIONS_HOURS_MAX);

    return v2m_options_wrong(name, expected, value, length, error);
}


/* "-16" or "-16.5".  Returns tenths below zero, or -1. */
static int64_t
v2m_options_lufs(const char *text, size_t length)
{
    size_t  position, digits;
    int64_t whole, tenth;

    position = 1;
    tenth = 0;

    if (length == 0 || text[0] != '-'
        || v2m_options_digits(text, length, &position, &whole) == 0)
    {
        return -1;
    }

    if (position < length) {
        if (text[position++] != '.') {
            return -1;
        }

        digits = v2m_options_digits(text, length, &position, &tenth);

        if (digits != 1 || position != length) {
            return -1;
        }
    }

    return whole * 10 + tenth;
}


static int
v2m_options_set_loudness(int32_t *option, const char *value, size_t length,
                         v2m_error_t *error)
{
    char    expected[80];
    int64_t loudness;

    if (length == 2 && memcmp(value, "on", 2) == 0) {
        *option = V2M_OPTIONS_DEFAULT_LOUDNESS;
        return V2M_OK;
    }

    loudness = v2m_options_lufs(value, length);

    if (loudness >= V2M_OPTIONS_LOUDEST && loudness <= V2M_OPTIONS_QUIETEST) {
        *option = (int32_t) loudness;
        return V2M_OK;
    }

    snprintf(expected, sizeof(expected),
             "\"on\" (%d LUFS) or a loudness from %d to %d LUFS",
             -V2M_OPTIONS_DEFAULT_LOUDNESS / 10, -V2M_OPTIONS_QUIETEST / 10,
             -V2M_OPTIONS_LOUDEST / 10);

    return v2m_options_wrong("loudnorm", expected, value, length, error);
}


static int
v2m_options_is(const char *name, size_t length, const char *option)
{
    return length == strlen(option) && memcmp(name, option, length) == 0;
}


int
v2m_options_set(v2m_options_t *options, const char *name, size_t name_length,
                const char *value, size_t value_length, v2m_error_t *error)
{
    char shown[V2M_OPTIONS_SHOWN + 4];

    if (v2m_options_is(name, name_length, "bitrate")) {
        return v2m_options_set_listed(&options->bitrate, "bitrate",
                                      v2m_options_bitrates, value, value_length,
                                      error);
    }

    if (v2m_options_is(name, name_length, "quality")) {
        return v2m_options_set_range(&options->quality, "quality", 0,
                                     V2M_OPTIONS_QUALITY_MAX, value,
                                     value_length, error);
    }

    if (v2m_options_is(name, name_length, "track")) {
        return v2m_options_set_range(&options->track, "track", 1,
                                     V2M_OPTIONS_TRACK_MAX, value, value_length,
                                     error);
    }

    if (v2m_options_is(name, name_length, "start")) {
        return v2m_options_set_time(&options->start_ms, "start", value,
                                    value_length, error);
    }

    if (v2m_options_is(name, name_length, "end")) {
        return v2m_options_set_time(&options->end_ms, "end", value,
                                    value_length, error);
    }

    if (v2m_options_is(name, name_length, "samplerate")) {
        return v2m_options_set_listed(&options->samplerate, "samplerate",
                                      v2m_options_samplerates, value,
                                      value_length, error);
    }

    if (v2m_options_is(name, name_length, "channels")) {
        return v2m_options_set_listed(&options->channels, "channels",
                                      v2m_options_channels, value, value_length,
                                      error);
    }

    if (v2m_options_is(name, name_length, "loudnorm")) {
        return v2m_options_set_loudness(&options->loudness, value, value_length,
                                        error);
    }

    return v2m_error_set(error, V2M_NOT_FOUND, "there is no option \"%s\"",
                         v2m_options_shown(shown, name, name_length));
}


static int
v2m_options_within(int64_t value, int64_t minimum, int64_t maximum)
{
    return value == -1 || (value >= minimum && value <= maximum);
}


/* Options that came another way than through v2m_options_set(). */
static int
v2m_options_possible(const v2m_options_t *options)
{
    return (options->bitrate == -1
            || v2m_options_listed(v2m_options_bitrates, options->bitrate))
           && (options->samplerate == -1
               || v2m_options_listed(v2m_options_samplerates,
                                     options->samplerate))
           && (options->channels == -1
               || v2m_options_listed(v2m_options_channels, options->channels))
           && v2m_options_within(options->quality, 0, V2M_OPTIONS_QUALITY_MAX)
           && v2m_options_within(options->track, 1, V2M_OPTIONS_TRACK_MAX)
           && v2m_options_within(options->start_ms, 0, V2M_OPTIONS_MS_MAX)
           && v2m_options_within(options->end_ms, 0, V2M_OPTIONS_MS_MAX)
           && v2m_options_within(options->loudness, V2M_OPTIONS_LOUDEST,
                                 V2M_OPTIONS_QUIETEST);
}


int
v2m_options_check(const v2m_options_t *options, v2m_error_t *error)
{
    int32_t highest;

    if (!v2m_options_possible(options)) {
        return v2m_error_set(error, V2M_INVALID,
                             "an option has a value that it cannot have");
    }

    if (options->bitrate >= 0 && options->quality >= 0) {
        return v2m_error_set(error, V2M_INVALID,
                             "options \"bitrate\" (constant) and \"quality\" "
                             "(variable) exclude each other");
    }

    if (options->end_ms >= 0
        && options->end_ms <= (options->start_ms > 0 ? options->start_ms : 0))
    {
        return v2m_error_set(error, V2M_INVALID,
                             "option \"end\" must be after \"start\"");
    }

    if (options->samplerate < 0 || options->samplerate > V2M_OPTIONS_MPEG2_RATE)
    {
        return V2M_OK;
    }

    highest = options->samplerate > V2M_OPTIONS_MPEG25_RATE
                  ? V2M_OPTIONS_MPEG2_BITRATE
                  : V2M_OPTIONS_MPEG25_BITRATE;

    if (options->bitrate > highest) {
        return v2m_error_set(error, V2M_INVALID,
                             "option \"bitrate\" can be at most %d with a "
                             "\"samplerate\" of %d; not %d",
                             highest, options->samplerate, options->bitrate);
    }

    return V2M_OK;
}
