/* SPDX-License-Identifier: MIT */
/*
 * libadatrace-functions: what compilers call on entry and exit of every function of a program built
 * with -finstrument-functions. Link it, or preload it in front of libc's empty functions.
 *
 * Both are tail calls into the client library. The call site is passed on: it tells apart the
 * callers of a function. Never built with instrumentation itself, which would not end.
 */
#include <adatrace/adatrace.h>

#define HOOK __attribute__((visibility("default"), no_instrument_function))

HOOK void __cyg_profile_func_enter(void *function, void *call_site);
HOOK void __cyg_profile_func_exit(void *function, void *call_site);

void __cyg_profile_func_enter(void *function, void *call_site)
{
    if (ada_enabled())
        ada_function_entry(function, call_site);
}

void __cyg_profile_func_exit(void *function, void *call_site)
{
    if (ada_enabled())
        ada_function_exit(function, call_site);
}
