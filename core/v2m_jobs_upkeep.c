#include "v2m_jobs_upkeep.h"

#include "v2m_jobs.h"
#include "v2m_jobs_record.h"
#include "v2m_pause.h"

/* -1: it does not matter */
#define V2M_JOBS_ANY -1


static int
v2m_jobs_older(v2m_mongo_t *mongo, v2m_job_state_t state, int published,
               int64_t before_ms, size_t limit, v2m_job_t **jobs, size_t *count,
               v2m_error_t *error)
{
    bson_t filter;

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "state", v2m_job_state_name(state));

    if (published != V2M_JOBS_ANY) {
        BSON_APPEND_BOOL(&filter, "published", published);
    }

    v2m_jobs_append_range(&filter, "updated", "$lt", before_ms);

    return v2m_jobs_query(mongo, &filter, "updated", 1, limit, jobs, count,
                          error);
}


int
v2m_jobs_unpublished(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                     v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    return v2m_jobs_older(mongo, V2M_JOB_QUEUED, 0, before_ms, limit, jobs,
                          count, error);
}


int
v2m_jobs_stale_uploads(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                       v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    bson_t filter;

    /* resumable ones may pause for long: v2m_tus_expired() */

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "state", v2m_job_state_name(V2M_JOB_UPLOADING));
    v2m_jobs_append_range(&filter, "updated", "$lt", before_ms);
    v2m_jobs_append_exists(&filter, "tus_expires", false);

    return v2m_jobs_query(mongo, &filter, "updated", 1, limit, jobs, count,
                          error);
}


int
v2m_jobs_stuck_queued(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                      v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    return v2m_jobs_older(mongo, V2M_JOB_QUEUED, 1, before_ms, limit, jobs,
                          count, error);
}


int
v2m_jobs_stuck_converting(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                          v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    return v2m_jobs_older(mongo, V2M_JOB_CONVERTING, V2M_JOBS_ANY, before_ms,
                          limit, jobs, count, error);
}


/* Begins a change of a job that is still as it was read. */
static void
v2m_jobs_change_unchanged_begin(v2m_jobs_change_t *change, const v2m_job_t *job)
{
    int states[2];

    states[0] = (int) job->state;
    states[1] = -1;

    v2m_jobs_change_begin(change, job->id, states);
    BSON_APPEND_DATE_TIME(&change->filter, "updated", job->updated_ms);
}


int
v2m_jobs_requeue(v2m_mongo_t *mongo, const v2m_job_t *job, v2m_error_t *error)
{
    bson_t            add;
    v2m_jobs_change_t change;

    v2m_jobs_change_unchanged_begin(&change, job);
    BSON_APPEND_UTF8(&change.set, "state", v2m_job_state_name(V2M_JOB_QUEUED));
    BSON_APPEND_BOOL(&change.set, "published", false);
    bson_append_document_end(&change.update, &change.set);

    BSON_APPEND_DOCUMENT_BEGIN(&change.update, "$inc", &add);
    BSON_APPEND_INT32(&add, "requeued", 1);
    bson_append_document_end(&change.update, &add);

    return v2m_jobs_change_run(mongo, &change, error);
}


int
v2m_jobs_give_up(v2m_mongo_t *mongo, const v2m_job_t *job, const char *reason,
                 v2m_error_t *error)
{
    v2m_jobs_change_t change;

    v2m_jobs_change_unchanged_begin(&change, job);
    BSON_APPEND_UTF8(&change.set, "state", v2m_job_state_name(V2M_JOB_FAILED));
    BSON_APPEND_DATE_TIME(&change.set, "finished", v2m_wall_ms());
    BSON_APPEND_DATE_TIME(&change.set, "mail_due", v2m_wall_ms());
    v2m_jobs_append_text(&change.set, "reason", reason);

    return v2m_jobs_change_end(mongo, &change, error);
}


int
v2m_jobs_retry(v2m_mongo_t *mongo, const v2m_id_t id, v2m_error_t *error)
{
    v2m_jobs_change_t change;

    static const int         states[] = { V2M_JOB_FAILED, -1 };
    static const char *const fields[] = {
        "reason",     "finished",      "progress",      "requeued",
        "mail_owner", "mail_until",    "mail_tries",    "mail_since",
        "mail_due",   "mail_requeued", "notify_reason", NULL,
    };

    v2m_jobs_change_begin(&change, id, states);
    v2m_jobs_append_exists(&change.filter, "video_removed", false);
    v2m_jobs_append_exists(&change.filter, "expired", false);

    BSON_APPEND_UTF8(&change.set, "state", v2m_job_state_name(V2M_JOB_QUEUED));
    BSON_APPEND_UTF8(&change.set, "notified",
                     v2m_job_notified_name(V2M_NOTIFIED_NONE));
    BSON_APPEND_BOOL(&change.set, "published", false);
    bson_append_document_end(&change.update, &change.set);

    v2m_jobs_append_unset(&change.update, fields);

    return v2m_jobs_change_run(mongo, &change, error);
}


/* Records of an older release do not tell when a job came to its end, but they
 * do not change any more after it. */
static void
v2m_jobs_filter_ended(bson_t *filter, int64_t before_ms)
{
    bson_t any, one;

    v2m_jobs_append_states(filter, v2m_jobs_ended);

    BSON_APPEND_ARRAY_BEGIN(filter, "$or", &any);

    BSON_APPEND_DOCUMENT_BEGIN(&any, "0", &one);
    v2m_jobs_append_range(&one, "finished", "$lt", before_ms);
    bson_append_document_end(&any, &one);

    BSON_APPEND_DOCUMENT_BEGIN(&any, "1", &one);
    v2m_jobs_append_exists(&one, "finished", false);
    v2m_jobs_append_range(&one, "updated", "$lt", before_ms);
    bson_append_document_end(&any, &one);

    bson_append_array_end(filter, &any);
}


int
v2m_jobs_old_videos(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                    v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    bson_t filter, other;

    bson_init(&filter);
    v2m_jobs_filter_ended(&filter, before_ms);

    BSON_APPEND_DOCUMENT_BEGIN(&filter, "video_removed", &other);
    BSON_APPEND_BOOL(&other, "$ne", true);
    bson_append_document_end(&filter, &other);

    return v2m_jobs_query(mongo, &filter, "updated", 1, limit, jobs, count,
                          error);
}


int
v2m_jobs_old(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
             v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    bson_t filter;

    bson_init(&filter);
    v2m_jobs_filter_ended(&filter, before_ms);
    v2m_jobs_append_exists(&filter, "mail_due", false);

    return v2m_jobs_query(mongo, &filter, "updated", 1, limit, jobs, count,
                          error);
}


int
v2m_jobs_old_told(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                  v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    bson_t filter, other;

    bson_init(&filter);
    v2m_jobs_filter_ended(&filter, before_ms);
    v2m_jobs_append_exists(&filter, "mail_due", false);

    /* to tell the owner is the last that changes a job */

    v2m_jobs_append_range(&filter, "updated", "$lt", before_ms);
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "notified", &other);
    BSON_APPEND_UTF8(&other, "$ne", v2m_job_notified_name(V2M_NOTIFIED_NONE));
    bson_append_document_end(&filter, &other);

    return v2m_jobs_query(mongo, &filter, "updated", 1, limit, jobs, count,
                          error);
}


/* Quietly, so that what is cut short is found again. */
static int
v2m_jobs_mark(v2m_mongo_t *mongo, const v2m_job_t *job, const char *field,
              bool value, v2m_error_t *error)
{
    v2m_jobs_change_t change;

    v2m_jobs_change_begin_quietly(&change, job->id, v2m_jobs_ended);
    bson_append_bool(&change.set, field, -1, value);

    if (job->updated_ms != 0) {
        BSON_APPEND_DATE_TIME(&change.filter, "updated", job->updated_ms);
    }

    return v2m_jobs_change_end(mongo, &change, error);
}


int
v2m_jobs_video_removing(v2m_mongo_t *mongo, const v2m_job_t *job,
                        v2m_error_t *error)
{
    return v2m_jobs_mark(mongo, job, "video_removed", false, error);
}


int
v2m_jobs_video_removed(v2m_mongo_t *mongo, const v2m_id_t id,
                       v2m_error_t *error)
{
    v2m_jobs_change_t change;

    v2m_jobs_change_begin_quietly(&change, id, v2m_jobs_ended);
    BSON_APPEND_BOOL(&change.set, "video_removed", true);

    return v2m_jobs_change_end(mongo, &change, error);
}


int
v2m_jobs_expire(v2m_mongo_t *mongo, const v2m_job_t *job, v2m_error_t *error)
{
    return v2m_jobs_mark(mongo, job, "expired", true, error);
}


int
v2m_jobs_list_all(v2m_mongo_t *mongo, int state, const char *owner,
                  const char *after, size_t limit, v2m_job_t **jobs,
                  size_t *count, v2m_error_t *error)
{
    bson_t filter;

    bson_init(&filter);

    if (state != V2M_JOBS_ANY) {
        BSON_APPEND_UTF8(&filter, "state",
                         v2m_job_state_name((v2m_job_state_t) state));
    }

    if (owner != NULL) {
        BSON_APPEND_UTF8(&filter, "username", owner);
    }

    if (after != NULL) {
        v2m_jobs_append_before(&filter, after);
    }

    return v2m_jobs_query(mongo, &filter, "_id", -1, limit, jobs, count, error);
}
