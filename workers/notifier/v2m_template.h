/*
 * Texts with {{NAME}} where a value comes in.  Pure functions, any thread.
 */

#ifndef V2M_TEMPLATE_H
#define V2M_TEMPLATE_H

#include <stddef.h>

#include "v2m_error.h"

typedef struct {
    const char *name;
    const char *value;
} v2m_template_value_t;

/*
 * V2M_INVALID names what is wrong: a {{NAME}} of none of the count names, or
 * one that does not end; bytes that are no UTF-8, or a control character other
 * than the tabulator and the line's end.
 */
int v2m_template_check(const char *text, const char *const *names, size_t count,
                       v2m_error_t *error);

/* Whether the text has {{name}}. */
int v2m_template_has(const char *text, const char *name);

typedef enum { V2M_TEMPLATE_TEXT, V2M_TEMPLATE_HTML } v2m_template_form_t;

/* The text, checked before, with its values; in HTML they are text, whatever
 * they have in them.  Malloc'ed; NULL: out of memory. */
char *v2m_template_fill(const char *text, const v2m_template_value_t *values,
                        size_t count, v2m_template_form_t form);

#endif /* V2M_TEMPLATE_H */
