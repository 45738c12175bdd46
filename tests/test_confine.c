/* SPDX-License-Identifier: MIT */
/* What the service cannot do any more once it has given its rights up, asked of the kernel; and what it still can. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/service/confine.h"

/* What a confined process does. Returns 0, or the number of the line that was not as it should be. */
typedef int (*Attempt)(void);

/* The line at which it went wrong. */
static int confined(Attempt attempt)
{
    int status = -1;
    pid_t pid = fork();

    CU_ASSERT_FATAL(pid >= 0);
    if (pid == 0) {
        int line = confine_thread() == 0 ? attempt() : __LINE__;

        _exit(line == 0 ? 0 : 1 + line % 255);
    }
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    return status;
}

#define EXPECT(condition)    \
    do {                     \
        if (!(condition))    \
            return __LINE__; \
    } while (0)

static int ask_for_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

    EXPECT(syscall(SYS_capget, &header, sets) == 0);
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        EXPECT(sets[i].effective == 0 && sets[i].permitted == 0 && sets[i].inheritable == 0);
    return 0;
}

static void confine__then_no_capabilities_are_left(void)
{
    CU_ASSERT_EQUAL(confined(ask_for_capabilities), 0);
}

/* Under a filter they are not there; else they are refused for want of rights. */
static bool is_refused(long result)
{
    return result < 0 && (errno == ENOSYS || errno == EPERM);
}

static int do_what_takes_rights(void)
{
    struct timeval now;

    EXPECT(is_refused(mount("none", "/tmp", "tmpfs", 0, NULL)));
    EXPECT(is_refused(sethostname("other", 5)));
    (void)gettimeofday(&now, NULL);
    EXPECT(is_refused(settimeofday(&now, NULL)));
    EXPECT(is_refused(syscall(SYS_init_module, "", 0, "")));
    EXPECT(is_refused(syscall(SYS_setgroups, 0, NULL)));
    EXPECT(is_refused(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)));
    return 0;
}

static void confine__then_nothing_that_takes_rights_works(void)
{
    CU_ASSERT_EQUAL(confined(do_what_takes_rights), 0);
}

static int call_what_is_filtered(void)
{
    union bpf_attr attributes = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    struct rlimit limit = {.rlim_cur = 100, .rlim_max = 100};
    char *const argv[] = {(char[]){"/bin/true"}, NULL};

    EXPECT(execv(argv[0], argv) < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_execveat, AT_FDCWD, argv[0], argv, NULL, 0) < 0 && errno == ENOSYS);
    EXPECT(fork() < 0 && errno == ENOSYS);
    EXPECT(vfork() < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0 && errno == ENOSYS);
    EXPECT(kill(getppid(), 0) < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 && errno == ENOSYS);
    EXPECT(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_pidfd_getfd, 0, 0, 0) < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof(attributes)) < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes)) < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0) < 0 && errno == ENOSYS);
    EXPECT(unshare(CLONE_NEWUSER) < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == ENOSYS);
    EXPECT(syscall(SYS_keyctl, 0, 0) < 0 && errno == ENOSYS);
    EXPECT(setuid(geteuid()) < 0 && errno == ENOSYS);
    EXPECT(setrlimit(RLIMIT_NOFILE, &limit) < 0 && errno == ENOSYS);
    EXPECT(prctl(PR_SET_DUMPABLE, 1) < 0 && errno == ENOSYS);
    EXPECT(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) < 0 && errno == ENOSYS);
    EXPECT(symlink("a", "/tmp/adatrace-test-link") < 0 && errno == ENOSYS);
    EXPECT(chroot("/") < 0 && errno == ENOSYS);
    return 0;
}

static void confine__then_calls_that_are_not_needed_are_not_there(void)
{
    if (!confine_filters())
        TEST_SKIP("built without libseccomp, or with sanitizers");
    CU_ASSERT_EQUAL(confined(call_what_is_filtered), 0);
}

static void *set_flag(void *flag)
{
    *(int *)flag =
        prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0 && errno == ENOSYS; /* the filter is the thread's, too */
    return NULL;
}

static int do_what_is_needed(void)
{
    char path[] = "/tmp/adatrace-test-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC), ends[2], flag = 0;
    struct rlimit limit;
    pthread_t thread;

    EXPECT(fd >= 0 && write(fd, "x", 1) == 1 && fdatasync(fd) == 0 && unlink(path) == 0);
    EXPECT(pthread_create(&thread, NULL, set_flag, &flag) == 0 && pthread_join(thread, NULL) == 0);
    EXPECT(flag == confine_filters());
    EXPECT(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    EXPECT(socket(AF_INET, SOCK_STREAM, 0) >= 0);
    EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    EXPECT(syscall(SYS_pidfd_open, getppid(), 0) >= 0);
    EXPECT(kill(getpid(), 0) == 0 || confine_filters());
    return 0;
}

static void confine__then_what_is_needed_works(void)
{
    CU_ASSERT_EQUAL(confined(do_what_is_needed), 0);
}

static int give_up(void)
{
    abort();
}

/* A check that fails should end it as ever, and not hang. */
static void confine__aborts__then_by_that_signal(void)
{
    int status = confined(give_up);

    CU_ASSERT_TRUE(WIFSIGNALED(status));
    CU_ASSERT_EQUAL(WTERMSIG(status), SIGABRT);
}

static const TestCase tests[] = {
    TEST(confine__then_no_capabilities_are_left),
    TEST(confine__then_nothing_that_takes_rights_works),
    TEST(confine__then_calls_that_are_not_needed_are_not_there),
    TEST(confine__then_what_is_needed_works),
    TEST(confine__aborts__then_by_that_signal),
};

TEST_MAIN("confine", tests)
