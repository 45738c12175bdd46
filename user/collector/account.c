/* SPDX-License-Identifier: MIT */
#include "user/collector/account.h"

#include "user/base/array.h"

int account_list_add(AccountList *list, const ThreadAccount *account)
{
    int error = array_reserve_one(&list->items, &list->capacity, list->count, sizeof(list->items[0]));

    if (error)
        return error;
    list->items[list->count++] = *account;
    return 0;
}

void account_list_fini(AccountList *list)
{
    free(list->items);
    *list = (AccountList){0};
}

int process_account_list_add(ProcessAccountList *list, const ProcessAccount *account)
{
    int error = array_reserve_one(&list->items, &list->capacity, list->count, sizeof(list->items[0]));

    if (error)
        return error;
    list->items[list->count++] = *account;
    return 0;
}

void process_account_list_fini(ProcessAccountList *list)
{
    free(list->items);
    *list = (ProcessAccountList){0};
}
