/*
 * The frame of a mail: RFC 5322 headers, and a text in one form or two, plain
 * and HTML, as multipart/alternative.  Pure functions, any thread.
 */

#ifndef V2M_MAIL_H
#define V2M_MAIL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "v2m_error.h"

/* Who sends: "Name <address>", taken apart.  Strings are malloc'ed. */
typedef struct {
    char *name; /* NULL when there is none */
    char *address;
} v2m_mail_sender_t;

typedef struct {
    const v2m_mail_sender_t *sender;
    const char              *to; /* see v2m_email.h */
    const char              *id; /* of the Message-ID, before its '@':
                                    letters, digits and dots, at most 60 */
    const char *subject;         /* clean: v2m_mime_clean() */
    const char *text;            /* UTF-8, lines end with \n */
    const char *html;            /* the same; NULL: plain text alone */
    int64_t     date;            /* seconds since the epoch */
} v2m_mail_t;

/* Takes "Name <address>" or an address alone.  V2M_INVALID names the fault.
 * To be freed with v2m_mail_sender_free(). */
int v2m_mail_sender_parse(v2m_mail_sender_t *sender, const char *text,
                          v2m_error_t *error);

void v2m_mail_sender_free(v2m_mail_sender_t *sender);

/* Writes text so that it is text in HTML, also between quotes. */
void v2m_mail_html(FILE *out, const char *text);

/* Writes the mail, with CRLF line ends.  *text is malloc'ed, and NULL after a
 * failure.  V2M_INVALID: "to" is no address. */
int v2m_mail_compose(const v2m_mail_t *mail, char **text, size_t *length,
                     v2m_error_t *error);

#endif /* V2M_MAIL_H */
