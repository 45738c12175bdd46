/* SPDX-License-Identifier: MIT */
/* The longest of many spans: a heap of fixed size. */
#ifndef ADA_REPORT_TOP_SPANS_H
#define ADA_REPORT_TOP_SPANS_H

#include "user/report/span_builder.h"

typedef struct TopSpans {
    Span *spans;
    size_t count;
    size_t most;
} TopSpans;

/* -ENOMEM. */
int top_spans_init(TopSpans *top, size_t most);
void top_spans_fini(TopSpans *top);

/* Of spans that are equally long those that were added first are kept. Spans whose duration is not known are left out. */
void top_spans_add(TopSpans *top, const Span *span);

/* Orders them, the longest first; of equal ones the earliest. Once, at the end. */
void top_spans_finish(TopSpans *top);

#endif
