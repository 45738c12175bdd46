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

int ledger_note_compare(const void *a, const void *b)
{
    const LedgerNote *x = a, *y = b;

    if (x->entry.thread != y->entry.thread)
        return x->entry.thread < y->entry.thread ? -1 : 1;
    if (x->entry.lane != y->entry.lane)
        return x->entry.lane < y->entry.lane ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

void last_look_sort(AdatReader *reader)
{
    LedgerNote *items = reader->looks.items;
    size_t kept = 0;

    if (reader->looks.count > 1)
        qsort(items, reader->looks.count, sizeof(items[0]), ledger_note_compare);
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
        last_look_sort(reader);
        reader->looks_limit = 2 * reader->looks.count > KEPT_LEAST ? 2 * reader->looks.count : KEPT_LEAST;
    }
    if (array_reserve_one(&reader->looks.items, &reader->looks.capacity, reader->looks.count,
                          sizeof(LedgerNote)) != 0)
        return -ENOMEM;
    reader->looks.items[reader->looks.count++] = (LedgerNote){.entry = *entry, .order = reader->looks_seen++};
    return 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What was pending then and is not in the blocks was lost with the recorder. */
void last_look_merge(AdatAccount *account, const AdatLedgerEntry *seen)
{
    account->dropped_full = larger(account->dropped_full, seen->dropped_full);
    account->dropped_nested = larger(account->dropped_nested, seen->dropped_nested);
    account->dropped_io = larger(account->dropped_io, seen->dropped_io);
    account->recycled_unmarked = larger(account->recycled_unmarked, seen->recycled_unmarked);
    account->attempted = larger(adat_account_sum(account), seen->attempted);
    account->pending += account->attempted - adat_account_sum(account);
}
