/* SPDX-License-Identifier: MIT */
/*
 * What the recorder last saw of lanes that it never closed, because it was killed: entries of ledgers that are
 * snapshots. Of each lane the last one counts, and where blocks know more, the blocks.
 */
#include <errno.h>
#include <stdlib.h>

#include "user/base/array.h"
#include "user/reader/reader.h"

#define KEPT_LEAST 4096u

static int compare_looks(const void *a, const void *b)
{
    const LastLook *x = a, *y = b;

    if (x->entry.thread != y->entry.thread)
        return x->entry.thread < y->entry.thread ? -1 : 1;
    if (x->entry.lane != y->entry.lane)
        return x->entry.lane < y->entry.lane ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static void keep_last(AdatReader *reader)
{
    LastLook *items = reader->looks.items;
    size_t kept = 0;

    if (reader->looks.count > 1)
        qsort(items, reader->looks.count, sizeof(items[0]), compare_looks);
    for (size_t i = 0; i < reader->looks.count; i++) {
        if (kept > 0 && items[kept - 1].entry.thread == items[i].entry.thread &&
            items[kept - 1].entry.lane == items[i].entry.lane)
            kept--;
        items[kept++] = items[i];
    }
    reader->looks.count = kept;
}

/* A long recording has many: those that are outdated go whenever their number has doubled. */
int last_look_add(AdatReader *reader, const AdatLedgerEntry *entry)
{
    if (reader->looks.count >= reader->looks_limit) {
        keep_last(reader);
        reader->looks_limit = 2 * reader->looks.count > KEPT_LEAST ? 2 * reader->looks.count : KEPT_LEAST;
    }
    if (array_reserve_one(&reader->looks.items, &reader->looks.capacity, reader->looks.count,
                          sizeof(LastLook)) != 0)
        return -ENOMEM;
    reader->looks.items[reader->looks.count++] = (LastLook){.entry = *entry, .order = reader->looks_seen++};
    return 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* `account`: what the blocks say. What was pending then and is not in the blocks was lost with the recorder. */
static void merge(AdatAccount *account, const AdatAccount *seen)
{
    account->dropped_full = larger(account->dropped_full, seen->dropped_full);
    account->dropped_nested = larger(account->dropped_nested, seen->dropped_nested);
    account->dropped_io = larger(account->dropped_io, seen->dropped_io);
    account->recycled_unmarked = larger(account->recycled_unmarked, seen->recycled_unmarked);
    account->attempted = larger(adat_account_sum(account), seen->attempted);
    account->pending += account->attempted - adat_account_sum(account);
}

void last_look_apply(AdatReader *reader)
{
    keep_last(reader);
    for (size_t i = 0; i < reader->looks.count; i++) {
        const AdatLedgerEntry *entry = &reader->looks.items[i].entry;
        const AdatAccount seen = adat_account_of(entry);
        ThreadEntry *thread = reader_find_thread(reader, entry->thread);

        if (!thread || thread->info.accounted || entry->lane > ADA_LANE_DETAIL)
            continue;
        merge(entry->lane == ADA_LANE_INDEX ? &thread->info.events : &thread->info.detail, &seen);
        thread->info.observed = true;
    }
    free(reader->looks.items);
    reader->looks.items = NULL;
    reader->looks.count = reader->looks.capacity = 0;
}
