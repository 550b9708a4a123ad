/*
 * The few fields of a small request body, as a JSON object or as
 * application/x-www-form-urlencoded (WHATWG URL section 5.1).  Pure functions,
 * any thread.
 */

#ifndef V2M_FORM_H
#define V2M_FORM_H

#include <stddef.h>

#include "v2m_error.h"

typedef struct {
    const char *name;
    char       *value; /* malloc'ed; UTF-8 without zero bytes */
} v2m_form_field_t;

/*
 * Reads the values of the fields, whose names are given and all needed; others
 * are ignored.  What is read may be secret: v2m_form_wipe() frees it.
 *
 * V2M_NOT_FOUND: the Content-Type, which may be NULL, is neither of the two;
 * V2M_INVALID: the body is malformed, or lacks a field, or has one twice.
 * The fields have no values then.
 */
int v2m_form_read(const char *type, size_t type_length, const char *body,
                  size_t length, v2m_form_field_t *fields, size_t count,
                  v2m_error_t *error);

/* Wipes and frees the values. */
void v2m_form_wipe(v2m_form_field_t *fields, size_t count);

#endif /* V2M_FORM_H */
