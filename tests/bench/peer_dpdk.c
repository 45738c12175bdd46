/* SPDX-License-Identifier: MIT */
/*
 * DPDK's trace: ns per event of a fast-path trace point with three integers, and when it is disabled.
 *
 *     peer_dpdk [--json] [--rounds N] [--operations N]
 *
 * It writes into memory of the thread, overwrites what is old, and saves at exit below TMPDIR: no
 * consumer runs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_trace.h>

#include "tests/bench/bench_load.h"
#include "tests/bench/peer_dpdk_trace.h"

static void emit(void *context, uint64_t operations)
{
    (void)context;
    for (uint64_t i = 0; i < operations; i++)
        bench_dpdk_event((uint64_t)(uintptr_t)emit, i, 5);
}

int main(int argc, char **argv)
{
    BenchOptions options = {.rounds = 1000, .operations = 1000000};
    const char *temporary = getenv("TMPDIR");
    char trace_directory[4096];

    bench_parse_options(argc, argv, &options);
    bench_pin_thread(BENCH_PRODUCER_CPU);
    (void)snprintf(trace_directory, sizeof(trace_directory), "--trace-dir=%s", temporary ? temporary : "/tmp");
    char *eal[] = {argv[0], "--no-huge",         "--no-pci",        "--no-telemetry",   "-m64",
                   "-l0",   "--log-level=error", "--trace=bench.*", "--trace-bufsz=1M", trace_directory,
                   NULL};
    bench_check(rte_eal_init((int)(sizeof(eal) / sizeof(eal[0])) - 1, eal), "starting DPDK");

    BenchReport report;
    bench_report_init(&report, "peer-dpdk");
    BenchLoad enabled = {.name = "DPDK trace", .body = emit};
    bench_load_paced(&report, &enabled, options.rounds);
    enabled.name = "DPDK trace, flat out";
    bench_load_flat_out(&report, &enabled, options.rounds / 50 + 1, options.operations);
    bench_check(rte_trace_point_is_enabled(&__bench_dpdk_event) ? 0 : -ENODATA,
                "DPDK's trace point is disabled");

    bench_check(rte_trace_point_disable(&__bench_dpdk_event), "disabling DPDK's trace point");
    BenchLoad disabled = {.name = "DPDK trace, disabled, over the empty loop", .body = emit};
    bench_load_off(&report, &disabled, options.rounds);
    bench_report_print(&report, options.json);
    (void)rte_eal_cleanup();
    return 0;
}
