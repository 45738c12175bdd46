/* SPDX-License-Identifier: MIT */
/*
 * What an event means for who waits for what: by its name, as libadatrace-preload and the kernel view give them
 * (user/client/preload/, user/collector/kernel_view.h). A program's own event of the same name is taken for the same.
 */
#ifndef ADA_REPORT_EVENT_ROLE_H
#define ADA_REPORT_EVENT_ROLE_H

#include "user/report/key_map.h"
#include "user/reader/adat_cursor.h"

typedef enum EventRole {
    ROLE_NONE,
    /* spans; their argument is what is waited for */
    ROLE_LOCK,      /* a mutex or lock, that another thread may hold */
    ROLE_CONDITION, /* a condition variable, which gives a mutex back meanwhile */
    ROLE_SEMAPHORE,
    ROLE_BARRIER,
    ROLE_CALL,    /* whatever else may wait: reading, polling, joining, sleeping */
    ROLE_SYSCALL, /* a system call, as the kernel saw it */
    /* instants; their argument is the same */
    ROLE_UNLOCK,
    ROLE_SIGNAL, /* of a condition variable */
    ROLE_POST,   /* of a semaphore */
    ROLE_OWNER,  /* of the futex that is waited for in the system call: a thread's id */
    /* the scheduler's; their argument is a time in ns */
    ROLE_SWITCH_IN,
    ROLE_SWITCH_OUT,
    ROLE_WAKEUP,
} EventRole;

static inline bool role_waits(EventRole role)
{
    return role >= ROLE_LOCK && role <= ROLE_SYSCALL;
}

/* One event of one process. */
typedef struct RoleEntry {
    const AdatReader *reader;
    const AdatProcessInfo *process;
    uint64_t id;
    EventRole role;
} RoleEntry;

/* All zero is an empty one. */
typedef struct RoleTable {
    RoleEntry *entries; /* by number, from 1 on */
    size_t count;
    size_t capacity;
    KeyMap map;
} RoleTable;

/* The number of a registered event of a process. 0 or -ENOMEM. */
int role_table_get(RoleTable *table, const AdatReader *reader, const AdatProcessInfo *process, uint64_t id,
                   uint32_t *number_out);

static inline const RoleEntry *role_table_entry(const RoleTable *table, uint32_t number)
{
    return &table->entries[number - 1];
}

void role_table_fini(RoleTable *table);

#endif
