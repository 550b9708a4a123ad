/*
 * The mail about a job's end, or the call of its webhook, as the job's record
 * keeps it: who is at it, when it is tried again, and what became of it.  So
 * that a mail is not sent twice, who sends it takes a claim first: for a time,
 * in case he dies.
 *
 * Beside the results named at each, those of v2m_mongo.h.  The times of the
 * record are those of the clocks of its writers.
 */

#ifndef V2M_JOBS_MAIL_H
#define V2M_JOBS_MAIL_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_error.h"
#include "v2m_id.h"
#include "v2m_job.h"
#include "v2m_mongo.h"

/* Takes, or prolongs, the claim of this owner (an id that nobody else has) for
 * so many milliseconds from now.  V2M_CONFLICT: the job has no end state, was
 * notified before, is another's for now, or is gone. */
int v2m_jobs_claim_mail(v2m_mongo_t *mongo, const v2m_id_t id,
                        const v2m_id_t owner, int64_t lease_ms,
                        v2m_error_t *error);

/* Gives the claim back, as the mail was put off; of the mail given, tries and
 * since_ms are noted, and due_ms unless 0: then the mail counts as spoken of
 * just now.  V2M_CONFLICT: the claim is not this owner's any more. */
int v2m_jobs_put_mail_off(v2m_mongo_t *mongo, const v2m_id_t id,
                          const v2m_id_t owner, const v2m_job_mail_t *mail,
                          v2m_error_t *error);

/* none -> sent | failed; the reason, which the owner sees, may be NULL.
 * V2M_CONFLICT: it was noted before, or the job has no end state, as it was
 * sent anew. */
int v2m_jobs_notified(v2m_mongo_t *mongo, const v2m_id_t id,
                      v2m_job_notified_t notified, const char *reason,
                      v2m_error_t *error);

/* failed -> none, as if it had never been tried, and due at once.
 * V2M_CONFLICT: it is not failed. */
int v2m_jobs_notify_again(v2m_mongo_t *mongo, const v2m_id_t id,
                          v2m_error_t *error);

/* For the sweep: jobs whose mail was put aside and is due by the given time,
 * and those of which nobody spoke since before it although their mail was
 * neither put aside nor given up; earliest first, *jobs as with
 * v2m_jobs_list(). */
int v2m_jobs_due_mails(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                       v2m_job_t **jobs, size_t *count, v2m_error_t *error);
int v2m_jobs_lost_mails(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                        v2m_job_t **jobs, size_t *count, v2m_error_t *error);

/* Notes that the broker confirmed a new message about the mail of a job that
 * one of the two found. */
int v2m_jobs_mail_published(v2m_mongo_t *mongo, const v2m_job_t *job,
                            v2m_error_t *error);

#endif /* V2M_JOBS_MAIL_H */
