/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/announce_abi.h"

#define LAUNCH_FD_FLOOR 800 /* descriptors the program inherits stay clear of the numbers it will use */
#define LAUNCH_VARIABLES 6

/* ---- environment ------------------------------------------------------------------------------ */

typedef struct Environment {
    char *ours[LAUNCH_VARIABLES];
    size_t count;
    char **all; /* ended by NULL; owns only the array */
} Environment;

static int add_variable(Environment *environment, const char *name, const char *value)
{
    char *text;

    if (asprintf(&text, "%s=%s", name, value) < 0)
        return -ENOMEM;
    environment->ours[environment->count++] = text;
    return 0;
}

static bool same_variable(const char *a, const char *b)
{
    size_t length = (size_t)(strchrnul(a, '=') - a);

    return strncmp(a, b, length + 1) == 0;
}

/* The caller's environment with our variables in place of its own. */
static int merge(Environment *environment)
{
    size_t count = 0;
    size_t used = 0;

    while (environ[count])
        count++;
    environment->all = calloc(count + environment->count + 1, sizeof(char *));
    if (!environment->all)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        bool replaced = false;

        for (size_t j = 0; j < environment->count; j++)
            replaced = replaced || same_variable(environment->ours[j], environ[i]);
        if (!replaced)
            environment->all[used++] = environ[i];
    }
    for (size_t j = 0; j < environment->count; j++)
        environment->all[used++] = environment->ours[j];
    return 0;
}

static int make_environment(const LaunchConfig *config, int inherited, Environment *environment)
{
    const SegmentConfig *segment = config->config;
    char text[256];
    struct stat status;
    int error;

    if (fstat(inherited, &status) < 0)
        return -errno;
    error = add_variable(environment, ADA_ENV_ANNOUNCE, config->announce);
    if (error)
        return error;
    (void)snprintf(text, sizeof(text), "%d:%llu", inherited, (unsigned long long)status.st_ino);
    error = add_variable(environment, ADA_ENV_SEGMENT, text);
    if (error)
        return error;
    (void)snprintf(text, sizeof(text), "policy=%u,detail=%u,threads=%u,ring=%u,clock=%u,block_ns=%llu",
                   segment->policy, segment->detail, segment->threads, segment->ring_bytes,
                   segment->clock_kind, (unsigned long long)segment->block_timeout_ns);
    error = add_variable(environment, ADA_ENV_OPTIONS, text);
    if (error)
        return error;
    if (config->preload_library) {
        const char *before = getenv("LD_PRELOAD");
        char *list;

        if (asprintf(&list, "%s%s%s", config->preload_library, before && *before ? ":" : "",
                     before ? before : "") < 0)
            return -ENOMEM;
        error = add_variable(environment, "LD_PRELOAD", list);
        free(list);
        if (error)
            return error;
        error = add_variable(environment, ADA_ENV_PRELOAD, config->preload_groups);
        if (error)
            return error;
    }
    return merge(environment);
}

static void free_environment(Environment *environment)
{
    for (size_t i = 0; i < environment->count; i++)
        free(environment->ours[i]);
    free(environment->all);
}

/* ---- fork and exec ---------------------------------------------------------------------------- */

/* In the child. What it can't do it reports as an errno through the pipe, which closes by itself on success. */
__attribute__((noreturn)) static void become_program(const LaunchConfig *config, char *const *environment,
                                                     int inherited, int go, int report)
{
    char byte;
    int error;

    (void)!read(go, &byte, sizeof(byte)); /* the parent's end is closed */
    (void)sigprocmask(SIG_SETMASK, config->signal_mask, NULL);
    (void)fcntl(inherited, F_SETFD, 0);
    (void)execvpe(config->argv[0], config->argv, environment);
    error = errno;
    (void)!write(report, &error, sizeof(error));
    _exit(127);
}

/* 0: the program runs; else what kept it from running. */
static int await_exec(int report)
{
    int error = 0;
    ssize_t size;

    do
        size = read(report, &error, sizeof(error));
    while (size < 0 && errno == EINTR);
    return size == (ssize_t)sizeof(error) ? -error : 0;
}

/* Forks; the child waits until the parent is ready for it. Its pid, or -errno. */
static pid_t fork_program(const LaunchConfig *config, char *const *environment, int inherited, int report)
{
    int go[2];
    pid_t pid;

    if (pipe2(go, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid == 0) {
        close(go[1]);
        become_program(config, environment, inherited, go[0], report);
    }
    if (pid < 0)
        pid = -errno;
    else if (config->on_forked)
        config->on_forked(config->context, pid);
    close(go[0]);
    close(go[1]);
    return pid;
}

int launch_raise_descriptor(int fd)
{
    int raised = fcntl(fd, F_DUPFD_CLOEXEC, LAUNCH_FD_FLOOR);

    if (raised < 0)
        return fd; /* a low limit on descriptors */
    close(fd);
    return raised;
}

int launch_program(const LaunchConfig *config, pid_t *pid_out, int *pidfd_out)
{
    Environment environment = {.count = 0};
    int report[2] = {-1, -1};
    int error;
    int pidfd;
    pid_t pid;

    error = make_environment(config, config->segment, &environment);
    if (error)
        goto out;
    if (pipe2(report, O_CLOEXEC) < 0) {
        error = -errno;
        goto out;
    }
    pid = fork_program(config, environment.all, config->segment, report[1]);
    if (pid < 0) {
        error = pid;
        goto out;
    }
    close(report[1]);
    report[1] = -1;
    error = await_exec(report[0]);
    pidfd = error ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (!error && pidfd < 0) {
        error = -errno;
        (void)kill(pid, SIGKILL);
    }
    if (error) {
        (void)waitpid(pid, NULL, 0);
        goto out;
    }
    *pid_out = pid;
    *pidfd_out = pidfd;
out:
    if (report[0] >= 0)
        close(report[0]);
    if (report[1] >= 0)
        close(report[1]);
    free_environment(&environment);
    return error;
}

/* ---- how processes end ------------------------------------------------------------------------ */

ProcessEnd process_end_of_status(int status)
{
    if (WIFSIGNALED(status))
        return (ProcessEnd){ADAT_DEATH_SIGNAL, WTERMSIG(status)};
    return (ProcessEnd){ADAT_DEATH_EXIT, WEXITSTATUS(status)};
}

bool process_has_ended(int pidfd)
{
    struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1;
}

ProcessEnd process_reap(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return (ProcessEnd){ADAT_DEATH_UNKNOWN, 0};
    }
    return process_end_of_status(status);
}

/* include/uapi/linux/pidfd.h of Linux 6.15; the first published size of the structure. */
struct pidfd_info_v0 {
    uint64_t mask;
    uint64_t cgroup_id;
    uint32_t ids[11];
    int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_info_v0) == 64, "PIDFD_INFO_SIZE_VER0");
#define PIDFD_INFO_EXIT_BIT (1u << 3)
#define PIDFD_GET_INFO_V0 _IOWR(0xFF, 11, struct pidfd_info_v0)

ProcessEnd process_ask_end(int pidfd)
{
    struct pidfd_info_v0 info = {.mask = PIDFD_INFO_EXIT_BIT};

    if (pidfd < 0 || ioctl(pidfd, PIDFD_GET_INFO_V0, &info) < 0 || !(info.mask & PIDFD_INFO_EXIT_BIT))
        return (ProcessEnd){0};
    return process_end_of_status(info.exit_code);
}
