#include "v2m_jobs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "v2m_filename.h"
#include "v2m_job_bson.h"
#include "v2m_utf8.h"

#define V2M_JOBS_DATABASE   "v2m"
#define V2M_JOBS_COLLECTION "jobs"

/* The record's own version, for readers of a later release. */
#define V2M_JOBS_VERSION 1

/* A growing list of jobs, filled by v2m_jobs_take(). */
typedef struct {
    v2m_job_t *jobs;
    size_t     count;
    size_t     capacity;
} v2m_jobs_found_t;

/* A change of one record: which, and what becomes of it. */
typedef struct {
    bson_t filter;
    bson_t update;
    bson_t set;
} v2m_jobs_change_t;

static int64_t
v2m_jobs_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


static void
v2m_jobs_append_id(bson_t *document, const char *field, const v2m_id_t id)
{
    bson_oid_t oid;

    bson_oid_init_from_string(&oid, id);
    BSON_APPEND_OID(document, field, &oid);
}


/* A text for a person.  It must be UTF-8, or other readers of the record
 * fail. */
static void
v2m_jobs_append_text(bson_t *document, const char *field, const char *text)
{
    char *repaired;

    repaired = v2m_utf8_repair(text);
    if (repaired == NULL) {
        return;
    }

    BSON_APPEND_UTF8(document, field, repaired);
    free(repaired);
}


/* A filter {_id, state: {$in: [...]}}; a state of -1 ends the list. */
static void
v2m_jobs_filter(bson_t *filter, const v2m_id_t id, const int *states)
{
    bson_t in, list;
    char   key[16];

    v2m_jobs_append_id(filter, "_id", id);

    if (states == NULL) {
        return;
    }

    BSON_APPEND_DOCUMENT_BEGIN(filter, "state", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list);

    for (int i = 0; states[i] != -1; i++) {
        bson_snprintf(key, sizeof(key), "%d", i);
        BSON_APPEND_UTF8(&list, key,
                         v2m_job_state_name((v2m_job_state_t) states[i]));
    }

    bson_append_array_end(&in, &list);
    bson_append_document_end(filter, &in);
}


/* Begins {$set: {updated: now}} on one record in one of the states. */
static void
v2m_jobs_change_begin(v2m_jobs_change_t *change, const v2m_id_t id,
                      const int *states)
{
    bson_init(&change->filter);
    v2m_jobs_filter(&change->filter, id, states);

    bson_init(&change->update);
    BSON_APPEND_DOCUMENT_BEGIN(&change->update, "$set", &change->set);
    BSON_APPEND_DATE_TIME(&change->set, "updated", v2m_jobs_now());
}


/* Carries the change out; V2M_CONFLICT when no record met the filter. */
static int
v2m_jobs_change_run(v2m_mongo_t *mongo, v2m_jobs_change_t *change,
                    v2m_error_t *error)
{
    int     rc;
    int64_t matched;

    rc = v2m_mongo_update(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION,
                          &change->filter, &change->update, NULL, &matched,
                          error);

    bson_destroy(&change->filter);
    bson_destroy(&change->update);

    if (rc == V2M_OK && matched == 0) {
        rc = v2m_error_set(error, V2M_CONFLICT,
                           "the job is gone or in another state");
    }

    return rc;
}


static int
v2m_jobs_change_end(v2m_mongo_t *mongo, v2m_jobs_change_t *change,
                    v2m_error_t *error)
{
    bson_append_document_end(&change->update, &change->set);

    return v2m_jobs_change_run(mongo, change, error);
}


static int
v2m_jobs_take(void *data, const bson_t *document, v2m_error_t *error)
{
    v2m_job_t        *grown;
    v2m_jobs_found_t *found = data;

    if (found->count == found->capacity) {
        found->capacity = found->capacity ? found->capacity * 2 : 4;

        grown = realloc(found->jobs, found->capacity * sizeof(v2m_job_t));
        if (grown == NULL) {
            return v2m_error_set(error, V2M_ERROR, "out of memory");
        }

        found->jobs = grown;
    }

    return v2m_job_from_bson(&found->jobs[found->count++], document, error);
}


/* Runs a query and hands over the list found. */
static int
v2m_jobs_query(v2m_mongo_t *mongo, const bson_t *filter, const char *sort,
               int direction, size_t limit, v2m_job_t **jobs, size_t *count,
               v2m_error_t *error)
{
    int              rc;
    bson_t           opts, order;
    v2m_jobs_found_t found;

    memset(&found, 0, sizeof(found));

    bson_init(&opts);
    BSON_APPEND_INT64(&opts, "limit", (int64_t) limit);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &order);
    BSON_APPEND_INT32(&order, sort, direction);
    bson_append_document_end(&opts, &order);

    rc = v2m_mongo_find(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION, filter,
                        &opts, v2m_jobs_take, &found, error);

    bson_destroy(&opts);

    if (rc != V2M_OK) {
        v2m_jobs_free(found.jobs, found.count);
        return rc;
    }

    *jobs = found.jobs;
    *count = found.count;

    return V2M_OK;
}


int
v2m_jobs_prepare(v2m_mongo_t *mongo, v2m_error_t *error)
{
    int    rc;
    size_t i;
    bson_t keys;

    static const char *const indexes[][2] = {
        { "username", "_id" },
        { "state", "updated" },
        { "mp3_fid", NULL },
    };

    rc = V2M_OK;

    for (i = 0; rc == V2M_OK && i < sizeof(indexes) / sizeof(indexes[0]); i++) {
        bson_init(&keys);
        BSON_APPEND_INT32(&keys, indexes[i][0], 1);

        if (indexes[i][1] != NULL) {
            BSON_APPEND_INT32(&keys, indexes[i][1], 1);
        }

        rc = v2m_mongo_index(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION,
                             &keys, 0, error);

        bson_destroy(&keys);
    }

    return rc;
}


int
v2m_jobs_begin(v2m_mongo_t *mongo, v2m_job_t *job, v2m_error_t *error)
{
    int           rc;
    bson_t        record;
    const bson_t *pointer;

    job->state = V2M_JOB_UPLOADING;
    job->created_ms = v2m_jobs_now();
    job->updated_ms = job->created_ms;

    bson_init(&record);
    v2m_jobs_append_id(&record, "_id", job->id);
    BSON_APPEND_INT32(&record, "version", V2M_JOBS_VERSION);
    BSON_APPEND_UTF8(&record, "username", job->username);
    BSON_APPEND_UTF8(&record, "state", v2m_job_state_name(job->state));
    BSON_APPEND_UTF8(&record, "notified", v2m_job_notified_name(job->notified));
    BSON_APPEND_BOOL(&record, "published", false);
    BSON_APPEND_DATE_TIME(&record, "created", job->created_ms);
    BSON_APPEND_DATE_TIME(&record, "updated", job->updated_ms);
    v2m_job_append_options(&record, &job->options);

    if (job->name != NULL) {
        v2m_jobs_append_text(&record, "name", job->name);
    }

    pointer = &record;
    rc = v2m_mongo_insert(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION,
                          &pointer, 1, error);

    bson_destroy(&record);

    return rc;
}


/* Begins a change of an upload that nobody gave up. */
static void
v2m_jobs_upload_change_begin(v2m_jobs_change_t *change, const v2m_id_t id)
{
    bson_t absent;

    static const int states[] = { V2M_JOB_UPLOADING, -1 };

    v2m_jobs_change_begin(change, id, states);

    BSON_APPEND_DOCUMENT_BEGIN(&change->filter, "abandoned", &absent);
    BSON_APPEND_BOOL(&absent, "$exists", false);
    bson_append_document_end(&change->filter, &absent);
}


int
v2m_jobs_queue(v2m_mongo_t *mongo, const v2m_id_t id, const char *name,
               int64_t size, v2m_error_t *error)
{
    v2m_jobs_change_t change;

    v2m_jobs_upload_change_begin(&change, id);
    BSON_APPEND_UTF8(&change.set, "state", v2m_job_state_name(V2M_JOB_QUEUED));
    BSON_APPEND_INT64(&change.set, "size", size);

    if (name != NULL) {
        v2m_jobs_append_text(&change.set, "name", name);
    }

    return v2m_jobs_change_end(mongo, &change, error);
}


int
v2m_jobs_published(v2m_mongo_t *mongo, const v2m_id_t id, v2m_error_t *error)
{
    v2m_jobs_change_t change;

    v2m_jobs_change_begin(&change, id, NULL);
    BSON_APPEND_BOOL(&change.set, "published", true);

    return v2m_jobs_change_end(mongo, &change, error);
}


int
v2m_jobs_touch(v2m_mongo_t *mongo, const v2m_id_t id, v2m_error_t *error)
{
    v2m_jobs_change_t change;

    v2m_jobs_upload_change_begin(&change, id);

    return v2m_jobs_change_end(mongo, &change, error);
}


int
v2m_jobs_adopt(v2m_mongo_t *mongo, const char *username,
               const v2m_gridfs_file_t *video, v2m_error_t *error)
{
    int     rc;
    char    name[V2M_FILENAME_MAX + 1];
    bson_t  filter, update, set, opts;
    int64_t now;

    now = v2m_jobs_now();
    name[0] = '\0';

    if (video->filename != NULL) {
        v2m_filename_clean(name, video->filename, strlen(video->filename));
    }

    bson_init(&filter);
    v2m_jobs_append_id(&filter, "_id", video->id);

    bson_init(&update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$setOnInsert", &set);
    BSON_APPEND_INT32(&set, "version", V2M_JOBS_VERSION);
    BSON_APPEND_UTF8(&set, "username", username);
    BSON_APPEND_UTF8(&set, "state", v2m_job_state_name(V2M_JOB_QUEUED));
    BSON_APPEND_UTF8(&set, "notified",
                     v2m_job_notified_name(V2M_NOTIFIED_NONE));
    BSON_APPEND_BOOL(&set, "published", true);
    BSON_APPEND_DATE_TIME(&set, "created", now);
    BSON_APPEND_DATE_TIME(&set, "updated", now);
    BSON_APPEND_INT64(&set, "size", video->length);

    if (name[0] != '\0') {
        BSON_APPEND_UTF8(&set, "name", name);
    }

    bson_append_document_end(&update, &set);

    bson_init(&opts);
    BSON_APPEND_BOOL(&opts, "upsert", true);

    rc = v2m_mongo_update(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION,
                          &filter, &update, &opts, NULL, error);

    bson_destroy(&opts);
    bson_destroy(&update);
    bson_destroy(&filter);

    /* two upserts that raced: the record is there, which is all we want */

    return rc == V2M_CONFLICT ? V2M_OK : rc;
}


static int
v2m_jobs_find_one(v2m_mongo_t *mongo, const char *field, const v2m_id_t id,
                  const char *owner, v2m_job_t *job, v2m_error_t *error)
{
    int        rc;
    bson_t     filter;
    size_t     count;
    v2m_job_t *jobs;

    v2m_job_init(job);

    bson_init(&filter);
    v2m_jobs_append_id(&filter, field, id);

    if (owner != NULL) {
        BSON_APPEND_UTF8(&filter, "username", owner);
    }

    rc = v2m_jobs_query(mongo, &filter, "_id", 1, 1, &jobs, &count, error);

    bson_destroy(&filter);

    if (rc != V2M_OK) {
        return rc;
    }

    if (count == 0) {
        v2m_jobs_free(jobs, count);
        return v2m_error_set(error, V2M_NOT_FOUND, "there is no job %s", id);
    }

    *job = jobs[0];
    free(jobs);

    return V2M_OK;
}


int
v2m_jobs_find(v2m_mongo_t *mongo, const v2m_id_t id, const char *owner,
              v2m_job_t *job, v2m_error_t *error)
{
    return v2m_jobs_find_one(mongo, "_id", id, owner, job, error);
}


int
v2m_jobs_find_by_fid(v2m_mongo_t *mongo, const v2m_id_t fid, const char *owner,
                     v2m_job_t *job, v2m_error_t *error)
{
    int rc;

    rc = v2m_jobs_find_one(mongo, "_id", fid, owner, job, error);

    if (rc == V2M_NOT_FOUND) {
        rc = v2m_jobs_find_one(mongo, "mp3_fid", fid, owner, job, error);
    }

    return rc;
}


int
v2m_jobs_list(v2m_mongo_t *mongo, const char *owner, const char *after,
              size_t limit, v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    int    rc;
    bson_t filter, range;

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "username", owner);

    if (after != NULL && *after != '\0') {
        BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &range);
        v2m_jobs_append_id(&range, "$lt", after);
        bson_append_document_end(&filter, &range);
    }

    /* an ObjectId begins with the time of its making */

    rc = v2m_jobs_query(mongo, &filter, "_id", -1, limit, jobs, count, error);

    bson_destroy(&filter);

    return rc;
}


void
v2m_jobs_free(v2m_job_t *jobs, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        v2m_job_free(&jobs[i]);
    }

    free(jobs);
}


/* The states in which an attempt may begin, go on, or end. */
static const int v2m_jobs_open[] = { V2M_JOB_QUEUED, V2M_JOB_CONVERTING, -1 };


int
v2m_jobs_start(v2m_mongo_t *mongo, const v2m_id_t id, v2m_error_t *error)
{
    v2m_jobs_change_t change;

    v2m_jobs_change_begin(&change, id, v2m_jobs_open);
    BSON_APPEND_UTF8(&change.set, "state",
                     v2m_job_state_name(V2M_JOB_CONVERTING));
    BSON_APPEND_INT32(&change.set, "progress", 0);

    return v2m_jobs_change_end(mongo, &change, error);
}


int
v2m_jobs_note_attempt(v2m_mongo_t *mongo, const v2m_id_t id,
                      const v2m_id_t mp3_fid, v2m_error_t *error)
{
    bson_t            add;
    v2m_jobs_change_t change;

    v2m_jobs_change_begin(&change, id, v2m_jobs_open);
    bson_append_document_end(&change.update, &change.set);

    BSON_APPEND_DOCUMENT_BEGIN(&change.update, "$addToSet", &add);
    v2m_jobs_append_id(&add, "attempts", mp3_fid);
    bson_append_document_end(&change.update, &add);

    return v2m_jobs_change_run(mongo, &change, error);
}


int
v2m_jobs_discard_attempts(v2m_mongo_t *mongo, const v2m_job_t *job,
                          v2m_error_t *error)
{
    int    rc;
    size_t i;

    for (i = 0, rc = V2M_OK; rc == V2M_OK && i < job->attempt_count; i++) {
        if (strcmp(job->attempts[i], job->mp3_fid) != 0) {
            rc = v2m_gridfs_delete(mongo, V2M_MP3S, job->attempts[i], error);
        }
    }

    return rc;
}


int
v2m_jobs_progress(v2m_mongo_t *mongo, const v2m_id_t id, int32_t percent,
                  v2m_error_t *error)
{
    int               rc;
    v2m_jobs_change_t change;

    static const int states[] = { V2M_JOB_CONVERTING, -1 };

    v2m_jobs_change_begin(&change, id, states);
    BSON_APPEND_INT32(&change.set, "progress", percent);

    rc = v2m_jobs_change_end(mongo, &change, error);

    return rc == V2M_CONFLICT ? V2M_OK : rc;
}


int
v2m_jobs_ready(v2m_mongo_t *mongo, const v2m_id_t id, const v2m_id_t mp3_fid,
               int64_t mp3_size, int64_t duration_ms, v2m_error_t *error)
{
    v2m_jobs_change_t change;

    v2m_jobs_change_begin(&change, id, v2m_jobs_open);
    BSON_APPEND_UTF8(&change.set, "state", v2m_job_state_name(V2M_JOB_READY));
    BSON_APPEND_INT32(&change.set, "progress", 100);
    BSON_APPEND_INT64(&change.set, "mp3_size", mp3_size);
    v2m_jobs_append_id(&change.set, "mp3_fid", mp3_fid);

    if (duration_ms >= 0) {
        BSON_APPEND_INT64(&change.set, "duration_ms", duration_ms);
    }

    return v2m_jobs_change_end(mongo, &change, error);
}


int
v2m_jobs_fail(v2m_mongo_t *mongo, const v2m_id_t id, const char *reason,
              v2m_error_t *error)
{
    v2m_jobs_change_t change;

    v2m_jobs_change_begin(&change, id, v2m_jobs_open);
    BSON_APPEND_UTF8(&change.set, "state", v2m_job_state_name(V2M_JOB_FAILED));
    v2m_jobs_append_text(&change.set, "reason", reason);

    return v2m_jobs_change_end(mongo, &change, error);
}


int
v2m_jobs_notified(v2m_mongo_t *mongo, const v2m_id_t id,
                  v2m_job_notified_t notified, v2m_error_t *error)
{
    v2m_jobs_change_t change;

    v2m_jobs_change_begin(&change, id, NULL);
    BSON_APPEND_UTF8(&change.filter, "notified",
                     v2m_job_notified_name(V2M_NOTIFIED_NONE));
    BSON_APPEND_UTF8(&change.set, "notified", v2m_job_notified_name(notified));

    return v2m_jobs_change_end(mongo, &change, error);
}


/* Deletes the record that the filter finds; *deleted: how many there were. */
static int
v2m_jobs_delete(v2m_mongo_t *mongo, bson_t *filter, int64_t *deleted,
                v2m_error_t *error)
{
    int rc;

    rc = v2m_mongo_delete(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION, filter,
                          deleted, error);

    bson_destroy(filter);

    return rc;
}


int
v2m_jobs_remove(v2m_mongo_t *mongo, const v2m_id_t id, v2m_error_t *error)
{
    int     rc;
    bson_t  filter;
    int64_t deleted;

    bson_init(&filter);
    v2m_jobs_filter(&filter, id, NULL);

    rc = v2m_jobs_delete(mongo, &filter, &deleted, error);

    if (rc == V2M_OK && deleted == 0) {
        rc = v2m_error_set(error, V2M_NOT_FOUND, "there is no job %s", id);
    }

    return rc;
}


int
v2m_jobs_remove_unchanged(v2m_mongo_t *mongo, const v2m_job_t *job,
                          v2m_error_t *error)
{
    int     rc;
    int     states[2];
    bson_t  filter;
    int64_t deleted;

    states[0] = job->state;
    states[1] = -1;

    bson_init(&filter);
    v2m_jobs_filter(&filter, job->id, states);

    if (job->updated_ms != 0) {
        BSON_APPEND_DATE_TIME(&filter, "updated", job->updated_ms);
    }

    rc = v2m_jobs_delete(mongo, &filter, &deleted, error);

    if (rc == V2M_OK && deleted == 0) {
        rc = v2m_error_set(error, V2M_CONFLICT,
                           "the job was changed meanwhile, or is gone");
    }

    return rc;
}


int
v2m_jobs_abandon(v2m_mongo_t *mongo, const v2m_id_t id, int64_t before_ms,
                 v2m_error_t *error)
{
    bson_t            range;
    v2m_jobs_change_t change;

    static const int states[] = { V2M_JOB_UPLOADING, -1 };

    /* its time of change stays, so that the sweep finds it again at once */

    bson_init(&change.filter);
    v2m_jobs_filter(&change.filter, id, states);
    BSON_APPEND_DOCUMENT_BEGIN(&change.filter, "updated", &range);
    BSON_APPEND_DATE_TIME(&range, "$lt", before_ms);
    bson_append_document_end(&change.filter, &range);

    bson_init(&change.update);
    BSON_APPEND_DOCUMENT_BEGIN(&change.update, "$set", &change.set);
    BSON_APPEND_BOOL(&change.set, "abandoned", true);

    return v2m_jobs_change_end(mongo, &change, error);
}


static int
v2m_jobs_older(v2m_mongo_t *mongo, v2m_job_state_t state, int unpublished,
               int64_t before_ms, size_t limit, v2m_job_t **jobs, size_t *count,
               v2m_error_t *error)
{
    int    rc;
    bson_t filter, range;

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "state", v2m_job_state_name(state));

    if (unpublished) {
        BSON_APPEND_BOOL(&filter, "published", false);
    }

    BSON_APPEND_DOCUMENT_BEGIN(&filter, "updated", &range);
    BSON_APPEND_DATE_TIME(&range, "$lt", before_ms);
    bson_append_document_end(&filter, &range);

    rc =
        v2m_jobs_query(mongo, &filter, "updated", 1, limit, jobs, count, error);

    bson_destroy(&filter);

    return rc;
}


int
v2m_jobs_unpublished(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                     v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    return v2m_jobs_older(mongo, V2M_JOB_QUEUED, 1, before_ms, limit, jobs,
                          count, error);
}


int
v2m_jobs_stale_uploads(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                       v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    return v2m_jobs_older(mongo, V2M_JOB_UPLOADING, 0, before_ms, limit, jobs,
                          count, error);
}
