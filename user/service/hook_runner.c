/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/hook_runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "user/base/thread.h"
#include "user/access/hook_process.h"

#define NS_PER_S 1000000000ull
#define NEVER UINT64_MAX
#define OUTPUT_CHUNK 4096u

struct HookRunner {
    HookRunnerConfig config; /* constant; owns its strings */
    int wake;                /* eventfd: something below has changed */
    pthread_t thread;
    pthread_mutex_t lock;

    /* guarded by lock */
    char *queue[HOOK_QUEUE_MAX]; /* a ring; the oldest is at `first` */
    size_t first;
    size_t count;
    char *dropped[HOOK_QUEUE_MAX]; /* those that the thread has to tell of */
    size_t dropped_count;
    bool stopping;
    uint64_t stop_at; /* CLOCK_MONOTONIC, when stopping: nothing runs any more */
};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t later(uint64_t from, uint64_t ns)
{
    return from + ns < from ? NEVER : from + ns;
}

static void wake(HookRunner *runner)
{
    (void)eventfd_write(runner->wake, 1);
}

/* ---- the queue -------------------------------------------------------------------------------- */

int hook_runner_add(HookRunner *runner, const char *path)
{
    char *copy = strdup(path);
    char *lost = NULL;

    if (!copy)
        return -ENOMEM;
    pthread_mutex_lock(&runner->lock);
    if (runner->count == HOOK_QUEUE_MAX) {
        lost = runner->queue[runner->first];
        runner->first = (runner->first + 1) % HOOK_QUEUE_MAX;
        runner->count--;
        if (runner->dropped_count < HOOK_QUEUE_MAX) { /* else it hangs in on_result, and is told of so many */
            runner->dropped[runner->dropped_count++] = lost;
            lost = NULL;
        }
    }
    runner->queue[(runner->first + runner->count++) % HOOK_QUEUE_MAX] = copy;
    pthread_mutex_unlock(&runner->lock);
    free(lost);
    wake(runner);
    return 0;
}

/* The oldest, which is the caller's to free; NULL: none. */
static char *take(HookRunner *runner)
{
    char *path = NULL;

    pthread_mutex_lock(&runner->lock);
    if (runner->count > 0) {
        path = runner->queue[runner->first];
        runner->first = (runner->first + 1) % HOOK_QUEUE_MAX;
        runner->count--;
    }
    pthread_mutex_unlock(&runner->lock);
    return path;
}

/* The same of those that were dropped. */
static char *take_dropped(HookRunner *runner)
{
    char *path = NULL;

    pthread_mutex_lock(&runner->lock);
    if (runner->dropped_count > 0) {
        path = runner->dropped[0];
        runner->dropped_count--;
        memmove(runner->dropped, runner->dropped + 1, runner->dropped_count * sizeof(runner->dropped[0]));
    }
    pthread_mutex_unlock(&runner->lock);
    return path;
}

/* When nothing is to run any more; NEVER while nobody stops. */
static uint64_t stop_time(HookRunner *runner)
{
    uint64_t time;

    pthread_mutex_lock(&runner->lock);
    time = runner->stopping ? runner->stop_at : NEVER;
    pthread_mutex_unlock(&runner->lock);
    return time;
}

static bool is_stopping(HookRunner *runner)
{
    return stop_time(runner) != NEVER;
}

/* ---- waiting ---------------------------------------------------------------------------------- */

static void await(struct pollfd *fds, nfds_t count, uint64_t until)
{
    uint64_t now = now_ns();
    uint64_t left = until > now ? until - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};

    (void)ppoll(fds, count, until == NEVER ? NULL : &timeout, NULL);
}

static void tell(HookRunner *runner, const HookResult *result)
{
    if (runner->config.on_result)
        runner->config.on_result(runner->config.context, result);
}

/* Takes what woke us, and tells what happened to the queue. */
static void settle_wake(HookRunner *runner)
{
    eventfd_t count;
    char *path;

    (void)eventfd_read(runner->wake, &count);
    while ((path = take_dropped(runner))) {
        tell(runner, &(HookResult){.path = path, .outcome = HOOK_DROPPED, .last_line = ""});
        free(path);
    }
}

/* False: it is to stop. */
static bool pause_until(HookRunner *runner, uint64_t until)
{
    while (!is_stopping(runner) && now_ns() < until) {
        struct pollfd fd = {.fd = runner->wake, .events = POLLIN};

        await(&fd, 1, until);
        settle_wake(runner);
    }
    return !is_stopping(runner);
}

/* ---- one attempt ------------------------------------------------------------------------------ */

/* A regular file, or -errno. */
static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        return fd;
    close(fd);
    return -EPERM;
}

/* Of what there is by now. False: there comes no more. */
static bool read_output(int fd, LastLine *last)
{
    char text[OUTPUT_CHUNK];
    ssize_t size = read(fd, text, sizeof(text));

    if (size > 0)
        last_line_add(last, text, (size_t)size);
    return size > 0 || (size < 0 && (errno == EAGAIN || errno == EINTR));
}

/* Until the process has ended, or the time has come. True: it has ended. */
static bool follow(HookRunner *runner, const HookProcess *process, uint64_t timeout_at, LastLine *last)
{
    struct pollfd fds[] = {
        {.fd = process->pidfd, .events = POLLIN},
        {.fd = runner->wake, .events = POLLIN},
        {.fd = process->output, .events = POLLIN},
    };

    for (;;) {
        uint64_t stop_at = stop_time(runner);
        uint64_t until = stop_at < timeout_at ? stop_at : timeout_at;

        for (size_t i = 0; i < 3; i++)
            fds[i].revents = 0;
        await(fds, 3, until);
        if (fds[2].revents && !read_output(process->output, last))
            fds[2].fd = -1; /* closed, and it still runs */
        if (fds[0].revents)
            return true;
        if (now_ns() >= until)
            return false;
        if (fds[1].revents)
            settle_wake(runner);
    }
}

/* What is still in the pipe, of which a pipe can hold 1 MiB at most: somebody who escaped may write for ever. */
static void read_rest(int fd, LastLine *last)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    for (size_t done = 0; done < (1u << 20) && poll(&poll_fd, 1, 0) > 0 && read_output(fd, last);)
        done += OUTPUT_CHUNK;
    last_line_end(last);
}

static void judge(const HookProcess *process, HookResult *result)
{
    siginfo_t info;
    int error = hook_process_start_error(process);

    /* Its group is killed before it is reaped: until then the number is its own. */
    hook_process_wait(process, true, &info);
    if (error) {
        result->failure = HOOK_NOT_RUN;
        result->detail = error;
    } else if (info.si_code != CLD_EXITED) {
        result->failure = HOOK_SIGNALLED;
        result->detail = info.si_status;
    } else if (info.si_status != 0) {
        result->failure = HOOK_STATUS;
        result->detail = info.si_status;
    }
}

static void finish(HookProcess *process, bool ended, LastLine *last, HookResult *result)
{
    struct pollfd fd = {.fd = process->pidfd, .events = POLLIN};

    hook_process_kill(process);
    read_rest(process->output, last);
    if (ended) {
        judge(process, result);
    } else {
        result->failure = HOOK_TIMEOUT;
        await(&fd, 1, now_ns() + HOOK_REAP_NS);
        hook_process_wait(process, false, &(siginfo_t){0});
    }
    hook_process_close(process);
}

/* Fills in what became of it. */
static void run(HookRunner *runner, const char *path, int input, LastLine *last, HookResult *result)
{
    HookCommand command = {.program = runner->config.program,
                           .user = runner->config.run_user,
                           .session = runner->config.session,
                           .file = path,
                           .input = input};
    HookProcess process;
    int error = hook_process_start(&command, &process);

    if (error) {
        result->failure = HOOK_NOT_RUN;
        result->detail = -error;
        return;
    }
    finish(&process, follow(runner, &process, later(now_ns(), runner->config.timeout_ns), last), last, result);
}

/* True: it is to be tried again. */
static bool attempt(HookRunner *runner, const char *path, uint32_t number)
{
    char line[HOOK_LINE_SIZE], complete[HOOK_LINE_SIZE] = "";
    LastLine last = {.line = line, .size = sizeof(line), .complete = complete};
    HookResult result = {.path = path, .attempt = number, .last_line = complete};
    int input = open_file(path);

    if (input < 0) {
        result.failure = HOOK_NO_FILE;
        result.detail = -input;
    } else {
        run(runner, path, input, &last, &result);
        close(input);
    }
    if (result.failure == HOOK_NOT_FAILED)
        result.outcome = HOOK_DONE;
    else if (is_stopping(runner))
        result.outcome = HOOK_STOPPED;
    else
        result.outcome = result.failure == HOOK_NO_FILE || number > HOOK_RETRIES ? HOOK_GIVEN_UP : HOOK_FAILED;
    tell(runner, &result);
    return result.outcome == HOOK_FAILED;
}

/* ---- the thread ------------------------------------------------------------------------------- */

static void tell_stopped(HookRunner *runner, const char *path)
{
    tell(runner, &(HookResult){.path = path, .outcome = HOOK_STOPPED, .last_line = ""});
}

static void handle(HookRunner *runner, const char *path)
{
    uint64_t pause_ns = runner->config.pause_ns;

    if (now_ns() >= stop_time(runner)) {
        tell_stopped(runner, path);
        return;
    }
    for (uint32_t number = 1; attempt(runner, path, number); number++) {
        if (!pause_until(runner, later(now_ns(), pause_ns))) {
            tell_stopped(runner, path);
            return;
        }
        pause_ns *= HOOK_PAUSE_GROWTH;
    }
}

static void *runner_main(void *argument)
{
    HookRunner *runner = argument;

    for (;;) {
        struct pollfd fd = {.fd = runner->wake, .events = POLLIN};
        bool stopping = is_stopping(runner); /* before: nothing is added after that */
        char *path = take(runner);

        if (path) {
            handle(runner, path);
            free(path);
        } else if (stopping) {
            break;
        } else {
            await(&fd, 1, NEVER);
        }
        settle_wake(runner);
    }
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------- */

static void free_runner(HookRunner *runner)
{
    pthread_mutex_destroy(&runner->lock);
    if (runner->wake >= 0)
        close(runner->wake);
    free((char *)runner->config.program);
    free((char *)runner->config.run_user);
    free((char *)runner->config.session);
    free(runner);
}

int hook_runner_create(const HookRunnerConfig *config, HookRunner **runner_out)
{
    HookRunner *runner = calloc(1, sizeof(*runner));
    HookUser user;
    int error;

    if (!runner)
        return -ENOMEM;
    pthread_mutex_init(&runner->lock, NULL);
    runner->config = *config;
    runner->config.run_user = strdup(config->run_user);
    runner->config.program = strdup(config->program);
    runner->config.session = strdup(config->session);
    if (config->pause_ns == 0)
        runner->config.pause_ns = HOOK_PAUSE_NS;
    runner->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    error = runner->wake < 0 ? -errno : hook_user_find(config->run_user, &user);
    if (!error && (!runner->config.program || !runner->config.run_user || !runner->config.session))
        error = -ENOMEM;
    if (!error)
        error = thread_start_without_signals(&runner->thread, runner_main, runner);
    if (error)
        free_runner(runner);
    else
        *runner_out = runner;
    return error;
}

void hook_runner_destroy(HookRunner *runner, uint64_t grace_ns)
{
    if (!runner)
        return;
    pthread_mutex_lock(&runner->lock);
    runner->stopping = true;
    runner->stop_at = later(now_ns(), grace_ns);
    if (runner->stop_at == NEVER) /* which says that nobody stops */
        runner->stop_at--;
    pthread_mutex_unlock(&runner->lock);
    wake(runner);
    pthread_join(runner->thread, NULL);
    free_runner(runner);
}
