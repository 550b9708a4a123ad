#include "v2m_jobs.h"

#include <stdlib.h>
#include <string.h>

#include "v2m_filename.h"
#include "v2m_job_bson.h"
#include "v2m_jobs_record.h"
#include "v2m_jobs_schema.h"
#include "v2m_pause.h"
#include "v2m_tus.h"

/* How often a job that changes meanwhile is tried to be dropped. */
#define V2M_JOBS_DROP_TRIES 8

void
v2m_jobs_append_new(bson_t *record, v2m_job_t *job)
{
    job->state = V2M_JOB_UPLOADING;
    job->created_ms = v2m_wall_ms();
    job->updated_ms = job->created_ms;

    v2m_jobs_append_id(record, "_id", job->id);
    BSON_APPEND_INT32(record, "version", V2M_JOBS_VERSION);
    BSON_APPEND_UTF8(record, "username", job->username);
    BSON_APPEND_UTF8(record, "state", v2m_job_state_name(job->state));
    BSON_APPEND_UTF8(record, "notified", v2m_job_notified_name(job->notified));
    BSON_APPEND_BOOL(record, "published", false);
    BSON_APPEND_DATE_TIME(record, "created", job->created_ms);
    BSON_APPEND_DATE_TIME(record, "updated", job->updated_ms);
    v2m_job_append_options(record, &job->options);

    if (job->size > 0) {
        BSON_APPEND_INT64(record, "size", job->size);
    }

    if (job->name != NULL) {
        v2m_jobs_append_text(record, "name", job->name);
    }

    if (job->webhook != NULL) {
        BSON_APPEND_UTF8(record, "webhook", job->webhook);
    }

    if (job->traceparent[0] != '\0') {
        BSON_APPEND_UTF8(record, "traceparent", job->traceparent);
    }
}


int
v2m_jobs_begin(v2m_mongo_t *mongo, v2m_job_t *job, v2m_error_t *error)
{
    int           rc;
    bson_t        record;
    const bson_t *pointer;

    bson_init(&record);
    v2m_jobs_append_new(&record, job);

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
    static const int states[] = { V2M_JOB_UPLOADING, -1 };

    v2m_jobs_change_begin(change, id, states);
    v2m_jobs_append_exists(&change->filter, "abandoned", false);
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

    now = v2m_wall_ms();
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
    bson_t filter;

    bson_init(&filter);

    if (owner != NULL) {
        BSON_APPEND_UTF8(&filter, "username", owner);
    }

    if (after != NULL && *after != '\0') {
        v2m_jobs_append_before(&filter, after);
    }

    return v2m_jobs_query(mongo, &filter, "_id", -1, limit, jobs, count, error);
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
v2m_jobs_start(v2m_mongo_t *mongo, const v2m_id_t id, const v2m_id_t mp3_fid,
               v2m_error_t *error)
{
    bson_t            add;
    v2m_jobs_change_t change;

    v2m_jobs_change_begin(&change, id, v2m_jobs_open);
    BSON_APPEND_UTF8(&change.set, "state",
                     v2m_job_state_name(V2M_JOB_CONVERTING));
    BSON_APPEND_INT32(&change.set, "progress", 0);
    BSON_APPEND_INT32(&change.set, "remaining", -1);
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
                  int32_t remaining_s, const char *phase, v2m_error_t *error)
{
    int               rc;
    v2m_jobs_change_t change;

    static const int states[] = { V2M_JOB_CONVERTING, -1 };

    v2m_jobs_change_begin(&change, id, states);
    BSON_APPEND_INT32(&change.set, "progress", percent);
    BSON_APPEND_INT32(&change.set, "remaining", remaining_s);
    BSON_APPEND_UTF8(&change.set, "phase", phase);

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
    BSON_APPEND_DATE_TIME(&change.set, "finished", v2m_wall_ms());
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
    BSON_APPEND_DATE_TIME(&change.set, "finished", v2m_wall_ms());
    v2m_jobs_append_text(&change.set, "reason", reason);

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
v2m_jobs_delete_blobs(v2m_mongo_t *mongo, const v2m_job_t *job,
                      v2m_error_t *error)
{
    int rc;

    rc = v2m_gridfs_delete(mongo, V2M_VIDEOS, job->id, error);

    if (rc == V2M_OK && job->tails[0] != '\0') {
        rc = v2m_gridfs_delete(mongo, V2M_VIDEOS, job->tails, error);
    }

    if (rc == V2M_OK && job->mp3_fid[0] != '\0') {
        rc = v2m_gridfs_delete(mongo, V2M_MP3S, job->mp3_fid, error);
    }

    return rc == V2M_OK ? v2m_jobs_discard_attempts(mongo, job, error) : rc;
}


/*
 * The blobs first when the job came to its end, so that what is cut short can
 * be repeated; else the record first, so that a converter at work finds that
 * it has lost.  V2M_CONFLICT: the job changed since it was read.
 */
static int
v2m_jobs_drop_unchanged(v2m_mongo_t *mongo, const v2m_job_t *job,
                        v2m_error_t *error)
{
    int rc, ended;

    ended = job->state == V2M_JOB_READY || job->state == V2M_JOB_FAILED;
    rc = ended ? v2m_jobs_delete_blobs(mongo, job, error) : V2M_OK;

    if (rc == V2M_OK) {
        rc = v2m_jobs_remove_unchanged(mongo, job, error);
    }

    return rc == V2M_OK && !ended ? v2m_jobs_delete_blobs(mongo, job, error)
                                  : rc;
}


int
v2m_jobs_drop(v2m_mongo_t *mongo, const v2m_id_t id, const char *owner,
              v2m_job_t *job, v2m_error_t *error)
{
    int rc, tries;

    v2m_job_init(job);

    for (tries = 0; tries < V2M_JOBS_DROP_TRIES; tries++) {
        v2m_job_free(job);

        rc = v2m_jobs_find(mongo, id, owner, job, error);

        if (rc == V2M_OK && job->state == V2M_JOB_UPLOADING) {
            rc = v2m_tus_terminate(mongo, job, error);

            if (rc == V2M_CONFLICT && job->tails[0] == '\0') {
                return v2m_error_set(error, V2M_CONFLICT,
                                     "the upload of job %s is still under way",
                                     id);
            }

            /* else it has come to its end meanwhile */

        } else if (rc == V2M_OK) {
            rc = v2m_jobs_drop_unchanged(mongo, job, error);
        }

        if (rc != V2M_CONFLICT) {
            return rc;
        }
    }

    return v2m_error_set(error, V2M_UNAVAILABLE, "job %s changes all the time",
                         id);
}


int
v2m_jobs_abandon(v2m_mongo_t *mongo, const v2m_id_t id, int64_t before_ms,
                 v2m_error_t *error)
{
    v2m_jobs_change_t change;

    static const int states[] = { V2M_JOB_UPLOADING, -1 };

    /* its time of change stays, so that the sweep finds it again at once */

    v2m_jobs_change_begin_quietly(&change, id, states);
    v2m_jobs_append_range(&change.filter, "updated", "$lt", before_ms);
    BSON_APPEND_BOOL(&change.set, "abandoned", true);

    return v2m_jobs_change_end(mongo, &change, error);
}
