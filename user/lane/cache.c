/* SPDX-License-Identifier: MIT */
#include "user/lane/cache.h"

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <cpuid.h>

#define CACHE_LINE 64u
#define CPUID_FEATURES 7u /* Intel SDM vol. 2A, AMD APM vol. 3: EBX bit 23 = CLFLUSHOPT */
#define CPUID_CLFLUSHOPT (1u << 23)

static bool has_clflushopt;

__attribute__((constructor)) static void detect(void)
{
    unsigned eax, ebx, ecx, edx;

    has_clflushopt = __get_cpuid_count(CPUID_FEATURES, 0, &eax, &ebx, &ecx, &edx) && (ebx & CPUID_CLFLUSHOPT);
}

void ada_cache_evict(const void *begin, size_t bytes)
{
    const char *line = (const char *)begin - ((uintptr_t)begin & (CACHE_LINE - 1));

    if (!has_clflushopt)
        return;
    for (const char *end = (const char *)begin + bytes; line < end; line += CACHE_LINE)
        __asm__ volatile("clflushopt %0" : : "m"(*line));
}

#else

void ada_cache_evict(const void *begin, size_t bytes)
{
    (void)begin;
    (void)bytes;
}

#endif
