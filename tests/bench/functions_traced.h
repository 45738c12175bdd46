/* SPDX-License-Identifier: MIT */
/* The function whose calls bench_functions measures: instrumented, and not. */
#ifndef ADA_BENCH_FUNCTIONS_TRACED_H
#define ADA_BENCH_FUNCTIONS_TRACED_H

#include <stdint.h>

uint64_t functions_traced(uint64_t argument);
uint64_t functions_plain(uint64_t argument);

#endif
