/*
 * E-mail addresses: the users' names, and where mails go.  The one rule for
 * both, so that whoever has an account can get its mails.
 */

#ifndef V2M_EMAIL_H
#define V2M_EMAIL_H

#include "v2m_error.h"

#define V2M_EMAIL_MAX 254 /* bytes: RFC 5321 section 4.5.3.1.3 */

/*
 * RFC 5322 section 3.4.1 without its quoted, literal and obsolete forms, of
 * the lengths of RFC 5321 section 4.5.3.1 and RFC 1035 section 2.3.4: ASCII
 * that needs no quoting in a header or an SMTP command.  V2M_INVALID when it
 * is not such an address.  Any thread; error may be NULL.
 */
int v2m_email_check(const char *email, v2m_error_t *error);

#endif /* V2M_EMAIL_H */
