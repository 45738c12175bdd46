/* SPDX-License-Identifier: MIT */
#include "user/report/event_role.h"

#include <fnmatch.h>

#include "user/base/array.h"
#include "user/report/span_name.h"

/* The first pattern that a name matches counts. */
static const struct {
    const char *pattern;
    EventRole role;
} program_roles[] = {
    {"pthread_mutex_unlock", ROLE_UNLOCK},
    {"pthread_rwlock_unlock", ROLE_UNLOCK},
    {"pthread_spin_unlock", ROLE_UNLOCK},
    {"pthread_mutex_*lock", ROLE_LOCK},
    {"pthread_rwlock_*lock", ROLE_LOCK},
    {"pthread_spin_*lock", ROLE_LOCK},
    {"pthread_cond_signal", ROLE_SIGNAL},
    {"pthread_cond_broadcast", ROLE_SIGNAL},
    {"pthread_cond_*wait", ROLE_CONDITION},
    {"sem_post", ROLE_POST},
    {"sem_*wait", ROLE_SEMAPHORE},
    {"pthread_barrier_wait", ROLE_BARRIER},
    {"pthread_*join*", ROLE_CALL},
    {"thrd_join", ROLE_CALL},
    {"*sleep", ROLE_CALL},
    {"sched_yield", ROLE_CALL},
    {"read", ROLE_CALL},
    {"readv", ROLE_CALL},
    {"write", ROLE_CALL},
    {"writev", ROLE_CALL},
    {"accept*", ROLE_CALL},
    {"connect", ROLE_CALL},
    {"recv*", ROLE_CALL},
    {"send*", ROLE_CALL},
    {"*poll", ROLE_CALL},
    {"select", ROLE_CALL},
    {"pselect", ROLE_CALL},
    {"epoll_*wait*", ROLE_CALL},
    {"f*sync", ROLE_CALL},
};

static const struct {
    const char *pattern;
    EventRole role;
} kernel_roles[] = {
    {"sched.switch_in", ROLE_SWITCH_IN}, {"sched.switch_out", ROLE_SWITCH_OUT}, {"sched.wakeup", ROLE_WAKEUP},
    {"futex.owner", ROLE_OWNER},         {"syscall.*", ROLE_SYSCALL},
};

static EventRole role_of(const AdatReader *reader, const AdatProcessInfo *process, uint64_t id)
{
    const AdaEventDescriptor *descriptor = adat_reader_descriptor(reader, process->process.process, id);

    if (!descriptor)
        return ROLE_NONE;
    if (process_is_kernel_view(process)) {
        for (size_t i = 0; i < sizeof(kernel_roles) / sizeof(kernel_roles[0]); i++)
            if (fnmatch(kernel_roles[i].pattern, descriptor->name, 0) == 0)
                return kernel_roles[i].role;
        return ROLE_NONE;
    }
    for (size_t i = 0; i < sizeof(program_roles) / sizeof(program_roles[0]); i++)
        if (fnmatch(program_roles[i].pattern, descriptor->name, 0) == 0)
            return program_roles[i].role;
    return ROLE_NONE;
}

int role_table_get(RoleTable *table, const AdatReader *reader, const AdatProcessInfo *process, uint64_t id,
                   uint32_t *number_out)
{
    uint32_t number = key_map_find(&table->map, (uintptr_t)process, id, 0);

    if (number == 0) {
        if (array_reserve_one(&table->entries, &table->capacity, table->count, sizeof(*table->entries)) ||
            key_map_set(&table->map, (uintptr_t)process, id, 0, (uint32_t)table->count + 1))
            return -ENOMEM;
        table->entries[table->count++] = (RoleEntry){reader, process, id, role_of(reader, process, id)};
        number = (uint32_t)table->count;
    }
    *number_out = number;
    return 0;
}

void role_table_fini(RoleTable *table)
{
    key_map_fini(&table->map);
    free(table->entries);
    *table = (RoleTable){0};
}
