/* SPDX-License-Identifier: MIT */
/*
 * A traced process and collectors that follow each other, for tests: each collector is a process of its own, with a real session and real files,
 * and may be killed anywhere; at the end all files together must have an account of everything, and nothing twice.
 *
 * Threads of the traced process are played by whoever calls restart_thread_*(): one at a time for each of them.
 */
#ifndef ADA_TESTS_RESTART_FIXTURE_H
#define ADA_TESTS_RESTART_FIXTURE_H

#include <stdbool.h>
#include <sys/types.h>

#include "user/lane/lane_producer.h"
#include "user/registry/thread_registry.h"

#define RESTART_LIVES_MAX 4096u

/* What one occupation of one slot attempted: known when it is over. */
typedef struct RestartLife {
    uint64_t registered_at;
    uint32_t tid; /* 0: not known yet */
    uint32_t slot;
    uint32_t generation;
    uint32_t reserved;
    uint64_t attempted[2]; /* ADA_LANE_* */
    uint64_t begun[2];     /* of them with a number */
} RestartLife;

/* Shared by all processes of a test. */
typedef struct RestartShared {
    uint32_t stop; /* the writers'; see the test */
    uint32_t life_count;
    uint64_t deaths;
    RestartLife lives[RESTART_LIVES_MAX];
} RestartShared;

typedef struct RestartFixture {
    RestartShared *shared;
    Segment segment;
    int segment_fd;
    char path[64]; /* of the files */
    int stop_pipe; /* of the present collector: what is written there ends it */
    uint64_t file_bytes;
    uint64_t housekeeping_ns;
} RestartFixture;

/* How a collector is told to end: by one of these bytes. */
#define RESTART_STOP_DETACH 'd' /* the process goes on */
#define RESTART_STOP_ENDED 'e'  /* the process is gone */

/* Failures are CUnit's, and fatal. Files go on in another one after so many bytes. */
void restart_init(RestartFixture *fixture, uint32_t policy, uint32_t detail, uint64_t file_bytes);
void restart_fini(RestartFixture *fixture);

/*
 * Starts a collector that dies at the `occurrence`-th time (1..) that it comes to a test point; NULL: at none. Besides those of the program there are:
 * restart.scanned, restart.recovered, restart.completed: while it looks after what the one before it left;
 * pwrite.before, pwrite.amid, pwrite.after: of each write. `gone`: it is told that the process has ended when it is handed over.
 */
pid_t restart_collector(RestartFixture *fixture, const char *death_point, uint32_t occurrence, bool gone);

/* Whether it is dead by now. */
bool restart_is_dead(RestartFixture *fixture, pid_t collector);

/* Ends it in order, unless it dies meanwhile. */
void restart_stop(RestartFixture *fixture, pid_t collector, char how);

/* Kills it. */
void restart_kill(RestartFixture *fixture, pid_t collector);

/* A thread of the traced process. */
typedef struct RestartThread {
    RestartFixture *fixture;
    ThreadLaneSet *lanes;
    LaneWriter index_writer, detail_writer;
    LaneProducer index, detail;
    uint64_t index_written;
} RestartThread;

/* False: there is no slot, and an event was lost for that. */
bool restart_thread_begin(RestartFixture *fixture, RestartThread *thread, uint32_t tid);
void restart_thread_end(RestartThread *thread);

/* Events; every eighth with a payload, and now and then a mark. Then rings the doorbell. */
void restart_thread_write(RestartThread *thread, uint32_t count);

/* Threads that were killed: notes what they attempted. */
void restart_note_killed(RestartFixture *fixture);

/* All files against what was attempted. Returns how many records are in them. */
uint64_t restart_check(RestartFixture *fixture);

#endif
