#include "v2m_email.h"

#include <string.h>

#define V2M_EMAIL_LOCAL_MAX 64 /* bytes before the "@" */
#define V2M_EMAIL_LABEL_MAX 63 /* bytes between the dots behind it */


static int
v2m_email_is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9');
}


/* A word of letters, digits and the others given. */
static int
v2m_email_is_word(const char *text, size_t length, const char *others)
{
    size_t i;

    for (i = 0; i < length; i++) {
        if (!v2m_email_is_alnum(text[i]) && strchr(others, text[i]) == NULL) {
            return 0;
        }
    }

    return length > 0;
}


static int
v2m_email_is_atom(const char *text, size_t length)
{
    return v2m_email_is_word(text, length, "!#$%&'*+-/=?^_`{|}~");
}


static int
v2m_email_is_label(const char *text, size_t length)
{
    return length <= V2M_EMAIL_LABEL_MAX && v2m_email_is_word(text, length, "-")
           && text[0] != '-' && text[length - 1] != '-';
}


/* Such words with single dots between. */
static int
v2m_email_is_dotted(const char *text, size_t length,
                    int (*is_word)(const char *text, size_t length))
{
    size_t      word;
    const char *dot;

    for (;;) {
        dot = memchr(text, '.', length);
        word = dot != NULL ? (size_t) (dot - text) : length;

        if (!is_word(text, word)) {
            return 0;
        }

        if (dot == NULL) {
            return 1;
        }

        text += word + 1;
        length -= word + 1;
    }
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
            && v2m_email_is_dotted(email, local, v2m_email_is_atom)
            && v2m_email_is_dotted(at + 1, length - local - 1,
                                   v2m_email_is_label))
        {
            return V2M_OK;
        }
    }

    return v2m_error_set(error, V2M_INVALID, "this is not an e-mail address");
}
