/* SPDX-License-Identifier: MIT */
/* The live view of `adatrace top` on a terminal, by ncurses. */
#ifndef ADA_CLI_TOP_SCREEN_H
#define ADA_CLI_TOP_SCREEN_H

#include <stdint.h>

#include "user/cli/live_report.h"
#include "user/cli/top_view.h"

/*
 * Shows the recording, anew each `interval_ms`, until the user quits or it has ended.
 * 0; -errno of the last report, with the terminal as before.
 */
int top_screen_run(const LiveSource *source, TopView *view, uint32_t interval_ms);

#endif
