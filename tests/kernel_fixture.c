/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "kernel_fixture.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_support.h"
#include "user/base/array.h"

static int own_go = -1;
static int own_message = -1;

bool kernel_fixture_start(const KernelAssistConfig *config, KernelAssist **assist_out)
{
    char reason[KERNEL_REASON_SIZE] = "";
    int error;

#ifdef __SANITIZE_THREAD__
    test_skip("ThreadSanitizer lets no child of fork() start threads");
    return false;
#endif
    error = kernel_assist_create(config, assist_out, reason);
    if (error == -EOPNOTSUPP || error == -EPERM || error == -EACCES) {
        test_skip("no kernel assistance here: %s", reason);
        return false;
    }
    if (error)
        CU_FAIL_FATAL("kernel_assist_create() failed");
    return true;
}

void program_pause(bool tell)
{
    char byte;

    if (tell)
        program_write(0);
    if (read(own_go, &byte, 1) != 1)
        _exit(99); /* the test is gone */
}

void program_write(uint64_t number)
{
    if (write(own_message, &number, sizeof(number)) != (ssize_t)sizeof(number))
        _exit(98);
}

WatchedProgram program_start(int (*run)(void *argument), void *argument)
{
    int go[2], message[2];
    WatchedProgram program;

    CU_ASSERT_EQUAL_FATAL(pipe(go), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(message), 0);
    program.pid = fork();
    CU_ASSERT_FATAL(program.pid >= 0);
    if (program.pid == 0) {
        close(go[1]);
        close(message[0]);
        own_go = go[0];
        own_message = message[1];
        program_pause(false);
        _exit(run(argument));
    }
    close(go[0]);
    close(message[1]);
    program.go = go[1];
    program.message = message[0];
    return program;
}

void program_continue(const WatchedProgram *program)
{
    CU_ASSERT_EQUAL(write(program->go, "", 1), 1);
}

uint64_t program_read(const WatchedProgram *program)
{
    uint64_t number = 0;

    CU_ASSERT_EQUAL_FATAL(read(program->message, &number, sizeof(number)), (ssize_t)sizeof(number));
    return number;
}

int program_wait(const WatchedProgram *program)
{
    int status = -1;

    CU_ASSERT_EQUAL(waitpid(program->pid, &status, 0), program->pid);
    close(program->go);
    close(program->message);
    return status;
}

static void note(void *context, const AdaKernelLifecycle *record, const AdaKernelThread *thread)
{
    SeenRecords *seen = context;

    if (array_reserve_one(&seen->items, &seen->capacity, seen->count, sizeof(seen->items[0])) != 0)
        abort();
    seen->items[seen->count] = (SeenRecord){.record = *record};
    if (thread)
        seen->items[seen->count].thread = *thread;
    seen->count++;
}

void seen_consume(KernelAssist *assist, SeenRecords *seen)
{
    kernel_assist_consume_lifecycle(assist, note, seen);
}

void seen_await(KernelAssist *assist, SeenRecords *seen, uint32_t type, uint32_t tgid, size_t count)
{
    struct pollfd fd = {.fd = kernel_assist_lifecycle_fd(assist), .events = POLLIN};

    for (seen_consume(assist, seen); seen_count(seen, type, tgid) < count; seen_consume(assist, seen))
        (void)poll(&fd, 1, -1);
}

size_t seen_count(const SeenRecords *seen, uint32_t type, uint32_t tgid)
{
    size_t count = 0;

    for (size_t i = 0; i < seen->count; i++)
        count += seen->items[i].record.type == type && (tgid == 0 || seen->items[i].record.tgid == tgid);
    return count;
}

const SeenRecord *seen_find(const SeenRecords *seen, uint32_t type, uint32_t tid, size_t nth)
{
    for (size_t i = 0; i < seen->count; i++) {
        if (seen->items[i].record.type == type && seen->items[i].record.tid == tid && nth-- == 0)
            return &seen->items[i];
    }
    return NULL;
}

void seen_free(SeenRecords *seen)
{
    free(seen->items);
    *seen = (SeenRecords){0};
}
