/* SPDX-License-Identifier: MIT */
/* One instant on the clocks that a trace knows. */
#ifndef ADA_COLLECTOR_CLOCK_ANCHOR_H
#define ADA_COLLECTOR_CLOCK_ANCHOR_H

#include "user/file/adat_format.h"

/* Reads all clocks as close together as a few tries allow; error_ns says how close that was. */
void clock_anchor_take(AdatClock *anchor);

#endif
