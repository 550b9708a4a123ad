/* A file's name on its way from an upload to the headers of a download. */

#ifndef FUZZ_FILENAME_H
#define FUZZ_FILENAME_H

#include "fuzz.h"
#include "v2m_disposition.h"
#include "v2m_filename.h"


static inline void
fuzz_filename_disposition(const char *name)
{
    char       *value;
    size_t      i, length;
    const char *end;

    static const char begin[] = "attachment; filename=\"";

    value = malloc(V2M_DISPOSITION_SIZE(strlen(name)));
    FUZZ_CHECK(value != NULL);
    length = v2m_disposition_write(value, name);
    FUZZ_CHECK(length <= V2M_DISPOSITION_SIZE(strlen(name)));

    for (i = 0; i < length; i++) {
        FUZZ_CHECK(value[i] >= 0x20 && value[i] <= 0x7E);
    }

    /* the quotes are those around the plain name */
    FUZZ_CHECK(memcmp(value, begin, sizeof(begin) - 1) == 0);
    end = memchr(value + sizeof(begin) - 1, '"', length - sizeof(begin) + 1);
    FUZZ_CHECK(end != NULL);
    FUZZ_CHECK(memcmp(end - 4, ".mp3", 4) == 0);
    FUZZ_CHECK(memchr(value, '\\', length) == NULL);
    FUZZ_CHECK(end + 1 == value + length
               || memchr(end + 1, '"', length - (size_t) (end + 1 - value))
                      == NULL);
    free(value);
}


static inline int
fuzz_filename(const uint8_t *bytes, size_t length)
{
    char *copy;
    char  name[V2M_FILENAME_MAX + 1], again[V2M_FILENAME_MAX + 1];

    copy = fuzz_copy(bytes, length);
    v2m_filename_clean(name, copy, length);
    free(copy);

    FUZZ_CHECK(strlen(name) <= V2M_FILENAME_MAX);
    FUZZ_CHECK(fuzz_is_utf8(name) && !fuzz_has_controls(name));
    FUZZ_CHECK(strpbrk(name, "/\\") == NULL);

    v2m_filename_clean(again, name, strlen(name));
    FUZZ_CHECK(strcmp(name, again) == 0);

    fuzz_filename_disposition(name);

    return 0;
}

#endif /* FUZZ_FILENAME_H */
