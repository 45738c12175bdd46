/* SPDX-License-Identifier: MIT */
/*
 * Checks by content what prog_load, prog_churn, prog_burst, prog_kills or prog_ends left in a trace:
 *     check_load FILE THREADS EVENTS MODE [PROGRESS-FILE]
 *
 *   all       each thread's sequence is complete
 *   lossy     each thread's sequence is increasing, and in the file + dropped = attempted = EVENTS, exactly
 *   prefix    each thread's sequence is complete up to at least what PROGRESS-FILE says it recorded
 *   some      each sequence is increasing (a file whose recorder was killed)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/reader/adat_cursor.h"

#define THREADS_MAX (1u << 20)

static uint64_t seen[THREADS_MAX]; /* events found */
static uint64_t next[THREADS_MAX]; /* 1 + the last number found */
static const AdatThreadInfo *owner[THREADS_MAX];

static int fail(const char *what, uint64_t thread, uint64_t a, uint64_t b)
{
    printf("%s: thread %llu: %llu, %llu\n", what, (unsigned long long)thread, (unsigned long long)a,
           (unsigned long long)b);
    return 1;
}

static int check_event(const AdatReader *reader, const AdatEvent *event, bool gapless)
{
    const AdaEventDescriptor *descriptor =
        adat_reader_descriptor(reader, event->process->process.process, event->event.id);
    uint64_t thread = event->event.argument >> 40;
    uint64_t number = event->event.argument & ((1ull << 40) - 1);

    if (!descriptor || strcmp(descriptor->name, "load.tick") != 0)
        return fail("an event without its name", thread, event->event.id, 0);
    if (thread >= THREADS_MAX)
        return fail("a thread that does not exist", thread, number, 0);
    if (owner[thread] && owner[thread] != event->thread)
        return fail("a sequence in two lanes", thread, number, 0);
    if (number < next[thread] || (gapless && number != next[thread]))
        return fail("out of sequence", thread, number, next[thread]);
    owner[thread] = event->thread;
    next[thread] = number + 1;
    seen[thread]++;
    return 0;
}

static int check_account(uint64_t thread, uint64_t events)
{
    const AdatAccount *account;

    if (!owner[thread])
        return 0; /* lost as a whole: the sum says so */
    account = &owner[thread]->events;
    if (account->in_file != seen[thread])
        return fail("the ledger and the file differ", thread, account->in_file, seen[thread]);
    if (account->attempted != events)
        return fail("attempted is wrong", thread, account->attempted, events);
    if (account->in_file + account->dropped_full + account->dropped_nested + account->dropped_io != events)
        return fail("in the file + dropped is not attempted", thread, account->in_file, account->dropped_full);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t threads, events, total = 0;
    const uint64_t *progress = NULL;
    AdatReader *reader;
    AdatCursor *cursor;
    AdatEvent event;
    const char *mode;
    bool gapless;
    int result;

    if (argc < 5)
        return 2;
    threads = strtoull(argv[2], NULL, 10);
    events = strtoull(argv[3], NULL, 10);
    mode = argv[4];
    gapless = strcmp(mode, "all") == 0 || strcmp(mode, "prefix") == 0;
    if (argc > 5) {
        int fd = open(argv[5], O_RDONLY);
        struct stat status;

        if (fd < 0 || fstat(fd, &status) < 0 || (uint64_t)status.st_size < threads * 64)
            return 2;
        progress = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (progress == MAP_FAILED)
            return 2;
    }
    result = adat_reader_open(argv[1], &reader);
    if (result != 0 || adat_cursor_create(reader, NULL, &cursor) != 0) {
        printf("cannot read the trace: %s\n", adat_reader_error_text(result));
        return 1;
    }
    while ((result = adat_cursor_next(cursor, &event)) == 1) {
        if (check_event(reader, &event, gapless) != 0)
            return 1;
    }
    if (result < 0)
        return fail("the trace ended with an error", 0, (uint64_t)-result, 0);

    for (uint64_t thread = 0; thread < threads; thread++) {
        total += seen[thread];
        if (strcmp(mode, "all") == 0 && seen[thread] != events)
            return fail("events are missing", thread, seen[thread], events);
        if (strcmp(mode, "lossy") == 0 && check_account(thread, events) != 0)
            return 1;
        if (progress && seen[thread] < progress[thread * 8])
            return fail("published events are missing", thread, seen[thread], progress[thread * 8]);
    }
    if (strcmp(mode, "lossy") == 0 && adat_reader_events(reader).attempted != threads * events)
        return fail("attempted in total is wrong", 0, adat_reader_events(reader).attempted, threads * events);
    printf("%llu events of %llu threads checked\n", (unsigned long long)total, (unsigned long long)threads);
    adat_cursor_destroy(cursor);
    adat_reader_close(reader);
    return 0;
}
