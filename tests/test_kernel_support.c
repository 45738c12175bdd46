/* SPDX-License-Identifier: MIT */
/* What is said when the kernel cannot or may not help: each right and each piece missing in turn, for real. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel_fixture.h"

static const KernelAssistConfig defaults;

/* What kernel_assist_create() came to in a child that had done something before. */
typedef struct Outcome {
    int error;
    char reason[KERNEL_REASON_SIZE];
} Outcome;

/* `prepare`: 0, or what keeps it from being done here. */
static Outcome outcome_after(int (*prepare)(void))
{
    Outcome outcome = {.error = -ECHILD};
    int result[2];
    pid_t child;

    CU_ASSERT_EQUAL_FATAL(pipe(result), 0);
    child = fork();
    CU_ASSERT_FATAL(child >= 0);
    if (child == 0) {
        KernelAssist *assist;

        if (prepare() != 0) {
            outcome.error = -ECANCELED;
            (void)snprintf(outcome.reason, sizeof(outcome.reason), "%s", strerror(errno));
        } else {
            outcome.error = kernel_assist_create(&defaults, &assist, outcome.reason);
            if (!outcome.error)
                kernel_assist_destroy(assist);
        }
        _exit(write(result[1], &outcome, sizeof(outcome)) != (ssize_t)sizeof(outcome));
    }
    close(result[1]);
    CU_ASSERT_EQUAL(read(result[0], &outcome, sizeof(outcome)), (ssize_t)sizeof(outcome));
    close(result[0]);
    CU_ASSERT_EQUAL(waitpid(child, NULL, 0), child);
    return outcome;
}

/* Whether assistance can be had here at all; else the test is skipped. */
static bool available(void)
{
    KernelAssist *assist;

    if (!kernel_fixture_start(&defaults, &assist))
        return false;
    kernel_assist_destroy(assist);
    return true;
}

static void expect_refusal(int (*prepare)(void), int error, const char *reason)
{
    Outcome outcome;

    if (!available())
        return;
    outcome = outcome_after(prepare);
    if (outcome.error == -ECANCELED)
        TEST_SKIP("cannot be arranged here: %s", outcome.reason);
    CU_ASSERT_EQUAL(outcome.error, error);
    CU_ASSERT_STRING_EQUAL(outcome.reason, reason);
}

/* Leaves the calling process with the capabilities in `keep` alone, bit by number. */
static int keep_capabilities(uint64_t keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

    if (syscall(SYS_capget, &header, sets) < 0)
        return -1;
    for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        sets[i].effective &= (uint32_t)(keep >> i * 32);
        sets[i].permitted &= (uint32_t)(keep >> i * 32);
        sets[i].inheritable = 0;
    }
    return (int)syscall(SYS_capset, &header, sets);
}

#define ALL_BUT(capability) (~(1ull << (capability) | 1ull << CAP_SYS_ADMIN))

static int drop_bpf(void)
{
    return keep_capabilities(ALL_BUT(CAP_BPF));
}

static int drop_perfmon(void)
{
    return keep_capabilities(ALL_BUT(CAP_PERFMON));
}

static int keep_two(void)
{
    return keep_capabilities(1ull << CAP_BPF | 1ull << CAP_PERFMON);
}

static void kernel_support__without_cap_bpf__then_it_is_named(void)
{
    expect_refusal(drop_bpf, -EPERM, "missing CAP_BPF");
}

static void kernel_support__without_cap_perfmon__then_it_is_named(void)
{
    expect_refusal(drop_perfmon, -EPERM, "missing CAP_PERFMON");
}

static void kernel_support__two_capabilities_and_no_others__then_enough(void)
{
    expect_refusal(keep_two, 0, "");
}

/* bpf(2) fails with EPERM, as under a service manager's filter. */
static int filter_bpf(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void kernel_support__bpf_refused_by_seccomp__then_that_is_the_guess(void)
{
    expect_refusal(filter_bpf, -EPERM, "bpf() is refused (EPERM): seccomp or lockdown?");
}

static int hide_btf(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -1;
    return mount("none", "/sys/kernel/btf", "tmpfs", 0, NULL);
}

static void kernel_support__btf_hidden__then_its_place_is_named(void)
{
    expect_refusal(hide_btf, -EOPNOTSUPP, "no BTF in this kernel (/sys/kernel/btf/vmlinux)");
}

/* Its child is in a new namespace; it is what goes on. */
static int enter_pid_namespace(void)
{
    pid_t child;
    int status;

    if (unshare(CLONE_NEWPID) < 0)
        return -1;
    child = fork();
    if (child <= 0)
        return child;
    (void)waitpid(child, &status, 0);
    _exit(WEXITSTATUS(status));
}

static void kernel_support__in_a_pid_namespace__then_it_is_said(void)
{
    expect_refusal(enter_pid_namespace, -EOPNOTSUPP, "adatrace runs in a pid namespace of its own");
}

static void kernel_support__bad_btf__then_the_file_is_named(void)
{
    const KernelAssistConfig config = {.btf = "/proc/self/status"};
    char reason[KERNEL_REASON_SIZE] = "";
    KernelAssist *assist;

    if (!available())
        return;
    CU_ASSERT_NOT_EQUAL(kernel_assist_create(&config, &assist, reason), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(reason, "cannot read the kernel's BTF '/proc/self/status': "));
}

static void kernel_support__build__then_as_configured(void)
{
    char reason[KERNEL_REASON_SIZE] = "";
    KernelAssist *assist = NULL;
    int error = kernel_assist_create(&defaults, &assist, reason);

#ifdef ADA_HAVE_BPF
    CU_ASSERT_STRING_NOT_EQUAL(reason, "built without BPF");
    CU_ASSERT((error == 0) == (reason[0] == '\0'));
#else
    CU_ASSERT_EQUAL(error, -EOPNOTSUPP);
    CU_ASSERT_STRING_EQUAL(reason, "built without BPF");
#endif
    kernel_assist_destroy(assist);
}

static const TestCase tests[] = {
    TEST(kernel_support__without_cap_bpf__then_it_is_named),
    TEST(kernel_support__without_cap_perfmon__then_it_is_named),
    TEST(kernel_support__two_capabilities_and_no_others__then_enough),
    TEST(kernel_support__bpf_refused_by_seccomp__then_that_is_the_guess),
    TEST(kernel_support__btf_hidden__then_its_place_is_named),
    TEST(kernel_support__in_a_pid_namespace__then_it_is_said),
    TEST(kernel_support__bad_btf__then_the_file_is_named),
    TEST(kernel_support__build__then_as_configured),
};
TEST_MAIN("kernel_support", tests)
