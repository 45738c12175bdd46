/* SPDX-License-Identifier: MIT */
/* One process of a hook: how it is started with few rights, and the last line that it says. */
#ifndef ADA_ACCESS_HOOK_PROCESS_H
#define ADA_ACCESS_HOOK_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOOK_GROUPS_MAX 256

/* Who runs hooks. */
typedef struct HookUser {
    uid_t user;
    gid_t group;
    gid_t groups[HOOK_GROUPS_MAX];
    int group_count;
} HookUser;

/* -ENOENT: there is none of that name; -EPERM: it is root, or we may not become it; -E2BIG: it has too many groups; -ENOMEM; errors of getpwnam_r(3). */
int hook_user_find(const char *name, HookUser *user_out);

typedef struct HookCommand {
    const char *program; /* absolute path */
    const char *user;    /* name */
    const char *session;
    const char *file; /* absolute path */
    int input;        /* of that file */
} HookCommand;

typedef struct HookProcess {
    pid_t pid; /* and of its group */
    int pidfd;
    int output;       /* what it writes comes here; without waiting */
    int report;       /* the errno of what kept the program from running comes here; without waiting */
    int conversation; /* with the opener, whose child it is; -1: it is ours */
} HookProcess;

/*
 * Does not wait until the program runs. Errors of hook_user_find(), pipe(2), fork(2), pidfd_open(2), negative; -EPERM: the opener does not run hooks as
 * that user.
 */
int hook_process_start(const HookCommand *command, HookProcess *process_out);

/* After its end: 0, or the errno of what kept the program from running. */
int hook_process_start_error(const HookProcess *process);

/* The whole group. */
void hook_process_kill(const HookProcess *process);

/* Reaps it; `until_ended` waits for its end. As waitid(2) tells it; si_pid 0: it has not ended. */
void hook_process_wait(const HookProcess *process, bool until_ended, siginfo_t *end_out);

/* Closes the descriptors, after hook_process_wait(). One that has not ended by then is left to itself, or to the opener. */
void hook_process_close(HookProcess *process);

/* The last line of a text that comes in parts; it keeps the start of long ones. */
typedef struct LastLine {
    char *line; /* `size` bytes */
    size_t size;
    size_t length;  /* of the one in work */
    char *complete; /* `size` bytes, with a NUL */
} LastLine;

void last_line_add(LastLine *last, const char *text, size_t size);
/* There comes no more: what is there is a line. */
void last_line_end(LastLine *last);

#endif
