#include "v2m_notify.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "v2m_gridfs.h"
#include "v2m_jobs.h"
#include "v2m_log.h"
#include "v2m_message.h"
#include "v2m_patience.h"
#include "v2m_pause.h"

/* How often a sent mail is noted, while the store is away. */
#define V2M_NOTIFY_NOTES 4

/* The outcomes are those of the worker's loop, and "go on". */
#define V2M_NOTIFY_GO_ON -1

struct v2m_notify_s {
    v2m_notify_options_t options;
    pthread_mutex_t      lock; /* guards busy */
    v2m_id_t             busy[];
};


int
v2m_notify_create(v2m_notify_t **notify, const v2m_notify_options_t *options,
                  v2m_error_t *error)
{
    v2m_notify_t *p;

    p = calloc(1, sizeof(*p) + (size_t) options->jobs * sizeof(v2m_id_t));
    if (p == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    p->options = *options;
    pthread_mutex_init(&p->lock, NULL);

    *notify = p;
    return V2M_OK;
}


void
v2m_notify_destroy(v2m_notify_t *notify)
{
    if (notify != NULL) {
        pthread_mutex_destroy(&notify->lock);
        free(notify);
    }
}


/*
 * A message comes a second time while the first one's mail is still on its
 * way when the connection to the broker broke in between.  Returns the place
 * to give to v2m_notify_leave(), or -1 when another thread is at this job.
 */
static int
v2m_notify_enter(v2m_notify_t *notify, const v2m_id_t id)
{
    int i, place;

    place = -1;
    pthread_mutex_lock(&notify->lock);

    for (i = 0; i < notify->options.jobs; i++) {
        if (strcmp(notify->busy[i], id) == 0) {
            place = -1;
            break;
        }

        if (notify->busy[i][0] == '\0') {
            place = i;
        }
    }

    if (place != -1) {
        memcpy(notify->busy[place], id, sizeof(v2m_id_t));
    }

    pthread_mutex_unlock(&notify->lock);

    return place;
}


static void
v2m_notify_leave(v2m_notify_t *notify, int place)
{
    pthread_mutex_lock(&notify->lock);
    notify->busy[place][0] = '\0';
    pthread_mutex_unlock(&notify->lock);
}


/* What follows from a failed call of the store. */
static int
v2m_notify_store_trouble(const v2m_id_t id, const v2m_error_t *error)
{
    if (error->code == V2M_INVALID || error->code == V2M_CORRUPT) {
        v2m_log(V2M_LOG_ERROR, id, "cannot notify: %s", error->text);
        return V2M_WORKER_REJECT;
    }

    return V2M_WORKER_RETRY;
}


/* A converter that knows no job records made this MP3: the record gets it, so
 * that it can be downloaded like any other. */
static int
v2m_notify_commit(v2m_notify_t *notify, const v2m_message_t *message,
                  v2m_error_t *error)
{
    int               rc;
    v2m_mongo_t      *mongo;
    v2m_gridfs_file_t mp3, video;

    mongo = notify->options.mongo;

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
v2m_notify_complete(v2m_notify_t *notify, const v2m_message_t *message,
                    v2m_job_t *job, v2m_error_t *error)
{
    int         rc;
    const char *id;

    id = message->video_fid;

    if (message->mp3_fid[0] != '\0') {
        rc = v2m_notify_commit(notify, message, error);

    } else if (message->error != NULL) {
        rc = v2m_jobs_fail(notify->options.mongo, id, message->error, error);
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
        rc = v2m_jobs_find(notify->options.mongo, id, NULL, job, error);
    }

    return rc == V2M_OK ? V2M_NOTIFY_GO_ON
                        : v2m_notify_store_trouble(id, error);
}


/* Finds the job in its end state, not notified yet.  With V2M_WORKER_RETRY the
 * error is the store's. */
static int
v2m_notify_find(v2m_notify_t *notify, const v2m_message_t *message,
                v2m_job_t *job, v2m_error_t *error)
{
    int         rc;
    const char *id;

    id = message->video_fid;

    rc = v2m_jobs_find(notify->options.mongo, id, NULL, job, error);

    if (rc == V2M_NOT_FOUND && message->ours) {
        /* it had a record */
        v2m_log(V2M_LOG_INFO, id, "no mail: the job was deleted");
        return V2M_WORKER_DONE;
    }

    if (rc != V2M_OK && rc != V2M_NOT_FOUND) {
        return v2m_notify_store_trouble(id, error);
    }

    if (rc == V2M_NOT_FOUND || job->state == V2M_JOB_QUEUED
        || job->state == V2M_JOB_CONVERTING)
    {
        rc = v2m_notify_complete(notify, message, job, error);
        if (rc != V2M_NOTIFY_GO_ON) {
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

    return V2M_NOTIFY_GO_ON;
}


/*
 * Notes what became of the mail.  A mail that was sent is worth some patience;
 * when even that does not help, an e-mail too many would be worse than a
 * record that does not tell of it.
 */
static void
v2m_notify_note(v2m_notify_t *notify, const v2m_id_t id,
                v2m_job_notified_t notified)
{
    int             i, rc;
    int64_t         pause;
    v2m_error_t     error;
    struct timespec time;

    for (i = 0;; i++) {
        rc = v2m_jobs_notified(notify->options.mongo, id, notified, &error);

        if (rc == V2M_OK || rc == V2M_CONFLICT) {
            return;
        }

        if (rc != V2M_UNAVAILABLE || i + 1 == V2M_NOTIFY_NOTES
            || v2m_worker_stopping()) {
            break;
        }

        pause = v2m_pause_ms(i, 200, 1000);
        time.tv_sec = 0;
        time.tv_nsec = (long) (pause % 1000) * 1000000;
        nanosleep(&time, NULL);
    }

    v2m_log(V2M_LOG_ERROR, id, "cannot note in the job's record \"%s\": %s",
            v2m_job_notified_name(notified), error.text);
}


static int
v2m_notify_compose(v2m_notify_t *notify, const v2m_job_t *job, char **text,
                   size_t *length, v2m_error_t *error)
{
    v2m_mail_t mail;

    mail.sender = notify->options.sender;
    mail.to = job->username;
    mail.id = job->id;
    mail.name = job->name;
    mail.url = notify->options.url;
    mail.date = (int64_t) time(NULL);
    mail.reason = NULL;

    if (job->state == V2M_JOB_FAILED) {
        mail.reason =
            job->reason != NULL ? job->reason : "it is not known any more";
    }

    return v2m_mail_compose(&mail, text, length, error);
}


static v2m_worker_outcome_t
v2m_notify_not_sent(v2m_notify_t *notify, const v2m_id_t id, int last,
                    const v2m_error_t *error)
{
    if (v2m_worker_stopping()) {
        return V2M_WORKER_RETRY;
    }

    if (error->code != V2M_INVALID && !last) {
        v2m_log(V2M_LOG_WARNING, id, "mail not sent yet: %s", error->text);
        return V2M_WORKER_RETRY;
    }

    v2m_log(V2M_LOG_ERROR, id, "mail not sent: %s", error->text);
    v2m_notify_note(notify, id, V2M_NOTIFIED_FAILED);

    return V2M_WORKER_REJECT;
}


static v2m_worker_outcome_t
v2m_notify_send(v2m_notify_t *notify, const v2m_job_t *job, int last)
{
    int         rc;
    char       *text;
    size_t      length;
    v2m_error_t error;

    rc = v2m_notify_compose(notify, job, &text, &length, &error);

    if (rc == V2M_INVALID) {
        v2m_log(V2M_LOG_WARNING, job->id, "no mail: %s", error.text);
        v2m_notify_note(notify, job->id, V2M_NOTIFIED_FAILED);
        return V2M_WORKER_DONE;
    }

    if (rc == V2M_OK) {
        rc =
            v2m_smtp_send(notify->options.smtp, notify->options.sender->address,
                          job->username, text, length, &error);
        free(text);
    }

    if (rc != V2M_OK) {
        return v2m_notify_not_sent(notify, job->id, last, &error);
    }

    v2m_log(V2M_LOG_INFO, job->id, "mail sent: the job is %s",
            v2m_job_state_name(job->state));
    v2m_notify_note(notify, job->id, V2M_NOTIFIED_SENT);

    return V2M_WORKER_DONE;
}


static v2m_worker_outcome_t
v2m_notify_message(v2m_notify_t *notify, const v2m_message_t *message, int last)
{
    int            place, outcome;
    v2m_job_t      job;
    v2m_error_t    error;
    v2m_patience_t patience;

    place = v2m_notify_enter(notify, message->video_fid);
    if (place == -1) {
        return V2M_WORKER_RETRY;
    }

    v2m_job_init(&job);
    memset(&patience, 0, sizeof(patience));
    patience.job = message->video_fid;

    do {
        v2m_job_free(&job);
        outcome = v2m_notify_find(notify, message, &job, &error);
    } while (outcome == V2M_WORKER_RETRY
             && v2m_patience_wait(&patience, error.code, &error));

    if (outcome == V2M_WORKER_RETRY) {
        v2m_log(V2M_LOG_WARNING, message->video_fid, "cannot notify yet: %s",
                error.text);

    } else if (outcome == V2M_NOTIFY_GO_ON) {
        outcome = (int) v2m_notify_send(notify, &job, last);
    }

    v2m_job_free(&job);
    v2m_notify_leave(notify, place);

    return (v2m_worker_outcome_t) outcome;
}


v2m_worker_outcome_t
v2m_notify_handle(void *data, const v2m_worker_delivery_t *delivery,
                  v2m_worker_reply_t *reply)
{
    v2m_error_t          error;
    v2m_message_t        message;
    v2m_worker_outcome_t outcome;

    (void) reply;

    if (v2m_message_parse(&message, delivery->body, delivery->length, &error)
        == V2M_OK)
    {
        outcome = v2m_notify_message(data, &message, delivery->last);

    } else {
        v2m_log(V2M_LOG_ERROR, NULL, "a message goes to the dead letters: %s",
                error.text);
        outcome = V2M_WORKER_REJECT;
    }

    v2m_message_free(&message);

    return outcome;
}
