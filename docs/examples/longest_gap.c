/* SPDX-License-Identifier: MIT */
/*
 * Of each thread of a trace: how many events it has, and the longest time between two of them.
 *
 *     cc -o longest_gap longest_gap.c $(pkg-config --cflags --libs adatrace-reader)
 *     ./longest_gap FILE|DIRECTORY
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <adatrace/reader.h>

typedef struct Gap {
    uint64_t events;
    int64_t last_ns;
    int64_t longest_ns;
} Gap;

static int measure(const ada_trace *trace, Gap *gaps)
{
    ada_reader_event event;
    ada_reader *reader;
    int got = ada_reader_create(trace, NULL, 0, &reader);

    if (got < 0)
        return got;
    while ((got = ada_reader_next(reader, &event, sizeof(event))) > 0) {
        Gap *gap = &gaps[event.thread];

        if (gap->events > 0 && event.time_ns - gap->last_ns > gap->longest_ns)
            gap->longest_ns = event.time_ns - gap->last_ns;
        gap->last_ns = event.time_ns;
        gap->events++;
    }
    ada_reader_destroy(reader);
    return got;
}

static void print(const ada_trace *trace, const Gap *gaps)
{
    ada_trace_thread thread;

    for (uint32_t i = 0; ada_trace_get_thread(trace, i, &thread, sizeof(thread)) == 0; i++)
        printf("%" PRIu32 " %" PRIu64 " events, longest gap %.6f s, %" PRIu64 " lost\n", thread.tid,
               gaps[i].events, (double)gaps[i].longest_ns / 1e9,
               thread.events.attempted - thread.events.in_file);
}

int main(int argc, char **argv)
{
    ada_trace_facts facts;
    ada_trace *trace;
    Gap *gaps;
    int error;

    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE|DIRECTORY\n", argv[0]);
        return 2;
    }
    error = ada_trace_open(argv[1], &trace);
    if (error) {
        fprintf(stderr, "cannot read '%s': %s\n", argv[1], ada_trace_error_text(error));
        return 1;
    }
    error = ada_trace_get_facts(trace, &facts, sizeof(facts));
    gaps = (Gap *)calloc((size_t)facts.thread_count + 1, sizeof(*gaps));
    if (!error && gaps)
        error = measure(trace, gaps);
    if (error)
        fprintf(stderr, "cannot read '%s': %s\n", argv[1], ada_trace_error_text(error));
    else if (gaps)
        print(trace, gaps);
    free(gaps);
    ada_trace_close(trace);
    return error || !gaps;
}
