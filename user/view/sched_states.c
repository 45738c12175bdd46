/* SPDX-License-Identifier: MIT */
#include "user/view/sched_states.h"

#include <string.h>

const char *sched_state_name(SchedState state)
{
    static const char *const names[SCHED_STATES] = {"unknown",   "running",  "runnable",
                                                    "preempted", "sleeping", "blocked"};

    return names[state];
}

static SchedState why_of(const AdatField *field)
{
    static const SchedState states[] = {SCHED_PREEMPTED, SCHED_BLOCKED};

    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        const char *name = sched_state_name(states[i]);

        if (field->type == ADA_TYPE_STRING && field->value.string.size == strlen(name) &&
            memcmp(field->value.string.bytes, name, strlen(name)) == 0)
            return states[i];
    }
    return SCHED_SLEEPING;
}

SchedFields sched_fields(const AdatField *fields, size_t count)
{
    SchedFields found = {.why = SCHED_SLEEPING};

    for (size_t i = 0; i < count; i++) {
        const AdatField *field = &fields[i];

        if (strcmp(field->name, "why") == 0)
            found.why = why_of(field);
        else if (field->type != ADA_TYPE_U64)
            continue;
        else if (strcmp(field->name, "cpu") == 0)
            found.cpu = field->value.u64;
        else if (strcmp(field->name, "next") == 0 || strcmp(field->name, "by") == 0)
            found.other = field->value.u64;
    }
    return found;
}

void sched_thread_forget(SchedThread *thread)
{
    thread->state = SCHED_UNKNOWN;
    thread->waker = 0;
}

static void set_state(SchedThread *thread, SchedState state, int64_t since)
{
    thread->state = state;
    thread->since = since;
}

/* Which state an event ends: its own word, or what is known of the one before. */
static SchedState ended_state(const SchedThread *thread, ViewEventClass class)
{
    switch (class) {
    case VIEW_EVENT_SWITCH_IN:
        return thread->state == SCHED_PREEMPTED ? SCHED_PREEMPTED : SCHED_RUNNABLE;
    case VIEW_EVENT_SWITCH_OUT:
        return SCHED_RUNNING;
    default:
        return thread->state == SCHED_BLOCKED ? SCHED_BLOCKED : SCHED_SLEEPING;
    }
}

/* Since when: what was seen, or what the event says. */
static int64_t ended_since(const SchedThread *thread, SchedState ended, int64_t time, uint64_t duration)
{
    if (thread->state == ended)
        return thread->since;
    if (duration > INT64_MAX || time < INT64_MIN + (int64_t)duration)
        return time;
    return time - (int64_t)duration;
}

SchedState sched_thread_event(SchedThread *thread, ViewEventClass class, int64_t time_ns, uint64_t ended_ns,
                              const SchedFields *fields, ViewItem *item_out)
{
    SchedState ended = ended_state(thread, class);
    int64_t since = ended_since(thread, ended, time_ns, ended_ns);

    *item_out = (ViewItem){.start = since,
                           .duration = (uint64_t)(time_ns - since),
                           .busy = (uint64_t)(time_ns - since),
                           .count = 1,
                           .first = thread->cpu,
                           .second = fields->other};
    switch (class) {
    case VIEW_EVENT_SWITCH_IN:
        item_out->first = fields->cpu;
        item_out->second = thread->waker;
        thread->cpu = fields->cpu;
        set_state(thread, SCHED_RUNNING, time_ns);
        break;
    case VIEW_EVENT_SWITCH_OUT:
        item_out->first = thread->cpu = fields->cpu;
        thread->waker = 0;
        set_state(thread, fields->why, time_ns);
        break;
    default: /* one that wakes who was awake ends nothing */
        if (thread->state == SCHED_RUNNING || thread->state == SCHED_RUNNABLE ||
            thread->state == SCHED_PREEMPTED)
            return SCHED_UNKNOWN;
        thread->waker = fields->other;
        set_state(thread, SCHED_RUNNABLE, time_ns);
    }
    item_out->flags = VIEW_HAS_FIRST | (item_out->second ? VIEW_HAS_SECOND : 0);
    return since < time_ns ? ended : SCHED_UNKNOWN;
}

SchedState sched_thread_end(const SchedThread *thread, int64_t end_ns, ViewItem *item_out)
{
    if (thread->state == SCHED_UNKNOWN || thread->since >= end_ns)
        return SCHED_UNKNOWN;
    *item_out = (ViewItem){.start = thread->since,
                           .duration = (uint64_t)(end_ns - thread->since),
                           .busy = (uint64_t)(end_ns - thread->since),
                           .count = 1,
                           .first = thread->cpu,
                           .second = thread->state == SCHED_RUNNABLE ? thread->waker : 0,
                           .flags = VIEW_OPEN_END | VIEW_HAS_FIRST};
    return thread->state;
}
