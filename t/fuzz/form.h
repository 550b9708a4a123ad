/* Fields of small bodies; the first byte says of which type. */

#ifndef FUZZ_FORM_H
#define FUZZ_FORM_H

#include "fuzz.h"
#include "v2m_form.h"


static inline int
fuzz_form(const uint8_t *bytes, size_t length)
{
    int              rc;
    char            *body;
    size_t           i;
    v2m_error_t      error;
    const char      *type;
    v2m_form_field_t fields[] = { { "token", NULL }, { "password", NULL } };

    if (length == 0) {
        return 0;
    }

    type =
        bytes[0] & 1 ? "application/json" : "application/x-www-form-urlencoded";

    body = fuzz_copy(bytes + 1, length - 1);
    rc = v2m_form_read(type, strlen(type), body, length - 1, fields, 2, &error);
    free(body);

    FUZZ_CHECK(rc == V2M_OK || rc == V2M_INVALID);

    for (i = 0; i < 2; i++) {
        FUZZ_CHECK((fields[i].value != NULL) == (rc == V2M_OK));

        if (rc == V2M_OK) {
            FUZZ_CHECK(fuzz_is_utf8(fields[i].value));
            FUZZ_CHECK(strlen(fields[i].value) < length);
        }
    }

    v2m_form_wipe(fields, 2);

    return 0;
}

#endif /* FUZZ_FORM_H */
