/* SPDX-License-Identifier: MIT */
#include "user/client/preload/preload.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/announce_abi.h"

/* Provided by the linker: the array of all PreloadSymbol. */
extern PreloadSymbol __start_preload_symbols[] __attribute__((visibility("hidden")));
extern PreloadSymbol __stop_preload_symbols[] __attribute__((visibility("hidden")));

static const struct {
    const char *name;
    uint32_t group;
} group_names[] = {
    {"io", PRELOAD_IO},
    {"lock", PRELOAD_LOCK},
    {"thread", PRELOAD_THREAD},
    {"memory", PRELOAD_MEMORY},
};

uint32_t preload_groups = UINT32_MAX;

long preload_missing(void)
{
    errno = ENOSYS;
    return -1;
}

/*
 * dlsym(RTLD_NEXT) finds what the program would have called, but of several versions of a symbol it takes
 * the oldest: for condition variables, those of LinuxThreads. A version that this machine's libc never had
 * leaves one candidate only.
 */
static PreloadFunction find_real(const PreloadSymbol *symbol)
{
    void *found = NULL;

    if (symbol->version)
        found = dlvsym(RTLD_NEXT, symbol->name, symbol->version);
    if (!found)
        found = dlsym(RTLD_NEXT, symbol->name);
    return (PreloadFunction)found;
}

/* Groups in a comma-separated list; unknown names are no errors here: `adatrace record` has refused them. */
static uint32_t parse_groups(const char *list)
{
    uint32_t groups = 0;

    while (list && *list) {
        size_t length = strcspn(list, ",");

        for (size_t i = 0; i < sizeof(group_names) / sizeof(group_names[0]); i++)
            if (strlen(group_names[i].name) == length && memcmp(group_names[i].name, list, length) == 0)
                groups |= group_names[i].group;
        list += length + (list[length] == ',');
    }
    return groups;
}

/*
 * Threads that come here at once store the same values; the groups are stored last, and only they send
 * callers past this function.
 */
uint32_t preload_resolve(void)
{
    static __thread bool resolving __attribute__((tls_model("initial-exec")));
    uint32_t groups;
    int saved_errno = errno;

    if (resolving)
        return 0;
    resolving = true;
    for (PreloadSymbol *symbol = __start_preload_symbols; symbol != __stop_preload_symbols; symbol++) {
        PreloadFunction real = find_real(symbol);

        if (real)
            symbol->real = real;
    }
    groups = environ ? parse_groups(getenv(ADA_ENV_PRELOAD)) : 0;
    resolving = false;
    errno = saved_errno;

    /* Pairs with the acquires in preload.h. Before libc has its environment, the groups stay unknown. */
    if (environ)
        ada_store_release(&preload_groups, groups);
    return groups;
}

/* Registers the first thread, so that a program that calls none of the functions shows up, too. */
__attribute__((constructor)) static void preload_init(void)
{
    uint32_t groups = ada_load_acquire(&preload_groups);

    if ((groups & PRELOAD_UNRESOLVED) != 0)
        groups = preload_resolve();
    if (groups != 0 && preload_enter()) {
        (void)ada_thread_init();
        preload_leave();
    }
}
