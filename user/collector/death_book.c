/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/death_book.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "user/base/array.h"

void death_book_fini(DeathBook *book)
{
    free(book->entries);
    free(book->waiting);
    free(book->kept);
    *book = (DeathBook){0};
}

void death_book_complete(AdatKernelThread *entry, const KernelEvent *exit)
{
    const AdaKernelThread *thread = &exit->thread;
    int status = exit->record.exit_code;

    entry->kind = WIFSIGNALED(status) ? ADAT_DEATH_SIGNAL : ADAT_DEATH_EXIT;
    entry->code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    entry->started_ns = exit->record.start_ns;
    entry->ended_ns = exit->record.time_ns;
    if (thread->generation == 0)
        return;
    entry->flags |= ADAT_KERNEL_CONTEXT;
    entry->last_cpu = thread->last_cpu;
    entry->run_ns = thread->run_ns;
    entry->runqueue_ns = thread->runqueue_ns;
    entry->preempted_ns = thread->preempted_ns;
    entry->sleep_ns = thread->sleep_ns;
    entry->blocked_ns = thread->blocked_ns;
    entry->switches_voluntary = thread->switches_voluntary;
    entry->switches_involuntary = thread->switches_involuntary;
    entry->migrations = thread->migrations;
    entry->wakeups = thread->wakeups;
}

void death_book_add(DeathBook *book, const AdatKernelThread *entry)
{
    if (array_reserve_one(&book->entries, &book->capacity, book->count, sizeof(*entry)) != 0)
        book->omitted++;
    else
        book->entries[book->count++] = *entry;
    if (book->kept_count < DEATHS_KEPT &&
        array_reserve_one(&book->kept, &book->kept_capacity, book->kept_count, sizeof(*entry)) == 0)
        book->kept[book->kept_count++] = *entry;
}

static int compare_threads(const void *a, const void *b)
{
    uint32_t left = ((const AdatKernelThread *)a)->thread, right = ((const AdatKernelThread *)b)->thread;

    return left < right ? -1 : left > right;
}

void death_book_sort(DeathBook *book)
{
    if (book->kept_count > 0)
        qsort(book->kept, book->kept_count, sizeof(book->kept[0]), compare_threads);
}

const AdatKernelThread *death_book_find(const DeathBook *book, uint32_t thread)
{
    const AdatKernelThread key = {.thread = thread};

    if (book->kept_count == 0)
        return NULL;
    return bsearch(&key, book->kept, book->kept_count, sizeof(key), compare_threads);
}

void death_book_wait(DeathBook *book, const AdatKernelThread *entry)
{
    if (array_reserve_one(&book->waiting, &book->waiting_capacity, book->waiting_count,
                          sizeof(book->waiting[0])) != 0)
        death_book_add(book, entry);
    else
        book->waiting[book->waiting_count++] = *entry;
}

bool death_book_tell(DeathBook *book, uint32_t process, const KernelEvent *exit)
{
    /* Mostly one of the first: threads end in the order in which they left. */
    for (size_t i = 0; i < book->waiting_count; i++) {
        AdatKernelThread *waiting = &book->waiting[i];

        if (waiting->tid != exit->record.own_tid || waiting->process != process)
            continue;
        death_book_complete(waiting, exit);
        death_book_add(book, waiting);
        book->waiting_count--;
        memmove(waiting, waiting + 1, (book->waiting_count - i) * sizeof(*waiting));
        return true;
    }
    return false;
}

void death_book_give_up(DeathBook *book, uint32_t process, uint64_t before_ns)
{
    size_t left = 0;

    for (size_t i = 0; i < book->waiting_count; i++) {
        const AdatKernelThread *waiting = &book->waiting[i];

        if ((process == 0 || waiting->process == process) && waiting->freed_ns < before_ns)
            death_book_add(book, waiting);
        else
            book->waiting[left++] = *waiting;
    }
    book->waiting_count = left;
}

void death_book_entries_written(DeathBook *book, size_t count)
{
    book->count -= count;
    if (book->count > 0)
        memmove(book->entries, book->entries + count, book->count * sizeof(*book->entries));
}
