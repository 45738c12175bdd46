/* SPDX-License-Identifier: MIT */
/* The trace point that peer_dpdk measures: three integers, 32 bytes with DPDK's header. */
#ifndef ADA_BENCH_PEER_DPDK_TRACE_H
#define ADA_BENCH_PEER_DPDK_TRACE_H

#undef RTE_ENABLE_TRACE_FP
#define RTE_ENABLE_TRACE_FP 1 /* Debian builds DPDK without: its trace points would compile to nothing */
#include <rte_trace_point.h>

RTE_TRACE_POINT_FP(bench_dpdk_event, RTE_TRACE_POINT_ARGS(uint64_t id, uint64_t argument, uint64_t word),
                   rte_trace_point_emit_u64(id);
                   rte_trace_point_emit_u64(argument); rte_trace_point_emit_u64(word);)

#endif
