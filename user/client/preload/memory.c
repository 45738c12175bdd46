/* SPDX-License-Identifier: MIT */
/*
 * Group `memory`: the heap, and mappings made by the program. A span begins with the size that is asked
 * for and ends with the address; free() is an instant with the address.
 *
 * Finding the real malloc() may take memory: dlsym() of older C libraries calls calloc(). Until malloc() is
 * known, requests are served from a small static arena. Nothing of that is ever reused: such a block is
 * recognized by its address, and freeing it does nothing.
 */
#include "user/client/preload/preload.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GRAIN 16u
#define ARENA_SIZE (64u << 10)

typedef struct ArenaBlock {
    size_t size;
    size_t reserved;
} ArenaBlock;
_Static_assert(sizeof(ArenaBlock) == GRAIN, "what follows a block's head is aligned");

static _Alignas(GRAIN) char arena[ARENA_SIZE];
static size_t arena_used;

static bool arena_owns(const void *pointer)
{
    return (uintptr_t)pointer - (uintptr_t)arena < ARENA_SIZE;
}

/* Zeroed memory, as the arena is never reused. */
static void *arena_allocate(size_t size)
{
    ArenaBlock *block;
    size_t needed, start;

    if (size <= ARENA_SIZE) {
        needed = sizeof(*block) + ((size + GRAIN - 1) & ~(size_t)(GRAIN - 1));
        start = ada_fetch_add_relaxed(&arena_used, needed); /* no order needed: who got the bytes owns them */
        if (start <= ARENA_SIZE && needed <= ARENA_SIZE - start) {
            block = (ArenaBlock *)(void *)(arena + start);
            block->size = size;
            return block + 1;
        }
    }
    errno = ENOMEM;
    return NULL;
}

static void *arena_calloc(size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return arena_allocate(bytes);
}

/* Moves a block of the arena to wherever malloc() allocates by now. */
static void *arena_move(const void *pointer, size_t size)
{
    const ArenaBlock *block = (const ArenaBlock *)pointer - 1;
    void *moved = malloc(size);

    if (moved)
        memcpy(moved, pointer, size < block->size ? size : block->size);
    return moved;
}

/* The real realloc() and free() until they are known; the arena's own blocks do not come here. */
static void *arena_realloc(void *pointer, size_t size)
{
    if (pointer) {
        errno = ENOMEM;
        return NULL;
    }
    return malloc(size);
}

static void arena_free(void *pointer)
{
    (void)pointer;
}

PRELOAD_EVENT(malloc, ADA_EVENT_SPAN_BEGIN)
PRELOAD_WRAP(MEMORY, malloc, NULL, arena_allocate, malloc, void *, POINTER, size, (size_t size), (size))

PRELOAD_EVENT(calloc, ADA_EVENT_SPAN_BEGIN)
PRELOAD_WRAP(MEMORY, calloc, NULL, arena_calloc, calloc, void *, POINTER, count *size,
             (size_t count, size_t size), (count, size))

PRELOAD_EVENT(realloc, ADA_EVENT_SPAN_BEGIN)
PRELOAD_SYMBOL(realloc, NULL, arena_realloc)

static __attribute__((noinline)) void *traced_realloc(void *pointer, size_t size){
    PRELOAD_CALL(MEMORY, realloc, realloc, void *, POINTER, size, (pointer, size))}

PRELOAD_EXPORT void *realloc(void *pointer, size_t size)
{
    if (__builtin_expect(arena_owns(pointer), 0))
        return arena_move(pointer, size);
    if (!preload_wanted(PRELOAD_MEMORY))
        return PRELOAD_REAL(realloc)(pointer, size);
    return traced_realloc(pointer, size);
}

PRELOAD_EVENT(free, ADA_EVENT_INSTANT)
PRELOAD_SYMBOL(free, NULL, arena_free)

/* free(NULL) is not recorded: libc makes many such calls at a thread's very end, when its lane is closed. */
static __attribute__((noinline)) void traced_free(void *pointer)
{
    if (preload_on(PRELOAD_MEMORY) && pointer)
        preload_record(&preload_event_free, ADA_EVENT_INSTANT, PRELOAD_ARGUMENT(pointer));
    PRELOAD_REAL(free)(pointer);
}

PRELOAD_EXPORT void free(void *pointer)
{
    if (__builtin_expect(arena_owns(pointer), 0))
        return;
    if (!preload_wanted(PRELOAD_MEMORY))
        PRELOAD_REAL(free)(pointer);
    else
        traced_free(pointer);
}

/* libc's own calls realloc(), which recognizes the arena. */
SPAN(MEMORY, reallocarray, void *, POINTER, count *size, (void *pointer, size_t count, size_t size),
     (pointer, count, size))

SPAN(MEMORY, aligned_alloc, void *, POINTER, size, (size_t alignment, size_t size), (alignment, size))
SPAN(MEMORY, memalign, void *, POINTER, size, (size_t alignment, size_t size), (alignment, size))
SPAN(MEMORY, posix_memalign, int, ERROR, size, (void **pointer, size_t alignment, size_t size),
     (pointer, alignment, size))

SPAN(MEMORY, mmap, void *, MAPPED, size,
     (void *address, size_t size, int protection, int flags, int fd, off_t offset),
     (address, size, protection, flags, fd, offset))
TWIN(MEMORY, mmap64, mmap, void *, MAPPED, size,
     (void *address, size_t size, int protection, int flags, int fd, off64_t offset),
     (address, size, protection, flags, fd, offset))
SPAN(MEMORY, munmap, int, ERRNO, address, (void *address, size_t size), (address, size))
SPAN(MEMORY, madvise, int, ERRNO, address, (void *address, size_t size, int advice), (address, size, advice))

PRELOAD_EVENT(mremap, ADA_EVENT_SPAN_BEGIN)
PRELOAD_SYMBOL(mremap, NULL, preload_missing)
PRELOAD_EXPORT void *mremap(void *old_address, size_t old_size, size_t size, int flags, ...)
{
    void *address = NULL;

    if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
        va_list rest;

        va_start(rest, flags);
        address = va_arg(rest, void *);
        va_end(rest);
    }
    PRELOAD_CALL(MEMORY, mremap, mremap, void *, MAPPED, size, (old_address, old_size, size, flags, address))
}
