/* SPDX-License-Identifier: MIT */
/*
 * What a traced program can see of the recorder that runs it, which is its parent: for checks that look when the
 * program knows that the moment has come. Linux only; for main files.
 */
#ifndef ADA_TESTS_PROG_RECORDER_H
#define ADA_TESTS_PROG_RECORDER_H

#include <ctype.h>
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number after "NAME:" in a file like /proc/PID/status; UINT64_MAX: not there. */
static inline uint64_t recorder_read_field(const char *path, const char *name)
{
    FILE *file = fopen(path, "r");
    uint64_t value = UINT64_MAX;
    size_t length = strlen(name);
    char line[256];

    if (!file)
        return value;
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            value = strtoull(line + length + 1, NULL, 10);
            break;
        }
    }
    (void)fclose(file);
    return value;
}

/* Memory that the recorder occupies, in kB. */
static inline uint64_t recorder_memory_kb(void)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)getppid());
    return recorder_read_field(path, "VmRSS");
}

/* How often threads of the recorder went to sleep: the sum over those that live; UINT64_MAX: cannot be told. */
static inline uint64_t recorder_switches(void)
{
    uint64_t sum = 0;
    char path[320];
    struct dirent *entry;
    DIR *tasks;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)getppid());
    tasks = opendir(path);
    if (!tasks)
        return UINT64_MAX;
    while ((entry = readdir(tasks))) {
        uint64_t switches;

        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)getppid(), entry->d_name);
        switches = recorder_read_field(path, "voluntary_ctxt_switches");
        sum = switches == UINT64_MAX || sum == UINT64_MAX ? UINT64_MAX : sum + switches;
    }
    (void)closedir(tasks);
    return sum;
}

#endif
