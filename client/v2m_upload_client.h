/*
 * Uploads of the command.
 */

#ifndef V2M_UPLOAD_CLIENT_H
#define V2M_UPLOAD_CLIENT_H

#include "v2m_client.h"

/* Uploads the file, in one piece or by tus, as its size and the client say.
 * Returns what the program ends with; *job, NULL before and when it fails, is
 * to be json_decref()ed. */
int v2m_client_upload(v2m_client_t *client, const char *path, json_t **job);

#endif /* V2M_UPLOAD_CLIENT_H */
