/* SPDX-License-Identifier: MIT */
/*
 * Small numbers, 0, 1, 2 ..., for keys of two words, in the order in which the keys are first seen. Open addressing; grows by doubling.
 */
#ifndef ADA_BASE_ID_MAP_H
#define ADA_BASE_ID_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct IdMapEntry {
    uint64_t a;
    uint64_t b;
    uint32_t number; /* plus 1; 0: the place is free */
} IdMapEntry;

/* Zero it before its first use. */
typedef struct IdMap {
    IdMapEntry *entries;
    size_t capacity; /* a power of two */
    size_t count;
} IdMap;

/* 1: the key is new, and *number_out what `count` was before; 0: it is known; -ENOMEM. */
int id_map_add(IdMap *map, uint64_t a, uint64_t b, uint32_t *number_out);

/* false: the key is not known. */
bool id_map_find(const IdMap *map, uint64_t a, uint64_t b, uint32_t *number_out);

/* Forgets all keys; numbers begin with 0 again. */
void id_map_clear(IdMap *map);
void id_map_fini(IdMap *map);

#endif
