/* SPDX-License-Identifier: MIT */
/* fork, vfork, posix_spawn, exec, and closing every descriptor: what children see, print and end with. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plain_support.h"

static char program[4096];

static void report_end(const char *what, pid_t pid)
{
    int status = 0;

    REQUIRE(waitpid(pid, &status, 0) == pid);
    printf("%s: exited %d, status %d, signal %d\n", what, WIFEXITED(status),
           WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    fflush(stdout);
}

static void *answer(void *argument)
{
    return argument;
}

/* Does in a child what the parent does: threads, files, a child of its own. Returns the exit status. */
static int in_child(int depth)
{
    pthread_t thread;
    void *result = NULL;
    pid_t pid;
    int fd = open("/dev/null", O_WRONLY);

    REQUIRE(pthread_create(&thread, NULL, answer, &fd) == 0 && pthread_join(thread, &result) == 0);
    printf("child %d: fd %d, write %zd, thread %d\n", depth, fd, write(fd, "x", 1), result == &fd);
    fflush(stdout);
    if (depth < 3) {
        pid = fork();
        if (pid == 0)
            _exit(in_child(depth + 1));
        report_end("grandchild", pid);
    }
    return 40 + depth;
}

static void forks(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(in_child(1));
    report_end("fork", pid);

    pid = fork();
    if (pid == 0) {
        kill(getpid(), SIGKILL);
        _exit(0);
    }
    report_end("killed", pid);

    pid = vfork();
    if (pid == 0) {
        int fd = open("/dev/null", O_WRONLY);

        (void)!write(fd, "x", 1);
        close(fd);
        execl(program, program, "child", "of vfork", NULL);
        _exit(97);
    }
    report_end("vfork and exec", pid);

    pid = vfork();
    if (pid == 0) {
        execl("/none", "none", NULL);
        _exit(errno);
    }
    report_end("vfork and no exec", pid);
}

static void spawns(void)
{
    char *arguments[] = {program, (char[]){"child"}, (char[]){"of posix_spawn"}, NULL};
    pid_t pid;

    REQUIRE(posix_spawn(&pid, program, NULL, NULL, arguments, environ) == 0);
    report_end("posix_spawn", pid);
    printf("system: %d\n", WEXITSTATUS(system("echo from the shell; exit 9")));
    fflush(stdout);
}

/* As daemons do: close all that is open and go on. Whoever kept a descriptor has lost it. */
static void closing_all(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        long limit = sysconf(_SC_OPEN_MAX);

        if (limit > 65536)
            limit = 65536;
        for (int fd = 3; fd < limit; fd++)
            close(fd);
        REPORT(open("/dev/null", O_RDWR));
        REPORT(open("/dev/null", O_RDWR));
        REPORT(close(3));
        fflush(stdout);
        _exit(in_child(3));
    }
    report_end("all closed", pid);
}

int main(int argc, char **argv)
{
    ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

    REQUIRE(length > 0);
    if (argc > 2 && strcmp(argv[1], "child") == 0) {
        printf("exec'ed child %s: fd %d\n", argv[2], open("/dev/null", O_RDONLY));
        return 55;
    }
    setvbuf(stdout, NULL, _IOFBF, 8192);
    forks();
    spawns();
    closing_all();
    return 29;
}
