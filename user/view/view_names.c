/* SPDX-License-Identifier: MIT */
#include "user/view/view_names.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/array.h"

#define SLOTS_FIRST 256u

/* FNV-1a. */
static uint32_t hash_text(const char *text, size_t size)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash;
}

/* The slot of a text, or the free one where it would go. */
static uint32_t *find_slot(const ViewNames *names, const char *text, size_t size, uint32_t hash)
{
    size_t mask = names->slot_count - 1, at = hash & mask;

    for (; names->slots[at] != 0; at = (at + 1) & mask) {
        const ViewText *known = &names->texts[names->slots[at] - 1];

        if (known->hash == hash && known->size == size && memcmp(names->bytes + known->offset, text, size) == 0)
            break;
    }
    return &names->slots[at];
}

static int grow_slots(ViewNames *names)
{
    size_t grown = names->slot_count ? names->slot_count * 2 : SLOTS_FIRST;
    uint32_t *slots = calloc(grown, sizeof(*slots));

    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < names->count; i++) {
        size_t at = names->texts[i].hash & (grown - 1);

        while (slots[at] != 0)
            at = (at + 1) & (grown - 1);
        slots[at] = (uint32_t)(i + 1);
    }
    free(names->slots);
    names->slots = slots;
    names->slot_count = grown;
    return 0;
}

static int reserve_bytes(ViewNames *names, size_t size)
{
    size_t grown = names->bytes_capacity ? names->bytes_capacity : 4096;
    char *memory;

    if (names->bytes && names->bytes_capacity - names->bytes_count >= size)
        return 0;
    while (grown - names->bytes_count < size)
        grown *= 2;
    memory = realloc(names->bytes, grown);
    if (!memory)
        return -ENOMEM;
    names->bytes = memory;
    names->bytes_capacity = grown;
    return 0;
}

static int add_text(ViewNames *names, const char *text, size_t size, uint32_t hash)
{
    int error = reserve_bytes(names, size);

    if (!error)
        error = array_reserve_one(&names->texts, &names->capacity, names->count, sizeof(*names->texts));
    if (error)
        return error;
    if (size > 0)
        memcpy(names->bytes + names->bytes_count, text, size);
    names->texts[names->count++] =
        (ViewText){.offset = names->bytes_count, .size = (uint32_t)size, .hash = hash};
    names->bytes_count += size;
    return 0;
}

int view_names_intern(ViewNames *names, const char *text, size_t size, uint32_t *number_out)
{
    uint32_t hash = hash_text(text, size), *slot;
    int error = 0;

    if (names->slot_count == 0 || names->count >= names->slot_count / 2)
        error = grow_slots(names);
    if (!error && names->count == 0) {
        error = add_text(names, "", 0, hash_text("", 0));
        if (!error)
            *find_slot(names, "", 0, hash_text("", 0)) = 1;
    }
    if (error)
        return error;
    slot = find_slot(names, text, size, hash);
    if (*slot == 0) {
        *number_out = 0;
        if (size > names->bytes_max - names->bytes_count || names->count >= UINT32_MAX - 1)
            return -ENOSPC;
        error = add_text(names, text, size, hash);
        if (error)
            return error;
        *slot = (uint32_t)names->count;
    }
    *number_out = *slot - 1;
    return 0;
}

void view_names_free(ViewNames *names)
{
    free(names->bytes);
    free(names->texts);
    free(names->slots);
    *names = (ViewNames){.bytes_max = names->bytes_max};
}
