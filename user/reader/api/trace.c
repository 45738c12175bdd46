/* SPDX-License-Identifier: MIT */
/* A trace as a whole: opening, facts, recordings, files, checking. */
#include <stdio.h>
#include <stdlib.h>

#include "user/reader/adat_verify_set.h"
#include "user/reader/api/api.h"

_Static_assert(sizeof(ada_trace_facts) == FACTS_LEAST, "");
_Static_assert(sizeof(ada_trace_recording) == RECORDING_LEAST, "");
_Static_assert(sizeof(ada_trace_file) == FILE_LEAST, "");
_Static_assert(sizeof(ada_trace_verdict) == VERDICT_LEAST, "");
_Static_assert(sizeof(ada_trace_account) == 64, "it is within others, so it cannot grow");

uint32_t ada_reader_version(void)
{
    return ADA_READER_VERSION_MAJOR << 16 | ADA_READER_VERSION_MINOR;
}

/* ---- opening ---------------------------------------------------------------------------------- */

static bool add_count(uint32_t *sum, size_t count)
{
    if (count >= ADA_TRACE_NONE - *sum)
        return false;
    *sum += (uint32_t)count;
    return true;
}

static int number_all(ada_trace *trace)
{
    size_t count = adat_set_recording_count(trace->set);

    if (count >= ADA_TRACE_NONE || adat_set_file_count(trace->set) >= ADA_TRACE_NONE)
        return -EOVERFLOW;
    trace->starts = calloc(count + 1, sizeof(*trace->starts));
    if (!trace->starts)
        return -ENOMEM;
    trace->recordings = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        const AdatReader *reader = adat_set_reader(trace->set, i);
        RecordingStart *next = &trace->starts[i + 1];

        *next = trace->starts[i];
        if (!add_count(&next->process, reader->processes.count) ||
            !add_count(&next->thread, reader->threads.count) ||
            !add_count(&next->descriptor, reader->descriptors.count) ||
            !add_count(&next->module, reader->modules.count) ||
            !add_count(&next->mark, adat_reader_mark_count(reader)))
            return -EOVERFLOW;
    }
    return 0;
}

/* Of a directory in which nothing can be read: why not. */
static int first_error(const AdatSet *set)
{
    const AdatSetFile *file;

    for (size_t i = 0; (file = adat_set_file(set, i)); i++)
        if (file->error)
            return file->error;
    return -ENODATA;
}

int ada_trace_open(const char *path, ada_trace **trace_out)
{
    ada_trace *trace = calloc(1, sizeof(*trace));
    int error;

    if (!trace)
        return -ENOMEM;
    error = adat_set_open(path, &trace->set);
    if (!error && adat_set_recording_count(trace->set) == 0)
        error = first_error(trace->set);
    if (!error)
        error = number_all(trace);
    if (error) {
        ada_trace_close(trace);
        return error;
    }
    *trace_out = trace;
    return 0;
}

void ada_trace_close(ada_trace *trace)
{
    if (!trace)
        return;
    adat_set_close(trace->set);
    free(trace->starts);
    free(trace);
}

const char *ada_trace_error_text(int error)
{
    switch (error) {
    case 0:
        return "no error";
    case -ERANGE:
        return "there are not so many";
    case -EOVERFLOW:
        return "more of something than 32 bits can number";
    case -EBADMSG:
        return "damaged: a checksum does not match; or the file changed while it was read";
    case -ENOMEM:
        return "out of memory";
    default:
        return adat_reader_error_text(error);
    }
}

/* ---- facts ------------------------------------------------------------------------------------ */

ada_trace_account api_account(const AdatAccount *account)
{
    return (ada_trace_account){
        .attempted = account->attempted,
        .in_file = account->in_file,
        .dropped_full = account->dropped_full,
        .dropped_nested = account->dropped_nested,
        .dropped_io = account->dropped_io,
        .recycled_unmarked = account->recycled_unmarked,
        .torn = account->torn,
        .pending = account->pending,
    };
}

/* A killed recorder leaves a file that ends within a block: no damage. */
static bool is_damaged(const AdatSetFile *file)
{
    return !file->error && file->info.cut != ADAT_CUT_NONE && file->info.cut != ADAT_CUT_SHORT;
}

static void sum_files(const AdatSet *set, ada_trace_facts *facts)
{
    const AdatSetFile *file;

    facts->flags |= ADA_TRACE_CLOSED | ADA_TRACE_ACCOUNTED;
    for (size_t i = 0; (file = adat_set_file(set, i)); i++) {
        facts->unreadable_files += file->error != 0;
        facts->damaged_files += is_damaged(file);
        if (file->error)
            continue;
        facts->bytes += file->info.file_bytes;
        facts->cut_bytes += adat_cut_bytes(&file->info);
        if (!file->info.closed)
            facts->flags &= ~(uint64_t)ADA_TRACE_CLOSED;
        if (!file->info.has_ledger)
            facts->flags &= ~(uint64_t)ADA_TRACE_ACCOUNTED;
    }
}

static void sum_recordings(const ada_trace *trace, ada_trace_facts *facts)
{
    int64_t first = INT64_MAX;

    for (uint32_t i = 0; i < trace->recordings; i++) {
        const AdatReader *reader = adat_set_reader(trace->set, i);

        facts->missing_files += adat_set_recording(trace->set, i)->missing;
        if (adat_reader_clock_quality(reader) == ADAT_CLOCK_GUESSED)
            facts->flags |= ADA_TRACE_CLOCK_GUESSED;
        if (adat_reader_clock_error(reader) > facts->clock_error_ns)
            facts->clock_error_ns = adat_reader_clock_error(reader);
        if (reader->first_time < first)
            first = reader->first_time;
    }
    facts->first_ns = first == INT64_MAX ? 0 : first;
}

int ada_trace_get_facts(const ada_trace *trace, ada_trace_facts *facts_out, size_t size)
{
    const RecordingStart *counts = &trace->starts[trace->recordings];
    const AdatAccount events = adat_set_events(trace->set), detail = adat_set_detail(trace->set);
    ada_trace_facts facts = {
        .flags = adat_set_is_directory(trace->set) ? ADA_TRACE_DIRECTORY : 0,
        .duration_ns = adat_set_duration(trace->set),
        .recording_count = trace->recordings,
        .file_count = (uint32_t)adat_set_file_count(trace->set),
        .process_count = counts->process,
        .thread_count = counts->thread,
        .descriptor_count = counts->descriptor,
        .module_count = counts->module,
        .mark_count = counts->mark,
        .events = api_account(&events),
        .detail = api_account(&detail),
    };

    sum_files(trace->set, &facts);
    sum_recordings(trace, &facts);
    return put_out(facts_out, size, &facts, sizeof(facts), FACTS_LEAST);
}

/* ---- recordings and files --------------------------------------------------------------------- */

const char *ada_trace_session_value(const ada_trace *trace, uint32_t recording, const char *key)
{
    if (recording >= trace->recordings)
        return NULL;
    return adat_strings_find(adat_reader_session(adat_set_reader(trace->set, recording)), key);
}

static const char *session_text(const ada_trace *trace, uint32_t recording, const char *key)
{
    const char *value = ada_trace_session_value(trace, recording, key);

    return value ? value : "";
}

int ada_trace_get_recording(const ada_trace *trace, uint32_t recording, ada_trace_recording *recording_out,
                            size_t size)
{
    AdatKernelSummary kernel = {0};
    ada_trace_recording out = {0};
    const AdatReader *reader;

    if (recording >= trace->recordings)
        return -ERANGE;
    reader = adat_set_reader(trace->set, recording);
    (void)adat_reader_kernel(reader, &kernel);
    out = (ada_trace_recording){
        .id = adat_set_recording(trace->set, recording)->id,
        .host = session_text(trace, recording, "host"),
        .kernel = session_text(trace, recording, "kernel"),
        .command = session_text(trace, recording, "command"),
        .adatrace = session_text(trace, recording, "adatrace"),
        .created_ns = adat_reader_info(reader)->header.created_realtime_ns,
        .zero_ns = adat_reader_realtime(reader, 0),
        .lifecycle_lost = kernel.lifecycle_lost,
        .sched_lost = kernel.sched_lost,
        .kernel_assisted = kernel.enabled != 0,
    };
    return put_out(recording_out, size, &out, sizeof(out), RECORDING_LEAST);
}

uint64_t ada_trace_realtime(const ada_trace *trace, uint32_t recording, int64_t time_ns)
{
    return recording < trace->recordings
               ? adat_reader_realtime(adat_set_reader(trace->set, recording), time_ns)
               : 0;
}

int ada_trace_get_file(const ada_trace *trace, uint32_t file, ada_trace_file *file_out, size_t size)
{
    const AdatSetFile *from = adat_set_file(trace->set, file);
    ada_trace_file out;

    if (!from)
        return -ERANGE;
    out = (ada_trace_file){
        .name = from->name,
        .cut_text = from->error || from->info.cut == ADAT_CUT_NONE ? "" : adat_cut_text(from->info.cut),
        .bytes = from->info.file_bytes,
        .valid_bytes = from->info.valid_bytes,
        .number = from->number,
        .missing_before = from->missing_before,
        .events = api_account(&from->events),
        .detail = api_account(&from->detail),
        .error = from->error,
        .recording = from->recording < trace->recordings ? (uint32_t)from->recording : ADA_TRACE_NONE,
        .closed = !from->error && from->info.closed,
        .damaged = is_damaged(from),
    };
    return put_out(file_out, size, &out, sizeof(out), FILE_LEAST);
}

/* ---- checking --------------------------------------------------------------------------------- */

static void sum_verdicts(const AdatSetVerdict *from, ada_trace_verdict *verdict)
{
    *verdict = (ada_trace_verdict){
        .problems = from->problem_count,
        .duplicates = from->duplicates,
        .unexplained = from->unexplained,
        .files = (uint32_t)from->file_count,
        .recordings = (uint32_t)from->recordings,
    };
    for (size_t i = 0; i < from->file_count; i++) {
        verdict->blocks += from->files[i].verdict.blocks;
        verdict->events += from->files[i].verdict.events;
        verdict->cut_bytes += from->files[i].verdict.cut_bytes;
    }
}

static void tell_file(const AdatFileVerdict *file, void (*on_problem)(void *, const ada_trace_problem *),
                      void *context)
{
    ada_trace_problem problem = {.file = file->name};

    if (file->error && file->error != -ENOENT) {
        problem.text = ada_trace_error_text(file->error);
        on_problem(context, &problem);
    }
    for (size_t i = 0; i < file->verdict.kept; i++) {
        problem.text = file->verdict.problems[i].text;
        problem.offset = file->verdict.problems[i].offset;
        on_problem(context, &problem);
    }
}

int ada_trace_verify(const char *path, void (*on_problem)(void *context, const ada_trace_problem *problem),
                     void *context, ada_trace_verdict *verdict_out, size_t size)
{
    AdatSetVerdict found;
    ada_trace_verdict verdict;
    int error;

    if (size < VERDICT_LEAST)
        return -EINVAL;
    error = adat_verify_set(path, &found);
    if (error)
        return error;
    for (size_t i = 0; on_problem && i < found.file_count; i++)
        tell_file(&found.files[i], on_problem, context);
    for (size_t i = 0; on_problem && i < found.kept; i++) {
        const ada_trace_problem problem = {.file = found.files[found.problems[i].file].name,
                                           .text = found.problems[i].text};

        on_problem(context, &problem);
    }
    sum_verdicts(&found, &verdict);
    adat_set_verdict_fini(&found);
    return put_out(verdict_out, size, &verdict, sizeof(verdict), VERDICT_LEAST);
}
