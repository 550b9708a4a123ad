/*
 * The transcoder's process: started with nothing but its end of a channel and
 * a pipe for its log, watched, and ended.
 */

#ifndef V2M_CHILD_H
#define V2M_CHILD_H

#include <stdint.h>
#include <sys/types.h>

#include "v2m_error.h"

typedef struct {
    pid_t pid;    /* 0: not started, or ended and collected */
    int   fd;     /* our end of the channel */
    int   log_fd; /* what it writes to its standard error; not blocking */
} v2m_child_t;

typedef enum {
    V2M_CHILD_DONE,    /* it ended by itself, with status 0 */
    V2M_CHILD_FAILED,  /* it ended by itself, with another status */
    V2M_CHILD_CRASHED, /* by a signal that it brought upon itself */
    V2M_CHILD_KILLED   /* by somebody: SIGKILL */
} v2m_child_end_t;

/*
 * Where the transcoder is: what V2M_TRANSCODE says, else beside this program.
 * *path is malloc'ed, or NULL.  V2M_INVALID: there is no such program.
 */
int v2m_child_find(char **path, v2m_error_t *error);

/*
 * Starts the program at the path, for at most cpu_s seconds of processor time
 * (0: without such a limit), after which SIGXCPU ends it.  It gets no setting
 * of ours: secrets are not in its environment.  To be ended with
 * v2m_child_end() when this is V2M_OK. The calling thread must outlive the
 * child, which is killed when that thread ends.
 */
int v2m_child_start(v2m_child_t *child, const char *path, int64_t cpu_s,
                    v2m_error_t *error);

/*
 * Waits up to timeout_ms for the child to end by itself (it has nothing to do
 * any more when its channel is finished), then kills it.  Says in the log,
 * with the job's id, what it had to say and how it ended.  *number is the exit
 * status or the signal; a child that we killed counts as KILLED.
 */
v2m_child_end_t v2m_child_end(v2m_child_t *child, int timeout_ms,
                              const char *job, int *number);

#endif /* V2M_CHILD_H */
