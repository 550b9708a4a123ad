#include "v2m_job.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "v2m_json.h"

/* Digits of a time in seconds: enough for milliseconds, too few to show that
 * 0.1 is no binary fraction. */
#define V2M_JOB_JSON_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(15))

static const char *const v2m_job_states[] = {
    [V2M_JOB_UPLOADING] = "uploading",   [V2M_JOB_QUEUED] = "queued",
    [V2M_JOB_CONVERTING] = "converting", [V2M_JOB_READY] = "ready",
    [V2M_JOB_FAILED] = "failed",
};

static const char *const v2m_job_notifieds[] = {
    [V2M_NOTIFIED_NONE] = "none",
    [V2M_NOTIFIED_SENT] = "sent",
    [V2M_NOTIFIED_FAILED] = "failed",
};


void
v2m_job_init(v2m_job_t *job)
{
    memset(job, 0, sizeof(v2m_job_t));

    job->state = V2M_JOB_UPLOADING;
    job->notified = V2M_NOTIFIED_NONE;
    job->progress = -1;
    job->remaining_s = -1;
    job->duration_ms = -1;
    v2m_options_init(&job->options);
}


void
v2m_job_free(v2m_job_t *job)
{
    free(job->username);
    free(job->name);
    free(job->reason);
    free(job->webhook);
    free(job->notify_reason);
    free(job->attempts);
    v2m_job_init(job);
}


const char *
v2m_job_state_name(v2m_job_state_t state)
{
    return v2m_job_states[state];
}


const char *
v2m_job_notified_name(v2m_job_notified_t notified)
{
    return v2m_job_notifieds[notified];
}


int
v2m_job_state_parse(v2m_job_state_t *state, const char *name)
{
    int i;

    for (i = V2M_JOB_UPLOADING; i <= V2M_JOB_FAILED; i++) {
        if (strcmp(name, v2m_job_states[i]) == 0) {
            *state = (v2m_job_state_t) i;
            return V2M_OK;
        }
    }

    return V2M_INVALID;
}


int
v2m_job_notified_parse(v2m_job_notified_t *notified, const char *name)
{
    int i;

    for (i = V2M_NOTIFIED_NONE; i <= V2M_NOTIFIED_FAILED; i++) {
        if (strcmp(name, v2m_job_notifieds[i]) == 0) {
            *notified = (v2m_job_notified_t) i;
            return V2M_OK;
        }
    }

    return V2M_INVALID;
}


/* RFC 3339, in UTC. */
static json_t *
v2m_job_json_time(int64_t time_ms)
{
    char      text[64], day[32];
    time_t    seconds;
    int64_t   milliseconds;
    struct tm parts;

    milliseconds = time_ms % 1000;
    seconds = (time_t) (time_ms / 1000);

    if (milliseconds < 0) {
        milliseconds += 1000;
        seconds--;
    }

    if (gmtime_r(&seconds, &parts) == NULL
        || strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &parts) == 0)
    {
        return json_null();
    }

    snprintf(text, sizeof(text), "%s.%03dZ", day, (int) milliseconds);

    return json_string(text);
}


static json_t *
v2m_job_json_seconds(int64_t milliseconds)
{
    if (milliseconds < 0) {
        return json_null();
    }

    if (milliseconds % 1000 == 0) {
        return json_integer(milliseconds / 1000);
    }

    return json_real((double) milliseconds / 1000);
}


static int
v2m_job_json_option(json_t *object, const char *name, int64_t value)
{
    return value < 0 ? 0
                     : json_object_set_new(object, name, json_integer(value));
}


static json_t *
v2m_job_json_options(const v2m_options_t *options)
{
    int     failed;
    json_t *object;

    object = json_object();

    failed = v2m_job_json_option(object, "bitrate", options->bitrate);
    failed |= v2m_job_json_option(object, "quality", options->quality);
    failed |= v2m_job_json_option(object, "track", options->track);

    if (options->start_ms >= 0) {
        failed |= json_object_set_new(object, "start",
                                      v2m_job_json_seconds(options->start_ms));
    }

    if (options->end_ms >= 0) {
        failed |= json_object_set_new(object, "end",
                                      v2m_job_json_seconds(options->end_ms));
    }

    failed |= v2m_job_json_option(object, "samplerate", options->samplerate);
    failed |= v2m_job_json_option(object, "channels", options->channels);

    if (options->loudness >= 0) {
        failed |= json_object_set_new(
            object, "loudnorm",
            options->loudness % 10 == 0
                ? json_integer(-options->loudness / 10)
                : json_real((double) -options->loudness / 10));
    }

    if (failed) {
        json_decref(object);
        return NULL;
    }

    return object;
}


static int
v2m_job_json_ready(json_t *object, const v2m_job_t *job)
{
    int  failed;
    char download[64];

    snprintf(download, sizeof(download), "/download?fid=%s", job->id);

    failed =
        json_object_set_new(object, "mp3_fid", v2m_json_text(job->mp3_fid));
    failed |=
        json_object_set_new(object, "mp3_size", json_integer(job->mp3_size));
    failed |= json_object_set_new(object, "duration",
                                  v2m_job_json_seconds(job->duration_ms));
    failed |= json_object_set_new(object, "download", json_string(download));

    return failed;
}


static json_t *
v2m_job_json_object(const v2m_job_t *job, int owned)
{
    int     failed;
    json_t *object;

    object = json_object();

    failed = json_object_set_new(object, "id", v2m_json_text(job->id));

    if (owned) {
        failed |= json_object_set_new(object, "username",
                                      v2m_json_text(job->username));
    }

    failed |= json_object_set_new(object, "state",
                                  json_string(v2m_job_state_name(job->state)));
    failed |= json_object_set_new(object, "name", v2m_json_text(job->name));
    failed |= json_object_set_new(object, "size", json_integer(job->size));
    failed |= json_object_set_new(
        object, "progress",
        job->progress < 0 ? json_null() : json_integer(job->progress));

    if (job->state == V2M_JOB_CONVERTING && job->phase[0] != '\0') {
        failed |=
            json_object_set_new(object, "phase", v2m_json_text(job->phase));
        failed |= json_object_set_new(object, "remaining",
                                      job->remaining_s < 0
                                          ? json_null()
                                          : json_integer(job->remaining_s));
    }

    if (job->state == V2M_JOB_FAILED) {
        failed |=
            json_object_set_new(object, "reason", v2m_json_text(job->reason));
    }

    if (job->state == V2M_JOB_READY) {
        failed |= v2m_job_json_ready(object, job);
    }

    failed |= json_object_set_new(object, "created",
                                  v2m_job_json_time(job->created_ms));
    failed |= json_object_set_new(object, "updated",
                                  v2m_job_json_time(job->updated_ms));
    failed |= json_object_set_new(
        object, "notified", json_string(v2m_job_notified_name(job->notified)));

    if (job->notified == V2M_NOTIFIED_FAILED && job->notify_reason != NULL) {
        failed |= json_object_set_new(object, "notified_reason",
                                      v2m_json_text(job->notify_reason));
    }

    if (job->webhook != NULL) {
        failed |=
            json_object_set_new(object, "webhook", v2m_json_text(job->webhook));
    }

    failed |= json_object_set_new(object, "options",
                                  v2m_job_json_options(&job->options));

    if (failed) {
        json_decref(object);
        return NULL;
    }

    return object;
}


char *
v2m_job_json(const v2m_job_t *job, int owned)
{
    char   *text;
    json_t *object;

    object = v2m_job_json_object(job, owned);
    if (object == NULL) {
        return NULL;
    }

    text = json_dumps(object, V2M_JOB_JSON_FLAGS);

    json_decref(object);

    return text;
}


char *
v2m_job_event_json(const v2m_job_t *job)
{
    int     failed;
    char   *text;
    json_t *object;

    object = json_object();

    failed = json_object_set_new(
        object, "type",
        json_string(job->state == V2M_JOB_READY ? "job.ready" : "job.failed"));
    failed |= json_object_set_new(object, "timestamp",
                                  v2m_job_json_time(job->finished_ms != 0
                                                        ? job->finished_ms
                                                        : job->updated_ms));
    failed |= json_object_set_new(object, "data", v2m_job_json_object(job, 0));

    text = failed ? NULL : json_dumps(object, V2M_JOB_JSON_FLAGS);

    json_decref(object);

    return text;
}


char *
v2m_job_list_json(const v2m_job_t *jobs, size_t count, const char *next,
                  int owned)
{
    int     failed;
    char   *text;
    size_t  i;
    json_t *object, *array;

    object = json_object();
    array = json_array();

    for (i = 0, failed = 0; i < count; i++) {
        failed |=
            json_array_append_new(array, v2m_job_json_object(&jobs[i], owned));
    }

    failed |= json_object_set_new(object, "jobs", array);
    failed |= json_object_set_new(object, "next", v2m_json_text(next));

    text = failed ? NULL : json_dumps(object, V2M_JOB_JSON_FLAGS);

    json_decref(object);

    return text;
}
