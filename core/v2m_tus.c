#include "v2m_tus.h"

#include <bson/bson.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_job_bson.h"
#include "v2m_jobs.h"
#include "v2m_jobs_record.h"
#include "v2m_pause.h"

/* How often chunks are put in the place of those of lost requests. */
#define V2M_TUS_TRIES 3

/* A record as it is found. */
typedef struct {
    v2m_job_t *job;
    v2m_tus_t *tus;
    int        found;
    int        resumable; /* it has our fields */
    int        abandoned;
} v2m_tus_record_t;

static const int v2m_tus_states[] = { V2M_JOB_UPLOADING, -1 };


void
v2m_tus_free(v2m_tus_t *tus)
{
    free(tus->metadata);
    tus->metadata = NULL;
}


/* Puts off when the upload expires. */
static void
v2m_tus_append_expires(bson_t *set, const v2m_tus_t *tus)
{
    BSON_APPEND_DATE_TIME(set, "tus_expires", v2m_wall_ms() + tus->keep_ms);
}


static void
v2m_tus_append_lease(bson_t *set, const v2m_tus_t *tus)
{
    v2m_jobs_append_id(set, "tus_owner", tus->owner);
    BSON_APPEND_DATE_TIME(set, "tus_until", v2m_wall_ms() + V2M_TUS_LEASE_MS);
}


int
v2m_tus_begin(v2m_mongo_t *mongo, v2m_job_t *job, v2m_tus_t *tus,
              v2m_error_t *error)
{
    int           rc;
    bson_t        record;
    const bson_t *pointer;

    static atomic_int prepared;

    /* once in a process */

    if (!atomic_load(&prepared)) {
        rc = v2m_gridfs_prepare(mongo, V2M_VIDEOS, error);

        if (rc != V2M_OK) {
            return rc;
        }

        atomic_store(&prepared, 1);
    }

    memcpy(tus->id, job->id, sizeof(v2m_id_t));
    v2m_id_generate(tus->tails);
    tus->tail = -1;
    tus->offset = 0;

    bson_init(&record);
    v2m_jobs_append_new(&record, job);

    BSON_APPEND_INT64(&record, "tus_offset", 0);
    BSON_APPEND_INT32(&record, "tus_chunk_size", tus->chunk_size);
    BSON_APPEND_INT32(&record, "tus_tail", tus->tail);
    v2m_jobs_append_id(&record, "tus_tails", tus->tails);

    tus->expires_ms = job->created_ms + tus->keep_ms;
    BSON_APPEND_DATE_TIME(&record, "tus_expires", tus->expires_ms);

    if (tus->length >= 0) {
        BSON_APPEND_INT64(&record, "tus_length", tus->length);
    }

    if (tus->metadata != NULL) {
        v2m_jobs_append_text(&record, "tus_metadata", tus->metadata);
    }

    if (tus->owner[0] != '\0') {
        v2m_tus_append_lease(&record, tus);

    } else {
        BSON_APPEND_DATE_TIME(&record, "tus_until", 0);
    }

    pointer = &record;
    rc = v2m_mongo_insert(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION,
                          &pointer, 1, error);

    bson_destroy(&record);

    return rc;
}


static void
v2m_tus_take_field(v2m_tus_record_t *record, bson_iter_t *iter)
{
    v2m_tus_t  *tus = record->tus;
    const char *key = bson_iter_key(iter);

    if (strcmp(key, "tus_expires") == 0 && BSON_ITER_HOLDS_DATE_TIME(iter)) {
        tus->expires_ms = bson_iter_date_time(iter);
        record->resumable = 1;

    } else if (strcmp(key, "tus_length") == 0) {
        tus->length = bson_iter_as_int64(iter);

    } else if (strcmp(key, "tus_offset") == 0) {
        tus->offset = bson_iter_as_int64(iter);

    } else if (strcmp(key, "tus_chunk_size") == 0) {
        tus->chunk_size = (int32_t) bson_iter_as_int64(iter);

    } else if (strcmp(key, "tus_tail") == 0) {
        tus->tail = (int32_t) bson_iter_as_int64(iter);

    } else if (strcmp(key, "tus_tails") == 0 && BSON_ITER_HOLDS_OID(iter)) {
        bson_oid_to_string(bson_iter_oid(iter), tus->tails);

    } else if (strcmp(key, "tus_metadata") == 0 && BSON_ITER_HOLDS_UTF8(iter)) {
        free(tus->metadata);
        tus->metadata = strdup(bson_iter_utf8(iter, NULL));

    } else if (strcmp(key, "abandoned") == 0) {
        record->abandoned = 1;
    }
}


static int
v2m_tus_take(void *data, const bson_t *document, v2m_error_t *error)
{
    bson_iter_t       iter;
    v2m_tus_record_t *record = data;

    record->found = 1;

    if (bson_iter_init(&iter, document)) {
        while (bson_iter_next(&iter)) {
            v2m_tus_take_field(record, &iter);
        }
    }

    return v2m_job_from_bson(record->job, document, error);
}


/* Reads the record; both are to be freed whatever the result is. */
static int
v2m_tus_read(v2m_mongo_t *mongo, const v2m_id_t id, const char *username,
             v2m_job_t *job, v2m_tus_t *tus, v2m_tus_record_t *record,
             v2m_error_t *error)
{
    int    rc;
    bson_t filter;

    memset(tus, 0, sizeof(v2m_tus_t));
    memcpy(tus->id, id, sizeof(v2m_id_t));
    tus->length = -1;
    tus->tail = -1;

    v2m_job_init(job);

    memset(record, 0, sizeof(v2m_tus_record_t));
    record->job = job;
    record->tus = tus;

    bson_init(&filter);
    v2m_jobs_append_id(&filter, "_id", id);

    if (username != NULL) {
        BSON_APPEND_UTF8(&filter, "username", username);
    }

    rc = v2m_mongo_find(mongo, V2M_JOBS_DATABASE, V2M_JOBS_COLLECTION, &filter,
                        NULL, v2m_tus_take, record, error);

    bson_destroy(&filter);

    return rc;
}


int
v2m_tus_find(v2m_mongo_t *mongo, const v2m_id_t id, const char *username,
             v2m_job_t *job, v2m_tus_t *tus, v2m_error_t *error)
{
    int              rc;
    v2m_tus_record_t record;

    rc = v2m_tus_read(mongo, id, username, job, tus, &record, error);

    if (rc == V2M_OK
        && (!record.found || !record.resumable
            || (job->state == V2M_JOB_UPLOADING
                && (record.abandoned || tus->expires_ms < v2m_wall_ms()))))
    {
        rc = v2m_error_set(error, V2M_NOT_FOUND,
                           "there is no resumable upload %s", id);
    }

    if (rc == V2M_OK
        && (tus->chunk_size <= 0 || tus->offset < 0 || tus->tails[0] == '\0'))
    {
        rc = v2m_error_set(error, V2M_CORRUPT,
                           "the record of upload %s is unusable", id);
    }

    if (rc != V2M_OK) {
        v2m_tus_free(tus);
        v2m_job_free(job);
    }

    return rc;
}


/* Begins a change by the request that has the lease.  Quietly: who watches the
 * job has no use for it. */
static void
v2m_tus_change_begin(v2m_jobs_change_t *change, const v2m_tus_t *tus)
{
    v2m_jobs_change_begin_quietly(change, tus->id, v2m_tus_states);
    v2m_jobs_append_exists(&change->filter, "abandoned", false);
    v2m_jobs_append_id(&change->filter, "tus_owner", tus->owner);
}


/* What is durable; of an upload whose length nobody knows yet that counts for
 * its user's quota. */
static void
v2m_tus_append_offset(bson_t *set, const v2m_tus_t *tus, int64_t offset)
{
    BSON_APPEND_INT64(set, "tus_offset", offset);

    if (tus->length < 0) {
        BSON_APPEND_INT64(set, "size", offset);
    }
}


int
v2m_tus_acquire(v2m_mongo_t *mongo, v2m_tus_t *tus, int64_t length,
                v2m_error_t *error)
{
    int               rc;
    v2m_jobs_change_t change;

    v2m_jobs_change_begin_quietly(&change, tus->id, v2m_tus_states);
    v2m_jobs_append_exists(&change.filter, "abandoned", false);
    v2m_jobs_append_range(&change.filter, "tus_until", "$lt", v2m_wall_ms());
    BSON_APPEND_INT64(&change.filter, "tus_offset", tus->offset);

    v2m_tus_append_lease(&change.set, tus);
    v2m_tus_append_expires(&change.set, tus);

    if (length >= 0) {
        BSON_APPEND_INT64(&change.set, "tus_length", length);
        BSON_APPEND_INT64(&change.set, "size", length);
    }

    rc = v2m_jobs_change_end(mongo, &change, error);

    if (rc == V2M_OK && length >= 0) {
        tus->length = length;
    }

    return rc;
}


int
v2m_tus_read_tail(v2m_mongo_t *mongo, const v2m_tus_t *tus,
                  unsigned char *buffer, v2m_error_t *error)
{
    v2m_gridfs_file_t file;

    if (tus->offset % tus->chunk_size == 0) {
        return V2M_OK;
    }

    /* as if it were the last chunk of a file */

    memset(&file, 0, sizeof(file));
    memcpy(file.id, tus->tails, sizeof(v2m_id_t));
    file.chunk_size = tus->chunk_size;
    file.length =
        (int64_t) tus->tail * tus->chunk_size + tus->offset % tus->chunk_size;

    return v2m_gridfs_read_chunks(mongo, V2M_VIDEOS, &file, tus->tail, 1,
                                  buffer, error);
}


int
v2m_tus_note(v2m_mongo_t *mongo, const v2m_tus_t *tus, int64_t offset,
             v2m_error_t *error)
{
    v2m_jobs_change_t change;

    v2m_tus_change_begin(&change, tus);
    v2m_tus_append_lease(&change.set, tus);
    v2m_tus_append_expires(&change.set, tus);
    v2m_tus_append_offset(&change.set, tus, offset);

    return v2m_jobs_change_end(mongo, &change, error);
}


/*
 * Deletes chunks that are in the way of ours: of a request that lost its lease,
 * or that died before it could note them.  None of them counts: they were there
 * before we made sure of our lease, and they are behind what is durable.  Those
 * alone are deleted, by their _id, so that this does no harm either when our
 * lease is lost meanwhile.
 */
static int
v2m_tus_replace(v2m_mongo_t *mongo, const v2m_tus_t *tus, int32_t first,
                int32_t count, v2m_error_t *error)
{
    int               rc;
    bson_t            ids;
    v2m_jobs_change_t change;

    bson_init(&ids);

    rc = v2m_gridfs_list_chunks(mongo, V2M_VIDEOS, tus->id, first, count, &ids,
                                error);

    if (rc == V2M_OK) {
        v2m_tus_change_begin(&change, tus);
        v2m_tus_append_lease(&change.set, tus);
        rc = v2m_jobs_change_end(mongo, &change, error);
    }

    if (rc == V2M_OK && !bson_empty(&ids)) {
        rc = v2m_gridfs_delete_listed(mongo, V2M_VIDEOS, &ids, error);
    }

    bson_destroy(&ids);

    return rc;
}


int
v2m_tus_insert(v2m_mongo_t *mongo, const v2m_tus_t *tus, int32_t first,
               const v2m_gridfs_chunk_t *chunks, size_t count,
               v2m_error_t *error)
{
    int rc, tries;

    for (tries = 0; tries < V2M_TUS_TRIES; tries++) {
        rc = v2m_gridfs_insert_chunks(mongo, V2M_VIDEOS, tus->id, first, chunks,
                                      count, error);

        if (rc != V2M_CONFLICT) {
            return rc;
        }

        rc = v2m_tus_replace(mongo, tus, first, (int32_t) count, error);

        if (rc != V2M_OK) {
            return rc;
        }
    }

    return v2m_error_set(error, V2M_UNAVAILABLE,
                         "others insert the same chunks of upload %s", tus->id);
}


/* Stores the tail under a number never used before. */
static int
v2m_tus_insert_tail(v2m_mongo_t *mongo, const v2m_tus_t *tus,
                    const v2m_gridfs_chunk_t *tail, int32_t *number,
                    v2m_error_t *error)
{
    int rc, tries;

    for (tries = 0; tries < V2M_TUS_TRIES; tries++) {
        ++*number;

        rc = v2m_gridfs_insert_chunks(mongo, V2M_VIDEOS, tus->tails, *number,
                                      tail, 1, error);

        /* one that a request left which died before it could note it */

        if (rc != V2M_CONFLICT) {
            return rc;
        }
    }

    return v2m_error_set(error, V2M_UNAVAILABLE,
                         "too many have left bytes of upload %s", tus->id);
}


/* Gives the lease back. */
static int
v2m_tus_release(v2m_mongo_t *mongo, const v2m_tus_t *tus, int64_t offset,
                int32_t tail, v2m_error_t *error)
{
    v2m_jobs_change_t change;

    /* one that was told and refused does not stay */
    const char *const fields[] = { "tus_owner",
                                   tus->length < 0 ? "tus_length" : NULL,
                                   NULL };

    v2m_tus_change_begin(&change, tus);
    v2m_tus_append_offset(&change.set, tus, offset);
    v2m_tus_append_expires(&change.set, tus);
    BSON_APPEND_INT32(&change.set, "tus_tail", tail);
    BSON_APPEND_DATE_TIME(&change.set, "tus_until", 0);
    bson_append_document_end(&change.update, &change.set);

    v2m_jobs_append_unset(&change.update, fields);

    return v2m_jobs_change_run(mongo, &change, error);
}


int
v2m_tus_pause(v2m_mongo_t *mongo, const v2m_tus_t *tus,
              const v2m_tus_piece_t *piece, v2m_error_t *error)
{
    int     rc;
    int32_t n, tail;

    rc = V2M_OK;
    tail = tus->tail;

    if (piece->discard) {
        /* what fails here is replaced by the next request */
        n = (int32_t) (tus->offset / tus->chunk_size);
        (void) v2m_tus_replace(mongo, tus, n, INT32_MAX - n, NULL);
    }

    if (piece->count > 0) {
        rc = v2m_tus_insert(mongo, tus, piece->first, piece->chunks,
                            piece->count, error);
    }

    if (rc == V2M_OK && piece->tail.length > 0) {
        rc = v2m_tus_insert_tail(mongo, tus, &piece->tail, &tail, error);
    }

    if (rc == V2M_OK) {
        rc = v2m_tus_release(mongo, tus, piece->offset, tail, error);
    }

    if (rc == V2M_OK && tus->tail >= 0
        && (tail != tus->tail || piece->offset != tus->offset))
    {
        /* what fails here goes with the last of them */
        (void) v2m_gridfs_delete_chunk(mongo, V2M_VIDEOS, tus->tails, tus->tail,
                                       NULL);
    }

    return rc;
}


/* A file that is there already is of a request that could not note it. */
static int
v2m_tus_insert_file(v2m_mongo_t *mongo, v2m_gridfs_file_t *file,
                    v2m_error_t *error)
{
    int               rc;
    v2m_gridfs_file_t found;

    rc = v2m_gridfs_insert_file(mongo, V2M_VIDEOS, file, error);

    if (rc != V2M_CONFLICT) {
        return rc;
    }

    rc = v2m_gridfs_find_file(mongo, V2M_VIDEOS, file->id, &found, error);

    if (rc == V2M_OK) {
        rc = found.length == file->length ? V2M_OK
                                          : v2m_error_set(error, V2M_CORRUPT,
                                                          "file %s is there "
                                                          "with another length",
                                                          file->id);
        v2m_gridfs_file_free(&found);
    }

    return rc;
}


/* Of chunks behind the end nobody would know. */
static int
v2m_tus_trim(v2m_mongo_t *mongo, const v2m_tus_t *tus,
             const v2m_gridfs_file_t *file, v2m_error_t *error)
{
    int     rc;
    bson_t  ids;
    int32_t count;

    count =
        (int32_t) ((file->length + file->chunk_size - 1) / file->chunk_size);

    bson_init(&ids);

    rc = v2m_gridfs_list_chunks(mongo, V2M_VIDEOS, tus->id, count,
                                INT32_MAX - count, &ids, error);

    if (rc == V2M_OK && !bson_empty(&ids)) {
        rc = v2m_gridfs_delete_listed(mongo, V2M_VIDEOS, &ids, error);
    }

    bson_destroy(&ids);

    return rc;
}


int
v2m_tus_finish(v2m_mongo_t *mongo, const v2m_tus_t *tus,
               v2m_gridfs_file_t *file, v2m_error_t *error)
{
    int               rc;
    v2m_jobs_change_t change;

    static const char *const fields[] = { "tus_owner", "tus_until", NULL };

    rc = v2m_tus_trim(mongo, tus, file, error);

    if (rc == V2M_OK) {
        rc = v2m_tus_insert_file(mongo, file, error);
    }

    if (rc != V2M_OK) {
        return rc;
    }

    v2m_tus_change_begin(&change, tus);
    BSON_APPEND_UTF8(&change.set, "state", v2m_job_state_name(V2M_JOB_QUEUED));
    BSON_APPEND_DATE_TIME(&change.set, "updated", v2m_wall_ms());
    BSON_APPEND_INT64(&change.set, "tus_offset", file->length);
    BSON_APPEND_INT64(&change.set, "size", file->length);
    bson_append_document_end(&change.update, &change.set);

    v2m_jobs_append_unset(&change.update, fields);

    rc = v2m_jobs_change_run(mongo, &change, error);

    if (rc == V2M_OK && tus->tail >= 0) {
        /* what fails here goes with the job */
        (void) v2m_gridfs_delete(mongo, V2M_VIDEOS, tus->tails, NULL);
    }

    return rc;
}


static int
v2m_tus_delete_blobs(v2m_mongo_t *mongo, const v2m_id_t id,
                     const v2m_id_t tails, v2m_error_t *error)
{
    int rc;

    rc = v2m_gridfs_delete(mongo, V2M_VIDEOS, id, error);

    return rc == V2M_OK && tails[0] != '\0'
               ? v2m_gridfs_delete(mongo, V2M_VIDEOS, tails, error)
               : rc;
}


void
v2m_tus_clean(v2m_mongo_t *mongo, const v2m_tus_t *tus)
{
    v2m_tus_t        found;
    v2m_job_t        job;
    v2m_tus_record_t record;

    if (v2m_tus_read(mongo, tus->id, NULL, &job, &found, &record, NULL)
            == V2M_OK
        && (!record.found
            || (record.abandoned && job.state == V2M_JOB_UPLOADING)))
    {
        (void) v2m_tus_delete_blobs(mongo, tus->id, tus->tails, NULL);
    }

    v2m_tus_free(&found);
    v2m_job_free(&job);
}


/* Of one that was marked as abandoned, so that nobody can finish it any more;
 * the record goes last, so that what is cut short is found again. */
static int
v2m_tus_remove(v2m_mongo_t *mongo, const v2m_job_t *job, v2m_error_t *error)
{
    int rc;

    rc = v2m_tus_delete_blobs(mongo, job->id, job->tails, error);

    if (rc == V2M_OK) {
        rc = v2m_jobs_remove(mongo, job->id, error);
    }

    return rc == V2M_NOT_FOUND ? V2M_OK : rc;
}


int
v2m_tus_terminate(v2m_mongo_t *mongo, const v2m_job_t *job, v2m_error_t *error)
{
    int               rc;
    v2m_jobs_change_t change;

    v2m_jobs_change_begin_quietly(&change, job->id, v2m_tus_states);
    v2m_jobs_append_exists(&change.filter, "tus_expires", true);
    BSON_APPEND_BOOL(&change.set, "abandoned", true);
    BSON_APPEND_DATE_TIME(&change.set, "tus_expires", 0);

    rc = v2m_jobs_change_end(mongo, &change, error);

    return rc == V2M_OK ? v2m_tus_remove(mongo, job, error) : rc;
}


int
v2m_tus_expired(v2m_mongo_t *mongo, int64_t before_ms, size_t limit,
                v2m_job_t **jobs, size_t *count, v2m_error_t *error)
{
    bson_t filter;

    bson_init(&filter);
    v2m_jobs_append_states(&filter, v2m_tus_states);
    v2m_jobs_append_range(&filter, "tus_expires", "$lt", before_ms);

    return v2m_jobs_query(mongo, &filter, "tus_expires", 1, limit, jobs, count,
                          error);
}


int
v2m_tus_expire(v2m_mongo_t *mongo, const v2m_job_t *job, int64_t before_ms,
               v2m_error_t *error)
{
    int               rc;
    v2m_jobs_change_t change;

    v2m_jobs_change_begin_quietly(&change, job->id, v2m_tus_states);
    v2m_jobs_append_range(&change.filter, "tus_expires", "$lt", before_ms);
    BSON_APPEND_BOOL(&change.set, "abandoned", true);

    rc = v2m_jobs_change_end(mongo, &change, error);

    return rc == V2M_OK ? v2m_tus_remove(mongo, job, error) : rc;
}
