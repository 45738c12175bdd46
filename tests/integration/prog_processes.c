/* SPDX-License-Identifier: MIT */
/*
 * Makes processes in every way there is, each of which records who it is: prog_processes WAY
 *
 * Events "process.CASE" have the pid as argument, so that a test can see who wrote them, and whether they
 * are in the lanes of that very process.
 */
#include <adatrace/adatrace.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int finish(pid_t pid)
{
    int status;

    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void *traced_thread(void *name)
{
    (void)name;
    ADA_INSTANT("process.thread", getpid());
    return NULL;
}

static int run_fork(void)
{
    pid_t pid;

    ADA_INSTANT("process.parent", getpid());
    pid = fork();
    if (pid == 0) {
        pthread_t thread;

        ADA_INSTANT("process.child", getpid());
        if (pthread_create(&thread, NULL, traced_thread, NULL) == 0)
            pthread_join(thread, NULL);
        pid = fork();
        if (pid == 0) {
            ADA_INSTANT("process.grandchild", getpid());
            _exit(0);
        }
        _exit(finish(pid));
    }
    ADA_INSTANT("process.parent", getpid());
    return finish(pid);
}

static int run_raw(void)
{
    pid_t pid;

    ADA_INSTANT("process.parent", getpid());
    /* Without the library's knowledge: no pthread_atfork handler runs. */
    pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0L);
    if (pid == 0) {
        ADA_INSTANT("process.child", syscall(SYS_getpid));
        ADA_INSTANT("process.child", syscall(SYS_getpid));
        _exit(0);
    }
    ADA_INSTANT("process.parent", getpid());
    return finish(pid);
}

static int run_silent(void)
{
    /* A child that records nothing makes no segment. */
    pid_t pid;

    ADA_INSTANT("process.parent", getpid());
    pid = fork();
    if (pid == 0)
        _exit(0);
    return finish(pid);
}

static int run_vfork(const char *self)
{
    char *arguments[] = {(char *)(uintptr_t)self, "say", NULL};
    pid_t pid;

    ADA_INSTANT("process.parent", getpid());
    pid = vfork();
    if (pid == 0) {
        execv(self, arguments);
        _exit(127);
    }
    ADA_INSTANT("process.parent", getpid());
    return finish(pid);
}

static int run_spawn(const char *self)
{
    char *arguments[] = {(char *)(uintptr_t)self, "say", NULL};
    pid_t pid = -1;

    ADA_INSTANT("process.parent", getpid());
    if (posix_spawn(&pid, self, NULL, NULL, arguments, environ) != 0)
        return 1;
    return finish(pid);
}

static int run_exec(const char *self)
{
    char *arguments[] = {(char *)(uintptr_t)self, "say", NULL};

    ADA_INSTANT("process.parent", getpid());
    execv(self, arguments);
    return 127;
}

static volatile sig_atomic_t forked;
static volatile sig_atomic_t resumes; /* the child returns from the handler into what that interrupted */
static volatile sig_atomic_t is_child;

static void fork_in_handler(int number)
{
    pid_t pid;

    (void)number;
    if (forked == 20)
        return; /* the next signal may come before the loop sees it */
    pid = fork();
    if (pid == 0 && resumes) {
        is_child = 1;
        return;
    }
    if (pid == 0) {
        ADA_INSTANT("process.child", getpid());
        _exit(0);
    }
    if (finish(pid) != 0)
        _exit(3);
    forked++;
}

/* Forks in a signal handler that interrupts the recording of events. */
static int run_handler(void)
{
    struct sigaction action = {.sa_handler = fork_in_handler};
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec interval = {{0, 2000000}, {0, 1000000}};

    sigaction(SIGALRM, &action, NULL);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, 0, &interval, NULL) != 0)
        return 1;
    while (forked < 20 && !is_child) {
        if (resumes) /* with a payload: either lane may be interrupted */
            ADA_EVENT("process.typed", (i64, pid, getpid()), (str, text, "some text"));
        else
            ADA_INSTANT("process.parent", getpid());
    }
    if (is_child) {
        ADA_INSTANT("process.child", getpid());
        _exit(0);
    }
    timer_delete(timer);
    return 0;
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";

    if (strcmp(way, "fork") == 0)
        return run_fork();
    if (strcmp(way, "raw") == 0)
        return run_raw();
    if (strcmp(way, "silent") == 0)
        return run_silent();
    if (strcmp(way, "vfork") == 0)
        return run_vfork(argv[0]);
    if (strcmp(way, "spawn") == 0)
        return run_spawn(argv[0]);
    if (strcmp(way, "exec") == 0)
        return run_exec(argv[0]);
    if (strcmp(way, "resume") == 0)
        resumes = 1;
    if (strcmp(way, "handler") == 0 || resumes)
        return run_handler();
    if (strcmp(way, "say") == 0) {
        ADA_INSTANT("process.new", getpid());
        return 0;
    }
    return 2;
}
