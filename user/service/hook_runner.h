/* SPDX-License-Identifier: MIT */
/*
 * Runs a program for each finished file, one at a time, in the order in which they were added:
 *
 *     PROGRAM /absolute/path/of/file < /absolute/path/of/file
 *
 * Its standard input is the file, opened by the service: the program's user needs no right to the directory to ship it. What it writes to
 * its standard output and error is read and thrown away, but for the last line. It runs as `run_user` with that user's groups, without
 * capabilities, and can gain none (no_new_privs); in /, with umask 077, default signals, no other descriptors, in a process group of
 * its own. Its environment is PATH, HOME=/, ADATRACE_SESSION and ADATRACE_FILE.
 *
 * It has failed if it cannot be run, ends with another status than 0 or by a signal, or takes longer than the timeout. Then it is tried again
 * HOOK_RETRIES times, with pauses; the files behind it wait. Whatever of its process group is left when it ends, or is to end, is
 * killed: nothing piles up. Only what makes a group of its own escapes that.
 *
 * A thread of its own does all of it; nothing is printed. The process must not ignore SIGCHLD, nor reap children that are not its own.
 */
#ifndef ADA_SERVICE_HOOK_RUNNER_H
#define ADA_SERVICE_HOOK_RUNNER_H

#include <stdbool.h>
#include <stdint.h>

#define HOOK_RETRIES 3u
#define HOOK_PAUSE_NS 1000000000ull /* before the first retry: something was busy */
#define HOOK_PAUSE_GROWTH 8u        /* 1 s, 8 s, 64 s: a service that restarts, a host that boots */
#define HOOK_QUEUE_MAX 256u         /* files that wait: ten days of them at one per hour */
#define HOOK_LINE_SIZE 256u         /* of output, with its NUL */
#define HOOK_REAP_NS \
    5000000000ull /* for a killed process to be gone; one that hangs in the kernel is left behind */

enum hook_outcome {
    HOOK_DONE,     /* it ended with status 0 */
    HOOK_FAILED,   /* and will be tried again */
    HOOK_GIVEN_UP, /* it has failed for the last time */
    HOOK_DROPPED,  /* not run: there are HOOK_QUEUE_MAX younger ones */
    HOOK_STOPPED,  /* not run, or killed: the runner is destroyed */
    HOOK_OUTCOMES,
};

/* Why it failed; one of them, or none. */
enum hook_failure {
    HOOK_NOT_FAILED,
    HOOK_NO_FILE,   /* `detail`: the errno of opening it; it is not tried again */
    HOOK_NOT_RUN,   /* the errno of what kept the program from running */
    HOOK_STATUS,    /* its exit status */
    HOOK_SIGNALLED, /* the signal */
    HOOK_TIMEOUT,
};

typedef struct HookResult {
    const char *path;
    enum hook_outcome outcome;
    uint32_t attempt; /* 1..; 0: it was not run */
    enum hook_failure failure;
    int detail;
    const char *last_line; /* of its output, the last that was not empty; control characters are '?'. "": none */
} HookResult;

typedef struct HookRunnerConfig {
    const char *program;  /* absolute path */
    const char *run_user; /* not root. It may be the one we are; else we need to be root */
    const char *session;  /* name */
    uint64_t timeout_ns;
    uint64_t pause_ns; /* before the first retry; 0: HOOK_PAUSE_NS */
    /* By the runner's thread, of each attempt, and of each file that is not run. The strings end with the call. It must not destroy the runner. */
    void (*on_result)(void *context, const HookResult *result);
    void *context;
} HookRunnerConfig;

typedef struct HookRunner HookRunner;

/*
 * The strings are copied. -ENOENT: there is no such user; -EPERM: it is root, or we may not become it; -ENOMEM; errors of eventfd(2),
 * pthread_create(3), getpwnam_r(3), negative.
 */
int hook_runner_create(const HookRunnerConfig *config, HookRunner **runner_out);

/* Any thread. Does not wait. The path is copied. -ENOMEM: it is not run, and not told. */
int hook_runner_add(HookRunner *runner, const char *path);

/*
 * Those that wait are still run for so many ns, but not tried again; then the one that runs is killed, and the rest is told. Waits for
 * all of that, which takes `grace_ns` and HOOK_REAP_NS at most. Frees. NULL is allowed.
 */
void hook_runner_destroy(HookRunner *runner, uint64_t grace_ns);

#endif
