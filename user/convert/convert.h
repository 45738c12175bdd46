/* SPDX-License-Identifier: MIT */
/*
 * Converts a set of traces to a format of another tool, in one pass in the order of time. Memory does not grow with the events: a block of each
 * thread that was alive then (adat_cursor.h), what a format keeps of each thread, and names, of which a format keeps a bounded number.
 *
 *   convert_run()    walks over the set and tells a format what there is
 *   ConvertFormat    a format: one file each, named in convert_formats[]
 *
 * Nothing is left out silently: each event in the files is told once, and lost ones are told where they are missed, as far as the
 * files know; together they are what the ledgers say (ConvertTotals).
 */
#ifndef ADA_CONVERT_CONVERT_H
#define ADA_CONVERT_CONVERT_H

#include "user/base/out_buffer.h"
#include "user/convert/event_walk.h"

#define CONVERT_NOBODY UINT32_MAX

/* Threads are numbered 0, 1, 2 ... as they are told; a format keeps what it needs of them by that number. */
typedef struct ConvertThread {
    uint32_t number;
    const AdatReader *reader; /* of its recording */
    const AdatProcessInfo *process;
    const AdatThreadInfo *thread; /* NULL: those of the process that got no slot, of which only losses are told */
    uint32_t before; /* number of the thread that had its pid and tid before: one that ended, or before exec; CONVERT_NOBODY: none */
    bool kernel;     /* it is the kernel's view of a thread that may tell of itself, too */
} ConvertThread;

/* What a format writes to, and where time begins. */
typedef struct ConvertTarget {
    OutBuffer *out; /* of a format that is one stream; else NULL */
    int directory;  /* descriptor of the directory of a format that is several files; else -1 */
    const AdatSet *set;
    int64_t origin_ns; /* no event is earlier; 0 or negative */
} ConvertTarget;

/*
 * A format. Functions return 0 or -errno; `state` is what begin() made. Everything comes in the order of time. A thread is told before
 * anything of it. What is handed over is valid during the call.
 */
typedef struct ConvertFormat {
    const char *name;
    const char *what; /* for people */
    bool directory;   /* several files in a directory, not one stream */
    bool binary;      /* nothing for a terminal */
    bool symbols;     /* it has names of functions */
    int (*begin)(const ConvertTarget *target, void **state_out);
    /* NULL: it needs no word of threads. `time_ns`: of what is told next. */
    int (*thread)(void *state, const ConvertThread *thread, int64_t time_ns);
    int (*event)(void *state, const ConvertThread *thread, const NamedEvent *event);
    /* `thread` NULL: of a whole process, or of everything; or of a thread that the set does not have. */
    int (*mark)(void *state, const ConvertThread *thread, const AdatReader *reader, const AdatMarkInfo *mark);
    /* `count` events of the thread were lost before its next one, or, at the end, behind its last one. NULL: it does not tell them. */
    int (*lost)(void *state, const ConvertThread *thread, int64_t time_ns, uint64_t count);
    /* Everything was told; the last of it at that time. */
    int (*end)(void *state, int64_t time_ns);
    void (*destroy)(void *state); /* also of what did not come to its end */
    /*
     * A format that sums everything up has this alone: writes all to `out`, whose error tells if that failed, of what the configuration
     * selects. 0; errors as adat_cursor_next().
     */
    int (*whole)(const AdatSet *set, const EventWalkConfig *walk, FILE *out);
} ConvertFormat;

/* All formats; NULL beyond the last. */
const ConvertFormat *convert_format(size_t index);

/* NULL: there is none of that name. */
const ConvertFormat *convert_format_find(const char *name);

typedef struct ConvertTotals {
    uint64_t events;
    uint64_t marks;
    uint64_t lost;     /* events, by the accounts of the threads that were told */
    uint64_t vanished; /* events in files that were removed meanwhile */
    uint32_t threads;
} ConvertTotals;

typedef struct ConvertConfig {
    const ConvertFormat *format;
    EventWalkConfig walk;
    OutBuffer *out; /* as in ConvertTarget */
    int directory;
    /* Is asked every CONVERT_STEP events; false: stop. NULL: nobody asks. */
    bool (*go_on)(void *context, const ConvertTotals *totals);
    void *context;
} ConvertConfig;

#define CONVERT_STEP 4096u

/*
 * 0; -ECANCELED: stopped by go_on(). Errors of the set as adat_cursor_next(), with *reading_out; those of writing, as of write(2) and
 * openat(2), without. -ENOMEM. `totals_out` is set in any case.
 */
int convert_run(const AdatSet *set, const ConvertConfig *config, ConvertTotals *totals_out, bool *reading_out);

extern const ConvertFormat convert_text, convert_json, convert_csv, convert_chrome, convert_ctf, convert_folded;
#if ADA_HAVE_PROTOBUF_C
extern const ConvertFormat convert_perfetto;
#endif

#endif
