/* SPDX-License-Identifier: MIT */
/* DPDK wants the definition of a trace point in a file of its own: the header below redefines what emits. */
#include <rte_trace_point_register.h>

#include "tests/bench/peer_dpdk_trace.h"

RTE_TRACE_POINT_REGISTER(bench_dpdk_event, bench.event)
