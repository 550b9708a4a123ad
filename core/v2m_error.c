#include "v2m_error.h"

#include <stdarg.h>
#include <stdio.h>


int
v2m_error_set(v2m_error_t *error, int code, const char *format, ...)
{
    va_list args;

    if (error != NULL) {
        error->code = code;

        va_start(args, format);
        vsnprintf(error->text, sizeof(error->text), format, args);
        va_end(args);
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
