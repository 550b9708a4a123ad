#include "v2m_convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_gridfs.h"
#include "v2m_job.h"
#include "v2m_jobs.h"
#include "v2m_log.h"
#include "v2m_message.h"
#include "v2m_metrics.h"
#include "v2m_output.h"
#include "v2m_patience.h"
#include "v2m_pause.h"
#include "v2m_point.h"

#define V2M_CONVERT_NAME 256

/* The outcomes are those of the worker's loop, and "go on". */
#define V2M_CONVERT_GO_ON -1

/* One message under way. */
typedef struct {
    v2m_convert_t               *convert;
    const v2m_worker_delivery_t *delivery;
    v2m_worker_reply_t          *reply;
    const v2m_message_t         *message;
    const char                  *id; /* the job's */
    v2m_job_t                    job;
    v2m_gridfs_file_t            video;
    v2m_patience_t               patience;
} v2m_task_t;


/* Tells the notifier what became of the job. */
static v2m_worker_outcome_t
v2m_task_tell(v2m_task_t *task, const v2m_id_t mp3_fid, const char *reason,
              v2m_worker_outcome_t outcome)
{
    v2m_message_t message;

    memset(&message, 0, sizeof(message));
    memcpy(message.video_fid, task->id, sizeof(v2m_id_t));
    message.username = task->job.username;
    message.name = task->job.name;
    message.error = (char *) reason;
    memcpy(message.traceparent, task->message->traceparent,
           sizeof(message.traceparent));

    if (mp3_fid != NULL) {
        memcpy(message.mp3_fid, mp3_fid, sizeof(v2m_id_t));
    }

    task->reply->body = v2m_message_format(&message);

    if (task->reply->body == NULL) {
        v2m_log(V2M_LOG_ERROR, task->id, "out of memory");
        return V2M_WORKER_RETRY;
    }

    task->reply->queue = task->convert->reply_queue;
    snprintf(task->reply->message_id, sizeof(task->reply->message_id), "%s",
             task->id);

    return outcome;
}


/* The job has its end state: what is left of its other attempts, whose
 * converters died or could not clean up, is of no more use. */
static void
v2m_task_discard_others(v2m_task_t *task)
{
    v2m_error_t error;

    if (v2m_jobs_discard_attempts(task->convert->mongo, &task->job, &error)
        != V2M_OK)
    {
        v2m_log(V2M_LOG_WARNING, task->id,
                "the rest of a lost attempt stays in the store: %s",
                error.text);
    }
}


/* The job has its end state, whoever brought it there: its owner is told,
 * unless that is known to have been done. */
static v2m_worker_outcome_t
v2m_task_tell_again(v2m_task_t *task)
{
    v2m_task_discard_others(task);

    if (task->job.notified != V2M_NOTIFIED_NONE) {
        return V2M_WORKER_DONE;
    }

    return task->job.state == V2M_JOB_READY
               ? v2m_task_tell(task, task->job.mp3_fid, NULL, V2M_WORKER_DONE)
               : v2m_task_tell(task, NULL, task->job.reason, V2M_WORKER_DONE);
}


static v2m_worker_outcome_t
v2m_task_later(v2m_task_t *task, const v2m_error_t *error)
{
    v2m_log(V2M_LOG_WARNING, task->id, "cannot convert yet: %s", error->text);

    return V2M_WORKER_RETRY;
}


/* Reads the job's record; task->job stays as it is when that fails. */
static int
v2m_task_find_job(v2m_task_t *task, v2m_error_t *error)
{
    int       rc;
    v2m_job_t found;

    do {
        rc = v2m_jobs_find(task->convert->mongo, task->id, NULL, &found, error);
    } while (v2m_patience_wait(&task->patience, rc, error));

    if (rc == V2M_OK) {
        v2m_job_free(&task->job);
        task->job = found;
    }

    return rc;
}


/* The job was deleted, or came to its end without this attempt; rc and error
 * are those of v2m_task_find_job(). */
static v2m_worker_outcome_t
v2m_task_lost(v2m_task_t *task, int rc, const v2m_error_t *error)
{
    if (rc != V2M_OK && rc != V2M_NOT_FOUND) {
        return v2m_task_later(task, error);
    }

    v2m_log(V2M_LOG_INFO, task->id, "the attempt counts for nothing: %s",
            rc == V2M_OK ? "another one was faster" : "the job was deleted");

    return rc == V2M_OK ? v2m_task_tell_again(task) : V2M_WORKER_DONE;
}


/* Ends the job without an MP3; the outcome is what becomes of the message, and
 * the kind of reason one of V2M_METRICS_FAILED_*. */
static v2m_worker_outcome_t
v2m_task_fail(v2m_task_t *task, v2m_metrics_counter_t kind, const char *reason,
              v2m_worker_outcome_t outcome)
{
    int         rc;
    v2m_error_t error;

    do {
        rc = v2m_jobs_fail(task->convert->mongo, task->id, reason, &error);
    } while (v2m_patience_wait(&task->patience, rc, &error));

    if (rc == V2M_CONFLICT) {
        rc = v2m_task_find_job(task, &error);
        return v2m_task_lost(task, rc, &error);
    }

    if (rc != V2M_OK) {
        return v2m_task_later(task, &error);
    }

    v2m_metrics_count(V2M_METRICS_FAILED);
    v2m_metrics_count(kind);
    v2m_log(V2M_LOG_INFO, task->id, "failed: %s", reason);
    v2m_task_discard_others(task);

    return v2m_task_tell(task, NULL, reason, outcome);
}


/* Trouble that is not the file's: another attempt, as long as there are any
 * left. */
static v2m_worker_outcome_t
v2m_task_trouble(v2m_task_t *task, const v2m_error_t *error)
{
    if (!task->delivery->last || task->convert->settings.stopping()) {
        return v2m_task_later(task, error);
    }

    v2m_log(V2M_LOG_ERROR, task->id, "cannot convert: %s", error->text);

    return v2m_task_fail(task, V2M_METRICS_FAILED_ATTEMPTS,
                         "the conversion did not work, several times, through "
                         "no fault of the file; please upload it again",
                         V2M_WORKER_REJECT);
}


/* Finds job and video. */
static int
v2m_task_find(v2m_task_t *task)
{
    int          rc;
    v2m_error_t  error;
    v2m_mongo_t *mongo;

    mongo = task->convert->mongo;

    rc = v2m_task_find_job(task, &error);

    if (rc == V2M_NOT_FOUND && task->message->ours) {
        /* it had a record */
        v2m_log(V2M_LOG_INFO, task->id, "not converted: the job was deleted");
        return V2M_WORKER_DONE;
    }

    if (rc != V2M_OK && rc != V2M_NOT_FOUND) {
        return v2m_task_later(task, &error);
    }

    if (task->job.state == V2M_JOB_READY || task->job.state == V2M_JOB_FAILED) {
        return v2m_task_tell_again(task);
    }

    do {
        rc = v2m_gridfs_find_file(mongo, V2M_VIDEOS, task->id, &task->video,
                                  &error);
    } while (v2m_patience_wait(&task->patience, rc, &error));

    if (rc == V2M_NOT_FOUND || rc == V2M_CORRUPT) {
        v2m_log(V2M_LOG_ERROR, task->id, "cannot convert: %s", error.text);

        return task->job.username == NULL
                   ? V2M_WORKER_REJECT
                   : v2m_task_fail(task, V2M_METRICS_FAILED_VIDEO,
                                   "the stored video is gone",
                                   V2M_WORKER_REJECT);
    }

    if (rc != V2M_OK) {
        return v2m_task_later(task, &error);
    }

    if (task->job.username != NULL) {
        return V2M_CONVERT_GO_ON;
    }

    /* from a producer that knows no records */

    do {
        rc = v2m_jobs_adopt(mongo, task->message->username, &task->video,
                            &error);
    } while (v2m_patience_wait(&task->patience, rc, &error));

    if (rc == V2M_OK) {
        rc = v2m_task_find_job(task, &error);
    }

    return rc == V2M_OK ? V2M_CONVERT_GO_ON
                        : (int) v2m_task_later(task, &error);
}


/* The MP3's name: the video's, with another extension. */
static const char *
v2m_task_mp3_name(const v2m_task_t *task, char name[V2M_CONVERT_NAME])
{
    int         length;
    const char *source, *dot;

    source = task->job.name != NULL ? task->job.name : task->video.filename;

    if (source == NULL) {
        return NULL;
    }

    dot = strrchr(source, '.');
    length = dot != NULL && dot != source ? (int) (dot - source)
                                          : (int) strlen(source);

    return snprintf(name, V2M_CONVERT_NAME, "%.*s.mp3", length, source)
                   < V2M_CONVERT_NAME
               ? name
               : NULL;
}


/* Makes the MP3 the job's, unless another attempt was first.  *committed says
 * that it is, or may be, the job's now. */
static v2m_worker_outcome_t
v2m_task_commit(v2m_task_t *task, v2m_output_t *output,
                const v2m_conversion_t *conversion, int *committed)
{
    int         rc;
    char        name[V2M_CONVERT_NAME];
    v2m_error_t error;

    rc = v2m_output_finish(output, v2m_task_mp3_name(task, name), &error);
    if (rc != V2M_OK) {
        return v2m_task_trouble(task, &error);
    }

    v2m_point("stored");

    do {
        rc = v2m_jobs_ready(task->convert->mongo, task->id, output->id,
                            output->length, conversion->duration_ms, &error);
    } while (v2m_patience_wait(&task->patience, rc, &error));

    if (rc == V2M_CONFLICT) {
        rc = v2m_task_find_job(task, &error);

        if (rc == V2M_NOT_FOUND
            || (rc == V2M_OK && strcmp(task->job.mp3_fid, output->id) != 0))
        {
            return v2m_task_lost(task, rc, &error);
        }

        /* it was repeated, and the answer to the first one got lost */
    }

    /* without an answer nobody knows: the next attempt looks at the record */

    *committed = 1;
    v2m_point("committed");

    if (rc != V2M_OK) {
        return v2m_task_later(task, &error);
    }

    memcpy(task->job.mp3_fid, output->id, sizeof(v2m_id_t));
    v2m_task_discard_others(task);

    return v2m_task_tell(task, output->id, NULL, V2M_WORKER_DONE);
}


static v2m_metrics_counter_t
v2m_task_fault(v2m_session_fault_t fault)
{
    switch (fault) {
    case V2M_SESSION_LIMIT:
        return V2M_METRICS_FAILED_LIMIT;

    case V2M_SESSION_CRASH:
        return V2M_METRICS_FAILED_CRASH;

    case V2M_SESSION_SOURCE:
        return V2M_METRICS_FAILED_VIDEO;

    default:
        return V2M_METRICS_FAILED_FILE;
    }
}


/* The times of a conversion that began and ended then and was committed. */
static void
v2m_task_took(const v2m_conversion_t *conversion, int64_t began_us,
              int64_t ended_us)
{
    int64_t commit_us;

    commit_us = v2m_clock_us() - ended_us;

    v2m_metrics_took(V2M_METRICS_CONVERTING, ended_us - began_us + commit_us);
    v2m_metrics_took(V2M_METRICS_FETCHING, conversion->read_us);
    v2m_metrics_took(V2M_METRICS_STORING, conversion->write_us + commit_us);
    v2m_metrics_took(V2M_METRICS_ENCODING, ended_us - began_us
                                               - conversion->read_us
                                               - conversion->write_us);
}


static v2m_worker_outcome_t
v2m_task_convert(v2m_task_t *task, v2m_output_t *output, int *committed)
{
    int                  rc;
    int64_t              began, ended;
    v2m_error_t          error;
    v2m_conversion_t     conversion;
    v2m_worker_outcome_t outcome;

    memset(&conversion, 0, sizeof(conversion));
    conversion.settings = &task->convert->settings;
    conversion.mongo = task->convert->mongo;
    conversion.job = task->id;
    conversion.options = &task->job.options;
    conversion.video = &task->video;
    conversion.output = output;

    began = v2m_clock_us();
    v2m_point("started");
    rc = v2m_conversion_run(&conversion, &error);
    ended = v2m_clock_us();

    if (rc == V2M_INVALID) {
        return v2m_task_fail(task, v2m_task_fault(conversion.fault), error.text,
                             V2M_WORKER_DONE);
    }

    if (rc != V2M_OK) {
        return v2m_task_trouble(task, &error);
    }

    v2m_point("converted");
    outcome = v2m_task_commit(task, output, &conversion, committed);

    if (*committed && outcome == V2M_WORKER_DONE) {
        v2m_metrics_count(V2M_METRICS_READY);
        v2m_task_took(&conversion, began, ended);
        v2m_log(V2M_LOG_INFO, task->id,
                "ready: %lld ms of audio in %lld bytes, made in %lld ms of %s",
                (long long) conversion.duration_ms, (long long) output->length,
                (long long) (v2m_clock_us() - began) / 1000, conversion.source);
    }

    return outcome;
}


/* With V2M_CONFLICT the next attempt sees which state the job is in. */
static int
v2m_task_start(v2m_task_t *task, const v2m_output_t *output, v2m_error_t *error)
{
    int          rc;
    v2m_mongo_t *mongo;

    mongo = task->convert->mongo;

    do {
        rc = v2m_jobs_start(mongo, task->id, output->id, error);
    } while (v2m_patience_wait(&task->patience, rc, error));

    return rc;
}


static v2m_worker_outcome_t
v2m_task_attempt(v2m_task_t *task)
{
    int                  committed;
    v2m_error_t          error;
    v2m_output_t         output;
    v2m_worker_outcome_t outcome;

    committed = 0;
    v2m_output_init(&output, task->convert->mongo);

    if (v2m_task_start(task, &output, &error) == V2M_OK) {
        v2m_log(V2M_LOG_INFO, task->id, "converting %lld bytes, attempt %d",
                (long long) task->video.length,
                task->delivery->delivery_count + 1);

        outcome = v2m_task_convert(task, &output, &committed);

    } else {
        outcome = v2m_task_later(task, &error);
    }

    if (!committed && v2m_output_discard(&output, &error) != V2M_OK) {
        v2m_log(V2M_LOG_WARNING, task->id,
                "the rest of a lost attempt stays in the store for now: %s",
                error.text);
    }

    v2m_output_close(&output);

    return outcome;
}


v2m_worker_outcome_t
v2m_convert_handle(void *data, const v2m_worker_delivery_t *delivery,
                   v2m_worker_reply_t *reply)
{
    int           outcome;
    v2m_task_t    task;
    v2m_error_t   error;
    v2m_message_t message;

    memset(&task, 0, sizeof(task));
    task.convert = data;
    task.delivery = delivery;
    task.reply = reply;
    task.message = &message;
    task.id = message.video_fid;
    task.patience.job = task.id;
    v2m_job_init(&task.job);

    if (v2m_message_parse(&message, delivery->body, delivery->length, &error)
        != V2M_OK)
    {
        v2m_log(V2M_LOG_ERROR, NULL, "a message goes to the dead letters: %s",
                error.text);
        v2m_message_free(&message);
        return V2M_WORKER_REJECT;
    }

    memcpy(reply->job, task.id, sizeof(v2m_id_t));
    v2m_log_context(task.id, message.traceparent);

    outcome = v2m_task_find(&task);

    if (outcome == V2M_CONVERT_GO_ON) {
        outcome = (int) v2m_task_attempt(&task);
    }

    v2m_log_context(NULL, NULL);
    v2m_job_free(&task.job);
    v2m_gridfs_file_free(&task.video);
    v2m_message_free(&message);

    return (v2m_worker_outcome_t) outcome;
}
