/* SPDX-License-Identifier: MIT */
/*
 * One lane with both its sides, for tests.
 *
 * Everything, the private handles too, lives in one shared mapping: so a forked child may be the
 * producer and die, and the parent goes on with the reader. The rings stand between pages that
 * nobody may touch, so that a read outside them ends the test.
 *
 * Tests write records that say who they are: index events carry (id, argument) of the test's choice, detail
 * records their own number as argument, which also decides the payload.
 */
#ifndef ADA_TESTS_LANE_FIXTURE_H
#define ADA_TESTS_LANE_FIXTURE_H

#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>

#include "user/lane/lane_producer.h"
#include "user/lane/lane_reader.h"

/* What a reader took over, in order. */
typedef struct LaneRecord {
    uint64_t number;
    uint64_t timestamp;
    uint64_t id;
    uint64_t argument;
    uint32_t word;
    uint32_t tail; /* link, or payload_size */
} LaneRecord;

#define LANE_LOG_MAX 65536u

typedef struct LaneFixture {
    SegmentHeader header;
    Lane lane;
    ada_lane_metrics_t metrics;
    LaneWriter writer;
    LaneProducer producer;
    LaneReader reader;
    LaneView closed_view;
    char *rings;
    size_t mapping_bytes;
    uint64_t scratch[8]; /* of the test, shared with its children */
    uint32_t bad_payloads;
    uint32_t record_count;
    LaneRecord records[LANE_LOG_MAX];
} LaneFixture;

/* NULL when there is no memory. Policy discard, detail always, attached. */
LaneFixture *lane_fixture_create(uint32_t kind, uint32_t ring_count, uint32_t ring_bytes);
void lane_fixture_destroy(LaneFixture *fixture);

/* Writes one index event as the client does. 0 or -ENOBUFS. */
int lane_fixture_write(LaneFixture *fixture, uint64_t id, uint64_t argument);

/*
 * Writes one detail record with `payload` bytes. The argument is the record's number, the payload follows from
 * it. 0 or -ENOBUFS.
 */
int lane_fixture_write_detail(LaneFixture *fixture, uint64_t id, uint32_t payload);

/*
 * One visit of the collector: takes at most `limit` records over into `records` and gives the rings back.
 * Returns how many, or what lane_reader_begin() or lane_reader_next() returned when negative. -EBUSY: the producer holds the drain.
 */
int lane_fixture_drain(LaneFixture *fixture, uint32_t limit, bool producer_gone);

/*
 * Copies the first `count` records of a chunk to `behind` places behind the last that is in `records`, without counting them.
 * Returns the bytes that they take in the ring.
 */
uint32_t lane_fixture_log(LaneFixture *fixture, const LaneChunk *chunk, uint32_t behind, uint32_t count);

/* Whether the numbers of records[from..] run on from `number` without a hole. */
bool lane_fixture_is_gapless(const LaneFixture *fixture, uint32_t from, uint64_t number);

/* ---- a producer that stops where the test wants -------------------------------------------------- */

/*
 * Runs a function on a thread of its own, up to a named test point, and further when told to. While it is
 * stopped, the test is the collector. One stepper at a time; the hook is the stepper's while it lives.
 */
typedef struct Stepper {
    pthread_t thread;
    void (*run)(void *);
    void *argument;
    const char *stop_at; /* NULL: run to the end */
    uint32_t skip;       /* pass the point this often before stopping */
    bool finished;
    sem_t reached;
    sem_t resume;
} Stepper;

/*
 * Starts the thread and returns when it reached `point` for the `occurrence`-th time (1..), or ended.
 * True: it stands at the point.
 */
bool stepper_start(Stepper *stepper, void (*run)(void *), void *argument, const char *point,
                   uint32_t occurrence);

/* Lets it go on to the next such place. */
bool stepper_continue(Stepper *stepper, const char *point, uint32_t occurrence);

/* Lets it run to its end and joins it. */
void stepper_finish(Stepper *stepper);

/* What else the hook calls while a stepper lives, on any other thread. */
extern AdaTestPointHook stepper_other_hook;

#endif
