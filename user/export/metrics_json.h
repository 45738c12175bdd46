/* SPDX-License-Identifier: MIT */
/*
 * A snapshot as one JSON object on one line, "version": 1. Members are only ever added. Of a service:
 * {"version":1,"sessions":[...]}, with such an object for each session, whose first members are "session" and "state".
 *
 * Names are those of `adatrace record --json`: `events` and `detail` are accounts, `drain` tells of the drain, and
 * per thread and process the same with their rates. Names of threads are repaired to UTF-8.
 */
#ifndef ADA_EXPORT_METRICS_JSON_H
#define ADA_EXPORT_METRICS_JSON_H

#include <stdio.h>

#include "user/base/json.h"
#include "user/metrics/metrics_feed.h"

#define METRICS_JSON_VERSION 1u

/* Threads of one line at most, the first ones of each snapshot; the rest is counted in "threads_omitted". */
#define METRICS_JSON_THREADS_MAX 4096u

/* Errors stay in the stream (ferror). */
void metrics_json_write(const MetricsSnapshot *snapshot, FILE *out);
void metrics_json_write_view(const MetricsView *view, FILE *out);

/* The same object as a member of one that is open, or an item. */
void metrics_json_put(const MetricsSnapshot *snapshot, JsonWriter *json, const char *key);

#endif
