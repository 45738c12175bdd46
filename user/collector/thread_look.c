/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/thread_look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/base/parse.h"

/* A file of /proc/PID/task, whole or its first bytes, with a NUL behind it. False: there is none, or we may not read it. */
static bool read_file(int tasks, const char *tid, const char *name, char *text, size_t size)
{
    char path[64];
    ssize_t got;
    int fd;

    (void)snprintf(path, sizeof(path), "%.20s/%s", tid, name);
    fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    got = read(fd, text, size - 1);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    return got > 0;
}

/* The letter of the state, which comes after the name in parentheses, that may have any characters; '\0': it is gone. */
static char state_of(int tasks, const char *tid)
{
    char text[512];
    const char *end = read_file(tasks, tid, "stat", text, sizeof(text)) ? strrchr(text, ')') : NULL;

    return end && end[1] == ' ' ? end[2] : '\0';
}

/* "NUMBER 0xARGUMENT ..."; "running"; "-1 ..." in the kernel, but in no system call. */
static void read_call(int tasks, const char *tid, ThreadLook *look)
{
    char text[256], *end;
    unsigned long number;

    if (!read_file(tasks, tid, "syscall", text, sizeof(text)) || text[0] < '0' || text[0] > '9')
        return;
    number = strtoul(text, &end, 10);
    if (*end != ' ' || number >= THREAD_LOOK_NO_CALL)
        return;
    look->call = (uint32_t)number;
    look->argument = strtoull(end, NULL, 16);
}

/* How a mutex of glibc begins on x86-64; the futex is its first word. */
typedef struct Mutex {
    uint32_t lock;
    uint32_t count;
    uint32_t owner;
    uint32_t users;
    uint32_t kind;
} Mutex;

#define MUTEX_CONTENDED 2u /* what glibc writes into `lock` before it waits */
#define MUTEX_KINDS 1024u  /* all kinds are below */
#define TID_SURE 300u /* RESERVED_PIDS of the kernel: lower numbers are in futexes for other reasons, too */

/*
 * For whom a thread waits in futex(2): who has the mutex, or the thread whose id the futex is, as one that has it by priority inheritance
 * (PI), or that is joined. It may be something else that happens to look like that: the caller holds the id against the threads that there are.
 */
static uint32_t read_owner(pid_t pid, uint64_t futex)
{
    Mutex mutex = {0};
    struct iovec here = {.iov_base = &mutex, .iov_len = sizeof(mutex)};
    struct iovec there = {.iov_base = (void *)(uintptr_t)futex, .iov_len = sizeof(mutex)};

    if (process_vm_readv(pid, &here, 1, &there, 1, 0) != (ssize_t)sizeof(mutex))
        return 0;
    if (mutex.lock == MUTEX_CONTENDED)
        return mutex.kind < MUTEX_KINDS && mutex.users > 0 ? mutex.owner : 0;
    return (mutex.lock & FUTEX_TID_MASK) >= TID_SURE ? mutex.lock & FUTEX_TID_MASK : 0;
}

static int look_at(pid_t pid, int tasks, const char *tid, ThreadLooks *looks)
{
    ThreadLook look = {.call = THREAD_LOOK_NO_CALL};
    uint64_t number;
    char state;

    if (parse_u64(tid, 1, INT32_MAX, &number) != 0)
        return 0;
    state = state_of(tasks, tid);
    look.tid = look.own_tid = (uint32_t)number;
    look.waits = state == 'S' || state == 'D';
    look.blocked = state == 'D';
    if (look.waits)
        read_call(tasks, tid, &look);
    if (look.call == SYS_futex)
        look.owner = read_owner(pid, look.argument);
    if (array_reserve_one(&looks->items, &looks->capacity, looks->count, sizeof(looks->items[0])) != 0)
        return -ENOMEM;
    looks->items[looks->count++] = look;
    return 0;
}

int thread_look_all(pid_t pid, ThreadLooks *looks_out)
{
    const struct dirent *entry;
    char path[32];
    int error = 0;
    DIR *tasks;

    *looks_out = (ThreadLooks){0};
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    tasks = opendir(path);
    if (!tasks)
        return 0;
    while (!error && (entry = readdir(tasks)))
        error = look_at(pid, dirfd(tasks), entry->d_name, looks_out);
    (void)closedir(tasks);
    return error;
}

void thread_looks_clear(ThreadLooks *looks)
{
    free(looks->items);
    *looks = (ThreadLooks){0};
}
