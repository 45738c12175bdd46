/* SPDX-License-Identifier: MIT */
/* The tracepoint that peer_lttng measures: three integers. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER ada_bench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "tests/bench/peer_lttng_provider.h"

#if !defined(ADA_BENCH_PEER_LTTNG_PROVIDER_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define ADA_BENCH_PEER_LTTNG_PROVIDER_H

#include <lttng/tracepoint.h>

/* clang-format off */
LTTNG_UST_TRACEPOINT_EVENT(
    ada_bench, event,
    LTTNG_UST_TP_ARGS(uint64_t, id, uint64_t, argument, uint32_t, word),
    LTTNG_UST_TP_FIELDS(
        lttng_ust_field_integer(uint64_t, id, id)
        lttng_ust_field_integer(uint64_t, argument, argument)
        lttng_ust_field_integer(uint32_t, word, word)
    )
)
/* clang-format on */

#endif

#include <lttng/tracepoint-event.h>
