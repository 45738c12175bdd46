/* SPDX-License-Identifier: MIT */
/* Folded stacks, for flame graphs: user/report/folded.h. */
#include "user/convert/convert.h"
#include "user/report/folded.h"

static int folded_whole(const AdatSet *set, const EventWalkConfig *walk, FILE *out)
{
    return folded_write(set, walk->symbols, &walk->cursor, out);
}

const ConvertFormat convert_folded = {
    .name = "folded",
    .what = "folded stacks with nanoseconds, for flame graphs",
    .whole = folded_whole,
};
