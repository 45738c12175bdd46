/* SPDX-License-Identifier: MIT */
/*
 * Lists of what is done with: threads with their accounts, processes with their ends.
 */
#ifndef ADA_COLLECTOR_ACCOUNT_H
#define ADA_COLLECTOR_ACCOUNT_H

#include <stddef.h>

#include "user/file/adat_account.h"

/* One thread's closed account: what the ledger and the summary show. */
typedef struct ThreadAccount {
    uint32_t pid;
    uint32_t tid; /* 0: events of threads that got no slot */
    char name[16];
    AdatLedgerEntry index;
    AdatLedgerEntry detail;
} ThreadAccount;

typedef struct AccountList {
    ThreadAccount *items;
    size_t count;
    size_t capacity;
} AccountList;

/* One process that is done with. */
typedef struct ProcessAccount {
    uint32_t pid;
    uint32_t end; /* ADAT_DEATH_* */
    int32_t code;
    uint32_t threads;
} ProcessAccount;

typedef struct ProcessAccountList {
    ProcessAccount *items;
    size_t count;
    size_t capacity;
} ProcessAccountList;

/* Appends a copy. 0 or -ENOMEM. */
int account_list_add(AccountList *list, const ThreadAccount *account);
void account_list_fini(AccountList *list);

int process_account_list_add(ProcessAccountList *list, const ProcessAccount *account);
void process_account_list_fini(ProcessAccountList *list);

#endif
