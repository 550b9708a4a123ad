#include "v2m_requests.h"

#include "v2m_jobs.h"
#include "v2m_jobs_record.h"
#include "v2m_pause.h"

#define V2M_REQUESTS_COLLECTION "requests"

/* How often a key that others take at the same time is tried for. */
#define V2M_REQUESTS_TRIES 3

typedef struct {
    v2m_mongo_t *mongo;
    char        *id;    /* of the key's record */
    v2m_id_t     owner; /* the job in it; empty: there is no record */
} v2m_request_t;


static char *
v2m_requests_id(const char *key, const char *username)
{
    /* a key has no newline, so two pairs never make the same text */

    return bson_strdup_printf("%s\n%s", key, username);
}


static int
v2m_requests_take(void *data, const bson_t *document, v2m_error_t *error)
{
    bson_iter_t    iter;
    v2m_request_t *request = data;

    (void) error;

    if (bson_iter_init_find(&iter, document, "job")
        && BSON_ITER_HOLDS_OID(&iter)) {
        bson_oid_to_string(bson_iter_oid(&iter), request->owner);
    }

    return V2M_OK;
}


static int
v2m_requests_find(v2m_request_t *request, v2m_error_t *error)
{
    int    rc;
    bson_t filter;

    request->owner[0] = '\0';

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "_id", request->id);

    rc = v2m_mongo_find(request->mongo, V2M_JOBS_DATABASE,
                        V2M_REQUESTS_COLLECTION, &filter, NULL,
                        v2m_requests_take, request, error);

    bson_destroy(&filter);

    return rc;
}


/* Makes the key's record.  V2M_CONFLICT: another request did. */
static int
v2m_requests_insert(v2m_request_t *request, const v2m_job_t *job,
                    v2m_error_t *error)
{
    int           rc;
    bson_t        record;
    const bson_t *pointer;

    bson_init(&record);
    BSON_APPEND_UTF8(&record, "_id", request->id);
    v2m_jobs_append_id(&record, "job", job->id);
    BSON_APPEND_DATE_TIME(&record, "created", job->created_ms);

    pointer = &record;
    rc = v2m_mongo_insert(request->mongo, V2M_JOBS_DATABASE,
                          V2M_REQUESTS_COLLECTION, &pointer, 1, error);

    bson_destroy(&record);

    return rc;
}


/* Takes the key's record from a job that is gone, or dead.  V2M_CONFLICT:
 * another request did. */
static int
v2m_requests_replace(v2m_request_t *request, const v2m_job_t *job,
                     v2m_error_t *error)
{
    int     rc;
    bson_t  filter, update, set;
    int64_t matched;

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "_id", request->id);
    v2m_jobs_append_id(&filter, "job", request->owner);

    bson_init(&update);
    BSON_APPEND_DOCUMENT_BEGIN(&update, "$set", &set);
    v2m_jobs_append_id(&set, "job", job->id);
    BSON_APPEND_DATE_TIME(&set, "created", job->created_ms);
    bson_append_document_end(&update, &set);

    rc = v2m_mongo_update(request->mongo, V2M_JOBS_DATABASE,
                          V2M_REQUESTS_COLLECTION, &filter, &update, NULL,
                          &matched, error);

    bson_destroy(&update);
    bson_destroy(&filter);

    if (rc == V2M_OK && matched == 0) {
        rc = v2m_error_set(error, V2M_CONFLICT,
                           "the key was taken by another request");
    }

    return rc;
}


/* Whether a job is an upload that nobody goes on with, as its gateway died or
 * could not clean up.  From then on it cannot be finished; the sweep removes
 * it. */
static int
v2m_requests_dead(v2m_request_t *request, const v2m_job_t *job)
{
    /* a resumable one may pause for long */

    return job->state == V2M_JOB_UPLOADING && job->tails[0] == '\0'
           && v2m_jobs_abandon(request->mongo, job->id,
                               v2m_wall_ms() - V2M_REQUESTS_SILENT_MS, NULL)
                  == V2M_OK;
}


/* V2M_CONFLICT: the key's job is in *found; V2M_NOT_FOUND: it has none. */
static int
v2m_requests_job(v2m_request_t *request, v2m_job_t *found, v2m_error_t *error)
{
    int rc;

    rc = v2m_requests_find(request, error);

    if (rc != V2M_OK) {
        return rc;
    }

    if (request->owner[0] == '\0') {
        return V2M_NOT_FOUND;
    }

    rc = v2m_jobs_find(request->mongo, request->owner, NULL, found, error);

    if (rc == V2M_OK && v2m_requests_dead(request, found)) {
        v2m_job_free(found);
        return V2M_NOT_FOUND;
    }

    return rc == V2M_OK ? v2m_error_set(
               error, V2M_CONFLICT, "the key is that of job %s", request->owner)
                        : rc;
}


static int
v2m_requests_claim(v2m_request_t *request, const v2m_job_t *job,
                   v2m_error_t *error)
{
    return request->owner[0] == '\0'
               ? v2m_requests_insert(request, job, error)
               : v2m_requests_replace(request, job, error);
}


/* Claims the key for a job that is begun. */
static int
v2m_requests_race(v2m_request_t *request, v2m_job_t *job, v2m_job_t *found,
                  v2m_error_t *error)
{
    int rc, tries;

    tries = V2M_REQUESTS_TRIES;

    do {
        rc = v2m_requests_claim(request, job, error);

        if (rc != V2M_CONFLICT) {
            return rc;
        }

        rc = v2m_requests_job(request, found, error);

    } while (rc == V2M_NOT_FOUND && --tries > 0);

    if (rc == V2M_NOT_FOUND) {
        return v2m_error_set(error, V2M_UNAVAILABLE,
                             "too many requests take the same key");
    }

    if (rc == V2M_CONFLICT) {
        /* if this fails, the sweep finds an upload that nobody goes on with */
        (void) v2m_jobs_remove(request->mongo, job->id, NULL);
    }

    return rc;
}


int
v2m_requests_prepare(v2m_mongo_t *mongo, v2m_error_t *error)
{
    int    rc;
    bson_t keys;

    bson_init(&keys);
    BSON_APPEND_INT32(&keys, "created", 1);

    rc = v2m_mongo_index(mongo, V2M_JOBS_DATABASE, V2M_REQUESTS_COLLECTION,
                         &keys, 0, error);

    bson_destroy(&keys);

    return rc;
}


int
v2m_requests_begin(v2m_mongo_t *mongo, const char *key, v2m_job_t *job,
                   v2m_tus_t *tus, v2m_job_t *found, v2m_error_t *error)
{
    int           rc;
    v2m_request_t request;

    request.mongo = mongo;
    request.id = v2m_requests_id(key, job->username);

    rc = v2m_requests_job(&request, found, error);

    if (rc == V2M_NOT_FOUND) {
        rc = tus != NULL ? v2m_tus_begin(mongo, job, tus, error)
                         : v2m_jobs_begin(mongo, job, error);

        if (rc == V2M_OK) {
            rc = v2m_requests_race(&request, job, found, error);
        }
    }

    bson_free(request.id);

    return rc;
}


int
v2m_requests_forget(v2m_mongo_t *mongo, int64_t before_ms, int64_t *count,
                    v2m_error_t *error)
{
    int    rc;
    bson_t filter;

    bson_init(&filter);
    v2m_jobs_append_range(&filter, "created", "$lt", before_ms);

    rc = v2m_mongo_delete(mongo, V2M_JOBS_DATABASE, V2M_REQUESTS_COLLECTION,
                          &filter, count, error);

    bson_destroy(&filter);

    return rc;
}
