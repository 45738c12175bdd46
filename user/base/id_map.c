/* SPDX-License-Identifier: MIT */
#include "user/base/id_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64u

/* Mixes all bits of both words into the high ones, and these down: keys are pointers and counters. */
static size_t hash_of(uint64_t a, uint64_t b)
{
    uint64_t hash = (a ^ (b << 29 | b >> 35)) * 0x9e3779b97f4a7c15u;

    hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
    return (size_t)(hash ^ hash >> 32);
}

/* The place of a key, or the free one where it belongs. There is always a free one. */
static IdMapEntry *find_place(const IdMap *map, uint64_t a, uint64_t b)
{
    for (size_t at = hash_of(a, b);; at++) {
        IdMapEntry *entry = &map->entries[at & (map->capacity - 1)];

        if (entry->number == 0 || (entry->a == a && entry->b == b))
            return entry;
    }
}

static int grow(IdMap *map)
{
    IdMap grown = {.capacity = map->capacity ? 2 * map->capacity : FIRST_CAPACITY, .count = map->count};

    if (grown.count >= UINT32_MAX)
        return -ENOMEM;
    grown.entries = calloc(grown.capacity, sizeof(*grown.entries));
    if (!grown.entries)
        return -ENOMEM;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->entries[i].number != 0)
            *find_place(&grown, map->entries[i].a, map->entries[i].b) = map->entries[i];
    free(map->entries);
    *map = grown;
    return 0;
}

int id_map_add(IdMap *map, uint64_t a, uint64_t b, uint32_t *number_out)
{
    IdMapEntry *entry;

    if (map->count >= map->capacity / 2 && grow(map))
        return -ENOMEM;
    entry = find_place(map, a, b);
    if (entry->number != 0) {
        *number_out = entry->number - 1;
        return 0;
    }
    *entry = (IdMapEntry){.a = a, .b = b, .number = (uint32_t)++map->count};
    *number_out = entry->number - 1;
    return 1;
}

bool id_map_find(const IdMap *map, uint64_t a, uint64_t b, uint32_t *number_out)
{
    const IdMapEntry *entry = map->count > 0 ? find_place(map, a, b) : NULL;

    if (!entry || entry->number == 0)
        return false;
    *number_out = entry->number - 1;
    return true;
}

void id_map_clear(IdMap *map)
{
    if (map->count > 0)
        memset(map->entries, 0, map->capacity * sizeof(*map->entries));
    map->count = 0;
}

void id_map_fini(IdMap *map)
{
    free(map->entries);
    *map = (IdMap){0};
}
