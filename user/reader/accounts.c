/* SPDX-License-Identifier: MIT */
/*
 * What became of the events of each lane. Each file has its own account of what happened while it was written: the ledger's, or,
 * where that is missing, what blocks and snapshots say. The accounts of a recording's files add up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"
#include "user/reader/reader.h"

#define COMPARE(a, b) ((a) < (b) ? -1 : (a) > (b))

static int compare_sums(const void *a, const void *b)
{
    const LaneSum *x = a, *y = b;
    int order = COMPARE(x->thread, y->thread);

    return order ? order : COMPARE(x->lane, y->lane);
}

static int compare_unregistered(const void *a, const void *b)
{
    const UnregisteredSum *x = a, *y = b;

    return COMPARE(x->process, y->process);
}

/* ---- one file --------------------------------------------------------------------------------- */

static int add_sum(AdatReader *reader, const LaneSum *sum)
{
    if (array_reserve_one(&reader->sums.items, &reader->sums.capacity, reader->sums.count, sizeof(*sum)))
        return -ENOMEM;
    reader->sums.items[reader->sums.count++] = *sum;
    return 0;
}

/*
 * What the blocks themselves say: records that are there, and the losses that the lane's last block
 * knew of. All there is when the recorder was killed.
 */
static AdatAccount count_lane(const AdatReader *reader, const BlockRef *blocks, size_t count)
{
    BlockLosses last = reader_losses(reader, &blocks[count - 1]);
    AdatAccount account = {
        .dropped_full = last.dropped_full,
        .dropped_nested = last.dropped_nested,
        .dropped_io = last.dropped_io,
        .recycled_unmarked = last.recycled,
    };

    for (size_t i = 0; i < count; i++)
        account.in_file += blocks[i].record_count;
    account.attempted = adat_account_sum(&account);
    return account;
}

/* One sum for each lane that has blocks. */
static int count_blocks(AdatReader *reader, size_t first_block)
{
    size_t end, count = reader->blocks.count - first_block;
    BlockRef *blocks;

    if (count == 0)
        return 0; /* the table may not be there */
    blocks = &reader->blocks.items[first_block];
    sort_blocks(blocks, count);
    for (size_t i = 0; i < count; i = end) {
        LaneSum sum = {.thread = blocks[i].thread, .lane = blocks[i].lane};

        for (end = i + 1; end < count; end++)
            if (blocks[end].thread != sum.thread || blocks[end].lane != sum.lane)
                break;
        sum.account = count_lane(reader, blocks + i, end - i);
        if (add_sum(reader, &sum))
            return -ENOMEM;
    }
    return 0;
}

/* The sum of a lane among those of this file, which begin at `first` and of which `count` are sorted; a new one if it has none. */
static int find_sum(AdatReader *reader, size_t first, size_t count, const AdatLedgerEntry *entry,
                    LaneSum **sum_out)
{
    const LaneSum wanted = {.thread = entry->thread, .lane = entry->lane};

    *sum_out =
        count > 0 ? bsearch(&wanted, &reader->sums.items[first], count, sizeof(wanted), compare_sums) : NULL;
    if (*sum_out)
        return 0;
    if (add_sum(reader, &wanted))
        return -ENOMEM;
    *sum_out = &reader->sums.items[reader->sums.count - 1];
    return 0;
}

static size_t sort_sums(const AdatReader *reader, size_t first)
{
    size_t count = reader->sums.count - first;

    if (count > 1)
        qsort(&reader->sums.items[first], count, sizeof(LaneSum), compare_sums);
    return count;
}

static int apply_looks(AdatReader *reader, size_t first)
{
    size_t count = sort_sums(reader, first);
    LaneSum *sum;

    last_look_sort(reader);
    for (size_t i = 0; i < reader->looks.count; i++) {
        const AdatLedgerEntry *entry = &reader->looks.items[i].entry;

        if (entry->thread == 0 || entry->lane > ADA_LANE_DETAIL)
            continue;
        if (find_sum(reader, first, count, entry, &sum))
            return -ENOMEM;
        last_look_merge(&sum->account, entry);
        sum->observed = true;
    }
    reader->looks.count = 0;
    return 0;
}

static int add_unregistered(AdatReader *reader, const AdatLedgerEntry *entry)
{
    UnregisteredSum sum = {.process = entry->process, .account = adat_account_of(entry)};

    if (array_reserve_one(&reader->unregistered.items, &reader->unregistered.capacity,
                          reader->unregistered.count, sizeof(sum)))
        return -ENOMEM;
    reader->unregistered.items[reader->unregistered.count++] = sum;
    return 0;
}

/* Entries are exact, even if there is no final ledger: their lanes were done with. Of a lane that has several the last counts. */
static int apply_ledger(AdatReader *reader, size_t first)
{
    size_t count = sort_sums(reader, first);
    LaneSum *sum = NULL;

    if (reader->ledger.count > 1)
        qsort(reader->ledger.items, reader->ledger.count, sizeof(LedgerNote), ledger_note_compare);
    for (size_t i = 0; i < reader->ledger.count; i++) {
        const AdatLedgerEntry *entry = &reader->ledger.items[i].entry;
        int error = 0;

        if (entry->thread == 0) {
            if (add_unregistered(reader, entry))
                return -ENOMEM;
            continue;
        }
        if (entry->lane > ADA_LANE_DETAIL)
            continue;
        if (!sum || sum->thread != entry->thread || sum->lane != entry->lane)
            error = find_sum(reader, first, count, entry, &sum);
        if (error)
            return error;
        sum->account = adat_account_of(entry);
        sum->accounted = true;
        sum->observed = false;
        sum->drain = (AdatThreadDrain){
            .visits = entry->visits,
            .skips = entry->skips,
            .bytes = entry->bytes,
            .wait_total = entry->wait_total,
            .wait_max = entry->wait_max,
        };
    }
    reader->ledger.count = 0;
    return 0;
}

int accounts_settle_file(AdatReader *reader, ReaderFile *file, size_t first_block)
{
    size_t first = reader->sums.count, first_unregistered = reader->unregistered.count;
    int error = count_blocks(reader, first_block);

    if (!error)
        error = apply_looks(reader, first);
    if (!error)
        error = apply_ledger(reader, first);
    if (error) {
        reader->sums.count = first;
        reader->unregistered.count = first_unregistered;
        return error;
    }
    for (size_t i = first; i < reader->sums.count; i++) {
        const LaneSum *sum = &reader->sums.items[i];

        adat_account_add(sum->lane == ADA_LANE_INDEX ? &file->events : &file->detail, &sum->account);
    }
    for (size_t i = first_unregistered; i < reader->unregistered.count; i++)
        adat_account_add(&file->events, &reader->unregistered.items[i].account);
    return 0;
}

/* ---- all files -------------------------------------------------------------------------------- */

static void add_up(LaneSum *total, const LaneSum *sum)
{
    adat_account_add(&total->account, &sum->account);
    total->drain.visits += sum->drain.visits;
    total->drain.skips += sum->drain.skips;
    total->drain.bytes += sum->drain.bytes;
    total->drain.wait_total += sum->drain.wait_total;
    if (sum->drain.wait_max > total->drain.wait_max)
        total->drain.wait_max = sum->drain.wait_max;
    total->accounted = total->accounted && sum->accounted;
    total->observed = total->observed || sum->observed;
}

void accounts_pack(AdatReader *reader)
{
    LaneSum *sums = reader->sums.items;
    UnregisteredSum *unregistered = reader->unregistered.items;
    size_t kept = 0;

    (void)sort_sums(reader, 0);
    for (size_t i = 0; i < reader->sums.count; i++) {
        if (kept > 0 && compare_sums(&sums[kept - 1], &sums[i]) == 0)
            add_up(&sums[kept - 1], &sums[i]);
        else
            sums[kept++] = sums[i];
    }
    reader->sums.count = kept;

    if (reader->unregistered.count > 1)
        qsort(unregistered, reader->unregistered.count, sizeof(*unregistered), compare_unregistered);
    kept = 0;
    for (size_t i = 0; i < reader->unregistered.count; i++) {
        if (kept > 0 && unregistered[kept - 1].process == unregistered[i].process)
            adat_account_add(&unregistered[kept - 1].account, &unregistered[i].account);
        else
            unregistered[kept++] = unregistered[i];
    }
    reader->unregistered.count = kept;
}

void accounts_apply(AdatReader *reader)
{
    accounts_pack(reader);
    for (size_t i = 0; i < reader->sums.count; i++) {
        const LaneSum *sum = &reader->sums.items[i];
        ThreadEntry *thread = reader_find_thread(reader, sum->thread);

        if (!thread)
            continue;
        if (sum->lane == ADA_LANE_DETAIL) {
            thread->info.detail = sum->account;
        } else {
            thread->info.events = sum->account;
            thread->info.accounted = sum->accounted;
            thread->info.drain = sum->drain;
        }
        thread->info.observed = thread->info.observed || sum->observed;
    }
    for (size_t i = 0; i < reader->unregistered.count; i++) {
        ptrdiff_t process = reader_find_process(reader, reader->unregistered.items[i].process);

        if (process >= 0)
            reader->processes.items[process].info.unregistered = reader->unregistered.items[i].account;
    }
    free(reader->sums.items);
    free(reader->unregistered.items);
    reader->sums.items = NULL;
    reader->unregistered.items = NULL;
    reader->sums.count = reader->sums.capacity = reader->unregistered.count = reader->unregistered.capacity = 0;
}
