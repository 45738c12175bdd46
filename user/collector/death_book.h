/* SPDX-License-Identifier: MIT */
/*
 * The ends of threads: what the drain knows of them (drained, with which account) and what the kernel tells (how, and
 * what they did on their CPUs) brought together, in whichever order the two come.
 *
 * A thread that leaves its slot itself is mostly drained before it ends, so it waits here for the kernel. For those that
 * the kernel never tells of (its record was lost) the wait ends with death_book_give_up(). Belongs to the drain thread.
 */
#ifndef ADA_COLLECTOR_DEATH_BOOK_H
#define ADA_COLLECTOR_DEATH_BOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "user/collector/kernel_events.h"
#include "user/file/adat_format.h"

#define DEATHS_KEPT 4096u

typedef struct DeathBook {
    AdatKernelThread *entries; /* complete, and not in the file yet */
    size_t count;
    size_t capacity;
    AdatKernelThread *waiting; /* drained, and their ends are not told: in the order in which they were drained */
    size_t waiting_count;
    size_t waiting_capacity;
    AdatKernelThread *kept; /* the first ones, for the summary */
    size_t kept_count;
    size_t kept_capacity;
    uint64_t omitted; /* entries, for want of memory */
} DeathBook;

void death_book_fini(DeathBook *book);

/* Adds what the kernel told to an entry. */
void death_book_complete(AdatKernelThread *entry, const KernelEvent *exit);

/* A thread that is done with in every respect. */
void death_book_add(DeathBook *book, const AdatKernelThread *entry);

/* A thread whose end the kernel will tell. */
void death_book_wait(DeathBook *book, const AdatKernelThread *entry);

/*
 * The kernel told of an end in this process (its number in the file). False: no thread waits for it. Ends come in order, so
 * that of two threads with one id the earlier is meant.
 */
bool death_book_tell(DeathBook *book, uint32_t process, const KernelEvent *exit);

/*
 * Whoever waits in this process (0: in any) since before that moment, waits no more: how it ended is not known.
 */
void death_book_give_up(DeathBook *book, uint32_t process, uint64_t before_ns);

/* The first `count` entries are in the file: they are forgotten. */
void death_book_entries_written(DeathBook *book, size_t count);

/*
 * Of the first DEATHS_KEPT threads, that with this number in the file. NULL: it is not among them. Sorts them, once nothing
 * is added any more.
 */
void death_book_sort(DeathBook *book);
const AdatKernelThread *death_book_find(const DeathBook *book, uint32_t thread);

#endif
