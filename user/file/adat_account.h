/* SPDX-License-Identifier: MIT */
/*
 * Accounts of events: what was attempted, and what became of it. Ledger entries name a lane; an
 * account may be that of a lane, a thread, a process or a whole file.
 */
#ifndef ADA_FILE_ADAT_ACCOUNT_H
#define ADA_FILE_ADAT_ACCOUNT_H

#include "user/base/json.h"
#include "user/file/adat_format.h"

/* In records; see AdatLedgerEntry. */
typedef struct AdatAccount {
    uint64_t attempted;
    uint64_t in_file;
    uint64_t dropped_full;
    uint64_t dropped_nested;
    uint64_t dropped_io;
    uint64_t recycled_unmarked;
    uint64_t torn;
    uint64_t pending;
} AdatAccount;

AdatAccount adat_account_of(const AdatLedgerEntry *entry);

/* The ledger entry of a lane with this account; its visits are 0. */
AdatLedgerEntry adat_account_entry(const AdatAccount *account, uint32_t process, uint32_t thread,
                                   uint32_t lane);

void adat_account_add(AdatAccount *total, const AdatAccount *account);

/* What the identity says that `attempted` is. */
uint64_t adat_account_sum(const AdatAccount *account);

/* As an object, one member for each field, in whatever JSON tells of a recording. */
void adat_account_write_json(const AdatAccount *account, JsonWriter *json, const char *key);

#endif
