/* SPDX-License-Identifier: MIT */
#include "user/drain/thread_drain_account.h"

#include "user/drain/thread_drain_losses.h"
#include "user/lane/test_point.h"

/* ---- the account ------------------------------------------------------------------------------ */

/* Where a lane's positions stand. */
typedef struct LanePosition {
    uint64_t written;  /* records completed */
    uint64_t reserved; /* begun */
} LanePosition;

/*
 * One moment of a lane that is being written: both numbers of the same ring, which was active all the
 * while. Records that handlers put into the next ring amid a swap are seen when the swap is over.
 */
static LanePosition lane_position(const Lane *lane)
{
    LanePosition position = {0};

    for (uint32_t tries = 0; tries < 16; tries++) {
        /* Pairs with the release in lane_swap_active_ring(): grants base_record of that ring. */
        uint32_t active = ada_load_acquire(&lane->active_ring_index);
        const RingControl *ring = &lane->rings[active % ADA_RINGS_MAX];
        uint64_t base = ada_load_acquire(&ring->base_record);
        /* Before `reserved`, which is never behind it. Acquire, only to keep the order of these loads. */
        uint32_t published = ADA_POSITION_RECORDS(ada_load_acquire(&ring->published));
        uint32_t reserved = ADA_POSITION_RECORDS(ada_load_acquire(&ring->reserved));

        position.written = base + published;
        position.reserved = base + (reserved > published ? reserved : published);
        if (ada_load_acquire(&lane->active_ring_index) == active && ada_load_relaxed(&ring->base_record) == base)
            break;
    }
    return position;
}

/* Of this collector, whose account begins where the one before it ended. */
static LanePosition own_position(const LaneDrain *drain, bool final)
{
    const Lane *lane = drain->reader.lane;
    LanePosition position;

    if (final)
        position = (LanePosition){.written = lane_events_written(lane), .reserved = lane_events_reserved(lane)};
    else
        position = lane_position(lane);
    position.written = since(position.written, drain->first_record);
    position.reserved = since(position.reserved, drain->first_record);
    return position;
}

/*
 * What needs no positions. Field by field: a struct that is copied soon after its fields were stored costs 20 ns, as these stores are
 * not forwarded to wider loads.
 */
static void begin_account(const LaneDrain *drain, const LaneLosses *losses, AdatAccount *account)
{
    account->in_file = drain->in_file;
    account->dropped_full = losses->full;
    account->dropped_nested = losses->nested;
    account->dropped_io = drain->dropped_io;
    account->recycled_unmarked = 0;
    account->torn = 0;
    account->pending = 0;
}

/* What an account is for. */
typedef enum AccountUse {
    ACCOUNT_LIVE, /* as much as is known now */
    ACCOUNT_TOLD, /* another collector may go on from it: what lies beyond where we have come to will be in its account */
    ACCOUNT_FINAL, /* the producer is gone, and its lanes are drained */
} AccountUse;

/* `losses` were read before the positions: what is counted as taken back was written before. */
static uint64_t count_gone(const LaneDrain *drain, AccountUse use, const LaneLosses *losses, uint64_t rest)
{
    uint64_t passed = passed_records(drain, drain->reader.next_record);
    uint64_t counted = losses->overwritten + losses->recycled;

    if (use == ACCOUNT_FINAL)
        return rest;
    return minimum(use == ACCOUNT_TOLD || counted < passed ? passed : counted, rest);
}

static void account_by(const ThreadDrainState *state, uint32_t lane_kind, AccountUse use,
                       const LaneLosses *counted, AdatAccount *account)
{
    const LaneDrain *drain = lane_kind == ADA_LANE_INDEX ? &state->index : &state->detail;
    const LaneLosses losses = losses_since(counted, &drain->before);
    LanePosition position = own_position(drain, use == ACCOUNT_FINAL);
    uint64_t rest = since(position.written, consumed_here(drain)); /* completed, but not taken over */
    uint64_t begun = since(position.reserved, position.written);
    uint64_t gone = count_gone(drain, use, &losses, rest);

    begin_account(drain, &losses, account);
    account_gone(state, lane_kind, &losses, gone, account);
    if (use == ACCOUNT_FINAL)
        account->torn = begun;
    else
        account->pending = rest - gone + begun + drain->batched;
    account->attempted = adat_account_sum(account);
}

static LaneDrain *lane_drain(ThreadDrainState *state, uint32_t lane_kind)
{
    return lane_kind == ADA_LANE_INDEX ? &state->index : &state->detail;
}

void thread_drain_account(const ThreadDrainState *state, uint32_t lane_kind, bool final,
                          AdatAccount *account_out)
{
    const LaneLosses counted = counted_losses(state, lane_kind);

    account_by(state, lane_kind, final ? ACCOUNT_FINAL : ACCOUNT_LIVE, &counted, account_out);
}

/* Of payloads that nobody marked most are taken back by the thread: they are no longer pending. */
static void skip_taken_back(ThreadDrainState *state, LaneDrain *drain, const LaneLosses *counted)
{
    const LaneLosses losses = losses_since(counted, &drain->before);

    if (!is_wanted_whole(state, drain->reader.kind) &&
        losses.overwritten + losses.recycled > passed_records(drain, drain->reader.next_record))
        lane_reader_skip_taken_back(&drain->reader, state->producer_gone);
}

void thread_drain_tell(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out)
{
    LaneDrain *drain = lane_drain(state, lane_kind);
    const LaneLosses counted = counted_losses(state, lane_kind);

    skip_taken_back(state, drain, &counted);
    account_by(state, lane_kind, ACCOUNT_TOLD, &counted, account_out);
    drain->proposed = (AdatLaneProgress){.next_record = drain->reader.next_record, .losses = counted};
}

void thread_drain_told(ThreadDrainState *state)
{
    tell_progress(&state->index, &state->index.proposed);
    tell_progress(&state->detail, &state->detail.proposed);
}

/* ---- what the next collector is told ------------------------------------------------------------ */

void thread_drain_settle_lane(Lane *lane, const AdatLaneProgress *progress)
{
    ada_store_relaxed(&lane->settled_records, progress->next_record);
    ADA_TEST_POINT("settle.records");
    ada_store_relaxed(&lane->settled_full, progress->losses.full);
    ADA_TEST_POINT("settle.full");
    ada_store_relaxed(&lane->settled_nested, progress->losses.nested);
    ada_store_relaxed(&lane->settled_overwritten, progress->losses.overwritten);
    ada_store_relaxed(&lane->settled_recycled, progress->losses.recycled);
}

void thread_drain_settle(LaneDrain *drain)
{
    drain->settled = drain->told;
    drain->tells = false;
    thread_drain_settle_lane(drain->reader.lane, &drain->settled);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* A file may say what it likes: no more than there is. */
static uint64_t advance(uint64_t noted, uint64_t in_file, uint64_t most)
{
    return larger(noted, minimum(in_file, most));
}

bool thread_drain_recover(ThreadLaneSet *lanes, uint32_t lane_kind, const AdatLaneProgress *in_file)
{
    Lane *lane = lane_kind == ADA_LANE_INDEX ? &lanes->index : &lanes->detail;
    const ada_metrics_counters_t *counters = &lanes->metrics.lanes[lane_kind].counters;
    const LaneLosses noted = settled_losses(lane);
    uint64_t begun = larger(lane_position(lane).reserved, lane_events_reserved(lane));
    AdatLaneProgress progress;

    if (in_file->next_record > begun)
        return false;
    progress = (AdatLaneProgress){
        .next_record = larger(ada_load_relaxed(&lane->settled_records), in_file->next_record),
        .losses =
            {
                .full = advance(noted.full, in_file->losses.full, ada_load_relaxed(&counters->dropped_full)),
                .nested =
                    advance(noted.nested, in_file->losses.nested, ada_load_relaxed(&counters->dropped_nested)),
                .overwritten = advance(noted.overwritten, in_file->losses.overwritten,
                                       ada_load_relaxed(&counters->overwritten)),
                .recycled =
                    advance(noted.recycled, in_file->losses.recycled, ada_load_relaxed(&counters->recycled)),
            },
    };
    thread_drain_settle_lane(lane, &progress);
    return true;
}

static bool lane_is_settled(const Lane *lane, const ada_metrics_counters_t *counters)
{
    return lane_events_reserved(lane) == ada_load_relaxed(&lane->settled_records) &&
           ada_load_relaxed(&counters->dropped_full) == ada_load_relaxed(&lane->settled_full) &&
           ada_load_relaxed(&counters->dropped_nested) == ada_load_relaxed(&lane->settled_nested);
}

bool thread_drain_is_settled(const ThreadLaneSet *lanes)
{
    return lane_is_settled(&lanes->index, &lanes->metrics.lanes[ADA_LANE_INDEX].counters) &&
           lane_is_settled(&lanes->detail, &lanes->metrics.lanes[ADA_LANE_DETAIL].counters);
}

/* ---- leaving a thread ---------------------------------------------------------------------------- */

void thread_drain_note_end(ThreadDrainState *state)
{
    state->last_record[ADA_LANE_INDEX] = lane_position(&state->lanes->index).written;
    state->last_record[ADA_LANE_DETAIL] = lane_position(&state->lanes->detail).written;
}

/* The account up to the last record that was taken over, or passed. */
static void close_account(ThreadDrainState *state, LaneDrain *drain, AdatAccount *account_out)
{
    uint32_t kind = drain->reader.kind;
    const AdatLaneProgress progress = {
        .next_record = drain->reader.next_record,
        .losses = counted_losses(state, kind), /* after the position: what was taken back below it is counted */
    };
    LaneLosses losses;

    tell_progress(drain, &progress);
    losses = losses_since(&drain->told.losses, &drain->before);
    begin_account(drain, &losses, account_out);
    account_gone(state, kind, &losses, passed_records(drain, drain->reader.next_record), account_out);
    account_out->attempted = adat_account_sum(account_out);
}

void thread_drain_leave(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out)
{
    LaneDrain *drain = lane_drain(state, lane_kind);
    LaneReader *reader = &drain->reader;

    /* Payloads that nobody marked are in the account, as those that were recycled are, and no longer wanted. */
    if (!is_wanted_whole(state, lane_kind)) {
        uint64_t written = lane_position(reader->lane).written;

        if ((int64_t)(written - reader->next_record) > 0)
            reader->next_record = written;
    }
    close_account(state, drain, account_out);
}

void thread_drain_end(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out)
{
    LaneDrain *drain = lane_drain(state, lane_kind);
    AdatLaneProgress progress = {.losses = counted_losses(state, lane_kind)};

    account_by(state, lane_kind, ACCOUNT_FINAL, &progress.losses, account_out);
    progress.next_record = lane_events_reserved(drain->reader.lane); /* what was begun is in the account, too */
    tell_progress(drain, &progress);
}

/* ---- another file --------------------------------------------------------------------------------- */

void thread_drain_next_file(ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account_out)
{
    LaneDrain *drain = lane_drain(state, lane_kind);
    const LaneLosses counted = counted_losses(state, lane_kind);

    skip_taken_back(state, drain, &counted);
    close_account(state, drain, account_out);
    adat_account_add(&drain->earlier, account_out);
    drain->has_earlier = true;
    drain->first_record = drain->reader.next_record;
    drain->consumed_before = drain->reader.consumed;
    drain->before = drain->told.losses;
    drain->in_file = 0;
    drain->dropped_io = 0;
}

void thread_drain_add_earlier(const ThreadDrainState *state, uint32_t lane_kind, AdatAccount *account)
{
    const LaneDrain *drain = lane_kind == ADA_LANE_INDEX ? &state->index : &state->detail;

    if (drain->has_earlier)
        adat_account_add(account, &drain->earlier);
}
