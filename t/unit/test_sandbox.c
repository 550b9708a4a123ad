/*
 * What a process can still do after v2m_sandbox_enter(): every attempt is
 * made in a child of its own, which tells by its exit status, or by the signal
 * that ends it, what came of it.
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "v2m_channel.h"
#include "v2m_sandbox.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER 1
#else
#define SANITIZER 0
#endif

/* Exit statuses of an attempt; an errno is another. */
#define SUCCEEDED  0
#define NO_SANDBOX 200

#define WAIT_MS 10000

/* A descriptor that is open when the sandbox is entered. */
#define STRAY_FD 20

static int parent_pid;


/* The child's part: enters the sandbox with the far end of a channel, makes
 * the attempt and ends with its result, 0 or an errno. */
static void
attempt_in_sandbox(int (*attempt)(void), int channel_fd)
{
    int         result;
    v2m_error_t error;

    if (dup2(channel_fd, V2M_CHANNEL_FD) == -1
        || dup2(STDOUT_FILENO, STRAY_FD) == -1
        || v2m_sandbox_enter(&error) != V2M_OK)
    {
        _exit(NO_SANDBOX);
    }

    result = attempt();
    _exit(result);
}


/* Makes the attempt in a child and returns how that ended, as wait() does. */
static int
outcome(int (*attempt)(void))
{
    int   status, ends[2];
    pid_t pid;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    parent_pid = getpid();
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        attempt_in_sandbox(attempt, ends[1]);
    }

    close(ends[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(ends[0]);

    return status;
}


static void
assert_refused(int (*attempt)(void), int number)
{
    int status;

    status = outcome(attempt);

    if (!WIFEXITED(status) || WEXITSTATUS(status) != number) {
        fail_msg("ended with %s %d instead of status %d",
                 WIFEXITED(status) ? "status" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                 number);
    }
}


static void
assert_works(int (*attempt)(void))
{
    assert_refused(attempt, SUCCEEDED);
}


static void
assert_deadly(int (*attempt)(void))
{
    int status;

    status = outcome(attempt);

    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
        fail_msg("ended with %s %d instead of signal %d",
                 WIFEXITED(status) ? "status" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                 SIGSYS);
    }
}


static int
result_of(long returned)
{
    return returned == -1 ? errno : SUCCEEDED;
}


/* files */


static int
try_open(void)
{
    return result_of(open("/etc/passwd", O_RDONLY));
}


static int
try_open_call(void)
{
#ifdef SYS_open
    return result_of(syscall(SYS_open, "/etc/passwd", O_RDONLY));
#else
    return EPERM;
#endif
}


static int
try_openat2(void)
{
    uint64_t how[3] = { O_RDONLY, 0, 0 };

    return result_of(
        syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof(how)));
}


static int
try_create(void)
{
    return result_of(
        open("/tmp/v2m-sandbox-escaped", O_WRONLY | O_CREAT, 0600));
}


static int
try_memfd(void)
{
    return result_of(memfd_create("v2m", 0));
}


static int
try_unlink(void)
{
    return result_of(unlink("/tmp/v2m-sandbox-escaped"));
}


static int
try_stat(void)
{
    struct stat status;

    return result_of(stat("/etc/passwd", &status));
}


static int
try_directory(void)
{
    return result_of(chdir("/tmp"));
}


static void
test_no_file(void **state)
{
    (void) state;

    assert_refused(try_open, EPERM);
    assert_refused(try_open_call, EPERM);
    assert_refused(try_openat2, EPERM);
    assert_refused(try_create, EPERM);
    assert_refused(try_memfd, EPERM);
    assert_refused(try_unlink, EPERM);
    assert_refused(try_stat, EPERM);
    assert_refused(try_directory, EPERM);
}


/* descriptors */


static int
try_stray_write(void)
{
    return result_of(write(STRAY_FD, "x", 1));
}


static int
try_stray_fstat(void)
{
    struct stat status;

    return result_of(syscall(SYS_fstat, STRAY_FD, &status));
}


static int
try_write_out(void)
{
    return result_of(write(STDOUT_FILENO, "x", 1));
}


static int
try_read(void)
{
    char byte;

    return result_of(read(STDIN_FILENO, &byte, 1));
}


static int
try_dup(void)
{
    return result_of(dup(V2M_CHANNEL_FD));
}


static int
try_ioctl(void)
{
    /* TIOCSTI: types into the terminal that is on standard error */
    return result_of(syscall(SYS_ioctl, STDERR_FILENO, 0x5412, "x"));
}


static int
try_send(void)
{
    struct iovec  iov = { "x", 1 };
    struct msghdr message;

    memset(&message, 0, sizeof(message));
    message.msg_iov = &iov;
    message.msg_iovlen = 1;

    return result_of(sendmsg(V2M_CHANNEL_FD, &message, MSG_NOSIGNAL));
}


static int
try_send_elsewhere(void)
{
    struct iovec  iov = { "x", 1 };
    struct msghdr message;

    memset(&message, 0, sizeof(message));
    message.msg_iov = &iov;
    message.msg_iovlen = 1;

    return result_of(sendmsg(STDOUT_FILENO, &message, MSG_NOSIGNAL));
}


static int
try_receive_elsewhere(void)
{
    char byte;

    return result_of(recv(STDIN_FILENO, &byte, 1, MSG_DONTWAIT));
}


static void
test_only_its_descriptors(void **state)
{
    (void) state;

    assert_refused(try_stray_write, EPERM);
    assert_refused(try_stray_fstat, EBADF);
    assert_refused(try_write_out, EPERM);
    assert_refused(try_read, EPERM);
    assert_refused(try_dup, EPERM);
    assert_refused(try_ioctl, EPERM);
    assert_refused(try_send_elsewhere, EPERM);
    assert_refused(try_receive_elsewhere, EPERM);
    assert_works(try_send);
}


/* the network */


static int
try_socket(void)
{
    return result_of(socket(AF_INET, SOCK_STREAM, 0));
}


static int
try_unix_socket(void)
{
    return result_of(socket(AF_UNIX, SOCK_STREAM, 0));
}


static int
try_socketpair(void)
{
    int ends[2];

    return result_of(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
}


static int
try_connect(void)
{
    struct sockaddr_in address;

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_port = htons(80);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    return result_of(
        connect(V2M_CHANNEL_FD, (struct sockaddr *) &address, sizeof(address)));
}


static int
try_bind(void)
{
    struct sockaddr_in address;

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;

    return result_of(
        bind(V2M_CHANNEL_FD, (struct sockaddr *) &address, sizeof(address)));
}


static int
try_io_uring(void)
{
    char parameters[256] = { 0 };

    return result_of(syscall(SYS_io_uring_setup, 1, parameters));
}


static void
test_no_network(void **state)
{
    (void) state;

    assert_deadly(try_socket);
    assert_deadly(try_unix_socket);
    assert_deadly(try_socketpair);
    assert_deadly(try_connect);
    assert_refused(try_bind, EPERM);
    assert_deadly(try_io_uring);
}


/* processes */


static int
try_exec(void)
{
    char *arguments[] = { "true", NULL };

    return result_of(execv("/bin/true", arguments));
}


static int
try_fork(void)
{
    pid_t pid;

    pid = fork();

    if (pid == 0) {
        _exit(0);
    }

    return result_of(pid);
}


static int
try_fork_call(void)
{
    long pid;

#ifdef SYS_fork
    pid = syscall(SYS_fork);
#else
    pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
#endif

    if (pid == 0) {
        _exit(0);
    }

    return result_of(pid);
}


static int
try_kill(void)
{
    return result_of(kill(parent_pid, 0));
}


static int
try_abort_parent(void)
{
    return result_of(syscall(SYS_tgkill, parent_pid, parent_pid, 0));
}


static int
try_queue_signal(void)
{
    siginfo_t info;

    memset(&info, 0, sizeof(info));
    info.si_code = SI_QUEUE;

    return result_of(syscall(SYS_rt_sigqueueinfo, parent_pid, SIGUSR1, &info));
}


static int
try_ptrace(void)
{
    return result_of(
        syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, parent_pid, NULL, NULL));
}


static int
try_read_memory(void)
{
    char         byte;
    struct iovec iov = { &byte, 1 };

    return result_of(process_vm_readv(parent_pid, &iov, 1, &iov, 1, 0));
}


static int
try_dumpable(void)
{
    return result_of(prctl(PR_SET_DUMPABLE, 1));
}


static int
try_survive_parent(void)
{
    return result_of(prctl(PR_SET_PDEATHSIG, 0));
}


static void
test_no_other_process(void **state)
{
    (void) state;

    assert_deadly(try_exec);
    assert_refused(try_fork, EPERM);
#ifdef SYS_fork
    assert_deadly(try_fork_call);
#else
    assert_refused(try_fork_call, EPERM);
#endif
    assert_deadly(try_kill);
    assert_refused(try_abort_parent, EPERM);
    assert_refused(try_queue_signal, EPERM);
    assert_deadly(try_ptrace);
    assert_deadly(try_read_memory);
    assert_refused(try_dumpable, EPERM);
    assert_refused(try_survive_parent, EPERM);
}


static void *
nothing(void *data)
{
    return data;
}


static int
try_thread(void)
{
    int       rc;
    pthread_t thread;

    rc = pthread_create(&thread, NULL, nothing, NULL);

    return rc == 0 ? pthread_join(thread, NULL) : rc;
}


static int
try_abort(void)
{
    abort();
}


static void
test_threads_and_abort(void **state)
{
    int status;

    (void) state;

    assert_works(try_thread);

    status = outcome(try_abort);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_false(WCOREDUMP(status));
}


/* memory */


static int
try_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                -1,
                0) == MAP_FAILED
               ? errno
               : SUCCEEDED;
}


static int
try_data_as_code(void)
{
    void *page;

    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                -1, 0);

    return page == MAP_FAILED
               ? NO_SANDBOX
               : result_of(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}


/* Takes memory until there is no more, at most 2 GiB: EFBIG stands for "no
 * limit", and less than a quarter is too little to work with. */
static int
try_memory(void)
{
    int i;

    for (i = 0; i < 32; i++) {
        if (mmap(NULL, 64 * 1024 * 1024, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
            == MAP_FAILED)
        {
            return i >= 8 ? errno : NO_SANDBOX;
        }
    }

    return EFBIG;
}


static int
try_raise_limit(void)
{
    struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

    return result_of(setrlimit(RLIMIT_AS, &limit));
}


static void
test_memory(void **state)
{
    (void) state;

    assert_refused(try_code, EPERM);
    assert_refused(try_data_as_code, EPERM);
    assert_refused(try_memory, ENOMEM);
    assert_refused(try_raise_limit, EPERM);
}


/* the parent's end */


/* A process that has a child in the sandbox, of which it tells by closing
 * its end of a pipe. */
static void
be_killed(int told_fd)
{
    int         ends[2];
    char        byte;
    pid_t       pid;
    v2m_error_t error;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1) {
        _exit(NO_SANDBOX);
    }

    pid = fork();

    if (pid == 0) {
        /* standard error stays open in it, and shows that it lives */
        dup2(told_fd, STDERR_FILENO);
        dup2(ends[1], V2M_CHANNEL_FD);

        if (v2m_sandbox_enter(&error) == V2M_OK
            && write(STDERR_FILENO, "x", 1) == 1) {
            poll(NULL, 0, -1);
        }

        _exit(NO_SANDBOX);
    }

    close(told_fd);
    close(ends[1]);

    /* nobody writes: this waits until it is killed */
    (void) !read(ends[0], &byte, 1);
    _exit(NO_SANDBOX);
}


static void
test_ends_with_its_parent(void **state)
{
    int           fds[2], status;
    char          byte;
    pid_t         pid;
    struct pollfd pollfd;

    (void) state;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {
        close(fds[0]);
        be_killed(fds[1]);
    }

    close(fds[1]);
    pollfd.fd = fds[0];
    pollfd.events = POLLIN;

    assert_int_equal(poll(&pollfd, 1, WAIT_MS), 1);
    assert_int_equal(read(fds[0], &byte, 1), 1);

    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);

    /* the grandchild had the pipe's other end: now nobody has it any more */
    assert_int_equal(poll(&pollfd, 1, WAIT_MS), 1);
    assert_int_equal(read(fds[0], &byte, 1), 0);
    close(fds[0]);
}


int
main(void)
{
    const struct CMUnitTest everywhere[] = {
        cmocka_unit_test(test_threads_and_abort),
        cmocka_unit_test(test_ends_with_its_parent),
    };

    const struct CMUnitTest without_sanitizer[] = {
        { "S20 no file", test_no_file, NULL, NULL, NULL },
        { "S20 only its descriptors", test_only_its_descriptors, NULL, NULL,
          NULL },
        { "S20 no network", test_no_network, NULL, NULL, NULL },
        { "S20 no other process", test_no_other_process, NULL, NULL, NULL },
        { "S19 memory", test_memory, NULL, NULL, NULL },
    };

    int failed;

    failed = cmocka_run_group_tests(everywhere, NULL, NULL);

    /* a sanitizer needs files and memory, so that there is no filter */
    if (!SANITIZER) {
        failed += cmocka_run_group_tests(without_sanitizer, NULL, NULL);
    }

    return failed;
}
