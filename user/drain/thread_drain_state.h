/* SPDX-License-Identifier: MIT */
/*
 * One thread as the drain knows it, from its registration to the return of its slot.
 *
 *     REGISTERED ----> PENDING ----> DRAINING ----> ACTIVE <----> (PENDING)
 *                         ^             |              |
 *                         |<--- more ---+              v
 *                         +---------- work ---------- IDLE
 *
 *     any of these, once the thread ended:  DEREGISTERING ----> FINAL ----> DRAINED
 *
 * ACTIVE threads are looked at in every iteration, IDLE ones in turns (or when a hint names them). PENDING
 * is the promise that a visit follows; a thread that stays PENDING for an iteration waits, and that is counted.
 * DRAINED means that all that the thread published is in a batch that was written (or counted as lost), so that
 * its account may be closed and its slot given back.
 *
 * A state belongs to the drain thread, but for what the iterator's header says about arriving and leaving.
 */
#ifndef ADA_DRAIN_THREAD_DRAIN_STATE_H
#define ADA_DRAIN_THREAD_DRAIN_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "user/drain/mark_matcher.h"
#include "user/drain/weight_rule.h"
#include "user/file/adat_account.h"
#include "user/file/adat_recover.h"
#include "user/lane/lane_reader.h"
#include "user/lane/segment.h"

enum thread_drain_phase {
    THREAD_DRAIN_REGISTERED,
    THREAD_DRAIN_ACTIVE,
    THREAD_DRAIN_PENDING,
    THREAD_DRAIN_DRAINING,
    THREAD_DRAIN_IDLE,
    THREAD_DRAIN_DEREGISTERING,
    THREAD_DRAIN_FINAL,
    THREAD_DRAIN_DRAINED,
    THREAD_DRAIN_PHASES,
};

/* The process that a thread belongs to, as far as draining its threads takes it. */
typedef struct DrainSource DrainSource;

/* Records that the thread itself counts as lost. */
typedef AdatLaneLosses LaneLosses;

typedef struct LaneDrain {
    LaneReader reader;
    uint64_t in_file;
    uint64_t dropped_io;
    uint32_t batched;      /* records copied into the batch, not written yet */
    bool tells;            /* `told` is other than `settled`, maybe */
    LaneLosses before;     /* of the thread's counters: in another collector's account, or in another file */
    AdatLaneProgress told; /* how far the account in the file goes, once the batch is there, too */
    AdatLaneProgress settled;  /* the same, of what is in the file: as the lane has it noted */
    AdatLaneProgress proposed; /* of an entry that is on its way into the batch: see thread_drain_tell() */
    uint64_t first_record; /* where the account in this file begins: 0, or where that in another file ended */
    uint64_t consumed_before; /* of reader.consumed: in the files before this one */
    bool has_earlier;
    AdatAccount earlier; /* in those files; nothing is pending */
} LaneDrain;

/* What the thread's visits came to. Waits are in iterations of the drain. */
typedef struct ThreadDrainStats {
    uint64_t visits;
    uint64_t skips; /* visits in vain: the producer held the drain */
    uint64_t bytes; /* taken over, both lanes */
    uint64_t wait_total;
    uint32_t wait_max;
    uint32_t wait; /* the present one */
} ThreadDrainStats;

/* What it came to when metrics were last collected: the window's beginning. */
typedef struct ThreadMeasured {
    uint64_t events;  /* attempted */
    uint64_t details; /* the same, of the detail lane */
    uint64_t settled; /* events that were pending no more: in the file, or lost */
    uint64_t bytes;
    uint64_t drained; /* bytes */
    double average;   /* events a second */
    bool measured;    /* there was such a moment */
    bool scheduled;   /* and the kernel knew of the thread, which had run and waited for a CPU for so long: */
    uint64_t run_ns;
    uint64_t runqueue_ns;
} ThreadMeasured;

typedef struct ThreadDrainState {
    ThreadLaneSet *lanes; /* shared */
    DrainSource *source;
    uint32_t process; /* numbers in the file */
    uint32_t thread;
    uint32_t slot;
    uint32_t generation;
    uint32_t tid;
    uint64_t registered_at;
    char name[ADA_THREAD_NAME_SIZE];
    uint32_t name_version; /* ThreadLaneSet.name_version of `name` */
    uint32_t described;    /* batch epoch in which the THREAD block was written; 0 = never */
    bool producer_gone;    /* the thread ended: nothing more will be published */
    uint32_t last_visits;  /* since it was to be left alone though it may still run */
    bool touched;          /* in the batch's list */
    bool hostile;          /* it holds impossible values: not to be visited any more */
    struct ThreadDrainState *next_touched;
    uint64_t last_record[2]; /* ADA_LANE_*: where its lanes stood then */
    LaneDrain index;
    LaneDrain detail;

    enum thread_drain_phase phase;
    ThreadDrainStats stats;
    uint64_t last_found; /* iteration in which a visit last took something */
    uint32_t place;      /* index in the iterator's list of hot or of cold threads */
    bool hot;
    bool watched; /* since it had nothing for some time: its next record gives a hint */

    /* the scheduler's */
    uint32_t weight;  /* 1..DRAIN_WEIGHT_MAX: its share of the service when there is not enough for all */
    uint64_t budget;  /* bytes that the next visit may take */
    int64_t credit;   /* bytes granted and not used yet; below 0: used ahead */
    int64_t priority; /* higher goes first; of equals, who has the lower turn */
    uint32_t turn;
    uint32_t node; /* NUMA node that its rings are on */

    /* arriving and leaving: see drain_iterator.h */
    struct ThreadDrainState *next_arrival;
    struct ThreadDrainState *next_departure;
    uint32_t leaving; /* enum thread_leaving: written by compare-exchange, once */

    uint64_t told_attempted; /* records of both lanes, in the last ledger entries that are a snapshot */
    uint64_t told_settled;   /* of them not pending */
    uint32_t told_epoch;     /* of the batch that has them */

    uint32_t kernel_index; /* see user/collector/kernel_hints.h; no meaning without it */
    bool ran;              /* the same */

    ThreadMeasured measured; /* see user/metrics/thread_figures.h */

    /* for rules; at the end, as it is large and mostly not looked at */
    bool hit_found;
    MarkHit hit;          /* to be acted upon, if hit_found */
    LanePeek peek;        /* how far rules about fields have looked into the detail lane */
    uint64_t mark_losses; /* events lost so far that leave no hole in the records' numbers */
    MarkThread mark;      /* spans that rules about durations watch */
} ThreadDrainState;

/* Steps into another phase. False, and nothing changes: no such step leads out of the present phase. */
bool thread_drain_move(ThreadDrainState *state, enum thread_drain_phase to);

/* For messages: "idle". */
const char *thread_drain_phase_name(enum thread_drain_phase phase);

/* Notes that the thread had work and an iteration passed without a visit; and that its visit came. */
void thread_drain_waited(ThreadDrainState *state);
void thread_drain_visited(ThreadDrainState *state);

#endif
