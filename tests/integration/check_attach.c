/* SPDX-License-Identifier: MIT */
/*
 * Checks by content what prog_attach left in the traces of collectors that followed each other: check_attach FILE...
 *
 * Each thread's sequence must go on from file to file. Records may come again at the beginning of a file, as many as the
 * collector before had written when it was killed, and nowhere else. Prints one JSON object: {"events" that differ,
 * "repeated", and of all accounts "attempted", "in_file", "dropped"}.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "user/reader/adat_cursor.h"

#define THREADS_MAX (1u << 20)

static uint64_t next[THREADS_MAX];    /* 1 + the last number found */
static uint32_t seen_in[THREADS_MAX]; /* the last file that had something new of it */
static uint64_t events, repeated, attempted, in_file, dropped;

static int fail(const char *file, const char *what, uint64_t a, uint64_t b)
{
    printf("%s: %s: %" PRIu64 ", %" PRIu64 "\n", file, what, a, b);
    return 1;
}

static int check_event(const char *file, uint32_t number_of_file, const AdatEvent *event)
{
    uint64_t thread = event->event.argument >> 40;
    uint64_t number = event->event.argument & ((1ull << 40) - 1);

    if (thread >= THREADS_MAX)
        return fail(file, "a thread that does not exist", thread, number);
    if (number < next[thread]) {
        if (seen_in[thread] == number_of_file)
            return fail(file, "out of sequence", number, next[thread]);
        repeated++;
        return 0;
    }
    seen_in[thread] = number_of_file;
    next[thread] = number + 1;
    events++;
    return 0;
}

static int check_file(const char *file, uint32_t number)
{
    AdatReader *reader;
    AdatCursor *cursor;
    AdatAccount account;
    AdatEvent event;
    int result = adat_reader_open(file, &reader);

    if (result != 0 || adat_cursor_create(reader, NULL, &cursor) != 0)
        return fail(file, "cannot be read", (uint64_t)-result, 0);
    while ((result = adat_cursor_next(cursor, &event)) == 1) {
        const AdaEventDescriptor *descriptor =
            adat_reader_descriptor(reader, event.process->process.process, event.event.id);

        if (!descriptor || strncmp(descriptor->name, "load.", 5) != 0)
            continue;
        if (check_event(file, number, &event) != 0)
            return 1;
    }
    if (result < 0)
        return fail(file, "ended with an error", (uint64_t)-result, 0);
    account = adat_reader_events(reader);
    /* What was pending when a collector that was killed looked last is in the account of the one after it. */
    attempted += account.attempted - account.pending;
    in_file += account.in_file;
    dropped += account.dropped_full + account.dropped_nested + account.dropped_io + account.torn;
    adat_cursor_destroy(cursor);
    adat_reader_close(reader);
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (check_file(argv[i], (uint32_t)i) != 0)
            return 1;
    }
    printf("{\"events\":%" PRIu64 ",\"repeated\":%" PRIu64 ",\"attempted\":%" PRIu64 ",\"in_file\":%" PRIu64
           ",\"dropped\":%" PRIu64 "}\n",
           events, repeated, attempted, in_file, dropped);
    return argc > 1 ? 0 : 2;
}
