/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/collector/kernel_view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/access/process_segments.h"
#include "user/base/syscall_names.h"
#include "user/lane/clock.h"
#include "user/lane/futex.h"
#include "user/lane/lane_producer.h"
#include "user/registry/thread_registry.h"

#define VIEW_THREADS 1024u            /* at a time; memory is taken as it is used */
#define VIEW_FOUND (VIEW_THREADS / 2) /* of them at most that wait and may never do more */
#define VIEW_HASH 1024u
/* In front of the process's own command and program, which has the same pid. */
#define VIEW_COMMAND "kernel:"
/* A drain that is behind has so long to make room. */
#define VIEW_PATIENCE_NS 100000000ull

typedef struct ViewThread {
    ThreadLaneSet *lanes; /* NULL: nobody has this slot */
    uint32_t tid;         /* in the initial pid namespace */
    uint16_t next;        /* slot + 1 of the next one with that hash */
    uint64_t last_time;
    uint32_t depth;                     /* spans that it is in */
    uint16_t calls[ADA_KERNEL_UPROBES]; /* of each function: those that have not returned */
    uint32_t in_call; /* number of the system call that it is in + 1; 0: none that we saw it enter */
    LaneWriter index_writer;
    LaneWriter detail_writer;
    LaneProducer index;
    LaneProducer detail;
} ViewThread;

struct KernelView {
    pid_t pid;
    Segment segment;
    uint32_t thread_count;
    uint32_t event_count;                      /* described */
    uint16_t call_events[ADA_KERNEL_SYSCALLS]; /* id of the event of a system call; 0: it was not described yet */
    uint16_t function_events[ADA_KERNEL_UPROBES]; /* the same of functions */
    uint16_t heads[VIEW_HASH];                    /* by tid: slot + 1 of the first one */
    ViewThread threads[VIEW_THREADS];             /* by slot */
};

/* ---- events ----------------------------------------------------------------------------------- */

typedef enum ViewEvent {
    VIEW_SWITCH_IN = 1,
    VIEW_SWITCH_OUT,
    VIEW_WAKEUP,
    VIEW_OWNER,
    VIEW_EVENTS = VIEW_OWNER
} ViewEvent;

static const AdaEventDescriptor descriptors[VIEW_EVENTS] = {
    {.kind = ADA_KIND_TYPED,
     .field_count = 3,
     .name = "sched.switch_in",
     .fields = {{"cpu", ADA_TYPE_U64}, {"waited_ns", ADA_TYPE_U64}, {"before", ADA_TYPE_U64}}},
    {.kind = ADA_KIND_TYPED,
     .field_count = 4,
     .name = "sched.switch_out",
     .fields = {{"cpu", ADA_TYPE_U64}, {"ran_ns", ADA_TYPE_U64}, {"next", ADA_TYPE_U64}, {"why", ADA_TYPE_STRING}}},
    {.kind = ADA_KIND_TYPED,
     .field_count = 3,
     .name = "sched.wakeup",
     .fields = {{"cpu", ADA_TYPE_U64}, {"slept_ns", ADA_TYPE_U64}, {"by", ADA_TYPE_U64}}},
    {.kind = ADA_KIND_INSTANT, .name = "futex.owner"},
};

/* As the collector learns them from programs. */
static uint32_t describe_event(KernelView *view, const AdaEventDescriptor *descriptor)
{
    AdaEventDescriptor *entry = segment_event(&view->segment, view->event_count);
    uint32_t id = ++view->event_count;

    *entry = *descriptor;
    entry->id = id;
    ada_store_release(&entry->ready, 1u); /* pairs with the drain's acquire: grants the entry */
    ada_store_release(&view->segment.header->event_count, id);
    return id;
}

/* The id of the event of a system call. There are fewer of them than there is room for. */
static uint32_t call_event(KernelView *view, uint32_t number)
{
    AdaEventDescriptor descriptor = {.kind = ADA_KIND_SPAN_BEGIN};
    const char *name = syscall_name(number);

    _Static_assert(ADA_KERNEL_SYSCALLS + ADA_KERNEL_UPROBES + VIEW_EVENTS <= ADA_EVENTS_MAX &&
                       SYSCALLS_MAX == ADA_KERNEL_SYSCALLS,
                   "");
    if (view->call_events[number] == 0) {
        if (name)
            (void)snprintf(descriptor.name, sizeof(descriptor.name), "syscall.%s", name);
        else
            (void)snprintf(descriptor.name, sizeof(descriptor.name), "syscall.%u", number);
        view->call_events[number] = (uint16_t)describe_event(view, &descriptor);
    }
    return view->call_events[number];
}

static uint32_t function_event(KernelView *view, uint32_t number, const char *symbol)
{
    AdaEventDescriptor descriptor = {.kind = ADA_KIND_INSTANT};

    if (view->function_events[number] == 0) {
        (void)snprintf(descriptor.name, sizeof(descriptor.name), "uprobe.%s", symbol);
        view->function_events[number] = (uint16_t)describe_event(view, &descriptor);
    }
    return view->function_events[number];
}

/* ---- life ------------------------------------------------------------------------------------- */

/* The first `size` - 1 bytes of a file. Returns how many; 0 also when it cannot be read. */
static size_t read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, size - 1) : -1;

    if (fd >= 0)
        close(fd);
    if (got < 0)
        got = 0;
    text[got] = '\0';
    return (size_t)got;
}

static void describe_owner(const Segment *segment, pid_t pid)
{
    SegmentHeader *header = segment->header;
    char path[64], program[sizeof(header->program)];
    char *command = header->command + sizeof(VIEW_COMMAND);
    size_t room = sizeof(header->command) - sizeof(VIEW_COMMAND), size;

    process_program(pid, program, sizeof(program));
    (void)snprintf(header->program, sizeof(header->program), VIEW_COMMAND "%.*s",
                   (int)(sizeof(header->program) - sizeof(VIEW_COMMAND)), program);
    memcpy(header->command, VIEW_COMMAND, sizeof(VIEW_COMMAND));
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    size = read_text(path, command, room);
    if (size == 0) { /* it is ending: its name is left, which stands in brackets then, as in ps(1) */
        char name[ADA_THREAD_NAME_SIZE];

        (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        (void)read_text(path, name, sizeof(name));
        name[strcspn(name, "\n")] = '\0';
        size = (size_t)snprintf(command, room, "[%s]", name);
    }
    ada_store_relaxed(&header->command_bytes, (uint32_t)(sizeof(VIEW_COMMAND) + size));
    ada_store_relaxed(&header->owner_pid, (uint32_t)pid);
    ada_store_relaxed(&header->owner_started_at, ada_clock_monotonic_ns());
    ada_store_release(&header->owner_ready, 1u); /* pairs with describe_process() of process_description.c */
}

int kernel_view_create(pid_t pid, KernelView **view_out, Segment *for_session_out)
{
    KernelView *view = calloc(1, sizeof(*view));
    SegmentConfig config;
    int error, fd;

    if (!view)
        return -ENOMEM;
    view->pid = pid;
    segment_config_init(&config);
    config.threads = VIEW_THREADS;
    config.policy = ADA_POLICY_BLOCK;
    config.block_timeout_ns = VIEW_PATIENCE_NS;
    config.detail = ADA_DETAIL_ALWAYS;
    config.clock_kind = ADA_CLOCK_MONOTONIC;
    error = segment_create(&config, &view->segment, &fd);
    if (error) {
        free(view);
        return error;
    }
    error = segment_attach(fd, for_session_out);
    close(fd);
    if (error) {
        segment_unmap(&view->segment);
        free(view);
        return error;
    }
    describe_owner(&view->segment, pid);
    for (uint32_t i = 0; i < VIEW_EVENTS; i++)
        (void)describe_event(view, &descriptors[i]);
    *view_out = view;
    return 0;
}

/* ---- threads ---------------------------------------------------------------------------------- */

static void bind_lane(const KernelView *view, uint32_t slot, uint32_t kind, LaneProducer *producer,
                      LaneWriter *writer)
{
    const Segment *segment = &view->segment;
    ThreadLaneSet *lanes = segment_lane_set(segment, slot);

    lane_producer_init(producer, writer, kind == ADA_LANE_INDEX ? &lanes->index : &lanes->detail,
                       &lanes->metrics.lanes[kind],
                       segment_at(segment, segment_rings_offset(&segment->geometry, slot, kind)),
                       segment->header);
    lane_producer_set_hint(producer, segment_registry(segment), slot);
}

static void wake_drain(const KernelView *view)
{
    SegmentHeader *header = view->segment.header;

    /* By read-modify-write in any case: see announce_ring() of lane_producer.c. */
    (void)ada_fetch_add_acq_rel(&header->doorbell, 1u);
    if (ada_load_relaxed(&header->collector_sleeping) == ADA_COLLECTOR_SLEEPS)
        ada_futex_wake(&header->doorbell);
}

static ViewThread *add_thread(KernelView *view, uint32_t tid, uint32_t own_tid, uint64_t now)
{
    uint16_t *head = &view->heads[tid % VIEW_HASH];
    char path[64], name[ADA_THREAD_NAME_SIZE];
    ThreadLaneSet *lanes = NULL;
    ViewThread *thread;
    size_t length;
    int error = 0;

    if (thread_registry_has_room(&view->segment))
        lanes = thread_registry_register(&view->segment, own_tid, now, &error);
    if (!lanes) {
        (void)ada_fetch_add_relaxed(&segment_registry(&view->segment)->unregistered_events, 1ull);
        return NULL;
    }
    thread = &view->threads[lanes->slot_index];
    *thread = (ViewThread){.lanes = lanes, .tid = tid, .next = *head};
    *head = (uint16_t)(lanes->slot_index + 1);
    view->thread_count++;
    bind_lane(view, lanes->slot_index, ADA_LANE_INDEX, &thread->index, &thread->index_writer);
    bind_lane(view, lanes->slot_index, ADA_LANE_DETAIL, &thread->detail, &thread->detail_writer);
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%u/comm", (int)view->pid, tid);
    length = read_text(path, name, sizeof(name));
    if (length > 0 && name[length - 1] == '\n')
        name[length - 1] = '\0';
    thread_lane_set_write_name(lanes, name);
    wake_drain(view);
    return thread;
}

/* Where the slot + 1 of the thread stands in the hash; 0 there: it has none. */
static uint16_t *find_link(KernelView *view, uint32_t tid)
{
    uint16_t *link = &view->heads[tid % VIEW_HASH];

    while (*link != 0 && view->threads[*link - 1].tid != tid)
        link = &view->threads[*link - 1].next;
    return link;
}

static LaneView closed_view; /* refuses everything: limit 0 */

static void close_thread(KernelView *view, ViewThread *thread)
{
    ThreadLaneSet *lanes = thread->lanes;

    thread->lanes = NULL;
    view->thread_count--;
    lane_producer_close(&thread->index, &closed_view);
    lane_producer_close(&thread->detail, &closed_view);
    (void)thread_registry_unregister(&view->segment, lanes);
    wake_drain(view);
}

uint32_t kernel_view_threads(const KernelView *view)
{
    return view->thread_count;
}

void kernel_view_destroy(KernelView *view)
{
    if (!view)
        return;
    for (uint32_t slot = 0; view->thread_count > 0 && slot < VIEW_THREADS; slot++) {
        if (view->threads[slot].lanes)
            close_thread(view, &view->threads[slot]);
    }
    segment_unmap(&view->segment);
    free(view);
}

/* ---- writing ---------------------------------------------------------------------------------- */

#define VIEW_PAYLOAD_MAX 64u
#define VIEW_DEPTH_MAX 0xffffu

static void write_index(ViewThread *thread, uint32_t word, uint64_t id, uint64_t time, uint64_t argument,
                        uint32_t link)
{
    LaneReservation place;

    if (lane_reserve(&thread->index, ADA_INDEX_EVENT_SIZE, &place) != 0)
        return; /* counted */
    *(AdaIndexEvent *)place.at =
        (AdaIndexEvent){.timestamp = time, .id = id, .argument = argument, .word = word, .link = link};
    lane_commit(&thread->index, &place);
}

static uint32_t depth_of(const ViewThread *thread)
{
    return thread->depth < VIEW_DEPTH_MAX ? thread->depth : VIEW_DEPTH_MAX;
}

/* Where a span begins or ends, at the thread's time. */
static void begin_span(ViewThread *thread, uint32_t flags, uint32_t event, uint64_t argument)
{
    write_index(thread, ADA_WORD(ADA_KIND_SPAN_BEGIN, flags, depth_of(thread)), event, thread->last_time,
                argument, 0);
    thread->depth++;
}

static void end_span(ViewThread *thread, uint32_t event, uint64_t argument)
{
    thread->depth -= thread->depth > 0;
    write_index(thread, ADA_WORD(ADA_KIND_SPAN_END, 0, depth_of(thread)), event, thread->last_time, argument,
                0);
}

/* One event with its payload, as ada_write_event() writes it, with the kernel's time. */
static void write_event(ViewThread *thread, ViewEvent id, uint64_t time, uint64_t argument,
                        const void *payload, size_t size)
{
    LaneReservation place;
    uint32_t flags = ADA_FLAG_DETAIL_LOST, link = 0;

    if (lane_reserve(&thread->detail, ADA_DETAIL_RECORD_SIZE(size), &place) == 0) {
        AdaDetailRecord *record = place.at;

        *record = (AdaDetailRecord){
            .timestamp = time,
            .id = id,
            .argument = argument,
            .word = ADA_WORD(ADA_KIND_TYPED, 0, 0),
            .payload_size = (uint32_t)size,
        };
        memcpy(record + 1, payload, size);
        lane_commit(&thread->detail, &place);
        flags = ADA_FLAG_DETAIL;
        link = (uint32_t)place.record;
    }
    write_index(thread, ADA_WORD(ADA_KIND_TYPED, flags, thread->depth), id, time, argument, link);
}

/* Appends a text field; the payload is zeroed. */
static size_t put_text(char *payload, size_t at, const char *text)
{
    uint32_t length = 0;

    for (char *to = payload + at + sizeof(length); text[length] != '\0'; length++)
        to[length] = text[length];
    memcpy(payload + at, &length, sizeof(length));
    return at + ((sizeof(length) + length + 7) & ~(size_t)7);
}

static const char *reason_text(uint32_t state)
{
    switch (state) {
    case ADA_KERNEL_SLEEPS:
        return "sleeps";
    case ADA_KERNEL_BLOCKED:
        return "blocked";
    default:
        return "preempted";
    }
}

/* The thread that something happened to, at a time that is not before what happened to it before; NULL: there is no slot for it. */
static ViewThread *thread_at(KernelView *view, uint32_t tid, uint32_t own_tid, uint64_t time)
{
    uint16_t link = *find_link(view, tid);
    ViewThread *thread = link != 0 ? &view->threads[link - 1] : add_thread(view, tid, own_tid, time);

    /* Two CPUs may bring them in the other order; within a lane times never go back. */
    if (thread && thread->last_time < time)
        thread->last_time = time;
    return thread;
}

void kernel_view_sched(KernelView *view, const AdaKernelSched *record, uint32_t own_tid)
{
    const uint64_t fields[3] = {record->cpu, record->duration_ns, record->other_tid};
    char payload[VIEW_PAYLOAD_MAX] __attribute__((aligned(8))) = {0};
    ViewThread *thread;
    size_t size = sizeof(fields);

    if (record->type < ADA_KERNEL_SWITCH_IN || record->type > ADA_KERNEL_WAKEUP)
        return;
    thread = thread_at(view, record->tid, own_tid, record->time_ns);
    if (!thread)
        return;
    memcpy(payload, fields, sizeof(fields));
    if (record->type == ADA_KERNEL_SWITCH_OUT)
        size = put_text(payload, size, reason_text(record->state));
    _Static_assert(VIEW_SWITCH_IN == ADA_KERNEL_SWITCH_IN && VIEW_SWITCH_OUT == ADA_KERNEL_SWITCH_OUT &&
                       VIEW_WAKEUP == ADA_KERNEL_WAKEUP,
                   "events are numbered as records are");
    write_event(thread, (ViewEvent)record->type, thread->last_time, record->duration_ns, payload, size);
}

void kernel_view_syscall(KernelView *view, const AdaKernelCall *call, uint32_t own_tid)
{
    bool enters = call->type == ADA_KERNEL_SYSCALL_ENTER;
    uint32_t number = call->number % ADA_KERNEL_SYSCALLS;
    ViewThread *thread = thread_at(view, call->tid, own_tid, call->time_ns);

    /* One that it was in when it was attached to, or whose begin was lost: a span that only ends would be none. */
    if (!thread || (!enters && thread->in_call != number + 1))
        return;
    thread->in_call = enters ? number + 1 : 0;
    if (enters)
        begin_span(thread, 0, call_event(view, number), call->value);
    else
        end_span(thread, call_event(view, number), call->value);
}

void kernel_view_found(KernelView *view, const ThreadLook *look, uint64_t time_ns, bool sched,
                       const SyscallSet *calls)
{
    bool in_call = calls && look->call < SYSCALLS_MAX && calls->bits[look->call / 64] >> look->call % 64 & 1u;
    const AdaKernelSched asleep = {.type = ADA_KERNEL_SWITCH_OUT,
                                   .tid = look->tid,
                                   .time_ns = time_ns,
                                   .state = look->blocked ? ADA_KERNEL_BLOCKED : ADA_KERNEL_SLEEPS};
    ViewThread *thread;

    if (*find_link(view, look->tid) != 0 || !(sched || in_call) || view->thread_count >= VIEW_FOUND)
        return;
    thread = thread_at(view, look->tid, look->own_tid, time_ns);
    if (!thread)
        return;
    if (in_call) {
        thread->in_call = look->call + 1;
        begin_span(thread, ADA_FLAG_EARLIER, call_event(view, look->call), look->argument);
        if (look->owner != 0)
            write_index(thread, ADA_WORD(ADA_KIND_INSTANT, 0, depth_of(thread)), VIEW_OWNER,
                        thread->last_time, look->owner, 0);
    }
    if (sched)
        kernel_view_sched(view, &asleep, look->own_tid);
}

void kernel_view_uprobe(KernelView *view, const AdaKernelCall *call, const KernelUprobe *uprobe,
                        uint32_t own_tid)
{
    uint32_t number = call->number % ADA_KERNEL_UPROBES, event;
    ViewThread *thread = thread_at(view, call->tid, own_tid, call->time_ns);

    /* A return whose call came before we attached, or was lost. */
    if (!thread || (call->type == ADA_KERNEL_URETPROBE && thread->calls[number] == 0))
        return;
    event = function_event(view, number, uprobe->symbol);
    if (!uprobe->returns) {
        write_index(thread, ADA_WORD(ADA_KIND_INSTANT, 0, thread->depth), event, thread->last_time,
                    call->value, 0);
        return;
    }
    thread->calls[number] = (uint16_t)(thread->calls[number] + (call->type == ADA_KERNEL_UPROBE ? 1 : -1));
    if (call->type == ADA_KERNEL_UPROBE)
        begin_span(thread, 0, event, call->value);
    else
        end_span(thread, event, call->value);
}

void kernel_view_thread_ended(KernelView *view, uint32_t tid, uint64_t time_ns)
{
    uint16_t *link = find_link(view, tid);
    ViewThread *thread;
    uint32_t call;

    if (*link == 0)
        return;
    thread = &view->threads[*link - 1];
    if (thread->last_time < time_ns)
        thread->last_time = time_ns;
    call = thread->in_call - 1; /* of none: no system call */
    if (call == SYS_exit || call == SYS_exit_group)
        end_span(thread, call_event(view, call), 0);
    *link = thread->next;
    close_thread(view, thread);
}
