/* SPDX-License-Identifier: MIT */
/*
 * Inside of libadatrace-reader: what <adatrace/reader.h> promises, by what user/reader has. Numbers of processes, threads and the like go over all
 * recordings of a trace here, and are those of one recording below.
 */
#ifndef ADA_READER_API_API_H
#define ADA_READER_API_API_H

#include <errno.h>
#include <string.h>

#include <adatrace/reader.h>

#include "user/reader/adat_set.h"
#include "user/reader/reader.h"

/* Numbers of the first ones of a recording. */
typedef struct RecordingStart {
    uint32_t process;
    uint32_t thread;
    uint32_t descriptor;
    uint32_t module;
    uint32_t mark;
} RecordingStart;

struct ada_trace {
    AdatSet *set;
    uint32_t recordings;
    RecordingStart *starts; /* of each recording, and one more: how many there are in all */
};

/* The recording that number `index` of `member` is in, which must be below starts[recordings].member. */
#define FIND_RECORDING(trace, member, index) \
    find_recording((trace)->starts, (trace)->recordings, offsetof(RecordingStart, member), (index))

static inline uint32_t find_recording(const RecordingStart *starts, uint32_t count, size_t member,
                                      uint32_t index)
{
    uint32_t low = 0, high = count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2, first;

        memcpy(&first, (const char *)&starts[middle] + member, sizeof(first));
        if (first <= index)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Fills a structure of the caller's, which may be older or newer than ours; `least` is the size that its first version had. */
static inline int put_out(void *out, size_t size, const void *from, size_t known, size_t least)
{
    if (size < least)
        return -EINVAL;
    memcpy(out, from, size < known ? size : known);
    if (size > known)
        memset((char *)out + known, 0, size - known);
    return 0;
}

/* Sizes of the first versions: they never change. A structure that grew is longer than this. */
enum {
    FACTS_LEAST = 224,
    RECORDING_LEAST = 80,
    FILE_LEAST = 192,
    PROCESS_LEAST = 136,
    THREAD_LEAST = 256,
    DESCRIPTOR_LEAST = 24,
    FIELD_LEAST = 16,
    MODULE_LEAST = 40,
    MARK_LEAST = 40,
    CONFIG_LEAST = 56,
    EVENT_LEAST = 56,
    READER_FIELD_LEAST = 24,
    FUNCTION_LEAST = 32,
    VERDICT_LEAST = 56,
};

ada_trace_account api_account(const AdatAccount *account);

/* The numbers of a process and a thread of a recording, as the trace has them. */
static inline uint32_t api_thread_number(const ada_trace *trace, uint32_t recording,
                                         const AdatThreadInfo *thread)
{
    const ThreadEntry *entry = (const ThreadEntry *)(const void *)thread; /* its first member */

    return trace->starts[recording].thread +
           (uint32_t)(entry - adat_set_reader(trace->set, recording)->threads.items);
}

/* The recording's process that has this number in the trace, or NULL: there is none. */
static inline const AdatProcessInfo *api_process(const ada_trace *trace, uint32_t process,
                                                 uint32_t *recording_out)
{
    if (process >= trace->starts[trace->recordings].process)
        return NULL;
    *recording_out = FIND_RECORDING(trace, process, process);
    return adat_reader_process(adat_set_reader(trace->set, *recording_out),
                               process - trace->starts[*recording_out].process);
}

/* The trace's number of a module of a recording, which may be NULL. */
uint32_t api_module_number(const ada_trace *trace, uint32_t recording, const AdaModule *module);

#endif
