/*
 * The mails about accounts, made of templates: those that are built in, or an
 * operator's own.
 *
 * A template is a file KIND.txt, whose first line is "Subject: ...", the second
 * empty, and the rest the text; beside it KIND.html may be, the same in HTML,
 * without a subject.  Each may have {{url}}, the link; {{address}}, the
 * account's; and {{until}}, to when the link works.
 */

#ifndef V2M_MAIL_ACCOUNT_H
#define V2M_MAIL_ACCOUNT_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_mail.h"

typedef enum {
    V2M_MAIL_REGISTER, /* the link makes the account */
    V2M_MAIL_RESET,    /* the link sets another password */
    V2M_MAIL_KNOWN,    /* there is an account already */
    V2M_MAIL_KINDS
} v2m_mail_kind_t;

/* Malloc'ed strings; html is NULL where there is none. */
typedef struct {
    char *subject;
    char *text;
    char *html;
} v2m_mail_template_t;

typedef v2m_mail_template_t v2m_mail_templates_t[V2M_MAIL_KINDS];

/*
 * Reads the templates in the directory; for kinds that have none there, and for
 * all when it is NULL, those that are built in.  V2M_INVALID names the file and
 * what is wrong with it.  To be freed with v2m_mail_templates_free().
 */
int v2m_mail_templates_read(v2m_mail_templates_t templates,
                            const char *directory, v2m_error_t *error);

/* Zeroed ones are allowed. */
void v2m_mail_templates_free(v2m_mail_templates_t templates);

typedef struct {
    const v2m_mail_sender_t *sender;
    const char              *to;    /* see v2m_email.h */
    const char              *id;    /* as in v2m_mail_t */
    const char              *url;   /* the link */
    int64_t                  until; /* seconds since the epoch */
    int64_t                  date;  /* likewise */
} v2m_mail_account_t;

/* Writes the mail as v2m_mail_compose() does, with its results.  Who has a
 * secret in the link wipes *text with v2m_config_wipe(). */
int v2m_mail_account_compose(const v2m_mail_account_t  *mail,
                             const v2m_mail_template_t *form, char **text,
                             size_t *length, v2m_error_t *error);

#endif /* V2M_MAIL_ACCOUNT_H */
