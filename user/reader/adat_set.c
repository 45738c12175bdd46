/* SPDX-License-Identifier: MIT */
#include "user/reader/adat_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "user/reader/set.h"

uint64_t set_missing_between(const TraceFile *before, const TraceFile *file, uint64_t *first_out)
{
    uint64_t first = before ? before->number + 1 : 1;

    if (file->number == 0 || (before && before->number == 0) || file->number <= first || first == 0)
        return 0;
    *first_out = first;
    return file->number - first;
}

/* What was found out about the files of a recording, in its place or without one. */
static void note_files(AdatSet *set, const AdatReader *reader, size_t recording)
{
    for (size_t i = 0; i < reader->files.count; i++) {
        const ReaderFile *file = &reader->files.items[i];
        AdatSetFile *note = &set->files[file->place];

        note->error = file->error;
        note->recording = recording;
        if (file->error)
            continue;
        note->info = file->info;
        note->events = file->events;
        note->detail = file->detail;
    }
}

/* Of the files that could be read. */
static void describe(AdatSet *set, size_t first, size_t end, AdatRecordingInfo *info)
{
    const TraceFile *before = NULL;

    *info = (AdatRecordingInfo){.first_file = first, .file_count = end - first};
    memcpy(info->id, set->sources.items[first].recording, ADAT_ID_SIZE);
    for (size_t i = first; i < end; i++) {
        const TraceFile *file = &set->sources.items[i];
        AdatSetFile *note = &set->files[i];

        if (note->error)
            continue;
        if (!before)
            info->first_number = file->number;
        info->last_number = file->number;
        note->missing_before = set_missing_between(before, file, &note->missing_first);
        info->missing += note->missing_before;
        before = file;
    }
}

static int open_recording(AdatSet *set, size_t first, size_t end, size_t *may_hold)
{
    const AdatReader *before = set->reader_count > 0 ? set->readers[set->reader_count - 1] : NULL;
    AdatReader *reader = NULL;
    int error = reader_open_files(&set->sources, first, end, before, may_hold, &reader);

    if (error == -ENOENT) { /* it is gone as a whole */
        note_files(set, reader, SIZE_MAX);
        adat_reader_close(reader);
        return 0;
    }
    if (error)
        return error;
    note_files(set, reader, set->reader_count);
    describe(set, first, end, &set->recordings[set->reader_count]);
    set->readers[set->reader_count++] = reader;
    return 0;
}

static int open_recordings(AdatSet *set)
{
    const TraceFiles *sources = &set->sources;
    size_t may_hold = ADAT_SET_HELD;
    int error = 0;

    set->files = calloc(sources->count + 1, sizeof(*set->files));
    set->readers = calloc(sources->count + 1, sizeof(AdatReader *));
    set->recordings = calloc(sources->count + 1, sizeof(*set->recordings));
    if (!set->files || !set->readers || !set->recordings)
        return -ENOMEM;
    for (size_t i = 0; i < sources->count; i++)
        set->files[i] = (AdatSetFile){
            .name = sources->items[i].name,
            .error = sources->items[i].error,
            .recording = SIZE_MAX,
            .number = sources->items[i].number,
            .compressed = sources->items[i].compressed,
        };
    for (size_t i = 0, end; !error && i < sources->readable; i = end) {
        end = trace_files_end(sources, i);
        error = open_recording(set, i, end, &may_hold);
    }
    /* Of one file it is the file's error. */
    if (!error && sources->single >= 0)
        error = set->files[0].error;
    return error;
}

int adat_set_open(const char *path, AdatSet **set_out)
{
    AdatSet *set = calloc(1, sizeof(*set));
    int error;

    if (!set)
        return -ENOMEM;
    error = trace_files_open(path, &set->sources);
    if (error) {
        free(set);
        return error;
    }
    error = open_recordings(set);
    if (error) {
        adat_set_close(set);
        return error;
    }
    *set_out = set;
    return 0;
}

void adat_set_close(AdatSet *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->reader_count; i++)
        adat_reader_close(set->readers[i]);
    free(set->readers);
    free(set->recordings);
    free(set->files);
    trace_files_close(&set->sources);
    free(set);
}

bool adat_set_is_directory(const AdatSet *set)
{
    return set->sources.directory >= 0;
}

AdatSetLeftOut adat_set_left_out(const AdatSet *set)
{
    const TraceFiles *sources = &set->sources;

    return (AdatSetLeftOut){
        .foreign = sources->foreign,
        .copies = sources->copies,
        .vanished = sources->vanished,
        .empty = sources->empty,
    };
}

const AdatSetFile *adat_set_file(const AdatSet *set, size_t index)
{
    return index < set->sources.count ? &set->files[index] : NULL;
}

size_t adat_set_file_count(const AdatSet *set)
{
    return set->sources.count;
}

const AdatReader *adat_set_reader(const AdatSet *set, size_t recording)
{
    return recording < set->reader_count ? set->readers[recording] : NULL;
}

const AdatRecordingInfo *adat_set_recording(const AdatSet *set, size_t recording)
{
    return recording < set->reader_count ? &set->recordings[recording] : NULL;
}

size_t adat_set_recording_count(const AdatSet *set)
{
    return set->reader_count;
}

AdatAccount adat_set_events(const AdatSet *set)
{
    AdatAccount total = {0};

    for (size_t i = 0; i < set->reader_count; i++) {
        const AdatAccount account = adat_reader_events(set->readers[i]);

        adat_account_add(&total, &account);
    }
    return total;
}

AdatAccount adat_set_detail(const AdatSet *set)
{
    AdatAccount total = {0};

    for (size_t i = 0; i < set->reader_count; i++) {
        const AdatAccount account = adat_reader_detail(set->readers[i]);

        adat_account_add(&total, &account);
    }
    return total;
}

uint64_t adat_set_duration(const AdatSet *set)
{
    int64_t first = INT64_MAX, last = INT64_MIN;

    for (size_t i = 0; i < set->reader_count; i++) {
        const AdatReader *reader = set->readers[i];

        if (reader->first_time < first)
            first = reader->first_time;
        if (reader->last_time > last)
            last = reader->last_time;
    }
    return last > first ? (uint64_t)last - (uint64_t)first : 0;
}
