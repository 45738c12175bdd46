/* SPDX-License-Identifier: MIT */
#include "user/file/adat_account.h"

AdatAccount adat_account_of(const AdatLedgerEntry *entry)
{
    return (AdatAccount){
        .attempted = entry->attempted,
        .in_file = entry->in_file,
        .dropped_full = entry->dropped_full,
        .dropped_nested = entry->dropped_nested,
        .dropped_io = entry->dropped_io,
        .recycled_unmarked = entry->recycled_unmarked,
        .torn = entry->torn,
        .pending = entry->pending,
    };
}

AdatLedgerEntry adat_account_entry(const AdatAccount *account, uint32_t process, uint32_t thread, uint32_t lane)
{
    return (AdatLedgerEntry){
        .process = process,
        .thread = thread,
        .lane = lane,
        .attempted = account->attempted,
        .in_file = account->in_file,
        .dropped_full = account->dropped_full,
        .dropped_nested = account->dropped_nested,
        .dropped_io = account->dropped_io,
        .recycled_unmarked = account->recycled_unmarked,
        .torn = account->torn,
        .pending = account->pending,
    };
}

void adat_account_add(AdatAccount *total, const AdatAccount *account)
{
    total->attempted += account->attempted;
    total->in_file += account->in_file;
    total->dropped_full += account->dropped_full;
    total->dropped_nested += account->dropped_nested;
    total->dropped_io += account->dropped_io;
    total->recycled_unmarked += account->recycled_unmarked;
    total->torn += account->torn;
    total->pending += account->pending;
}

uint64_t adat_account_sum(const AdatAccount *account)
{
    return account->in_file + account->dropped_full + account->dropped_nested + account->dropped_io +
           account->recycled_unmarked + account->torn + account->pending;
}

void adat_account_write_json(const AdatAccount *account, JsonWriter *json, const char *key)
{
    json_begin_object(json, key);
    json_u64(json, "attempted", account->attempted);
    json_u64(json, "in_file", account->in_file);
    json_u64(json, "dropped_full", account->dropped_full);
    json_u64(json, "dropped_nested", account->dropped_nested);
    json_u64(json, "dropped_io", account->dropped_io);
    json_u64(json, "recycled_unmarked", account->recycled_unmarked);
    json_u64(json, "torn", account->torn);
    json_u64(json, "pending", account->pending);
    json_end_object(json);
}
