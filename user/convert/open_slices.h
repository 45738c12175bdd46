/* SPDX-License-Identifier: MIT */
/*
 * The slices - calls of functions, and spans - that a thread is in, for formats whose readers take the end that comes next for the end of
 * the slice that began last. Where ends were lost, ends have to be put in; where a beginning was lost, its end has to be left out.
 *
 * Each event says at which depth it happened, which the thread counted whatever was recorded. So what is open at that depth or deeper
 * when something begins has ended, and so has what is deeper than something that ends.
 */
#ifndef ADA_CONVERT_OPEN_SLICES_H
#define ADA_CONVERT_OPEN_SLICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/event_abi.h"

typedef struct OpenSlice {
    uint64_t id;
    uint32_t depth;
    bool function;
} OpenSlice;

/* Zero it before its first use. At most one slice for each depth is open, or one more of the deepest that an event can tell. */
typedef struct OpenSlices {
    OpenSlice *items;
    size_t count;
    size_t capacity;
} OpenSlices;

void open_slices_fini(OpenSlices *slices);

/* A slice begins; *missing_out: so many that are open end before it. 0 or -ENOMEM, and then nothing has changed. */
int open_slices_begin(OpenSlices *slices, const AdaIndexEvent *event, size_t *missing_out);

/*
 * A slice ends; *missing_out: so many that are open within it end before it. true: it was open; false: it was not, and has no
 * beginning to be an end of.
 */
bool open_slices_end(OpenSlices *slices, const AdaIndexEvent *event, size_t *missing_out);

/* Nothing more comes of the thread: returns how many are open, and forgets them. */
size_t open_slices_close(OpenSlices *slices);

#endif
