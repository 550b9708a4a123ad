#include "v2m_email.h"

#include <string.h>

/* RFC 5321 section 4.5.3.1.1: bytes before the "@" */
#define V2M_EMAIL_LOCAL_MAX 64


static int
v2m_email_is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9');
}


/* Words of letters, digits and the others given, with single dots between. */
static int
v2m_email_is_dotted(const char *text, size_t length, const char *others)
{
    size_t i;

    for (i = 0; i < length; i++) {
        if (text[i] == '.') {
            if (i == 0 || text[i - 1] == '.') {
                return 0;
            }

        } else if (!v2m_email_is_alnum(text[i])
                   && strchr(others, text[i]) == NULL) {
            return 0;
        }
    }

    return length > 0 && text[length - 1] != '.';
}


int
v2m_email_check(const char *email, v2m_error_t *error)
{
    size_t      length, local;
    const char *at;

    length = strnlen(email, V2M_EMAIL_MAX + 1);
    at = memchr(email, '@', length);

    if (length <= V2M_EMAIL_MAX && at != NULL) {
        local = (size_t) (at - email);

        if (local <= V2M_EMAIL_LOCAL_MAX
            && v2m_email_is_dotted(email, local, "!#$%&'*+-/=?^_`{|}~")
            && v2m_email_is_dotted(at + 1, length - local - 1, "-"))
        {
            return V2M_OK;
        }
    }

    return v2m_error_set(error, V2M_INVALID, "this is not an e-mail address");
}
