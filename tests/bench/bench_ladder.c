/* SPDX-License-Identifier: MIT */
/*
 * The price of each part of the event path: a local copy of lane_write_index() (user/lane/lane_producer.h)
 * that is compiled with ever more of it, from the floor up to the real thing, which runs last. No collector:
 * the ring is private memory that starts again when it is full.
 *
 *     bench_ladder [--json] [--rounds N]
 *
 * Then what the path does without, priced on top of the whole: a counter, a lock prefix, a sequentially
 * consistent store. Last, all of it again without the clock, which hides most of the rest.
 */
#include <string.h>

#include "tests/bench/bench_support.h"
#include "user/lane/lane_producer.h"

#define RING_BYTES 65536u
#define STEPS (sizeof(steps) / sizeof(steps[0]))

enum {
    PART_LIMIT = 1 << 0,    /* cursor in memory, compared to the ring's limit */
    PART_PUBLISH = 1 << 1,  /* position published by a release store */
    PART_BUSY = 1 << 2,     /* busy flag set and cleared */
    PART_RESERVED = 1 << 3, /* reservation announced before the write */
    PART_XADD = 1 << 4,     /* cursor moved by xadd without lock instead of load and store */
    PART_MOVED = 1 << 5,    /* did a handler reserve before us; did one write after us */
    PART_CLOCK = 1 << 6,    /* choice of the clock */
    PART_TLS = 1 << 7,      /* writer found through thread-local storage */
    PART_GATE = 1 << 8,     /* is anybody recording */
    PARTS_OF_PATH = (1 << 9) - 1,
    PART_LOCKED = 1 << 9,    /* not in the path: one lock xadd */
    PART_FENCE = 1 << 10,    /* not in the path: one sequentially consistent store */
    PART_COUNTER = 1 << 11,  /* not in the path: a counter of events, by plain load and store */
    PART_NO_CLOCK = 1 << 12, /* a constant instead of the clock, which otherwise hides most of the rest */
};

typedef struct Ladder {
    _Alignas(128) char data[RING_BYTES];
    _Alignas(128) RingControl control;
    _Alignas(128) LaneView view;
    LaneWriter writer;
    LaneProducer producer;
    uint64_t counter;
    _Alignas(128) uint64_t locked;
    uint32_t gate;
    const uint32_t *gate_pointer;
} Ladder;

static Ladder ladder;
static __thread LaneWriter *thread_writer;

static inline void write_event(Ladder *self, uint64_t argument, unsigned parts)
{
    LaneWriter *writer = parts & PART_TLS ? thread_writer : &self->writer;
    LaneView *view;
    AdaIndexEvent *event;
    uint64_t cursor, position, timestamp;

    if (parts & PART_GATE && !ada_load_relaxed(ada_load_relaxed(&self->gate_pointer)))
        return;
    if (parts & PART_BUSY) {
        if (__builtin_expect(writer->frame != 0, 0))
            return;
        ada_store_relaxed(&writer->frame, lane_stack_pointer());
        ada_signal_fence();
    }
    view = writer->active;
    cursor = view->cursor;
    if (parts & PART_LIMIT) {
        if (__builtin_expect(ADA_POSITION_BYTES(cursor) >= view->limit, 0))
            cursor = view->cursor = 0;
    }
    if (parts & PART_NO_CLOCK)
        timestamp = argument;
    else
        timestamp = parts & PART_CLOCK ? ada_clock_ticks() : ada_clock_cycles();
    if (parts & PART_RESERVED)
        ada_store_relaxed(&view->ring->reserved, cursor + LANE_INDEX_STEP);
    if (parts & PART_XADD) {
        position = ada_local_fetch_add(&view->cursor, LANE_INDEX_STEP);
    } else {
        position = cursor;
        view->cursor =
            parts & PART_LIMIT ? cursor + LANE_INDEX_STEP : (cursor + ADA_INDEX_EVENT_SIZE) % RING_BYTES;
    }
    event = (AdaIndexEvent *)(view->data + ADA_POSITION_BYTES(position));
    if (parts & PART_MOVED && __builtin_expect(position != cursor, 0)) {
        ada_store_relaxed(&view->ring->reserved, position + LANE_INDEX_STEP);
        timestamp = event[-1].timestamp;
    }
    event->timestamp = timestamp;
    event->id = 1;
    event->argument = argument;
    event->word = ADA_KIND_INSTANT;
    event->link = 0;
    BENCH_KEEP_MEMORY(event);
    if (parts & PART_PUBLISH) /* no acquire pairs with it here */
        ada_store_release(&view->ring->published, position + LANE_INDEX_STEP);
    if (parts & PART_BUSY) {
        ada_signal_fence();
        ada_store_relaxed(&writer->frame, (uintptr_t)0);
        ada_signal_fence();
    }
    if (parts & PART_MOVED) {
        if (__builtin_expect(ada_load_relaxed(&view->cursor) != position + LANE_INDEX_STEP, 0))
            lane_publish_rest(writer);
    }
    if (parts & PART_COUNTER)
        ada_count(&self->counter, 1);
    if (parts & PART_LOCKED)
        (void)ada_fetch_add_relaxed(&self->locked, 1);
    if (parts & PART_FENCE)
        ada_store_seq_cst(&self->locked, argument);
}

/* The parts are a constant in each of these, so what is not in them leaves no instruction. */
#define BODY(name, parts)                                           \
    static void name(void *context, uint64_t operations)            \
    {                                                               \
        for (uint64_t i = 0; i < operations; i++)                   \
            write_event(context, i, parts);                         \
    }                                                               \
    static void name##_no_clock(void *context, uint64_t operations) \
    {                                                               \
        for (uint64_t i = 0; i < operations; i++)                   \
            write_event(context, i, (parts) | PART_NO_CLOCK);       \
    }
#define STEP(name, body)                               \
    {                                                  \
        name, body, "no clock: " name, body##_no_clock \
    }

BODY(with_store, 0)
BODY(with_limit, PART_LIMIT)
BODY(with_publish, PART_LIMIT | PART_PUBLISH)
BODY(with_busy, PART_LIMIT | PART_PUBLISH | PART_BUSY)
BODY(with_reserved, PART_LIMIT | PART_PUBLISH | PART_BUSY | PART_RESERVED)
BODY(with_xadd, PART_LIMIT | PART_PUBLISH | PART_BUSY | PART_RESERVED | PART_XADD)
BODY(with_moved, PART_LIMIT | PART_PUBLISH | PART_BUSY | PART_RESERVED | PART_XADD | PART_MOVED)
BODY(with_choice, PARTS_OF_PATH & ~(PART_TLS | PART_GATE))
BODY(with_tls, PARTS_OF_PATH & ~PART_GATE)
BODY(with_gate, PARTS_OF_PATH)
BODY(with_counter, PARTS_OF_PATH | PART_COUNTER)
BODY(with_lock, PARTS_OF_PATH | PART_LOCKED)
BODY(with_fence, PARTS_OF_PATH | PART_FENCE)

static __attribute__((noinline)) void write_event_called(Ladder *self, uint64_t argument)
{
    write_event(self, argument, PARTS_OF_PATH);
}

static void (*volatile write_event_pointer)(Ladder *, uint64_t) = write_event_called;

static void with_call(void *context, uint64_t operations)
{
    for (uint64_t i = 0; i < operations; i++)
        write_event_pointer(context, i);
}

static void lane_code(void *context, uint64_t operations)
{
    Ladder *self = context;

    for (uint64_t i = 0; i < operations; i++)
        if (__builtin_expect(!lane_write_index(&self->producer, ADA_KIND_INSTANT, 1, i, 0), 0))
            self->view.cursor = 0;
}

int main(int argc, char **argv)
{
    BenchOptions options = {.rounds = 1000, .operations = 1};
    BenchCase cases[BENCH_FLOORS + 32];
    BenchRun run = {0};
    BenchReport report;
    size_t count = BENCH_FLOORS;
    static const struct {
        const char *name;
        BenchBody *body;
        const char *no_clock_name;
        BenchBody *no_clock_body;
    } steps[] = {
        STEP("32-byte store, cursor in memory", with_store),
        STEP("+ limit branch", with_limit),
        STEP("+ publish (release)", with_publish),
        STEP("+ busy flag", with_busy),
        STEP("+ announced reservation", with_reserved),
        STEP("+ xadd without lock", with_xadd),
        STEP("+ mismatch checks", with_moved),
        STEP("+ choice of clock", with_choice),
        STEP("+ thread-local writer", with_tls),
        STEP("+ gate", with_gate),
        STEP("not in it: + counter, plain", with_counter),
        STEP("not in it: + lock xadd", with_lock),
        STEP("not in it: + sequentially consistent store", with_fence),
    };

    bench_parse_options(argc, argv, &options);
    bench_pin_thread(BENCH_PRODUCER_CPU);
    ada_clock_set(ADA_CLOCK_TSC);
    memset(&ladder, 0, sizeof(ladder));
    ladder.view =
        (LaneView){.limit = RING_BYTES, .bytes = RING_BYTES, .data = ladder.data, .ring = &ladder.control};
    ladder.writer.active = &ladder.view;
    ladder.producer.writer = &ladder.writer;
    ladder.gate = 1;
    ladder.gate_pointer = &ladder.gate;
    thread_writer = &ladder.writer;

    bench_floor_cases(cases);
    for (size_t i = 0; i < STEPS; i++)
        cases[count++] = (BenchCase){.name = steps[i].name, .body = steps[i].body, .context = &ladder};
    cases[count++] =
        (BenchCase){.name = "whole path, called through a pointer", .body = with_call, .context = &ladder};
    cases[count++] = (BenchCase){.name = "lane_write_index()", .body = lane_code, .context = &ladder};
    size_t clocked = count;
    for (size_t i = 0; i < STEPS; i++)
        cases[count++] =
            (BenchCase){.name = steps[i].no_clock_name, .body = steps[i].no_clock_body, .context = &ladder};
    run.rounds = options.rounds;
    bench_cases_run(cases, count, &run);

    bench_report_init(&report, "ladder");
    for (size_t i = 0; i < count; i++)
        bench_report_add_case(&report, &cases[i],
                              i < BENCH_FLOORS || i >= clocked ? NULL : &cases[BENCH_FLOOR_STORE],
                              BENCH_TARGET_NONE, 0);
    bench_report_print(&report, options.json);
    bench_cases_free(cases, count);
    return 0;
}
