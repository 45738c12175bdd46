/* SPDX-License-Identifier: MIT */
/*
 * A recording that stays in memory until somebody wants it.
 *
 * Its files are short and in memory (memfd_create(2)); the oldest go as new ones come, such that those that are left reach
 * `pre_roll_ns` back. A snapshot brings to the disk what is there of the last pre_roll_ns, and whatever comes in the next post_roll_ns.
 * A file goes there once, however many snapshots want it: snapshots that overlap make one run of files.
 *
 *     drain thread ── SessionFiles ──> files in memory ── thread of its own ──> TraceDirectory
 *
 * The recording is not disturbed by a disk that is slow: what it holds up is only the copying. Nothing is printed.
 */
#ifndef ADA_COLLECTOR_FLIGHT_RECORDER_H
#define ADA_COLLECTOR_FLIGHT_RECORDER_H

#include "user/collector/session.h"
#include "user/collector/trace_directory.h"

/* A file in memory covers so much: pre-rolls are as exact, and so often threads are described anew. */
#define FLIGHT_FILE_MIN_NS 250000000ull
#define FLIGHT_FILES_PER_PRE_ROLL 8u

typedef struct FlightRecorderConfig {
    uint64_t pre_roll_ns;
    uint64_t post_roll_ns;
    uint64_t memory_bytes; /* files in memory come to so many at most, about: the oldest go, also if they are wanted */
    TraceDirectory *directory; /* outlives the flight recorder, which alone uses it */
    /*
     * A file was brought to the disk (0), or could not be (-errno), and is lost. From the flight recorder's thread. NULL: nobody wants to
     * know.
     */
    void (*on_written)(void *context, int error);
    void *context;
} FlightRecorderConfig;

typedef struct FlightRecorder FlightRecorder;

/* Errors of pthread_create(3), negative; -ENOMEM. */
int flight_recorder_create(const FlightRecorderConfig *config, FlightRecorder **flight_out);

/* For the session. The first file is had by its open_next. */
SessionFiles flight_recorder_files(FlightRecorder *flight);

/*
 * Wants what is in memory, and what comes. Then the session should begin its next file, so that the present one can go to the disk.
 * Any thread.
 */
void flight_recorder_snapshot(FlightRecorder *flight);

typedef struct FlightRecorderFacts {
    uint64_t bytes; /* in memory */
    uint32_t files;
    uint64_t reach_ns;  /* how far back they go */
    bool writing;       /* a snapshot wants what is there, or what comes */
    uint64_t snapshots; /* so far */
    uint64_t written;   /* files, so far */
    uint64_t lost; /* files that were wanted, and had to go before they were on the disk, or could not be written */
} FlightRecorderFacts;

void flight_recorder_facts(FlightRecorder *flight, FlightRecorderFacts *facts);

/* Waits until what is wanted is on the disk; the rest is gone. NULL is allowed. */
void flight_recorder_destroy(FlightRecorder *flight);

#endif
