/* The conversion options: "name=value&name=value". */

#ifndef FUZZ_OPTIONS_H
#define FUZZ_OPTIONS_H

#include "fuzz.h"
#include "v2m_options.h"


static inline void
fuzz_options_checked(const v2m_options_t *options)
{
    FUZZ_CHECK(options->bitrate == -1
               || (options->bitrate >= 8 && options->bitrate <= 320));
    FUZZ_CHECK(options->quality >= -1 && options->quality <= 9);
    FUZZ_CHECK(options->track == -1 || options->track >= 1);
    FUZZ_CHECK(options->start_ms >= -1 && options->end_ms >= -1);
    FUZZ_CHECK(options->end_ms == -1 || options->end_ms > options->start_ms);
    FUZZ_CHECK(
        options->samplerate == -1
        || (options->samplerate >= 8000 && options->samplerate <= 48000));
    FUZZ_CHECK(options->channels == -1 || options->channels == 1
               || options->channels == 2);
    FUZZ_CHECK(options->loudness == -1 || options->loudness > 0);
}


static inline void
fuzz_options_one(v2m_options_t *options, const char *name, size_t length)
{
    int         rc;
    size_t      name_length;
    v2m_error_t error;
    const char *value;

    value = memchr(name, '=', length);
    name_length = value != NULL ? (size_t) (value - name) : length;
    value = value != NULL ? value + 1 : name + length;

    rc = v2m_options_set(options, name, name_length, value,
                         length - (size_t) (value - name), &error);
    FUZZ_CHECK(rc == V2M_OK || rc == V2M_INVALID || rc == V2M_NOT_FOUND);
    FUZZ_CHECK(rc != V2M_INVALID
               || (fuzz_is_utf8(error.text) && !fuzz_has_controls(error.text)));
}


static inline int
fuzz_options(const uint8_t *bytes, size_t length)
{
    char         *copy;
    size_t        one;
    v2m_error_t   error;
    const char   *end;
    v2m_options_t options;

    v2m_options_init(&options);

    while (length > 0) {
        end = memchr(bytes, '&', length);
        one = end != NULL ? (size_t) ((const uint8_t *) end - bytes) : length;

        copy = fuzz_copy(bytes, one);
        fuzz_options_one(&options, copy, one);
        free(copy);

        one += one < length;
        bytes += one;
        length -= one;
    }

    if (v2m_options_check(&options, &error) == V2M_OK) {
        fuzz_options_checked(&options);
    } else {
        FUZZ_CHECK(error.code == V2M_INVALID);
    }

    return 0;
}

#endif /* FUZZ_OPTIONS_H */
