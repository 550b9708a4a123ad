#include <stdio.h>
#include <string.h>

#include "v2m_id.h"
#include "v2m_jobs.h"
#include "v2m_jobs_mail.h"
#include "v2m_jobs_upkeep.h"
#include "v2m_json.h"
#include "v2m_tool.h"

typedef int (*v2m_tool_each_pt)(v2m_tool_t *tool, const char *id,
                                v2m_error_t *error);


/* Calls the function with each id; the status is that of the first failure. */
static int
v2m_tool_each(v2m_tool_t *tool, int count, char **ids, v2m_tool_each_pt each)
{
    int         i, rc, status, failed;
    v2m_id_t    id;
    v2m_error_t error;

    status = V2M_TOOL_DONE;

    for (i = 0; i < count; i++) {
        rc = v2m_id_parse(id, ids[i], strlen(ids[i]))
                 ? each(tool, id, &error)
                 : v2m_error_set(&error, V2M_NOT_FOUND, "\"%.32s\" is no id",
                                 ids[i]);

        failed = rc == V2M_OK ? V2M_TOOL_DONE : v2m_tool_failed(rc, &error);
        status = status == V2M_TOOL_DONE ? failed : status;
    }

    return status;
}


int
v2m_tool_list(v2m_tool_t *tool, int count, char **ids)
{
    int         rc;
    size_t      i, found;
    json_t     *list;
    v2m_job_t  *jobs;
    v2m_error_t error;

    (void) count;
    (void) ids;

    rc = v2m_jobs_list_all(tool->mongo, tool->state, tool->user, tool->after,
                           (size_t) tool->limit, &jobs, &found, &error);
    if (rc != V2M_OK) {
        return v2m_tool_failed(rc, &error);
    }

    if (tool->json) {
        list = json_array();

        for (i = 0; i < found; i++) {
            json_array_append_new(list, v2m_tool_json(&jobs[i]));
        }

        v2m_tool_print_json(json_pack("{s:o, s:o}", "jobs", list, "next",
                                      found == (size_t) tool->limit
                                          ? v2m_json_text(jobs[found - 1].id)
                                          : json_null()));

    } else {
        v2m_tool_print_head();

        for (i = 0; i < found; i++) {
            v2m_tool_print_job(&jobs[i]);
        }

        if (found == (size_t) tool->limit) {
            fprintf(stderr, "there may be more: --after %s\n",
                    jobs[found - 1].id);
        }
    }

    v2m_jobs_free(jobs, found);

    return V2M_TOOL_DONE;
}


static int
v2m_tool_show_one(v2m_tool_t *tool, const char *id, v2m_error_t *error)
{
    int       rc;
    v2m_job_t job;

    rc = v2m_jobs_find_by_fid(tool->mongo, id, NULL, &job, error);
    if (rc != V2M_OK) {
        return rc;
    }

    if (tool->json) {
        v2m_tool_print_json(v2m_tool_json(&job));
    } else {
        v2m_tool_print_whole(&job);
    }

    v2m_job_free(&job);

    return V2M_OK;
}


int
v2m_tool_show(v2m_tool_t *tool, int count, char **ids)
{
    return v2m_tool_each(tool, count, ids, v2m_tool_show_one);
}


/* Publishes one job's message.  The record is the outbox: what does not work
 * now the sweep does. */
static void
v2m_tool_publish(v2m_tool_t *tool, const v2m_job_t *job, v2m_outbox_kind_t kind)
{
    int         rc;
    size_t      published;
    v2m_amqp_t *amqp;
    const char *queue;
    v2m_error_t error;

    queue = kind == V2M_OUTBOX_MAILS ? tool->mp3_queue : tool->queue;
    rc = v2m_tool_connect(tool, &amqp, queue, &error);

    if (rc == V2M_OK) {
        rc = v2m_outbox_publish(amqp, tool->mongo, queue, kind, job, 1,
                                &published, &error);
        v2m_amqp_close(amqp);
    }

    if (rc != V2M_OK) {
        fprintf(stderr,
                "v2m-jobs: %s is left to the sweep to publish, for now: %s\n",
                job->id, error.text);
    }
}


int
v2m_tool_again(v2m_tool_t *tool, const char *id, v2m_outbox_kind_t kind,
               v2m_error_t *error)
{
    int       rc;
    v2m_job_t job;

    rc = kind == V2M_OUTBOX_MAILS
             ? v2m_jobs_notify_again(tool->mongo, id, error)
             : v2m_jobs_retry(tool->mongo, id, error);

    if (rc != V2M_OK && rc != V2M_CONFLICT) {
        return rc;
    }

    if (v2m_jobs_find(tool->mongo, id, NULL, &job, error) != V2M_OK) {
        return error->code;
    }

    if (rc == V2M_OK) {
        v2m_tool_publish(tool, &job, kind);

    } else if (kind == V2M_OUTBOX_MAILS) {
        v2m_error_set(error, rc, "the mail about job %s is %s, not failed", id,
                      v2m_job_notified_name(job.notified));

    } else if (job.state == V2M_JOB_FAILED) {
        v2m_error_set(error, rc, "the video of job %s was removed", id);

    } else {
        v2m_error_set(error, rc, "job %s is %s, not failed", id,
                      v2m_job_state_name(job.state));
    }

    v2m_job_free(&job);

    return rc;
}


static int
v2m_tool_retry_one(v2m_tool_t *tool, const char *id, v2m_error_t *error)
{
    return v2m_tool_again(tool, id, V2M_OUTBOX_VIDEOS, error);
}


int
v2m_tool_retry(v2m_tool_t *tool, int count, char **ids)
{
    return v2m_tool_each(tool, count, ids, v2m_tool_retry_one);
}


static int
v2m_tool_mail_one(v2m_tool_t *tool, const char *id, v2m_error_t *error)
{
    return v2m_tool_again(tool, id, V2M_OUTBOX_MAILS, error);
}


int
v2m_tool_mail(v2m_tool_t *tool, int count, char **ids)
{
    return v2m_tool_each(tool, count, ids, v2m_tool_mail_one);
}


static int
v2m_tool_drop_one(v2m_tool_t *tool, const char *id, v2m_error_t *error)
{
    int       rc;
    v2m_job_t job;

    rc = v2m_jobs_drop(tool->mongo, id, NULL, &job, error);
    v2m_job_free(&job);

    return rc;
}


int
v2m_tool_drop(v2m_tool_t *tool, int count, char **ids)
{
    return v2m_tool_each(tool, count, ids, v2m_tool_drop_one);
}
