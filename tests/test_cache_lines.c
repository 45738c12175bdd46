/* SPDX-License-Identifier: MIT */
/* Lines that enter and leave the caches: what they hold stays, and nothing beside them is touched. */
#include "test_support.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/drain/cache_lines.h"

/* A page between two that nobody may touch. */
static char *guarded_page(size_t size)
{
    char *pages = mmap(NULL, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CU_ASSERT_FATAL(pages != MAP_FAILED);
    CU_ASSERT_EQUAL_FATAL(mprotect(pages + size, size, PROT_READ | PROT_WRITE), 0);
    return pages + size;
}

static void cache_lines_evict__any_range__then_contents_stay_and_no_page_beside_is_touched(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    char *page = guarded_page(size);

    for (size_t i = 0; i < size; i++)
        page[i] = (char)(i * 7);
    for (size_t begin = 0; begin < 200; begin++) {
        cache_lines_evict(page + begin, 0);
        cache_lines_evict(page + begin, 1);
        cache_lines_evict(page + begin, size - begin); /* to the last byte */
        cache_lines_evict(page + size - 1 - begin, begin + 1);
    }
    cache_lines_evict(page + size, 0); /* the page behind is nobody's */
    cache_lines_give_up(page, size);
    for (size_t i = 0; i < size; i++)
        CU_ASSERT_EQUAL_FATAL(page[i], (char)(i * 7));
    CU_ASSERT_EQUAL(munmap(page - size, 3 * size), 0);
}

static void cache_lines_prefetch__nobody_s_memory__then_harmless(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    char *page = guarded_page(size);

    cache_lines_prefetch(page - size, 3 * size);
    CU_ASSERT_EQUAL(munmap(page - size, 3 * size), 0);
}

static const TestCase tests[] = {
    TEST(cache_lines_evict__any_range__then_contents_stay_and_no_page_beside_is_touched),
    TEST(cache_lines_prefetch__nobody_s_memory__then_harmless),
};
TEST_MAIN("cache_lines", tests)
