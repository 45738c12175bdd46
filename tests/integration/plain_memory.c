/* SPDX-License-Identifier: MIT */
/* The heap and mappings: contents, alignment, errno of what is refused; before main() and by many threads. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plain_support.h"

enum { WORKERS = 4, BLOCKS = 200, ROUNDS = 50000 };

/* Not constants: the compiler must neither warn of them nor drop the calls. */
static volatile size_t huge = SIZE_MAX / 2, page = 4096, three = 3, small = 100;
static char *early;

__attribute__((constructor)) static void before_main(void)
{
    early = strdup("allocated before main");
}

static int all_zero(const char *block, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (block[i])
            return 0;
    return 1;
}

static void heap(void)
{
    char *block = malloc(small), *moved, *zeroed;
    void *aligned = NULL;

    printf("%s\n", early);
    free(early);
    memset(block, 'a', small);
    moved = realloc(block, small * 1000);
    printf("kept by realloc: %.10s\n", moved);
    moved = reallocarray(moved, 10, small);
    printf("kept by reallocarray: %.10s\n", moved);
    zeroed = calloc(small, 10);
    printf("zeroed by calloc: %d\n", all_zero(zeroed, small * 10));
    printf("usable: %d\n", malloc_usable_size(zeroed) >= small * 10);
    free(zeroed);
    free(moved);
    free(NULL);

    block = aligned_alloc(64, 640);
    printf("aligned_alloc: %d\n", (int)((uintptr_t)block % 64));
    free(block);
    block = memalign(page, small);
    printf("memalign: %d\n", (int)((uintptr_t)block % 4096));
    free(block);
    REPORT(posix_memalign(&aligned, 128, small));
    printf("posix_memalign: %d\n", (int)((uintptr_t)aligned % 128));
    free(aligned);

    errno = PLAIN_ERRNO;
    free(malloc(small));
    printf("errno after malloc and free: %d\n", errno);
    REPORT_POINTER(malloc(huge));
    REPORT_POINTER(calloc(huge, three));
    REPORT_POINTER(realloc(NULL, huge));
    REPORT_POINTER(reallocarray(NULL, huge, three));
    REPORT_POINTER(aligned_alloc(64, huge));
    REPORT(posix_memalign(&aligned, three, small));
    REPORT(posix_memalign(&aligned, 64, huge));
}

static void mappings(void)
{
    size_t size = page * 4;
    char *first = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *second = mmap64(NULL, size * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *moved;

    REQUIRE(first != MAP_FAILED && second != MAP_FAILED);
    strcpy(first, "mapped");
    moved = mremap(first, size, size * 2, MREMAP_MAYMOVE | MREMAP_FIXED, second);
    printf("moved where it should: %d, contents: %s\n", moved == second, moved);
    REPORT(madvise(moved, size, MADV_DONTNEED));
    printf("dropped: %d\n", moved[0] == 0);
    REPORT(munmap(moved, size * 2));

    REPORT(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    REPORT(mmap(NULL, size, PROT_READ, MAP_PRIVATE, 12345, 0) == MAP_FAILED);
    REPORT(mremap((void *)1, size, size, MREMAP_MAYMOVE) == MAP_FAILED);
    REPORT(munmap((void *)1, size));
    REPORT(madvise((void *)1, size, MADV_NORMAL));
}

static void *churn(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    char *blocks[BLOCKS] = {NULL};
    uint64_t sum = 0;

    for (int i = 0; i < ROUNDS; i++) {
        unsigned at, size;

        seed = seed * 1103515245u + 12345u;
        at = seed >> 16 & 0x7fffu;
        size = at % 700 + 1;
        at %= BLOCKS;
        if (blocks[at])
            sum = sum * 31 + (unsigned char)blocks[at][0];
        blocks[at] = i % 3 ? realloc(blocks[at], size) : (free(blocks[at]), malloc(size));
        blocks[at][0] = (char)i;
    }
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return (void *)(uintptr_t)(sum & 0xffffffffu);
}

int main(void)
{
    pthread_t threads[WORKERS];
    void *sum;

    heap();
    mappings();
    for (int i = 0; i < WORKERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, churn, (void *)(uintptr_t)(i + 1)) == 0);
    for (int i = 0; i < WORKERS; i++) {
        REQUIRE(pthread_join(threads[i], &sum) == 0);
        printf("thread %d: %lx\n", i, (unsigned long)(uintptr_t)sum);
    }
    return 3;
}
