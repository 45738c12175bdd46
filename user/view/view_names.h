/* SPDX-License-Identifier: MIT */
/*
 * Texts that are kept once, with a number each: names, and what the fields of events say. Numbers count from 0 in the order in which texts came;
 * number 0 is the empty text. All zeros, but for `bytes_max`, is an empty table.
 */
#ifndef ADA_VIEW_NAMES_H
#define ADA_VIEW_NAMES_H

#include <stddef.h>
#include <stdint.h>

typedef struct ViewText {
    size_t offset;
    uint32_t size;
    uint32_t hash;
} ViewText;

typedef struct ViewNames {
    size_t bytes_max; /* of all texts together */
    char *bytes;
    size_t bytes_count;
    size_t bytes_capacity;
    ViewText *texts;
    size_t count;
    size_t capacity;
    uint32_t *slots;   /* hash table: number + 1, 0 = free */
    size_t slot_count; /* a power of 2 */
} ViewNames;

/* The number of a text of any bytes. 0; -ENOSPC: it is new and there is no more room, and *number_out is 0; -ENOMEM. */
int view_names_intern(ViewNames *names, const char *text, size_t size, uint32_t *number_out);

static inline const char *view_names_text(const ViewNames *names, size_t number, size_t *size_out)
{
    *size_out = names->texts[number].size;
    return names->bytes + names->texts[number].offset;
}

void view_names_free(ViewNames *names);

#endif
