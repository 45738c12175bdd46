/* SPDX-License-Identifier: MIT */
#include "user/reader/clock.h"

#include <stdlib.h>

#include "user/base/array.h"

/* No time is further from zero than this, so that differences of two of them fit. 146 years. */
#define TIME_LIMIT ((int64_t)1 << 62)

static int64_t clamp(double value, int64_t limit)
{
    if (value >= (double)limit)
        return limit;
    if (value <= -(double)limit)
        return -limit;
    return (int64_t)value;
}

static int64_t difference(uint64_t a, uint64_t b)
{
    if (a >= b)
        return a - b < (uint64_t)TIME_LIMIT ? (int64_t)(a - b) : TIME_LIMIT;
    return b - a < (uint64_t)TIME_LIMIT ? -(int64_t)(b - a) : -TIME_LIMIT;
}

/* The same of ticks that are nanoseconds and a base of either sign. */
static int64_t since(uint64_t ns, int64_t base)
{
    if (base >= 0)
        return difference(ns, (uint64_t)base);
    return ns < (uint64_t)TIME_LIMIT / 2 ? (int64_t)ns - base : TIME_LIMIT;
}

/* Nothing comes before what came before it, and nothing is beyond all time. */
static bool is_acceptable(const ClockLine *line, const AdatClock *anchor)
{
    const ClockPoint *last;

    if (anchor->monotonic_ns >= (uint64_t)TIME_LIMIT || anchor->realtime_ns >= (uint64_t)TIME_LIMIT)
        return false;
    if (line->count == 0)
        return true;
    last = &line->points[line->count - 1];
    return (int64_t)anchor->monotonic_ns > last->monotonic &&
           (anchor->tsc > last->tsc || (anchor->tsc == 0 && last->tsc == 0));
}

bool clock_line_is_behind(const ClockLine *line, const AdatClock *anchor)
{
    return line->count > 0 && anchor->monotonic_ns <= (uint64_t)line->points[line->count - 1].monotonic;
}

int clock_line_add(ClockLine *line, const AdatClock *anchor)
{
    int err;

    if (!is_acceptable(line, anchor)) {
        line->rejected++;
        return 0;
    }
    err = array_reserve_one(&line->points, &line->capacity, line->count, sizeof(*line->points));
    if (err)
        return err;
    if (anchor->error_ns < (uint64_t)TIME_LIMIT && anchor->error_ns > line->read_error)
        line->read_error = anchor->error_ns;
    line->points[line->count++] = (ClockPoint){
        .tsc = anchor->tsc,
        .monotonic = (int64_t)anchor->monotonic_ns,
        .realtime = (int64_t)anchor->realtime_ns - (int64_t)anchor->monotonic_ns,
    };
    return 0;
}

static double slope_between(const ClockPoint *a, const ClockPoint *b)
{
    return a->tsc < b->tsc ? (double)(b->monotonic - a->monotonic) / (double)(b->tsc - a->tsc) : 1.0;
}

static uint64_t greatest_bend(const ClockLine *line)
{
    int64_t greatest = 0;

    for (size_t i = 1; i + 1 < line->count; i++) {
        const ClockPoint *before = &line->points[i - 1], *point = &line->points[i],
                         *after = &line->points[i + 1];
        double straight = (double)(point->tsc - before->tsc) * slope_between(before, after);
        int64_t off = clamp((double)(point->monotonic - before->monotonic) - straight, TIME_LIMIT / 2);

        if (off < 0)
            off = -off;
        if (off > greatest)
            greatest = off;
    }
    return (uint64_t)greatest;
}

void clock_line_finish(ClockLine *line, uint64_t first_ticks, uint64_t created_realtime_ns)
{
    line->base_ticks = first_ticks;
    line->base_realtime = created_realtime_ns;
    line->slope = 1.0;
    if (line->count == 0)
        return;
    line->base = line->points[0].monotonic;
    for (size_t i = 0; i + 1 < line->count; i++)
        line->points[i].slope = slope_between(&line->points[i], &line->points[i + 1]);
    line->slope = slope_between(&line->points[0], &line->points[line->count - 1]);
    line->bend = greatest_bend(line);
}

/* How much further ahead of CLOCK_MONOTONIC the time of day may be when neither was a cause to doubt that they are the same clocks. */
#define SAME_CLOCKS_NS INT64_C(1000000000)

/* The furthest that a base may be before the machine's start, so that no time since it overflows: 36 years. */
#define BASE_LEAST (-(TIME_LIMIT / 4))

void clock_line_continue(ClockLine *line, const ClockLine *before)
{
    const ClockPoint *first, *last;
    int64_t ahead, base;

    if (line->count == 0 || before->count == 0)
        return;
    first = &line->points[0];
    last = &before->points[before->count - 1];
    if (__builtin_sub_overflow(first->realtime, last->realtime, &ahead))
        return;
    if (first->monotonic >= before->points[0].monotonic && ahead <= SAME_CLOCKS_NS)
        base = before->base;
    else if (__builtin_sub_overflow(before->base, ahead, &base) || base > TIME_LIMIT)
        base = ahead < 0 ? TIME_LIMIT : BASE_LEAST;
    line->base = base < BASE_LEAST ? BASE_LEAST : base;
}

uint64_t clock_line_error(const ClockLine *line)
{
    return line->read_error + line->bend; /* each below TIME_LIMIT */
}

void clock_line_fini(ClockLine *line)
{
    free(line->points);
    *line = (ClockLine){0};
}

bool clock_line_has_tsc(const ClockLine *line)
{
    return line->count > 1 && line->points[line->count - 1].tsc != 0;
}

/* The last point at or before `ticks`, which is not before the first. */
static size_t find_by_tsc(const ClockLine *line, uint64_t ticks, size_t hint)
{
    size_t low = 0, high = line->count; /* the point is in [low, high) */

    if (hint < line->count && line->points[hint].tsc <= ticks) {
        low = hint;
        if (hint + 1 < line->count && ticks < line->points[hint + 1].tsc)
            return hint;
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (line->points[middle].tsc <= ticks)
            low = middle;
        else
            high = middle;
    }
    return low;
}

int64_t clock_line_convert(const ClockLine *line, uint32_t clock_kind, uint64_t ticks, size_t *hint)
{
    const ClockPoint *point;

    if (line->count == 0)
        return difference(ticks, line->base_ticks);
    if (clock_kind == ADA_CLOCK_MONOTONIC)
        return since(ticks, line->base);

    point = &line->points[0];
    if (ticks < point->tsc)
        return point->monotonic - line->base -
               clamp((double)(point->tsc - ticks) * line->slope, TIME_LIMIT / 2);

    *hint = find_by_tsc(line, ticks, *hint);
    point = &line->points[*hint];
    if (*hint + 1 == line->count)
        return point->monotonic - line->base +
               clamp((double)(ticks - point->tsc) * line->slope, TIME_LIMIT / 2);
    /* Rounding must not carry it beyond the next point, where the next line starts. */
    return point->monotonic - line->base +
           clamp((double)(ticks - point->tsc) * point->slope, point[1].monotonic - point->monotonic);
}

uint64_t clock_line_realtime(const ClockLine *line, int64_t time_ns)
{
    size_t low = 0, high = line->count;
    int64_t ahead, sum;

    if (line->count == 0) {
        if (time_ns < 0 && 0 - (uint64_t)time_ns > line->base_realtime)
            return 0;
        return line->base_realtime + (uint64_t)time_ns;
    }
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (line->points[middle].monotonic - line->base <= time_ns)
            low = middle;
        else
            high = middle;
    }
    ahead = line->points[low].realtime;
    if (low + 1 < line->count && time_ns > line->points[low].monotonic - line->base) {
        const ClockPoint *a = &line->points[low], *b = a + 1;
        double part = (double)(time_ns + line->base - a->monotonic) / (double)(b->monotonic - a->monotonic);

        ahead += (int64_t)(part * (double)(b->realtime - a->realtime));
    }
    if (__builtin_add_overflow(line->base, time_ns, &sum) || __builtin_add_overflow(sum, ahead, &sum) || sum < 0)
        return 0;
    return (uint64_t)sum;
}
