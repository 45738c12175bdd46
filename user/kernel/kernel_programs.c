/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/kernel/kernel_programs.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.skel.h"
#include "user/kernel/kernel_support.h"

#define LIFECYCLE_RING_DEFAULT (2u << 20)
#define SCHED_RING_DEFAULT (8u << 20)
#define BTF_DEFAULT "/sys/kernel/btf/vmlinux"

struct KernelPrograms {
    struct ada_kernel *skeleton;
    struct bpf_link *look;                            /* the iterator */
    struct bpf_link *switches[2];                     /* while they are followed */
    struct bpf_link *memfds[2];                       /* NULL: segments are not told */
    struct bpf_link *uprobes[2 * ADA_KERNEL_UPROBES]; /* NULL: none more */
    bool follows;
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

static int load(KernelPrograms *programs, const KernelAssistConfig *config, const char *path,
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
    programs->skeleton = ada_kernel__open_opts(&options);
    if (!programs->skeleton) {
        error = -errno;
        btf__free(btf);
        (void)kernel_support_refuse(reason, error, "cannot open the BPF programs: %s", strerror(-error));
        return error;
    }
    error = configure(programs->skeleton, config, btf);
    btf__free(btf);
    if (!error)
        error = ada_kernel__load(programs->skeleton);
    if (error)
        return kernel_support_refuse(reason, error, "cannot load the BPF programs: %s%s%s", strerror(-error),
                                     complaint[0] ? ": " : "", complaint);
    return 0;
}

/* ---- attaching -------------------------------------------------------------------------------- */

static void detach_switches(KernelPrograms *programs)
{
    for (size_t i = 0; i < sizeof(programs->switches) / sizeof(programs->switches[0]); i++) {
        (void)bpf_link__destroy(programs->switches[i]); /* NULL is allowed */
        programs->switches[i] = NULL;
    }
}

static int attach_one(struct bpf_program *by_btf, struct bpf_program *raw, struct bpf_link **link_out)
{
    struct bpf_program *program = bpf_program__fd(by_btf) >= 0 ? by_btf : raw;

    *link_out = bpf_program__attach(program);
    return *link_out ? 0 : -errno;
}

int kernel_programs_follow(KernelPrograms *programs, bool follow)
{
    const struct ada_kernel *skeleton = programs->skeleton;
    int error = 0;

    if (follow == programs->follows)
        return 0;
    if (follow) {
        skeleton->bss->follows_switches = true;
        error = attach_one(skeleton->progs.on_switch, skeleton->progs.on_switch_raw, &programs->switches[0]);
        if (!error)
            error =
                attach_one(skeleton->progs.on_wakeup, skeleton->progs.on_wakeup_raw, &programs->switches[1]);
    }
    programs->follows = follow && !error;
    if (!programs->follows) {
        detach_switches(programs);
        skeleton->bss->follows_switches = false;
    }
    return error;
}

/* One side of a function. 0 or -errno. */
static int attach_uprobe(KernelPrograms *programs, const KernelUprobe *uprobe, uint32_t number, bool returns)
{
    const struct bpf_uprobe_opts options = {
        .sz = sizeof(options), .bpf_cookie = number, .retprobe = returns, .func_name = uprobe->symbol};
    struct bpf_link **link = &programs->uprobes[2 * number + returns];

    *link = bpf_program__attach_uprobe_opts(returns ? programs->skeleton->progs.on_return
                                                    : programs->skeleton->progs.on_call,
                                            -1, uprobe->binary, 0, &options);
    return *link ? 0 : -errno;
}

/* All or none: what is wrong goes into the reason. */
static int attach_uprobes(KernelPrograms *programs, const KernelAssistConfig *config,
                          char reason[KERNEL_REASON_SIZE])
{
    for (uint32_t i = 0; i < config->uprobe_count; i++) {
        const KernelUprobe *uprobe = &config->uprobes[i];
        int error = attach_uprobe(programs, uprobe, i, false);

        if (!error && uprobe->returns)
            error = attach_uprobe(programs, uprobe, i, true);
        if (error)
            return kernel_support_refuse(
                reason, error, "cannot attach to function '%s' of '%s': %s", uprobe->symbol, uprobe->binary,
                error == -ENOENT ? "there is none, or no such file" : strerror(-error));
    }
    return 0;
}

static void detach_memfds(KernelPrograms *programs)
{
    for (size_t i = 0; i < sizeof(programs->memfds) / sizeof(programs->memfds[0]); i++) {
        (void)bpf_link__destroy(programs->memfds[i]);
        programs->memfds[i] = NULL;
    }
}

/* Both or none: a kernel may lack these tracepoints, which is no error. */
static void attach_memfds(KernelPrograms *programs)
{
    const struct ada_kernel *skeleton = programs->skeleton;

    programs->memfds[0] = bpf_program__attach(skeleton->progs.on_memfd_exit);
    if (programs->memfds[0])
        programs->memfds[1] = bpf_program__attach(skeleton->progs.on_memfd_enter);
    if (!programs->memfds[1])
        detach_memfds(programs);
}

static int attach(KernelPrograms *programs, const KernelAssistConfig *config)
{
    int error = ada_kernel__attach(programs->skeleton);

    if (error)
        return error;
    if (config->segments || config->all_segments)
        attach_memfds(programs);
    programs->look = bpf_program__attach_iter(programs->skeleton->progs.on_task, NULL);
    if (!programs->look)
        return -errno;
    return config->follow || config->sched_records ? kernel_programs_follow(programs, true) : 0;
}

/* ---- life ------------------------------------------------------------------------------------- */

int kernel_programs_create(const KernelAssistConfig *config, KernelPrograms **programs_out,
                           char reason[KERNEL_REASON_SIZE])
{
    const char *path = config->btf ? config->btf : BTF_DEFAULT;
    KernelPrograms *programs;
    int error;

    error = kernel_support_check(path, reason);
    if (error)
        return error;
    programs = calloc(1, sizeof(*programs));
    if (!programs)
        return kernel_support_refuse(reason, -ENOMEM, "out of memory");
    (void)libbpf_set_print(note_complaint);
    complaint[0] = '\0';
    error = load(programs, config, path, reason);
    if (error)
        goto fail;
    error = attach(programs, config);
    if (error) {
        (void)kernel_support_refuse(reason, error, "cannot attach the BPF programs: %s%s%s", strerror(-error),
                                    complaint[0] ? ": " : "", complaint);
        goto fail;
    }
    error = attach_uprobes(programs, config, reason);
    if (error)
        goto fail;
    *programs_out = programs;
    return 0;

fail:
    kernel_programs_destroy(programs);
    return error;
}

void kernel_programs_destroy(KernelPrograms *programs)
{
    if (!programs)
        return;
    detach_switches(programs);
    detach_memfds(programs);
    for (uint32_t i = 0; i < 2 * ADA_KERNEL_UPROBES; i++)
        (void)bpf_link__destroy(programs->uprobes[i]);
    (void)bpf_link__destroy(programs->look);
    ada_kernel__destroy(programs->skeleton);
    free(programs);
}

/* The one of the two that was loaded; -1: none. `raw` may be NULL. */
static int loaded(const struct bpf_program *program, const struct bpf_program *raw)
{
    int fd = bpf_program__fd(program);

    if (fd < 0 && raw)
        fd = bpf_program__fd(raw);
    return fd < 0 ? -1 : fd;
}

void kernel_programs_handles(const KernelPrograms *programs, KernelHandles *handles_out)
{
    const struct ada_kernel *skeleton = programs->skeleton;

    *handles_out = (KernelHandles){
        .fds =
            {
                [KERNEL_HANDLE_LIFECYCLE_RING] = bpf_map__fd(skeleton->maps.lifecycle_ring),
                [KERNEL_HANDLE_SCHED_RING] = bpf_map__fd(skeleton->maps.sched_ring),
                [KERNEL_HANDLE_TARGETS] = bpf_map__fd(skeleton->maps.targets),
                [KERNEL_HANDLE_THREAD_INDICES] = bpf_map__fd(skeleton->maps.thread_indices),
                [KERNEL_HANDLE_FREE_INDICES] = bpf_map__fd(skeleton->maps.free_indices),
                [KERNEL_HANDLE_COUNTERS] = bpf_map__fd(skeleton->maps.counters),
                [KERNEL_HANDLE_THREADS] = bpf_map__fd(skeleton->maps.threads),
                [KERNEL_HANDLE_ON_CPU] = bpf_map__fd(skeleton->maps.on_cpu),
                [KERNEL_HANDLE_INDICES_USED] = bpf_map__fd(skeleton->maps.indices_used),
                [KERNEL_HANDLE_TARGET_FILTER] = bpf_map__fd(skeleton->maps.target_filter),
                [KERNEL_HANDLE_LOOK] = bpf_link__fd(programs->look),
                [KERNEL_HANDLE_ON_FORK] = loaded(skeleton->progs.on_fork, skeleton->progs.on_fork_raw),
                [KERNEL_HANDLE_ON_EXEC] = loaded(skeleton->progs.on_exec, skeleton->progs.on_exec_raw),
                [KERNEL_HANDLE_ON_EXIT] = loaded(skeleton->progs.on_exit, skeleton->progs.on_exit_raw),
                [KERNEL_HANDLE_ON_MEMFD_ENTER] = loaded(skeleton->progs.on_memfd_enter, NULL),
                [KERNEL_HANDLE_ON_MEMFD_EXIT] = loaded(skeleton->progs.on_memfd_exit, NULL),
            },
        .follows = programs->follows,
        .tells_segments = programs->memfds[0] != NULL,
    };
}
