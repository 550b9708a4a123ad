#include "v2m_job_bson.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The options that are kept in the record, by name. */
typedef struct {
    const char *name;
    int64_t     value;
} v2m_job_option_t;

#define V2M_JOB_OPTIONS 8


static void
v2m_job_list_options(v2m_job_option_t     list[V2M_JOB_OPTIONS],
                     const v2m_options_t *options)
{
    list[0] = (v2m_job_option_t){ "bitrate", options->bitrate };
    list[1] = (v2m_job_option_t){ "quality", options->quality };
    list[2] = (v2m_job_option_t){ "track", options->track };
    list[3] = (v2m_job_option_t){ "start_ms", options->start_ms };
    list[4] = (v2m_job_option_t){ "end_ms", options->end_ms };
    list[5] = (v2m_job_option_t){ "samplerate", options->samplerate };
    list[6] = (v2m_job_option_t){ "channels", options->channels };
    list[7] = (v2m_job_option_t){ "loudness", options->loudness };
}


void
v2m_job_append_options(bson_t *record, const v2m_options_t *options)
{
    bson_t           document;
    v2m_job_option_t list[V2M_JOB_OPTIONS];

    v2m_job_list_options(list, options);

    BSON_APPEND_DOCUMENT_BEGIN(record, "options", &document);

    for (int i = 0; i < V2M_JOB_OPTIONS; i++) {
        if (list[i].value >= 0) {
            BSON_APPEND_INT64(&document, list[i].name, list[i].value);
        }
    }

    bson_append_document_end(record, &document);
}


/* A number that does not fit becomes the nearest one that does, which
 * v2m_options_check() refuses; its lower bits might pass. */
static int32_t
v2m_job_option(int64_t value)
{
    return value < INT32_MIN   ? INT32_MIN
           : value > INT32_MAX ? INT32_MAX
                               : (int32_t) value;
}


static void
v2m_job_take_options(v2m_options_t *options, bson_iter_t *record)
{
    bson_iter_t      iter;
    v2m_job_option_t list[V2M_JOB_OPTIONS];

    v2m_options_init(options);

    if (!BSON_ITER_HOLDS_DOCUMENT(record) || !bson_iter_recurse(record, &iter))
    {
        return;
    }

    v2m_job_list_options(list, options);

    while (bson_iter_next(&iter)) {
        for (int i = 0; i < V2M_JOB_OPTIONS; i++) {
            if (BSON_ITER_HOLDS_NUMBER(&iter)
                && strcmp(bson_iter_key(&iter), list[i].name) == 0)
            {
                list[i].value = bson_iter_as_int64(&iter);
            }
        }
    }

    options->bitrate = v2m_job_option(list[0].value);
    options->quality = v2m_job_option(list[1].value);
    options->track = v2m_job_option(list[2].value);
    options->start_ms = list[3].value;
    options->end_ms = list[4].value;
    options->samplerate = v2m_job_option(list[5].value);
    options->channels = v2m_job_option(list[6].value);
    options->loudness = v2m_job_option(list[7].value);
}


static void
v2m_job_take_text(char **text, bson_iter_t *iter)
{
    if (BSON_ITER_HOLDS_UTF8(iter) && *text == NULL) {
        *text = strdup(bson_iter_utf8(iter, NULL));
    }
}


static void
v2m_job_take_attempts(v2m_job_t *job, bson_iter_t *record)
{
    v2m_id_t   *grown;
    bson_iter_t iter;

    if (job->attempts != NULL || !BSON_ITER_HOLDS_ARRAY(record)
        || !bson_iter_recurse(record, &iter))
    {
        return;
    }

    while (bson_iter_next(&iter)) {
        grown =
            realloc(job->attempts, (job->attempt_count + 1) * sizeof(v2m_id_t));

        if (grown == NULL) {
            return;
        }

        job->attempts = grown;

        if (BSON_ITER_HOLDS_OID(&iter)) {
            bson_oid_to_string(bson_iter_oid(&iter),
                               job->attempts[job->attempt_count++]);
        }
    }
}


/* Numbers and times that are each kept in one field.  Returns 0 when the
 * field is none of them. */
static int
v2m_job_take_time(v2m_job_t *job, const char *key, bson_iter_t *iter)
{
    size_t i;

    const struct {
        const char *name;
        int64_t    *time;
    } times[] = {
        { "created", &job->created_ms },
        { "updated", &job->updated_ms },
        { "finished", &job->finished_ms },
        { "mail_until", &job->mail.until_ms },
        { "mail_since", &job->mail.since_ms },
        { "mail_due", &job->mail.due_ms },
    };

    if (!BSON_ITER_HOLDS_DATE_TIME(iter)) {
        return 0;
    }

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        if (strcmp(key, times[i].name) == 0) {
            *times[i].time = bson_iter_date_time(iter);
            return 1;
        }
    }

    return 0;
}


static int
v2m_job_take_count(v2m_job_t *job, const char *key, bson_iter_t *iter)
{
    size_t i;

    const struct {
        const char *name;
        int        *count;
    } counts[] = {
        { "requeued", &job->requeued },
        { "mail_tries", &job->mail.tries },
        { "mail_requeued", &job->mail.requeued },
    };

    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (strcmp(key, counts[i].name) == 0) {
            *counts[i].count = (int) bson_iter_as_int64(iter);
            return 1;
        }
    }

    return 0;
}


static void
v2m_job_take_field(v2m_job_t *job, bson_iter_t *iter)
{
    uint32_t    length;
    const char *text, *key = bson_iter_key(iter);

    if (v2m_job_take_time(job, key, iter) || v2m_job_take_count(job, key, iter))
    {
        return;
    }

    if (strcmp(key, "_id") == 0 && BSON_ITER_HOLDS_OID(iter)) {
        bson_oid_to_string(bson_iter_oid(iter), job->id);

    } else if (strcmp(key, "mp3_fid") == 0 && BSON_ITER_HOLDS_OID(iter)) {
        bson_oid_to_string(bson_iter_oid(iter), job->mp3_fid);

    } else if (strcmp(key, "tus_tails") == 0 && BSON_ITER_HOLDS_OID(iter)) {
        bson_oid_to_string(bson_iter_oid(iter), job->tails);

    } else if (strcmp(key, "username") == 0) {
        v2m_job_take_text(&job->username, iter);

    } else if (strcmp(key, "name") == 0) {
        v2m_job_take_text(&job->name, iter);

    } else if (strcmp(key, "reason") == 0) {
        v2m_job_take_text(&job->reason, iter);

    } else if (strcmp(key, "webhook") == 0) {
        v2m_job_take_text(&job->webhook, iter);

    } else if (strcmp(key, "notify_reason") == 0) {
        v2m_job_take_text(&job->notify_reason, iter);

    } else if (strcmp(key, "traceparent") == 0 && BSON_ITER_HOLDS_UTF8(iter)) {
        text = bson_iter_utf8(iter, &length);
        v2m_trace_parse(job->traceparent, text, length);

    } else if (strcmp(key, "state") == 0 && BSON_ITER_HOLDS_UTF8(iter)) {
        v2m_job_state_parse(&job->state, bson_iter_utf8(iter, NULL));

    } else if (strcmp(key, "notified") == 0 && BSON_ITER_HOLDS_UTF8(iter)) {
        v2m_job_notified_parse(&job->notified, bson_iter_utf8(iter, NULL));

    } else if (strcmp(key, "published") == 0) {
        job->published = bson_iter_as_bool(iter);

    } else if (strcmp(key, "progress") == 0) {
        job->progress = (int32_t) bson_iter_as_int64(iter);

    } else if (strcmp(key, "remaining") == 0) {
        job->remaining_s = (int32_t) bson_iter_as_int64(iter);

    } else if (strcmp(key, "phase") == 0 && BSON_ITER_HOLDS_UTF8(iter)) {
        snprintf(job->phase, sizeof(job->phase), "%s",
                 bson_iter_utf8(iter, NULL));

    } else if (strcmp(key, "size") == 0) {
        job->size = bson_iter_as_int64(iter);

    } else if (strcmp(key, "mp3_size") == 0) {
        job->mp3_size = bson_iter_as_int64(iter);

    } else if (strcmp(key, "duration_ms") == 0) {
        job->duration_ms = bson_iter_as_int64(iter);

    } else if (strcmp(key, "video_removed") == 0) {
        job->video_gone = 1; /* false: it is being removed */

    } else if (strcmp(key, "expired") == 0) {
        job->expired = bson_iter_as_bool(iter);

    } else if (strcmp(key, "options") == 0) {
        v2m_job_take_options(&job->options, iter);

    } else if (strcmp(key, "attempts") == 0) {
        v2m_job_take_attempts(job, iter);
    }
}


int
v2m_job_from_bson(v2m_job_t *job, const bson_t *record, v2m_error_t *error)
{
    bson_iter_t iter;

    v2m_job_init(job);

    if (bson_iter_init(&iter, record)) {
        while (bson_iter_next(&iter)) {
            v2m_job_take_field(job, &iter);
        }
    }

    if (job->id[0] == '\0' || job->username == NULL) {
        return v2m_error_set(error, V2M_CORRUPT,
                             "a job record has no id or no username");
    }

    return V2M_OK;
}
