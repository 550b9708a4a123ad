/*
 * Uploads that are gone on with where they broke off, by tus 1.0.0
 * (https://tus.io/protocols/resumable-upload).
 */

#ifndef V2M_TUS_CLIENT_H
#define V2M_TUS_CLIENT_H

#include "v2m_client.h"
#include "v2m_upload_file.h"

/* The service takes no such uploads. */
#define V2M_TUS_CLIENT_NONE -1

/*
 * Uploads the file; of the same file and options it goes on with what an
 * earlier call left.  When it breaks off it is tried again with growing pauses,
 * until nothing more of it arrives.  Complains when it fails.  Returns
 * V2M_TUS_CLIENT_NONE or what the program ends with; *job is to be
 * json_decref()ed.
 */
int v2m_tus_client_upload(v2m_client_t *client, const v2m_upload_file_t *file,
                          json_t **job);

#endif /* V2M_TUS_CLIENT_H */
