/* SPDX-License-Identifier: MIT */
/*
 * Ticks to nanoseconds: straight lines between clock anchors, going on beyond the first and the last
 * with the slope between those two. Never decreases; no input overflows.
 */
#ifndef ADA_READER_CLOCK_H
#define ADA_READER_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/file/adat_format.h"

typedef struct ClockPoint {
    uint64_t tsc;
    int64_t monotonic;
    int64_t realtime; /* ahead of monotonic by this */
    double slope;     /* nanoseconds per tick up to the next point */
} ClockPoint;

typedef struct ClockLine {
    ClockPoint *points;
    size_t count;
    size_t capacity;
    size_t rejected; /* anchors that went backwards or were absurd */
    int64_t base; /* of monotonic: where time starts to count; negative if that was before the machine was started */
    double slope;        /* beyond the ends */
    uint64_t read_error; /* ns; of the anchor whose clocks were read furthest apart */
    uint64_t bend;       /* ns; how far an anchor is at most from the line between those beside it */
    /* without anchors */
    uint64_t base_ticks;
    uint64_t base_realtime;
} ClockLine;

/* Takes in the next anchor of the file. 0 or -ENOMEM. */
int clock_line_add(ClockLine *line, const AdatClock *anchor);

/* Whether it is not later than the last one. */
bool clock_line_is_behind(const ClockLine *line, const AdatClock *anchor);

/* All anchors are in. The last two say where time starts if there was none. */
void clock_line_finish(ClockLine *line, uint64_t first_ticks, uint64_t created_realtime_ns);
void clock_line_fini(ClockLine *line);

/*
 * Counts from where `before` does, which is finished as well, and earlier: by CLOCK_MONOTONIC; or by CLOCK_REALTIME if the machine was
 * started anew between the two, or suspended. Without anchors on either side nothing is done.
 */
void clock_line_continue(ClockLine *line, const ClockLine *before);

/* The cycle counter can be converted. */
bool clock_line_has_tsc(const ClockLine *line);

/*
 * By how much times of the cycle counter and of CLOCK_MONOTONIC may be out of step, in ns: as the clocks were read, and as the rate of
 * one against the other changed between anchors. 0 without anchors, when there is nothing to be compared.
 */
uint64_t clock_line_error(const ClockLine *line);

/* Nanoseconds since the base. `hint`, 0 at first, makes conversions near the last one cheap. */
int64_t clock_line_convert(const ClockLine *line, uint32_t clock_kind, uint64_t ticks, size_t *hint);

/* Nanoseconds since the base to nanoseconds of CLOCK_REALTIME. */
uint64_t clock_line_realtime(const ClockLine *line, int64_t time_ns);

#endif
