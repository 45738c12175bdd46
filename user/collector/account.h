/* SPDX-License-Identifier: MIT */
/*
 * The accounts of threads and processes that are done with.
 *
 * However many come and go, memory stays bounded: sums are kept of all, details of the first
 * ACCOUNTS_KEPT for the summary, and ledger entries until they are in the file.
 */
#ifndef ADA_COLLECTOR_ACCOUNT_H
#define ADA_COLLECTOR_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "user/drain/drain_metrics.h"
#include "user/drain/thread_drain.h"
#include "user/file/adat_account.h"

#define ACCOUNTS_KEPT 4096u

/* One thread's closed account, over all files of the recording. */
typedef struct ThreadAccount {
    uint32_t pid;
    uint32_t tid; /* 0: events of threads that got no slot */
    char name[16];
    uint32_t weight; /* 0: weights were not given */
    AdatLedgerEntry index;
    AdatLedgerEntry detail;
} ThreadAccount;

/* One process that is done with. */
typedef struct ProcessAccount {
    uint32_t pid;
    uint32_t end; /* ADAT_DEATH_* */
    int32_t code;
    uint32_t threads;
} ProcessAccount;

/* What a ledger that is a snapshot tells: of each thread its index lane, then its detail lane. */
typedef struct LedgerEntries {
    AdatLedgerEntry *items;
    size_t count;
    size_t capacity;
    ThreadDrainState **threads;
    size_t thread_count;
    size_t thread_capacity;
} LedgerEntries;

typedef struct AccountBook {
    AdatAccount index; /* sums over all threads */
    AdatAccount detail;
    JainIndex jain; /* over drained / offered of their index lanes */

    ThreadAccount *threads; /* the first ones */
    size_t thread_count;
    size_t thread_capacity;
    uint64_t threads_omitted;

    ProcessAccount *processes; /* the first ones, in the order of their ends */
    size_t process_count;
    size_t process_capacity;
    uint64_t processes_omitted;

    AdatLedgerEntry *entries; /* not in the file yet */
    uint64_t entries_added;   /* ever */
    bool entries_urgent;      /* somebody waits for them to be in the file, and they are not in the batch */
    size_t entry_count;
    size_t entry_capacity;

    ThreadDescription *undescribed; /* threads of such entries whose THREAD block may have been lost: to be written with them */
    size_t undescribed_count;
    size_t undescribed_capacity;
} AccountBook;

/* Entries of a thread, ADA_LANE_*, for the ledger of the present file. 0; -ENOMEM: nothing was noted. */
int account_book_add_entries(AccountBook *book, const AdatLedgerEntry entries[2]);

/* A thread that is done with: its account, and the entries. 0; -ENOMEM: nothing was noted. */
int account_book_add_thread(AccountBook *book, const ThreadAccount *account, const AdatLedgerEntry entries[2]);

/* The thread's description must go with its entries. -ENOMEM: it goes without, and `verify` will miss it. */
int account_book_add_undescribed(AccountBook *book, const ThreadDescription *thread);

/* Without memory the list for the summary is shorter, and the process is counted as omitted. */
void account_book_add_process(AccountBook *book, const ProcessAccount *account);

/* The first `count` entries, and the first `described` of undescribed, are in the file: they are forgotten. */
void account_book_entries_written(AccountBook *book, size_t count, size_t described);

void account_book_fini(AccountBook *book);

#endif
