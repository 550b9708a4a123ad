#include "v2m_upload_file.h"

#include <errno.h>
#include <string.h>

#include "v2m_client.h"


/* Before it is opened: to open a pipe may take forever. */
static int
v2m_upload_file_is_regular(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0) {
        v2m_client_complain("%s: %s", path, strerror(errno));
        return 0;
    }

    if (!S_ISREG(status.st_mode)) {
        v2m_client_complain("%s: this is no regular file", path);
        return 0;
    }

    if (status.st_size == 0) {
        v2m_client_complain("%s: the file is empty", path);
        return 0;
    }

    return 1;
}


int
v2m_upload_file_open(v2m_upload_file_t *file, const char *path)
{
    const char *slash;

    if (!v2m_upload_file_is_regular(path)) {
        return 0;
    }

    slash = strrchr(path, '/');

    file->path = path;
    file->label = slash != NULL ? slash + 1 : path;
    file->stream = fopen(path, "re");

    if (file->stream == NULL || fstat(fileno(file->stream), &file->status) != 0)
    {
        v2m_client_complain("%s: %s", path, strerror(errno));
        v2m_upload_file_close(file);
        return 0;
    }

    return 1;
}


int
v2m_upload_file_is_same(const v2m_upload_file_t *file)
{
    struct stat now;

    return fstat(fileno(file->stream), &now) == 0
           && now.st_size == file->status.st_size
           && now.st_mtim.tv_sec == file->status.st_mtim.tv_sec
           && now.st_mtim.tv_nsec == file->status.st_mtim.tv_nsec;
}


void
v2m_upload_file_close(v2m_upload_file_t *file)
{
    if (file->stream != NULL) {
        fclose(file->stream);
        file->stream = NULL;
    }
}
