/*
 * The mail about what became of a job.  Whatever comes from a user is made
 * harmless here: no control character reaches a header, no mark-up the HTML.
 * Pure functions, any thread.
 */

#ifndef V2M_MAIL_JOB_H
#define V2M_MAIL_JOB_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_mail.h"

typedef struct {
    const v2m_mail_sender_t *sender;
    const char              *to;     /* see v2m_email.h */
    const char              *id;     /* the job's */
    const char              *name;   /* the video's, as it came; may be NULL */
    const char              *reason; /* why the job failed; NULL: it is ready */
    const char              *url;    /* of the gateway, without a slash */
    int64_t                  date;   /* seconds since the epoch */
} v2m_mail_job_t;

/*
 * Writes the mail as v2m_mail_compose() does, with its results.  The same job
 * always gets the same Message-ID.
 */
int v2m_mail_job_compose(const v2m_mail_job_t *mail, char **text,
                         size_t *length, v2m_error_t *error);

#endif /* V2M_MAIL_JOB_H */
