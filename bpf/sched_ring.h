/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The scheduler's ring, and those of its records that tell of calls: of the system, and of functions. */
#ifndef ADA_BPF_SCHED_RING_H
#define ADA_BPF_SCHED_RING_H

#include "maps.h"

#include <bpf/bpf_core_read.h>

/* Room for a record; every attempt and every failure is counted. All kinds are of one size. */
static __always_inline void *reserve_sched(void)
{
    AdaKernelCounters *count = this_cpu_counters();
    void *record = bpf_ringbuf_reserve(&sched_ring, sizeof(AdaKernelSched), 0);

    if (count) {
        __sync_fetch_and_add(&count->sched_attempted, 1);
        if (!record)
            __sync_fetch_and_add(&count->sched_lost, 1);
    }
    return record;
}

/* The reader looks now and then anyway; waking it is for when it would be too late. */
static __always_inline void submit_sched(void *record)
{
    bool wake = bpf_ringbuf_query(&sched_ring, BPF_RB_AVAIL_DATA) >= knob_sched_wakeup_bytes;

    bpf_ringbuf_submit(record, wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/* `ids` is what bpf_get_current_pid_tgid() says. */
static __always_inline void put_call(uint32_t type, uint64_t ids, uint32_t number, uint64_t value)
{
    AdaKernelCall *record = reserve_sched();

    if (!record)
        return;
    record->type = type;
    record->cpu = bpf_get_smp_processor_id();
    record->time_ns = bpf_ktime_get_ns();
    record->tid = (uint32_t)ids;
    record->tgid = (uint32_t)(ids >> 32);
    record->number = number;
    record->reserved = 0;
    record->value = value;
    submit_sched(record);
}

#endif
