/*
 * The job record as C sees it, and its form as JSON.  Where it is kept and
 * how it changes is in v2m_jobs.h.
 */

#ifndef V2M_JOB_H
#define V2M_JOB_H

#include <stdint.h>

#include "v2m_error.h"
#include "v2m_id.h"
#include "v2m_options.h"
#include "v2m_trace.h"

typedef enum {
    V2M_JOB_UPLOADING,
    V2M_JOB_QUEUED,
    V2M_JOB_CONVERTING,
    V2M_JOB_READY,
    V2M_JOB_FAILED
} v2m_job_state_t;

typedef enum {
    V2M_NOTIFIED_NONE,
    V2M_NOTIFIED_SENT,
    V2M_NOTIFIED_FAILED
} v2m_job_notified_t;

/* How far the mail about the job's end is, or the call of its webhook; times in
 * ms since the epoch, 0: none. */
typedef struct {
    int64_t until_ms; /* a notifier is at it until then, unless it died */
    int     tries;    /* that the mail server put off */
    int64_t since_ms; /* when it first did */
    int64_t due_ms;   /* its message was put aside until then */
    int     requeued; /* how often its message was sent anew, being lost */
} v2m_job_mail_t;

#define V2M_JOB_PHASE 16

/* Strings and lists are malloc'ed and owned by the job; NULL means "not
 * there". */
typedef struct {
    v2m_id_t           id;       /* also the video's file id */
    v2m_id_t           mp3_fid;  /* empty until the job is ready */
    v2m_id_t           tails;    /* see v2m_tus.h; empty: none */
    char              *username; /* the owner */
    char              *name;     /* the video's file name, UTF-8 */
    char              *reason;   /* why it failed, for a person */
    char              *webhook;  /* a URL that is called in place of a mail */
    char              *notify_reason; /* why it could not be called */
    v2m_job_state_t    state;
    v2m_job_notified_t notified;
    int                published;   /* the broker confirmed the message */
    int32_t            progress;    /* percent, 0 to 100; -1: unknown */
    int32_t            remaining_s; /* of the conversion; -1: unknown */
    char    phase[V2M_JOB_PHASE];   /* what the converter is at; empty: none */
    int64_t size;                   /* of the video, bytes */
    int64_t mp3_size;               /* bytes, 0 until ready */
    int64_t duration_ms;            /* of the MP3; -1: unknown */
    int64_t created_ms;             /* since the epoch, UTC */
    int64_t updated_ms;             /* since the epoch, UTC */
    int64_t finished_ms;            /* its end state; 0: none, or not noted */
    int     requeued;               /* how often its message was sent anew */
    int     video_gone;             /* the video was removed, or is being */
    int     expired;                /* all of it is being removed */
    v2m_traceparent_t traceparent;  /* of the request that began it */
    v2m_job_mail_t    mail;
    v2m_options_t     options;
    v2m_id_t         *attempts; /* file ids that MP3s were written under */
    size_t            attempt_count;
} v2m_job_t;

/* Empties a job: no strings, uploading, no options.  Does not free. */
void v2m_job_init(v2m_job_t *job);

/* Frees strings and lists, then empties the job. */
void v2m_job_free(v2m_job_t *job);

/* "uploading", "queued", ...; static text. */
const char *v2m_job_state_name(v2m_job_state_t state);
const char *v2m_job_notified_name(v2m_job_notified_t notified);

/* V2M_INVALID: no state has that name. */
int v2m_job_state_parse(v2m_job_state_t *state, const char *name);
int v2m_job_notified_parse(v2m_job_notified_t *notified, const char *name);

/*
 * The job as clients see it; owned: with "username", whose it is, as only
 * administrators see it.  Returns malloc'ed JSON text, or NULL when out of
 * memory.
 */
char *v2m_job_json(const v2m_job_t *job, int owned);

/*
 * The event of a job that came to its end, for webhooks: {"type":"job.ready" or
 * "job.failed","timestamp":...,"data":JOB}.  Returns malloc'ed JSON text, or
 * NULL when out of memory.
 */
char *v2m_job_event_json(const v2m_job_t *job);

/* {"jobs":[...],"next":"ID"|null}: the page of a list, as clients see it. */
char *v2m_job_list_json(const v2m_job_t *jobs, size_t count, const char *next,
                        int owned);

#endif /* V2M_JOB_H */
