/* SPDX-License-Identifier: MIT */
/*
 * From three numbers to one: a hash table without removal, open addressing, at most half full. All zero is an empty one. What
 * attacks it can do is to make it slow, not wrong: keys come from files, and the hash has no secret.
 */
#ifndef ADA_REPORT_KEY_MAP_H
#define ADA_REPORT_KEY_MAP_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct KeyMapEntry {
    uint64_t a;
    uint64_t b;
    uint32_t c;
    uint32_t value; /* 0: free */
} KeyMapEntry;

typedef struct KeyMap {
    KeyMapEntry *entries;
    size_t mask;
    size_t count;
} KeyMap;

#define KEY_MAP_FIRST 64u /* entries; a power of two */

static inline size_t key_map_hash(uint64_t a, uint64_t b, uint32_t c)
{
    uint64_t hash = (a ^ (a >> 32)) * UINT64_C(0x9e3779b97f4a7c15) + b;

    hash = (hash ^ (hash >> 29) ^ c) * UINT64_C(0xff51afd7ed558ccd);
    return (size_t)(hash ^ (hash >> 32));
}

/* Where the key is, or would be. There must be entries. */
static inline KeyMapEntry *key_map_place(const KeyMap *map, uint64_t a, uint64_t b, uint32_t c)
{
    for (size_t at = key_map_hash(a, b, c);; at++) {
        KeyMapEntry *entry = &map->entries[at & map->mask];

        if (entry->value == 0 || (entry->a == a && entry->b == b && entry->c == c))
            return entry;
    }
}

/* The value of a key; 0: it has none. */
static inline uint32_t key_map_find(const KeyMap *map, uint64_t a, uint64_t b, uint32_t c)
{
    return map->entries ? key_map_place(map, a, b, c)->value : 0;
}

/* Sets the value, which is not 0, of a key. 0, or -ENOMEM with everything as before. */
static inline int key_map_set(KeyMap *map, uint64_t a, uint64_t b, uint32_t c, uint32_t value)
{
    KeyMapEntry *entry;

    if (!map->entries || 2 * (map->count + 1) > map->mask) {
        KeyMap grown = {.mask = (map->entries ? 2 * (map->mask + 1) : KEY_MAP_FIRST) - 1};

        grown.entries = calloc(grown.mask + 1, sizeof(*grown.entries));
        if (!grown.entries)
            return -ENOMEM;
        for (size_t i = 0; map->entries && i <= map->mask; i++) {
            const KeyMapEntry *old = &map->entries[i];

            if (old->value != 0)
                *key_map_place(&grown, old->a, old->b, old->c) = *old;
        }
        grown.count = map->count;
        free(map->entries);
        *map = grown;
    }
    entry = key_map_place(map, a, b, c);
    map->count += entry->value == 0;
    *entry = (KeyMapEntry){a, b, c, value};
    return 0;
}

static inline void key_map_fini(KeyMap *map)
{
    free(map->entries);
    *map = (KeyMap){0};
}

#endif
