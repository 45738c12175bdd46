/* SPDX-License-Identifier: MIT */
/*
 * Sample traces for tests, made by the writer as the recorder makes them. Two ways:
 *
 *   sample_trace()   a whole recording of some threads, as SampleShape says, with events that follow
 *                    from their numbers, so that readers can be checked by content
 *   sample_put_*()   single blocks, for traces with something wrong in them
 *
 * Errors of these functions are bugs of the test: they abort.
 */
#ifndef ADA_TESTS_ADAT_SAMPLE_H
#define ADA_TESTS_ADAT_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/file/adat_writer.h"

/* Events of sample_trace(), by id. */
#define SAMPLE_CLOCK_ERROR 50u /* ns: within which an anchor's clocks were read */
#define SAMPLE_TICK 1u         /* instant */
#define SAMPLE_WORK 2u         /* span */
#define SAMPLE_DEPTH 3u        /* counter */
#define SAMPLE_REQUEST 4u      /* typed: u64 id, i64 delta, f64 ms, pointer where, string path */

#define SAMPLE_PID 4242u
#define SAMPLE_MODULE_BASE 0x400000u
#define SAMPLE_REALTIME UINT64_C(1700000000000000000)
#define SAMPLE_MONOTONIC UINT64_C(5000000000)
#define SAMPLE_TSC UINT64_C(900000000000)
#define SAMPLE_TICKS_PER_NS 3u

typedef struct SampleShape {
    uint32_t threads;
    uint32_t events;       /* of each thread */
    uint32_t block_events; /* in one block */
    uint32_t part_entries; /* of the index: blocks of events are flushed one by one then; 0 = one part at the end */
    bool tsc;      /* clock of the process: SAMPLE_TICKS_PER_NS cycles each ns; else CLOCK_MONOTONIC */
    bool unclosed; /* as if the recorder had been killed: no final ledger, no footer */
    bool ended;    /* the first thread's account is in a ledger of its own, CLOSED */
    bool marked;   /* the recorder set three marks: see sample_put_marks() */
    bool gathered; /* blocks of lanes that follow one another are one, as the drain writes them */
} SampleShape;

/* An anonymous file: a memfd. */
int sample_file(void);

/* Its path, in a static buffer. */
const char *sample_path(int fd);

AdatWriter *sample_writer(int fd);

/*
 * A trace as `shape` says, in an anonymous file, or in `fd` if that is not -1. Returns the fd, open for
 * reading and writing.
 */
int sample_trace(const SampleShape *shape, int fd);

/* Nanoseconds from the first anchor to event `number` of a thread (0..) in sample_trace(). */
uint64_t sample_time(uint32_t thread, uint32_t number);

/* Event `number` of a thread, with the clock of `shape`. */
AdaIndexEvent sample_event(const SampleShape *shape, uint32_t thread, uint32_t number);

/* ---- single blocks ----------------------------------------------------------------------------- */

void sample_put(AdatWriter *writer, const AdatBlockHeader *header, const void *payload, size_t size);
void sample_put_session(AdatWriter *writer);
void sample_put_process(AdatWriter *writer, uint32_t process, uint32_t pid, uint32_t clock_kind);
void sample_put_thread(AdatWriter *writer, uint32_t thread, uint32_t process, uint32_t tid, const char *name);
void sample_put_clock(AdatWriter *writer, uint64_t tsc, uint64_t monotonic_ns, uint64_t realtime_ns);
void sample_put_descriptors(AdatWriter *writer, uint32_t process);
void sample_put_module(AdatWriter *writer, uint32_t process, uint64_t base, uint64_t size, const char *path);
void sample_put_death(AdatWriter *writer, uint32_t process, uint32_t kind, int32_t code);

/* `summary` NULL = sample_drain(). */
void sample_put_ledger(AdatWriter *writer, uint16_t flags, const AdatDrainSummary *summary,
                       const AdatLedgerEntry *entries, size_t count);
void sample_put_mark(AdatWriter *writer, const AdatMark *mark);

/*
 * For a process 1 with thread 1 and the clock of `shape`, not in the order of time: "by hand" of nothing in
 * particular, 1350 ns after the start; "request.ms>0.5" of the first thread's event 3; "pid 4242" of the process, at
 * 1250 ns.
 */
void sample_put_marks(AdatWriter *writer, const SampleShape *shape);

/* A block of index events; `header` may preset losses and the like, NULL = none. */
void sample_put_index(AdatWriter *writer, uint32_t process, uint32_t thread, uint64_t first_record,
                      const AdaIndexEvent *events, uint32_t count, const AdatBlockHeader *header);

/* A block with one detail record. */
void sample_put_detail(AdatWriter *writer, uint32_t process, uint32_t thread, uint64_t number,
                       const AdaIndexEvent *event, const void *payload, uint32_t payload_bytes);

/* A drain that did well: 77 iterations, Jain's index 0.998, p50 of 12.5 us and so on. */
AdatDrainSummary sample_drain(void);

/* A ledger entry that adds up; of an index lane with 3 visits, 1 skip, 32 bytes for each event, a wait of 2. */
AdatLedgerEntry sample_ledger_entry(uint32_t process, uint32_t thread, uint32_t lane, uint64_t in_file);

/* Fills a payload for SAMPLE_REQUEST and returns its size; `payload` has room for 128 bytes. */
uint32_t sample_request_payload(uint64_t id, uint8_t *payload);

#endif
