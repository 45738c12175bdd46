/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adat_check.h"
#include "test_support.h"
#include "user/report/span_builder.h"

/* ---- a thread's events, written as text --------------------------------------------------------- */

#define SPANS_MAX 64u

typedef struct Seen {
    Span spans[SPANS_MAX];
    size_t count;
    uint64_t opened;
    int refuse; /* what closed() returns */
} Seen;

static AdatReader *reader; /* of the events that are written as text: it knows nothing of them */
static AdatProcessInfo process = {.process = {.process = 1}};
static AdatThreadInfo threads[2] = {{.thread = {.thread = 1, .process = 1}},
                                    {.thread = {.thread = 2, .process = 1}}};

static int see_opened(Span *span, void *context)
{
    Seen *seen = context;

    CU_ASSERT_EQUAL(span->number, ++seen->opened);
    span->tag = 100 + span->number;
    return 0;
}

static int see_closed(const Span *span, void *context)
{
    Seen *seen = context;

    CU_ASSERT_EQUAL(span->tag, 100 + span->number);
    CU_ASSERT_EQUAL(span->parent_tag, span->parent ? 100 + span->parent : 0);
    if (seen->count < SPANS_MAX)
        seen->spans[seen->count] = *span;
    seen->count++;
    return seen->refuse;
}

static SpanBuilder *builder_from(Seen *seen, int64_t from_ns)
{
    const SpanBuilderConfig config = {
        .opened = see_opened, .closed = see_closed, .context = seen, .from_ns = from_ns, .to_ns = INT64_MAX};
    SpanBuilder *builder = NULL;

    if (!reader) {
        int fd = sample_trace(&(SampleShape){.threads = 1, .events = 1, .block_events = 1}, -1);

        reader = open_trace(fd);
        close(fd);
    }
    memset(seen, 0, sizeof(*seen));
    CU_ASSERT_EQUAL_FATAL(span_builder_create(&config, &builder), 0);
    return builder;
}

static SpanBuilder *builder_with(Seen *seen)
{
    return builder_from(seen, INT64_MIN);
}

static AdatEvent event_of(size_t thread, int64_t time, uint32_t kind, uint32_t depth, uint64_t id,
                          uint64_t argument)
{
    return (AdatEvent){
        .time_ns = time,
        .reader = reader,
        .thread = &threads[thread],
        .process = &process,
        .event = {.id = id, .argument = argument, .word = ADA_WORD(kind, 0, depth)},
    };
}

/*
 * Hands over events of a thread, one nanosecond after the other from *time on: "a" enters function a and "A" leaves it, "(x" and ")x" are a
 * span, "!" is an instant, "~" a loss in front of the next one. Depths are as a thread counts them from *depth on; a digit sets it.
 */
static void play_thread(SpanBuilder *builder, size_t thread, const char *text, int64_t *time, uint32_t *depth)
{
    bool loss = false;

    for (const char *c = text; *c; c++) {
        uint32_t kind, id = (uint32_t)(unsigned char)*c;
        AdatEvent event;

        if (*c == '~' || *c == ' ' || (*c >= '0' && *c <= '9')) {
            loss |= *c == '~';
            *depth = *c >= '0' && *c <= '9' ? (uint32_t)(*c - '0') : *depth;
            continue;
        }
        if (*c == '(' || *c == ')') {
            kind = *c == '(' ? ADA_KIND_SPAN_BEGIN : ADA_KIND_SPAN_END;
            id = (uint32_t)(unsigned char)*++c;
        } else if (*c == '!') {
            kind = ADA_KIND_INSTANT;
        } else {
            kind = *c >= 'a' ? ADA_KIND_FUNCTION_ENTRY : ADA_KIND_FUNCTION_EXIT;
            id |= 0x20u;
        }
        if (kind == ADA_KIND_SPAN_END || kind == ADA_KIND_FUNCTION_EXIT)
            *depth -= *depth > 0;
        event = event_of(thread, ++*time, kind, *depth, id, 7);
        event.after_loss = loss;
        loss = false;
        *depth += kind == ADA_KIND_SPAN_BEGIN || kind == ADA_KIND_FUNCTION_ENTRY;
        CU_ASSERT_EQUAL(span_builder_add(builder, &event), 0);
    }
}

static void expect_balance(const SpanCounts *counts)
{
    CU_ASSERT_EQUAL(counts->begins, counts->complete + counts->early + counts->unwound + counts->cut +
                                        counts->lost + counts->unsure + counts->overflowed);
    CU_ASSERT_EQUAL(counts->ends, counts->complete + counts->early + counts->unsure + counts->unmatched_ends +
                                      counts->overflowed_ends);
}

static size_t count_past(const Seen *seen)
{
    size_t past = 0;

    for (size_t i = 0; i < seen->count && i < SPANS_MAX; i++)
        past += (seen->spans[i].flags & SPAN_PAST) != 0;
    return past;
}

/* Plays one thread from depth 0 and finishes. What is looked at begins at `from_ns`. */
static SpanCounts play_from(int64_t from_ns, const char *text, Seen *seen)
{
    SpanBuilder *builder = builder_from(seen, from_ns);
    int64_t time = 0;
    uint32_t depth = 0;
    SpanCounts counts;

    play_thread(builder, 0, text, &time, &depth);
    CU_ASSERT_EQUAL(span_builder_finish(builder), 0);
    counts = span_builder_counts(builder);
    expect_balance(&counts);
    CU_ASSERT_EQUAL(seen->count - count_past(seen), counts.begins - counts.overflowed);
    span_builder_destroy(builder);
    return counts;
}

static SpanCounts play(const char *text, Seen *seen)
{
    return play_from(INT64_MIN, text, seen);
}

/* "name begin-end self depth flags" of each span in the order in which they were closed, separated by commas. */
static void expect_spans(const Seen *seen, const char *expected)
{
    char text[SPANS_MAX * 48] = "";
    size_t at = 0;

    for (size_t i = 0; i < seen->count && i < SPANS_MAX; i++) {
        const Span *span = &seen->spans[i];
        const char *flags = span->flags & SPAN_UNWOUND  ? " unwound"
                            : span->flags & SPAN_CUT    ? " cut"
                            : span->flags & SPAN_LOST   ? " lost"
                            : span->flags & SPAN_UNSURE ? " unsure"
                            : span->flags & SPAN_EARLY  ? " early"
                            : span->flags & SPAN_PAST   ? " past"
                                                        : "";

        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%c %d-%d %d %u%s", i ? ", " : "",
                               (char)span->id, (int)span->begin_ns, (int)span->end_ns, (int)span->self_ns,
                               span->depth, flags);
    }
    CU_ASSERT_STRING_EQUAL(text, expected);
    if (strcmp(text, expected) != 0)
        printf("    got: %s\n", text);
}

/* ---- what is whole ---------------------------------------------------------------------------- */

static void spans__nested__then_self_time_depth_and_parent(void)
{
    Seen seen;
    SpanCounts counts = play("m a b B!c C A(x)x M", &seen);

    expect_spans(&seen, "b 3-4 1 2, c 6-7 1 2, a 2-8 4 1, x 9-10 1 1, m 1-11 3 0");
    CU_ASSERT_EQUAL(counts.complete, 5);
    CU_ASSERT_EQUAL(seen.spans[0].parent, seen.spans[2].number);
    CU_ASSERT_EQUAL(seen.spans[4].parent, 0);
    CU_ASSERT(seen.spans[0].flags & SPAN_FUNCTION);
    CU_ASSERT(!(seen.spans[3].flags & SPAN_FUNCTION));
    CU_ASSERT_EQUAL(seen.spans[3].result, 7);
}

static void spans__function_and_event_of_one_number__then_apart(void)
{
    Seen seen;
    SpanCounts counts = play("x (x X", &seen);

    /* The function's end passes the open event by. */
    expect_spans(&seen, "x 2-3 1 1 unwound, x 1-3 1 0");
    CU_ASSERT_EQUAL(counts.complete, 1);
}

static void spans__threads_interleaved__then_each_by_itself(void)
{
    Seen seen;
    SpanBuilder *builder = builder_with(&seen);
    int64_t time = 0;
    uint32_t depths[2] = {0};

    play_thread(builder, 0, "m a", &time, &depths[0]);
    play_thread(builder, 1, "m", &time, &depths[1]);
    play_thread(builder, 0, "A", &time, &depths[0]);
    play_thread(builder, 1, "M", &time, &depths[1]);
    play_thread(builder, 0, "M", &time, &depths[0]);
    CU_ASSERT_EQUAL(span_builder_finish(builder), 0);
    expect_spans(&seen, "a 2-4 2 1, m 3-5 2 0, m 1-6 3 0");
    CU_ASSERT_PTR_EQUAL(seen.spans[1].thread, &threads[1]);
    span_builder_destroy(builder);
}

/* A handler that interrupts between the counting of a depth and the writing of its event writes first, one deeper. */
static void spans__handler_wrote_before_what_it_interrupted__then_still_paired(void)
{
    Seen seen;

    play("m 2hH 1a 1hH 2AM", &seen);
    expect_spans(&seen, "h 2-3 1 1, h 5-6 1 2, a 4-7 2 1, m 1-8 3 0");
}

static void spans__many_threads__then_each_by_itself(void)
{
    enum { THREADS = 3000 };
    AdatThreadInfo *many = calloc(THREADS, sizeof(*many));
    SpanCounts counts;
    Seen seen;
    SpanBuilder *builder = builder_with(&seen);

    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < THREADS; i++) {
            AdatEvent event = event_of(0, 10 * round, round ? ADA_KIND_SPAN_END : ADA_KIND_SPAN_BEGIN, 0, 5, 0);

            event.thread = &many[i];
            CU_ASSERT_EQUAL(span_builder_add(builder, &event), 0);
        }
    }
    CU_ASSERT_EQUAL(span_builder_finish(builder), 0);
    counts = span_builder_counts(builder);
    CU_ASSERT_EQUAL(counts.complete, THREADS);
    CU_ASSERT_EQUAL(span_duration(&seen.spans[0]), 10);
    span_builder_destroy(builder);
    free(many);
}

/* ---- ends and begins that are missing --------------------------------------------------------- */

static void spans__ends_without_begin__then_counted_and_nothing_else(void)
{
    Seen seen;
    SpanCounts counts = play("C b B A m M", &seen);

    expect_spans(&seen, "b 2-3 1 0, m 5-6 1 0");
    CU_ASSERT_EQUAL(counts.unmatched_ends, 2);
}

static void spans__open_at_the_end__then_cut_at_the_last_event(void)
{
    Seen seen;
    SpanCounts counts = play("m a b B !", &seen);

    expect_spans(&seen, "b 3-4 1 2, a 2-5 2 1 cut, m 1-5 1 0 cut");
    CU_ASSERT_EQUAL(counts.cut, 2);
}

/* What was before is in nobody's time: neither that of who began earlier, nor that of those that ended. */
static void spans__looked_at_from_a_time_on__then_earlier_ones_count_from_there(void)
{
    Seen seen;
    SpanCounts counts = play_from(6, "m a b B c!! C A d D M", &seen); /* from the first instant on */

    expect_spans(&seen, "b 3-4 0 2 past, c 5-8 2 2 early, a 2-9 1 1 early, d 10-11 1 1, m 1-12 2 0 early");
    CU_ASSERT_EQUAL(counts.begins, 4);
    CU_ASSERT_EQUAL(counts.ends, 4);
    CU_ASSERT_EQUAL(counts.complete, 1);
    CU_ASSERT_EQUAL(counts.early, 3);
    CU_ASSERT_EQUAL(span_duration(&seen.spans[0]), 0);
    CU_ASSERT_EQUAL(span_duration(&seen.spans[1]), 2);
    CU_ASSERT_EQUAL(span_duration(&seen.spans[2]), 3);
    CU_ASSERT_EQUAL(span_duration(&seen.spans[4]), 6);
}

static void spans__looked_at_from_a_time_on__then_other_ends_are_as_ever(void)
{
    Seen seen;
    SpanCounts counts = play_from(4, "m a b A x X X m", &seen);

    expect_spans(&seen, "b 3-4 0 2 unwound, a 2-4 0 1 early, x 5-6 1 1, m 8-8 0 1 cut, m 1-8 3 0 cut");
    CU_ASSERT_EQUAL(counts.unwound, 1);
    CU_ASSERT_EQUAL(counts.cut, 2);
    CU_ASSERT_EQUAL(counts.unmatched_ends, 1);
    counts = play_from(100, "m a A X b", &seen);
    CU_ASSERT_EQUAL(count_past(&seen), 3);
    CU_ASSERT_EQUAL(counts.begins + counts.ends + counts.unmatched_ends, 0);
}

/* The recorder found the thread in it. */
static void spans__begun_before_the_recording__then_early(void)
{
    Seen seen;
    SpanBuilder *builder = builder_with(&seen);
    AdatEvent begin = event_of(0, 5, ADA_KIND_SPAN_BEGIN, 0, 'x', 1);
    AdatEvent end = event_of(0, 9, ADA_KIND_SPAN_END, 0, 'x', 2);
    SpanCounts counts;

    begin.event.word |= ADA_WORD(0, ADA_FLAG_EARLIER, 0);
    CU_ASSERT_EQUAL(span_builder_add(builder, &begin), 0);
    CU_ASSERT_EQUAL(span_builder_add(builder, &end), 0);
    begin.time_ns = 10;
    CU_ASSERT_EQUAL(span_builder_add(builder, &begin), 0);
    CU_ASSERT_EQUAL(span_builder_finish(builder), 0);
    counts = span_builder_counts(builder);
    expect_balance(&counts);
    expect_spans(&seen, "x 5-9 4 0 early, x 10-10 0 0 cut");
    CU_ASSERT_EQUAL(counts.early, 1);
    span_builder_destroy(builder);
}

static void spans__outer_ends__then_inner_are_unwound(void)
{
    Seen seen;
    SpanCounts counts = play("m a b c A d D M", &seen);

    expect_spans(&seen, "c 4-5 1 3 unwound, b 3-5 1 2 unwound, a 2-5 1 1, d 6-7 1 1, m 1-8 3 0");
    CU_ASSERT_EQUAL(counts.unwound, 2);
}

/* Of a recursion that is left by longjmp(3) the call site tells which level ends. */
static void spans__recursion_unwound__then_by_call_site(void)
{
    static const uint64_t sites[] = {1, 2, 2};
    Seen seen;
    SpanBuilder *builder = builder_with(&seen);
    AdatEvent event;

    for (uint32_t i = 0; i < 3; i++) {
        event = event_of(0, i, ADA_KIND_FUNCTION_ENTRY, i, 'f', sites[i]);
        CU_ASSERT_EQUAL(span_builder_add(builder, &event), 0);
    }
    event = event_of(0, 9, ADA_KIND_FUNCTION_EXIT, 2, 'f', 1);
    CU_ASSERT_EQUAL(span_builder_add(builder, &event), 0);
    expect_spans(&seen, "f 2-9 7 2 unwound, f 1-9 1 1 unwound, f 0-9 1 0");
    span_builder_destroy(builder);
}

/* ---- losses ----------------------------------------------------------------------------------- */

static void loss__ends_fit__then_unsure_and_not_complete(void)
{
    Seen seen;
    SpanCounts counts = play("m a ~A b B M", &seen);

    expect_spans(&seen, "a 2-3 1 1 unsure, b 4-5 1 1, m 1-6 3 0 unsure");
    CU_ASSERT_EQUAL(counts.complete, 1);
}

static void loss__other_end_of_that_name__then_never_complete(void)
{
    Seen seen;

    /* The first a ended in the loss, and another one began. */
    play("m a ~A M", &seen);
    CU_ASSERT(seen.spans[0].flags & SPAN_UNSURE);
}

static void loss__depth_says_they_are_gone__then_lost_where_they_were_last_seen(void)
{
    Seen seen;
    SpanCounts counts = play("m a b ~1c C M", &seen);

    expect_spans(&seen, "b 3-3 0 2 lost, a 2-3 1 1 lost, c 4-5 1 1, m 1-6 3 0 unsure");
    CU_ASSERT_EQUAL(counts.lost, 2);
}

static void loss__begin_lost__then_its_end_is_unmatched(void)
{
    Seen seen;
    SpanCounts counts = play("m ~3C B M", &seen);

    expect_spans(&seen, "m 1-4 3 0 unsure");
    CU_ASSERT_EQUAL(counts.unmatched_ends, 2);
}

static void loss__others_at_the_same_depth__then_lost_by_their_end(void)
{
    Seen seen;
    SpanCounts counts = play("m a ~2C M", &seen);

    /* The end of c, at the depth of a, leaves nothing open there. */
    expect_spans(&seen, "a 2-2 0 1 lost, m 1-4 3 0 unsure");
    CU_ASSERT_EQUAL(counts.unmatched_ends, 1);
}

static void loss__outer_ends_over_unsure_ones__then_they_are_lost(void)
{
    Seen seen;

    play("m a b ~3M", &seen);
    expect_spans(&seen, "b 3-3 0 2 lost, a 2-3 1 1 lost, m 1-4 2 0 unsure");
}

static void loss__never_ended__then_lost_and_not_cut(void)
{
    Seen seen;

    play("m a ~!b", &seen);
    expect_spans(&seen, "b 4-4 0 2 cut, a 2-2 0 1 lost, m 1-2 1 0 lost");
}

static void loss__new_ones_after_it__then_complete_beneath_unsure_ones(void)
{
    Seen seen;

    play("m ~a b B A ~c C M", &seen);
    expect_spans(&seen, "b 3-4 1 2, a 2-5 2 1, c 6-7 1 1, m 1-8 3 0 unsure");
    CU_ASSERT_EQUAL(seen.spans[1].parent, seen.spans[3].number);
}

static void loss__depth_saturated__then_nothing_is_concluded(void)
{
    Seen seen;
    SpanBuilder *builder = builder_with(&seen);
    AdatEvent event;

    event = event_of(0, 1, ADA_KIND_FUNCTION_ENTRY, 0xffff, 'f', 0);
    CU_ASSERT_EQUAL(span_builder_add(builder, &event), 0);
    event = event_of(0, 2, ADA_KIND_INSTANT, 0xffff, 'i', 0);
    event.after_loss = true;
    CU_ASSERT_EQUAL(span_builder_add(builder, &event), 0);
    CU_ASSERT_EQUAL(seen.count, 0);
    event = event_of(0, 3, ADA_KIND_FUNCTION_EXIT, 0xffff, 'f', 0);
    CU_ASSERT_EQUAL(span_builder_add(builder, &event), 0);
    expect_spans(&seen, "f 1-3 2 0 unsure");
    span_builder_destroy(builder);
}

/* ---- hostile depths --------------------------------------------------------------------------- */

static SpanCounts dive(uint32_t begins, uint32_t ends, Seen *seen)
{
    SpanBuilder *builder = builder_with(seen);
    SpanCounts counts;

    for (uint32_t i = 0; i < begins + ends; i++) {
        AdatEvent event =
            event_of(0, i, i < begins ? ADA_KIND_FUNCTION_ENTRY : ADA_KIND_FUNCTION_EXIT, 0, 'f', 0);

        if (span_builder_add(builder, &event) != 0)
            CU_FAIL("add");
    }
    CU_ASSERT_EQUAL(span_builder_finish(builder), 0);
    counts = span_builder_counts(builder);
    expect_balance(&counts);
    span_builder_destroy(builder);
    return counts;
}

static void depth__beyond_the_limit__then_counted_and_the_rest_is_right(void)
{
    Seen seen;
    SpanCounts counts = dive(SPAN_DEPTH_MAX + 10, SPAN_DEPTH_MAX + 10, &seen);

    CU_ASSERT_EQUAL(counts.complete, SPAN_DEPTH_MAX);
    CU_ASSERT_EQUAL(counts.overflowed, 10);
    CU_ASSERT_EQUAL(counts.overflowed_ends, 10);
    CU_ASSERT_EQUAL(seen.spans[0].begin_ns, SPAN_DEPTH_MAX - 1);
    CU_ASSERT_EQUAL(seen.spans[0].end_ns, SPAN_DEPTH_MAX + 20);
}

static void depth__many_threads_that_only_begin__then_bounded(void)
{
    enum { THREADS = SPAN_OPEN_MAX / SPAN_DEPTH_MAX + 6 };
    AdatThreadInfo *many = calloc(THREADS, sizeof(*many));
    SpanCounts counts;
    Seen seen;
    SpanBuilder *builder = builder_with(&seen);

    for (uint32_t i = 0; i < THREADS; i++) {
        for (uint32_t n = 0; n < SPAN_DEPTH_MAX; n++) {
            AdatEvent event = event_of(0, n, ADA_KIND_SPAN_BEGIN, 0, n, 0);

            event.thread = &many[i];
            if (span_builder_add(builder, &event) != 0)
                CU_FAIL("add");
        }
    }
    CU_ASSERT_EQUAL(span_builder_finish(builder), 0);
    counts = span_builder_counts(builder);
    expect_balance(&counts);
    CU_ASSERT(counts.cut <= SPAN_OPEN_MAX);
    CU_ASSERT(counts.overflowed >= 6 * SPAN_DEPTH_MAX);
    span_builder_destroy(builder);
    free(many);
}

static void callback__refuses__then_add_returns_it(void)
{
    Seen seen;
    SpanBuilder *builder = builder_with(&seen);
    AdatEvent begin = event_of(0, 1, ADA_KIND_SPAN_BEGIN, 0, 1, 0);
    AdatEvent end = event_of(0, 1, ADA_KIND_SPAN_END, 0, 1, 0);

    seen.refuse = -77;
    CU_ASSERT_EQUAL(span_builder_add(builder, &begin), 0);
    CU_ASSERT_EQUAL(span_builder_add(builder, &end), -77);
    span_builder_destroy(builder);
    span_builder_destroy(NULL);
}

/* ---- with a cursor over a real file ------------------------------------------------------------ */

static void put_pairs(AdatWriter *writer, uint64_t first, uint64_t time, uint32_t count, uint64_t refused)
{
    const AdatBlockHeader header = {.dropped_full = refused};
    AdaIndexEvent events[8];

    for (uint32_t i = 0; i < count; i++)
        events[i] = (AdaIndexEvent){
            .timestamp = SAMPLE_MONOTONIC + time + i,
            .id = SAMPLE_WORK,
            .word = ADA_WORD((first + i) % 2 ? ADA_KIND_SPAN_END : ADA_KIND_SPAN_BEGIN, 0, 0),
        };
    sample_put_index(writer, 1, 1, first, events, count, &header);
}

static SpanCounts count_spans(int fd, bool killed)
{
    AdatReader *trace = open_trace(fd);
    AdatCursor *cursor = NULL;
    AdatEvent event;
    SpanCounts counts;
    Seen seen;
    SpanBuilder *builder = builder_with(&seen);

    CU_ASSERT_EQUAL_FATAL(adat_cursor_create(trace, NULL, &cursor), 0);
    while (adat_cursor_next(cursor, &event) > 0)
        CU_ASSERT_EQUAL(span_builder_add(builder, &event), 0);
    CU_ASSERT_EQUAL(span_builder_finish(builder), 0);
    if (killed)
        CU_ASSERT_EQUAL(seen.spans[seen.count - 1].end_ns, 5000);
    counts = span_builder_counts(builder);
    expect_balance(&counts);
    span_builder_destroy(builder);
    adat_cursor_destroy(cursor);
    adat_reader_close(trace);
    close(fd);
    return counts;
}

static void file__span_over_two_blocks__then_complete(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    SpanCounts counts;

    put_pairs(writer, 0, 10, 3, 0);
    put_pairs(writer, 3, 20, 5, 0);
    end_unclosed(writer);
    counts = count_spans(fd, false);
    CU_ASSERT_EQUAL(counts.complete, 4);
}

static void file__hole_in_the_numbers__then_what_is_open_there_is_not_complete(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    SpanCounts counts;

    put_pairs(writer, 0, 10, 3, 0);
    put_pairs(writer, 5, 20, 3, 0);
    end_unclosed(writer);
    counts = count_spans(fd, false);
    CU_ASSERT_EQUAL(counts.complete, 2);
    CU_ASSERT_EQUAL(counts.unsure, 1);
}

/* Refused events have no numbers. The count may be in the header of a block in front of the loss. */
static void file__events_refused__then_what_is_open_there_is_not_complete(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    SpanCounts counts;

    put_pairs(writer, 0, 10, 3, 4);
    put_pairs(writer, 3, 20, 3, 4);
    put_pairs(writer, 6, 30, 2, 4);
    end_unclosed(writer);
    counts = count_spans(fd, false);
    CU_ASSERT_EQUAL(counts.complete, 3);
    CU_ASSERT_EQUAL(counts.unsure, 1);
}

/* Each place in the code that emits an event has an id of its own. */
static void file__begin_and_end_have_other_ids__then_paired_by_name(void)
{
    static const AdaEventDescriptor names[] = {
        {.id = 11, .name = "a"}, {.id = 12, .name = "b"}, {.id = 13, .name = "a"}};
    static const struct {
        uint32_t kind, id, depth;
    } given[] = {{ADA_KIND_SPAN_BEGIN, 11, 0},
                 {ADA_KIND_SPAN_BEGIN, 12, 1},
                 {ADA_KIND_SPAN_END, 12, 1},
                 {ADA_KIND_SPAN_END, 13, 0}};
    const AdatBlockHeader header = {.type = ADAT_BLOCK_EVENTS, .process = 1, .record_count = 3};
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdaIndexEvent events[4];

    sample_put(writer, &header, names, sizeof(names));
    for (uint32_t i = 0; i < 4; i++)
        events[i] = (AdaIndexEvent){.timestamp = SAMPLE_MONOTONIC + i,
                                    .id = given[i].id,
                                    .word = ADA_WORD(given[i].kind, 0, given[i].depth)};
    sample_put_index(writer, 1, 1, 0, events, 4, NULL);
    end_unclosed(writer);
    CU_ASSERT_EQUAL(count_spans(fd, false).complete, 2);
}

static void file__process_killed__then_cut_at_its_death(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    AdatDeath death = {
        .process = 1, .kind = ADAT_DEATH_SIGNAL, .code = 9, .monotonic_ns = SAMPLE_MONOTONIC + 5000};
    const AdatBlockHeader header = {.type = ADAT_BLOCK_DEATH, .process = 1};
    SpanCounts counts;

    put_pairs(writer, 0, 10, 3, 0);
    sample_put(writer, &header, &death, sizeof(death));
    end_unclosed(writer);
    counts = count_spans(fd, true);
    CU_ASSERT_EQUAL(counts.cut, 1);
}

static const TestCase tests[] = {
    TEST(spans__nested__then_self_time_depth_and_parent),
    TEST(spans__function_and_event_of_one_number__then_apart),
    TEST(spans__threads_interleaved__then_each_by_itself),
    TEST(spans__handler_wrote_before_what_it_interrupted__then_still_paired),
    TEST(spans__many_threads__then_each_by_itself),
    TEST(spans__ends_without_begin__then_counted_and_nothing_else),
    TEST(spans__open_at_the_end__then_cut_at_the_last_event),
    TEST(spans__looked_at_from_a_time_on__then_earlier_ones_count_from_there),
    TEST(spans__looked_at_from_a_time_on__then_other_ends_are_as_ever),
    TEST(spans__begun_before_the_recording__then_early),
    TEST(spans__outer_ends__then_inner_are_unwound),
    TEST(spans__recursion_unwound__then_by_call_site),
    TEST(loss__ends_fit__then_unsure_and_not_complete),
    TEST(loss__other_end_of_that_name__then_never_complete),
    TEST(loss__depth_says_they_are_gone__then_lost_where_they_were_last_seen),
    TEST(loss__begin_lost__then_its_end_is_unmatched),
    TEST(loss__others_at_the_same_depth__then_lost_by_their_end),
    TEST(loss__outer_ends_over_unsure_ones__then_they_are_lost),
    TEST(loss__never_ended__then_lost_and_not_cut),
    TEST(loss__new_ones_after_it__then_complete_beneath_unsure_ones),
    TEST(loss__depth_saturated__then_nothing_is_concluded),
    TEST(depth__beyond_the_limit__then_counted_and_the_rest_is_right),
    TEST(depth__many_threads_that_only_begin__then_bounded),
    TEST(callback__refuses__then_add_returns_it),
    TEST(file__span_over_two_blocks__then_complete),
    TEST(file__hole_in_the_numbers__then_what_is_open_there_is_not_complete),
    TEST(file__events_refused__then_what_is_open_there_is_not_complete),
    TEST(file__begin_and_end_have_other_ids__then_paired_by_name),
    TEST(file__process_killed__then_cut_at_its_death),
};
int main(int argc, char **argv)
{
    int status = test_run("span_builder", tests, sizeof(tests) / sizeof(tests[0]), argc, argv);

    adat_reader_close(reader);
    return status;
}
