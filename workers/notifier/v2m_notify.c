#include "v2m_notify.h"

#include <string.h>

#include "v2m_gridfs.h"
#include "v2m_jobs.h"
#include "v2m_log.h"
#include "v2m_message.h"
#include "v2m_notice.h"


/* A converter that knows no job records made this MP3: the record gets it, so
 * that it can be downloaded like any other. */
static int
v2m_notify_commit(const v2m_notify_options_t *options,
                  const v2m_message_t *message, v2m_error_t *error)
{
    int               rc;
    v2m_mongo_t      *mongo;
    v2m_gridfs_file_t mp3, video;

    mongo = options->mongo;

    rc = v2m_gridfs_find_file(mongo, V2M_MP3S, message->mp3_fid, &mp3, error);
    if (rc != V2M_OK) {
        return rc;
    }

    rc = v2m_gridfs_find_file(mongo, V2M_VIDEOS, message->video_fid, &video,
                              error);

    if (rc == V2M_NOT_FOUND || rc == V2M_CORRUPT) {
        /* the MP3 is what counts */
        memset(&video, 0, sizeof(video));
        memcpy(video.id, message->video_fid, sizeof(v2m_id_t));
        rc = V2M_OK;
    }

    if (rc == V2M_OK) {
        rc = v2m_jobs_adopt(mongo, message->username, &video, error);
        v2m_gridfs_file_free(&video);
    }

    if (rc == V2M_OK) {
        rc = v2m_jobs_ready(mongo, message->video_fid, message->mp3_fid,
                            mp3.length, -1, error);
    }

    v2m_gridfs_file_free(&mp3);

    /* somebody else was first: the record says what became of the job */
    return rc == V2M_CONFLICT ? V2M_OK : rc;
}


/* Brings a record to its end state that the message says it has. */
static int
v2m_notify_complete(const v2m_notify_options_t *options,
                    const v2m_message_t *message, v2m_job_t *job,
                    v2m_error_t *error)
{
    int         rc;
    const char *id;

    id = message->video_fid;

    if (message->mp3_fid[0] != '\0') {
        rc = v2m_notify_commit(options, message, error);

    } else if (message->error != NULL && message->ours) {
        /* our converter notes a failure first: this one was tried anew since */
        v2m_log(V2M_LOG_INFO, id, "no mail: the job is %s again",
                v2m_job_state_name(job->state));
        return V2M_WORKER_DONE;

    } else if (message->error != NULL) {
        rc = v2m_jobs_fail(options->mongo, id, message->error, error);
        rc = rc == V2M_CONFLICT ? V2M_OK : rc;

    } else {
        v2m_log(V2M_LOG_ERROR, id,
                "cannot notify: the message names neither an MP3 nor an error");
        return V2M_WORKER_REJECT;
    }

    if (rc == V2M_NOT_FOUND) {
        v2m_log(V2M_LOG_ERROR, id, "cannot notify: there is no MP3 %s",
                message->mp3_fid);
        return V2M_WORKER_REJECT;
    }

    if (rc == V2M_OK) {
        v2m_job_free(job);
        rc = v2m_jobs_find(options->mongo, id, NULL, job, error);
    }

    return rc == V2M_OK ? V2M_NOTICE_GO_ON
                        : v2m_notice_store_trouble(id, error);
}


/* Finds the job in its end state, not notified yet.  With V2M_WORKER_RETRY the
 * error is the store's. */
static int
v2m_notify_find(const v2m_notify_options_t *options,
                const v2m_message_t *message, v2m_job_t *job,
                v2m_error_t *error)
{
    int         rc;
    const char *id;

    id = message->video_fid;

    rc = v2m_jobs_find(options->mongo, id, NULL, job, error);

    if (rc == V2M_NOT_FOUND && message->ours) {
        /* it had a record */
        v2m_log(V2M_LOG_INFO, id, "no mail: the job was deleted");
        return V2M_WORKER_DONE;
    }

    if (rc != V2M_OK && rc != V2M_NOT_FOUND) {
        return v2m_notice_store_trouble(id, error);
    }

    if (rc == V2M_NOT_FOUND || job->state == V2M_JOB_QUEUED
        || job->state == V2M_JOB_CONVERTING)
    {
        rc = v2m_notify_complete(options, message, job, error);
        if (rc != V2M_NOTICE_GO_ON) {
            return rc;
        }
    }

    if (job->state != V2M_JOB_READY && job->state != V2M_JOB_FAILED) {
        v2m_log(V2M_LOG_ERROR, id, "cannot notify: the job is still %s",
                v2m_job_state_name(job->state));
        return V2M_WORKER_REJECT;
    }

    if (job->notified != V2M_NOTIFIED_NONE) {
        v2m_log(V2M_LOG_DEBUG, id, "no mail: noted as %s before",
                v2m_job_notified_name(job->notified));
        return V2M_WORKER_DONE;
    }

    return V2M_NOTICE_GO_ON;
}


/* Finds the notice's job, and waits for the store if need be. */
static int
v2m_notify_look(v2m_notice_t *notice, const v2m_message_t *message)
{
    int         outcome;
    v2m_error_t error;

    do {
        v2m_job_free(&notice->job);
        outcome =
            v2m_notify_find(notice->options, message, &notice->job, &error);
    } while (outcome == V2M_WORKER_RETRY
             && v2m_patience_wait(&notice->patience, error.code, &error));

    if (outcome == V2M_WORKER_RETRY) {
        v2m_log(V2M_LOG_WARNING, notice->id, "cannot notify yet: %s",
                error.text);
    }

    return outcome;
}


static int
v2m_notify_message(const v2m_notify_options_t  *options,
                   const v2m_message_t         *message,
                   const v2m_worker_delivery_t *delivery,
                   v2m_worker_reply_t          *reply)
{
    int          outcome;
    v2m_notice_t notice;

    memset(&notice, 0, sizeof(notice));
    notice.options = options;
    notice.reply = reply;
    notice.held = delivery->held;
    notice.id = message->video_fid;
    notice.patience.job = notice.id;
    v2m_id_generate(notice.owner);
    v2m_job_init(&notice.job);

    outcome = v2m_notify_look(&notice, message);

    while (outcome == V2M_NOTICE_GO_ON) {
        outcome = v2m_notice_send(&notice);

        if (outcome == V2M_NOTICE_GO_ON) {
            /* in the time it took, the job may have been tried anew */
            outcome = v2m_notify_look(&notice, message);
        }
    }

    v2m_job_free(&notice.job);

    return outcome;
}


v2m_worker_outcome_t
v2m_notify_handle(void *data, const v2m_worker_delivery_t *delivery,
                  v2m_worker_reply_t *reply)
{
    int           outcome;
    v2m_error_t   error;
    v2m_message_t message;

    if (v2m_message_parse(&message, delivery->body, delivery->length, &error)
        == V2M_OK)
    {
        memcpy(reply->job, message.video_fid, sizeof(v2m_id_t));
        v2m_log_context(message.video_fid, message.traceparent);
        outcome = v2m_notify_message(data, &message, delivery, reply);
        v2m_log_context(NULL, NULL);

    } else {
        v2m_log(V2M_LOG_ERROR, NULL, "a message goes to the dead letters: %s",
                error.text);
        outcome = V2M_WORKER_REJECT;
    }

    v2m_message_free(&message);

    return (v2m_worker_outcome_t) outcome;
}
