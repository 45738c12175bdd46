/* SPDX-License-Identifier: MIT */
/* <adatrace/reader.h> by what samples have, by callers of other versions, by files with something wrong in them. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <adatrace/reader.h>

#include "adat_check.h"
#include "set_fixture.h"
#include "test_support.h"

#define THREADS 3u
#define EVENTS 70u

static const SampleShape whole = {
    .threads = THREADS, .events = EVENTS, .block_events = 16, .tsc = true, .ended = true, .marked = true};

static ada_trace *open_sample(const SampleShape *shape)
{
    ada_trace *trace = NULL;
    int fd = sample_trace(shape, -1);

    CU_ASSERT_EQUAL_FATAL(ada_trace_open(sample_path(fd), &trace), 0);
    close(fd);
    return trace;
}

static ada_reader *walk(const ada_trace *trace, const ada_reader_config *config)
{
    ada_reader *reader = NULL;

    CU_ASSERT_EQUAL_FATAL(ada_reader_create(trace, config, config ? sizeof(*config) : 0, &reader), 0);
    return reader;
}

static uint64_t count_events(const ada_trace *trace, const ada_reader_config *config)
{
    ada_reader *reader = walk(trace, config);
    ada_reader_event event;
    uint64_t count = 0;
    int got;

    while ((got = ada_reader_next(reader, &event, sizeof(event))) > 0)
        count++;
    CU_ASSERT_EQUAL(got, 0);
    ada_reader_destroy(reader);
    return count;
}

/* ---- opening and facts -------------------------------------------------------------------------- */

static void open__no_trace__then_errors_with_a_text(void)
{
    ada_trace *trace = NULL;

    CU_ASSERT_EQUAL(ada_trace_open("/nonexistent/x.adat", &trace), -ENOENT);
    CU_ASSERT_EQUAL(ada_trace_open("/dev/null", &trace), -ENOTSUP);
    CU_ASSERT_EQUAL(ada_trace_open("/proc/self/cmdline", &trace), -EINVAL);
    CU_ASSERT_PTR_NULL(trace);
    for (int error = 0; error < 140; error++)
        CU_ASSERT(strlen(ada_trace_error_text(-error)) > 0);
    ada_trace_close(NULL);
    ada_reader_destroy(NULL);
    CU_ASSERT_EQUAL(ada_reader_version(), ADA_READER_VERSION_MAJOR << 16 | ADA_READER_VERSION_MINOR);
}

static void facts__whole_trace__then_as_recorded(void)
{
    ada_trace *trace = open_sample(&whole);
    ada_trace_recording recording;
    ada_trace_facts facts;
    ada_trace_file file;

    CU_ASSERT_EQUAL_FATAL(ada_trace_get_facts(trace, &facts, sizeof(facts)), 0);
    CU_ASSERT_EQUAL(facts.flags, ADA_TRACE_CLOSED | ADA_TRACE_ACCOUNTED);
    CU_ASSERT_EQUAL(facts.duration_ns, 2000 + EVENTS * 100);
    CU_ASSERT_EQUAL(facts.first_ns, 0);
    CU_ASSERT_EQUAL(facts.clock_error_ns, SAMPLE_CLOCK_ERROR);
    CU_ASSERT_EQUAL(facts.cut_bytes, 0);
    CU_ASSERT_EQUAL(facts.recording_count, 1);
    CU_ASSERT_EQUAL(facts.file_count, 1);
    CU_ASSERT_EQUAL(facts.unreadable_files + facts.damaged_files, 0);
    CU_ASSERT_EQUAL(facts.process_count, 1);
    CU_ASSERT_EQUAL(facts.thread_count, THREADS);
    CU_ASSERT_EQUAL(facts.descriptor_count, 4);
    CU_ASSERT_EQUAL(facts.module_count, 1);
    CU_ASSERT_EQUAL(facts.mark_count, 3);
    CU_ASSERT_EQUAL(facts.events.attempted, (uint64_t)THREADS * EVENTS);
    CU_ASSERT_EQUAL(facts.events.in_file, (uint64_t)THREADS * EVENTS);
    CU_ASSERT_EQUAL(facts.detail.in_file, (uint64_t)THREADS * EVENTS / 7);

    CU_ASSERT_EQUAL_FATAL(ada_trace_get_recording(trace, 0, &recording, sizeof(recording)), 0);
    CU_ASSERT_STRING_EQUAL(recording.host, "box");
    CU_ASSERT_STRING_EQUAL(recording.kernel, "Linux 6.1");
    CU_ASSERT_STRING_EQUAL(recording.command, "app --fast");
    CU_ASSERT_STRING_EQUAL(recording.adatrace, "0.1.0");
    CU_ASSERT_EQUAL(strlen(recording.id), 36);
    CU_ASSERT_EQUAL(recording.zero_ns, SAMPLE_REALTIME);
    CU_ASSERT_EQUAL(ada_trace_realtime(trace, 0, 1234), SAMPLE_REALTIME + 1234);
    CU_ASSERT_EQUAL(ada_trace_realtime(trace, 1, 1234), 0);
    CU_ASSERT_STRING_EQUAL(ada_trace_session_value(trace, 0, "policy"), "block");
    CU_ASSERT_PTR_NULL(ada_trace_session_value(trace, 0, "nothing"));
    CU_ASSERT_PTR_NULL(ada_trace_session_value(trace, 1, "policy"));
    CU_ASSERT_EQUAL(ada_trace_get_recording(trace, 1, &recording, sizeof(recording)), -ERANGE);

    CU_ASSERT_EQUAL_FATAL(ada_trace_get_file(trace, 0, &file, sizeof(file)), 0);
    CU_ASSERT_EQUAL(file.error, 0);
    CU_ASSERT_STRING_EQUAL(file.cut_text, "");
    CU_ASSERT(file.closed && !file.damaged && file.recording == 0);
    CU_ASSERT_EQUAL(file.bytes, facts.bytes);
    CU_ASSERT_EQUAL(file.events.in_file, facts.events.in_file);
    CU_ASSERT_EQUAL(ada_trace_get_file(trace, 1, &file, sizeof(file)), -ERANGE);
    ada_trace_close(trace);
}

static void tables__whole_trace__then_as_recorded(void)
{
    ada_trace *trace = open_sample(&whole);
    ada_trace_descriptor descriptor;
    ada_trace_process process;
    ada_trace_thread thread;
    ada_trace_module module;
    ada_trace_field field;
    ada_trace_mark mark;
    uint32_t number;

    CU_ASSERT_EQUAL_FATAL(ada_trace_get_process(trace, 0, &process, sizeof(process)), 0);
    CU_ASSERT_EQUAL(process.pid, SAMPLE_PID);
    CU_ASSERT_EQUAL(process.parent_pid, 1);
    CU_ASSERT_STRING_EQUAL(process.program, "/usr/bin/app");
    CU_ASSERT_STRING_EQUAL(process.command, "app --fast");
    CU_ASSERT_EQUAL(process.end.kind, ADA_TRACE_END_EXIT);
    CU_ASSERT_EQUAL(process.end.code, 3);
    CU_ASSERT_EQUAL(process.end.drain_complete, 1);
    CU_ASSERT_EQUAL(ada_trace_get_process(trace, 1, &process, sizeof(process)), -ERANGE);

    for (uint32_t i = 0; i < THREADS; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "worker-%u", i);
        CU_ASSERT_EQUAL_FATAL(ada_trace_get_thread(trace, i, &thread, sizeof(thread)), 0);
        CU_ASSERT_STRING_EQUAL(thread.name, name);
        CU_ASSERT_EQUAL(thread.tid, SAMPLE_PID + i);
        CU_ASSERT_EQUAL(thread.process, 0);
        CU_ASSERT_EQUAL(thread.flags, ADA_TRACE_THREAD_DESCRIBED | ADA_TRACE_THREAD_ACCOUNTED);
        CU_ASSERT_EQUAL(thread.end.kind, ADA_TRACE_END_NONE);
        CU_ASSERT_EQUAL(thread.events.in_file, EVENTS);
    }
    CU_ASSERT_EQUAL(ada_trace_get_thread(trace, THREADS, &thread, sizeof(thread)), -ERANGE);

    number = ada_trace_find_descriptor(trace, 0, SAMPLE_REQUEST);
    CU_ASSERT_EQUAL_FATAL(ada_trace_get_descriptor(trace, number, &descriptor, sizeof(descriptor)), 0);
    CU_ASSERT_STRING_EQUAL(descriptor.name, "request");
    CU_ASSERT_EQUAL(descriptor.id, SAMPLE_REQUEST);
    CU_ASSERT_EQUAL(descriptor.kind, ADA_TRACE_TYPED);
    CU_ASSERT_EQUAL(descriptor.process, 0);
    CU_ASSERT_EQUAL_FATAL(descriptor.field_count, 5);
    CU_ASSERT_EQUAL_FATAL(ada_trace_get_field(trace, number, 4, &field, sizeof(field)), 0);
    CU_ASSERT_STRING_EQUAL(field.name, "path");
    CU_ASSERT_EQUAL(field.type, ADA_TRACE_STRING);
    CU_ASSERT_EQUAL(ada_trace_get_field(trace, number, 5, &field, sizeof(field)), -ERANGE);
    CU_ASSERT_EQUAL(ada_trace_find_descriptor(trace, 0, 99), ADA_TRACE_NONE);
    CU_ASSERT_EQUAL(ada_trace_find_descriptor(trace, 1, SAMPLE_REQUEST), ADA_TRACE_NONE);
    CU_ASSERT_EQUAL(ada_trace_get_descriptor(trace, 4, &descriptor, sizeof(descriptor)), -ERANGE);

    CU_ASSERT_EQUAL(ada_trace_find_module(trace, 0, SAMPLE_MODULE_BASE + 0xffff), 0);
    CU_ASSERT_EQUAL(ada_trace_find_module(trace, 0, SAMPLE_MODULE_BASE + 0x10000), ADA_TRACE_NONE);
    CU_ASSERT_EQUAL_FATAL(ada_trace_get_module(trace, 0, &module, sizeof(module)), 0);
    CU_ASSERT_EQUAL(module.base, SAMPLE_MODULE_BASE);
    CU_ASSERT_EQUAL(module.size, 0x10000);
    CU_ASSERT_STRING_EQUAL(module.path, "/usr/bin/app");
    CU_ASSERT_EQUAL(module.build_id_size, 4);
    CU_ASSERT_EQUAL(memcmp(module.build_id, "\1\2\3\4", 4), 0);
    CU_ASSERT_EQUAL(ada_trace_get_module(trace, 1, &module, sizeof(module)), -ERANGE);

    CU_ASSERT_EQUAL_FATAL(ada_trace_get_mark(trace, 1, &mark, sizeof(mark)), 0);
    CU_ASSERT_STRING_EQUAL(mark.reason, "request.ms>0.5");
    CU_ASSERT_EQUAL(mark.record, 3);
    CU_ASSERT_EQUAL(mark.thread, 0);
    CU_ASSERT_EQUAL(mark.process, 0);
    CU_ASSERT_EQUAL((uint64_t)mark.time_ns, sample_time(0, 3));
    CU_ASSERT_EQUAL_FATAL(ada_trace_get_mark(trace, 2, &mark, sizeof(mark)), 0);
    CU_ASSERT_EQUAL(mark.thread, ADA_TRACE_NONE);
    CU_ASSERT_EQUAL(ada_trace_get_mark(trace, 3, &mark, sizeof(mark)), -ERANGE);
    ada_trace_close(trace);
}

/* ---- events ------------------------------------------------------------------------------------- */

static void check_request(ada_reader *reader, uint64_t id)
{
    static const uint32_t types[] = {ADA_TRACE_U64, ADA_TRACE_I64, ADA_TRACE_F64, ADA_TRACE_POINTER,
                                     ADA_TRACE_STRING};
    ada_reader_field fields[5];
    const void *payload = NULL;
    char path[32];
    size_t size = 0;

    (void)snprintf(path, sizeof(path), "/item/%u", (unsigned)id);
    CU_ASSERT_EQUAL_FATAL(ada_reader_field_count(reader), 5);
    for (uint32_t i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(ada_reader_get_field(reader, i, &fields[i], sizeof(fields[i])), 0);
        CU_ASSERT_EQUAL(fields[i].type, types[i]);
    }
    CU_ASSERT_STRING_EQUAL(fields[0].name, "id");
    CU_ASSERT_EQUAL(fields[0].value.u64, id);
    CU_ASSERT_EQUAL(fields[1].value.i64, -(int64_t)id);
    CU_ASSERT_EQUAL(fields[2].value.f64, (double)id / 4);
    CU_ASSERT_EQUAL(fields[3].value.u64, 0xdead0000u + id);
    CU_ASSERT_EQUAL_FATAL(fields[4].string_size, strlen(path));
    CU_ASSERT_EQUAL(memcmp(fields[4].value.string, path, strlen(path)), 0);
    CU_ASSERT_EQUAL(ada_reader_get_field(reader, 5, &fields[0], sizeof(fields[0])), -ERANGE);
    CU_ASSERT_EQUAL(ada_reader_get_payload(reader, &payload, &size), 1);
    CU_ASSERT_EQUAL_FATAL(size, (36 + strlen(path) + 7) / 8 * 8);
    CU_ASSERT_EQUAL(memcmp(payload, &id, sizeof(id)), 0);
}

static void check_name(ada_reader *reader, const char *expected)
{
    const char *name = NULL;
    size_t length = 0;

    CU_ASSERT_EQUAL_FATAL(ada_reader_get_name(reader, &name, &length), 0);
    CU_ASSERT_STRING_EQUAL(name, expected);
    CU_ASSERT_EQUAL(length, strlen(expected));
}

static void events__whole_trace__then_in_order_with_names_and_fields(void)
{
    static const char *const names[] = {"tick", "work", "queue.depth", "request", "work"};
    ada_trace *trace = open_sample(&whole);
    ada_reader *reader = walk(trace, NULL);
    uint64_t next[THREADS] = {0};
    int64_t before = INT64_MIN;
    ada_reader_event event;
    uint64_t count = 0;
    int got;

    CU_ASSERT_EQUAL(ada_reader_field_count(reader), -ENODATA);
    while ((got = ada_reader_next(reader, &event, sizeof(event))) > 0) {
        uint32_t number;
        char name[32];

        CU_ASSERT_FATAL(event.thread < THREADS);
        number = (uint32_t)next[event.thread]++;
        CU_ASSERT_EQUAL(event.record, number);
        CU_ASSERT_EQUAL((uint64_t)event.time_ns, sample_time(event.thread, number));
        CU_ASSERT(event.time_ns >= before);
        CU_ASSERT_EQUAL(event.process + event.recording, 0);
        CU_ASSERT_EQUAL(event.kind, ADA_WORD_KIND(sample_event(&whole, event.thread, number).word));
        before = event.time_ns;
        count++;
        (void)snprintf(name, sizeof(name), "app+0x%x", 0x1000 + event.thread);
        check_name(reader, number % 7 < 5 ? names[number % 7] : name);
        if (number % 7 == 3)
            check_request(reader, number);
        else
            CU_ASSERT_EQUAL(ada_reader_field_count(reader), 0);
    }
    CU_ASSERT_EQUAL(got, 0);
    CU_ASSERT_EQUAL(count, (uint64_t)THREADS * EVENTS);
    CU_ASSERT_EQUAL(ada_reader_field_count(reader), -ENODATA);
    CU_ASSERT_EQUAL(ada_reader_vanished(reader), 0);
    ada_reader_destroy(reader);
    ada_trace_close(trace);
}

static void create__filters__then_what_is_wanted(void)
{
    static const uint32_t two[] = {2, 0, 2}, none[] = {THREADS};
    ada_trace *trace = open_sample(&whole);
    ada_reader_config config = {.flags = ADA_READER_THREADS, .threads = two, .thread_count = 3};
    ada_reader *reader = NULL;

    CU_ASSERT_EQUAL(count_events(trace, &config), 2 * EVENTS);
    config.thread_count = 0;
    CU_ASSERT_EQUAL(count_events(trace, &config), 0);
    config = (ada_reader_config){.flags = ADA_READER_FROM | ADA_READER_TO, .from_ns = 1500, .to_ns = 1599};
    CU_ASSERT_EQUAL(count_events(trace, &config), THREADS);
    config.flags = ADA_READER_TO;
    CU_ASSERT_EQUAL(count_events(trace, &config), 6 * THREADS);
    config.flags = 0;
    CU_ASSERT_EQUAL(count_events(trace, &config), THREADS * EVENTS);

    config = (ada_reader_config){.flags = ADA_READER_THREADS, .threads = none, .thread_count = 1};
    CU_ASSERT_EQUAL(ada_reader_create(trace, &config, sizeof(config), &reader), -ERANGE);
    config = (ada_reader_config){.flags = UINT64_C(1) << 63};
    CU_ASSERT_EQUAL(ada_reader_create(trace, &config, sizeof(config), &reader), -EINVAL);
    config = (ada_reader_config){.flags = ADA_READER_FROM | ADA_READER_TO, .from_ns = 2, .to_ns = 1};
    CU_ASSERT_EQUAL(ada_reader_create(trace, &config, sizeof(config), &reader), -EINVAL);
    CU_ASSERT_EQUAL(ada_reader_create(trace, NULL, 8, &reader), -EINVAL);
    CU_ASSERT_PTR_NULL(reader);
    ada_trace_close(trace);
}

static void functions__address__then_module_and_offset(void)
{
    static const char *const directories[] = {"/nonexistent"};
    ada_trace *trace = open_sample(&whole);
    ada_reader_config config = {.symbol_directories = directories, .symbol_directory_count = 1};
    ada_reader_function function;

    for (int round = 0; round < 2; round++) {
        ada_reader *reader = walk(trace, &config);

        CU_ASSERT_EQUAL_FATAL(
            ada_reader_get_function(reader, 0, SAMPLE_MODULE_BASE + 0x1234, &function, sizeof(function)), 0);
        CU_ASSERT_STRING_EQUAL(function.name, "app+0x1234");
        CU_ASSERT_EQUAL(function.length, 10);
        CU_ASSERT_EQUAL(function.offset, 0x1234);
        CU_ASSERT_EQUAL(function.module, 0);
        CU_ASSERT_FALSE(function.resolved);
        CU_ASSERT_EQUAL_FATAL(ada_reader_get_function(reader, 0, 0x10, &function, sizeof(function)), 0);
        CU_ASSERT_STRING_EQUAL(function.name, "0x10");
        CU_ASSERT_EQUAL(function.offset, 0x10);
        CU_ASSERT_EQUAL(function.module, ADA_TRACE_NONE);
        CU_ASSERT_EQUAL(ada_reader_get_function(reader, 1, 0x10, &function, sizeof(function)), -ERANGE);
        ada_reader_destroy(reader);
        config.flags = ADA_READER_NO_SYMBOLS;
    }
    ada_trace_close(trace);
}

/* ---- callers of other versions ------------------------------------------------------------------- */

static void structures__of_older_and_newer_callers__then_what_both_know(void)
{
    ada_trace *trace = open_sample(&whole);
    struct {
        ada_trace_thread known;
        uint64_t newer;
    } thread = {.newer = 77};
    struct {
        ada_reader_config known;
        uint64_t newer;
    } config = {.newer = 0};
    ada_reader *reader = NULL;
    ada_trace_facts facts = {.bytes = 77};
    ada_reader_event event;

    CU_ASSERT_EQUAL(ada_trace_get_thread(trace, 1, &thread.known, sizeof(thread)), 0);
    CU_ASSERT_EQUAL(thread.known.tid, SAMPLE_PID + 1);
    CU_ASSERT_EQUAL(thread.newer, 0);
    CU_ASSERT_EQUAL(ada_trace_get_facts(trace, &facts, sizeof(facts) - 8), -EINVAL);
    CU_ASSERT_EQUAL(ada_trace_get_facts(trace, &facts, 0), -EINVAL);
    CU_ASSERT_EQUAL(facts.bytes, 77);
    CU_ASSERT_EQUAL(ada_reader_create(trace, &config.known, sizeof(config.known) - 1, &reader), -EINVAL);
    config.newer = 1;
    CU_ASSERT_EQUAL(ada_reader_create(trace, &config.known, sizeof(config), &reader), -EINVAL);
    config.newer = 0;
    CU_ASSERT_EQUAL_FATAL(ada_reader_create(trace, &config.known, sizeof(config), &reader), 0);
    CU_ASSERT_EQUAL(ada_reader_next(reader, &event, sizeof(event) - 8), -EINVAL);
    CU_ASSERT_EQUAL(ada_reader_next(reader, &event, sizeof(event)), 1);
    CU_ASSERT_EQUAL(event.record, 0); /* the refused call took none */
    ada_reader_destroy(reader);
    ada_trace_close(trace);
}

/* ---- directories and damage ---------------------------------------------------------------------- */

static void directory__two_recordings__then_numbers_go_on(void)
{
    const FileShape other = {.recording = SECOND_ID,
                             .number = 1,
                             .boot_ns = SAMPLE_REALTIME,
                             .begins_ns = 60 * NS_PER_S,
                             .parts = {{.thread = 1, .count = 5}}};
    uint32_t last_recording = 0, of_second = 0;
    ada_trace_recording recording;
    ada_trace *trace = NULL;
    ada_trace_thread thread;
    ada_trace_facts facts;
    ada_trace_file file;
    ada_reader *reader;
    ada_reader_event event;
    uint64_t count = 0;

    begin_directory();
    make_three();
    make_file("other.adat", &other);
    CU_ASSERT_EQUAL(unlink(path_of("trace-000002.adat")), 0);
    CU_ASSERT_EQUAL_FATAL(ada_trace_open(set_directory, &trace), 0);
    CU_ASSERT_EQUAL(ada_trace_get_facts(trace, &facts, sizeof(facts)), 0);
    CU_ASSERT(facts.flags & ADA_TRACE_DIRECTORY);
    CU_ASSERT_EQUAL(facts.recording_count, 2);
    CU_ASSERT_EQUAL(facts.file_count, 3);
    CU_ASSERT_EQUAL(facts.missing_files, 1);
    CU_ASSERT_EQUAL(facts.thread_count, 3);
    CU_ASSERT_EQUAL(ada_trace_get_recording(trace, 1, &recording, sizeof(recording)), 0);
    CU_ASSERT_STRING_EQUAL(recording.id, SECOND_ID);
    CU_ASSERT_EQUAL(ada_trace_get_file(trace, 1, &file, sizeof(file)), 0);
    CU_ASSERT_STRING_EQUAL(file.name, "trace-000003.adat");
    CU_ASSERT_EQUAL(file.missing_before, 1);
    CU_ASSERT_EQUAL(ada_trace_get_thread(trace, 2, &thread, sizeof(thread)), 0);
    CU_ASSERT_EQUAL(thread.process, 1);

    reader = walk(trace, NULL);
    while (ada_reader_next(reader, &event, sizeof(event)) > 0) {
        CU_ASSERT(event.recording >= last_recording);
        last_recording = event.recording;
        if (event.thread == 2) {
            CU_ASSERT_EQUAL(event.recording, 1);
            CU_ASSERT_EQUAL(event.process, 1);
            of_second++;
        }
        count++;
    }
    CU_ASSERT_EQUAL(of_second, 5);
    CU_ASSERT_EQUAL(count, facts.events.in_file);
    ada_reader_destroy(reader);

    {
        static const uint32_t third[] = {2};
        const ada_reader_config config = {.flags = ADA_READER_THREADS, .threads = third, .thread_count = 1};

        CU_ASSERT_EQUAL(count_events(trace, &config), 5);
    }
    ada_trace_close(trace);
    end_directory();
}

static void file__cut_and_damaged__then_told(void)
{
    int fd = sample_trace(&whole, -1);
    ada_trace *trace = NULL;
    ada_trace_facts facts;
    ada_trace_file file;
    size_t size = 0;
    uint8_t *bytes = file_content(fd, &size);

    set_content(fd, bytes, size - 20); /* within the last part of the index */
    CU_ASSERT_EQUAL_FATAL(ada_trace_open(sample_path(fd), &trace), 0);
    CU_ASSERT_EQUAL(ada_trace_get_facts(trace, &facts, sizeof(facts)), 0);
    CU_ASSERT(facts.cut_bytes > 0 && !(facts.flags & ADA_TRACE_CLOSED));
    CU_ASSERT_EQUAL(facts.damaged_files, 0);
    CU_ASSERT_EQUAL(count_events(trace, NULL), THREADS * EVENTS);
    ada_trace_close(trace);

    find_block(bytes, 12)[sizeof(AdatBlockHeader)] ^= 1;
    set_content(fd, bytes, size);
    CU_ASSERT_EQUAL_FATAL(ada_trace_open(sample_path(fd), &trace), 0);
    CU_ASSERT_EQUAL(ada_trace_get_facts(trace, &facts, sizeof(facts)), 0);
    CU_ASSERT_EQUAL(facts.damaged_files, 1);
    CU_ASSERT_EQUAL(ada_trace_get_file(trace, 0, &file, sizeof(file)), 0);
    CU_ASSERT(file.damaged && strstr(file.cut_text, "checksum"));
    CU_ASSERT_EQUAL(file.bytes - file.valid_bytes, facts.cut_bytes);
    CU_ASSERT(count_events(trace, NULL) < THREADS * EVENTS);
    ada_trace_close(trace);
    free(bytes);
    close(fd);
}

static void on_problem(void *context, const ada_trace_problem *problem)
{
    CU_ASSERT(strlen(problem->text) > 0 && strlen(problem->file) > 0);
    ++*(unsigned *)context;
}

static void verify__sound_and_damaged__then_problems_are_told(void)
{
    int fd = sample_trace(&whole, -1);
    ada_trace_verdict verdict;
    unsigned told = 0;
    size_t size = 0;
    uint8_t *bytes = file_content(fd, &size);

    CU_ASSERT_EQUAL(ada_trace_verify(sample_path(fd), on_problem, &told, &verdict, sizeof(verdict)), 0);
    CU_ASSERT_EQUAL(verdict.problems, 0);
    CU_ASSERT_EQUAL(verdict.events, (uint64_t)THREADS * EVENTS);
    CU_ASSERT_EQUAL(told, 0);
    find_block(bytes, 12)[sizeof(AdatBlockHeader)] ^= 1;
    set_content(fd, bytes, size);
    CU_ASSERT_EQUAL(ada_trace_verify(sample_path(fd), on_problem, &told, &verdict, sizeof(verdict)), 0);
    CU_ASSERT(verdict.problems > 0 && verdict.cut_bytes > 0);
    CU_ASSERT_EQUAL(told, verdict.problems);
    CU_ASSERT_EQUAL(ada_trace_verify(sample_path(fd), NULL, NULL, &verdict, sizeof(verdict)), 0);
    CU_ASSERT_EQUAL(ada_trace_verify(sample_path(fd), NULL, NULL, &verdict, 8), -EINVAL);
    CU_ASSERT_EQUAL(ada_trace_verify("/nonexistent", NULL, NULL, &verdict, sizeof(verdict)), -ENOENT);
    free(bytes);
    close(fd);
}

/* ---- threads ------------------------------------------------------------------------------------ */

#define WALKERS 4u

static void *walk_all(void *context)
{
    const ada_trace *trace = context;
    ada_reader *reader = NULL;
    ada_reader_event event;
    uintptr_t count = 0;
    const char *name;
    size_t length;

    if (ada_reader_create(trace, NULL, 0, &reader) != 0)
        return NULL;
    while (ada_reader_next(reader, &event, sizeof(event)) > 0)
        count += ada_reader_get_name(reader, &name, &length) == 0 && ada_reader_field_count(reader) >= 0;
    ada_reader_destroy(reader);
    return (void *)count; // NOLINT(performance-no-int-to-ptr)
}

static void readers__in_several_threads__then_each_sees_all(void)
{
    static const SampleShape large = {.threads = 8, .events = 2000, .block_events = 100, .gathered = true};
    ada_trace *trace = open_sample(&large);
    pthread_t walkers[WALKERS];

    for (unsigned i = 0; i < WALKERS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&walkers[i], NULL, walk_all, trace), 0);
    for (unsigned i = 0; i < WALKERS; i++) {
        void *count = NULL;

        CU_ASSERT_EQUAL(pthread_join(walkers[i], &count), 0);
        CU_ASSERT_EQUAL((uintptr_t)count, 8 * 2000);
    }
    ada_trace_close(trace);
}

static const TestCase tests[] = {
    TEST(open__no_trace__then_errors_with_a_text),
    TEST(facts__whole_trace__then_as_recorded),
    TEST(tables__whole_trace__then_as_recorded),
    TEST(events__whole_trace__then_in_order_with_names_and_fields),
    TEST(create__filters__then_what_is_wanted),
    TEST(functions__address__then_module_and_offset),
    TEST(structures__of_older_and_newer_callers__then_what_both_know),
    TEST(directory__two_recordings__then_numbers_go_on),
    TEST(file__cut_and_damaged__then_told),
    TEST(verify__sound_and_damaged__then_problems_are_told),
    TEST(readers__in_several_threads__then_each_sees_all),
};
TEST_MAIN("reader_api", tests)
