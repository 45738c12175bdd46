/* SPDX-License-Identifier: MIT */
#include "user/drain/cache_lines.h"

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <cpuid.h>

#define CPUID_FEATURES 7u /* Intel SDM vol. 2A, AMD APM vol. 3: EBX bit 23 = CLFLUSHOPT */
#define CPUID_CLFLUSHOPT (1u << 23)

static bool has_clflushopt, eviction_pays;

__attribute__((constructor)) static void detect(void)
{
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    bool is_amd = __get_cpuid(0, &eax, &ebx, &ecx, &edx) && ebx == signature_AMD_ebx &&
                  edx == signature_AMD_edx && ecx == signature_AMD_ecx;

    has_clflushopt = __get_cpuid_count(CPUID_FEATURES, 0, &eax, &ebx, &ecx, &edx) && (ebx & CPUID_CLFLUSHOPT);
    eviction_pays = is_amd;
}

void cache_lines_evict(const void *begin, size_t bytes)
{
    size_t ahead = (uintptr_t)begin & (CACHE_LINE - 1);
    const char *line = (const char *)begin - ahead;
    size_t count = has_clflushopt && bytes > 0 ? (ahead + bytes + CACHE_LINE - 1) / CACHE_LINE : 0;

    for (size_t i = 0; i < count; i++)
        __asm__ volatile("clflushopt %0" : : "m"(line[i * CACHE_LINE]));
}

void cache_lines_give_up(const void *begin, size_t bytes)
{
    cache_lines_evict(begin, eviction_pays ? bytes : 0);
}

#else

void cache_lines_evict(const void *begin, size_t bytes)
{
    (void)begin;
    (void)bytes;
}

void cache_lines_give_up(const void *begin, size_t bytes)
{
    (void)begin;
    (void)bytes;
}

#endif
