/* SPDX-License-Identifier: MIT */
/* Asking the opener. For the files of this folder; opener_is_used() holds. */
#ifndef ADA_ACCESS_OPENER_CLIENT_H
#define ADA_ACCESS_OPENER_CLIENT_H

#include "user/access/opener_message.h"

/* A further conversation, which the caller ends. 0 or -errno. */
int opener_begin(int *conversation_out);

/*
 * Ends it, and waits until what it had begun is undone: a moment for BPF programs. For hooks, which may hang in the kernel, close(2) does.
 */
void opener_end(int conversation);

/*
 * One question and its answer; conversation -1: this thread's. The result of the reply, whose descriptors are the caller's then; or -errno of the
 * way there, without any.
 */
int opener_ask(int conversation, const OpenerRequest *request, int descriptor, OpenerReply *reply,
               int descriptors[OPENER_DESCRIPTORS_MAX]);

/* The same where the answer has one descriptor if it succeeds: that, or -errno. */
int opener_ask_descriptor(const OpenerRequest *request, int descriptor, OpenerReply *reply);

/* Adds a string to the request. -ENAMETOOLONG. */
int opener_add_text(OpenerRequest *request, const char *text);

/* opener_process.c: what process_segments.h and process_identity.h say, by the opener. */
int opener_identity(pid_t pid, ProcessIdentity *identity_out);
int opener_find(pid_t pid, bool by_tasks, SegmentPlaces *places_out);
int opener_open(pid_t pid, const SegmentPlace *place);
int opener_take(int pidfd, pid_t pid, int number);
bool opener_any(pid_t pid);
bool opener_has(pid_t pid, const SegmentPlace *place);
void opener_program(pid_t pid, char *path, size_t size);

#endif
