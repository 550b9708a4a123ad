#include "v2m_multipart.h"

#include <string.h>
#include <strings.h>

#include "v2m_filename.h"
#include "v2m_hex.h"

/*
 * The delimiter is CRLF "--" boundary; the first one needs no CRLF before it,
 * and one right behind a part's header shares the CRLF of the empty line.  A
 * CR is in no boundary, so after a mismatch the only place where a delimiter
 * can begin is the byte that did not match.
 */

typedef enum {
    V2M_MULTIPART_PREAMBLE,
    V2M_MULTIPART_DELIMITED, /* behind a delimiter: what follows it? */
    V2M_MULTIPART_PADDING,   /* space was read behind a delimiter */
    V2M_MULTIPART_CLOSING,   /* "-" was read behind a delimiter */
    V2M_MULTIPART_LINE_END,  /* CR was read behind a delimiter */
    V2M_MULTIPART_HEADER,
    V2M_MULTIPART_BODY,
    V2M_MULTIPART_EPILOGUE
} v2m_multipart_state_t;

/* A list of parameters, "; name=value; name=\"value\"". */
typedef struct {
    const char *pos;
    const char *last;

    /* the parameter read last */
    const char *name;
    size_t      name_length;
    char        value[V2M_MULTIPART_NAME_MAX]; /* unquoted */
    size_t      value_length;
} v2m_multipart_parameters_t;


static int
v2m_multipart_is(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && strncasecmp(text, word, length) == 0;
}


static const char *
v2m_multipart_skip_space(const char *pos, const char *last)
{
    while (pos < last && (*pos == ' ' || *pos == '\t')) {
        pos++;
    }

    return pos;
}


static int
v2m_multipart_put(v2m_multipart_parameters_t *parameters, char ch)
{
    if (parameters->value_length + 1 == sizeof(parameters->value)) {
        return V2M_INVALID;
    }

    parameters->value[parameters->value_length++] = ch;

    return V2M_OK;
}


/*
 * The text between quotation marks.  A backslash is an escape only before a
 * quotation mark or another backslash, as some browsers send whole Windows
 * paths; others write a quotation mark as %22 (HTML, "multipart form data").
 */
static int
v2m_multipart_quoted(v2m_multipart_parameters_t *parameters)
{
    char        ch;
    const char *pos, *last;

    pos = parameters->pos + 1;
    last = parameters->last;

    while (pos < last && *pos != '"') {
        ch = *pos++;

        if (ch == '\\' && pos < last && (*pos == '"' || *pos == '\\')) {
            ch = *pos++;

        } else if (ch == '%' && last - pos >= 2 && pos[0] == '2'
                   && pos[1] == '2') {
            ch = '"';
            pos += 2;
        }

        if (v2m_multipart_put(parameters, ch) != V2M_OK) {
            return V2M_INVALID;
        }
    }

    if (pos == last) {
        return V2M_INVALID;
    }

    parameters->pos = pos + 1;

    return V2M_OK;
}


static int
v2m_multipart_unquoted(v2m_multipart_parameters_t *parameters)
{
    const char *pos;

    for (pos = parameters->pos; pos < parameters->last; pos++) {
        if (*pos == ';' || *pos == ' ' || *pos == '\t') {
            break;
        }

        if (v2m_multipart_put(parameters, *pos) != V2M_OK) {
            return V2M_INVALID;
        }
    }

    parameters->pos = pos;

    return V2M_OK;
}


/* The next parameter.  V2M_NOT_FOUND: there is none; V2M_INVALID: what is
 * there is no parameter, or its value is too long. */
static int
v2m_multipart_parameter(v2m_multipart_parameters_t *parameters)
{
    int         rc;
    const char *pos, *last;

    last = parameters->last;
    pos = v2m_multipart_skip_space(parameters->pos, last);

    if (pos == last) {
        return V2M_NOT_FOUND;
    }

    if (*pos != ';') {
        return V2M_INVALID;
    }

    pos = v2m_multipart_skip_space(pos + 1, last);

    if (pos == last) {
        return V2M_NOT_FOUND;
    }

    parameters->name = pos;

    while (pos < last && *pos != '=' && *pos != ';' && *pos != ' '
           && *pos != '"') {
        pos++;
    }

    parameters->name_length = (size_t) (pos - parameters->name);

    if (parameters->name_length == 0 || pos == last || *pos != '=') {
        return V2M_INVALID;
    }

    parameters->pos = pos + 1;
    parameters->value_length = 0;

    rc = pos + 1 < last && pos[1] == '"' ? v2m_multipart_quoted(parameters)
                                         : v2m_multipart_unquoted(parameters);

    parameters->value[parameters->value_length] = '\0';

    return rc;
}


/* RFC 2046 section 5.1.1: bchars, the last of which is no space. */
static int
v2m_multipart_is_boundary(const char *text, size_t length)
{
    size_t i;

    if (length == 0 || length > V2M_MULTIPART_BOUNDARY_MAX
        || text[length - 1] == ' ')
    {
        return 0;
    }

    for (i = 0; i < length; i++) {
        if ((text[i] < '0' || text[i] > '9') && (text[i] < 'A' || text[i] > 'Z')
            && (text[i] < 'a' || text[i] > 'z')
            && (text[i] == '\0' || strchr("'()+_,-./:=? ", text[i]) == NULL))
        {
            return 0;
        }
    }

    return 1;
}


/* As if the data to come had CRLF before it. */
static void
v2m_multipart_assume(v2m_multipart_t *reader)
{
    reader->matched = 2;
    reader->assumed = 2;
}


int
v2m_multipart_init(v2m_multipart_t *reader, const char *content_type,
                   size_t length, v2m_error_t *error)
{
    int                        rc;
    size_t                     boundary_length;
    const char                *pos, *last;
    v2m_multipart_parameters_t parameters;

    last = content_type + length;
    content_type = v2m_multipart_skip_space(content_type, last);

    for (pos = content_type; pos < last; pos++) {
        if (*pos == ';' || *pos == ' ' || *pos == '\t') {
            break;
        }
    }

    if (!v2m_multipart_is(content_type, (size_t) (pos - content_type),
                          "multipart/form-data"))
    {
        return v2m_error_set(error, V2M_NOT_FOUND,
                             "the type is not multipart/form-data");
    }

    memset(reader, 0, sizeof(*reader));
    boundary_length = 0;
    parameters.pos = pos;
    parameters.last = last;

    while ((rc = v2m_multipart_parameter(&parameters)) == V2M_OK) {
        if (!v2m_multipart_is(parameters.name, parameters.name_length,
                              "boundary")) {
            continue;
        }

        if (boundary_length > 0
            || !v2m_multipart_is_boundary(parameters.value,
                                          parameters.value_length))
        {
            rc = V2M_INVALID;
            break;
        }

        boundary_length = parameters.value_length;
        memcpy(reader->delimiter, "\r\n--", 4);
        memcpy(reader->delimiter + 4, parameters.value, boundary_length);
    }

    if (rc != V2M_NOT_FOUND || boundary_length == 0) {
        return v2m_error_set(error, V2M_INVALID,
                             "the Content-Type multipart/form-data needs one "
                             "boundary of 1 to %d characters",
                             V2M_MULTIPART_BOUNDARY_MAX);
    }

    reader->state = V2M_MULTIPART_PREAMBLE;
    reader->delimiter_length = 4 + boundary_length;
    v2m_multipart_assume(reader);

    return V2M_OK;
}


/* An extended value in place, charset'language'percent-encoded (RFC 8187);
 * charsets other than UTF-8 become what v2m_filename_clean() makes of them. */
static int
v2m_multipart_extended(v2m_multipart_parameters_t *parameters)
{
    int         high, low;
    char       *dst;
    const char *src, *last;

    last = parameters->value + parameters->value_length;
    src = memchr(parameters->value, '\'', parameters->value_length);

    if (src != NULL) {
        src = memchr(src + 1, '\'', (size_t) (last - src - 1));
    }

    if (src == NULL) {
        return V2M_INVALID;
    }

    dst = parameters->value;

    for (src++; src < last; src++) {
        if (*src != '%') {
            *dst++ = *src;
            continue;
        }

        high = last - src > 2 ? v2m_hex_digit(src[1]) : -1;
        low = last - src > 2 ? v2m_hex_digit(src[2]) : -1;

        if (high == -1 || low == -1) {
            return V2M_INVALID;
        }

        *dst++ = (char) (high << 4 | low);
        src += 2;
    }

    parameters->value_length = (size_t) (dst - parameters->value);

    return V2M_OK;
}


/* What a part's Content-Disposition says (RFC 7578 section 4.2). */
static int
v2m_multipart_disposition(v2m_multipart_t *reader, const char *value,
                          const char *last, v2m_error_t *error)
{
    int                        rc, names, filenames, extended;
    const char                *pos;
    v2m_multipart_parameters_t parameters;

    for (pos = value; pos < last; pos++) {
        if (*pos == ';' || *pos == ' ' || *pos == '\t') {
            break;
        }
    }

    if (!v2m_multipart_is(value, (size_t) (pos - value), "form-data")) {
        return v2m_error_set(error, V2M_INVALID,
                             "a part's Content-Disposition is not form-data");
    }

    names = filenames = extended = 0;
    parameters.pos = pos;
    parameters.last = last;

    while ((rc = v2m_multipart_parameter(&parameters)) == V2M_OK) {
        if (v2m_multipart_is(parameters.name, parameters.name_length, "name")) {
            names++;
            memcpy(reader->name, parameters.value, parameters.value_length + 1);

        } else if (v2m_multipart_is(parameters.name, parameters.name_length,
                                    "filename"))
        {
            filenames++;

            if (!extended) {
                v2m_filename_clean(reader->filename, parameters.value,
                                   parameters.value_length);
            }

        } else if (v2m_multipart_is(parameters.name, parameters.name_length,
                                    "filename*"))
        {
            extended++;
            rc = v2m_multipart_extended(&parameters);

            if (rc != V2M_OK) {
                break;
            }

            v2m_filename_clean(reader->filename, parameters.value,
                               parameters.value_length);
        }
    }

    if (rc != V2M_NOT_FOUND || names != 1 || filenames > 1 || extended > 1) {
        return v2m_error_set(error, V2M_INVALID,
                             "a part's Content-Disposition is malformed: it "
                             "needs one name, at most one filename, each "
                             "shorter than %d bytes",
                             V2M_MULTIPART_NAME_MAX);
    }

    reader->has_filename = filenames + extended > 0;

    return V2M_OK;
}


/* One header line of a part, unfolded. */
static int
v2m_multipart_header_line(v2m_multipart_t *reader, const char *line,
                          const char *last, int *dispositions,
                          v2m_error_t *error)
{
    size_t      name_length;
    const char *colon, *value;

    colon = memchr(line, ':', (size_t) (last - line));

    if (colon == NULL || colon == line) {
        return v2m_error_set(error, V2M_INVALID,
                             "a part's header line has no name");
    }

    name_length = (size_t) (colon - line);
    value = v2m_multipart_skip_space(colon + 1, last);

    while (last > value && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    if (v2m_multipart_is(line, name_length, "Content-Disposition")) {
        if (++*dispositions > 1) {
            return v2m_error_set(error, V2M_INVALID,
                                 "a part has two Content-Dispositions");
        }

        return v2m_multipart_disposition(reader, value, last, error);
    }

    /* deprecated (RFC 7578 section 4.7): only those that change nothing */

    if (v2m_multipart_is(line, name_length, "Content-Transfer-Encoding")
        && !v2m_multipart_is(value, (size_t) (last - value), "binary")
        && !v2m_multipart_is(value, (size_t) (last - value), "8bit")
        && !v2m_multipart_is(value, (size_t) (last - value), "7bit"))
    {
        return v2m_error_set(error, V2M_INVALID,
                             "a part's Content-Transfer-Encoding is not "
                             "supported: send the file as it is");
    }

    return V2M_OK;
}


/* The part's header is complete: lines that end with CRLF. */
static int
v2m_multipart_header(v2m_multipart_t *reader, v2m_error_t *error)
{
    int   rc, dispositions;
    char *line, *end, *last;

    reader->name[0] = '\0';
    reader->filename[0] = '\0';
    reader->has_filename = 0;
    dispositions = 0;
    last = reader->header + reader->header_length;

    for (line = reader->header; line < last; line = end + 2) {
        for (end = line;; end++) {
            if (end[0] == '\r' && end[1] == '\n') {
                if (end + 2 == last || (end[2] != ' ' && end[2] != '\t')) {
                    break;
                }

                end[0] = end[1] = ' ';
            }

            if ((unsigned char) *end < 0x20 && *end != '\t') {
                return v2m_error_set(error, V2M_INVALID,
                                     "a part's header has control characters");
            }
        }

        rc = v2m_multipart_header_line(reader, line, end, &dispositions, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    if (dispositions == 0) {
        return v2m_error_set(error, V2M_INVALID,
                             "a part has no Content-Disposition");
    }

    return V2M_OK;
}


/* Takes one byte of the header.  V2M_NOT_FOUND: it is not complete yet. */
static int
v2m_multipart_header_byte(v2m_multipart_t *reader, unsigned char ch,
                          v2m_error_t *error)
{
    char  *header;
    size_t length;

    header = reader->header;

    if (reader->header_length == sizeof(reader->header)) {
        return v2m_error_set(error, V2M_INVALID,
                             "a part's header is longer than %d bytes",
                             V2M_MULTIPART_HEADER_MAX);
    }

    header[reader->header_length++] = (char) ch;
    length = reader->header_length;

    if ((length == 2 && memcmp(header, "\r\n", 2) == 0)
        || (length >= 4 && memcmp(header + length - 4, "\r\n\r\n", 4) == 0))
    {
        reader->header_length -= 2; /* the empty line */
        return v2m_multipart_header(reader, error);
    }

    return V2M_NOT_FOUND;
}


/* Takes one byte behind a delimiter. */
static int
v2m_multipart_delimited(v2m_multipart_t *reader, unsigned char ch,
                        v2m_multipart_event_t *event, v2m_error_t *error)
{
    switch (reader->state) {
    case V2M_MULTIPART_DELIMITED:
        if (ch == '-') {
            reader->state = V2M_MULTIPART_CLOSING;
            return V2M_OK;
        }

        /* fall through */

    case V2M_MULTIPART_PADDING:
        if (ch == '\r') {
            reader->state = V2M_MULTIPART_LINE_END;
            return V2M_OK;
        }

        if (ch == ' ' || ch == '\t') {
            reader->state = V2M_MULTIPART_PADDING;
            return V2M_OK;
        }

        break;

    case V2M_MULTIPART_CLOSING:
        if (ch == '-') {
            reader->state = V2M_MULTIPART_EPILOGUE;
            *event = V2M_MULTIPART_DONE;
            return V2M_OK;
        }

        break;

    default: /* V2M_MULTIPART_LINE_END */
        if (ch == '\n') {
            reader->state = V2M_MULTIPART_HEADER;
            reader->header_length = 0;
            return V2M_OK;
        }

        break;
    }

    return v2m_error_set(error, V2M_INVALID,
                         "the multipart body is malformed: a boundary is "
                         "followed by something else than a line's end");
}


/*
 * Looks for the delimiter.  Gives what is no part of it as DATA; reader->state
 * changes when the delimiter is complete.  In the preamble nobody looks at the
 * data.
 */
static void
v2m_multipart_search(v2m_multipart_t *reader, const unsigned char **position,
                     const unsigned char *last, v2m_multipart_event_t *event)
{
    const unsigned char *pos, *start;

    pos = *position;

    if (reader->matched == 0) {
        start = pos;
        pos = memchr(start, '\r', (size_t) (last - start));

        if (pos == NULL) {
            pos = last;
        }

        if (pos > start) {
            reader->data = start;
            reader->length = (size_t) (pos - start);
            *event = V2M_MULTIPART_DATA;
            *position = pos;
            return;
        }
    }

    while (pos < last && reader->matched < reader->delimiter_length
           && *pos == (unsigned char) reader->delimiter[reader->matched])
    {
        pos++;
        reader->matched++;
    }

    *position = pos;

    if (reader->matched == reader->delimiter_length) {
        *event = reader->state == V2M_MULTIPART_BODY ? V2M_MULTIPART_END
                                                     : V2M_MULTIPART_MORE;
        reader->state = V2M_MULTIPART_DELIMITED;
        reader->matched = 0;
        reader->assumed = 0;

    } else if (pos < last) {
        /* it only began like the delimiter */
        reader->data = (unsigned char *) reader->delimiter + reader->assumed;
        reader->length = reader->matched - reader->assumed;
        reader->matched = 0;
        reader->assumed = 0;
        *event = reader->length > 0 ? V2M_MULTIPART_DATA : V2M_MULTIPART_MORE;
    }
}


int
v2m_multipart_read(v2m_multipart_t *reader, const unsigned char **position,
                   const unsigned char *last, v2m_multipart_event_t *event,
                   v2m_error_t *error)
{
    int rc;

    *event = V2M_MULTIPART_MORE;

    while (*position < last && *event == V2M_MULTIPART_MORE) {
        switch (reader->state) {
        case V2M_MULTIPART_PREAMBLE:
            v2m_multipart_search(reader, position, last, event);
            *event = V2M_MULTIPART_MORE;
            break;

        case V2M_MULTIPART_BODY:
            v2m_multipart_search(reader, position, last, event);
            break;

        case V2M_MULTIPART_HEADER:
            rc = v2m_multipart_header_byte(reader, *(*position)++, error);

            if (rc == V2M_OK) {
                reader->state = V2M_MULTIPART_BODY;
                v2m_multipart_assume(reader);
                *event = V2M_MULTIPART_PART;

            } else if (rc != V2M_NOT_FOUND) {
                return rc;
            }

            break;

        case V2M_MULTIPART_EPILOGUE:
            *position = last;
            break;

        default:
            rc = v2m_multipart_delimited(reader, *(*position)++, event, error);
            if (rc != V2M_OK) {
                return rc;
            }

            break;
        }
    }

    return V2M_OK;
}
