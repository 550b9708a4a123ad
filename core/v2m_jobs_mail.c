#include "v2m_jobs_mail.h"

#include "v2m_jobs_record.h"
#include "v2m_pause.h"

/* Who is about to send the mail, and until when. */
static const char *const v2m_jobs_claim[] = { "mail_owner", "mail_until",
                                              NULL };


static void
v2m_jobs_not_notified(bson_t *filter)
{
    BSON_APPEND_UTF8(filter, "notified",
                     v2m_job_notified_name(V2M_NOTIFIED_NONE));
}


int
v2m_jobs_claim_mail(v2m_mongo_t *mongo, const v2m_id_t id, const v2m_id_t owner,
                    int64_t lease_ms, v2m_error_t *error)
{
    bson_t            any, one;
    int64_t           now;
    v2m_jobs_change_t change;

    now = v2m_wall_ms();

    v2m_jobs_change_begin_quietly(&change, id, v2m_jobs_ended);
    v2m_jobs_not_notified(&change.filter);

    BSON_APPEND_ARRAY_BEGIN(&change.filter, "$or", &any);

    BSON_APPEND_DOCUMENT_BEGIN(&any, "0", &one);
    v2m_jobs_append_exists(&one, "mail_until", false);
    bson_append_document_end(&any, &one);

    BSON_APPEND_DOCUMENT_BEGIN(&any, "1", &one);
    v2m_jobs_append_range(&one, "mail_until", "$lt", now);
    bson_append_document_end(&any, &one);

    BSON_APPEND_DOCUMENT_BEGIN(&any, "2", &one);
    v2m_jobs_append_id(&one, "mail_owner", owner);
    bson_append_document_end(&any, &one);

    bson_append_array_end(&change.filter, &any);

    v2m_jobs_append_id(&change.set, "mail_owner", owner);
    BSON_APPEND_DATE_TIME(&change.set, "mail_until", now + lease_ms);

    return v2m_jobs_change_end(mongo, &change, error);
}


int
v2m_jobs_put_mail_off(v2m_mongo_t *mongo, const v2m_id_t id,
                      const v2m_id_t owner, const v2m_job_mail_t *mail,
                      v2m_error_t *error)
{
    v2m_jobs_change_t change;

    /* a mail that is not put aside is in somebody's hands, who shows by that
     * that it is not lost, however long the mail server is away */

    if (mail->due_ms == 0) {
        v2m_jobs_change_begin(&change, id, v2m_jobs_ended);
    } else {
        v2m_jobs_change_begin_quietly(&change, id, v2m_jobs_ended);
    }

    v2m_jobs_not_notified(&change.filter);
    v2m_jobs_append_id(&change.filter, "mail_owner", owner);

    BSON_APPEND_INT32(&change.set, "mail_tries", mail->tries);

    if (mail->since_ms != 0) {
        BSON_APPEND_DATE_TIME(&change.set, "mail_since", mail->since_ms);
    }

    if (mail->due_ms != 0) {
        BSON_APPEND_DATE_TIME(&change.set, "mail_due", mail->due_ms);
    }

    bson_append_document_end(&change.update, &change.set);

    v2m_jobs_append_unset(&change.update, v2m_jobs_claim);

    return v2m_jobs_change_run(mongo, &change, error);
}


int
v2m_jobs_notified(v2m_mongo_t *mongo, const v2m_id_t id,
                  v2m_job_notified_t notified, const char *reason,
                  v2m_error_t *error)
{
    v2m_jobs_change_t change;

    static const char *const fields[] = { "mail_owner", "mail_until",
                                          "mail_due", NULL };

    /* of a job that was tried anew since, this is not the mail any more */

    v2m_jobs_change_begin(&change, id, v2m_jobs_ended);
    v2m_jobs_not_notified(&change.filter);
    BSON_APPEND_UTF8(&change.set, "notified", v2m_job_notified_name(notified));

    if (reason != NULL) {
        v2m_jobs_append_text(&change.set, "notify_reason", reason);
    }

    bson_append_document_end(&change.update, &change.set);

    v2m_jobs_append_unset(&change.update, fields);

    return v2m_jobs_change_run(mongo, &change, error);
}


int
v2m_jobs_notify_again(v2m_mongo_t *mongo, const v2m_id_t id, v2m_error_t *error)
{
    v2m_jobs_change_t change;

    static const char *const fields[] = { "mail_tries", "mail_since",
                                          "mail_requeued", "notify_reason",
                                          NULL };

    v2m_jobs_change_begin(&change, id, v2m_jobs_ended);
    BSON_APPEND_UTF8(&change.filter, "notified",
                     v2m_job_notified_name(V2M_NOTIFIED_FAILED));
    BSON_APPEND_UTF8(&change.set, "notified",
                     v2m_job_notified_name(V2M_NOTIFIED_NONE));
    BSON_APPEND_DATE_TIME(&change.set, "mail_due", v2m_wall_ms());
    bson_append_document_end(&change.update, &change.set);

    v2m_jobs_append_unset(&change.update, fields);

    return v2m_jobs_change_run(mongo, &change, error);
}


/* Begins the filter of jobs that have their end state, but no mail yet. */
static void
v2m_jobs_unnotified(bson_t *filter)
{
    v2m_jobs_append_states(filter, v2m_jobs_ended);
    v2m_jobs_not_notified(filter);
}


int
v2m_jobs_due_mails(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                   v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    bson_t filter;

    bson_init(&filter);
    v2m_jobs_unnotified(&filter);
    v2m_jobs_append_range(&filter, "mail_due", "$lt", before_ms);

    return v2m_jobs_query(mongo, &filter, "mail_due", 1, limit, jobs, count,
                          error);
}


int
v2m_jobs_lost_mails(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                    v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    bson_t filter, any, one;

    bson_init(&filter);
    v2m_jobs_unnotified(&filter);
    v2m_jobs_append_range(&filter, "updated", "$lt", before_ms);
    v2m_jobs_append_exists(&filter, "mail_due", false);

    BSON_APPEND_ARRAY_BEGIN(&filter, "$or", &any);

    BSON_APPEND_DOCUMENT_BEGIN(&any, "0", &one);
    v2m_jobs_append_exists(&one, "mail_until", false);
    bson_append_document_end(&any, &one);

    BSON_APPEND_DOCUMENT_BEGIN(&any, "1", &one);
    v2m_jobs_append_range(&one, "mail_until", "$lt", before_ms);
    bson_append_document_end(&any, &one);

    bson_append_array_end(&filter, &any);

    return v2m_jobs_query(mongo, &filter, "updated", 1, limit, jobs, count,
                          error);
}


int
v2m_jobs_mail_published(v2m_mongo_t *mongo, const v2m_job_t *job,
                        v2m_error_t *error)
{
    bson_t            part;
    v2m_jobs_change_t change;

    v2m_jobs_change_begin(&change, job->id, v2m_jobs_ended);
    v2m_jobs_not_notified(&change.filter);
    bson_append_document_end(&change.update, &change.set);

    if (job->mail.due_ms != 0) {
        /* it may have been put aside anew */
        BSON_APPEND_DATE_TIME(&change.filter, "mail_due", job->mail.due_ms);
        BSON_APPEND_DOCUMENT_BEGIN(&change.update, "$unset", &part);
        BSON_APPEND_BOOL(&part, "mail_due", true);

    } else {
        BSON_APPEND_DOCUMENT_BEGIN(&change.update, "$inc", &part);
        BSON_APPEND_INT32(&part, "mail_requeued", 1);
    }

    bson_append_document_end(&change.update, &part);

    return v2m_jobs_change_run(mongo, &change, error);
}
