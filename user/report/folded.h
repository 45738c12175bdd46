/* SPDX-License-Identifier: MIT */
/* Folded stacks, as flame graphs are drawn from: one line for each place in the tree of calls of each thread. */
#ifndef ADA_REPORT_FOLDED_H
#define ADA_REPORT_FOLDED_H

#include <stdio.h>

#include "user/reader/adat_cursor.h"
#include "user/reader/symbols.h"

/*
 * Deeper calls count for the one that is so deep in a line: a line of a recursion without end would be of no use, and
 * all of them together as long as the square of its depth.
 */
#define FOLDED_DEPTH_MAX 1024u

/*
 * Writes "PROGRAM-PID;THREAD-TID;FUNCTION;FUNCTION... NS" for each place in which time was spent, with the nanoseconds that were spent there and not
 * deeper. Spans whose duration is not known (see call_tree.h) have no line of their own, nor has what they spent themselves. Names have ":" for ";", "?" for
 * bytes that are no text.
 *
 * `symbols` NULL: functions are called by module and offset. `config` NULL = everything. 0; -ENOMEM; errors as adat_cursor_next(). Errors
 * of writing are the stream's.
 */
int folded_write(const AdatSet *set, AdatSymbols *symbols, const AdatCursorConfig *config, FILE *out);

#endif
