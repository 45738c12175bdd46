/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/export/metrics_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/number.h"
#include "user/base/utf8.h"
#include "user/export/accept_header.h"

typedef struct TextWriter {
    FILE *out;
    enum metrics_text_format format;
} TextWriter;

enum family_type { FAMILY_COUNTER, FAMILY_GAUGE, FAMILY_HISTOGRAM };

const char *metrics_text_type(enum metrics_text_format format)
{
    return format == METRICS_TEXT_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                              : "text/plain; version=0.0.4; charset=utf-8";
}

enum metrics_text_format metrics_text_choose(const char *accept)
{
    static const MediaOffer offers[] = {
        [METRICS_TEXT_PROMETHEUS] = {"text", "plain", "0.0.4"},
        [METRICS_TEXT_OPENMETRICS] = {"application", "openmetrics-text", "1.0.0"},
    };

    return (enum metrics_text_format)accept_header_choose(accept, offers, sizeof(offers) / sizeof(offers[0]));
}

/* ---- words ------------------------------------------------------------------------------------ */

/* Names and help are ours: nothing in them needs an escape. */
static void begin_family(const TextWriter *text, const char *name, enum family_type type, const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    /* The older format names a counter's samples, the newer one their family. */
    const char *suffix = type == FAMILY_COUNTER && text->format == METRICS_TEXT_PROMETHEUS ? "_total" : "";

    fprintf(text->out, "# HELP adatrace_%s%s %s\n# TYPE adatrace_%s%s %s\n", name, suffix, help, name, suffix,
            types[type]);
}

static void put_number(const TextWriter *text, double value)
{
    char digits[NUMBER_CHARS_MAX];

    size_t length = number_format_f64(digits, value);

    (void)fwrite(digits, 1, length, text->out);
    (void)fputc('\n', text->out);
}

static void put_f64(const TextWriter *text, const char *name, const char *labels, double value)
{
    fprintf(text->out, "adatrace_%s%s ", name, labels);
    put_number(text, value);
}

static void put_u64(const TextWriter *text, const char *name, const char *labels, uint64_t value)
{
    fprintf(text->out, "adatrace_%s%s %" PRIu64 "\n", name, labels, value);
}

static void counter(const TextWriter *text, const char *name, const char *help, uint64_t value)
{
    begin_family(text, name, FAMILY_COUNTER, help);
    fprintf(text->out, "adatrace_%s_total %" PRIu64 "\n", name, value);
}

static void counter_seconds(const TextWriter *text, const char *name, const char *help, uint64_t ns)
{
    begin_family(text, name, FAMILY_COUNTER, help);
    fprintf(text->out, "adatrace_%s_total ", name);
    put_number(text, (double)ns / 1e9);
}

static void gauge(const TextWriter *text, const char *name, const char *help, double value)
{
    begin_family(text, name, FAMILY_GAUGE, help);
    put_f64(text, name, "", value);
}

/* A label's value: bytes that are not UTF-8 become U+FFFD. */
static void put_label_value(FILE *out, const char *value, size_t size)
{
    size_t length = strnlen(value, size);

    for (size_t at = 0; at < length;) {
        size_t bytes = utf8_length((const uint8_t *)value + at, length - at);

        if (bytes == 0) {
            (void)fputs("\xef\xbf\xbd", out);
            bytes = 1;
        } else if (value[at] == '\n') {
            (void)fputs("\\n", out);
        } else {
            if (value[at] == '"' || value[at] == '\\')
                (void)fputc('\\', out);
            (void)fwrite(value + at, 1, bytes, out);
        }
        at += bytes;
    }
}

/* ---- the whole -------------------------------------------------------------------------------- */

static void put_lost(const TextWriter *text, const char *name, const char *help, const AdatAccount *account)
{
    char sample[64];

    begin_family(text, name, FAMILY_COUNTER, help);
    (void)snprintf(sample, sizeof(sample), "%s_total", name);
    put_u64(text, sample, "{cause=\"full\"}", account->dropped_full);
    put_u64(text, sample, "{cause=\"nested\"}", account->dropped_nested);
    put_u64(text, sample, "{cause=\"io\"}", account->dropped_io);
    put_u64(text, sample, "{cause=\"torn\"}", account->torn);
}

static void put_events(const TextWriter *text, const MetricsSnapshot *snapshot)
{
    const MetricsFigures *total = &snapshot->total;

    counter(text, "events_attempted", "Events that threads began to record.", total->index.attempted);
    counter(text, "events_in_file", "Events that are in the file.", total->index.in_file);
    put_lost(text, "events_lost", "Events that are not in the file, by cause.", &total->index);
    gauge(text, "events_pending", "Events recorded and not drained yet.", (double)total->index.pending);
    gauge(text, "events_per_second", "Rate over the last interval.", total->events_per_second);
    gauge(text, "drop_ratio", "Part of the events of the last interval that was lost.", snapshot->drop_rate);
    counter(text, "detail_records_attempted", "Payloads that threads began to record.",
            total->detail.attempted);
    counter(text, "detail_records_in_file", "Payloads that are in the file.", total->detail.in_file);
    put_lost(text, "detail_records_lost", "Payloads that are not in the file, by cause.", &total->detail);
    counter(text, "detail_records_recycled", "Payloads that nobody marked and whose room was used again.",
            total->detail.recycled_unmarked);
    counter(text, "written_bytes", "Bytes that threads wrote into their rings.", total->bytes);
    counter(text, "drained_bytes", "Bytes that were taken out of the rings.", total->drained_bytes);
    counter(text, "ring_swaps", "Rings that were filled and exchanged.", total->swaps);
    counter_seconds(text, "ring_swap_seconds", "Time that threads spent exchanging rings.", total->swap_ns);
    counter(text, "ring_pool_exhausted", "Times that a ring was wanted and none was free.",
            total->pool_exhausted);
    counter(text, "stalls", "Waits of threads for a free ring.", total->stalls);
    counter_seconds(text, "stall_seconds", "Time that threads spent waiting.", total->stall_ns);
    gauge(text, "ring_occupancy_ratio", "Part of the fullest thread's rings that waits for the drain.",
          total->occupancy);
}

/* 1-2-5 steps from 10 us to 10 s. */
static const uint64_t latency_bounds[] = {
    10000,     20000,      50000,      100000,     200000,      500000,    1000000,
    2000000,   5000000,    10000000,   20000000,   50000000,    100000000, 200000000,
    500000000, 1000000000, 2000000000, 5000000000, 10000000000,
};

static void put_latency(const TextWriter *text, const LatencyHistogram *latency)
{
    char labels[64];

    begin_family(text, "drain_latency_seconds", FAMILY_HISTOGRAM,
                 "From an event to the return of the write that has it.");
    for (size_t i = 0; i < sizeof(latency_bounds) / sizeof(latency_bounds[0]); i++) {
        char bound[NUMBER_CHARS_MAX + 1];
        size_t length = number_format_f64(bound, (double)latency_bounds[i] / 1e9);

        bound[length] = '\0';
        (void)snprintf(labels, sizeof(labels), "{le=\"%s\"}", bound);
        put_u64(text, "drain_latency_seconds_bucket", labels,
                latency_histogram_below(latency, latency_bounds[i]));
    }
    put_u64(text, "drain_latency_seconds_bucket", "{le=\"+Inf\"}", latency->count);
    put_f64(text, "drain_latency_seconds_sum", "", latency_histogram_sum(latency) / 1e9);
    put_u64(text, "drain_latency_seconds_count", "", latency->count);
}

static void put_drain(const TextWriter *text, const MetricsSnapshot *snapshot)
{
    put_latency(text, &snapshot->latency);
    gauge(text, "drain_jain_index", "Fairness of the last interval: 1 is fair.", snapshot->jain);
    counter(text, "drain_iterations", "Rounds of the drain.", snapshot->iterations);
    counter_seconds(text, "drain_iteration_seconds", "Time spent in them, writing included.",
                    snapshot->iteration_ns);
    counter(text, "drain_visits", "Visits of threads that had something.", snapshot->visits);
    counter(text, "drain_skips", "Visits in vain, because the thread held its own rings.", snapshot->skips);
    counter(text, "drain_wakeups", "Times that the drain slept and woke.", snapshot->wakeups);
    counter_seconds(text, "drain_cpu_seconds", "CPU time of the drain's thread.", snapshot->cpu_ns);
    counter(text, "marks", "Moments that rules or commands marked.", snapshot->marks);
    counter(text, "file_writes", "Writes of the file.", snapshot->flushes);
    counter(text, "file_write_failures", "Writes of the file that failed.", snapshot->failed_writes);
    gauge(text, "file_bytes", "Size of the file.", (double)snapshot->file_bytes);
    gauge(text, "resident_memory_bytes", "Resident memory of the recorder.", (double)snapshot->memory_bytes);
    gauge(text, "threads", "Threads that are registered.", snapshot->threads_alive);
    counter(text, "threads_registered", "Threads that were ever registered.", snapshot->threads_ever);
    gauge(text, "processes", "Processes that are traced.", snapshot->processes_alive);
    counter(text, "processes_attached", "Processes that were ever traced.", snapshot->processes_ever);
    gauge(text, "recording_seconds", "Since the recording began.",
          (double)(snapshot->monotonic_ns - snapshot->started_at) / 1e9);
    gauge(text, "snapshot_timestamp_seconds", "When these figures were collected, in seconds since 1970.",
          (double)snapshot->realtime_ns / 1e9);
    begin_family(text, "anomalies", FAMILY_COUNTER, "What was noticed to be odd, by cause.");
    for (unsigned i = 0; i < METRICS_ANOMALIES; i++)
        fprintf(text->out, "adatrace_anomalies_total{cause=\"%s\"} %" PRIu64 "\n",
                metrics_anomaly_name((enum metrics_anomaly)i), snapshot->anomalies[i]);
}

/* ---- threads ---------------------------------------------------------------------------------- */

/* Highest rate first; then by age, so that equal ones keep their places. */
static int compare_threads(const void *left, const void *right)
{
    const MetricsThread *a = *(const MetricsThread *const *)left, *b = *(const MetricsThread *const *)right;

    if (a->figures.events_per_second != b->figures.events_per_second)
        return a->figures.events_per_second < b->figures.events_per_second ? 1 : -1;
    return (a->thread > b->thread) - (a->thread < b->thread);
}

typedef struct ThreadFamily {
    const char *name;
    const char *help;
    double (*value)(const MetricsFigures *figures);
    bool largest; /* the others' largest, instead of their sum */
} ThreadFamily;

static double rate_of(const MetricsFigures *figures)
{
    return figures->events_per_second;
}

static double attempted_of(const MetricsFigures *figures)
{
    return (double)figures->index.attempted;
}

static double lost_of(const MetricsFigures *figures)
{
    const AdatAccount *events = &figures->index;

    return (double)(events->dropped_full + events->dropped_nested + events->dropped_io + events->torn);
}

static double occupancy_of(const MetricsFigures *figures)
{
    return figures->occupancy;
}

static double stalls_of(const MetricsFigures *figures)
{
    return (double)figures->stalls;
}

static double cpu_of(const MetricsFigures *figures)
{
    return figures->sched.threads > 0 ? figures->sched.cpu_share : 0;
}

static double runqueue_of(const MetricsFigures *figures)
{
    return figures->sched.threads > 0 ? figures->sched.runqueue_share : 0;
}

static const ThreadFamily thread_families[] = {
    {"thread_events_per_second", "Rate over the last interval.", rate_of, false},
    {"thread_events_attempted", "Events that the thread began to record.", attempted_of, false},
    {"thread_events_lost", "Of them not in the file.", lost_of, false},
    {"thread_stalls", "Waits for a free ring.", stalls_of, false},
    {"thread_ring_occupancy_ratio", "Part of its rings that waits for the drain.", occupancy_of, true},
};

/* With kernel assistance. */
static const ThreadFamily sched_families[] = {
    {"thread_cpu_ratio", "Part of the last interval that it ran.", cpu_of, false},
    {"thread_runqueue_ratio", "Part of the last interval that it waited for a CPU.", runqueue_of, false},
};

static void put_thread_family(const TextWriter *text, const ThreadFamily *family,
                              const MetricsThread *const *threads, size_t count)
{
    size_t single = count < METRICS_TEXT_THREADS ? count : METRICS_TEXT_THREADS;
    double rest = 0;

    begin_family(text, family->name, FAMILY_GAUGE, family->help);
    for (size_t i = 0; i < single; i++) {
        fprintf(text->out, "adatrace_%s{pid=\"%u\",tid=\"%u\",thread=\"", family->name, threads[i]->pid,
                threads[i]->tid);
        put_label_value(text->out, threads[i]->name, sizeof(threads[i]->name));
        fputs("\"} ", text->out);
        put_number(text, family->value(&threads[i]->figures));
    }
    for (size_t i = single; i < count; i++) {
        double value = family->value(&threads[i]->figures);

        if (!family->largest)
            rest += value;
        else if (value > rest)
            rest = value;
    }
    if (count > single)
        put_f64(text, family->name, "{pid=\"\",tid=\"\",thread=\"other\"}", rest);
}

/* Over those alive, so that sums would go backwards: gauges. */
static void put_sched(const TextWriter *text, const MetricsSched *total, const MetricsThread *const *threads,
                      size_t count)
{
    if (total->threads == 0)
        return;
    gauge(text, "sched_threads", "Threads that the kernel tells of.", total->threads);
    gauge(text, "sched_cpu_ratio", "CPUs that they kept busy in the last interval.", total->cpu_share);
    gauge(text, "sched_runqueue_ratio",
          "Of them, those that waited for a CPU, on average over the last interval.", total->runqueue_share);
    for (size_t i = 0; i < sizeof(sched_families) / sizeof(sched_families[0]) && count > 0; i++)
        put_thread_family(text, &sched_families[i], threads, count);
}

int metrics_text_write(const MetricsSnapshot *snapshot, enum metrics_text_format format, FILE *out)
{
    TextWriter text = {.out = out, .format = format};
    const MetricsThread **threads = calloc(snapshot->thread_count + 1, sizeof(MetricsThread *));
    size_t count = 0;

    if (!threads)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->thread_count; i++) {
        if (!snapshot->threads[i].ended)
            threads[count++] = &snapshot->threads[i];
    }
    qsort(threads, count, sizeof(threads[0]), compare_threads);
    put_events(&text, snapshot);
    put_drain(&text, snapshot);
    for (size_t i = 0; i < sizeof(thread_families) / sizeof(thread_families[0]) && count > 0; i++)
        put_thread_family(&text, &thread_families[i], threads, count);
    put_sched(&text, &snapshot->total.sched, threads, count);
    if (format == METRICS_TEXT_OPENMETRICS)
        fputs("# EOF\n", out);
    free(threads);
    return 0;
}
