/* SPDX-License-Identifier: MIT */
/*
 * The processes that a recorder follows, whether they have a segment or not. Each keeps its place, which an epoll set may know, until it is
 * removed; then the next one gets it, so that there are as many places as ever were taken at a time. One thread.
 */
#ifndef ADA_COLLECTOR_FOLLOW_TABLE_H
#define ADA_COLLECTOR_FOLLOW_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Followed {
    pid_t pid; /* 0: nobody has this place */
    int pidfd;
    bool again;         /* it has a segment that was not to be had: to be tried now and then */
    bool left;          /* it was let go, and is only kept in mind */
    uint32_t next_free; /* of a free place: another one, + 1; 0: there is none */
} Followed;

/* All zeros: empty. */
typedef struct FollowTable {
    Followed *items;
    size_t count; /* places */
    size_t capacity;
    size_t live;
    uint32_t first_free; /* place + 1; 0: none */
} FollowTable;

/* NULL: it is not followed. Valid until one is added. */
Followed *follow_table_find(const FollowTable *table, pid_t pid);

/* Takes the pidfd over. -ENOMEM: it stays the caller's. */
int follow_table_add(FollowTable *table, pid_t pid, int pidfd, uint32_t *place_out);

/* Closes the pidfd, which takes it out of an epoll set. */
void follow_table_remove(FollowTable *table, uint32_t place);

void follow_table_fini(FollowTable *table);

#endif
