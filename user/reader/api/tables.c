/* SPDX-License-Identifier: MIT */
/* What a trace has besides events: processes, threads, descriptors, modules, marks. */
#include "user/reader/api/api.h"

_Static_assert(sizeof(ada_trace_process) == PROCESS_LEAST, "");
_Static_assert(sizeof(ada_trace_thread) == THREAD_LEAST, "");
_Static_assert(sizeof(ada_trace_descriptor) == DESCRIPTOR_LEAST, "");
_Static_assert(sizeof(ada_trace_field) == FIELD_LEAST, "");
_Static_assert(sizeof(ada_trace_module) == MODULE_LEAST, "");
_Static_assert(sizeof(ada_trace_mark) == MARK_LEAST, "");
_Static_assert(sizeof(ada_trace_end) == 32, "it is within others, so it cannot grow");
_Static_assert(offsetof(ThreadEntry, info) == 0, "api_thread_number() counts on it");
_Static_assert((int)ADA_TRACE_END_EXIT == ADAT_DEATH_EXIT && (int)ADA_TRACE_END_SIGNAL == ADAT_DEATH_SIGNAL &&
                   (int)ADA_TRACE_END_EXEC == ADAT_DEATH_EXEC &&
                   (int)ADA_TRACE_END_UNKNOWN == ADAT_DEATH_UNKNOWN &&
                   (int)ADA_TRACE_END_DETACHED == ADAT_DEATH_DETACHED,
               "ends are numbered as in files");
_Static_assert((int)ADA_TRACE_FUNCTION_ENTRY == ADA_KIND_FUNCTION_ENTRY &&
                   (int)ADA_TRACE_FUNCTION_EXIT == ADA_KIND_FUNCTION_EXIT &&
                   (int)ADA_TRACE_SPAN_BEGIN == ADA_KIND_SPAN_BEGIN &&
                   (int)ADA_TRACE_SPAN_END == ADA_KIND_SPAN_END && (int)ADA_TRACE_INSTANT == ADA_KIND_INSTANT &&
                   (int)ADA_TRACE_COUNTER == ADA_KIND_COUNTER && (int)ADA_TRACE_TYPED == ADA_KIND_TYPED &&
                   (int)ADA_TRACE_MARK == ADA_KIND_MARK && ADA_KIND_COUNT == 9,
               "kinds are numbered as in files");
_Static_assert((int)ADA_TRACE_U64 == ADA_TYPE_U64 && (int)ADA_TRACE_I64 == ADA_TYPE_I64 &&
                   (int)ADA_TRACE_F64 == ADA_TYPE_F64 && (int)ADA_TRACE_POINTER == ADA_TYPE_POINTER &&
                   (int)ADA_TRACE_STRING == ADA_TYPE_STRING && ADA_TYPE_COUNT == 6,
               "types are numbered as in files");

/* Of CLOCK_MONOTONIC, 0: not known. */
static int64_t monotonic_time(const AdatReader *reader, uint64_t monotonic_ns)
{
    size_t hint = 0;

    return monotonic_ns == 0 ? 0 : clock_line_convert(&reader->clock, ADA_CLOCK_MONOTONIC, monotonic_ns, &hint);
}

/* ---- processes and threads --------------------------------------------------------------------- */

static const char *process_text(const AdatProcessInfo *process, const char *key)
{
    const char *value = adat_strings_find(process->strings, key);

    return value ? value : "";
}

static ada_trace_end end_of_process(const AdatReader *reader, const AdatProcessInfo *process)
{
    const AdatDeath *death = &process->death;

    if (!process->died)
        return (ada_trace_end){0};
    return (ada_trace_end){
        .kind = death->kind,
        .code = death->code,
        .drain_complete = death->drain_complete != 0,
        .torn = death->torn,
        .time_ns = monotonic_time(reader, death->monotonic_ns),
    };
}

int ada_trace_get_process(const ada_trace *trace, uint32_t process, ada_trace_process *process_out, size_t size)
{
    uint32_t recording = 0;
    const AdatProcessInfo *from = api_process(trace, process, &recording);
    const AdatReader *reader;
    ada_trace_process out;

    if (!from)
        return -ERANGE;
    reader = adat_set_reader(trace->set, recording);
    out = (ada_trace_process){
        .recording = recording,
        .pid = from->process.pid,
        .parent_pid = from->process.parent_pid,
        .described = from->described,
        .program = process_text(from, "program"),
        .command = process_text(from, "command"),
        .started_ns = from->described ? adat_reader_time(reader, process - trace->starts[recording].process,
                                                         from->process.started_at)
                                      : 0,
        .end = end_of_process(reader, from),
        .unregistered = api_account(&from->unregistered),
    };
    return put_out(process_out, size, &out, sizeof(out), PROCESS_LEAST);
}

static void put_death(const AdatReader *reader, const AdatKernelThread *death, ada_trace_thread *thread)
{
    thread->end = (ada_trace_end){
        .kind = death->kind,
        .code = death->code,
        .drain_complete = death->drain_complete != 0,
        .torn = death->torn,
        .time_ns = monotonic_time(reader, death->ended_ns),
    };
    if (!(death->flags & ADAT_KERNEL_CONTEXT))
        return;
    thread->flags |= ADA_TRACE_THREAD_CONTEXT;
    thread->run_ns = death->run_ns;
    thread->runqueue_ns = death->runqueue_ns;
    thread->sleep_ns = death->sleep_ns;
    thread->blocked_ns = death->blocked_ns;
    thread->switches_voluntary = death->switches_voluntary;
    thread->switches_involuntary = death->switches_involuntary;
    thread->migrations = death->migrations;
    thread->wakeups = death->wakeups;
}

int ada_trace_get_thread(const ada_trace *trace, uint32_t thread, ada_trace_thread *thread_out, size_t size)
{
    const AdatThreadInfo *from;
    const AdatReader *reader;
    ada_trace_thread out;
    uint32_t recording;

    if (thread >= trace->starts[trace->recordings].thread)
        return -ERANGE;
    recording = FIND_RECORDING(trace, thread, thread);
    reader = adat_set_reader(trace->set, recording);
    from = adat_reader_thread(reader, thread - trace->starts[recording].thread);
    out = (ada_trace_thread){
        .process = trace->starts[recording].process + (uint32_t)from->process,
        .tid = from->thread.tid,
        .slot = from->thread.slot,
        .flags = (from->described ? ADA_TRACE_THREAD_DESCRIBED : 0u) |
                 (from->accounted ? ADA_TRACE_THREAD_ACCOUNTED : 0u),
        .name = from->thread.name,
        .started_ns = from->described ? adat_reader_time(reader, from->process, from->thread.registered_at) : 0,
        .events = api_account(&from->events),
        .detail = api_account(&from->detail),
    };
    if (from->died)
        put_death(reader, &from->death, &out);
    return put_out(thread_out, size, &out, sizeof(out), THREAD_LEAST);
}

/* ---- descriptors ------------------------------------------------------------------------------- */

/* The trace's number of a process that has `number` in its recording. */
static uint32_t process_number(const ada_trace *trace, uint32_t recording, uint32_t number)
{
    ptrdiff_t index = reader_find_process(adat_set_reader(trace->set, recording), number);

    return index < 0 ? ADA_TRACE_NONE : trace->starts[recording].process + (uint32_t)index;
}

static const DescriptorEntry *find_descriptor(const ada_trace *trace, uint32_t descriptor,
                                              uint32_t *recording_out)
{
    if (descriptor >= trace->starts[trace->recordings].descriptor)
        return NULL;
    *recording_out = FIND_RECORDING(trace, descriptor, descriptor);
    return &adat_set_reader(trace->set, *recording_out)
                ->descriptors.items[descriptor - trace->starts[*recording_out].descriptor];
}

int ada_trace_get_descriptor(const ada_trace *trace, uint32_t descriptor,
                             ada_trace_descriptor *descriptor_out, size_t size)
{
    uint32_t recording = 0;
    const DescriptorEntry *entry = find_descriptor(trace, descriptor, &recording);
    ada_trace_descriptor out;

    if (!entry)
        return -ERANGE;
    out = (ada_trace_descriptor){
        .process = process_number(trace, recording, entry->process),
        .id = entry->descriptor.id,
        .kind = entry->descriptor.kind,
        .field_count = entry->descriptor.field_count,
        .name = entry->descriptor.name,
    };
    return put_out(descriptor_out, size, &out, sizeof(out), DESCRIPTOR_LEAST);
}

uint32_t ada_trace_find_descriptor(const ada_trace *trace, uint32_t process, uint64_t id)
{
    uint32_t recording = 0;
    const AdatProcessInfo *from = api_process(trace, process, &recording);
    const AdatReader *reader = from ? adat_set_reader(trace->set, recording) : NULL;
    const AdaEventDescriptor *found = from ? adat_reader_descriptor(reader, from->process.process, id) : NULL;
    const char *first;

    if (!found)
        return ADA_TRACE_NONE;
    first = (const char *)&reader->descriptors.items[0].descriptor;
    return trace->starts[recording].descriptor +
           (uint32_t)((size_t)((const char *)found - first) / sizeof(DescriptorEntry));
}

int ada_trace_get_field(const ada_trace *trace, uint32_t descriptor, uint32_t field,
                        ada_trace_field *field_out, size_t size)
{
    uint32_t recording = 0;
    const DescriptorEntry *entry = find_descriptor(trace, descriptor, &recording);
    ada_trace_field out;

    if (!entry || field >= entry->descriptor.field_count)
        return -ERANGE;
    out = (ada_trace_field){
        .name = entry->descriptor.fields[field].name,
        .type = entry->descriptor.fields[field].type,
    };
    return put_out(field_out, size, &out, sizeof(out), FIELD_LEAST);
}

/* ---- modules ----------------------------------------------------------------------------------- */

int ada_trace_get_module(const ada_trace *trace, uint32_t module, ada_trace_module *module_out, size_t size)
{
    const ModuleEntry *entry;
    const AdatReader *reader;
    ada_trace_module out;
    uint32_t recording;

    if (module >= trace->starts[trace->recordings].module)
        return -ERANGE;
    recording = FIND_RECORDING(trace, module, module);
    reader = adat_set_reader(trace->set, recording);
    entry = &reader->modules.items[module - trace->starts[recording].module];
    out = (ada_trace_module){
        .process = process_number(trace, recording, entry->process),
        .build_id_size = entry->module.build_id_size,
        .base = entry->module.base,
        .size = entry->module.size,
        .path = reader_module_path(reader, entry->process, &entry->module),
        .build_id = entry->module.build_id,
    };
    return put_out(module_out, size, &out, sizeof(out), MODULE_LEAST);
}

uint32_t api_module_number(const ada_trace *trace, uint32_t recording, const AdaModule *module)
{
    const AdatReader *reader = adat_set_reader(trace->set, recording);
    const char *first;

    if (!module)
        return ADA_TRACE_NONE;
    first = (const char *)&reader->modules.items[0].module;
    return trace->starts[recording].module +
           (uint32_t)((size_t)((const char *)module - first) / sizeof(ModuleEntry));
}

uint32_t ada_trace_find_module(const ada_trace *trace, uint32_t process, uint64_t address)
{
    uint32_t recording = 0;
    const AdatProcessInfo *from = api_process(trace, process, &recording);

    if (!from)
        return ADA_TRACE_NONE;
    return api_module_number(
        trace, recording,
        adat_reader_module(adat_set_reader(trace->set, recording), from->process.process, address));
}

/* ---- marks ------------------------------------------------------------------------------------- */

int ada_trace_get_mark(const ada_trace *trace, uint32_t mark, ada_trace_mark *mark_out, size_t size)
{
    const AdatMarkInfo *from;
    ada_trace_mark out;
    uint32_t recording;

    if (mark >= trace->starts[trace->recordings].mark)
        return -ERANGE;
    recording = FIND_RECORDING(trace, mark, mark);
    from = adat_reader_mark(adat_set_reader(trace->set, recording), mark - trace->starts[recording].mark);
    out = (ada_trace_mark){
        .time_ns = from->time_ns,
        .record = from->mark.record,
        .reason = from->mark.reason,
        .recording = recording,
        .process =
            from->process ? process_number(trace, recording, from->process->process.process) : ADA_TRACE_NONE,
        .thread = from->thread ? api_thread_number(trace, recording, from->thread) : ADA_TRACE_NONE,
        .anomaly = from->anomaly,
    };
    return put_out(mark_out, size, &out, sizeof(out), MARK_LEAST);
}
