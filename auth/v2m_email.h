/*
 * E-mail addresses, which are the users' names.
 */

#ifndef V2M_EMAIL_H
#define V2M_EMAIL_H

#include "v2m_error.h"

#define V2M_EMAIL_MAX 255 /* bytes, as the column */

/*
 * RFC 5322 section 3.4.1 without its quoted, literal and obsolete forms:
 * ASCII, with at most 64 bytes before the "@".  V2M_INVALID when it is not
 * such an address or is longer than V2M_EMAIL_MAX.
 */
int v2m_email_check(const char *email, v2m_error_t *error);

#endif /* V2M_EMAIL_H */
