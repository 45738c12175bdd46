/* SPDX-License-Identifier: MIT */
#include "user/report/top_spans.h"

#include <errno.h>
#include <stdlib.h>

int top_spans_init(TopSpans *top, size_t most)
{
    *top = (TopSpans){.most = most};
    top->spans = calloc(most + 1, sizeof(*top->spans));
    return top->spans ? 0 : -ENOMEM;
}

void top_spans_fini(TopSpans *top)
{
    free(top->spans);
    *top = (TopSpans){0};
}

/* < 0: `a` stands in front of `b` at the end. */
static int compare(const void *a, const void *b)
{
    const Span *left = a, *right = b;
    uint64_t left_ns = span_duration(left), right_ns = span_duration(right);

    if (left_ns != right_ns)
        return left_ns > right_ns ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* The heap has the one that goes first at its top. */
static void sift_down(TopSpans *top, size_t at)
{
    Span span = top->spans[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= top->count)
            break;
        if (child + 1 < top->count && compare(&top->spans[child + 1], &top->spans[child]) > 0)
            child++;
        if (compare(&top->spans[child], &span) <= 0)
            break;
        top->spans[at] = top->spans[child];
        at = child;
    }
    top->spans[at] = span;
}

void top_spans_add(TopSpans *top, const Span *span)
{
    if (!span_has_time(span))
        return;
    if (top->count < top->most) {
        top->spans[top->count++] = *span;
        for (size_t i = top->count == top->most ? top->count / 2 : 0; i > 0; i--)
            sift_down(top, i - 1);
    } else if (top->most > 0 && compare(span, &top->spans[0]) < 0) {
        top->spans[0] = *span;
        sift_down(top, 0);
    }
}

void top_spans_finish(TopSpans *top)
{
    qsort(top->spans, top->count, sizeof(*top->spans), compare);
}
