/*
 * What is remembered of an upload that is under way, for the next call of the
 * command: its id, in a file under $XDG_STATE_HOME/v2m of which the name is
 * made from what the upload is of.  Only the user can read it, and one call at
 * a time has it.
 */

#ifndef V2M_UPLOAD_STATE_H
#define V2M_UPLOAD_STATE_H

#include <limits.h>

#include "v2m_error.h"

typedef struct {
    int         file; /* -1: nothing is remembered */
    char        path[PATH_MAX];
    const char *key;
} v2m_upload_state_t;

/*
 * Looks up the upload of the key, any text that stays the caller's until the
 * end; id: it, or "".  V2M_CONFLICT: another call is at it, so this one is on
 * its own; any other failure: the file cannot be made.  After a failure nothing
 * is remembered, and the functions below do nothing.
 */
int v2m_upload_state_open(v2m_upload_state_t *state, const char *key,
                          char id[25], v2m_error_t *error);

/* Notes the id; V2M_ERROR: it cannot be written. */
int v2m_upload_state_keep(v2m_upload_state_t *state, const char *id,
                          v2m_error_t *error);

void v2m_upload_state_forget(v2m_upload_state_t *state);

/* Leaves a file only when there is something in it. */
void v2m_upload_state_close(v2m_upload_state_t *state);

#endif /* V2M_UPLOAD_STATE_H */
