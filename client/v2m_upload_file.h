/*
 * A file that is uploaded.
 */

#ifndef V2M_UPLOAD_FILE_H
#define V2M_UPLOAD_FILE_H

#include <stdio.h>
#include <sys/stat.h>

typedef struct {
    const char *path;
    const char *label; /* the path's last part */
    FILE       *stream;
    struct stat status; /* as it was opened */
} v2m_upload_file_t;

/* Opens a regular file that is not empty, of the path, which stays the
 * caller's; complains and returns 0 when it cannot. */
int v2m_upload_file_open(v2m_upload_file_t *file, const char *path);

/* Whether nothing was written to it since it was opened. */
int v2m_upload_file_is_same(const v2m_upload_file_t *file);

void v2m_upload_file_close(v2m_upload_file_t *file);

#endif /* V2M_UPLOAD_FILE_H */
