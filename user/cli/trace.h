/* SPDX-License-Identifier: MIT */
/* What the commands that read traces share. */
#ifndef ADA_CLI_TRACE_H
#define ADA_CLI_TRACE_H

#include "user/base/json.h"
#include "user/reader/adat_set.h"

/* CLI_OK, or CLI_FAILURE with the error said. A directory is opened if at least one file in it can be read. */
int trace_open(const char *command, const char *path, AdatSet **set_out);

/*
 * Says on stderr of which files only a prefix, or nothing, could be read. A torn tail is what a killed recorder
 * leaves, and no failure, nor is a file that was removed meanwhile: CLI_OK. Other damage is: CLI_FAILURE.
 */
int trace_report_damage(const char *command, const char *path, const AdatSet *set);

/* Says why the events of a trace could not be read to the end: an error of adat_cursor_next(). */
void trace_report_unreadable(const char *command, const char *path, int error);

/* Warns of events that were left out as their files were removed meanwhile, if there are any. */
void trace_report_vanished(const char *command, const char *path, uint64_t events);

#define TRACE_LABEL_SIZE 5200u

/*
 * What a file is called in messages: "DIR/NAME", where a directory was given, with the name escaped as by trace_put_text(): it need
 * not be the user's.
 */
void trace_label(const char *path, bool in_directory, const char *name, char label[TRACE_LABEL_SIZE]);

/* A path that a trace tells of, for messages: escaped as by trace_put_text(), and cut if it is very long. */
void trace_escape(const char *text, char label[TRACE_LABEL_SIZE]);

/* Lines on stdout about files that were not read; nothing if there are none. */
void trace_put_left_out(const char *path, const AdatSetLeftOut *left_out);

/* Members "foreign_files", "copies", "vanished_files", "empty_files". */
void trace_json_left_out(JsonWriter *json, const AdatSetLeftOut *left_out);

/*
 * A member "key": {"scheduler": ..., "iterations": ..., ...}, or null without a summary. "latency_us" is null
 * in it when latencies are not known.
 */
void trace_json_drain(JsonWriter *json, const char *key, const AdatDrainSummary *drain);

/* A member "key": {"visits": ..., ...}: how one thread fared; or null without it. */
void trace_json_thread_drain(JsonWriter *json, const char *key, const AdatThreadDrain *drain);

/* "exit", "signal", "exec", "detached" or "unknown", for ADAT_DEATH_*. */
const char *trace_death_name(uint32_t kind);

/*
 * Members "death": {"end": ..., "exit_status": ..., ...} and "kernel": {"run_s": ..., ...} of one thread; null where nothing
 * is known, and both without `death`.
 */
void trace_json_thread_death(JsonWriter *json, const AdatKernelThread *death);

/* A member "key": {"enabled": ..., "reason": ..., ...}; or null without it. */
void trace_json_kernel(JsonWriter *json, const char *key, const AdatKernelSummary *kernel);

/* The exit status that a shell would show for a process (128 + signal), or -1 when it is not known. */
int trace_exit_status(const AdatProcessInfo *process);

/* Text of a trace for a terminal: what is not plain UTF-8 text is escaped, and quotes and backslashes too. */
void trace_put_text(FILE *out, const char *text, size_t size);

#endif
