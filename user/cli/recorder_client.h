/* SPDX-License-Identifier: MIT */
/*
 * Recordings that run: finding them, and asking them something (shared/announce_abi.h).
 *
 * Recorders of other users are not found, and do not answer; root's questions are answered by all.
 * Functions return 0 or -errno and print nothing, but for recorder_client_explain().
 */
#ifndef ADA_CLI_RECORDER_CLIENT_H
#define ADA_CLI_RECORDER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/announce_abi.h"

#define RECORDER_PATH_MAX 108u /* of a socket's address */

/*
 * The socket of the recorder under which a process was started. -ENOENT: no such process; -ENODATA: it was not
 * started under a recorder; -ENAMETOOLONG; -ENOMEM; errors of reading /proc/PID/environ.
 */
int recorder_client_find(uint64_t pid, char path[RECORDER_PATH_MAX]);

/*
 * The sockets of the recorders that run, an allocated array for the caller to free, in the order of their names.
 * -ENOMEM; errors of reading /proc/net/unix.
 */
int recorder_client_list(char (**paths_out)[RECORDER_PATH_MAX], size_t *count_out);

/*
 * Asks, and waits some seconds for the answer. `descriptor_out` (NULL: none is expected) gets the descriptor that came with it,
 * the caller's to close, or -1. -ECONNREFUSED, -ENOENT: the recorder is gone; -EACCES: it hung up, as it does to users that
 * may not ask; -ECONNRESET, -EPIPE: it ended while we asked; -EAGAIN: no answer in time.
 */
int recorder_client_ask(const char *path, uint32_t type, uint32_t pid, AnnounceMessage *answer_out,
                        int *descriptor_out);

/* Whether an error of recorder_client_ask() means that the recorder has ended. */
bool recorder_client_is_gone(int error);

/* Says for a command why recorder_client_find() failed. */
void recorder_client_explain(const char *command, uint64_t pid, int error);

#endif
