/* SPDX-License-Identifier: MIT */
/* What the commands that read traces share. */
#ifndef ADA_CLI_TRACE_H
#define ADA_CLI_TRACE_H

#include "user/base/json.h"
#include "user/reader/adat_reader.h"

/* CLI_OK, or CLI_FAILURE with the error said. */
int trace_open(const char *command, const char *path, AdatReader **reader_out);

/*
 * Says on stderr if only a prefix of the file could be read. A torn tail is what a killed recorder
 * leaves, and no failure: CLI_OK. Other damage is: CLI_FAILURE.
 */
int trace_report_cut(const char *command, const char *path, const AdatReader *reader);

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
