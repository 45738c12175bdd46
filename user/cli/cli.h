/* SPDX-License-Identifier: MIT */
/*
 * What the commands have in common: exit statuses, errors, the end of the output. A command is
 * `int cmd_NAME(int argc, char **argv)` in cmd_NAME.c, with its name as argv[0], and returns the exit status.
 *
 * An error is one line on stderr: what failed, on what, why, and what to do.
 */
#ifndef ADA_CLI_CLI_H
#define ADA_CLI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "user/base/out_buffer.h"

#define CLI_OK 0
#define CLI_FAILURE 1
#define CLI_USAGE 2 /* the command line is wrong; nothing was done */

int cmd_record(int argc, char **argv);
int cmd_attach(int argc, char **argv);
int cmd_mark(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_session(int argc, char **argv); /* start, stop, detach, rotate, snapshot */
int cmd_info(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_view(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_diff(int argc, char **argv);

/* "adatrace COMMAND: text"; COMMAND may be NULL. */
void cli_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As cli_error(), and where to find help. Returns CLI_USAGE. */
int cli_usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Says what getopt_long() did not like, which has returned '?' or ':' with opterr = 0 and an option
 * string that starts with ':'. Returns CLI_USAGE.
 */
int cli_option_error(const char *command, int result, char **argv);

/*
 * Takes the one operand that remains after the options. CLI_OK, or CLI_USAGE with the error said.
 */
int cli_take_file(const char *command, int argc, char **argv, const char **path_out);

/* Whether to use colour on a stream: a terminal, and NO_COLOR is not set. */
bool cli_use_color(FILE *stream);

/*
 * To be called by commands that write to stdout, before they do: a reader that goes away (| head) then
 * makes writing fail instead of killing the command.
 */
void cli_begin_output(void);

/*
 * Has writing to stdout failed? `errno` must still be that of the write. Long outputs ask this now and
 * then, to stop.
 */
bool cli_output_failed(void);

/* Flushes a buffer before stdout, and notes for cli_end_output() if that failed. 0, or -errno of the first failure there was. */
int cli_flush_output(OutBuffer *out);

/*
 * Flushes stdout and returns the exit status: `status`; CLI_OK when the reader went away, having
 * seen enough; CLI_FAILURE, with the error said, when writing failed otherwise.
 */
int cli_end_output(const char *command, int status);

#endif
