/* SPDX-License-Identifier: MIT */
#include "user/collector/account.h"

#include <errno.h>

#include "user/base/array.h"

static int add_entry(AccountBook *book, const AdatLedgerEntry *entry)
{
    int error = array_reserve_one(&book->entries, &book->entry_capacity, book->entry_count, sizeof(*entry));

    if (!error)
        book->entries[book->entry_count++] = *entry;
    return error;
}

static void keep_for_summary(AccountBook *book, const ThreadAccount *account)
{
    if (book->thread_count >= ACCOUNTS_KEPT ||
        array_reserve_one(&book->threads, &book->thread_capacity, book->thread_count, sizeof(*account)) != 0)
        book->threads_omitted++;
    else
        book->threads[book->thread_count++] = *account;
}

int account_book_add_entries(AccountBook *book, const AdatLedgerEntry entries[2])
{
    if (add_entry(book, &entries[0]) != 0)
        return -ENOMEM;
    if (add_entry(book, &entries[1]) != 0) {
        book->entry_count--;
        return -ENOMEM;
    }
    book->entries_added += 2;
    return 0;
}

int account_book_add_thread(AccountBook *book, const ThreadAccount *account, const AdatLedgerEntry entries[2])
{
    const AdatAccount index = adat_account_of(&account->index);
    const AdatAccount detail = adat_account_of(&account->detail);

    if (account_book_add_entries(book, entries) != 0)
        return -ENOMEM;
    adat_account_add(&book->index, &index);
    adat_account_add(&book->detail, &detail);
    if (account->tid != 0 && index.attempted > 0)
        jain_index_add(&book->jain, (double)index.in_file / (double)index.attempted);
    keep_for_summary(book, account);
    return 0;
}

void account_book_add_process(AccountBook *book, const ProcessAccount *account)
{
    if (book->process_count >= ACCOUNTS_KEPT || array_reserve_one(&book->processes, &book->process_capacity,
                                                                  book->process_count, sizeof(*account)) != 0)
        book->processes_omitted++;
    else
        book->processes[book->process_count++] = *account;
}

int account_book_add_undescribed(AccountBook *book, const ThreadDescription *thread)
{
    int error = array_reserve_one(&book->undescribed, &book->undescribed_capacity, book->undescribed_count,
                                  sizeof(*thread));

    if (!error)
        book->undescribed[book->undescribed_count++] = *thread;
    return error;
}

void account_book_entries_written(AccountBook *book, size_t count, size_t described)
{
    book->undescribed_count -= described;
    if (book->undescribed_count > 0)
        memmove(book->undescribed, book->undescribed + described,
                book->undescribed_count * sizeof(*book->undescribed));
    book->entry_count -= count;
    if (book->entry_count > 0)
        memmove(book->entries, book->entries + count, book->entry_count * sizeof(*book->entries));
}

void account_book_fini(AccountBook *book)
{
    free(book->threads);
    free(book->processes);
    free(book->entries);
    free(book->undescribed);
    *book = (AccountBook){0};
}
