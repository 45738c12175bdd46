/* SPDX-License-Identifier: MIT */
/*
 * Finds the events of one traced process that its user's rules (user/drain/mark_rule.h) mean, in what the
 * drain has copied out of the lanes.
 *
 *     mark_matcher_create(&rules, &matcher)
 *     mark_matcher_learn()          each event descriptor, before the events that follow it are scanned
 *     mark_matcher_scan_index()     each copy of index events, in the order of the lane
 *     mark_matcher_scan_details()   each copy of detail records, if mark_matcher_wants_details()
 *
 * A matcher belongs to the drain thread, and refers to the rules: they must outlive it and not change
 * meanwhile. A MarkThread is what is known of one thread's open spans; memory is the caller's. Scanning
 * allocates nothing. All copies are private, but what is in them is the process's: hostile content
 * makes hits wrong and nothing else.
 *
 * What a rule means
 *     event   beginnings of spans, instants, counters, typed events and marks of that name
 *     span    its end, if the span lasted so long; begin and end are the same span when they have the
 *             same name (they may have different ids: each call site has its own) and depth
 *     field   detail records of an event that has that field, if the field is a number and so is the
 *             value, or if it is text. All numbers compare exactly whatever their types, and NaN is
 *             but != to everything. A field that the payload has no room for is not compared.
 *
 * Spans and losses. A begin whose end was lost must not be taken for the begin of a later span of that name:
 *   - a record at a span's depth, or less deep, that is not its end proves it over
 *   - a hole in the numbers of the records (rings taken back under `overwrite`) ends all
 *   - other losses leave no hole, and the records before and behind may look like one span: the caller
 *     says that there was one (mark_thread_lost()), and no span is judged that began before
 * So a span in which events were lost is missed rather than made up. Also missed are spans nested in
 * MARK_SPANS_MAX open spans that have rules, spans at depth 65,535 and beyond, and one whose end was
 * interrupted by a tracing signal handler within the few instructions before its record was begun.
 */
#ifndef ADA_DRAIN_MARK_MATCHER_H
#define ADA_DRAIN_MARK_MATCHER_H

#include "user/drain/mark_rule.h"

typedef struct MarkMatcher MarkMatcher;

/* Open spans with rules that are remembered of one thread: only those count, whatever their depth. */
#define MARK_SPANS_MAX 64u

/* An open span. */
typedef struct MarkSpan {
    uint64_t begun_at; /* in ticks */
    uint16_t depth;
    uint8_t subject; /* number of its name in the matcher, 1.. */
} MarkSpan;

typedef struct MarkThread {
    uint64_t next_record; /* number of the record that should be scanned next */
    uint64_t judged_from; /* in ticks: spans that began before are not judged */
    uint32_t open_count;
    uint32_t open_depth;           /* one more than the depth of the last open span; 0 = none is open */
    MarkSpan open[MARK_SPANS_MAX]; /* of strictly increasing depth */
} MarkThread;

/* The first event of a scan that a rule means. */
typedef struct MarkHit {
    uint32_t rule;      /* index in MarkRules; of several rules the first */
    uint64_t timestamp; /* of the event, in ticks; of a span's end */
    uint64_t record;    /* its number within the lane that was scanned */
} MarkHit;

/* 0, -ENOMEM. */
int mark_matcher_create(const MarkRules *rules, MarkMatcher **matcher_out);

/* NULL is allowed. */
void mark_matcher_destroy(MarkMatcher *matcher);

/*
 * Notes which rules concern the event; from now on its records are looked at. `descriptor` is a private copy
 * whose names are NUL-terminated and whose field_count is at most ADA_EVENT_FIELDS_MAX; it is not referred
 * to later. Ignored are ids that are not in 1..ADA_EVENTS_MAX, and those that a rule concerns already. 0;
 * -ENOMEM: nothing was noted.
 */
int mark_matcher_learn(MarkMatcher *matcher, const AdaEventDescriptor *descriptor);

/* Whether a field rule concerns a learned event: else no detail record needs to be scanned. */
bool mark_matcher_wants_details(const MarkMatcher *matcher);

/* Whether an event or span rule concerns a learned event: else scanning the index finds nothing, at once. */
bool mark_matcher_wants_index(const MarkMatcher *matcher);

/* How long a tick of the process's clock is. As long as it is not known to be above 0, no span is judged. */
void mark_matcher_set_rate(MarkMatcher *matcher, double ns_per_tick);

/*
 * Begins a thread without open spans: when it is first seen, and again when its recording goes on after its
 * gate was shut, because what happened meanwhile left no records.
 */
void mark_thread_init(MarkThread *thread);

/*
 * Events of the thread's index lane were lost without leaving a hole: its counters dropped_full or
 * dropped_nested have moved. Read them when a chunk was found (its acquire grants the counts of what was lost
 * before its last record) and call this before the chunk is scanned. `now` is the process's clock, in
 * ticks, read after the counters: what they count was lost before.
 */
void mark_thread_lost(MarkThread *thread, uint64_t now);

/*
 * Walks `events`, AdaIndexEvent[count] at any alignment, of which the first has the number `first_record`.
 * True: a rule means one of them, and *hit_out is the first such; false: *hit_out is untouched. The chunks of
 * a lane are to be scanned in order, each once; where one is missing the open spans are forgotten.
 */
bool mark_matcher_scan_index(const MarkMatcher *matcher, MarkThread *thread, const void *events,
                             uint32_t count, uint64_t first_record, MarkHit *hit_out);

/*
 * The same for `bytes` of detail records (AdaDetailRecord and payload, padded to 8), up to the first hit. A
 * record that is cut short, or whose size is impossible, ends the scan. Each record stands alone, so
 * there is no state of the thread.
 */
bool mark_matcher_scan_details(const MarkMatcher *matcher, const void *records, size_t bytes,
                               uint64_t first_record, MarkHit *hit_out);

#endif
