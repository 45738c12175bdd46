/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/confine.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifdef ADA_HAVE_LIBSECCOMP
#include <seccomp.h>
#endif

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    for (unsigned long capability = 0; capability <= 63; capability++)
        (void)prctl(PR_CAPBSET_DROP, capability, 0, 0,
                    0); /* as far as we may; nothing is run that could have them */
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

#ifdef ADA_HAVE_LIBSECCOMP

/* By what they are for. Some are not used today, but would be by another C library or another release of the libraries. */
static const int allowed[] = {
    /* memory */
    SCMP_SYS(brk),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(memfd_create),
    /* threads */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(futex),
    SCMP_SYS(futex_waitv),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(getcpu),
    SCMP_SYS(getpriority),
    SCMP_SYS(setpriority),
    SCMP_SYS(membarrier),
    SCMP_SYS(restart_syscall),
    /* signals, of our own */
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(rt_sigpending),
    SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(signalfd4),
    /* time */
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
    /* who and where we are */
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getgroups),
    SCMP_SYS(getresuid),
    SCMP_SYS(getresgid),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(getrusage),
    SCMP_SYS(times),
    SCMP_SYS(getrlimit),
    SCMP_SYS(getrandom),
    SCMP_SYS(getcwd),
    SCMP_SYS(capget),
    SCMP_SYS(pidfd_open),
    /* waiting */
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(eventfd2),
    /* descriptors */
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(preadv),
    SCMP_SYS(pwritev),
    SCMP_SYS(preadv2),
    SCMP_SYS(pwritev2),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(close_range),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(fcntl),
    SCMP_SYS(flock),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    SCMP_SYS(sendfile),
    SCMP_SYS(copy_file_range),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(sync_file_range),
    SCMP_SYS(fallocate),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fadvise64),
    SCMP_SYS(readahead),
    SCMP_SYS(fstatfs),
    /* files */
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(openat2),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(rmdir),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(umask),
    /* sockets; of which kinds, below */
    SCMP_SYS(socketpair),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(connect),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(shutdown),
};

/* What is allowed with one value of an argument. */
typedef struct Case {
    int call;
    unsigned argument;
    scmp_datum_t value;
} Case;

static const Case cases[] = {
    {SCMP_SYS(socket), 0, AF_UNIX},
    {SCMP_SYS(socket), 0, AF_INET},
    {SCMP_SYS(socket), 0, AF_INET6},
    {SCMP_SYS(prctl), 0, PR_SET_NAME},
    {SCMP_SYS(prctl), 0, PR_GET_NAME},
    {SCMP_SYS(prctl), 0, PR_SET_TIMERSLACK},
    {SCMP_SYS(prctl), 0, PR_SET_VMA}, /* the C library names its mappings */
    /* maps that the opener has handed over */
    {SCMP_SYS(bpf), 0, BPF_MAP_LOOKUP_ELEM},
    {SCMP_SYS(bpf), 0, BPF_MAP_UPDATE_ELEM},
    {SCMP_SYS(bpf), 0, BPF_MAP_DELETE_ELEM},
    {SCMP_SYS(bpf), 0, BPF_OBJ_GET_INFO_BY_FD},
    {SCMP_SYS(bpf), 0, BPF_ITER_CREATE},
    {SCMP_SYS(prlimit64), 2, 0}, /* asking alone */
};

/* With some value of an argument, compared as `op` says, by `datum` and, of SCMP_CMP_MASKED_EQ, `masked`. */
static int allow_with(scmp_filter_ctx filter, int call, unsigned argument, enum scmp_compare op,
                      scmp_datum_t datum, scmp_datum_t masked)
{
    const struct scmp_arg_cmp condition = {.arg = argument, .op = op, .datum_a = datum, .datum_b = masked};

    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &condition);
}

static int allow(scmp_filter_ctx filter)
{
    const uint64_t thread = CLONE_VM | CLONE_THREAD;
    int error = 0;

    for (size_t i = 0; !error && i < sizeof(allowed) / sizeof(allowed[0]); i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    for (size_t i = 0; !error && i < sizeof(cases) / sizeof(cases[0]); i++)
        error = allow_with(filter, cases[i].call, cases[i].argument, SCMP_CMP_EQ, cases[i].value, 0);
    /* Threads, and no processes; clone3(2), whose argument filters cannot see, is not there, and C libraries then do without. */
    if (!error)
        error = allow_with(filter, SCMP_SYS(clone), 0, SCMP_CMP_MASKED_EQ, thread, thread);
    /* As abort(3) does. */
    if (!error)
        error = allow_with(filter, SCMP_SYS(tgkill), 0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
    /* All but what puts input into somebody's terminal. */
    if (!error)
        error = allow_with(filter, SCMP_SYS(ioctl), 1, SCMP_CMP_NE, TIOCSTI, 0);
    return error;
}

static int filter_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int error = filter ? 0 : -ENOMEM;

    if (!error)
        error = allow(filter);
    if (!error)
        error = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    return error;
}

bool confine_filters(void)
{
    return true;
}

#else

static int filter_calls(void)
{
    return 0;
}

bool confine_filters(void)
{
    return false;
}

#endif

int confine_thread(void)
{
    int error = drop_capabilities();

    return error ? error : filter_calls();
}
