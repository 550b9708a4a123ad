#include "v2m_child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "v2m_channel.h"
#include "v2m_config.h"
#include "v2m_log.h"

#define V2M_CHILD_NAME "v2m-transcode"

#define V2M_CHILD_LOG   STDERR_FILENO
#define V2M_CHILD_LINES 20 /* of its log that are passed on */

/* Only these of our environment reach the child: where the sanitizers of a
 * test build put their reports. */
static const char *const v2m_child_environment[] = { "ASAN_OPTIONS",
                                                     "UBSAN_OPTIONS" };

#define V2M_CHILD_VARIABLES                                                    \
    (sizeof(v2m_child_environment) / sizeof(v2m_child_environment[0]))


/* The path of the transcoder beside this program. */
static int
v2m_child_sibling(char path[PATH_MAX], v2m_error_t *error)
{
    char   *slash;
    size_t  size;
    ssize_t n;

    size = PATH_MAX - sizeof(V2M_CHILD_NAME);
    n = readlink("/proc/self/exe", path, size);

    if (n < 1 || (size_t) n == size) {
        return v2m_error_set(error, V2M_ERROR,
                             "cannot tell where this program is: give "
                             "V2M_TRANSCODE");
    }

    path[n] = '\0';
    slash = strrchr(path, '/');
    strcpy(slash != NULL ? slash + 1 : path, V2M_CHILD_NAME);

    return V2M_OK;
}


int
v2m_child_find(char **path, v2m_error_t *error)
{
    int  rc;
    char sibling[PATH_MAX];

    *path = NULL;
    rc = v2m_child_sibling(sibling, error);

    if (rc == V2M_OK) {
        rc = v2m_config_string("V2M_TRANSCODE", sibling, path, error);
    }

    if (rc == V2M_OK && access(*path, X_OK) == -1) {
        rc =
            v2m_error_set(error, V2M_INVALID,
                          "the program for the media cannot be started: %.128s:"
                          " %s (see V2M_TRANSCODE)",
                          *path, strerror(errno));
    }

    return rc;
}


/* Fills the list with malloc'ed "NAME=value". */
static void
v2m_child_fill_environment(char *environment[V2M_CHILD_VARIABLES + 1])
{
    char       *entry;
    size_t      i, count, length;
    const char *name, *value;

    for (i = 0, count = 0; i < V2M_CHILD_VARIABLES; i++) {
        name = v2m_child_environment[i];
        value = getenv(name);

        if (value == NULL) {
            continue;
        }

        length = strlen(name) + 1 + strlen(value) + 1;
        entry = malloc(length);

        if (entry != NULL) {
            strcpy(entry, name);
            strcat(entry, "=");
            strcat(entry, value);
            environment[count++] = entry;
        }
    }

    environment[count] = NULL;
}


static int
v2m_child_actions(posix_spawn_file_actions_t *actions, int channel_fd,
                  int log_fd)
{
    int rc;

    /* both are above V2M_CHANNEL_FD, so that none is overwritten before it
     * was copied */

    if ((rc = posix_spawn_file_actions_addopen(actions, STDIN_FILENO,
                                               "/dev/null", O_RDONLY, 0))
            != 0
        || (rc = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO,
                                                  "/dev/null", O_WRONLY, 0))
               != 0
        || (rc = posix_spawn_file_actions_adddup2(actions, log_fd,
                                                  V2M_CHILD_LOG))
               != 0
        || (rc = posix_spawn_file_actions_adddup2(actions, channel_fd,
                                                  V2M_CHANNEL_FD))
               != 0)
    {
        return rc;
    }

    return posix_spawn_file_actions_addclosefrom_np(actions,
                                                    V2M_CHANNEL_FD + 1);
}


/* The parent's mask and handlers are nothing to the child. */
static int
v2m_child_attributes(posix_spawnattr_t *attributes)
{
    int      rc;
    sigset_t none, standard;

    sigemptyset(&none);
    sigfillset(&standard);

    if ((rc = posix_spawnattr_setsigmask(attributes, &none)) != 0
        || (rc = posix_spawnattr_setsigdefault(attributes, &standard)) != 0)
    {
        return rc;
    }

    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK
                                                    | POSIX_SPAWN_SETSIGDEF);
}


static int
v2m_child_spawn(v2m_child_t *child, const char *path, int channel_fd,
                int log_fd)
{
    int                        rc;
    char                      *environment[V2M_CHILD_VARIABLES + 1];
    char                      *arguments[] = { (char *) path, NULL };
    posix_spawnattr_t          attributes;
    posix_spawn_file_actions_t actions;

    rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0) {
        return rc;
    }

    rc = posix_spawnattr_init(&attributes);
    if (rc != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return rc;
    }

    rc = v2m_child_actions(&actions, channel_fd, log_fd);

    if (rc == 0) {
        rc = v2m_child_attributes(&attributes);
    }

    if (rc == 0) {
        v2m_child_fill_environment(environment);
        rc = posix_spawn(&child->pid, path, &actions, &attributes, arguments,
                         environment);

        for (size_t i = 0; environment[i] != NULL; i++) {
            free(environment[i]);
        }
    }

    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);

    return rc;
}


/* Moves a descriptor above those that the child gets. */
static int
v2m_child_lift(int *fd)
{
    int lifted;

    if (*fd > V2M_CHANNEL_FD) {
        return 0;
    }

    lifted = fcntl(*fd, F_DUPFD_CLOEXEC, V2M_CHANNEL_FD + 1);
    if (lifted == -1) {
        return -1;
    }

    close(*fd);
    *fd = lifted;

    return 0;
}


/* Limits the processor time of a process that may have ended already. */
static void
v2m_child_limit(pid_t pid, int64_t cpu_s)
{
    struct rlimit limit;

    if (cpu_s > 0) {
        limit.rlim_cur = (rlim_t) cpu_s;
        limit.rlim_max = (rlim_t) cpu_s + 1;
        prlimit(pid, RLIMIT_CPU, &limit, NULL);
    }
}


int
v2m_child_start(v2m_child_t *child, const char *path, int64_t cpu_s,
                v2m_error_t *error)
{
    int rc, ends[2], log[2];

    memset(child, 0, sizeof(*child));

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == -1) {
        return v2m_error_set(error, V2M_ERROR, "socketpair() failed: %s",
                             strerror(errno));
    }

    if (pipe2(log, O_CLOEXEC | O_NONBLOCK) == -1) {
        rc = errno;
        close(ends[0]);
        close(ends[1]);
        return v2m_error_set(error, V2M_ERROR, "pipe2() failed: %s",
                             strerror(rc));
    }

    rc = v2m_child_lift(&ends[1]) == -1 || v2m_child_lift(&log[1]) == -1
             ? errno
             : v2m_child_spawn(child, path, ends[1], log[1]);

    close(ends[1]);
    close(log[1]);

    if (rc != 0) {
        close(ends[0]);
        close(log[0]);
        return v2m_error_set(error, V2M_ERROR, "cannot start %s: %s", path,
                             strerror(rc));
    }

    v2m_child_limit(child->pid, cpu_s);
    child->fd = ends[0];
    child->log_fd = log[0];

    return V2M_OK;
}


/* Passes on what the child wrote; whatever it is, v2m_log() makes it
 * harmless. */
static void
v2m_child_log(v2m_child_t *child, const char *job)
{
    int     lines;
    char   *line, *next;
    char    text[8192];
    ssize_t n;

    n = read(child->log_fd, text, sizeof(text) - 1);
    if (n <= 0) {
        return;
    }

    text[n] = '\0';
    line = text;

    for (lines = 0; lines < V2M_CHILD_LINES && *line != '\0'; lines++) {
        next = strchr(line, '\n');

        if (next == NULL) {
            next = text + n;

        } else {
            *next++ = '\0';
        }

        v2m_log(V2M_LOG_INFO, job, "v2m-transcode: %s", line);
        line = next;
    }
}


/* Waits until the process ended.  Returns 0 when the time has passed. */
static int
v2m_child_ended(const v2m_child_t *child, int timeout_ms)
{
    int           fd, rc;
    struct pollfd pollfd;

    fd = (int) syscall(SYS_pidfd_open, child->pid, 0);
    if (fd == -1) {
        return 0;
    }

    pollfd.fd = fd;
    pollfd.events = POLLIN;

    do {
        rc = poll(&pollfd, 1, timeout_ms);
    } while (rc == -1 && errno == EINTR);

    close(fd);

    return rc == 1;
}


v2m_child_end_t
v2m_child_end(v2m_child_t *child, int timeout_ms, const char *job, int *number)
{
    int   status;
    pid_t pid;

    if (!v2m_child_ended(child, timeout_ms)) {
        kill(child->pid, SIGKILL);
    }

    do {
        pid = waitpid(child->pid, &status, 0);
    } while (pid == -1 && errno == EINTR);

    v2m_child_log(child, job);

    close(child->fd);
    close(child->log_fd);
    child->pid = 0;

    if (WIFSIGNALED(status)) {
        *number = WTERMSIG(status);
        return *number == SIGKILL ? V2M_CHILD_KILLED : V2M_CHILD_CRASHED;
    }

    *number = WEXITSTATUS(status);

    return *number == 0 ? V2M_CHILD_DONE : V2M_CHILD_FAILED;
}
