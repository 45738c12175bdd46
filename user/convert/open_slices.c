/* SPDX-License-Identifier: MIT */
#include "user/convert/open_slices.h"

#include <errno.h>
#include <stdlib.h>

#include "user/base/array.h"

#define DEPTH_MAX 0xffffu /* events that are deeper say so, too */
#define SEARCHED_MAX 64u  /* slices around the one that should end */

void open_slices_fini(OpenSlices *slices)
{
    free(slices->items);
    *slices = (OpenSlices){0};
}

static bool is_function(const AdaIndexEvent *event)
{
    uint32_t kind = ADA_WORD_KIND(event->word);

    return kind == ADA_KIND_FUNCTION_ENTRY || kind == ADA_KIND_FUNCTION_EXIT;
}

/* How many are open at this depth or deeper. */
static size_t count_from(const OpenSlices *slices, uint32_t depth)
{
    size_t count = 0;

    while (count < slices->count && slices->items[slices->count - 1 - count].depth >= depth)
        count++;
    return count;
}

int open_slices_begin(OpenSlices *slices, const AdaIndexEvent *event, size_t *missing_out)
{
    uint32_t depth = ADA_WORD_DEPTH(event->word);
    size_t missing = count_from(slices, depth);

    if (array_reserve_one(&slices->items, &slices->capacity, slices->count, sizeof(*slices->items)))
        return -ENOMEM;
    slices->count -= missing;
    slices->items[slices->count++] =
        (OpenSlice){.id = event->id, .depth = depth, .function = is_function(event)};
    *missing_out = missing;
    return 0;
}

bool open_slices_end(OpenSlices *slices, const AdaIndexEvent *event, size_t *missing_out)
{
    uint32_t depth = ADA_WORD_DEPTH(event->word);
    size_t deeper = depth < DEPTH_MAX ? count_from(slices, depth + 1) : 0;

    /* At its depth, as a rule; further out if a program ended spans in another order than it had begun them. */
    for (size_t i = deeper; i < slices->count && i < deeper + SEARCHED_MAX; i++) {
        const OpenSlice *slice = &slices->items[slices->count - 1 - i];

        if (slice->id == event->id && slice->function == is_function(event)) {
            slices->count -= i + 1;
            *missing_out = i;
            return true;
        }
    }
    slices->count -= deeper;
    *missing_out = deeper;
    return false;
}

size_t open_slices_close(OpenSlices *slices)
{
    size_t count = slices->count;

    slices->count = 0;
    return count;
}
