/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/proc_look.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "user/base/array.h"
#include "user/base/parse.h"

/* The entry of the last round, from *at on: /proc is in the order of pids, and so are they. A new one if it has none. */
static ProcSeen find_seen(const ProcLook *last, size_t *at, pid_t pid, uint64_t now)
{
    while (*at < last->count && last->items[*at].pid < pid)
        ++*at;
    if (*at < last->count && last->items[*at].pid == pid)
        return last->items[*at];
    return (ProcSeen){.pid = pid, .due_ns = now};
}

int proc_look_round(ProcLook *look, uint64_t now, proc_look_fn look_at, void *context)
{
    DIR *directory = opendir("/proc");
    ProcLook present = {0};
    const struct dirent *entry;
    size_t at = 0;

    if (!directory)
        return -errno;
    while ((entry = readdir(directory))) {
        ProcSeen seen;
        uint64_t pid;

        if (parse_u64(entry->d_name, 1, INT32_MAX, &pid) != 0)
            continue;
        seen = find_seen(look, &at, (pid_t)pid, now);
        if (seen.due_ns <= now) {
            look_at(context, seen.pid);
            seen.due_ns = now + (PROC_LOOK_PAUSE_NS << seen.pauses);
            seen.pauses += seen.pauses < PROC_LOOK_DOUBLED_MAX;
        }
        if (array_reserve_one(&present.items, &present.capacity, present.count, sizeof(present.items[0])) == 0)
            present.items[present.count++] = seen;
    }
    (void)closedir(directory);
    proc_look_forget(look);
    *look = present;
    return 0;
}

void proc_look_forget(ProcLook *look)
{
    free(look->items);
    *look = (ProcLook){0};
}
