#include "v2m_upload_state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "v2m_client.h"
#include "v2m_home.h"

#define V2M_UPLOAD_STATE_ID 24


/* FNV-1a (draft-eastlake-fnv, the parameters of 64 bits): a name for the key.
 * The key is in the file as well, so two with one name are told apart. */
static uint64_t
v2m_upload_state_hash(const char *key)
{
    uint64_t hash;

    for (hash = 0xcbf29ce484222325; *key != '\0'; key++) {
        hash = (hash ^ (unsigned char) *key) * 0x100000001b3;
    }

    return hash;
}


/* Opens the file and locks it.  Who had the lock may have removed the file
 * meanwhile: then it is another one. */
static int
v2m_upload_state_lock(v2m_upload_state_t *state, v2m_error_t *error)
{
    int         rc;
    struct stat status;

    for (;;) {
        state->file =
            open(state->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (state->file < 0) {
            return v2m_error_set(error, V2M_ERROR, "%.160s: %s", state->path,
                                 strerror(errno));
        }

        if (flock(state->file, LOCK_EX | LOCK_NB) != 0) {
            rc = errno == EWOULDBLOCK
                     ? v2m_error_set(error, V2M_CONFLICT,
                                     "another call is at this upload")
                     : v2m_error_set(error, V2M_ERROR, "%.160s: %s",
                                     state->path, strerror(errno));
            close(state->file);
            state->file = -1;
            return rc;
        }

        if (fstat(state->file, &status) == 0 && status.st_nlink > 0) {
            return V2M_OK;
        }

        close(state->file);
    }
}


/* The file has the id, a line, and then the key. */
static void
v2m_upload_state_read(v2m_upload_state_t *state, char id[25])
{
    char  *text;
    size_t size;

    size = V2M_UPLOAD_STATE_ID + 1 + strlen(state->key);
    text = malloc(size + 1);

    /* a byte more than it has when it is ours */

    if (text != NULL && pread(state->file, text, size + 1, 0) == (ssize_t) size
        && text[V2M_UPLOAD_STATE_ID] == '\n'
        && memcmp(text + V2M_UPLOAD_STATE_ID + 1, state->key,
                  strlen(state->key))
               == 0)
    {
        memcpy(id, text, V2M_UPLOAD_STATE_ID);
        id[V2M_UPLOAD_STATE_ID] = '\0';

        if (!v2m_client_is_id(id)) {
            id[0] = '\0';
        }
    }

    free(text);
}


int
v2m_upload_state_open(v2m_upload_state_t *state, const char *key, char id[25],
                      v2m_error_t *error)
{
    int  rc;
    char name[40];

    id[0] = '\0';
    state->file = -1;
    state->key = key;

    snprintf(name, sizeof(name), "upload-%016" PRIx64,
             v2m_upload_state_hash(key));

    rc = v2m_home_path(state->path, getenv("XDG_STATE_HOME"), ".local/state",
                       name, 1, error);

    if (rc == V2M_OK) {
        rc = v2m_upload_state_lock(state, error);
    }

    if (rc == V2M_OK) {
        v2m_upload_state_read(state, id);
    }

    return rc;
}


int
v2m_upload_state_keep(v2m_upload_state_t *state, const char *id,
                      v2m_error_t *error)
{
    int   length, wrote;
    char *text;

    if (state->file < 0) {
        return V2M_OK;
    }

    length = asprintf(&text, "%s\n%s", id, state->key);
    if (length < 0) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    /* half of it is not taken for anything */
    wrote = ftruncate(state->file, 0) == 0
            && pwrite(state->file, text, (size_t) length, 0) == length;
    free(text);

    return wrote ? V2M_OK
                 : v2m_error_set(error, V2M_ERROR, "%.160s: %s", state->path,
                                 strerror(errno));
}


void
v2m_upload_state_forget(v2m_upload_state_t *state)
{
    if (state->file >= 0) {
        /* what is left of it says nothing, should it not be removable */
        (void) !ftruncate(state->file, 0);
    }
}


void
v2m_upload_state_close(v2m_upload_state_t *state)
{
    struct stat status;

    if (state->file < 0) {
        return;
    }

    if (fstat(state->file, &status) == 0 && status.st_size == 0) {
        unlink(state->path);
    }

    /* which gives back the lock */
    close(state->file);
    state->file = -1;
}
