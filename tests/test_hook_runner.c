/* SPDX-License-Identifier: MIT */
/* Hooks that work, fail, hang, flood, escape; with which rights they run, and that nothing waits for them for ever. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "user/access/hook_process.h"
#include "user/service/hook_runner.h"

#define NS_PER_S 1000000000ull
#define LONG (3600 * NS_PER_S)
#define RESULTS_MAX 1024u

typedef struct Told {
    char path[160];
    enum hook_outcome outcome;
    uint32_t attempt;
    enum hook_failure failure;
    int detail;
    char last_line[HOOK_LINE_SIZE];
} Told;

static char base[64];
static char program[96];
static char user_name[64]; /* of hooks */
static HookRunnerConfig config;
static HookRunner *runner;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static Told told[RESULTS_MAX];
static size_t told_count;
static bool blocked; /* the call waits; by lock */

/* ---- fixture ---------------------------------------------------------------------------------- */

static void on_result(void *context, const HookResult *result)
{
    CU_ASSERT_PTR_EQUAL(context, base);
    pthread_mutex_lock(&lock);
    if (told_count < RESULTS_MAX) {
        Told *next = &told[told_count];

        (void)snprintf(next->path, sizeof(next->path), "%s", result->path);
        (void)snprintf(next->last_line, sizeof(next->last_line), "%s", result->last_line);
        next->outcome = result->outcome;
        next->attempt = result->attempt;
        next->failure = result->failure;
        next->detail = result->detail;
    }
    told_count++;
    pthread_cond_broadcast(&changed);
    while (blocked)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void await_told(size_t count)
{
    pthread_mutex_lock(&lock);
    while (told_count < count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void set_blocked(bool value)
{
    pthread_mutex_lock(&lock);
    blocked = value;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static const char *at(const char *name)
{
    static char path[160];

    (void)snprintf(path, sizeof(path), "%s/%s", base, name);
    return path;
}

/* As nobody could see it: only its owner may read it. */
static void put(const char *name, const char *text)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* The hook is a shell script: `lines`. A directory of its own, into which the hook's user may write. */
static void init(const char *lines)
{
    struct passwd *entry = geteuid() == 0 ? getpwnam("nobody") : getpwuid(geteuid());
    FILE *script;

    CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
    (void)snprintf(user_name, sizeof(user_name), "%s", entry->pw_name);
    (void)snprintf(base, sizeof(base), "/tmp/adatrace-test-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(base));
    CU_ASSERT_EQUAL(chmod(base, 0777), 0);
    (void)snprintf(program, sizeof(program), "%s/hook", base);
    script = fopen(program, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(script);
    (void)fprintf(script, "#!/bin/sh\nbase=%s\n%s\n", base, lines);
    CU_ASSERT_EQUAL(fclose(script), 0);
    CU_ASSERT_EQUAL(chmod(program, 0755), 0);
    put("file", "contents");
    told_count = 0;
    config = (HookRunnerConfig){
        .program = program,
        .run_user = user_name,
        .session = "shop",
        .timeout_ns = LONG,
        .pause_ns = 1,
        .on_result = on_result,
        .context = base,
    };
}

static void start(void)
{
    CU_ASSERT_EQUAL_FATAL(hook_runner_create(&config, &runner), 0);
}

static void add(const char *name)
{
    CU_ASSERT_EQUAL(hook_runner_add(runner, at(name)), 0);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void fini(void)
{
    CU_ASSERT_EQUAL(nftw(base, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Runs the hook once for "file". */
static const Told *run_once(const char *lines)
{
    init(lines);
    start();
    add("file");
    await_told(1);
    hook_runner_destroy(runner, LONG);
    return &told[0];
}

static bool says(const char *lines, const char *expected)
{
    const Told *result = run_once(lines);
    bool same = result->outcome == HOOK_DONE && strcmp(result->last_line, expected) == 0;

    if (!same)
        printf("  outcome %u, failure %u, %d: '%s', not '%s'\n", result->outcome, result->failure,
               result->detail, result->last_line, expected);
    fini();
    return same;
}

static uint64_t now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

/* A file with this process's number, which the hook has written. */
static pid_t read_pid(const char *name)
{
    long pid = 0;

    while (pid == 0) {
        FILE *file = fopen(at(name), "re");
        char text[32] = "";

        if (file) {
            if (fgets(text, sizeof(text), file) && strchr(text, '\n'))
                pid = strtol(text, NULL, 10);
            (void)fclose(file);
        }
        sched_yield();
    }
    return (pid_t)pid;
}

static bool is_running(pid_t pid)
{
    char path[64], state = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = fopen(path, "re");
    if (!file)
        return false;
    if (fscanf(file, "%*d %*s %c", &state) != 1)
        state = 'X';
    (void)fclose(file);
    return state != 'Z' && state != 'X';
}

/* ---- what a hook gets ------------------------------------------------------------------------- */

static void hook__runs__then_it_has_the_path_and_the_file_on_its_input(void)
{
    const Told *result = run_once("echo \"$# $1 $(cat)\"");
    char expected[256];

    (void)snprintf(expected, sizeof(expected), "1 %s contents", at("file"));
    CU_ASSERT_STRING_EQUAL(result->last_line, expected);
    CU_ASSERT_STRING_EQUAL(result->path, at("file"));
    CU_ASSERT_EQUAL(result->outcome, HOOK_DONE);
    CU_ASSERT_EQUAL(result->attempt, 1);
    CU_ASSERT_EQUAL(result->failure, HOOK_NOT_FAILED);
    CU_ASSERT_EQUAL(told_count, 1);
    fini();
}

static void hook__runs__then_its_environment_is_clean(void)
{
    CU_ASSERT_EQUAL(setenv("SECRET", "1", 1), 0);
    CU_ASSERT_EQUAL(setenv("LD_PRELOAD", "", 1), 0);
    CU_ASSERT(says("env | grep -vE '^(PWD|OLDPWD|SHLVL|_)=' | cut -d= -f1 | sort | tr '\\n' ' '",
                   "ADATRACE_FILE ADATRACE_SESSION HOME PATH "));
    CU_ASSERT(says("echo \"$ADATRACE_SESSION $HOME $(pwd) $(umask)\"", "shop / / 0077"));
    CU_ASSERT_STRING_EQUAL(run_once("echo \"$ADATRACE_FILE\"")->last_line, at("file"));
    fini();
    CU_ASSERT_EQUAL(unsetenv("LD_PRELOAD"), 0);
    CU_ASSERT_EQUAL(unsetenv("SECRET"), 0);
}

static void hook__runs__then_with_few_rights(void)
{
    char expected[128];
    struct passwd *entry;

    init("");
    entry = getpwnam(user_name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(entry);
    (void)snprintf(expected, sizeof(expected), "%u %u %u %u", entry->pw_uid, entry->pw_uid, entry->pw_uid,
                   entry->pw_uid);
    fini();
    CU_ASSERT(says("echo $(grep ^Uid: /proc/self/status | cut -f2-)", expected));
    (void)snprintf(expected, sizeof(expected), "%u %u %u %u", entry->pw_gid, entry->pw_gid, entry->pw_gid,
                   entry->pw_gid);
    CU_ASSERT(says("echo $(grep ^Gid: /proc/self/status | cut -f2-)", expected));
    CU_ASSERT(says("echo $(grep -E '^(CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs):' /proc/self/status | cut -f2)",
                   "0000000000000000 0000000000000000 0000000000000000 0000000000000000 1"));
    if (geteuid() == 0)
        CU_ASSERT(says("echo $(id -G)", "65534")); /* not root's */
}

static void hook__runs__then_signals_are_as_usual(void)
{
    sigset_t blocked_signals, before;

    sigemptyset(&blocked_signals);
    sigaddset(&blocked_signals, SIGUSR1);
    CU_ASSERT_EQUAL(pthread_sigmask(SIG_BLOCK, &blocked_signals, &before), 0);
    CU_ASSERT_PTR_NOT_EQUAL(signal(SIGPIPE, SIG_IGN), SIG_ERR);
    CU_ASSERT(says("echo $(grep -E '^Sig(Blk|Ign):' /proc/self/status | cut -f2)",
                   "0000000000000000 0000000000000000"));
    CU_ASSERT_PTR_NOT_EQUAL(signal(SIGPIPE, SIG_DFL), SIG_ERR);
    CU_ASSERT_EQUAL(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

static void hook__runs__then_no_descriptor_but_three_and_a_group_of_its_own(void)
{
    int low =
        open("/dev/null", O_RDONLY); /* NOLINT(android-cloexec-open): it is to be inherited, if it can be */
    int high = fcntl(low, F_DUPFD, 500);

    CU_ASSERT_FATAL(low >= 0 && high >= 500);
    /* ls has the directory open, as 3. */
    CU_ASSERT(says("echo $(ls /proc/self/fd)", "0 1 2 3"));
    CU_ASSERT(says("set -- $(cut -d' ' -f5 /proc/$$/stat); [ $1 = $$ ] && echo own", "own"));
    close(low);
    close(high);
}

static void hook__service_has_no_standard_descriptors__then_it_runs_the_same(void)
{
    int saved[3];
    bool same;

    (void)fflush(stdout);
    for (int i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
        close(i);
    }
    same = strcmp(run_once("cat; echo; echo end >&2")->last_line, "end") == 0;
    fini();
    for (int i = 0; i < 3; i++) {
        (void)dup2(saved[i], i);
        close(saved[i]);
    }
    CU_ASSERT(same);
}

/* ---- what a hook says ------------------------------------------------------------------------- */

static void hook__says_much__then_the_last_line_is_kept(void)
{
    char expected[HOOK_LINE_SIZE];

    CU_ASSERT(says("echo one; echo two >&2; echo; printf '\\n\\n'", "two"));
    CU_ASSERT(says("printf 'no end of line'", "no end of line"));
    CU_ASSERT(says("printf 'a\\033[31mb\\tc\\177\\n'", "a?[31mb?c?"));
    CU_ASSERT(says(":", ""));
    memset(expected, 'x', sizeof(expected) - 1);
    expected[sizeof(expected) - 1] = '\0';
    CU_ASSERT(says("head -c 100000 /dev/zero | tr '\\0' x", expected));
    CU_ASSERT(says("yes | head -c 3000000; echo done", "done")); /* far more than a pipe holds */
}

static void last_line__in_parts__then_the_same_as_in_one(void)
{
    static const char text[] = "first\r\nsecond \n\n\nthird";

    for (size_t part = 1; part < sizeof(text); part++) {
        char line[8], complete[8] = "";
        LastLine last = {.line = line, .size = sizeof(line), .complete = complete};

        for (size_t done = 0; done < sizeof(text) - 1; done += part)
            last_line_add(&last, text + done, sizeof(text) - 1 - done < part ? sizeof(text) - 1 - done : part);
        CU_ASSERT_STRING_EQUAL(complete, "second ");
        last_line_end(&last);
        CU_ASSERT_STRING_EQUAL(complete, "third");
        last_line_end(&last);
        CU_ASSERT_STRING_EQUAL(complete, "third");
    }
}

/* ---- hooks that fail -------------------------------------------------------------------------- */

static void hook__fails__then_tried_four_times_and_given_up(void)
{
    init("echo attempt $(echo >>$base/attempts; wc -l <$base/attempts); exit 7");
    start();
    add("file");
    await_told(4);
    hook_runner_destroy(runner, LONG);
    CU_ASSERT_EQUAL(told_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        char expected[32];

        (void)snprintf(expected, sizeof(expected), "attempt %u", i + 1);
        CU_ASSERT_STRING_EQUAL(told[i].last_line, expected);
        CU_ASSERT_EQUAL(told[i].attempt, i + 1);
        CU_ASSERT_EQUAL(told[i].failure, HOOK_STATUS);
        CU_ASSERT_EQUAL(told[i].detail, 7);
        CU_ASSERT_EQUAL(told[i].outcome, i < 3 ? HOOK_FAILED : HOOK_GIVEN_UP);
    }
    fini();
}

static void hook__fails_at_first__then_it_is_done_later_and_the_next_file_waits(void)
{
    init("echo >>$base/attempts; [ $(wc -l <$base/attempts) -gt 2 ] || kill -9 $$");
    put("second", "");
    start();
    add("file");
    add("second");
    await_told(4);
    hook_runner_destroy(runner, LONG);
    CU_ASSERT_EQUAL(told_count, 4);
    CU_ASSERT_EQUAL(told[0].failure, HOOK_SIGNALLED);
    CU_ASSERT_EQUAL(told[0].detail, SIGKILL);
    CU_ASSERT_EQUAL(told[1].outcome, HOOK_FAILED);
    CU_ASSERT_EQUAL(told[2].outcome, HOOK_DONE);
    CU_ASSERT_EQUAL(told[2].attempt, 3);
    CU_ASSERT_STRING_EQUAL(told[3].path, at("second"));
    CU_ASSERT_EQUAL(told[3].attempt, 1);
    fini();
}

/* Pauses grow: 20, 160, 1280 ms here. */
static void hook__fails__then_pauses_grow(void)
{
    uint64_t before = now();

    init("exit 1");
    config.pause_ns = NS_PER_S / 50;
    start();
    add("file");
    await_told(2);
    CU_ASSERT(now() - before >= NS_PER_S / 50);
    await_told(3);
    CU_ASSERT(now() - before >= NS_PER_S / 50 * 9);
    hook_runner_destroy(runner, LONG); /* does not wait for the next pause */
    CU_ASSERT_EQUAL(told_count, 4);
    CU_ASSERT_EQUAL(told[3].outcome, HOOK_STOPPED);
    CU_ASSERT_EQUAL(told[3].attempt, 0);
    fini();
}

static void hook__cannot_be_run__then_why(void)
{
    init("");
    config.program = "/nonexistent/hook";
    start();
    add("file");
    await_told(4);
    hook_runner_destroy(runner, 0);
    CU_ASSERT_EQUAL(told[0].failure, HOOK_NOT_RUN);
    CU_ASSERT_EQUAL(told[0].detail, ENOENT);
    CU_ASSERT_EQUAL(told[3].outcome, HOOK_GIVEN_UP);
    told_count = 0;
    config.program = at("file");
    start();
    add("file");
    await_told(1);
    hook_runner_destroy(runner, LONG);
    CU_ASSERT_EQUAL(told[0].failure, HOOK_NOT_RUN);
    CU_ASSERT_EQUAL(told[0].detail, EACCES);
    fini();
}

static void hook__file_is_not_there_or_none__then_not_run_and_not_tried_again(void)
{
    init("echo ran");
    CU_ASSERT_EQUAL(symlink("/etc/passwd", at("link")), 0);
    CU_ASSERT_EQUAL(mkfifo(at("fifo"), 0600), 0);
    start();
    add("none");
    add("link");
    add("fifo");
    await_told(3);
    hook_runner_destroy(runner, 0);
    CU_ASSERT_EQUAL(told_count, 3);
    for (size_t i = 0; i < 3; i++) {
        static const int errors[] = {ENOENT, ELOOP, EPERM};

        CU_ASSERT_EQUAL(told[i].failure, HOOK_NO_FILE);
        CU_ASSERT_EQUAL(told[i].outcome, HOOK_GIVEN_UP);
        CU_ASSERT_EQUAL(told[i].detail, errors[i]);
        CU_ASSERT_STRING_EQUAL(told[i].last_line, "");
    }
    fini();
}

/* ---- hooks that do not end -------------------------------------------------------------------- */

static void hook__hangs_and_ignores_signals__then_its_group_is_killed(void)
{
    pid_t child;

    init("trap '' TERM HUP INT; echo waiting; sleep 1000 & echo $! >$base/child; wait; sleep 1000");
    config.timeout_ns = NS_PER_S / 2;
    start();
    add("file");
    child = read_pid("child");
    await_told(1);
    CU_ASSERT_EQUAL(told[0].failure, HOOK_TIMEOUT);
    CU_ASSERT_EQUAL(told[0].outcome, HOOK_FAILED);
    CU_ASSERT_STRING_EQUAL(told[0].last_line, "waiting");
    while (is_running(child))
        sched_yield();
    hook_runner_destroy(runner, 0);
    fini();
}

static void hook__floods_its_output__then_the_timeout_counts(void)
{
    init("while :; do echo flood; done");
    config.timeout_ns = NS_PER_S / 5;
    start();
    add("file");
    await_told(1);
    hook_runner_destroy(runner, 0);
    CU_ASSERT_EQUAL(told[0].failure, HOOK_TIMEOUT);
    CU_ASSERT_STRING_EQUAL(told[0].last_line, "flood");
    fini();
}

/* Its output stays open as long as the child lives: nobody waits for that. */
static void hook__leaves_a_child_behind__then_it_is_killed(void)
{
    pid_t child;

    init("sleep 1000 & echo $! >$base/child; echo left");
    start();
    add("file");
    await_told(1);
    CU_ASSERT_EQUAL(told[0].outcome, HOOK_DONE);
    CU_ASSERT_STRING_EQUAL(told[0].last_line, "left");
    child = read_pid("child");
    while (is_running(child))
        sched_yield();
    hook_runner_destroy(runner, 0);
    fini();
}

static void hook__makes_a_daemon__then_it_is_not_waited_for(void)
{
    pid_t daemon_pid;

    init("setsid sh -c 'echo $$ >$0/daemon.new; mv $0/daemon.new $0/daemon; while :; do echo more; done' $base &\n"
         "until [ -e $base/daemon ]; do :; done; echo started");
    start();
    add("file");
    await_told(1);
    CU_ASSERT_EQUAL(told[0].outcome, HOOK_DONE);
    daemon_pid = read_pid("daemon");
    while (is_running(daemon_pid)) /* nobody reads what it says any more */
        sched_yield();
    hook_runner_destroy(runner, 0);
    fini();
}

static void hook__closes_its_output__then_its_end_is_still_awaited(void)
{
    init("exec >/dev/null 2>&1; sleep 0.1; exit 3");
    start();
    add("file");
    await_told(1);
    hook_runner_destroy(runner, LONG);
    CU_ASSERT_EQUAL(told[0].failure, HOOK_STATUS);
    CU_ASSERT_EQUAL(told[0].detail, 3);
    fini();
}

/* ---- the queue, and the end ------------------------------------------------------------------- */

static void hook_runner__many_files__then_one_at_a_time_in_order(void)
{
    init("exec 9>$base/lock; flock -n 9 || exit 1; echo ${1##*/} >>$base/order; cat >/dev/null");
    start();
    for (uint32_t i = 0; i < 20; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "file-%02u", i);
        put(name, name);
        add(name);
    }
    await_told(20);
    hook_runner_destroy(runner, 0);
    CU_ASSERT_EQUAL(told_count, 20);
    for (uint32_t i = 0; i < 20; i++) {
        CU_ASSERT_EQUAL(told[i].outcome, HOOK_DONE);
        CU_ASSERT_EQUAL((uint32_t)strtoul(strrchr(told[i].path, '-') + 1, NULL, 10), i);
    }
    fini();
}

static void hook_runner__too_many_files__then_the_oldest_are_dropped_and_told(void)
{
    char name[32];

    init("echo $$ >$base/child; exec sleep 1000");
    start();
    add("file");
    (void)read_pid("child");
    for (uint32_t i = 0; i < HOOK_QUEUE_MAX + 10; i++) {
        (void)snprintf(name, sizeof(name), "file-%03u", i);
        add(name);
    }
    await_told(10); /* while the first one still runs */
    hook_runner_destroy(runner, 0);
    CU_ASSERT_EQUAL(told_count, HOOK_QUEUE_MAX + 11);
    for (uint32_t i = 0; i < told_count; i++) {
        CU_ASSERT_EQUAL(told[i].outcome, i < 10 ? HOOK_DROPPED : HOOK_STOPPED);
        CU_ASSERT_EQUAL(told[i].attempt, i == 10 ? 1u : 0u);
        (void)snprintf(name, sizeof(name), "file-%03u", i < 10 ? i : i - 1);
        CU_ASSERT_STRING_EQUAL(told[i].path, at(i == 10 ? "file" : name));
    }
    fini();
}

/* Whoever does not come back from the call: memory is bounded all the same. */
static void hook_runner__nobody_listens__then_what_is_dropped_is_bounded(void)
{
    init("");
    set_blocked(true);
    start();
    add("file");
    await_told(1);
    for (uint32_t i = 0; i < 3 * HOOK_QUEUE_MAX; i++)
        add("none");
    set_blocked(false);
    hook_runner_destroy(runner, LONG);
    CU_ASSERT_EQUAL(told_count, 1 + 2 * HOOK_QUEUE_MAX);
    fini();
}

static void hook_runner__destroyed_while_one_hangs__then_at_once(void)
{
    pid_t child;

    init("trap '' TERM; echo $$ >$base/child; sleep 1000");
    put("second", "");
    start();
    add("file");
    add("second");
    child = read_pid("child");
    hook_runner_destroy(runner, 0);
    CU_ASSERT_FALSE(is_running(child));
    CU_ASSERT_EQUAL(told_count, 2);
    CU_ASSERT_EQUAL(told[0].outcome, HOOK_STOPPED);
    CU_ASSERT_EQUAL(told[0].attempt, 1);
    CU_ASSERT_EQUAL(told[1].outcome, HOOK_STOPPED);
    CU_ASSERT_EQUAL(told[1].attempt, 0);
    fini();
}

/* The last files of a session are added just before it ends. */
static void hook_runner__destroyed_with_grace__then_what_waits_is_run_first(void)
{
    init("cat; echo \" ${1##*/}\"; [ ${1##*/} != second ]");
    put("second", "2");
    put("third", "3");
    start();
    add("file");
    add("second");
    add("third");
    hook_runner_destroy(runner, UINT64_MAX);
    CU_ASSERT(told_count >= 3);
    CU_ASSERT_STRING_EQUAL(told[0].last_line, "contents file");
    CU_ASSERT_STRING_EQUAL(told[told_count - 1].last_line, "3 third");
    CU_ASSERT_EQUAL(told[told_count - 1].outcome, HOOK_DONE);
    fini();
}

static void hook_runner__grace_is_over__then_killed(void)
{
    init("sleep 1000");
    start();
    add("file");
    hook_runner_destroy(runner, NS_PER_S / 10);
    CU_ASSERT_EQUAL(told_count, 1);
    CU_ASSERT_EQUAL(told[0].outcome, HOOK_STOPPED);
    CU_ASSERT_EQUAL(told[0].failure, HOOK_TIMEOUT);
    hook_runner_destroy(NULL, 0);
    fini();
}

static void hook_runner__nobody_is_told__then_it_works_the_same(void)
{
    struct stat status;

    init("echo >$base/ran");
    config.on_result = NULL;
    config.pause_ns = 0;
    start();
    add("file");
    hook_runner_destroy(runner, LONG);
    CU_ASSERT_EQUAL(stat(at("ran"), &status), 0);
    fini();
}

static void hook_runner__no_such_user__then_refused(void)
{
    init("");
    config.run_user = "adatrace-no-such-user";
    CU_ASSERT_EQUAL(hook_runner_create(&config, &runner), -ENOENT);
    config.run_user = "root";
    CU_ASSERT_EQUAL(hook_runner_create(&config, &runner), -EPERM);
    fini();
}

/* A user whose groups are more than its own. */
static void hook_user__of_several_groups__then_all_are_found(void)
{
    struct passwd *entry;
    bool found = false;

    setpwent();
    while ((entry = getpwent()) && !found) {
        gid_t groups[HOOK_GROUPS_MAX];
        int count = HOOK_GROUPS_MAX;
        HookUser user;

        if (entry->pw_uid == 0 || geteuid() != 0 ||
            getgrouplist(entry->pw_name, entry->pw_gid, groups, &count) < 0)
            continue;
        CU_ASSERT_EQUAL_FATAL(hook_user_find(entry->pw_name, &user), 0);
        CU_ASSERT_EQUAL(user.group_count, count);
        CU_ASSERT_EQUAL(user.group, entry->pw_gid);
        CU_ASSERT_EQUAL(memcmp(user.groups, groups, (size_t)count * sizeof(groups[0])), 0);
        found = count > 1;
    }
    endpwent();
    if (!found)
        TEST_SKIP("no user here has several groups, or this is not root");
}

static const TestCase tests[] = {
    TEST(hook__runs__then_it_has_the_path_and_the_file_on_its_input),
    TEST(hook__runs__then_its_environment_is_clean),
    TEST(hook__runs__then_with_few_rights),
    TEST(hook__runs__then_signals_are_as_usual),
    TEST(hook__runs__then_no_descriptor_but_three_and_a_group_of_its_own),
    TEST(hook__service_has_no_standard_descriptors__then_it_runs_the_same),
    TEST(hook__says_much__then_the_last_line_is_kept),
    TEST(last_line__in_parts__then_the_same_as_in_one),
    TEST(hook__fails__then_tried_four_times_and_given_up),
    TEST(hook__fails_at_first__then_it_is_done_later_and_the_next_file_waits),
    TEST(hook__fails__then_pauses_grow),
    TEST(hook__cannot_be_run__then_why),
    TEST(hook__file_is_not_there_or_none__then_not_run_and_not_tried_again),
    TEST(hook__hangs_and_ignores_signals__then_its_group_is_killed),
    TEST(hook__floods_its_output__then_the_timeout_counts),
    TEST(hook__leaves_a_child_behind__then_it_is_killed),
    TEST(hook__makes_a_daemon__then_it_is_not_waited_for),
    TEST(hook__closes_its_output__then_its_end_is_still_awaited),
    TEST(hook_runner__many_files__then_one_at_a_time_in_order),
    TEST(hook_runner__too_many_files__then_the_oldest_are_dropped_and_told),
    TEST(hook_runner__nobody_listens__then_what_is_dropped_is_bounded),
    TEST(hook_runner__destroyed_while_one_hangs__then_at_once),
    TEST(hook_runner__destroyed_with_grace__then_what_waits_is_run_first),
    TEST(hook_runner__grace_is_over__then_killed),
    TEST(hook_runner__nobody_is_told__then_it_works_the_same),
    TEST(hook_runner__no_such_user__then_refused),
    TEST(hook_user__of_several_groups__then_all_are_found),
};
TEST_MAIN("hook_runner", tests)
