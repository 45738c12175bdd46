/* SPDX-License-Identifier: MIT */
/*
 * What is loaded while the program runs: its functions are to have names, too.
 *
 * Nobody tells when the dynamic linker is done, and what it has loaded can only be asked where no signal handler and no
 * lock of its own is in the way. So dlopen() is noted as it begins, and what it brought is looked at in the next call that
 * has to do with it: dlsym(), which hardly any dlopen() is without, the next dlopen(), dlclose(), or the program's end.
 *
 * dlopen() and dlsym() look at who calls them. So each is left by a jump: it finds the program's return address.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>

#include <adatrace/adatrace.h>

/* Nothing counts in them what was run, either: there is no place for that behind a jump. */
#define HOOK __attribute__((visibility("default"), no_instrument_function, no_profile_instrument_function))

/* See CMakeLists.txt for how this file is compiled; test_functions.sh shows that they are jumps. */
#if defined(__has_attribute) && __has_attribute(musttail)
#define JUMP __attribute__((musttail)) return
#else
#define JUMP return
#endif

/* dlsym()'s versions of glibc 2.34 and before, each of some architecture. */
static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17", "GLIBC_2.27", "GLIBC_2.0"};

typedef struct Real {
    void *(*open)(const char *file, int mode);
    void *(*open_in)(Lmid_t nsid, const char *file, int mode);
    int (*close)(void *handle);
    void *(*symbol)(void *handle, const char *name);
} Real;

static Real real;
static unsigned loads; /* 1: some have begun that nobody has looked at */
/* The same of this thread's: another one may have looked before ours was there. */
static __thread bool loaded __attribute__((tls_model("initial-exec")));

/* Threads that come here at once store the same. `symbol` comes last: it says that all are there. */
static void resolve(void)
{
    void *(*symbol)(void *, const char *) = NULL;
    Real found;

    for (size_t i = 0; !symbol && i < sizeof(versions) / sizeof(versions[0]); i++)
        symbol = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", versions[i]);
    if (!symbol)
        abort(); /* a C library that is not glibc: nothing here was built for it */
    found.open = (void *(*)(const char *, int))symbol(RTLD_NEXT, "dlopen");
    found.open_in = (void *(*)(Lmid_t, const char *, int))symbol(RTLD_NEXT, "dlmopen");
    found.close = (int (*)(void *))symbol(RTLD_NEXT, "dlclose");
    __atomic_store_n(&real.open, found.open, __ATOMIC_RELAXED);
    __atomic_store_n(&real.open_in, found.open_in, __ATOMIC_RELAXED);
    __atomic_store_n(&real.close, found.close, __ATOMIC_RELAXED);
    __atomic_store_n(&real.symbol, symbol, __ATOMIC_RELEASE);
}

static inline void be_ready(void)
{
    if (!__atomic_load_n(&real.symbol, __ATOMIC_ACQUIRE))
        resolve();
}

static void look(void)
{
    if (!loaded && !__atomic_load_n(&loads, __ATOMIC_RELAXED))
        return;
    loaded = false;
    __atomic_store_n(&loads, 0u, __ATOMIC_RELAXED);
    ada_modules_update();
}

static inline void note_load(void)
{
    loaded = true;
    __atomic_store_n(&loads, 1u, __ATOMIC_RELAXED);
}

HOOK void *dlopen(const char *file, int mode)
{
    be_ready();
    look();
    if (file && !(mode & RTLD_NOLOAD))
        note_load();
    JUMP real.open(file, mode);
}

HOOK void *dlmopen(Lmid_t nsid, const char *file, int mode)
{
    be_ready();
    look();
    note_load();
    JUMP real.open_in(nsid, file, mode);
}

HOOK void *dlsym(void *handle, const char *name)
{
    be_ready();
    look();
    JUMP real.symbol(handle, name);
}

HOOK int dlclose(void *handle)
{
    be_ready();
    look();
    JUMP real.close(handle);
}

/* Before the client library's own end, which is loaded longer than we are. */
__attribute__((destructor)) static void at_end(void)
{
    look();
}
