/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/kernel/kernel_assist.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel.skel.h"
#include "user/kernel/kernel_support.h"
#include "user/lane/atomic.h"

#define LIFECYCLE_RING_DEFAULT (2u << 20)
#define SCHED_RING_DEFAULT (8u << 20)
#define BTF_DEFAULT "/sys/kernel/btf/vmlinux"

struct KernelAssist {
    struct ada_kernel *skeleton;
    struct ring_buffer *lifecycle;
    struct ring_buffer *sched;
    struct bpf_link *look;                            /* the iterator */
    struct bpf_link *switches[2];                     /* while they are followed */
    struct bpf_link *memfds[2];                       /* NULL: segments are not told */
    struct bpf_link *uprobes[2 * ADA_KERNEL_UPROBES]; /* NULL: none more */
    uint32_t follows;
    /* the maps, in memory; written by BPF, but for on_cpu[].ran, which the reader takes, and threads[].tid when they are watched no more */
    AdaKernelThread *threads;
    AdaKernelOnCpu *on_cpu;
    const uint64_t *indices_used;
    uint64_t *filter; /* as target_filter of bpf/maps.h */
    int targets;
    int thread_indices;
    int free_indices;
    int counters;
    int cpus;
    /* of the call that consumes at the moment */
    kernel_lifecycle_fn on_lifecycle;
    kernel_sched_fn on_sched;
    void *context;
    uint32_t sched_left;
};

/* ---- loading ---------------------------------------------------------------------------------- */

/* The first line of what libbpf last complained about, for the reason: it gives its messages to a function without context. */
static _Thread_local char complaint[96];

static int note_complaint(enum libbpf_print_level level, const char *format, va_list arguments)
{
    if (level == LIBBPF_WARN && complaint[0] == '\0') {
        (void)vsnprintf(complaint, sizeof(complaint), format, arguments);
        complaint[strcspn(complaint, "\n")] = '\0';
    }
    return 0;
}

/*
 * Whether the kernel's BTF describes the tracepoint, and how many arguments it has then (-1: it does not). `last_is_number`: of
 * sched_switch's, whether the last one is the state; there was a kernel that had it in another place.
 */
static int tracepoint_arguments(const struct btf *btf, const char *name, bool *last_is_number)
{
    const struct btf_type *type;
    char text[64];
    int id;

    (void)snprintf(text, sizeof(text), "btf_trace_%s", name);
    id = btf__find_by_name_kind(btf, text, BTF_KIND_TYPEDEF);
    if (id < 0)
        return -1;
    type = btf__type_by_id(btf, btf__type_by_id(btf, (uint32_t)id)->type); /* pointer to function */
    if (!type || !btf_is_ptr(type))
        return -1;
    type = btf__type_by_id(btf, type->type);
    if (!type || !btf_is_func_proto(type) || btf_vlen(type) < 1)
        return -1;
    *last_is_number = btf_is_int(
        btf__type_by_id(btf, (uint32_t)btf__resolve_type(btf, btf_params(type)[btf_vlen(type) - 1].type)));
    return (int)btf_vlen(type) - 1; /* the first is the tracepoint's own */
}

#define LIFECYCLE_PAIRS 3u
#define SYSCALL_PAIRS 5u /* from here on */

static void choose_programs(const struct ada_kernel *skeleton, bool raw, bool syscalls)
{
    const struct {
        struct bpf_program *by_btf;
        struct bpf_program *raw;
    } pairs[] = {
        {skeleton->progs.on_fork, skeleton->progs.on_fork_raw},
        {skeleton->progs.on_exec, skeleton->progs.on_exec_raw},
        {skeleton->progs.on_exit, skeleton->progs.on_exit_raw},
        {skeleton->progs.on_switch, skeleton->progs.on_switch_raw},
        {skeleton->progs.on_wakeup, skeleton->progs.on_wakeup_raw},
        {skeleton->progs.on_sys_enter, skeleton->progs.on_sys_enter_raw},
        {skeleton->progs.on_sys_exit, skeleton->progs.on_sys_exit_raw},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        bool later = i >= LIFECYCLE_PAIRS && i < SYSCALL_PAIRS; /* see kernel_assist_follow() */
        bool wanted = i < SYSCALL_PAIRS || syscalls;

        (void)bpf_program__set_autoload(pairs[i].by_btf, wanted && !raw); /* fails for loaded objects only */
        (void)bpf_program__set_autoload(pairs[i].raw, wanted && raw);
        bpf_program__set_autoattach(pairs[i].by_btf, !later);
        bpf_program__set_autoattach(pairs[i].raw, !later);
    }
}

/* They are attached by attach_memfds(), which may fail. */
static void choose_memfd_programs(const struct ada_kernel *skeleton, bool wanted)
{
    (void)bpf_program__set_autoload(skeleton->progs.on_memfd_enter, wanted);
    (void)bpf_program__set_autoload(skeleton->progs.on_memfd_exit, wanted);
    bpf_program__set_autoattach(skeleton->progs.on_memfd_enter, false);
    bpf_program__set_autoattach(skeleton->progs.on_memfd_exit, false);
}

/* Knobs and sizes. 0 or -errno. */
static int configure(struct ada_kernel *skeleton, const KernelAssistConfig *config, const struct btf *btf)
{
    size_t lifecycle_bytes =
        config->lifecycle_ring_bytes ? config->lifecycle_ring_bytes : LIFECYCLE_RING_DEFAULT;
    size_t sched_bytes = config->sched_ring_bytes ? config->sched_ring_bytes : SCHED_RING_DEFAULT;
    static const char *const tracepoints[] = {
        "sched_process_fork", "sched_process_exec", "sched_process_exit", "sys_enter",
        "sys_exit",           "sched_wakeup",       "sched_switch"};
    bool raw = config->raw_tracepoints;
    bool has_state = false;
    int error;

    for (size_t i = 0; i < sizeof(tracepoints) / sizeof(tracepoints[0]); i++) {
        bool number = false;
        int count = tracepoint_arguments(btf, tracepoints[i], &number);

        raw = raw || count < 0;
        has_state = count == 4 && number; /* sched_switch comes last */
    }
    choose_programs(skeleton, raw, config->syscalls != NULL);
    if (config->syscalls)
        memcpy((void *)(uintptr_t)skeleton->rodata->knob_syscalls, config->syscalls, ADA_KERNEL_SYSCALLS / 8);
    bpf_program__set_autoattach(skeleton->progs.on_task, false);
    (void)bpf_program__set_autoload(skeleton->progs.on_call, config->uprobe_count > 0);
    (void)bpf_program__set_autoload(skeleton->progs.on_return, config->uprobe_count > 0);
    bpf_program__set_autoattach(skeleton->progs.on_call, false);
    bpf_program__set_autoattach(skeleton->progs.on_return, false);
    choose_memfd_programs(skeleton, config->segments || config->all_segments);
    skeleton->rodata->knob_switch_has_state = has_state;
    skeleton->rodata->knob_all_execs = config->all_execs;
    skeleton->rodata->knob_all_segments = config->all_segments;
    skeleton->rodata->knob_sched_records = config->sched_records;
    skeleton->rodata->knob_off_cpu_ns = config->off_cpu_ns;
    skeleton->rodata->knob_runqueue_ns = config->runqueue_ns;
    skeleton->rodata->knob_sched_wakeup_bytes =
        config->off_cpu_ns != 0 || config->runqueue_ns != 0 ? 0 : sched_bytes / 4;
    error = bpf_map__set_max_entries(skeleton->maps.lifecycle_ring, (uint32_t)lifecycle_bytes);
    if (!error && (config->sched_records || config->syscalls || config->uprobe_count > 0))
        error = bpf_map__set_max_entries(skeleton->maps.sched_ring, (uint32_t)sched_bytes);
    return error;
}

static int load(KernelAssist *assist, const KernelAssistConfig *config, const char *path,
                char reason[KERNEL_REASON_SIZE])
{
    const struct bpf_object_open_opts options = {.sz = sizeof(options), .btf_custom_path = path};
    struct btf *btf = btf__parse(path, NULL);
    int error;

    if (!btf) {
        error = -errno;
        (void)kernel_support_refuse(reason, error, "cannot read the kernel's BTF '%s': %s", path,
                                    strerror(-error));
        return error;
    }
    assist->skeleton = ada_kernel__open_opts(&options);
    if (!assist->skeleton) {
        error = -errno;
        btf__free(btf);
        (void)kernel_support_refuse(reason, error, "cannot open the BPF programs: %s", strerror(-error));
        return error;
    }
    error = configure(assist->skeleton, config, btf);
    btf__free(btf);
    if (!error)
        error = ada_kernel__load(assist->skeleton);
    if (error)
        return kernel_support_refuse(reason, error, "cannot load the BPF programs: %s%s%s", strerror(-error),
                                     complaint[0] ? ": " : "", complaint);
    return 0;
}

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
static int map_map(const struct bpf_map *map, size_t bytes, int protection, void **memory_out)
{
    void *memory = mmap(NULL, map_bytes(bytes), protection, MAP_SHARED, bpf_map__fd(map), 0);

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
    const struct ada_kernel *skeleton = assist->skeleton;
    void *threads = NULL, *on_cpu = NULL, *used = NULL, *filter = NULL;
    int error;

    assist->targets = bpf_map__fd(skeleton->maps.targets);
    assist->thread_indices = bpf_map__fd(skeleton->maps.thread_indices);
    assist->free_indices = bpf_map__fd(skeleton->maps.free_indices);
    assist->counters = bpf_map__fd(skeleton->maps.counters);
    assist->cpus = libbpf_num_possible_cpus();
    if (assist->cpus < 0)
        return assist->cpus;
    error = map_map(skeleton->maps.threads, THREADS_BYTES, PROT_READ | PROT_WRITE, &threads);
    assist->threads = threads;
    if (!error)
        error = map_map(skeleton->maps.on_cpu, ON_CPU_BYTES, PROT_READ | PROT_WRITE, &on_cpu);
    assist->on_cpu = on_cpu;
    if (!error)
        error = map_map(skeleton->maps.indices_used, sizeof(uint64_t), PROT_READ, &used);
    assist->indices_used = used;
    if (!error)
        error = map_map(skeleton->maps.target_filter, FILTER_BYTES, PROT_READ | PROT_WRITE, &filter);
    assist->filter = filter;
    if (error)
        return error;
    assist->lifecycle =
        ring_buffer__new(bpf_map__fd(skeleton->maps.lifecycle_ring), on_lifecycle_record, assist, NULL);
    if (assist->lifecycle)
        assist->sched = ring_buffer__new(bpf_map__fd(skeleton->maps.sched_ring), on_sched_record, assist, NULL);
    return assist->sched ? 0 : -errno;
}

/* ---- attaching -------------------------------------------------------------------------------- */

static void detach_switches(KernelAssist *assist)
{
    for (size_t i = 0; i < sizeof(assist->switches) / sizeof(assist->switches[0]); i++) {
        (void)bpf_link__destroy(assist->switches[i]); /* NULL is allowed */
        assist->switches[i] = NULL;
    }
}

/* Runs the iterator once over all threads of the system. */
static void look(const KernelAssist *assist)
{
    int fd = bpf_iter_create(bpf_link__fd(assist->look));
    char nothing[64];
    ssize_t size;

    if (fd < 0)
        return; /* no memory or descriptors: contexts stay as they were */
    do {
        size = read(fd, nothing, sizeof(nothing)); /* it prints nothing */
    } while (size > 0 || (size < 0 && (errno == EINTR || errno == EAGAIN)));
    close(fd);
}

static int attach_one(struct bpf_program *by_btf, struct bpf_program *raw, struct bpf_link **link_out)
{
    struct bpf_program *program = bpf_program__fd(by_btf) >= 0 ? by_btf : raw;

    *link_out = bpf_program__attach(program);
    return *link_out ? 0 : -errno;
}

int kernel_assist_follow(KernelAssist *assist, bool follow)
{
    const struct ada_kernel *skeleton = assist->skeleton;
    int error;

    if (follow == kernel_assist_follows(assist))
        return 0;
    if (!follow) {
        ada_store_release(&assist->follows, 0u); /* the bitmap is of no use from here */
        detach_switches(assist);
        skeleton->bss->follows_switches = false;
        return 0;
    }
    skeleton->bss->follows_switches = true;
    error = attach_one(skeleton->progs.on_switch, skeleton->progs.on_switch_raw, &assist->switches[0]);
    if (!error)
        error = attach_one(skeleton->progs.on_wakeup, skeleton->progs.on_wakeup_raw, &assist->switches[1]);
    if (error) {
        detach_switches(assist);
        skeleton->bss->follows_switches = false;
        return error;
    }
    look(assist);                            /* who is on a CPU already */
    ada_store_release(&assist->follows, 1u); /* pairs with the acquire in kernel_assist_follows() */
    return 0;
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

/* One side of a function. 0 or -errno. */
static int attach_uprobe(KernelAssist *assist, const KernelUprobe *uprobe, uint32_t number, bool returns)
{
    const struct bpf_uprobe_opts options = {
        .sz = sizeof(options), .bpf_cookie = number, .retprobe = returns, .func_name = uprobe->symbol};
    struct bpf_link **link = &assist->uprobes[2 * number + returns];

    *link = bpf_program__attach_uprobe_opts(returns ? assist->skeleton->progs.on_return
                                                    : assist->skeleton->progs.on_call,
                                            -1, uprobe->binary, 0, &options);
    return *link ? 0 : -errno;
}

/* All or none: what is wrong goes into the reason. */
static int attach_uprobes(KernelAssist *assist, const KernelAssistConfig *config,
                          char reason[KERNEL_REASON_SIZE])
{
    for (uint32_t i = 0; i < config->uprobe_count; i++) {
        const KernelUprobe *uprobe = &config->uprobes[i];
        int error = attach_uprobe(assist, uprobe, i, false);

        if (!error && uprobe->returns)
            error = attach_uprobe(assist, uprobe, i, true);
        if (error)
            return kernel_support_refuse(
                reason, error, "cannot attach to function '%s' of '%s': %s", uprobe->symbol, uprobe->binary,
                error == -ENOENT ? "there is none, or no such file" : strerror(-error));
    }
    return 0;
}

static void detach_memfds(KernelAssist *assist)
{
    for (size_t i = 0; i < sizeof(assist->memfds) / sizeof(assist->memfds[0]); i++) {
        (void)bpf_link__destroy(assist->memfds[i]);
        assist->memfds[i] = NULL;
    }
}

/* Both or none: a kernel may lack these tracepoints, which is no error. */
static void attach_memfds(KernelAssist *assist)
{
    const struct ada_kernel *skeleton = assist->skeleton;

    assist->memfds[0] = bpf_program__attach(skeleton->progs.on_memfd_exit);
    if (assist->memfds[0])
        assist->memfds[1] = bpf_program__attach(skeleton->progs.on_memfd_enter);
    if (!assist->memfds[1])
        detach_memfds(assist);
}

bool kernel_assist_tells_segments(const KernelAssist *assist)
{
    return assist->memfds[0] != NULL;
}

static int attach(KernelAssist *assist, const KernelAssistConfig *config)
{
    int error = ada_kernel__attach(assist->skeleton);

    if (error)
        return error;
    if (config->segments || config->all_segments)
        attach_memfds(assist);
    assist->look = bpf_program__attach_iter(assist->skeleton->progs.on_task, NULL);
    if (!assist->look)
        return -errno;
    return config->follow || config->sched_records ? kernel_assist_follow(assist, true) : 0;
}

/* ---- life ------------------------------------------------------------------------------------- */

int kernel_assist_create(const KernelAssistConfig *config, KernelAssist **assist_out,
                         char reason[KERNEL_REASON_SIZE])
{
    const char *path = config->btf ? config->btf : BTF_DEFAULT;
    KernelAssist *assist;
    int error;

    error = kernel_support_check(path, reason);
    if (error)
        return error;
    assist = calloc(1, sizeof(*assist));
    if (!assist)
        return kernel_support_refuse(reason, -ENOMEM, "out of memory");
    (void)libbpf_set_print(note_complaint);
    complaint[0] = '\0';
    error = load(assist, config, path, reason);
    if (error)
        goto fail;
    error = open_maps(assist);
    if (error) {
        (void)kernel_support_refuse(reason, error, "cannot map the BPF maps: %s", strerror(-error));
        goto fail;
    }
    error = attach(assist, config);
    if (error) {
        (void)kernel_support_refuse(reason, error, "cannot attach the BPF programs: %s%s%s", strerror(-error),
                                    complaint[0] ? ": " : "", complaint);
        goto fail;
    }
    error = attach_uprobes(assist, config, reason);
    if (error)
        goto fail;
    *assist_out = assist;
    return 0;

fail:
    kernel_assist_destroy(assist);
    return error;
}

void kernel_assist_destroy(KernelAssist *assist)
{
    if (!assist)
        return;
    ring_buffer__free(assist->lifecycle);
    ring_buffer__free(assist->sched);
    detach_switches(assist);
    detach_memfds(assist);
    for (uint32_t i = 0; i < 2 * ADA_KERNEL_UPROBES; i++)
        (void)bpf_link__destroy(assist->uprobes[i]);
    (void)bpf_link__destroy(assist->look);
    if (assist->threads)
        (void)munmap(assist->threads, map_bytes(THREADS_BYTES));
    if (assist->on_cpu)
        (void)munmap(assist->on_cpu, map_bytes(ON_CPU_BYTES));
    if (assist->filter)
        (void)munmap(assist->filter, map_bytes(FILTER_BYTES));
    if (assist->indices_used)
        (void)munmap((void *)(uintptr_t)assist->indices_used, map_bytes(sizeof(uint64_t)));
    ada_kernel__destroy(assist->skeleton);
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
    error = bpf_map_update_elem(assist->targets, &key, &target, BPF_NOEXIST);
    if (error)
        count_target(assist, pid, UINT64_MAX);
    if (error == -EEXIST)
        error = bpf_map_update_elem(assist->targets, &key, &target, BPF_EXIST);
    return error == -ENOENT ? 0 : error; /* it ended just now */
}

bool kernel_assist_is_watched(const KernelAssist *assist, pid_t pid)
{
    AdaKernelTarget target;
    uint32_t key = (uint32_t)pid;

    return bpf_map_lookup_elem(assist->targets, &key, &target) == 0;
}

void kernel_assist_unwatch(KernelAssist *assist, pid_t pid)
{
    uint32_t key = (uint32_t)pid;
    uint32_t used;

    if (bpf_map_delete_elem(assist->targets, &key) != 0)
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
            bpf_map_delete_elem(assist->thread_indices, &tid) == 0)
            (void)bpf_map_update_elem(assist->free_indices, NULL, &index, BPF_ANY);
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

/* Times that the kernel did not run a program, because it ran on that CPU already. */
static uint64_t misses(const struct bpf_program *program)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info);

    if (bpf_program__fd(program) < 0 || bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size) != 0)
        return 0;
    return info.recursion_misses;
}

/* Events that the programs never saw are lost as well. */
static uint64_t lifecycle_misses(const struct ada_kernel *skeleton)
{
    return misses(skeleton->progs.on_fork) + misses(skeleton->progs.on_fork_raw) +
           misses(skeleton->progs.on_exec) + misses(skeleton->progs.on_exec_raw) +
           misses(skeleton->progs.on_exit) + misses(skeleton->progs.on_exit_raw) +
           misses(skeleton->progs.on_memfd_enter) + misses(skeleton->progs.on_memfd_exit);
}

void kernel_assist_counters(const KernelAssist *assist, AdaKernelCounters *sum_out)
{
    uint64_t missed = lifecycle_misses(assist->skeleton);
    AdaKernelCounters *each = calloc((size_t)assist->cpus, sizeof(*each));
    const uint32_t zero = 0;

    *sum_out = (AdaKernelCounters){.lifecycle_attempted = missed, .lifecycle_lost = missed};
    if (each && bpf_map_lookup_elem(assist->counters, &zero, each) == 0) {
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

    if (bpf_map_lookup_elem(assist->thread_indices, &tid, &index) != 0 || index >= ADA_KERNEL_THREADS)
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
