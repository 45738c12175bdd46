/* SPDX-License-Identifier: MIT */
/* Arrays that grow: makes room for one more item, doubling. */
#ifndef ADA_BASE_ARRAY_H
#define ADA_BASE_ARRAY_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * `items` points to the pointer to the first item; the array has room for `*capacity` items of
 * `item_bytes` and holds `count`. 0, or -ENOMEM with everything as before.
 */
static inline int array_reserve_one(void *items, size_t *capacity, size_t count, size_t item_bytes)
{
    size_t grown = *capacity ? *capacity * 2 : 16;
    void *old, *memory;

    memcpy(&old, items, sizeof(old));
    if (old && count < *capacity)
        return 0;
    memory = reallocarray(old, grown, item_bytes);
    if (!memory)
        return -ENOMEM;
    memcpy(items, &memory, sizeof(memory));
    *capacity = grown;
    /* cppcheck-suppress memleak; the caller's pointer has it now */
    return 0;
}

#endif
