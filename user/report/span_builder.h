/* SPDX-License-Identifier: MIT */
/*
 * Pairs begins with ends: events in the order of a cursor become spans, of functions and of registered events alike.
 *
 *   span_builder_create()   with what is to be called for each span
 *   span_builder_add()      each event of a cursor over all kinds, in its order
 *   span_builder_finish()   what is still open ends here
 *   span_builder_counts()   what was paired, and what could not be
 *
 * Each thread has a stack. What a signal handler does lies within what it interrupted, and so do its spans. Files of a recording go on with
 * the stacks; a slot that is used again is another thread; what the kernel tells of a thread (scheduler, system calls) has a stack of its own.
 *
 * Invariants:
 *   1. Each begin becomes one span, whatever is missing: begins = complete + early + unwound + cut + lost + unsure + overflowed.
 *   2. Each end is accounted for: ends = complete + early + unsure + unmatched_ends + overflowed_ends.
 *   3. A span without any of SPAN_INCOMPLETE has both its ends, and between them no event of its thread is missing. Its duration is exact.
 *   4. Of one thread spans are closed inner ones first, and a span lies within its parent, unless one of them is incomplete.
 *
 * An end closes the innermost open span of its name; for functions, the innermost one with its call site, if there is one. Open
 * ones within are closed by it as unwound: they were left by longjmp(3) or an exception at some time before. An end without an open span changes
 * nothing: it began before the recording did. After a loss (AdatEvent.after_loss) all open spans of the thread are unsure: their end may have been lost,
 * and the next end of that name be another's. They go on as parents of what follows, until the depth that events carry says that they are
 * gone: then they are lost. If their end comes they are unsure, and their duration is no figure to be relied on.
 *
 * What is looked at may begin later than the events do (SpanBuilderConfig.from_ns). Spans that were over by then are SPAN_PAST and count for nothing; those that
 * reach into it are SPAN_EARLY, and count from there on: the part of them that was before is in no duration and no self time.
 *
 * Memory: the stacks, of at most SPAN_DEPTH_MAX spans each and SPAN_OPEN_MAX in all. Begins beyond are overflowed: they and as many ends are
 * counted, and nothing else. An end looks at SPAN_SEARCH_MAX spans at most, so no file makes it slow.
 *
 * One thread uses a builder; readers must live longer.
 */
#ifndef ADA_REPORT_SPAN_BUILDER_H
#define ADA_REPORT_SPAN_BUILDER_H

#include "user/reader/adat_cursor.h"

#define SPAN_DEPTH_MAX 32768u
#define SPAN_OPEN_MAX (1u << 21)
#define SPAN_SEARCH_MAX 1024u

/* Span.flags: what it is, and what its end is worth. At most one of those in SPAN_INCOMPLETE. */
#define SPAN_FUNCTION \
    0x01u /* `id` is a code address; else it is one of the ids that events of that name have in the process */
#define SPAN_UNWOUND 0x02u /* closed by the end of an outer one: it ended at some time before end_ns */
#define SPAN_CUT 0x04u     /* never ended: end_ns is where its thread, its process or the recording did */
#define SPAN_LOST \
    0x08u /* events were lost, and its end with them or not: it was open until end_ns at least */
#define SPAN_UNSURE 0x10u /* events were lost within it, so its end may be that of a later one of its name */
#define SPAN_EARLY \
    0x20u /* began before what is looked at, or is recorded (ADA_FLAG_EARLIER); else it would be complete */
#define SPAN_PAST 0x40u /* was over before that: with or without another one */
#define SPAN_INCOMPLETE (SPAN_UNWOUND | SPAN_CUT | SPAN_LOST | SPAN_UNSURE | SPAN_EARLY)

typedef struct Span {
    const AdatReader *reader;
    const AdatThreadInfo *thread;
    const AdatProcessInfo *process;
    uint64_t id;
    uint64_t argument; /* of its begin */
    uint64_t result;   /* argument of its end; 0: it has none of its own */
    int64_t begin_ns;  /* since the first clock anchor */
    int64_t end_ns;    /* not before begin_ns */
    int64_t counted_ns; /* its duration counts from here on: its begin, or a later time if it is early or past */
    uint64_t self_ns;    /* of its duration, without the spans directly within it */
    uint64_t number;     /* 1.., in the order of begins */
    uint64_t parent;     /* number of the span that it is directly in; 0: none is known */
    uint32_t depth;      /* spans that it is in, as far as they are known */
    uint32_t flags;      /* SPAN_* */
    uint64_t tag;        /* as opened() set it */
    uint64_t parent_tag; /* the parent's; 0: it has none */
} Span;

static inline uint64_t span_duration(const Span *span)
{
    return (uint64_t)span->end_ns - (uint64_t)span->counted_ns;
}

/* Whether its duration may be added up: it was open for at least so long. Not so if it ended at an unknown time before its end_ns. */
static inline bool span_has_time(const Span *span)
{
    return (span->flags & (SPAN_UNWOUND | SPAN_UNSURE)) == 0;
}

typedef struct SpanBuilderConfig {
    /* A span begins: its end, self time and result are 0 yet. May set `tag`. NULL = not wanted. 0, or < 0, which span_builder_add() returns. */
    int (*opened)(Span *span, void *context);
    /* A span has ended. NULL = not wanted. As opened(). */
    int (*closed)(const Span *span, void *context);
    void *context;
    int64_t from_ns; /* what is looked at begins here; INT64_MIN: with the first event */
    int64_t to_ns;   /* spans are not cut later than this; that of the cursor */
} SpanBuilderConfig;

/* Of what is looked at. */
typedef struct SpanCounts {
    uint64_t begins; /* those before it, too, of spans that reach into it */
    uint64_t ends;
    uint64_t complete;
    uint64_t early;
    uint64_t unwound;
    uint64_t cut;
    uint64_t lost;
    uint64_t unsure;
    uint64_t unmatched_ends;
    uint64_t overflowed; /* begins that are no spans, for want of room */
    uint64_t overflowed_ends;
} SpanCounts;

typedef struct SpanBuilder SpanBuilder;

/* -ENOMEM. */
int span_builder_create(const SpanBuilderConfig *config, SpanBuilder **builder_out);

/* NULL is allowed. Nothing is called for spans that are open. */
void span_builder_destroy(SpanBuilder *builder);

/* Takes the next event. 0; -ENOMEM; what a callback returned. After an error the builder may only be destroyed. */
int span_builder_add(SpanBuilder *builder, const AdatEvent *event);

/* When what a thread has not ended is cut: when it ended, or its process, or else at `last_ns`, the recording's last event. */
int64_t span_cut_time(const AdatReader *reader, const AdatThreadInfo *thread, const AdatProcessInfo *process,
                      int64_t last_ns);

/* Closes what is open. Once, after the last event. Errors as span_builder_add(). */
int span_builder_finish(SpanBuilder *builder);

/* The invariants above hold after span_builder_finish(). */
SpanCounts span_builder_counts(const SpanBuilder *builder);

#endif
