#include "v2m_sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "v2m_channel.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define V2M_SANDBOX_SANITIZER 1
#else
#define V2M_SANDBOX_SANITIZER 0
#endif

#define V2M_SANDBOX_MEMORY ((rlim_t) 1024 * 1024 * 1024)

#define V2M_SANDBOX_LOG STDERR_FILENO

/* Anything else fails with EPERM, which libraries can cope with. */
static const char *const v2m_sandbox_calls[] = {
    "arch_prctl",
    "brk",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "close",
    "exit",
    "exit_group",
    "fstat",
    "futex",
    "futex_time64",
    "futex_waitv",
    "get_robust_list",
    "getcpu",
    "getpid",
    "getrandom",
    "gettid",
    "gettimeofday",
    "madvise",
    "membarrier",
    "mremap",
    "munmap",
    "nanosleep",
    "poll",
    "ppoll",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "sysinfo",
    NULL,
};

/* These no library tries in passing: a process that does is not ours any
 * more, and ends at once. */
static const char *const v2m_sandbox_deadly[] = {
    "bpf",
    "connect",
    "execve",
    "execveat",
    "fork",
    "io_uring_setup",
    "kill",
    "mount",
    "name_to_handle_at",
    "perf_event_open",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "setns",
    "socket",
    "socketpair",
    "unshare",
    "userfaultfd",
    "vfork",
    NULL,
};


static int
v2m_sandbox_failed(const char *what, int number, v2m_error_t *error)
{
    return v2m_error_set(error, V2M_ERROR, "%s failed: %s", what,
                         strerror(number));
}


static int
v2m_sandbox_limit(int resource, rlim_t value, v2m_error_t *error)
{
    struct rlimit limit;

    limit.rlim_cur = value;
    limit.rlim_max = value;

    if (setrlimit(resource, &limit) == -1) {
        return v2m_sandbox_failed("setrlimit()", errno, error);
    }

    return V2M_OK;
}


/* What a sanitizer needs: memory for its shadow, files for its reports. */
static int
v2m_sandbox_limits(v2m_error_t *error)
{
    int    rc;
    size_t i;

    static const struct {
        int    resource;
        rlim_t value;
        int    sanitizer;
    } limits[] = {
        { RLIMIT_CORE, 0, 1 },
        { RLIMIT_FSIZE, 0, 0 },
        { RLIMIT_NOFILE, V2M_CHANNEL_FD + 1, 0 },
        { RLIMIT_AS, V2M_SANDBOX_MEMORY, 0 },
    };

    for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (V2M_SANDBOX_SANITIZER && !limits[i].sanitizer) {
            continue;
        }

        rc = v2m_sandbox_limit(limits[i].resource, limits[i].value, error);
        if (rc != V2M_OK) {
            return rc;
        }
    }

    return V2M_OK;
}


/* A call that this kernel or machine does not have needs no rule. */
static int
v2m_sandbox_rule(scmp_filter_ctx filter, uint32_t action, const char *name,
                 const struct scmp_arg_cmp *argument)
{
    int number, rc;

    number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) {
        return 0;
    }

    rc = seccomp_rule_add_array(filter, action, number,
                                argument != NULL ? 1 : 0, argument);

    return rc == -EDOM ? 0 : rc;
}


/* Calls that are allowed with a certain argument only. */
static int
v2m_sandbox_fill_bounded(scmp_filter_ctx filter)
{
    int    rc;
    size_t i;

    const struct {
        const char         *name;
        struct scmp_arg_cmp argument;
    } bounded[] = {
        /* the two ways out; the second datum counts with a mask alone */
        { "recvfrom", SCMP_A0(SCMP_CMP_EQ, V2M_CHANNEL_FD, 0) },
        { "sendmsg", SCMP_A0(SCMP_CMP_EQ, V2M_CHANNEL_FD, 0) },
        { "write", SCMP_A0(SCMP_CMP_EQ, V2M_SANDBOX_LOG, 0) },

        /* a thread, but no process */
        { "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD) },

        /* memory, but no new code */
        { "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
        { "mmap2", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },
        { "mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0) },

        /* abort(), and names of threads */
        { "tgkill", SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t) getpid(), 0) },
        { "prctl", SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0) },
    };

    rc = 0;

    for (i = 0; rc == 0 && i < sizeof(bounded) / sizeof(bounded[0]); i++) {
        rc = v2m_sandbox_rule(filter, SCMP_ACT_ALLOW, bounded[i].name,
                              &bounded[i].argument);
    }

    return rc;
}


static int
v2m_sandbox_fill(scmp_filter_ctx filter)
{
    int rc, i;

    rc = 0;

    for (i = 0; rc == 0 && v2m_sandbox_calls[i] != NULL; i++) {
        rc = v2m_sandbox_rule(filter, SCMP_ACT_ALLOW, v2m_sandbox_calls[i],
                              NULL);
    }

    for (i = 0; rc == 0 && v2m_sandbox_deadly[i] != NULL; i++) {
        rc = v2m_sandbox_rule(filter, SCMP_ACT_KILL_PROCESS,
                              v2m_sandbox_deadly[i], NULL);
    }

    /* clone3() hides its flags, and the C library goes back to clone() when
     * there is no clone3() */
    if (rc == 0) {
        rc = v2m_sandbox_rule(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", NULL);
    }

    return rc == 0 ? v2m_sandbox_fill_bounded(filter) : rc;
}


static int
v2m_sandbox_filter(v2m_error_t *error)
{
    int             rc;
    scmp_filter_ctx filter;

    filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL) {
        return v2m_error_set(error, V2M_ERROR, "out of memory");
    }

    rc = v2m_sandbox_fill(filter);

    if (rc == 0) {
        rc = seccomp_load(filter);
    }

    seccomp_release(filter);

    return rc == 0 ? V2M_OK
                   : v2m_sandbox_failed("the system call filter", -rc, error);
}


int
v2m_sandbox_enter(v2m_error_t *error)
{
    int rc;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1
        || prctl(PR_SET_PDEATHSIG, SIGKILL) == -1
        || (!V2M_SANDBOX_SANITIZER && prctl(PR_SET_DUMPABLE, 0) == -1))
    {
        return v2m_sandbox_failed("prctl()", errno, error);
    }

    /* the parent should not have passed on anything else */
    closefrom(V2M_CHANNEL_FD + 1);

    rc = v2m_sandbox_limits(error);

    if (rc != V2M_OK || V2M_SANDBOX_SANITIZER) {
        return rc;
    }

    return v2m_sandbox_filter(error);
}
