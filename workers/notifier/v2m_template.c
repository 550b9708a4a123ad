#include "v2m_template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_mail.h"
#include "v2m_utf8.h"

#define V2M_TEMPLATE_OPEN  "{{"
#define V2M_TEMPLATE_CLOSE "}}"
#define V2M_TEMPLATE_MARK  2 /* the length of either */

/* What is shown of a name that is wrong. */
#define V2M_TEMPLATE_SHOWN 40


static int
v2m_template_check_characters(const char *text, v2m_error_t *error)
{
    size_t               left, length;
    const unsigned char *p;

    p = (const unsigned char *) text;

    for (left = strlen(text); left > 0; left -= length, p += length) {
        length = v2m_utf8_character(p, left);

        if (length == 0) {
            return v2m_error_set(error, V2M_INVALID, "it is no UTF-8");
        }

        if ((*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f) {
            return v2m_error_set(error, V2M_INVALID,
                                 "it has a control character");
        }
    }

    return V2M_OK;
}


static int
v2m_template_is(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && memcmp(name, text, length) == 0;
}


int
v2m_template_check(const char *text, const char *const *names, size_t count,
                   v2m_error_t *error)
{
    int         rc;
    size_t      i, length;
    const char *name, *end;

    rc = v2m_template_check_characters(text, error);
    if (rc != V2M_OK) {
        return rc;
    }

    for (name = text; (name = strstr(name, V2M_TEMPLATE_OPEN)) != NULL;
         name = end + V2M_TEMPLATE_MARK)
    {
        name += V2M_TEMPLATE_MARK;
        end = strstr(name, V2M_TEMPLATE_CLOSE);

        if (end == NULL) {
            return v2m_error_set(error, V2M_INVALID, "a {{ has no }}");
        }

        length = (size_t) (end - name);

        for (i = 0; i < count && !v2m_template_is(names[i], name, length); i++)
        {
        }

        if (i == count) {
            return v2m_error_set(
                error, V2M_INVALID, "there is nothing called {{%.*s}}",
                (int) (length < V2M_TEMPLATE_SHOWN ? length
                                                   : V2M_TEMPLATE_SHOWN),
                name);
        }
    }

    return V2M_OK;
}


int
v2m_template_has(const char *text, const char *name)
{
    const char *open;

    for (open = text; (open = strstr(open, V2M_TEMPLATE_OPEN)) != NULL;) {
        open += V2M_TEMPLATE_MARK;

        if (strncmp(open, name, strlen(name)) == 0
            && strncmp(open + strlen(name), V2M_TEMPLATE_CLOSE,
                       V2M_TEMPLATE_MARK)
                   == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
v2m_template_write(FILE *out, const char *text,
                   const v2m_template_value_t *values, size_t count,
                   v2m_template_form_t form)
{
    size_t      i;
    const char *open, *end;

    while ((open = strstr(text, V2M_TEMPLATE_OPEN)) != NULL
           && (end = strstr(open, V2M_TEMPLATE_CLOSE)) != NULL)
    {
        fwrite(text, 1, (size_t) (open - text), out);
        open += V2M_TEMPLATE_MARK;

        for (i = 0; i < count; i++) {
            if (!v2m_template_is(values[i].name, open, (size_t) (end - open))) {
                continue;
            }

            if (form == V2M_TEMPLATE_HTML) {
                v2m_mail_html(out, values[i].value);
            } else {
                fputs(values[i].value, out);
            }
        }

        text = end + V2M_TEMPLATE_MARK;
    }

    fputs(text, out);
}


char *
v2m_template_fill(const char *text, const v2m_template_value_t *values,
                  size_t count, v2m_template_form_t form)
{
    int    failed;
    char  *filled;
    FILE  *out;
    size_t length;

    filled = NULL;

    out = open_memstream(&filled, &length);
    if (out == NULL) {
        return NULL;
    }

    v2m_template_write(out, text, values, count, form);
    failed = ferror(out);

    if (fclose(out) != 0 || failed) {
        free(filled);
        return NULL;
    }

    return filled;
}
