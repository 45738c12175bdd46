/* SPDX-License-Identifier: MIT */
/*
 * LTTng-UST: ns per event of a tracepoint with three integers.
 *
 *     peer_lttng [--json] [--rounds N] [--operations N]      within a session that records ada_bench:event
 *     peer_lttng --disabled [--json] [--rounds N]            without a session
 *
 * peer_lttng.sh makes the session. Fails when the tracepoint's state is not what the mode needs.
 */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "tests/bench/peer_lttng_provider.h"

#include <errno.h>
#include <stdbool.h>

#include "tests/bench/bench_load.h"

static void emit(void *context, uint64_t operations)
{
    (void)context;
    for (uint64_t i = 0; i < operations; i++)
        lttng_ust_tracepoint(ada_bench, event, (uint64_t)(uintptr_t)emit, i, 5);
}

int main(int argc, char **argv)
{
    BenchOptions options = {.rounds = 1000, .operations = 100000};
    BenchLoad load = {.body = emit};
    BenchReport report;

    bench_parse_options(argc, argv, &options);
    bench_pin_thread(BENCH_PRODUCER_CPU);
    if (lttng_ust_tracepoint_enabled(ada_bench, event) == options.disabled)
        bench_check(-ENODATA, options.disabled ? "LTTng records" : "LTTng does not record");

    if (options.disabled) {
        bench_report_init(&report, "peer-lttng-disabled");
        load.name = "LTTng-UST, disabled, over the empty loop";
        bench_load_off(&report, &load, options.rounds);
    } else {
        bench_report_init(&report, "peer-lttng");
        load.name = "LTTng-UST";
        bench_load_paced(&report, &load, options.rounds);
        load.name = "LTTng-UST, flat out";
        bench_load_flat_out(&report, &load, options.rounds / 20 + 1, options.operations);
    }
    bench_report_print(&report, options.json);
    return 0;
}
