/* SPDX-License-Identifier: MIT */
/*
 * adatrace - record what every thread does, at about the cost of reading the clock.
 *
 *     #include <adatrace/adatrace.h>
 *
 *     void handle(struct request *r)
 *     {
 *         ADA_SCOPE("handle");                              // a span that ends with the block
 *         ADA_INSTANT("parsed", r->size);                   // a point in time, with one number
 *         ADA_COUNTER("queue.depth", depth);                // a value over time
 *         ADA_EVENT("request", (u64, id, r->id), (str, path, r->path), (f64, ms, r->ms));
 *     }
 *
 * Build with `cc app.c $(pkg-config --cflags --libs adatrace)` and run under `adatrace record -- ./app`.
 * Without a recorder an event costs a load and a branch that is not taken.
 *
 * Everything here may be called from any thread and from signal handlers, never allocates memory,
 * never takes a lock, and leaves errno alone. Functions return 0 or a negative errno, and a program
 * may ignore what they return: what was lost is counted and reported by the recorder.
 *
 * Usable from C11 and C++11 with GCC or clang on Linux.
 */
#ifndef ADATRACE_ADATRACE_H
#define ADATRACE_ADATRACE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ADA_VERSION_MAJOR 0
#define ADA_VERSION_MINOR 1

#define ADA_API __attribute__((visibility("default")))
/* Called through the GOT without lazy binding where the compiler can: the first event resolves no symbol. */
#if defined(__clang__)
#define ADA_EVENT_API ADA_API
#else
#define ADA_EVENT_API __attribute__((visibility("default"), noplt))
#endif

/* ---- is anybody recording? -------------------------------------------------------------------- */

/* Points to a word that a collector sets; use ada_enabled(). */
extern ADA_API const uint32_t *ada_gate;

/* Nonzero while events are being recorded. Cheap enough to guard the computing of arguments. */
static inline int ada_enabled(void)
{
    const uint32_t *gate = __atomic_load_n(&ada_gate, __ATOMIC_RELAXED);
    return __builtin_expect(__atomic_load_n(gate, __ATOMIC_RELAXED) != 0, 0) != 0;
}

/* ---- events ----------------------------------------------------------------------------------- */

/* Types of fields. */
enum {
    ADA_FIELD_U64 = 1,
    ADA_FIELD_I64 = 2,
    ADA_FIELD_F64 = 3,
    ADA_FIELD_POINTER = 4,
    ADA_FIELD_STRING = 5,
};

/* One field's name (at most 22 characters are kept) and type. */
typedef struct ada_field {
    const char *name;
    uint32_t type;
} ada_field;

/*
 * What a call site records: made static by the macros, registered at its first use. `name` (at most 63
 * characters are kept) and `fields` (at most 16) must outlive the process's tracing.
 */
typedef struct ada_event {
    const char *name;
    const ada_field *fields;
    uint32_t field_count;
    uint32_t kind;
    uint32_t id; /* the library's: 0 until registered */
} ada_event;

/* One field's value. A string may be NULL (recorded as empty) and is cut to what fits into 4 KiB of payload. */
typedef union ada_value {
    uint64_t u64;
    int64_t i64;
    double f64;
    const void *pointer;
    const char *string;
} ada_value;

/* Kinds, for ada_event.kind. */
enum {
    ADA_EVENT_SPAN_BEGIN = 3,
    ADA_EVENT_SPAN_END = 4,
    ADA_EVENT_INSTANT = 5,
    ADA_EVENT_COUNTER = 6,
    ADA_EVENT_TYPED = 7,
    ADA_EVENT_MARK = 8,
};

/*
 * Records an event of the given kind with one argument. The macros below call these after asking
 * ada_enabled(). 0; -ENOBUFS: no room, counted; -EAGAIN: nobody records.
 */
ADA_EVENT_API int ada_emit(ada_event *event, uint32_t kind, uint64_t argument);

/* Records an event with its fields' values, in the order of event->fields. As ada_emit(). */
ADA_EVENT_API int ada_emit_fields(ada_event *event, uint64_t argument, const ada_value *values, uint32_t count);

/*
 * Records an event with a payload of the caller's making: `size` bytes (0..4096) laid out as the
 * event's fields say (numbers: 8 bytes; strings: uint32_t length, bytes, padded to 8). As ada_emit(); -EMSGSIZE:
 * too long, nothing recorded.
 */
ADA_EVENT_API int ada_write_event(ada_event *event, uint64_t argument, const void *payload, size_t size);

/* Records that a function was entered or left; for compilers' instrumentation. */
ADA_EVENT_API void ada_function_entry(const void *function, const void *call_site);
ADA_EVENT_API void ada_function_exit(const void *function, const void *call_site);

/* ---- threads, marks, flushing ----------------------------------------------------------------- */

/* Names the calling thread in traces (at most 15 characters are kept). Not for signal handlers. 0; -EAGAIN: nobody records; -ENOBUFS: no slot. */
ADA_API int ada_thread_name(const char *name);

/* Registers the calling thread now, so that its first event does not have to. 0; -EAGAIN: nobody records; -ENOBUFS: no slot. */
ADA_API int ada_thread_init(void);

/*
 * Marks this moment: an event of its own, and the calling thread's detail records around it are kept
 * in the file (as many before as its rings hold, one ring after). 0 or as ada_emit().
 */
ADA_EVENT_API int ada_emit_mark(ada_event *event, uint64_t argument);

/*
 * Waits until everything that the calling thread has recorded was taken over by the recorder, at
 * most `timeout_ms` milliseconds. 0; -ETIMEDOUT; -EAGAIN: nobody records. Not for signal handlers.
 */
ADA_API int ada_flush(unsigned timeout_ms);

/*
 * Looks which code was loaded since the process began, so that its functions have names in the trace: after
 * dlopen(3), and before dlclose(3). libadatrace-functions does that by itself. Any thread; not for signal handlers.
 */
ADA_API void ada_modules_update(void);

/* ---- macros ----------------------------------------------------------------------------------- */

/* clang-format off */
#define ADA_CONCAT_(a, b) a##b
#define ADA_CONCAT(a, b) ADA_CONCAT_(a, b)

#define ADA_EMIT_(kind_, name_, argument_)                                                        \
    do {                                                                                          \
        if (ada_enabled()) {                                                                      \
            static ada_event ada_event_ = {(name_), NULL, 0, (kind_), 0};                         \
            (void)ada_emit(&ada_event_, (kind_), (uint64_t)(argument_));                          \
        }                                                                                         \
    } while (0)

/* A point in time with a number: ADA_INSTANT("cache.miss", key). */
#define ADA_INSTANT(name, argument) ADA_EMIT_(ADA_EVENT_INSTANT, name, argument)

/* A signed value over time: ADA_COUNTER("queue.depth", n). */
#define ADA_COUNTER(name, value) ADA_EMIT_(ADA_EVENT_COUNTER, name, (int64_t)(value))

/* A span of time on the calling thread. Spans nest; begin and end name the same string. */
#define ADA_SPAN_BEGIN(name, argument) ADA_EMIT_(ADA_EVENT_SPAN_BEGIN, name, argument)
#define ADA_SPAN_END(name, argument) ADA_EMIT_(ADA_EVENT_SPAN_END, name, argument)

/* Keeps the detail records around this moment: ADA_MARK("slow request", id). */
#define ADA_MARK(name, argument)                                                                  \
    do {                                                                                          \
        if (ada_enabled()) {                                                                      \
            static ada_event ada_event_ = {(name), NULL, 0, ADA_EVENT_MARK, 0};                   \
            (void)ada_emit_mark(&ada_event_, (uint64_t)(argument));                               \
        }                                                                                         \
    } while (0)

/* ada_mark("reason"): a mark without a number. */
#define ada_mark(name) ADA_MARK(name, 0)

/* A span that ends with the enclosing block, however it is left (in C++ by an exception, too). */
typedef struct ada_scope {
    ada_event *event;
} ada_scope;

static inline void ada_scope_end(ada_scope *scope)
{
    if (scope->event)
        (void)ada_emit(scope->event, ADA_EVENT_SPAN_END, 0);
}

static inline ada_scope ada_scope_begin(ada_event *event)
{
    ada_scope scope = {NULL};
    if (ada_enabled()) {
        scope.event = event;
        (void)ada_emit(event, ADA_EVENT_SPAN_BEGIN, 0);
    }
    return scope;
}

#define ADA_SCOPE_(name, line)                                                                    \
    static ada_event ADA_CONCAT(ada_scope_event_, line) = {(name), NULL, 0, ADA_EVENT_SPAN_BEGIN, 0}; \
    __attribute__((cleanup(ada_scope_end), unused)) ada_scope ADA_CONCAT(ada_scope_, line) =      \
        ada_scope_begin(&ADA_CONCAT(ada_scope_event_, line))
#define ADA_SCOPE(name) ADA_SCOPE_(name, __LINE__)

/*
 * A typed event with 1 to 16 named fields, each (type, name, value) with type one of
 * u64, i64, f64, ptr, str:
 *     ADA_EVENT("request", (u64, id, r->id), (str, path, r->path));
 * The values are evaluated only while somebody records.
 */
#define ADA_EVENT(name_, ...)                                                                     \
    do {                                                                                          \
        if (ada_enabled()) {                                                                      \
            static const ada_field ada_fields_[] = {ADA_MAP_(ADA_FIELD_, __VA_ARGS__)};           \
            static ada_event ada_event_ = {(name_), ada_fields_,                                  \
                                           sizeof(ada_fields_) / sizeof(ada_fields_[0]),          \
                                           ADA_EVENT_TYPED, 0};                                   \
            ada_value ada_values_[sizeof(ada_fields_) / sizeof(ada_fields_[0])];                  \
            uint32_t ada_count_ = 0;                                                              \
            ADA_MAP_STATEMENTS_(ADA_VALUE_, __VA_ARGS__)                                          \
            (void)ada_emit_fields(&ada_event_, 0, ada_values_, ada_count_);                       \
        }                                                                                         \
    } while (0)

#define ADA_FIELD_(tuple) ADA_FIELD_1_ tuple
#define ADA_FIELD_1_(type_, name_, value_) {#name_, ADA_TYPE_OF_##type_}
#define ADA_VALUE_(tuple) ADA_VALUE_1_ tuple
#define ADA_VALUE_1_(type_, name_, value_) ADA_STORE_##type_(ada_values_[ada_count_], value_); ada_count_++;
#define ADA_TYPE_OF_u64 ADA_FIELD_U64
#define ADA_TYPE_OF_i64 ADA_FIELD_I64
#define ADA_TYPE_OF_f64 ADA_FIELD_F64
#define ADA_TYPE_OF_ptr ADA_FIELD_POINTER
#define ADA_TYPE_OF_str ADA_FIELD_STRING
#define ADA_STORE_u64(slot, v) ((slot).u64 = (uint64_t)(v))
#define ADA_STORE_i64(slot, v) ((slot).i64 = (int64_t)(v))
#define ADA_STORE_f64(slot, v) ((slot).f64 = (double)(v))
#define ADA_STORE_ptr(slot, v) ((slot).pointer = (const void *)(v))
#define ADA_STORE_str(slot, v) ((slot).string = (v))

#define ADA_COUNT_(...) \
    ADA_COUNT_N_(__VA_ARGS__, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define ADA_COUNT_N_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, count, ...) count
#define ADA_MAP_(m, ...) ADA_CONCAT(ADA_MAP_C_, ADA_COUNT_(__VA_ARGS__))(m, __VA_ARGS__)
#define ADA_MAP_C_1(m, a) m(a)
#define ADA_MAP_C_2(m, a, ...) m(a), ADA_MAP_C_1(m, __VA_ARGS__)
#define ADA_MAP_C_3(m, a, ...) m(a), ADA_MAP_C_2(m, __VA_ARGS__)
#define ADA_MAP_C_4(m, a, ...) m(a), ADA_MAP_C_3(m, __VA_ARGS__)
#define ADA_MAP_C_5(m, a, ...) m(a), ADA_MAP_C_4(m, __VA_ARGS__)
#define ADA_MAP_C_6(m, a, ...) m(a), ADA_MAP_C_5(m, __VA_ARGS__)
#define ADA_MAP_C_7(m, a, ...) m(a), ADA_MAP_C_6(m, __VA_ARGS__)
#define ADA_MAP_C_8(m, a, ...) m(a), ADA_MAP_C_7(m, __VA_ARGS__)
#define ADA_MAP_C_9(m, a, ...) m(a), ADA_MAP_C_8(m, __VA_ARGS__)
#define ADA_MAP_C_10(m, a, ...) m(a), ADA_MAP_C_9(m, __VA_ARGS__)
#define ADA_MAP_C_11(m, a, ...) m(a), ADA_MAP_C_10(m, __VA_ARGS__)
#define ADA_MAP_C_12(m, a, ...) m(a), ADA_MAP_C_11(m, __VA_ARGS__)
#define ADA_MAP_C_13(m, a, ...) m(a), ADA_MAP_C_12(m, __VA_ARGS__)
#define ADA_MAP_C_14(m, a, ...) m(a), ADA_MAP_C_13(m, __VA_ARGS__)
#define ADA_MAP_C_15(m, a, ...) m(a), ADA_MAP_C_14(m, __VA_ARGS__)
#define ADA_MAP_C_16(m, a, ...) m(a), ADA_MAP_C_15(m, __VA_ARGS__)
#define ADA_MAP_STATEMENTS_(m, ...) ADA_CONCAT(ADA_MAP_S_, ADA_COUNT_(__VA_ARGS__))(m, __VA_ARGS__)
#define ADA_MAP_S_1(m, a) m(a)
#define ADA_MAP_S_2(m, a, ...) m(a) ADA_MAP_S_1(m, __VA_ARGS__)
#define ADA_MAP_S_3(m, a, ...) m(a) ADA_MAP_S_2(m, __VA_ARGS__)
#define ADA_MAP_S_4(m, a, ...) m(a) ADA_MAP_S_3(m, __VA_ARGS__)
#define ADA_MAP_S_5(m, a, ...) m(a) ADA_MAP_S_4(m, __VA_ARGS__)
#define ADA_MAP_S_6(m, a, ...) m(a) ADA_MAP_S_5(m, __VA_ARGS__)
#define ADA_MAP_S_7(m, a, ...) m(a) ADA_MAP_S_6(m, __VA_ARGS__)
#define ADA_MAP_S_8(m, a, ...) m(a) ADA_MAP_S_7(m, __VA_ARGS__)
#define ADA_MAP_S_9(m, a, ...) m(a) ADA_MAP_S_8(m, __VA_ARGS__)
#define ADA_MAP_S_10(m, a, ...) m(a) ADA_MAP_S_9(m, __VA_ARGS__)
#define ADA_MAP_S_11(m, a, ...) m(a) ADA_MAP_S_10(m, __VA_ARGS__)
#define ADA_MAP_S_12(m, a, ...) m(a) ADA_MAP_S_11(m, __VA_ARGS__)
#define ADA_MAP_S_13(m, a, ...) m(a) ADA_MAP_S_12(m, __VA_ARGS__)
#define ADA_MAP_S_14(m, a, ...) m(a) ADA_MAP_S_13(m, __VA_ARGS__)
#define ADA_MAP_S_15(m, a, ...) m(a) ADA_MAP_S_14(m, __VA_ARGS__)
#define ADA_MAP_S_16(m, a, ...) m(a) ADA_MAP_S_15(m, __VA_ARGS__)

/* clang-format on */

#ifdef __cplusplus
}
#endif

#endif
