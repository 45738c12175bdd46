/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/kernel/kernel_assist.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/kernel/kernel_programs.h"
#include "user/kernel/kernel_support.h"
#include "user/lane/atomic.h"

struct KernelAssist {
    KernelControl control;
    int handles[KERNEL_HANDLES]; /* -1: there is none */
    bool tells_segments;
    struct ring_buffer *lifecycle;
    struct ring_buffer *sched;
    uint32_t follows;
    /* the maps, in memory; written by BPF, but for on_cpu[].ran, which the reader takes, and threads[].tid when they are watched no more */
    AdaKernelThread *threads;
    AdaKernelOnCpu *on_cpu;
    const uint64_t *indices_used;
    uint64_t *filter; /* as target_filter of bpf/maps.h */
    int cpus;
    /* of the call that consumes at the moment */
    kernel_lifecycle_fn on_lifecycle;
    kernel_sched_fn on_sched;
    void *context;
    uint32_t sched_left;
};

/* ---- maps ------------------------------------------------------------------------------------- */

static int on_lifecycle_record(void *context, void *data, size_t size)
{
    KernelAssist *assist = context;
    const AdaKernelExit *record = data;
    bool has_thread = size >= sizeof(*record) && record->thread.generation != 0;

    assist->on_lifecycle(assist->context, &record->lifecycle, has_thread ? &record->thread : NULL);
    return 0;
}

static int on_sched_record(void *context, void *data, size_t size)
{
    KernelAssist *assist = context;
    const AdaKernelSched *record = data;
    bool call = record->type >= ADA_KERNEL_SYSCALL_ENTER;

    (void)size; /* the same for both */
    assist->on_sched(assist->context, call ? NULL : record, call ? data : NULL);
    return --assist->sched_left > 0 ? 0 : -EAGAIN; /* it was taken in any case */
}

static size_t map_bytes(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return (bytes + page - 1) / page * page;
}

/* Maps a map into memory. 0 or -errno. */
static int map_map(int map, size_t bytes, int protection, void **memory_out)
{
    void *memory = mmap(NULL, map_bytes(bytes), protection, MAP_SHARED, map, 0);

    if (memory == MAP_FAILED)
        return -errno;
    *memory_out = memory;
    return 0;
}

#define THREADS_BYTES (ADA_KERNEL_THREADS * sizeof(AdaKernelThread))
#define FILTER_BYTES (ADA_KERNEL_FILTER * sizeof(uint64_t))
#define ON_CPU_BYTES (ADA_KERNEL_WORDS * sizeof(AdaKernelOnCpu))

static int open_maps(KernelAssist *assist)
{
    const int *handles = assist->handles;
    void *threads = NULL, *on_cpu = NULL, *used = NULL, *filter = NULL;
    int error;

    assist->cpus = libbpf_num_possible_cpus();
    if (assist->cpus < 0)
        return assist->cpus;
    error = map_map(handles[KERNEL_HANDLE_THREADS], THREADS_BYTES, PROT_READ | PROT_WRITE, &threads);
    assist->threads = threads;
    if (!error)
        error = map_map(handles[KERNEL_HANDLE_ON_CPU], ON_CPU_BYTES, PROT_READ | PROT_WRITE, &on_cpu);
    assist->on_cpu = on_cpu;
    if (!error)
        error = map_map(handles[KERNEL_HANDLE_INDICES_USED], sizeof(uint64_t), PROT_READ, &used);
    assist->indices_used = used;
    if (!error)
        error = map_map(handles[KERNEL_HANDLE_TARGET_FILTER], FILTER_BYTES, PROT_READ | PROT_WRITE, &filter);
    assist->filter = filter;
    if (error)
        return error;
    assist->lifecycle =
        ring_buffer__new(handles[KERNEL_HANDLE_LIFECYCLE_RING], on_lifecycle_record, assist, NULL);
    if (assist->lifecycle)
        assist->sched = ring_buffer__new(handles[KERNEL_HANDLE_SCHED_RING], on_sched_record, assist, NULL);
    return assist->sched ? 0 : -errno;
}

/* ---- switches --------------------------------------------------------------------------------- */

/* Runs the iterator once over all threads of the system. */
static void look(const KernelAssist *assist)
{
    int fd = bpf_iter_create(assist->handles[KERNEL_HANDLE_LOOK]);
    char nothing[64];
    ssize_t size;

    if (fd < 0)
        return; /* no memory or descriptors: contexts stay as they were */
    do {
        size = read(fd, nothing, sizeof(nothing)); /* it prints nothing */
    } while (size > 0 || (size < 0 && (errno == EINTR || errno == EAGAIN)));
    close(fd);
}

/* The programs run. */
static void note_follows(KernelAssist *assist)
{
    look(assist);                            /* who is on a CPU already */
    ada_store_release(&assist->follows, 1u); /* pairs with the acquire in kernel_assist_follows() */
}

int kernel_assist_follow(KernelAssist *assist, bool follow)
{
    int error;

    if (follow == kernel_assist_follows(assist))
        return 0;
    if (!follow)
        ada_store_release(&assist->follows, 0u); /* the bitmap is of no use from here */
    error = assist->control.follow(assist->control.context, follow);
    if (!error && follow)
        note_follows(assist);
    return error;
}

bool kernel_assist_follows(const KernelAssist *assist)
{
    return ada_load_acquire(&assist->follows) != 0;
}

void kernel_assist_look(const KernelAssist *assist)
{
    if (!kernel_assist_follows(assist))
        look(assist);
}

bool kernel_assist_tells_segments(const KernelAssist *assist)
{
    return assist->tells_segments;
}

/* ---- life ------------------------------------------------------------------------------------- */

/* With the control taken over; destroying undoes all. */
static int set_up(KernelAssist *assist, const KernelHandles *handles)
{
    int error = 0;

    assist->tells_segments = handles->tells_segments;
    for (uint32_t i = 0; i < KERNEL_HANDLES; i++) {
        assist->handles[i] = handles->fds[i] < 0 ? -1 : fcntl(handles->fds[i], F_DUPFD_CLOEXEC, 0);
        if (handles->fds[i] >= 0 && assist->handles[i] < 0)
            error = -errno;
    }
    if (!error)
        error = open_maps(assist);
    if (!error && handles->follows)
        note_follows(assist);
    return error;
}

int kernel_assist_adopt(const KernelHandles *handles, const KernelControl *control, KernelAssist **assist_out,
                        char reason[KERNEL_REASON_SIZE])
{
    KernelAssist *assist = calloc(1, sizeof(*assist));
    int error;

    if (!assist) {
        control->destroy(control->context);
        return kernel_support_refuse(reason, -ENOMEM, "out of memory");
    }
    assist->control = *control;
    error = set_up(assist, handles);
    if (error) {
        kernel_assist_destroy(assist);
        return kernel_support_refuse(reason, error, "cannot map the BPF maps: %s", strerror(-error));
    }
    *assist_out = assist;
    return 0;
}

static int follow_here(void *context, bool follow)
{
    return kernel_programs_follow(context, follow);
}

static void destroy_here(void *context)
{
    kernel_programs_destroy(context);
}

int kernel_assist_create(const KernelAssistConfig *config, KernelAssist **assist_out,
                         char reason[KERNEL_REASON_SIZE])
{
    KernelControl control = {.follow = follow_here, .destroy = destroy_here};
    KernelPrograms *programs;
    KernelHandles handles;
    int error = kernel_programs_create(config, &programs, reason);

    if (error)
        return error;
    control.context = programs;
    kernel_programs_handles(programs, &handles);
    return kernel_assist_adopt(&handles, &control, assist_out, reason);
}

void kernel_assist_destroy(KernelAssist *assist)
{
    if (!assist)
        return;
    ring_buffer__free(assist->lifecycle);
    ring_buffer__free(assist->sched);
    if (assist->threads)
        (void)munmap(assist->threads, map_bytes(THREADS_BYTES));
    if (assist->on_cpu)
        (void)munmap(assist->on_cpu, map_bytes(ON_CPU_BYTES));
    if (assist->filter)
        (void)munmap(assist->filter, map_bytes(FILTER_BYTES));
    if (assist->indices_used)
        (void)munmap((void *)(uintptr_t)assist->indices_used, map_bytes(sizeof(uint64_t)));
    for (uint32_t i = 0; i < KERNEL_HANDLES; i++) {
        if (assist->handles[i] >= 0)
            close(assist->handles[i]);
    }
    assist->control.destroy(assist->control.context);
    free(assist);
}

/* ---- watching --------------------------------------------------------------------------------- */

/* See target_filter in bpf/maps.h. Relaxed: the map's own update and deletion order it. */
static void count_target(KernelAssist *assist, pid_t pid, uint64_t change)
{
    (void)ada_fetch_add_relaxed(&assist->filter[(uint32_t)pid % ADA_KERNEL_FILTER], change);
}

int kernel_assist_watch(KernelAssist *assist, pid_t pid, uint32_t flags)
{
    const AdaKernelTarget target = {.flags = flags};
    uint32_t key = (uint32_t)pid;
    int error;

    count_target(assist, pid, 1);
    error = bpf_map_update_elem(assist->handles[KERNEL_HANDLE_TARGETS], &key, &target, BPF_NOEXIST);
    if (error)
        count_target(assist, pid, UINT64_MAX);
    if (error == -EEXIST)
        error = bpf_map_update_elem(assist->handles[KERNEL_HANDLE_TARGETS], &key, &target, BPF_EXIST);
    return error == -ENOENT ? 0 : error; /* it ended just now */
}

bool kernel_assist_is_watched(const KernelAssist *assist, pid_t pid)
{
    AdaKernelTarget target;
    uint32_t key = (uint32_t)pid;

    return bpf_map_lookup_elem(assist->handles[KERNEL_HANDLE_TARGETS], &key, &target) == 0;
}

void kernel_assist_unwatch(KernelAssist *assist, pid_t pid)
{
    uint32_t key = (uint32_t)pid;
    uint32_t used;

    if (bpf_map_delete_elem(assist->handles[KERNEL_HANDLE_TARGETS], &key) != 0)
        return;
    count_target(assist, pid, UINT64_MAX);
    /* Pairs with the exchange in adopt_thread() of bpf/thread_table.h: a context that is missed here is given up there. */
    ada_fence_full();
    used = kernel_assist_words(assist) * 64;
    for (uint32_t index = 0; index < used; index++) {
        AdaKernelThread *thread = &assist->threads[index];
        uint32_t tid = ada_load_relaxed(&thread->tid);
        uint32_t other = tid;

        /*
         * As in forget_thread() of bpf/lifecycle.bpf.c, which may be at work on the same one: a place without a thread has tid 0,
         * and who deletes the entry gives the place back.
         */
        if (tid != 0 && ada_load_relaxed(&thread->tgid) == key &&
            ada_compare_exchange_acq_rel(&thread->tid, &other, 0u) &&
            bpf_map_delete_elem(assist->handles[KERNEL_HANDLE_THREAD_INDICES], &tid) == 0)
            (void)bpf_map_update_elem(assist->handles[KERNEL_HANDLE_FREE_INDICES], NULL, &index, BPF_ANY);
    }
}

/* ---- records ---------------------------------------------------------------------------------- */

int kernel_assist_lifecycle_fd(const KernelAssist *assist)
{
    return ring_buffer__epoll_fd(assist->lifecycle);
}

int kernel_assist_sched_fd(const KernelAssist *assist)
{
    return ring_buffer__epoll_fd(assist->sched);
}

void kernel_assist_consume_lifecycle(KernelAssist *assist, kernel_lifecycle_fn on_record, void *context)
{
    assist->on_lifecycle = on_record;
    assist->context = context;
    (void)ring_buffer__consume(assist->lifecycle); /* fails only if a callback does */
}

void kernel_assist_consume_sched(KernelAssist *assist, uint32_t most, kernel_sched_fn on_record, void *context)
{
    assist->on_sched = on_record;
    assist->context = context;
    assist->sched_left = most > 0 ? most : 1;
    (void)ring_buffer__consume(assist->sched); /* fails only if the callback does */
}

/*
 * Times that the kernel did not run programs of lifecycles, because one ran on that CPU already: events that these never saw are lost as
 * well.
 */
static uint64_t lifecycle_misses(const KernelAssist *assist)
{
    uint64_t sum = 0;

    for (uint32_t i = KERNEL_HANDLE_ON_FORK; i < KERNEL_HANDLES; i++) {
        struct bpf_prog_info info = {0};
        uint32_t size = sizeof(info);

        if (assist->handles[i] >= 0 && bpf_obj_get_info_by_fd(assist->handles[i], &info, &size) == 0)
            sum += info.recursion_misses;
    }
    return sum;
}

void kernel_assist_counters(const KernelAssist *assist, AdaKernelCounters *sum_out)
{
    uint64_t missed = lifecycle_misses(assist);
    AdaKernelCounters *each = calloc((size_t)assist->cpus, sizeof(*each));
    const uint32_t zero = 0;

    *sum_out = (AdaKernelCounters){.lifecycle_attempted = missed, .lifecycle_lost = missed};
    if (each && bpf_map_lookup_elem(assist->handles[KERNEL_HANDLE_COUNTERS], &zero, each) == 0) {
        for (int cpu = 0; cpu < assist->cpus; cpu++) {
            sum_out->lifecycle_attempted += each[cpu].lifecycle_attempted;
            sum_out->lifecycle_lost += each[cpu].lifecycle_lost;
            sum_out->sched_attempted += each[cpu].sched_attempted;
            sum_out->sched_lost += each[cpu].sched_lost;
            sum_out->threads_refused += each[cpu].threads_refused;
            sum_out->targets_refused += each[cpu].targets_refused;
        }
    }
    free(each);
}

/* ---- contexts --------------------------------------------------------------------------------- */

uint32_t kernel_assist_index_of(const KernelAssist *assist, uint32_t tid)
{
    uint32_t index;

    if (bpf_map_lookup_elem(assist->handles[KERNEL_HANDLE_THREAD_INDICES], &tid, &index) != 0 ||
        index >= ADA_KERNEL_THREADS)
        return ADA_KERNEL_NO_INDEX;
    return index;
}

void kernel_assist_thread_at(const KernelAssist *assist, uint32_t index, AdaKernelThread *out)
{
    /* Relaxed throughout: BPF stores each field whole, and orders nothing. */
    const AdaKernelThread *thread = &assist->threads[index];

    *out = (AdaKernelThread){
        .tid = ada_load_relaxed(&thread->tid),
        .tgid = ada_load_relaxed(&thread->tgid),
        .own_tid = ada_load_relaxed(&thread->own_tid),
        .generation = ada_load_relaxed(&thread->generation),
        .start_ns = ada_load_relaxed(&thread->start_ns),
        .last_cpu = ada_load_relaxed(&thread->last_cpu),
        .state = ada_load_relaxed(&thread->state),
        .since_ns = ada_load_relaxed(&thread->since_ns),
        .run_ns = ada_load_relaxed(&thread->run_ns),
        .runqueue_ns = ada_load_relaxed(&thread->runqueue_ns),
        .preempted_ns = ada_load_relaxed(&thread->preempted_ns),
        .sleep_ns = ada_load_relaxed(&thread->sleep_ns),
        .blocked_ns = ada_load_relaxed(&thread->blocked_ns),
        .switches_voluntary = ada_load_relaxed(&thread->switches_voluntary),
        .switches_involuntary = ada_load_relaxed(&thread->switches_involuntary),
        .migrations = ada_load_relaxed(&thread->migrations),
        .wakeups = ada_load_relaxed(&thread->wakeups),
    };
}

bool kernel_assist_find_thread(const KernelAssist *assist, uint32_t tid, uint64_t start_ns, AdaKernelThread *out)
{
    uint32_t index = kernel_assist_index_of(assist, tid);
    AdaKernelThread thread;

    if (index == ADA_KERNEL_NO_INDEX)
        return false;
    kernel_assist_thread_at(assist, index, &thread);
    if (thread.tid != tid || (start_ns != 0 && thread.start_ns != start_ns))
        return false; /* it ended while we looked */
    *out = thread;
    return true;
}

uint32_t kernel_assist_words(const KernelAssist *assist)
{
    uint64_t used = ada_load_relaxed(assist->indices_used);

    return used < ADA_KERNEL_THREADS ? (uint32_t)(used + 63) / 64 : ADA_KERNEL_WORDS;
}

uint64_t kernel_assist_take_on_cpu(KernelAssist *assist, uint32_t word)
{
    AdaKernelOnCpu *on_cpu = &assist->on_cpu[word];
    /*
     * Pairs with note_off_cpu() in bpf/thread_table.h: what a thread did before it left its CPU is visible. `runs`
     * after `ran`: who has left since then has set `ran` again, for the next call.
     */
    uint64_t ran = ada_load_relaxed(&on_cpu->ran) ? ada_exchange_acq_rel(&on_cpu->ran, 0ull) : 0;

    return ran | ada_load_acquire(&on_cpu->runs);
}
