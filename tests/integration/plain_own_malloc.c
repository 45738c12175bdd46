/* SPDX-License-Identifier: MIT */
/* A program with an allocator of its own: nothing that it frees may come from elsewhere. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "plain_support.h"

#define HEAP_SIZE ((size_t)64 << 20)

static _Alignas(16) char heap[HEAP_SIZE];
static size_t heap_used;
static unsigned frees;

void *malloc(size_t size)
{
    size_t start = __atomic_fetch_add(&heap_used, (size + 31) & ~(size_t)15, __ATOMIC_RELAXED);

    memcpy(heap + start, &size, sizeof(size));
    return heap + start + 16;
}

void free(void *pointer)
{
    if (!pointer)
        return;
    if ((uintptr_t)pointer - (uintptr_t)heap >= HEAP_SIZE) {
        (void)!write(2, "a stranger was freed\n", 21);
        _exit(98);
    }
    __atomic_fetch_add(&frees, 1, __ATOMIC_RELAXED);
}

void *calloc(size_t count, size_t size)
{
    return malloc(count * size); /* zeroed, as nothing is reused */
}

void *realloc(void *pointer, size_t size)
{
    void *moved = malloc(size);
    size_t old = 0;

    if (pointer) {
        memcpy(&old, (char *)pointer - 16, sizeof(old));
        memcpy(moved, pointer, old < size ? old : size);
        free(pointer);
    }
    return moved;
}

static void *work(void *argument)
{
    char *text = strdup(argument);

    text = realloc(text, 1000);
    return text;
}

int main(void)
{
    static char name[] = "from the program's heap";
    pthread_t thread;
    void *text;

    for (int i = 0; i < 20; i++) {
        REQUIRE(pthread_create(&thread, NULL, work, name) == 0);
        REQUIRE(pthread_join(thread, &text) == 0);
        REQUIRE((uintptr_t)text - (uintptr_t)heap < HEAP_SIZE);
        free(text);
    }
    printf("%s, freed: %d\n", name, frees >= 20);
    return 0;
}
