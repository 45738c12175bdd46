/* SPDX-License-Identifier: MIT */
/*
 * What ran on which CPU, from the events of the scheduler that the kernel's view has (sched.switch_in, sched.switch_out, sched.wakeup), as ftrace
 * tells it.
 *
 * Each of them tells of one recorded thread, and who was on the CPU before or after it. Threads that are not recorded are told
 * as idle, since nothing is known of how long they ran. A switch between two recorded threads is told by both, and taken over once.
 */
#ifndef ADA_CONVERT_PERFETTO_SCHED_H
#define ADA_CONVERT_PERFETTO_SCHED_H

#include "user/convert/convert.h"
#include "user/convert/perfetto_packet.h"

typedef struct PerfettoSched PerfettoSched;

/* -ENOMEM. */
int perfetto_sched_create(const AdatSet *set, PerfettoSched **sched_out);

/* NULL is allowed. */
void perfetto_sched_destroy(PerfettoSched *sched);

/* An event of the kernel's view at `time`, in the trace's clock; does nothing if it is no event of the scheduler. 0 or -ENOMEM. */
int perfetto_sched_event(PerfettoSched *sched, PerfettoWriter *writer, const ConvertThread *thread,
                         const NamedEvent *event, uint64_t time);

#endif
