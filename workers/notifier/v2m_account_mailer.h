/*
 * Sends the mails about accounts: takes what is due from the table of requests
 * (v2m_accounts.h), makes each its token, and sends it.  One thread of its own,
 * one mail at a time.
 *
 * A token is in this thread's memory and in its mail only.  Each try has a new
 * one, and a new Message-ID: of two mails with the same, a mailbox may keep the
 * one whose link is good no longer.
 */

#ifndef V2M_ACCOUNT_MAILER_H
#define V2M_ACCOUNT_MAILER_H

#include <stdint.h>

#include "v2m_database.h"
#include "v2m_error.h"
#include "v2m_mail.h"
#include "v2m_mail_account.h"
#include "v2m_smtp.h"

typedef struct v2m_account_mailer_s v2m_account_mailer_t;

/* To be kept until v2m_account_mailer_stop() returns. */
typedef struct {
    v2m_database_t *users;
    v2m_smtp_t     *smtp; /* gives up when v2m_account_mailer_late()
                             says so */
    const v2m_mail_sender_t   *sender;
    const v2m_mail_template_t *templates; /* V2M_MAIL_KINDS of them */
    const char                *url;       /* of the gateway, without a slash */
    int64_t                    lease_s;   /* longer than one try can take */
} v2m_account_mailer_options_t;

/* Starts the thread; it ends once v2m_worker_draining() or
 * v2m_account_mailer_stop() says so.  One at a time. */
int v2m_account_mailer_start(v2m_account_mailer_t              **mailer,
                             const v2m_account_mailer_options_t *options,
                             v2m_error_t                        *error);

/* Waits until the mail under way is sent, for a few seconds at most; what is
 * not sent then is due at once again.  NULL is allowed. */
void v2m_account_mailer_stop(v2m_account_mailer_t *mailer);

/* 1 when a mail under way shall be given up.  Any thread. */
int v2m_account_mailer_late(void);

#endif /* V2M_ACCOUNT_MAILER_H */
