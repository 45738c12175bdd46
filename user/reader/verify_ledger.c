/* SPDX-License-Identifier: MIT */
/* Ledgers against what the blocks before them have: a lane's account is closed once, behind its last block. */
#include <inttypes.h>
#include <string.h>

#include "user/reader/verify.h"

static void check_ledger_lane(Check *check, const AdatLedgerEntry *entry, LaneCheck *lane)
{
    const char *name = verify_lane_name(entry->lane);
    uint64_t explained = entry->dropped_full + entry->dropped_io + entry->recycled_unmarked + entry->torn;

    if (lane->in_ledger)
        verify_problem(check, "thread %u, %s lane: in the ledger twice", entry->thread, name);
    lane->in_ledger = true;
    if (entry->in_file != lane->records)
        verify_problem(check, "thread %u, %s lane: the ledger says %" PRIu64 " records, the file has %" PRIu64,
                       entry->thread, name, entry->in_file, lane->records);
    if (lane->holes > explained)
        verify_problem(check,
                       "thread %u, %s lane: %" PRIu64 " records are missing, the ledger explains %" PRIu64,
                       entry->thread, name, lane->holes, explained);
    if (entry->dropped_full < lane->dropped_full || entry->dropped_nested < lane->dropped_nested ||
        entry->dropped_io < lane->dropped_io || entry->recycled_unmarked < lane->recycled)
        verify_problem(check, "thread %u, %s lane: the ledger has fewer losses than the blocks",
                       entry->thread, name);
}

/* Events of threads that got no slot: they can only be lost. */
static void check_ledger_unregistered(Check *check, const AdatLedgerEntry *entry)
{
    ptrdiff_t process = reader_find_process(check->reader, entry->process);
    bool *in_ledger;

    if (process < 0) {
        verify_problem(check, "the ledger names process %u, which is not in the file", entry->process);
        return;
    }
    in_ledger = &check->unregistered[(size_t)process * LANES + entry->lane];
    if (*in_ledger)
        verify_problem(check, "process %u, events of no thread, %s lane: in the ledger twice", entry->process,
                       verify_lane_name(entry->lane));
    *in_ledger = true;
    if (entry->in_file != 0)
        verify_problem(check, "the ledger says %" PRIu64 " events of no thread are in the file",
                       entry->in_file);
}

static void check_ledger_entry(Check *check, const AdatLedgerEntry *entry)
{
    const ThreadEntry *thread = reader_find_thread(check->reader, entry->thread);
    const AdatAccount account = adat_account_of(entry);

    if (entry->attempted != adat_account_sum(&account))
        verify_problem(check, "thread %u of process %u: %" PRIu64 " attempted, but %" PRIu64 " accounted for",
                       entry->thread, entry->process, entry->attempted, adat_account_sum(&account));
    if (entry->pending != 0)
        verify_problem(check, "thread %u: the ledger says that it is done with, and %" PRIu64 " are pending",
                       entry->thread, entry->pending);
    if (entry->lane >= LANES)
        verify_problem(check, "thread %u: the ledger names lane %u", entry->thread, entry->lane);
    else if (entry->thread == 0)
        check_ledger_unregistered(check, entry);
    else if (!thread || thread->info.thread.process != entry->process)
        verify_problem(check, "the ledger names thread %u of process %u, which is not in the file",
                       entry->thread, entry->process);
    else
        check_ledger_lane(check, entry, verify_lane(check, thread, entry->lane));
}

void verify_ledger(Check *check, const Block *block)
{
    const AdatBlockHeader *header = block->header;
    AdatDrainSummary summary;
    AdatLedgerEntry entry;

    if (header->payload_bytes < sizeof(summary))
        return; /* reported as of wrong size */
    memcpy(&summary, block->payload, sizeof(summary));
    if (!memchr(summary.scheduler, '\0', sizeof(summary.scheduler)))
        verify_problem(check, "the name of the scheduler does not end");
    if (!(header->flags & (ADAT_FLAG_CLOSED | ADAT_FLAG_FINAL)))
        return; /* a snapshot: what it says of lanes has changed since */
    if (check->final_ledger)
        verify_problem(check, "a ledger after the final one");
    if (header->flags & ADAT_FLAG_FINAL)
        check->final_ledger = true;
    for (size_t at = sizeof(summary); header->payload_bytes - at >= sizeof(entry); at += sizeof(entry)) {
        memcpy(&entry, block->payload + at, sizeof(entry));
        check_ledger_entry(check, &entry);
    }
}

/* A lane's account is closed once: all that the file has of it has come before. */
void verify_ledgers_end(Check *check)
{
    const AdatReader *reader = check->reader;

    if (!check->final_ledger) {
        if (reader->info.closed)
            verify_problem(check, "closed, but without a final ledger");
        return;
    }
    for (size_t i = 0; i < reader->threads.count * LANES; i++)
        if (check->lanes[i].records > 0 && !check->lanes[i].in_ledger)
            verify_problem(check, "thread %u, %s lane: not in the ledger",
                           reader->threads.items[i / LANES].info.thread.thread,
                           verify_lane_name((uint32_t)(i % LANES)));
}
