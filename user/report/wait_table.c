/* SPDX-License-Identifier: MIT */
#include "user/report/wait_table.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/array.h"

#define PENDING_MAX 4u /* waits that a thread is in at once: signal handlers may wait, too */

/* A lock, condition variable, semaphore or barrier of a process. Threads are numbers of rows. */
typedef struct Object {
    uint32_t holder;    /* of a lock; 0: nobody that is known */
    uint32_t signaller; /* who signalled, posted or came last; 0: nobody */
    int64_t signalled_ns;
} Object;

/* A wait that has begun. */
typedef struct Pending {
    uint64_t number; /* of its span; 0: none */
    uint32_t whom;
} Pending;

typedef struct WaitThread {
    Pending pending[PENDING_MAX];
    uint32_t mutex;   /* the object that it locked last and has not unlocked, as index + 1 */
    uint32_t syscall; /* that it is in: number of the event */
    uint64_t syscall_argument;
    uint32_t owner; /* whom it waits for in there: number of the row; 0: not known */
    bool sched;     /* its switches are recorded */
    bool asleep;    /* what follows is of its last switch out */
    int64_t asleep_ns;
    const AdatReader *reader;
    const AdatThreadInfo *of_kernel;
    const AdatProcessInfo *process;
} WaitThread;

struct WaitTable {
    ThreadTable *threads;
    RoleTable *roles;
    WaitThread *states; /* by number of the row */
    size_t state_count;
    Object *objects;
    size_t object_count;
    size_t object_capacity;
    KeyMap object_map; /* by process and address: index + 1 */
    WaitRow *rows;
    size_t row_count;
    size_t row_capacity;
    KeyMap row_map;
    KeyMap tids; /* by recording and tid: number of the row */
};

int wait_table_create(ThreadTable *threads, RoleTable *roles, WaitTable **table_out)
{
    WaitTable *table = calloc(1, sizeof(*table));
    const ThreadRow *row;
    int err = 0;

    if (!table)
        return -ENOMEM;
    table->threads = threads;
    table->roles = roles;
    for (size_t i = 0; !err && (row = thread_table_row(threads, i)); i++) {
        table->state_count = i + 1;
        err = key_map_set(&table->tids, row->thread->thread.tid, (uintptr_t)row->reader, 0, (uint32_t)i + 1);
    }
    table->states = calloc(table->state_count + 1, sizeof(*table->states));
    if (err || !table->states) {
        wait_table_destroy(table);
        return -ENOMEM;
    }
    *table_out = table;
    return 0;
}

void wait_table_destroy(WaitTable *table)
{
    if (!table)
        return;
    key_map_fini(&table->object_map);
    key_map_fini(&table->row_map);
    key_map_fini(&table->tids);
    free(table->states);
    free(table->objects);
    free(table->rows);
    free(table);
}

/* ---- rows ------------------------------------------------------------------------------------- */

/* Counts one wait. 0 or -ENOMEM. */
static int add_wait(WaitTable *table, WaitRow wait, uint64_t ns)
{
    uint64_t who, what;
    uint32_t found;
    WaitRow *row;

    if (table->row_count >= WAIT_ROWS_MAX)
        wait.object = wait.whom = wait.whom_tid = 0;
    who = (uint64_t)wait.thread << 32 | (wait.whom ? wait.whom : wait.whom_tid);
    what = (uint64_t)wait.event << 8 | (uint64_t)(wait.whom == 0 && wait.whom_tid != 0) << 4 | wait.kind;
    found = key_map_find(&table->row_map, who, wait.object, (uint32_t)what);
    if (found == 0 && table->row_count >= 2 * (size_t)WAIT_ROWS_MAX)
        return 0;
    if (found == 0) {
        if (array_reserve_one(&table->rows, &table->row_capacity, table->row_count, sizeof(*table->rows)) ||
            key_map_set(&table->row_map, who, wait.object, (uint32_t)what, (uint32_t)table->row_count + 1))
            return -ENOMEM;
        table->rows[table->row_count++] = wait;
        found = (uint32_t)table->row_count;
    }
    row = &table->rows[found - 1];
    row->count++;
    row->total_ns += ns;
    row->max_ns = row->max_ns < ns ? ns : row->max_ns;
    return 0;
}

/* ---- objects ---------------------------------------------------------------------------------- */

/* The object at an address, counted from 1; 0: there is no room. 0 or -ENOMEM. */
static int get_object(WaitTable *table, const AdatProcessInfo *process, uint64_t address, uint32_t *object_out)
{
    uint64_t owner = (uintptr_t)process;

    *object_out = key_map_find(&table->object_map, owner, address, 0);
    if (*object_out != 0 || table->object_count >= WAIT_OBJECTS_MAX)
        return 0;
    if (array_reserve_one(&table->objects, &table->object_capacity, table->object_count,
                          sizeof(*table->objects)) ||
        key_map_set(&table->object_map, owner, address, 0, (uint32_t)table->object_count + 1))
        return -ENOMEM;
    table->objects[table->object_count++] = (Object){.signalled_ns = INT64_MIN};
    *object_out = (uint32_t)table->object_count;
    return 0;
}

static void signal_object(Object *object, uint32_t thread, int64_t time_ns)
{
    object->signaller = thread;
    object->signalled_ns = time_ns;
}

static void unlock_object(WaitTable *table, WaitThread *state, uint32_t number)
{
    table->objects[number - 1].holder = 0;
    if (state->mutex == number)
        state->mutex = 0;
}

/* ---- spans ------------------------------------------------------------------------------------ */

static void remember(WaitThread *state, uint64_t number, uint32_t whom)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        if (state->pending[i].number == 0) {
            state->pending[i] = (Pending){number, whom};
            return;
        }
    }
}

static uint32_t recall(WaitThread *state, uint64_t number)
{
    for (size_t i = 0; i < PENDING_MAX; i++) {
        if (state->pending[i].number == number) {
            state->pending[i].number = 0;
            return state->pending[i].whom;
        }
    }
    return 0;
}

int wait_table_open(WaitTable *table, const Span *span, uint32_t event)
{
    EventRole role = role_table_entry(table->roles, event)->role;
    uint32_t thread = thread_table_find(table->threads, span->thread), object = 0;
    WaitThread *state = &table->states[thread];
    int err = 0;

    if (thread == 0)
        return 0;
    if (role == ROLE_SYSCALL) {
        state->syscall = event;
        state->syscall_argument = span->argument;
        state->owner = 0;
        return 0;
    }
    if (role == ROLE_CALL)
        return 0;
    err = get_object(table, span->process, span->argument, &object);
    if (err || object == 0)
        return err;
    if (role == ROLE_LOCK)
        remember(state, span->number, table->objects[object - 1].holder);
    else if (role == ROLE_CONDITION && state->mutex != 0)
        table->objects[state->mutex - 1].holder = 0; /* it waits with that given back */
    else if (role == ROLE_BARRIER)
        signal_object(&table->objects[object - 1], thread, span->begin_ns);
    return 0;
}

/* For whom a wait was that has ended, and what it changed. */
static uint32_t settle_object(WaitTable *table, const Span *span, EventRole role, uint32_t thread,
                              uint32_t object)
{
    WaitThread *state = &table->states[thread];
    Object *at = &table->objects[object - 1];
    uint32_t whom = 0;

    if (role == ROLE_LOCK) {
        whom = recall(state, span->number);
        if (!(span->flags & SPAN_INCOMPLETE & ~SPAN_EARLY) && span->result == 0) {
            at->holder = thread;
            state->mutex = object;
        }
        return whom;
    }
    if (role == ROLE_CONDITION && state->mutex != 0)
        table->objects[state->mutex - 1].holder = thread;
    if (at->signalled_ns >= span->begin_ns && at->signalled_ns <= span->end_ns)
        whom = at->signaller;
    return whom;
}

int wait_table_close(WaitTable *table, const Span *span, uint32_t event)
{
    EventRole role = role_table_entry(table->roles, event)->role;
    uint32_t thread = thread_table_find(table->threads, span->thread), object = 0;
    WaitRow wait = {.kind = WAIT_LOCK, .thread = thread, .event = event, .object = span->argument};
    int err = 0;

    if (thread == 0)
        return 0;
    if (role == ROLE_SYSCALL) {
        if (!(span->flags & SPAN_CUT)) /* else it sleeps in there to the end */
            table->states[thread].syscall = 0;
        if (table->states[thread].sched)
            return 0;
        wait.kind = WAIT_SYSCALL;
        wait.object = 0;
        wait.whom = table->states[thread].owner;
    } else if (role == ROLE_CALL) {
        wait.kind = WAIT_CALL;
    } else {
        err = get_object(table, span->process, span->argument, &object);
        if (!err && object != 0)
            wait.whom = settle_object(table, span, role, thread, object);
        if (wait.whom == thread)
            wait.whom = 0;
    }
    if (err || !span_has_time(span) || span->flags & SPAN_PAST)
        return err;
    return add_wait(table, wait, span_duration(span));
}

/* ---- points ----------------------------------------------------------------------------------- */

static uint32_t find_tid(const WaitTable *table, const AdatEvent *event, uint32_t tid)
{
    return key_map_find(&table->tids, tid, (uintptr_t)event->reader, 0);
}

/* The system call that it waits in, and for whom. */
static void set_call(WaitRow *wait, const WaitThread *state)
{
    wait->event = state->syscall;
    wait->object = state->syscall ? state->syscall_argument : 0;
    wait->whom = state->syscall ? state->owner : 0;
}

static void fall_asleep(WaitThread *state, const AdatEvent *event)
{
    state->asleep_ns = event->time_ns;
    state->reader = event->reader;
    state->of_kernel = event->thread;
    state->process = event->process;
}

static int add_sched(WaitTable *table, const AdatEvent *event, EventRole role, uint32_t thread,
                     const SchedDetail *detail)
{
    WaitThread *state = &table->states[thread];
    WaitRow wait = {.kind = WAIT_RUNNABLE, .thread = thread};
    uint64_t ns = event->event.argument;

    if (ns == 0 && role == ROLE_WAKEUP && state->asleep)
        ns = (uint64_t)event->time_ns - (uint64_t)state->asleep_ns;
    state->sched = true;
    state->asleep = role == ROLE_SWITCH_OUT && detail->sleeps;
    if (state->asleep)
        fall_asleep(state, event);
    if (role == ROLE_SWITCH_OUT || ns == 0 || detail->past)
        return 0;
    if (role == ROLE_WAKEUP) {
        wait.kind = WAIT_SLEEP;
        set_call(&wait, state);
        wait.whom = find_tid(table, event, detail->waker);
        wait.whom_tid = wait.whom ? 0 : detail->waker;
    }
    return add_wait(table, wait, ns);
}

int wait_table_point(WaitTable *table, const AdatEvent *event, EventRole role, const SchedDetail *detail)
{
    uint32_t thread = thread_table_find(table->threads, event->thread), object = 0;
    int err;

    if (thread == 0 || role < ROLE_UNLOCK)
        return 0;
    if (role == ROLE_OWNER) {
        table->states[thread].owner = find_tid(table, event, (uint32_t)event->event.argument);
        return 0;
    }
    if (role >= ROLE_SWITCH_IN)
        return add_sched(table, event, role, thread, detail);
    err = get_object(table, event->process, event->event.argument, &object);
    if (err || object == 0)
        return err;
    if (role == ROLE_UNLOCK)
        unlock_object(table, &table->states[thread], object);
    else
        signal_object(&table->objects[object - 1], thread, event->time_ns);
    return 0;
}

/* ---- order ------------------------------------------------------------------------------------ */

static int compare_rows(const void *a, const void *b)
{
    const WaitRow *left = a, *right = b;

    if (left->total_ns != right->total_ns)
        return left->total_ns < right->total_ns ? 1 : -1;
    if (left->thread != right->thread)
        return left->thread < right->thread ? -1 : 1;
    if (left->event != right->event)
        return left->event < right->event ? -1 : 1;
    return left->object < right->object ? -1 : left->object > right->object;
}

static int add_sleepers(WaitTable *table, int64_t from_ns, int64_t to_ns, int64_t last_ns)
{
    int err = 0;

    for (size_t i = 1; !err && i <= table->state_count; i++) {
        const WaitThread *state = &table->states[i];
        WaitRow wait = {.kind = WAIT_ASLEEP, .thread = (uint32_t)i};
        int64_t begin = state->asleep_ns > from_ns ? state->asleep_ns : from_ns, end;

        if (!state->asleep)
            continue;
        end = span_cut_time(state->reader, state->of_kernel, state->process, last_ns);
        end = end < to_ns ? end : to_ns;
        set_call(&wait, state);
        if (end > begin)
            err = add_wait(table, wait, (uint64_t)end - (uint64_t)begin);
    }
    return err;
}

int wait_table_finish(WaitTable *table, int64_t from_ns, int64_t to_ns, int64_t last_ns)
{
    int err = add_sleepers(table, from_ns, to_ns, last_ns);

    if (table->row_count > 0)
        qsort(table->rows, table->row_count, sizeof(*table->rows), compare_rows);
    return err;
}

const WaitRow *wait_table_row(const WaitTable *table, size_t index)
{
    return index < table->row_count ? &table->rows[index] : NULL;
}
