/*
 * What the command does with jobs: each function makes the calls it takes, and
 * complains on standard error when it fails.
 */

#ifndef V2M_JOBS_CLIENT_H
#define V2M_JOBS_CLIENT_H

#include "v2m_client.h"

/* All return what the program ends with.  *job and *jobs are to be
 * json_decref()ed. */

/* Asks for the token; keeps it in the account. */
int v2m_client_login(v2m_client_t *client, const char *email,
                     const char *password);

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

#endif /* V2M_JOBS_CLIENT_H */
