#include "v2m_local_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define V2M_LOCAL_SUFFIX ".XXXXXX"


static int
v2m_local_failed(const char *what, const char *path, v2m_error_t *error)
{
    return v2m_error_set(error, V2M_INVALID, "cannot %s %.160s: %s", what, path,
                         strerror(errno));
}


int
v2m_local_input_open(v2m_local_input_t *input, const char *path,
                     v2m_error_t *error)
{
    struct stat status;

    input->path = path;
    input->fd = open(path, O_RDONLY | O_CLOEXEC);

    if (input->fd == -1 || fstat(input->fd, &status) == -1) {
        return v2m_local_failed("open", path, error);
    }

    if (!S_ISREG(status.st_mode)) {
        return v2m_error_set(error, V2M_INVALID,
                             "cannot read %.160s: it is not a file, in which "
                             "any place can be read",
                             path);
    }

    input->length = status.st_size;

    return V2M_OK;
}


void
v2m_local_input_close(v2m_local_input_t *input)
{
    if (input->fd != -1) {
        close(input->fd);
        input->fd = -1;
    }
}


int
v2m_local_input_read(v2m_local_input_t *input, int64_t offset, size_t length,
                     const unsigned char **bytes, size_t *got,
                     v2m_error_t *error)
{
    ssize_t n;

    do {
        n = pread(input->fd, input->bytes,
                  length < sizeof(input->bytes) ? length : sizeof(input->bytes),
                  offset);
    } while (n == -1 && errno == EINTR);

    if (n == -1) {
        return v2m_local_failed("read", input->path, error);
    }

    *bytes = input->bytes;
    *got = (size_t) n;

    return V2M_OK;
}


int
v2m_local_exists(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}


int
v2m_local_same(const char *path, const char *other)
{
    struct stat a, b;

    return stat(path, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev
           && a.st_ino == b.st_ino;
}


/* What the path leads to when it is a link, else itself; malloc'ed. */
static char *
v2m_local_target(const char *path)
{
    char *real;

    real = realpath(path, NULL);

    return real != NULL ? real : strdup(path);
}


static int
v2m_local_output_make(v2m_local_output_t *output, v2m_error_t *error)
{
    mode_t mask;
    size_t size;

    size = strlen(output->path) + sizeof(V2M_LOCAL_SUFFIX);
    output->temporary = malloc(size);

    if (output->temporary == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    snprintf(output->temporary, size, "%s%s", output->path, V2M_LOCAL_SUFFIX);
    output->fd = mkostemp(output->temporary, O_CLOEXEC);

    if (output->fd == -1) {
        free(output->temporary);
        output->temporary = NULL;
        return v2m_local_failed("make", output->path, error);
    }

    /* the rights that any new file gets */
    mask = umask(0);
    umask(mask);
    fchmod(output->fd, 0666 & ~mask);

    return V2M_OK;
}


int
v2m_local_output_open(v2m_local_output_t *output, const char *path, int replace,
                      v2m_error_t *error)
{
    struct stat status;

    memset(output, 0, sizeof(*output));
    output->fd = -1;
    output->replace = replace;
    output->path = v2m_local_target(path);

    if (output->path == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    if (stat(output->path, &status) == -1 || S_ISREG(status.st_mode)) {
        return v2m_local_output_make(output, error);
    }

    /* such as /dev/null */

    output->fd = open(output->path, O_WRONLY | O_CLOEXEC);

    if (output->fd == -1) {
        return v2m_local_failed("write to", path, error);
    }

    if (lseek(output->fd, 0, SEEK_SET) == -1) {
        return v2m_error_set(error, V2M_INVALID,
                             "cannot write to %.160s: the beginning of an MP3 "
                             "is written last, which needs a file",
                             path);
    }

    return V2M_OK;
}


void
v2m_local_output_close(v2m_local_output_t *output)
{
    if (output->fd != -1) {
        close(output->fd);
        output->fd = -1;
    }

    if (output->temporary != NULL) {
        unlink(output->temporary);
    }

    free(output->temporary);
    free(output->path);
    output->temporary = NULL;
    output->path = NULL;
}


int
v2m_local_output_write(v2m_local_output_t *output, int64_t offset,
                       const unsigned char *bytes, size_t length,
                       v2m_error_t *error)
{
    ssize_t n;

    while (length > 0) {
        n = pwrite(output->fd, bytes, length, offset);

        if (n == -1 && errno == EINTR) {
            continue;
        }

        if (n == -1) {
            return v2m_local_failed("write", output->path, error);
        }

        offset += n;
        bytes += n;
        length -= (size_t) n;
    }

    return V2M_OK;
}


int
v2m_local_output_restart(v2m_local_output_t *output, v2m_error_t *error)
{
    if (output->temporary != NULL && ftruncate(output->fd, 0) == -1) {
        return v2m_local_failed("write", output->path, error);
    }

    return V2M_OK;
}


static int
v2m_local_output_rename(v2m_local_output_t *output)
{
    int rc;

    rc = renameat2(AT_FDCWD, output->temporary, AT_FDCWD, output->path,
                   output->replace ? 0 : RENAME_NOREPLACE);

    /* a file system that cannot do both at once */
    if (rc == -1 && errno == EINVAL && !v2m_local_exists(output->path)) {
        rc = rename(output->temporary, output->path);
    }

    return rc;
}


int
v2m_local_output_finish(v2m_local_output_t *output, v2m_error_t *error)
{
    int rc;

    /* some file systems tell only now that they are full */
    rc = close(output->fd);
    output->fd = -1;

    if (rc == -1) {
        return v2m_local_failed("write", output->path, error);
    }

    if (output->temporary == NULL) {
        return V2M_OK;
    }

    if (v2m_local_output_rename(output) == -1) {
        rc = errno == EEXIST ? V2M_CONFLICT : V2M_INVALID;
        v2m_local_failed("make", output->path, error);
        error->code = rc;
        return rc;
    }

    free(output->temporary);
    output->temporary = NULL;

    return V2M_OK;
}
