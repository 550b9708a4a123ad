#include "v2m_upload_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "v2m_jobs_client.h"
#include "v2m_tus_client.h"
#include "v2m_upload_file.h"


/* In one piece. */
static int
v2m_upload_whole(v2m_client_t *client, const v2m_upload_file_t *file,
                 json_t **job)
{
    int         result;
    char        key[V2M_CLIENT_KEY], *name, *target;
    v2m_call_t  call;
    const char *headers[] = { key, NULL };

    name = v2m_call_escape(file->label);

    if (name == NULL || !v2m_client_key(key)
        || asprintf(&target, "/upload/%s%s%s", name,
                    client->query[0] != '\0' ? "?" : "", client->query)
               < 0)
    {
        v2m_client_complain("out of memory");
        free(name);
        return V2M_CLIENT_FAILED;
    }

    memset(&call, 0, sizeof(call));
    call.method = "PUT";
    call.body = file->stream;
    call.headers = headers;
    call.keyed = 1;
    call.line = client->progress ? v2m_screen_begin(file->label) : NULL;

    result = v2m_client_call(client, file->path, &call, target, job);
    v2m_screen_end(call.line);

    free(target);
    free(name);

    if (result == V2M_CLIENT_DONE && !v2m_upload_file_is_same(file)) {
        v2m_client_complain("%s changed while it was uploaded", file->path);
        (void) v2m_client_delete(client, v2m_client_text(*job, "id"));
        result = V2M_CLIENT_FAILED;
    }

    return result;
}


int
v2m_client_upload(v2m_client_t *client, const char *path, json_t **job)
{
    int               result;
    v2m_upload_file_t file;

    if (!v2m_upload_file_open(&file, path)) {
        return V2M_CLIENT_FAILED;
    }

    result = file.status.st_size >= client->resumable
                 ? v2m_tus_client_upload(client, &file, job)
                 : V2M_TUS_CLIENT_NONE;

    if (result == V2M_TUS_CLIENT_NONE) {
        result = v2m_upload_whole(client, &file, job);
    }

    v2m_upload_file_close(&file);

    if (result == V2M_CLIENT_DONE
        && !v2m_client_is_id(v2m_client_text(*job, "id"))) {
        v2m_client_complain("%s: the answer is not that of v2m", path);
        result = V2M_CLIENT_FAILED;
    }

    if (result != V2M_CLIENT_DONE) {
        json_decref(*job);
        *job = NULL;
    }

    return result;
}
