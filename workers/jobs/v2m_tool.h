/*
 * v2m-jobs, for the operator: jobs and dead letters on the command line.
 */

#ifndef V2M_TOOL_H
#define V2M_TOOL_H

#include <jansson.h>
#include <stddef.h>

#include "v2m_amqp.h"
#include "v2m_error.h"
#include "v2m_job.h"
#include "v2m_mongo.h"
#include "v2m_outbox.h"

/* Exit statuses. */
#define V2M_TOOL_DONE      0
#define V2M_TOOL_TROUBLE   1 /* a backend is away, or worse */
#define V2M_TOOL_USAGE     2
#define V2M_TOOL_NOT_FOUND 3 /* of those named, one is not there */
#define V2M_TOOL_CONFLICT  4 /* one is in a state that does not allow it */

typedef struct {
    char        *mongo_uri;
    char        *amqp_url; /* NULL: not given */
    char        *queue;
    char        *mp3_queue;
    int          attempts; /* for a queue that is not there yet */
    v2m_mongo_t *mongo;

    /* the options of the command line */
    int         json;
    int         all;
    int         state; /* -1: any */
    const char *user;  /* NULL: anyone's */
    const char *after; /* an id, or NULL */
    int         limit;
} v2m_tool_t;

/* The exit status that goes with a result; tells the error on standard
 * error. */
int v2m_tool_failed(int rc, const v2m_error_t *error);

/* Connects to the broker, with confirms, and makes sure of a queue. */
int v2m_tool_connect(const v2m_tool_t *tool, v2m_amqp_t **amqp,
                     const char *queue, v2m_error_t *error);

/* The commands; ids are the arguments that are left.  They return an exit
 * status. */
int v2m_tool_list(v2m_tool_t *tool, int count, char **ids);
int v2m_tool_show(v2m_tool_t *tool, int count, char **ids);
int v2m_tool_retry(v2m_tool_t *tool, int count, char **ids);
int v2m_tool_mail(v2m_tool_t *tool, int count, char **ids);
int v2m_tool_drop(v2m_tool_t *tool, int count, char **ids);
int v2m_tool_dead(v2m_tool_t *tool, int count, char **arguments);

/* failed -> queued, or the mail's failed -> none, and its message is
 * published.  While the broker is away the sweep does that later: that is no
 * failure, but told.  Returns a result of v2m_error.h. */
int v2m_tool_again(v2m_tool_t *tool, const char *id, v2m_outbox_kind_t kind,
                   v2m_error_t *error);

/* The job as the operator sees it; NULL when out of memory. */
json_t *v2m_tool_json(const v2m_job_t *job);

/* Prints a document as one line, and drops the reference. */
void v2m_tool_print_json(json_t *document);

/* A table's heading, and a line of it. */
void v2m_tool_print_head(void);
void v2m_tool_print_job(const v2m_job_t *job);

/* All that is known of a job, a line each. */
void v2m_tool_print_whole(const v2m_job_t *job);

/* A text of somebody else: control characters become "?". */
void v2m_tool_print_text(const char *text);

#endif /* V2M_TOOL_H */
