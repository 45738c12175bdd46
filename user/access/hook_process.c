/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/access/hook_process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/access/opener.h"
#include "user/access/opener_client.h"
#include "user/access/opener_here.h"

#define SEARCH_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define REPORT_FD 3 /* of the child, until it has become the program */

/* ---- the user --------------------------------------------------------------------------------- */

static int find_groups(const struct passwd *entry, HookUser *user)
{
    user->user = entry->pw_uid;
    user->group = entry->pw_gid;
    user->group_count = HOOK_GROUPS_MAX;
    if (getgrouplist(entry->pw_name, entry->pw_gid, user->groups, &user->group_count) < 0)
        return -E2BIG;
    return 0;
}

int hook_user_find(const char *name, HookUser *user_out)
{
    size_t size = 64u << 10; /* an entry may be long: NSS has no limit */
    char *buffer = malloc(size);
    struct passwd entry, *found;
    int error;

    if (!buffer)
        return -ENOMEM;
    error = -getpwnam_r(name, &entry, buffer, size, &found);
    if (!error && !found)
        error = -ENOENT;
    else if (!error && (entry.pw_uid == 0 || (geteuid() != 0 && geteuid() != entry.pw_uid)))
        error = -EPERM;
    else if (!error)
        error = find_groups(&entry, user_out);
    free(buffer);
    return error;
}

/* What it becomes, made ready before it is there. */
typedef struct Child {
    const HookUser *user;
    char *const *argv; /* [0] is the program's path */
    char *const *environment;
    int input;
} Child;

/* ---- the child: from fork() to execve(), with system calls only, for other threads may have held any lock -------------------------- */

__attribute__((noreturn)) static void report_and_exit(int error)
{
    (void)!write(REPORT_FD, &error, sizeof(error));
    _exit(127);
}

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL); /* not of SIGKILL, SIGSTOP, and those of the C library */
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* System calls, since the C library's functions would do it in all threads. False: errno says why. */
static int become_user(const HookUser *user)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (geteuid() == 0 && (syscall(SYS_setgroups, user->group_count, user->groups) < 0 ||
                           syscall(SYS_setresgid, user->group, user->group, user->group) < 0 ||
                           syscall(SYS_setresuid, user->user, user->user, user->user) < 0))
        return -1;
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return 0;
}

/* The descriptors are 4 or more. */
__attribute__((noreturn)) static void become_program(const Child *child, int output, int report)
{
    (void)setpgid(0, 0);
    reset_signals();
    if (dup3(report, REPORT_FD, O_CLOEXEC) < 0)
        _exit(127);
    if (dup2(child->input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
        syscall(SYS_close_range, REPORT_FD + 1, ~0u, 0) < 0 || chdir("/") < 0)
        report_and_exit(errno);
    (void)umask(077);
    if (become_user(child->user) < 0)
        report_and_exit(errno);
    /* Not execve(): gcov puts a function of its own in its place, which opens files. */
    (void)syscall(SYS_execve, child->argv[0], child->argv, child->environment);
    report_and_exit(errno);
}

/* ---- starting --------------------------------------------------------------------------------- */

/* A pipe whose ends are clear of the numbers that the child uses; the first does not wait. */
static int make_pipe(int ends[2])
{
    int low[2], error = 0;

    if (pipe2(low, O_CLOEXEC) < 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, REPORT_FD + 1);
        if (ends[i] < 0)
            error = -errno;
        close(low[i]);
    }
    if (!error && fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
        error = -errno;
    if (error)
        for (int i = 0; i < 2; i++)
            if (ends[i] >= 0)
                close(ends[i]);
    return error;
}

static void close_pipe(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

static int fork_child(const Child *child, int output, int report, HookProcess *process)
{
    int error;

    process->pid = fork();
    if (process->pid == 0)
        become_program(child, output, report);
    if (process->pid < 0)
        return -errno;
    (void)setpgid(process->pid, process->pid); /* whoever comes first; it may also have become the program */
    process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (process->pidfd >= 0)
        return 0;
    error = -errno;
    (void)kill(process->pid, SIGKILL);
    (void)waitpid(process->pid, NULL, 0);
    return error;
}

static int start(const Child *child, HookProcess *process_out)
{
    HookProcess process = {.conversation = -1};
    int output[2], report[2];
    int error = make_pipe(output);

    if (error)
        return error;
    error = make_pipe(report);
    if (error) {
        close_pipe(output);
        return error;
    }
    error = fork_child(child, output[1], report[1], &process);
    if (error) {
        close_pipe(output);
        close_pipe(report);
        return error;
    }
    close(output[1]);
    close(report[1]);
    process.output = output[0];
    process.report = report[0];
    *process_out = process;
    return 0;
}

int opener_here_hook(const HookCommand *command, const HookUser *user, HookProcess *process_out)
{
    char *argv[] = {(char *)(uintptr_t)command->program, (char *)(uintptr_t)command->file, NULL};
    int input = fcntl(command->input, F_DUPFD_CLOEXEC, REPORT_FD + 1);
    int error = input < 0 ? -errno : -ENOMEM;
    char *session = NULL, *file = NULL;

    if (input < 0)
        return error;
    if (asprintf(&session, "ADATRACE_SESSION=%s", command->session) >= 0 &&
        asprintf(&file, "ADATRACE_FILE=%s", command->file) >= 0) {
        char *environment[] = {SEARCH_PATH, "HOME=/", session, file, NULL};
        const Child child = {.user = user, .argv = argv, .environment = environment, .input = input};

        error = start(&child, process_out);
    }
    free(session);
    free(file);
    close(input);
    return error;
}

void opener_here_kill_hook(const HookProcess *process)
{
    (void)kill(-process->pid, SIGKILL);
}

int opener_here_wait_for_hook(const HookProcess *process, bool until_ended, siginfo_t *end_out)
{
    *end_out = (siginfo_t){0};
    while (waitid(P_PID, (id_t)process->pid, end_out, WEXITED | (until_ended ? 0 : WNOHANG)) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

/* ---- by the opener ------------------------------------------------------------------------------ */

static int add_texts(OpenerRequest *request, const HookCommand *command)
{
    const char *const texts[] = {command->program, command->user, command->session, command->file};
    int error = 0;

    for (size_t i = 0; !error && i < sizeof(texts) / sizeof(texts[0]); i++)
        error = opener_add_text(request, texts[i]);
    return error;
}

static int ask_to_start(const HookCommand *command, HookProcess *process_out)
{
    OpenerRequest request = {.operation = OPENER_HOOK};
    int descriptors[OPENER_DESCRIPTORS_MAX];
    OpenerReply reply;
    int conversation, error = add_texts(&request, command);

    if (!error)
        error = opener_begin(&conversation);
    if (error)
        return error;
    error = opener_ask(conversation, &request, command->input, &reply, descriptors);
    if (!error && reply.descriptors != 3)
        error = -EPROTO;
    if (error) {
        close(conversation);
        return error;
    }
    *process_out = (HookProcess){.pid = reply.pid,
                                 .pidfd = descriptors[0],
                                 .output = descriptors[1],
                                 .report = descriptors[2],
                                 .conversation = conversation};
    return 0;
}

/* ---- by whoever may ----------------------------------------------------------------------------- */

int hook_process_start(const HookCommand *command, HookProcess *process_out)
{
    HookUser user;
    int error;

    if (opener_is_used())
        return ask_to_start(command, process_out);
    error = hook_user_find(command->user, &user);
    return error ? error : opener_here_hook(command, &user, process_out);
}

int hook_process_start_error(const HookProcess *process)
{
    int error;

    return read(process->report, &error, sizeof(error)) == (ssize_t)sizeof(error) ? error : 0;
}

void hook_process_kill(const HookProcess *process)
{
    const OpenerRequest request = {.operation = OPENER_HOOK_KILL};
    OpenerReply reply;

    if (process->conversation >= 0)
        (void)opener_ask(process->conversation, &request, -1, &reply, NULL);
    else
        opener_here_kill_hook(process);
}

void hook_process_wait(const HookProcess *process, bool until_ended, siginfo_t *end_out)
{
    const OpenerRequest request = {.operation = OPENER_HOOK_WAIT, .flag = until_ended};
    OpenerReply reply;

    *end_out = (siginfo_t){0};
    if (process->conversation < 0)
        (void)opener_here_wait_for_hook(process, until_ended, end_out);
    else if (opener_ask(process->conversation, &request, -1, &reply, NULL) == 0)
        *end_out = reply.end;
}

void hook_process_close(HookProcess *process)
{
    close(process->output);
    close(process->report);
    close(process->pidfd);
    if (process->conversation >= 0)
        close(process->conversation);
    *process = (HookProcess){.pidfd = -1, .output = -1, .report = -1, .conversation = -1};
}

/* ---- what it says ----------------------------------------------------------------------------- */

void last_line_end(LastLine *last)
{
    if (last->length > 0) {
        memcpy(last->complete, last->line, last->length);
        last->complete[last->length] = '\0';
    }
    last->length = 0;
}

void last_line_add(LastLine *last, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)text[i];

        if (byte == '\n' || byte == '\r')
            last_line_end(last);
        else if (last->length + 1 < last->size)
            last->line[last->length++] = byte < ' ' || byte == 0x7f ? '?' : text[i];
    }
}
