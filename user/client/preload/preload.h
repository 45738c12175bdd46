/* SPDX-License-Identifier: MIT */
/*
 * libadatrace-preload: calls of libc and pthread functions as events, for programs that were never
 * instrumented.
 *
 * The dynamic linker looks in preloaded libraries first, so the program's call of read() arrives at the
 * read() of io.c. It records a span around a call of the function that the program would have
 * reached without us. There is one file per group of functions (io.c, lock.c, thread.c, memory.c), where
 * the macros below make a wrapper of a line or two; resolve.c finds the real functions and reads
 * ADATRACE_PRELOAD; record.c hands events to the client library.
 *
 * The program must not notice. So a wrapper
 * - costs one load and one branch, and jumps to the real function, where its group was not selected;
 * - is async-signal-safe where the real function is: it only calls that and the client library's event path;
 * - ends its span when the call is left by cancellation (built with -fexceptions, see PreloadSpan);
 * - works before any constructor has run: the first call of any wrapper resolves all of them.
 *
 * Functions with a 64-bit or a checking (_FORTIFY_SOURCE) twin need both wrapped; they share one event.
 *
 * Included first: the headers must declare the functions under their own names.
 */
#ifndef ADA_CLIENT_PRELOAD_PRELOAD_H
#define ADA_CLIENT_PRELOAD_PRELOAD_H

#undef _FORTIFY_SOURCE
#undef _FILE_OFFSET_BITS
#undef _TIME_BITS
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adatrace/adatrace.h>

#include "user/lane/atomic.h"

#define PRELOAD_EXPORT __attribute__((visibility("default")))

/* ---- groups: resolve.c ------------------------------------------------------------------------- */

#define PRELOAD_IO 0x1u
#define PRELOAD_LOCK 0x2u
#define PRELOAD_THREAD 0x4u
#define PRELOAD_MEMORY 0x8u
#define PRELOAD_UNRESOLVED 0x80000000u

/* The selected groups; all bits set until the real functions are known. */
extern uint32_t preload_groups;

/*
 * Finds the real functions and the selected groups, and returns those. 0 when called while it runs on the
 * same thread: by the dynamic linker, which allocates memory.
 */
uint32_t preload_resolve(void);

/*
 * Whether to look closer at the calls of a group. Pairs with the release in preload_resolve(): if not, the
 * real functions are known.
 */
static inline bool preload_wanted(uint32_t group)
{
    return __builtin_expect((ada_load_acquire(&preload_groups) & group) != 0, 0);
}

/* Whether the calls of a group are to be recorded, if anybody records. The real functions are known now. */
static inline bool preload_selected(uint32_t group)
{
    uint32_t groups = ada_load_acquire(&preload_groups);

    if (__builtin_expect((groups & PRELOAD_UNRESOLVED) != 0, 0))
        groups = preload_resolve();
    return (groups & group) != 0;
}

static inline bool preload_on(uint32_t group)
{
    return preload_selected(group) && ada_enabled();
}

/* ---- the real functions ------------------------------------------------------------------------ */

typedef void (*PreloadFunction)(void);

/* One wrapped function. The linker gathers them into an array between __start_ and __stop_preload_symbols. */
typedef struct PreloadSymbol {
    const char *name;
    const char *version; /* of the symbol, where an older one must not be taken; else NULL */
    PreloadFunction real;
} PreloadSymbol;

/* Stands in for what libc does not have: fails with ENOSYS. */
long preload_missing(void);

#define PRELOAD_SYMBOL(name_, version_, until_resolved_)                               \
    static PreloadSymbol preload_symbol_##name_                                        \
        __attribute__((used, section("preload_symbols"), aligned(sizeof(void *)))) = { \
            #name_, version_, (PreloadFunction)until_resolved_};

#define PRELOAD_REAL(name) ((__typeof__(name) *)preload_symbol_##name.real)

/* ---- recording: record.c ----------------------------------------------------------------------- */

/*
 * As ada_emit() and ada_emit_fields(), but nothing is recorded while this thread is in the client library
 * already: what that calls in turn arrives here, too, and is not the program's.
 */
void preload_record(ada_event *event, uint32_t kind, uint64_t argument);
void preload_record_fields(ada_event *event, uint64_t argument, const ada_value *values, uint32_t count);

/* Brackets other calls that are the library's own. True: end it with preload_leave(). */
#define preload_enter() preload_enter_frame((uintptr_t)__builtin_frame_address(0))
bool preload_enter_frame(uintptr_t frame);
void preload_leave(void);

/* A span that ends with the block it is declared in, also when that is left by cancellation. */
typedef struct PreloadSpan {
    ada_event *event;
    int64_t result;
} PreloadSpan;

static inline PreloadSpan preload_span_begin(ada_event *event, uint64_t argument)
{
    preload_record(event, ADA_EVENT_SPAN_BEGIN, argument);
    return (PreloadSpan){event, -ECANCELED};
}

static inline void preload_span_end(const PreloadSpan *span)
{
    preload_record(span->event, ADA_EVENT_SPAN_END, (uint64_t)span->result);
}

#define PRELOAD_SPAN __attribute__((cleanup(preload_span_end))) PreloadSpan

#define PRELOAD_ARGUMENT(value) ((uint64_t)(uintptr_t)(value))

/* ---- wrappers ---------------------------------------------------------------------------------- */

/* How a function tells of failure, and the result as an event has it: below 0, it is a negative errno. */
#define PRELOAD_RESULT_ERRNO(value) ((value) < 0 ? -(int64_t)errno : (int64_t)(value)) /* -1 and errno */
#define PRELOAD_RESULT_ERROR(value) (-(int64_t)(value))                                /* an error number */
#define PRELOAD_RESULT_POINTER(value) ((value) ? (int64_t)(intptr_t)(value) : -(int64_t)errno)
#define PRELOAD_RESULT_MAPPED(value) ((value) != MAP_FAILED ? (int64_t)(intptr_t)(value) : -(int64_t)errno)
#define PRELOAD_RESULT_VALUE(value) ((int64_t)(value)) /* cannot fail */

#define PRELOAD_EVENT(name, kind) static ada_event preload_event_##name = {#name, NULL, 0, kind, 0};

/*
 * Defines name(), which jumps to the real function where the group was not selected, and begins the
 * definition of traced_name(), where it jumps else: the body follows the macro. Two functions, as in one the
 * compilers save registers on both paths.
 */
#define PRELOAD_ENTRY(group, name, type, parameters, arguments)     \
    static __attribute__((noinline)) type traced_##name parameters; \
    PRELOAD_EXPORT type name parameters                             \
    {                                                               \
        if (!preload_wanted(PRELOAD_##group))                       \
            return PRELOAD_REAL(name) arguments;                    \
        return traced_##name arguments;                             \
    }                                                               \
    static type traced_##name parameters

/*
 * The body of most traced functions. `group`: IO, LOCK, THREAD or MEMORY; `event`: the name of a
 * PRELOAD_EVENT; `result_kind`: one of PRELOAD_RESULT_*; `argument`: what the span begins with; `arguments`: as
 * the real function takes them, in parentheses.
 */
#define PRELOAD_CALL(group, name, event, type, result_kind, argument, arguments)                        \
    if (!preload_on(PRELOAD_##group))                                                                   \
        return PRELOAD_REAL(name) arguments;                                                            \
    PRELOAD_SPAN preload_span = preload_span_begin(&preload_event_##event, PRELOAD_ARGUMENT(argument)); \
    type preload_value = PRELOAD_REAL(name) arguments;                                                  \
    preload_span.result = PRELOAD_RESULT_##result_kind(preload_value);                                  \
    return preload_value;

/* A wrapped function: PRELOAD_SYMBOL, PRELOAD_ENTRY and PRELOAD_CALL in one. */
#define PRELOAD_WRAP(group, name, version, until_resolved, event, type, result_kind, argument, parameters, \
                     arguments)                                                                            \
    PRELOAD_SYMBOL(name, version, until_resolved)                                                          \
    PRELOAD_ENTRY(group, name, type, parameters, arguments)                                                \
    {                                                                                                      \
        PRELOAD_CALL(group, name, event, type, result_kind, argument, arguments)                           \
    }

/* A call that may take time. */
#define SPAN_VERSION(group, name, version, type, result_kind, argument, parameters, arguments)         \
    PRELOAD_EVENT(name, ADA_EVENT_SPAN_BEGIN)                                                          \
    PRELOAD_WRAP(group, name, version, preload_missing, name, type, result_kind, argument, parameters, \
                 arguments)
#define SPAN(group, name, type, result_kind, argument, parameters, arguments) \
    SPAN_VERSION(group, name, NULL, type, result_kind, argument, parameters, arguments)

/* The same for a twin of a function that has its SPAN above: recorded under that one's name. */
#define TWIN(group, name, event, type, result_kind, argument, parameters, arguments) \
    PRELOAD_WRAP(group, name, NULL, preload_missing, event, type, result_kind, argument, parameters, arguments)

/* A call that never waits and whose result says little: recorded before it is made. */
#define INSTANT_VERSION(group, name, version, type, argument, parameters, arguments)              \
    PRELOAD_EVENT(name, ADA_EVENT_INSTANT)                                                        \
    PRELOAD_SYMBOL(name, version, preload_missing)                                                \
    PRELOAD_ENTRY(group, name, type, parameters, arguments)                                       \
    {                                                                                             \
        if (preload_on(PRELOAD_##group))                                                          \
            preload_record(&preload_event_##name, ADA_EVENT_INSTANT, PRELOAD_ARGUMENT(argument)); \
        return PRELOAD_REAL(name) arguments;                                                      \
    }
#define INSTANT(group, name, type, argument, parameters, arguments) \
    INSTANT_VERSION(group, name, NULL, type, argument, parameters, arguments)

#endif
