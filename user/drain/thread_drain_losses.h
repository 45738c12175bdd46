/* SPDX-License-Identifier: MIT */
/*
 * What a thread's lanes lost, and what is gone of them untaken: for taking records (thread_drain.c), whose blocks say it, and for the
 * account (thread_drain_account.c). For these two files only. Inline, as it is on the way of each block.
 */
#ifndef ADA_DRAIN_THREAD_DRAIN_LOSSES_H
#define ADA_DRAIN_THREAD_DRAIN_LOSSES_H

#include "user/drain/thread_drain.h"
#include "user/file/adat_account.h"

/* What the account of the collector before us has. */
static inline LaneLosses settled_losses(const Lane *lane)
{
    return (LaneLosses){
        .full = ada_load_relaxed(&lane->settled_full),
        .nested = ada_load_relaxed(&lane->settled_nested),
        .overwritten = ada_load_relaxed(&lane->settled_overwritten),
        .recycled = ada_load_relaxed(&lane->settled_recycled),
    };
}

/* The thread's counters. Acquire pairs with metrics_increment_dropped(): what is counted as taken back was written before. */
static inline LaneLosses counted_losses(const ThreadDrainState *state, uint32_t lane_kind)
{
    const ada_metrics_counters_t *counters = &state->lanes->metrics.lanes[lane_kind].counters;

    return (LaneLosses){
        .full = ada_load_acquire(&counters->dropped_full),
        .nested = ada_load_acquire(&counters->dropped_nested),
        .overwritten = ada_load_acquire(&counters->overwritten),
        .recycled = ada_load_acquire(&counters->recycled),
    };
}

static inline uint64_t since(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static inline uint64_t minimum(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline LaneLosses losses_since(const LaneLosses *now, const LaneLosses *before)
{
    return (LaneLosses){
        .full = since(now->full, before->full),
        .nested = since(now->nested, before->nested),
        .overwritten = since(now->overwritten, before->overwritten),
        .recycled = since(now->recycled, before->recycled),
    };
}

/* The account in the file goes up to here once the batch is written. */
static inline void tell_progress(LaneDrain *drain, const AdatLaneProgress *progress)
{
    drain->told = *progress;
    drain->tells = true;
}

/* False: payloads that nobody marked are left out. */
static inline bool is_wanted_whole(const ThreadDrainState *state, uint32_t lane_kind)
{
    return lane_kind == ADA_LANE_INDEX ||
           ada_load_relaxed(&state->source->segment->header->detail) == ADA_DETAIL_ALWAYS;
}

/* Records taken over into this file. */
static inline uint64_t consumed_here(const LaneDrain *drain)
{
    return drain->reader.consumed - drain->consumed_before;
}

/* Records that are gone without having been taken over, below the first that was not passed. */
static inline uint64_t passed_records(const LaneDrain *drain, uint64_t next_record)
{
    return since(next_record - drain->first_record, consumed_here(drain));
}

/*
 * Splits `gone`, records that were completed and are gone without having been taken over. The producer counts when it takes a
 * ring back, but may be killed between counting and taking; and it leaves out what a collector had taken over that was killed
 * before it wrote: the difference of positions is what is exact.
 */
static inline void account_gone(const ThreadDrainState *state, uint32_t lane_kind, const LaneLosses *losses,
                                uint64_t gone, AdatAccount *account)
{
    uint64_t overwritten = is_wanted_whole(state, lane_kind) ? gone : minimum(losses->overwritten, gone);

    account->dropped_full += overwritten;
    account->recycled_unmarked = gone - overwritten;
}

#endif
