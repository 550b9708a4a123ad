#include "v2m_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>


/* Takes off the begin of a UTF-8 character whose end was cut off. */
static void
v2m_error_trim(char *text)
{
    size_t        more, length;
    unsigned char lead;

    length = strlen(text);

    for (more = 0; more < 3 && more < length; more++) {
        lead = (unsigned char) text[length - more - 1];

        if (lead >= 0x80 && lead < 0xC0) {
            continue;
        }

        if ((lead >= 0xF0 && more < 3) || (lead >= 0xE0 && more < 2)
            || (lead >= 0xC0 && more < 1))
        {
            text[length - more - 1] = '\0';
        }

        break;
    }
}


int
v2m_error_set(v2m_error_t *error, int code, const char *format, ...)
{
    int     length;
    va_list args;

    if (error != NULL) {
        error->code = code;

        va_start(args, format);
        length = vsnprintf(error->text, sizeof(error->text), format, args);
        va_end(args);

        if (length >= V2M_ERROR_TEXT) {
            v2m_error_trim(error->text);
        }
    }

    return code;
}


const char *
v2m_error_name(int code)
{
    switch (code) {
    case V2M_OK:
        return "ok";
    case V2M_UNAVAILABLE:
        return "unavailable";
    case V2M_NOT_FOUND:
        return "not found";
    case V2M_CONFLICT:
        return "conflict";
    case V2M_INVALID:
        return "invalid";
    case V2M_DENIED:
        return "denied";
    case V2M_FULL:
        return "full";
    case V2M_CORRUPT:
        return "corrupt";
    default:
        return "error";
    }
}
