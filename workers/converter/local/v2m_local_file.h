/*
 * The files of v2m-convert: a video that is read at any place, and an MP3 that
 * is there only when all of it is.
 */

#ifndef V2M_LOCAL_FILE_H
#define V2M_LOCAL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "v2m_channel.h"
#include "v2m_error.h"

typedef struct {
    const char   *path;
    int           fd;     /* -1: not open */
    int64_t       length; /* bytes */
    unsigned char bytes[V2M_CHANNEL_RANGE];
} v2m_local_input_t;

typedef struct {
    char *path;      /* where it is to be in the end */
    char *temporary; /* where it grows; NULL: in its place, it is no file */
    int   fd;        /* -1: not open */
    int   replace;   /* what is there already */
} v2m_local_output_t;

/* To be closed also after a failure.  V2M_INVALID: there is no such file, or
 * it cannot be read; the text says why.  The path must outlive the input. */
int  v2m_local_input_open(v2m_local_input_t *input, const char *path,
                          v2m_error_t *error);
void v2m_local_input_close(v2m_local_input_t *input);

/* As the read of a v2m_session_owner_t. */
int v2m_local_input_read(v2m_local_input_t *input, int64_t offset,
                         size_t length, const unsigned char **bytes,
                         size_t *got, v2m_error_t *error);

/* 1 when there is a file at the path. */
int v2m_local_exists(const char *path);

/* 1 when both paths lead to the same file. */
int v2m_local_same(const char *path, const char *other);

/*
 * Makes the file under another name beside its place; with replace it will
 * take the place of a file that is there.  To be closed also after a failure.
 * V2M_INVALID: it cannot be made; the text says why.
 */
int v2m_local_output_open(v2m_local_output_t *output, const char *path,
                          int replace, v2m_error_t *error);

/* Removes what was not finished. */
void v2m_local_output_close(v2m_local_output_t *output);

int v2m_local_output_write(v2m_local_output_t *output, int64_t offset,
                           const unsigned char *bytes, size_t length,
                           v2m_error_t *error);

/* Drops all that was written. */
int v2m_local_output_restart(v2m_local_output_t *output, v2m_error_t *error);

/* Brings it to its place.  V2M_CONFLICT: there is a file now, and it is not to
 * be replaced. */
int v2m_local_output_finish(v2m_local_output_t *output, v2m_error_t *error);

#endif /* V2M_LOCAL_FILE_H */
