/*
 * What the command does with jobs: each function makes the calls it takes, and
 * complains on standard error when it fails.
 */

#ifndef V2M_JOBS_CLIENT_H
#define V2M_JOBS_CLIENT_H

#include <jansson.h>

#include "v2m_account.h"

/* What the program ends with. */
#define V2M_CLIENT_DONE   0
#define V2M_CLIENT_FAILED 1 /* a job failed, or a file, or the call */
#define V2M_CLIENT_USAGE  2
#define V2M_CLIENT_DENIED 3 /* not logged in */
#define V2M_CLIENT_AWAY   4 /* the service is away or too busy */

typedef struct {
    v2m_account_t account;
    const char   *query;    /* conversion options, "a=1&b=2"; "" for none */
    int           progress; /* is shown */
} v2m_client_t;

/* All return one of the above.  *job and *jobs are to be json_decref()ed. */

/* Asks for the token; keeps it in the account. */
int v2m_client_login(v2m_client_t *client, const char *email,
                     const char *password);

int v2m_client_upload(v2m_client_t *client, const char *path, json_t **job);

int v2m_client_status(v2m_client_t *client, const char *id, json_t **job);

/* Until it is ready or failed: both are V2M_CLIENT_DONE.  The label is what its
 * progress is shown of. */
int v2m_client_wait(v2m_client_t *client, const char *id, const char *label,
                    json_t **job);

/* All jobs, newest first, however many pages. */
int v2m_client_list(v2m_client_t *client, json_t **jobs);

int v2m_client_delete(v2m_client_t *client, const char *id);

/* Brings the MP3 of a ready job to the path, which appears only when all of
 * it is there; what a broken-off call left in PATH.ID.part is gone on with. */
int v2m_client_download(v2m_client_t *client, const json_t *job,
                        const char *path);

/* A string of a job, or "". */
const char *v2m_client_text(const json_t *job, const char *name);

void v2m_client_complain(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#endif /* V2M_JOBS_CLIENT_H */
