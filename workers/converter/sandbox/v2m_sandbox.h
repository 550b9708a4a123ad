/*
 * What the transcoder gives up before it sees the first byte of a stranger's
 * file.  Afterwards it has its channel, its log, memory and threads, and
 * nothing else: no file, no socket, no other program, no other process.  All
 * other descriptors are closed, and the process ends when the thread that
 * started it does.  The log must be a pipe: the limit on files would be 0
 * bytes.
 */

#ifndef V2M_SANDBOX_H
#define V2M_SANDBOX_H

#include "v2m_error.h"

/*
 * To be called once, before there are threads.  In builds with sanitizers,
 * which need more than that, only the limits that they can live with.
 */
int v2m_sandbox_enter(v2m_error_t *error);

#endif /* V2M_SANDBOX_H */
