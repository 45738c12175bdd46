/* SPDX-License-Identifier: MIT */
#include "user/collector/follow_table.h"

#include <stdlib.h>
#include <unistd.h>

#include "user/base/array.h"

Followed *follow_table_find(const FollowTable *table, pid_t pid)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->items[i].pid == pid)
            return &table->items[i];
    }
    return NULL;
}

int follow_table_add(FollowTable *table, pid_t pid, int pidfd, uint32_t *place_out)
{
    uint32_t place = table->first_free;
    int error;

    if (place > 0) {
        place--;
        table->first_free = table->items[place].next_free;
    } else {
        error = array_reserve_one(&table->items, &table->capacity, table->count, sizeof(table->items[0]));
        if (error)
            return error;
        place = (uint32_t)table->count++;
    }
    table->items[place] = (Followed){.pid = pid, .pidfd = pidfd};
    table->live++;
    *place_out = place;
    return 0;
}

void follow_table_remove(FollowTable *table, uint32_t place)
{
    close(table->items[place].pidfd);
    table->items[place] = (Followed){.pidfd = -1, .next_free = table->first_free};
    table->first_free = place + 1;
    table->live--;
}

void follow_table_fini(FollowTable *table)
{
    for (size_t i = 0; i < table->count; i++) {
        if (table->items[i].pid != 0)
            close(table->items[i].pidfd);
    }
    free(table->items);
    *table = (FollowTable){0};
}
