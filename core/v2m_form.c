#include "v2m_form.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "v2m_config.h"
#include "v2m_hex.h"
#include "v2m_utf8.h"


/* Whether a Content-Type is that media type, with whatever parameters. */
static int
v2m_form_is(const char *type, size_t length, const char *name)
{
    size_t n;

    n = strlen(name);

    return length >= n && strncasecmp(type, name, n) == 0
           && (length == n || memchr("; \t", type[n], 3) != NULL);
}


static int
v2m_form_check(const char *name, const char *value, size_t length,
               v2m_error_t *error)
{
    size_t i, n;

    for (i = 0; i < length; i += n) {
        n = v2m_utf8_character((const unsigned char *) value + i, length - i);

        if (n == 0 || value[i] == '\0') {
            return v2m_error_set(error, V2M_INVALID,
                                 "the field \"%s\" must be text in UTF-8 "
                                 "without zero bytes",
                                 name);
        }
    }

    return V2M_OK;
}


static v2m_form_field_t *
v2m_form_find(v2m_form_field_t *fields, size_t count, const char *name,
              size_t length)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (strlen(fields[i].name) == length
            && memcmp(fields[i].name, name, length) == 0)
        {
            return &fields[i];
        }
    }

    return NULL;
}


/* Decodes a name or value into as many bytes or fewer.  Returns their number;
 * a % without two digits stands for itself. */
static size_t
v2m_form_decode(const char *text, size_t length, char *out)
{
    size_t i, n;

    for (i = 0, n = 0; i < length; i++, n++) {
        if (text[i] == '%' && length - i > 2 && v2m_hex_digit(text[i + 1]) >= 0
            && v2m_hex_digit(text[i + 2]) >= 0)
        {
            out[n] = (char) (v2m_hex_digit(text[i + 1]) * 16
                             + v2m_hex_digit(text[i + 2]));
            i += 2;

        } else {
            out[n] = text[i] == '+' ? ' ' : text[i];
        }
    }

    return n;
}


/* One NAME=VALUE; decoded has room for all of it. */
static int
v2m_form_pair(const char *pair, size_t length, char *decoded,
              v2m_form_field_t *fields, size_t count, v2m_error_t *error)
{
    int               rc;
    size_t            name, value;
    const char       *equals;
    v2m_form_field_t *field;

    equals = memchr(pair, '=', length);
    name = equals != NULL ? (size_t) (equals - pair) : length;

    field = v2m_form_find(fields, count, decoded,
                          v2m_form_decode(pair, name, decoded));

    if (field == NULL) {
        return V2M_OK;
    }

    if (field->value != NULL) {
        return v2m_error_set(error, V2M_INVALID,
                             "the field \"%s\" is there twice", field->name);
    }

    value = equals != NULL
                ? v2m_form_decode(equals + 1, length - name - 1, decoded)
                : 0;

    rc = v2m_form_check(field->name, decoded, value, error);
    if (rc != V2M_OK) {
        return rc;
    }

    field->value = strndup(decoded, value);

    return field->value != NULL
               ? V2M_OK
               : v2m_error_set(error, V2M_ERROR, "out of memory");
}


static int
v2m_form_read_pairs(const char *body, size_t length, v2m_form_field_t *fields,
                    size_t count, v2m_error_t *error)
{
    int         rc;
    char       *decoded;
    size_t      n;
    const char *end, *ampersand;

    decoded = malloc(length + 1);
    if (decoded == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    rc = V2M_OK;
    end = body + length;

    while (rc == V2M_OK && body < end) {
        ampersand = memchr(body, '&', (size_t) (end - body));
        n = (size_t) ((ampersand != NULL ? ampersand : end) - body);

        rc = v2m_form_pair(body, n, decoded, fields, count, error);
        body += n + 1;
    }

    explicit_bzero(decoded, length);
    free(decoded);

    return rc;
}


static int
v2m_form_take(const json_t *object, v2m_form_field_t *field, v2m_error_t *error)
{
    size_t        length;
    const char   *text;
    const json_t *value;

    value = json_object_get(object, field->name);

    if (value == NULL) {
        return V2M_OK;
    }

    if (!json_is_string(value)) {
        return v2m_error_set(error, V2M_INVALID,
                             "the field \"%s\" must be a string", field->name);
    }

    text = json_string_value(value);
    length = json_string_length(value);

    if (v2m_form_check(field->name, text, length, error) != V2M_OK) {
        return V2M_INVALID;
    }

    field->value = strndup(text, length);

    /* jansson frees it as it is; the text is in its own memory */
    explicit_bzero((char *) text, length);

    return field->value != NULL
               ? V2M_OK
               : v2m_error_set(error, V2M_ERROR, "out of memory");
}


static int
v2m_form_read_json(const char *body, size_t length, v2m_form_field_t *fields,
                   size_t count, v2m_error_t *error)
{
    int     rc;
    size_t  i;
    json_t *object;

    /* it takes neither invalid UTF-8 nor zero bytes in strings */

    object = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL);

    if (!json_is_object(object)) {
        json_decref(object);
        return v2m_error_set(error, V2M_INVALID,
                             "the body must be one JSON object, with each "
                             "field once");
    }

    rc = V2M_OK;

    for (i = 0; rc == V2M_OK && i < count; i++) {
        rc = v2m_form_take(object, &fields[i], error);
    }

    json_decref(object);

    return rc;
}


int
v2m_form_read(const char *type, size_t type_length, const char *body,
              size_t length, v2m_form_field_t *fields, size_t count,
              v2m_error_t *error)
{
    int    rc;
    size_t i;

    for (i = 0; i < count; i++) {
        fields[i].value = NULL;
    }

    if (type != NULL && v2m_form_is(type, type_length, "application/json")) {
        rc = v2m_form_read_json(body, length, fields, count, error);

    } else if (type != NULL
               && v2m_form_is(type, type_length,
                              "application/x-www-form-urlencoded"))
    {
        rc = v2m_form_read_pairs(body, length, fields, count, error);

    } else {
        rc = v2m_error_set(error, V2M_NOT_FOUND,
                           "send the fields as application/json or as "
                           "application/x-www-form-urlencoded");
    }

    for (i = 0; rc == V2M_OK && i < count; i++) {
        if (fields[i].value == NULL) {
            rc = v2m_error_set(error, V2M_INVALID,
                               "the field \"%s\" is missing", fields[i].name);
        }
    }

    if (rc != V2M_OK) {
        v2m_form_wipe(fields, count);
    }

    return rc;
}


void
v2m_form_wipe(v2m_form_field_t *fields, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        v2m_config_wipe(fields[i].value);
        fields[i].value = NULL;
    }
}
