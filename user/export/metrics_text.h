/* SPDX-License-Identifier: MIT */
/*
 * Figures as text for Prometheus and what understands its formats. What each number means stands in docs/metrics.md.
 *
 * Sessions that have names are told apart by the label `session`, the first one of each sample. However many threads a session
 * has, series of single threads are those of METRICS_TEXT_THREADS; the others are summed. They are gauges, because who is among
 * them changes, and a counter must not go backwards.
 */
#ifndef ADA_EXPORT_METRICS_TEXT_H
#define ADA_EXPORT_METRICS_TEXT_H

#include <stdio.h>

#include "user/metrics/metrics_feed.h"

#define METRICS_TEXT_THREADS 32u /* of a session */

enum metrics_text_format {
    METRICS_TEXT_PROMETHEUS,  /* text/plain; version=0.0.4 */
    METRICS_TEXT_OPENMETRICS, /* application/openmetrics-text; version=1.0.0 */
};

/* The value of Content-Type. */
const char *metrics_text_type(enum metrics_text_format format);

/* The format that an Accept header asks for; the older one if it does not say. NULL: there is no header. */
enum metrics_text_format metrics_text_choose(const char *accept);

/* Errors stay in the stream (ferror). -ENOMEM: nothing was written. */
int metrics_text_write(const MetricsView *view, enum metrics_text_format format, FILE *out);

#endif
