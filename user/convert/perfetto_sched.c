/* SPDX-License-Identifier: MIT */
#include "user/convert/perfetto_sched.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/array.h"
#include "user/base/utf8.h"

#define PRIORITY 120    /* of an ordinary thread; it was not recorded */
#define CPUS_MAX 8192u  /* Linux has no more */
#define STATE_SLEEPS 1  /* TASK_INTERRUPTIBLE */
#define STATE_BLOCKED 2 /* TASK_UNINTERRUPTIBLE */

typedef struct Cpu {
    uint64_t time;
    uint32_t before;
    uint32_t after; /* 0: nothing was told of this CPU yet, or it is idle */
} Cpu;

typedef struct Name {
    char text[3 * sizeof(((AdatThread *)0)->name) + 1];
} Name;

struct PerfettoSched {
    IdMap tids; /* of recorded threads: place in `names` */
    Name *names;
    size_t name_capacity;
    Cpu cpus[CPUS_MAX]; /* the last switch */
};

int perfetto_sched_create(const AdatSet *set, PerfettoSched **sched_out)
{
    PerfettoSched *sched = calloc(1, sizeof(*sched));
    const AdatReader *reader;
    const AdatThreadInfo *thread;

    for (size_t r = 0; sched && (reader = adat_set_reader(set, r)); r++) {
        for (size_t t = 0; (thread = adat_reader_thread(reader, t)); t++) {
            uint32_t place;
            int got = id_map_add(&sched->tids, thread->thread.tid, 0, &place);

            if (got > 0 && array_reserve_one(&sched->names, &sched->name_capacity, place, sizeof(*sched->names)))
                got = -ENOMEM;
            if (got < 0) {
                perfetto_sched_destroy(sched);
                return got;
            }
            (void)utf8_clean(sched->names[place].text, thread->thread.name,
                             strnlen(thread->thread.name, sizeof(thread->thread.name)));
        }
    }
    *sched_out = sched;
    return sched ? 0 : -ENOMEM;
}

void perfetto_sched_destroy(PerfettoSched *sched)
{
    if (!sched)
        return;
    id_map_fini(&sched->tids);
    free(sched->names);
    free(sched);
}

/* The name of a recorded thread; NULL: it is none. */
static char *find_name(const PerfettoSched *sched, uint64_t tid)
{
    uint32_t place;

    return tid != 0 && id_map_find(&sched->tids, tid, 0, &place) ? sched->names[place].text : NULL;
}

static void put_ftrace(PerfettoWriter *writer, uint32_t cpu, Perfetto__FtraceEvent *event, uint64_t time,
                       uint32_t tid)
{
    Perfetto__TracePacket packet = PERFETTO__TRACE_PACKET__INIT;
    Perfetto__FtraceEventBundle bundle = PERFETTO__FTRACE_EVENT_BUNDLE__INIT;

    event->has_timestamp = true;
    event->timestamp = time;
    event->has_pid = true;
    event->pid = tid;
    bundle.has_cpu = true;
    bundle.cpu = cpu;
    bundle.n_event = 1;
    bundle.event = &event;
    packet.ftrace_events = &bundle;
    perfetto_writer_put(writer, &packet);
}

static void put_switch(PerfettoSched *sched, PerfettoWriter *writer, uint32_t cpu, uint64_t time,
                       uint64_t before, uint64_t after, int64_t state)
{
    static char idle[] = "swapper";
    char *before_name = find_name(sched, before), *after_name = find_name(sched, after);
    const Cpu now = {time, before_name ? (uint32_t)before : 0, after_name ? (uint32_t)after : 0};
    Perfetto__FtraceEvent event = PERFETTO__FTRACE_EVENT__INIT;
    Perfetto__SchedSwitch change = PERFETTO__SCHED_SWITCH__INIT;
    Cpu *last = &sched->cpus[cpu];

    if (last->time == time && last->before == now.before && last->after == now.after)
        return; /* the other thread has told it */
    *last = now;
    change.prev_comm = before_name ? before_name : idle;
    change.next_comm = after_name ? after_name : idle;
    change.has_prev_pid = change.has_next_pid = change.has_prev_state = true;
    change.has_prev_prio = change.has_next_prio = true;
    change.prev_prio = change.next_prio = PRIORITY;
    change.prev_pid = (int32_t)now.before;
    change.next_pid = (int32_t)now.after;
    change.prev_state = state;
    event.sched_switch = &change;
    put_ftrace(writer, cpu, &event, time, now.before);
}

static void put_wakeup(const PerfettoSched *sched, PerfettoWriter *writer, uint32_t cpu, uint64_t time,
                       uint64_t tid, uint64_t by)
{
    Perfetto__FtraceEvent event = PERFETTO__FTRACE_EVENT__INIT;
    Perfetto__SchedWakeup wakeup = PERFETTO__SCHED_WAKEUP__INIT;

    wakeup.comm = find_name(sched, tid);
    wakeup.has_pid = wakeup.has_target_cpu = wakeup.has_prio = true;
    wakeup.pid = (int32_t)tid;
    wakeup.prio = PRIORITY;
    wakeup.target_cpu = (int32_t)cpu;
    event.sched_wakeup = &wakeup;
    put_ftrace(writer, cpu, &event, time, (uint32_t)by);
}

static int64_t state_of(const NamedEvent *event)
{
    const AdatField *why = event->field_count > 3 ? &event->fields[3] : NULL;

    if (!why || why->type != ADA_TYPE_STRING || why->value.string.size == 0)
        return 0;
    switch (why->value.string.bytes[0]) {
    case 's':
        return STATE_SLEEPS;
    case 'b':
        return STATE_BLOCKED;
    default:
        return 0;
    }
}

int perfetto_sched_event(PerfettoSched *sched, PerfettoWriter *writer, const ConvertThread *thread,
                         const NamedEvent *event, uint64_t time)
{
    uint32_t tid = thread->thread ? thread->thread->thread.tid : 0;
    uint64_t cpu, other;

    if (event->field_count < 3 || strncmp(event->name, "sched.", 6) != 0)
        return 0;
    for (size_t i = 0; i < 3; i++)
        if (event->fields[i].type != ADA_TYPE_U64)
            return 0;
    cpu = event->fields[0].value.u64;
    other = event->fields[2].value.u64;
    if (cpu >= CPUS_MAX)
        return 0;
    if (strcmp(event->name, "sched.switch_in") == 0)
        put_switch(sched, writer, (uint32_t)cpu, time, other, tid, 0);
    else if (strcmp(event->name, "sched.switch_out") == 0)
        put_switch(sched, writer, (uint32_t)cpu, time, tid, other, state_of(event));
    else if (strcmp(event->name, "sched.wakeup") == 0)
        put_wakeup(sched, writer, (uint32_t)cpu, time, tid, other);
    return 0;
}
