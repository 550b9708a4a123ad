#include "v2m_upload_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "v2m_tus_client.h"


static int
v2m_upload_key(char key[33])
{
    size_t        i;
    unsigned char bytes[16];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes)) {
        return 0;
    }

    for (i = 0; i < sizeof(bytes); i++) {
        sprintf(key + 2 * i, "%02x", bytes[i]);
    }

    return 1;
}


/* In one piece. */
static int
v2m_upload_whole(v2m_client_t *client, FILE *file, const char *label,
                 json_t **job)
{
    int         result;
    char        key[33], header[64], *name, *target;
    v2m_call_t  call;
    const char *headers[] = { header, NULL };

    name = v2m_call_escape(label);

    if (name == NULL || !v2m_upload_key(key)
        || asprintf(&target, "/upload/%s%s%s", name,
                    client->query[0] != '\0' ? "?" : "", client->query)
               < 0)
    {
        v2m_client_complain("out of memory");
        free(name);
        return V2M_CLIENT_FAILED;
    }

    snprintf(header, sizeof(header), "Idempotency-Key: %s", key);

    memset(&call, 0, sizeof(call));
    call.method = "PUT";
    call.body = file;
    call.headers = headers;
    call.line = client->progress ? v2m_screen_begin(label) : NULL;

    result = v2m_client_call(client, &call, target, job);
    v2m_screen_end(call.line);

    free(target);
    free(name);

    return result;
}


int
v2m_client_upload(v2m_client_t *client, const char *path, json_t **job)
{
    int         result;
    FILE       *file;
    const char *slash;
    struct stat status;

    file = fopen(path, "re");

    if (file == NULL || fstat(fileno(file), &status) != 0) {
        v2m_client_complain("%s: %s", path, strerror(errno));
        if (file != NULL) {
            fclose(file);
        }
        return V2M_CLIENT_FAILED;
    }

    slash = strrchr(path, '/');
    slash = slash != NULL ? slash + 1 : path;

    result = V2M_TUS_CLIENT_NONE;

    if (S_ISREG(status.st_mode) && status.st_size > 0
        && status.st_size >= client->resumable)
    {
        result = v2m_tus_client_upload(client, file, path, job);
    }

    if (result == V2M_TUS_CLIENT_NONE) {
        result = v2m_upload_whole(client, file, slash, job);
    }

    fclose(file);

    return result;
}
