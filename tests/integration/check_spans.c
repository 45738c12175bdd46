/* SPDX-License-Identifier: MIT */
/*
 * Checks by content that spans of prog_spans are paired right, whatever was lost: check_spans FILE|DIR
 *
 * Each complete span ends with the number that it began with. Prints how many are complete.
 */
#include <stdio.h>
#include <string.h>

#include "user/report/span_builder.h"

static uint64_t wrong;

static int check_span(const Span *span, void *context)
{
    (void)context;
    if (!(span->flags & (SPAN_INCOMPLETE | SPAN_FUNCTION)) && span->argument != span->result) {
        printf("thread %u: a span that began with %llu ends with %llu\n", span->thread->thread.tid,
               (unsigned long long)span->argument, (unsigned long long)span->result);
        wrong++;
    }
    return 0;
}

static bool adds_up(const SpanCounts *counts)
{
    return counts->begins == counts->complete + counts->unwound + counts->cut + counts->lost +
                                 counts->unsure + counts->overflowed &&
           counts->ends == counts->complete + counts->unsure + counts->unmatched_ends + counts->overflowed_ends;
}

int main(int argc, char **argv)
{
    const SpanBuilderConfig config = {.closed = check_span, .from_ns = INT64_MIN, .to_ns = INT64_MAX};
    SpanBuilder *builder = NULL;
    AdatCursor *cursor = NULL;
    AdatSet *set = NULL;
    AdatEvent event;
    SpanCounts counts;
    int got = 0;

    if (argc != 2 || adat_set_open(argv[1], &set) || adat_cursor_create_set(set, NULL, &cursor) ||
        span_builder_create(&config, &builder)) {
        printf("cannot read\n");
        return 2;
    }
    while (got == 0 && (got = adat_cursor_next(cursor, &event)) > 0)
        got = span_builder_add(builder, &event);
    if (got == 0)
        got = span_builder_finish(builder);
    counts = span_builder_counts(builder);
    span_builder_destroy(builder);
    adat_cursor_destroy(cursor);
    adat_set_close(set);
    if (got != 0 || wrong > 0 || !adds_up(&counts)) {
        printf("%llu wrong, %d: %s\n", (unsigned long long)wrong, got, got ? strerror(-got) : "counts");
        return 1;
    }
    printf("%llu\n", (unsigned long long)counts.complete);
    return 0;
}
