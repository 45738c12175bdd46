/* SPDX-License-Identifier: MIT */
/*
 * Puts names of functions into traces that are complete, so that they can be read where the files of the traced programs are not.
 *
 * Of each file the addresses of its events are collected, functions and where they were called; what the files of their modules call them goes
 * behind what is in it (user/file/adat_append.h). So nothing is done while events are recorded, and the recorder itself never looks into files
 * that traced programs name. Memory is bounded by EMBED_ADDRESSES_MAX.
 */
#ifndef ADA_CLI_EMBED_SYMBOLS_H
#define ADA_CLI_EMBED_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

#define EMBED_ADDRESSES_MAX (1u << 20) /* different ones in a file: functions behind them have no names */

/*
 * `path` is the file, or with `is_directory` the directory, whose files are each done by themselves. Files have to be ours. What could not be done is said; the
 * trace is as good as before then. Interrupts wait while a file is written.
 */
void embed_symbols(const char *command, const char *path, bool is_directory);

#endif
