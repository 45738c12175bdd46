/* SPDX-License-Identifier: MIT */
/* Recorders that are attached to real processes, several in one process; and that nothing grows however many come and go. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/collector/recorder_internal.h"
#include "user/reader/adat_verify.h"

/* ---- programs ------------------------------------------------------------------------------------ */

typedef struct Program {
    pid_t pid;
    int input, output; /* its own */
    char path[64];     /* a link with a name that nobody else has */
} Program;

/* `arguments` without the first one, which is the program's path. */
static Program start_program(const char *name, char **arguments)
{
    static uint32_t number;
    char target[512];
    Program program;
    int in[2], out[2];

    (void)snprintf(target, sizeof(target), "%s/tests/%s", ADA_TEST_OUT, name);
    (void)snprintf(program.path, sizeof(program.path), "/tmp/rec%d.%u", (int)getpid(), ++number);
    (void)unlink(program.path);
    CU_ASSERT_EQUAL_FATAL(symlink(target, program.path), 0);
    arguments[0] = program.path;
    CU_ASSERT_EQUAL_FATAL(pipe2(in, O_CLOEXEC), 0);
    CU_ASSERT_EQUAL_FATAL(pipe2(out, O_CLOEXEC), 0);
    program.pid = fork();
    if (program.pid == 0) {
        (void)dup2(in[0], STDIN_FILENO);
        (void)dup2(out[1], STDOUT_FILENO);
        execv(program.path, arguments);
        _exit(127);
    }
    arguments[0] = NULL;
    CU_ASSERT_TRUE_FATAL(program.pid > 0);
    close(in[0]);
    close(out[1]);
    program.input = in[1];
    program.output = out[0];
    return program;
}

static void end_program(Program *program)
{
    (void)kill(program->pid, SIGKILL);
    (void)waitpid(program->pid, NULL, 0);
    (void)unlink(program->path);
    close(program->input);
    close(program->output);
}

/* Once its library is loaded. */
static void open_program(const Program *program, AttachTarget *target)
{
    AttachFailure failure;

    while (attach_open(program->pid, false, target, &failure) != 0)
        CU_ASSERT_TRUE_FATAL(failure.what == ATTACH_NOT_HERE || failure.what == ATTACH_DAMAGED);
}

static size_t count_descriptors(void)
{
    size_t count = 0;

    for (int fd = 0; fd < 4096; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* ---- recorders ----------------------------------------------------------------------------------- */

typedef struct Running {
    pthread_t thread;
    RecorderConfig config;
    int file; /* what it writes */
    Recorder *recorder;
    int error;
    uint32_t started; /* `recorder` and `error` are there */
} Running;

static void *run_recorder(void *argument)
{
    Running *running = argument;
    enum recorder_stage stage;

    running->error = recorder_create(&running->config, &running->recorder, &stage);
    ada_store_release(&running->started, 1u);
    if (!running->error)
        recorder_follow(running->recorder);
    return NULL;
}

/* Recording when this returns. */
static void start_recorder(Running *running)
{
    static const char *const strings[] = {"command", "test", NULL};
    int fd = memfd_create("trace", MFD_CLOEXEC);

    running->file = dup(fd);
    running->config.output = fd;
    running->config.strings = strings;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&running->thread, NULL, run_recorder, running), 0);
    while (!ada_load_acquire(&running->started))
        sched_yield();
    CU_ASSERT_EQUAL_FATAL(running->error, 0);
}

/* Ends it; its file must be in order. */
static void stop_recorder(Running *running, SessionResult *result)
{
    AdatReader *reader = NULL;
    AdatVerdict verdict;

    recorder_stop(running->recorder);
    pthread_join(running->thread, NULL);
    recorder_result(running->recorder, result);
    CU_ASSERT_TRUE(result->closed);
    CU_ASSERT_EQUAL_FATAL(adat_reader_open_fd(running->file, &reader), 0);
    CU_ASSERT_EQUAL(adat_verify(reader, &verdict), 0);
    CU_ASSERT_EQUAL(verdict.problem_count, 0);
    adat_verdict_fini(&verdict);
    adat_reader_close(reader);
}

static void await_bytes(const Running *running, off_t bytes)
{
    struct stat status;

    do {
        sched_yield();
        CU_ASSERT_EQUAL_FATAL(fstat(running->file, &status), 0);
    } while (status.st_size < bytes);
}

/* ---- two in one process -------------------------------------------------------------------------- */

static void recorder__process_of_another_one_here__then_refused_and_taken_when_that_ends(void)
{
    char *arguments[] = {NULL, "1", "0", NULL};
    Program program;
    Running first = {0}, second = {0};
    AttachTarget target, again;
    AttachFailure failure;
    DiscoverRules rules = {0};
    SessionResult result;
    char rule[96];
    const char *why;

    program = start_program("prog_load", arguments);
    open_program(&program, &target);
    first.config.targets = &target;
    first.config.target_count = 1;
    start_recorder(&first);
    await_bytes(&first, 100000);
    CU_ASSERT_EQUAL(attach_open(program.pid, false, &again, &failure), -1);
    CU_ASSERT_EQUAL(failure.what, ATTACH_CLAIMED);
    CU_ASSERT_EQUAL(failure.other, getpid());

    (void)snprintf(rule, sizeof(rule), "all,name=%s", strrchr(program.path, '/') + 1);
    CU_ASSERT_EQUAL_FATAL(discover_rules_add(&rules, rule, &why), 0);
    second.config.discover = &rules;
    start_recorder(&second);
    await_bytes(&first, 1000000); /* it goes on */
    stop_recorder(&first, &result);
    CU_ASSERT_EQUAL(result.processes, 1);
    CU_ASSERT(result.accounts->index.in_file > 0);
    recorder_destroy(first.recorder); /* here the claim ends */

    await_bytes(&second, 1000000);
    stop_recorder(&second, &result);
    CU_ASSERT_EQUAL(result.processes, 1);
    CU_ASSERT(result.accounts->index.in_file > 0);
    recorder_destroy(second.recorder);
    attach_close(&target);
    discover_rules_fini(&rules);
    close(first.file);
    close(second.file);
    end_program(&program);
}

/* ---- many that come and go ----------------------------------------------------------------------- */

#ifdef __SANITIZE_THREAD__
#define CHILDREN "300"
#else
#define CHILDREN "3000"
#endif

static void come_and_go(bool no_bpf, bool spawn, uint32_t at_least)
{
    char *arguments[] = {
        NULL, no_bpf || spawn ? "300" : CHILDREN, no_bpf ? "10000" : "2000", "5", spawn ? "spawn" : NULL,
        NULL};
    Running running = {0};
    SessionResult result;
    AttachTarget target;
    Program program;
    size_t before;
    char byte;

    program = start_program("prog_children", arguments);
    open_program(&program, &target);
    running.config.targets = &target;
    running.config.target_count = 1;
    running.config.with_children = true;
    running.config.no_bpf = no_bpf;
    start_recorder(&running);
    before = count_descriptors();
    CU_ASSERT_EQUAL(read(program.output, &byte, 1), 1); /* all its children have come and gone */
    while (count_descriptors() > before)
        sched_yield();
    stop_recorder(&running, &result);
    if (!running.recorder->kernel)
        at_least = 0;
    CU_ASSERT(result.processes >= at_least);
    CU_ASSERT_EQUAL(result.quarantined, 0);
    /* As many places as processes at a time; how they ended may take a second to be known. */
    CU_ASSERT(running.recorder->members.count <= result.processes / 3 + 50);
    CU_ASSERT_EQUAL(running.recorder->members.live, 1);
    recorder_destroy(running.recorder);
    attach_close(&target);
    close(running.file);
    end_program(&program);
}

static void recorder__thousands_of_children__then_nothing_is_left_of_them(void)
{
    come_and_go(false, false, 150);
}

static void recorder__children_become_other_programs__then_nothing_is_left_of_them(void)
{
    come_and_go(false, true, 150);
}

static void recorder__children_without_kernel_assistance__then_nothing_is_left_of_them(void)
{
    come_and_go(true, false, 0);
}

static const TestCase tests[] = {
    TEST(recorder__process_of_another_one_here__then_refused_and_taken_when_that_ends),
    TEST(recorder__thousands_of_children__then_nothing_is_left_of_them),
    TEST(recorder__children_become_other_programs__then_nothing_is_left_of_them),
    TEST(recorder__children_without_kernel_assistance__then_nothing_is_left_of_them),
};
TEST_MAIN("recorder_attach", tests)
