/* SPDX-License-Identifier: MIT */
#include "tests/bench/functions_traced.h"

/* Only this file is compiled with -finstrument-functions. */
uint64_t functions_traced(uint64_t argument)
{
    return argument + 1;
}

__attribute__((no_instrument_function, noinline)) uint64_t functions_plain(uint64_t argument)
{
    return argument + 1;
}
