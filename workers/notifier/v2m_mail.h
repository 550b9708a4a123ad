/*
 * The text of a notification: RFC 5322, multipart/alternative, plain text and
 * HTML.  Whatever comes from a user is made harmless here: no control
 * character reaches a header, no mark-up the HTML.  Pure functions, any
 * thread.
 */

#ifndef V2M_MAIL_H
#define V2M_MAIL_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"

/* Who sends: "Name <address>", taken apart.  Strings are malloc'ed. */
typedef struct {
    char *name; /* NULL when there is none */
    char *address;
} v2m_mail_sender_t;

typedef struct {
    const v2m_mail_sender_t *sender;
    const char              *to;     /* see v2m_email.h */
    const char              *id;     /* the job's */
    const char              *name;   /* the video's, as it came; may be NULL */
    const char              *reason; /* why the job failed; NULL: it is ready */
    const char              *url;    /* of the gateway, without a slash */
    int64_t                  date;   /* seconds since the epoch */
} v2m_mail_t;

/* Takes "Name <address>" or an address alone.  V2M_INVALID names the fault.
 * To be freed with v2m_mail_sender_free(). */
int v2m_mail_sender_parse(v2m_mail_sender_t *sender, const char *text,
                          v2m_error_t *error);

void v2m_mail_sender_free(v2m_mail_sender_t *sender);

/*
 * Writes the mail, with CRLF line ends.  The same job always gets the same
 * Message-ID.  *text is malloc'ed.  V2M_INVALID: "to" is no address.
 */
int v2m_mail_compose(const v2m_mail_t *mail, char **text, size_t *length,
                     v2m_error_t *error);

#endif /* V2M_MAIL_H */
