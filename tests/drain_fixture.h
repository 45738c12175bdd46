/* SPDX-License-Identifier: MIT */
/*
 * Threads of one process and the drain that reads them, for tests: the threads are played by the test, each with
 * an index and a detail lane.
 */
#ifndef ADA_TESTS_DRAIN_FIXTURE_H
#define ADA_TESTS_DRAIN_FIXTURE_H

#include "user/drain/drain_iterator.h"
#include "user/lane/lane_producer.h"
#include "user/registry/thread_registry.h"

#define FIXTURE_RING 4096u
#define FIXTURE_RING_EVENTS \
    112u /* that a writer at the outermost level puts into a ring: an eighth is reserved */
#define FIXTURE_THREADS_MAX 72u

typedef struct FixtureThread {
    ThreadLaneSet *lanes;
    LaneWriter index_writer, detail_writer;
    LaneProducer index, detail;
    ThreadDrainState *state; /* NULL: not registered, or handed back */
    uint64_t written;        /* index events that found room */
    uint64_t refused;
} FixtureThread;

/* What the iterator told. */
typedef struct FixtureLog {
    uint32_t registered;
    uint32_t deregistered;
    uint32_t hostile;
    uint32_t writes;
    uint64_t in_file; /* of threads handed back */
    ThreadDrainState *last;
} FixtureLog;

typedef struct DrainFixture {
    Segment segment;
    int segment_fd;
    FixtureThread threads[FIXTURE_THREADS_MAX];
    uint32_t thread_count;
    AdatWriter *writer;
    DrainMetrics metrics;
    DrainBatch batch;
    DrainSource source;
    DrainIterator *iterator;
    FixtureLog log;
    bool write_fails; /* with ENOSPC */
    bool all_hostile; /* who finds one thread hostile is done with all of them */
} DrainFixture;

/* `config` may be NULL; its callbacks are the fixture's own, but for has_run. NULL when something cannot be had. */
DrainFixture *drain_fixture_create(const DrainIteratorConfig *config, uint32_t threads, uint32_t policy,
                                   uint32_t detail);
void drain_fixture_destroy(DrainFixture *fixture);

/* Registers thread `number`, in the registry and with the drain. */
void drain_fixture_register(DrainFixture *fixture, uint32_t number);

/* Ends it: its last step in the registry, and the drain is told. */
void drain_fixture_end(DrainFixture *fixture, uint32_t number);

/* Writes so many index events of event `id`; those that find no room are counted. */
void drain_fixture_write(DrainFixture *fixture, uint32_t number, uint64_t id, uint32_t count);

/* One detail record of event `id` with this payload, and the index event that refers to it. False: no room. */
bool drain_fixture_write_detail(DrainFixture *fixture, uint32_t number, uint64_t id, const void *payload,
                                uint32_t bytes);

/* One iteration that reads rings in place. */
DrainIteration drain_fixture_iterate(DrainFixture *fixture);

/* Passes the threads' own hints on, as the collector does before each iteration. */
void drain_fixture_take_hints(DrainFixture *fixture);

/* Index events of the thread that are in the file. */
uint64_t drain_fixture_in_file(const DrainFixture *fixture, uint32_t number);

#endif
