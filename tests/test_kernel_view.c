/* SPDX-License-Identifier: MIT */
/* What the kernel tells of a process, from its records to the file. */
#define _GNU_SOURCE
#include "test_support.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/collector/kernel_view.h"
#include "user/collector/session.h"
#include "user/lane/clock.h"
#include "user/reader/adat_cursor.h"
#include "user/reader/adat_reader.h"

typedef struct Fixture {
    int trace;
    Session *session;
    KernelView *view;
    uint32_t number;
    uint64_t now;
} Fixture;

static void setup(Fixture *fixture)
{
    const SessionConfig config = {0};
    Segment segment;

    *fixture = (Fixture){.trace = memfd_create("trace", MFD_CLOEXEC), .now = ada_clock_monotonic_ns()};
    CU_ASSERT_EQUAL_FATAL(session_create(dup(fixture->trace), &config, &fixture->session), 0);
    CU_ASSERT_EQUAL_FATAL(session_start(fixture->session), 0);
    CU_ASSERT_EQUAL_FATAL(kernel_view_create(getpid(), &fixture->view, &segment), 0);
    CU_ASSERT_EQUAL_FATAL(session_attach_view(fixture->session, &segment, getpid(), &fixture->number), 0);
}

/* Ends the recording; the caller closes the reader. */
static AdatReader *finish(Fixture *fixture)
{
    AdatReader *reader;

    kernel_view_destroy(fixture->view);
    session_process_ended(fixture->session, fixture->number, (ProcessEnd){.kind = ADAT_DEATH_EXIT, .code = 3});
    CU_ASSERT_EQUAL(session_stop(fixture->session), 0);
    session_destroy(fixture->session);
    CU_ASSERT_EQUAL_FATAL(adat_reader_open_fd(fixture->trace, &reader), 0);
    return reader;
}

static void tell(Fixture *fixture, uint32_t type, uint32_t tid, uint64_t time, uint64_t duration, uint32_t state)
{
    const AdaKernelSched record = {
        .type = type,
        .cpu = 1,
        .time_ns = fixture->now + time,
        .tid = tid,
        .tgid = (uint32_t)getpid(),
        .other_tid = 77,
        .state = state,
        .duration_ns = duration,
    };

    kernel_view_sched(fixture->view, &record, tid + 1000); /* as if it had another id in its namespace */
}

static void kernel_view__records__then_events_with_fields_in_the_file(void)
{
    static const char *const names[] = {"sched.wakeup", "sched.switch_in", "sched.switch_out",
                                        "sched.switch_out"};
    static const uint64_t durations[] = {500, 20, 300, 10};
    const AdatThreadInfo *thread;
    char name[ADAT_NAME_MAX];
    AdatCursor *cursor;
    AdatReader *reader;
    AdatEvent event;
    Fixture fixture;
    int64_t last = INT64_MIN;
    size_t count = 0;

    setup(&fixture);
    tell(&fixture, ADA_KERNEL_WAKEUP, 5, 100, 500, ADA_KERNEL_RUNNABLE);
    tell(&fixture, ADA_KERNEL_SWITCH_IN, 5, 200, 20, ADA_KERNEL_RUNS);
    tell(&fixture, ADA_KERNEL_SWITCH_OUT, 5, 400, 300, ADA_KERNEL_SLEEPS);
    tell(&fixture, ADA_KERNEL_SWITCH_OUT, 5, 300, 10, ADA_KERNEL_PREEMPTED); /* another CPU's, late */
    tell(&fixture, 99, 5, 500, 0, 0);                                        /* none that we know */
    CU_ASSERT_EQUAL(kernel_view_threads(fixture.view), 1);
    reader = finish(&fixture);

    thread = adat_reader_thread(reader, 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(thread);
    CU_ASSERT_EQUAL(thread->thread.tid, 1005);
    CU_ASSERT_EQUAL(thread->events.in_file, 4);
    CU_ASSERT_EQUAL(thread->detail.in_file, 4);
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->process.pid, (uint32_t)getpid());
    CU_ASSERT_EQUAL(
        strncmp(adat_strings_find(adat_reader_process(reader, 0)->strings, "command"), "kernel: ", 8), 0);
    CU_ASSERT_EQUAL(adat_reader_process(reader, 0)->death.code, 3);
    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    while (adat_cursor_next(cursor, &event) == 1 && count < 4) {
        (void)adat_reader_event_name(reader, event.process->process.process, &event.event, name);
        CU_ASSERT_STRING_EQUAL(name, names[count]);
        CU_ASSERT_EQUAL(event.event.argument, durations[count]);
        CU_ASSERT_TRUE(event.time_ns >= last);
        last = event.time_ns;
        count++;
    }
    CU_ASSERT_EQUAL(count, 4);
    adat_cursor_destroy(cursor);
    adat_reader_close(reader);
}

static void tell_call(Fixture *fixture, uint32_t type, uint32_t number, uint64_t time, uint64_t value)
{
    const AdaKernelCall call = {.type = type,
                                .time_ns = fixture->now + time,
                                .tid = 5,
                                .tgid = (uint32_t)getpid(),
                                .number = number,
                                .value = value};

    kernel_view_syscall(fixture->view, &call, 5);
}

/* Who waits since before: for whom, if that is known; but not who was heard of already, nor what is not wanted. */
static void kernel_view__found_waiting__then_its_call_began_earlier(void)
{
    static const char *const expected[] = {"1005 3 syscall.futex 4096 8", "1005 5 futex.owner 1007 0",
                                           "1005 7 sched.switch_out 0 1", "1005 4 syscall.futex 0 0",
                                           "1006 7 sched.switch_out 9 1", "1007 7 sched.switch_out 0 1"};
    const ThreadLook looks[] = {
        {.tid = 5, .own_tid = 1005, .waits = true, .call = SYS_futex, .argument = 4096, .owner = 1007},
        {.tid = 6, .own_tid = 1006, .waits = true, .call = SYS_futex, .argument = 4096},
        {.tid = 7, .own_tid = 1007, .waits = true, .blocked = true, .call = SYS_read, .argument = 3},
        {.tid = 8, .own_tid = 1008, .waits = true, .call = THREAD_LOOK_NO_CALL},
    };
    char name[ADAT_NAME_MAX], line[ADAT_NAME_MAX + 64];
    SyscallSet calls = {0};
    AdatCursor *cursor;
    AdatReader *reader;
    AdatEvent event;
    Fixture fixture;
    size_t count = 0;

    calls.bits[SYS_futex / 64] |= 1ull << SYS_futex % 64;
    setup(&fixture);
    tell(&fixture, ADA_KERNEL_SWITCH_OUT, 6, 1, 9, ADA_KERNEL_SLEEPS);
    for (size_t i = 0; i < 3; i++)
        kernel_view_found(fixture.view, &looks[i], fixture.now + 2, true, &calls);
    kernel_view_found(fixture.view, &looks[3], fixture.now + 2, false, &calls);
    kernel_view_found(fixture.view, &looks[3], fixture.now + 2, false, NULL);
    CU_ASSERT_EQUAL(kernel_view_threads(fixture.view), 3);
    tell_call(&fixture, ADA_KERNEL_SYSCALL_EXIT, SYS_futex, 3, 0);
    reader = finish(&fixture);
    for (size_t t = 0; t < 3; t++) { /* one thread after the other */
        const uint32_t tids[] = {1005, 1006, 1007};

        CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
        while (adat_cursor_next(cursor, &event) == 1 && count < 6) {
            if (event.thread->thread.tid != tids[t])
                continue;
            (void)adat_reader_event_name(reader, event.process->process.process, &event.event, name);
            (void)snprintf(line, sizeof(line), "%u %u %s %llu %u", event.thread->thread.tid,
                           ADA_WORD_KIND(event.event.word), name, (unsigned long long)event.event.argument,
                           ADA_WORD_FLAGS(event.event.word));
            CU_ASSERT_STRING_EQUAL(line, expected[count]);
            count++;
        }
        adat_cursor_destroy(cursor);
    }
    CU_ASSERT_EQUAL(count, 6);
    adat_reader_close(reader);
}

/* One that it was in when it was attached to, one whole, one with a switch in it, one without a name; and one that never comes back. */
static void kernel_view__system_calls__then_spans_that_begin_and_end(void)
{
    static const char *const expected[] = {
        "3 syscall.read 3",    "4 syscall.read 100", "3 syscall.write 4", "7 sched.switch_out 9",
        "4 syscall.write 200", "3 syscall.1000 1",   "4 syscall.1000 2",  "3 syscall.exit_group 0"};
    char name[ADAT_NAME_MAX], line[ADAT_NAME_MAX + 64];
    AdatCursor *cursor;
    AdatReader *reader;
    AdatEvent event;
    Fixture fixture;
    size_t count = 0;

    setup(&fixture);
    tell_call(&fixture, ADA_KERNEL_SYSCALL_EXIT, SYS_poll, 1, 0);
    tell_call(&fixture, ADA_KERNEL_SYSCALL_ENTER, SYS_read, 2, 3);
    tell_call(&fixture, ADA_KERNEL_SYSCALL_EXIT, SYS_read, 3, 100);
    tell_call(&fixture, ADA_KERNEL_SYSCALL_ENTER, SYS_write, 4, 4);
    tell(&fixture, ADA_KERNEL_SWITCH_OUT, 5, 5, 9, ADA_KERNEL_BLOCKED);
    tell_call(&fixture, ADA_KERNEL_SYSCALL_EXIT, SYS_write, 6, 200);
    tell_call(&fixture, ADA_KERNEL_SYSCALL_ENTER, 1000, 7, 1);
    tell_call(&fixture, ADA_KERNEL_SYSCALL_EXIT, 1000, 8, 2);
    tell_call(&fixture, ADA_KERNEL_SYSCALL_EXIT, 1000, 9, 2); /* its begin was lost */
    tell_call(&fixture, ADA_KERNEL_SYSCALL_ENTER, SYS_exit_group, 10, 0);
    reader = finish(&fixture);
    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    while (adat_cursor_next(cursor, &event) == 1 && count < sizeof(expected) / sizeof(expected[0])) {
        (void)adat_reader_event_name(reader, event.process->process.process, &event.event, name);
        (void)snprintf(line, sizeof(line), "%u %s %llu", ADA_WORD_KIND(event.event.word), name,
                       (unsigned long long)event.event.argument);
        CU_ASSERT_STRING_EQUAL(line, expected[count]);
        count++;
    }
    CU_ASSERT_EQUAL(count, sizeof(expected) / sizeof(expected[0]));
    CU_ASSERT_EQUAL(adat_reader_events(reader).in_file, count);
    adat_cursor_destroy(cursor);
    adat_reader_close(reader);
}

static void kernel_view__many_found_waiting__then_there_is_room_for_others(void)
{
    Fixture fixture;

    setup(&fixture);
    for (uint32_t tid = 1; tid <= 1024; tid++) {
        const ThreadLook look = {.tid = tid, .own_tid = tid, .waits = true, .call = THREAD_LOOK_NO_CALL};

        kernel_view_found(fixture.view, &look, fixture.now, true, NULL);
    }
    CU_ASSERT_EQUAL(kernel_view_threads(fixture.view), 512);
    for (uint32_t tid = 2001; tid <= 2512; tid++)
        tell(&fixture, ADA_KERNEL_SWITCH_OUT, tid, 1, 9, ADA_KERNEL_SLEEPS);
    CU_ASSERT_EQUAL(kernel_view_threads(fixture.view), 1024);
    adat_reader_close(finish(&fixture));
}

/* Recursion, a return whose call nobody saw, and one of which returns are not wanted. */
static void kernel_view__functions__then_instants_and_nested_spans(void)
{
    static const KernelUprobe uprobes[] = {{"x", "once", false}, {"x", "nested", true}};
    static const struct {
        uint32_t type, number, depth;
    } calls[] = {{ADA_KERNEL_URETPROBE, 1, 0}, {ADA_KERNEL_UPROBE, 1, 0},    {ADA_KERNEL_UPROBE, 1, 1},
                 {ADA_KERNEL_UPROBE, 0, 2},    {ADA_KERNEL_URETPROBE, 1, 1}, {ADA_KERNEL_URETPROBE, 1, 0},
                 {ADA_KERNEL_URETPROBE, 1, 0}};
    AdatCursor *cursor;
    AdatReader *reader;
    AdatEvent event;
    Fixture fixture;
    uint32_t count = 0;

    setup(&fixture);
    for (uint32_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        const AdaKernelCall call = {.type = calls[i].type,
                                    .time_ns = fixture.now + i,
                                    .tid = 5,
                                    .tgid = (uint32_t)getpid(),
                                    .number = calls[i].number,
                                    .value = i};

        kernel_view_uprobe(fixture.view, &call, &uprobes[calls[i].number], 5);
    }
    reader = finish(&fixture);
    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    while (adat_cursor_next(cursor, &event) == 1) {
        uint32_t i = ++count; /* the first one is left out, and so is the last */

        CU_ASSERT_EQUAL(event.event.argument, i);
        CU_ASSERT_EQUAL(ADA_WORD_DEPTH(event.event.word), calls[i].depth);
    }
    CU_ASSERT_EQUAL(count, 5);
    adat_cursor_destroy(cursor);
    adat_reader_close(reader);
}

/* A thread that leaves does not return from that; one that was killed in another call does not, either, and nobody says that it did. */
static void kernel_view__threads_that_leave__then_their_last_call_ends_with_them(void)
{
    static const uint32_t numbers[] = {SYS_exit, SYS_exit_group, SYS_futex};
    AdatCursor *cursor;
    AdatReader *reader;
    AdatEvent event;
    Fixture fixture;
    uint32_t begins = 0, ends = 0;

    setup(&fixture);
    for (uint32_t i = 0; i < 3; i++) {
        const AdaKernelCall call = {.type = ADA_KERNEL_SYSCALL_ENTER,
                                    .time_ns = fixture.now + 1000,
                                    .tid = 5 + i,
                                    .tgid = (uint32_t)getpid(),
                                    .number = numbers[i]};

        kernel_view_syscall(fixture.view, &call, 5 + i);
        kernel_view_thread_ended(fixture.view, 5 + i, fixture.now + 1500);
    }
    reader = finish(&fixture);
    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(reader, NULL, &cursor), 0);
    while (adat_cursor_next(cursor, &event) == 1) {
        bool ended = ADA_WORD_KIND(event.event.word) == ADA_KIND_SPAN_END;

        begins += !ended;
        ends += ended;
        CU_ASSERT_EQUAL(event.event.timestamp, fixture.now + (ended ? 1500 : 1000));
        CU_ASSERT_EQUAL(ADA_WORD_DEPTH(event.event.word), 0);
        CU_ASSERT(!ended || event.thread->thread.tid != 7);
    }
    CU_ASSERT_EQUAL(begins, 3);
    CU_ASSERT_EQUAL(ends, 2);
    adat_cursor_destroy(cursor);
    adat_reader_close(reader);
}

/* Each has a slot as long as it lives; their ids come again. */
static void kernel_view__threads_that_end__then_each_has_its_own_account(void)
{
    AdatReader *reader;
    Fixture fixture;
    size_t threads = 0;

    setup(&fixture);
    for (uint32_t i = 0; i < 3000; i++) {
        uint32_t tid = 10 + i % 7;

        tell(&fixture, ADA_KERNEL_SWITCH_IN, tid, i, 1, ADA_KERNEL_RUNS);
        CU_ASSERT(kernel_view_threads(fixture.view) <= 1); /* 0: the drain is behind, and has all slots */
        kernel_view_thread_ended(fixture.view, tid, fixture.now + i);
        kernel_view_thread_ended(fixture.view, tid, fixture.now + i); /* nobody there */
        CU_ASSERT_EQUAL(kernel_view_threads(fixture.view), 0);
    }
    reader = finish(&fixture);
    while (adat_reader_thread(reader, threads))
        threads++;
    CU_ASSERT_TRUE(threads >= 1);
    CU_ASSERT_EQUAL(adat_reader_events(reader).attempted, 3000);
    CU_ASSERT_EQUAL(adat_reader_events(reader).in_file + adat_reader_events(reader).dropped_full, 3000);
    adat_reader_close(reader);
}

/* More than there are slots: what is not recorded is counted. */
static void kernel_view__too_many_threads__then_their_events_are_counted(void)
{
    AdatReader *reader;
    Fixture fixture;

    setup(&fixture);
    for (uint32_t tid = 1; tid <= 1100; tid++)
        tell(&fixture, ADA_KERNEL_SWITCH_IN, tid, tid, 1, ADA_KERNEL_RUNS);
    CU_ASSERT_EQUAL(kernel_view_threads(fixture.view), 1024);
    reader = finish(&fixture);
    CU_ASSERT_EQUAL(adat_reader_events(reader).attempted, 1100);
    CU_ASSERT_EQUAL(adat_reader_events(reader).in_file, 1024);
    CU_ASSERT_EQUAL(adat_reader_events(reader).dropped_full, 76);
    adat_reader_close(reader);
}

static const TestCase tests[] = {
    TEST(kernel_view__records__then_events_with_fields_in_the_file),
    TEST(kernel_view__system_calls__then_spans_that_begin_and_end),
    TEST(kernel_view__found_waiting__then_its_call_began_earlier),
    TEST(kernel_view__many_found_waiting__then_there_is_room_for_others),
    TEST(kernel_view__functions__then_instants_and_nested_spans),
    TEST(kernel_view__threads_that_leave__then_their_last_call_ends_with_them),
    TEST(kernel_view__threads_that_end__then_each_has_its_own_account),
    TEST(kernel_view__too_many_threads__then_their_events_are_counted),
};
TEST_MAIN("kernel_view", tests)
