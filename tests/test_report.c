/* SPDX-License-Identifier: MIT */
/* Tables of a report, over real files. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adat_check.h"
#include "test_support.h"
#include "user/report/report.h"
#include "user/report/span_diff.h"

#define EVENTS_MAX 256u

/* A thread's events, to be put into a file. */
typedef struct Lane {
    AdaIndexEvent events[EVENTS_MAX];
    uint32_t count;
    uint32_t depth;
} Lane;

static void lane_add(Lane *lane, uint64_t time, uint32_t kind, uint64_t id, uint64_t argument)
{
    bool ends = kind == ADA_KIND_FUNCTION_EXIT || kind == ADA_KIND_SPAN_END;

    lane->depth -= ends;
    lane->events[lane->count++] = (AdaIndexEvent){.timestamp = SAMPLE_MONOTONIC + time,
                                                  .id = id,
                                                  .argument = argument,
                                                  .word = ADA_WORD(kind, 0, lane->depth)};
    lane->depth += kind == ADA_KIND_FUNCTION_ENTRY || kind == ADA_KIND_SPAN_BEGIN;
}

static void lane_span(Lane *lane, uint64_t begin, uint64_t end, uint64_t id, uint64_t argument)
{
    lane_add(lane, begin, ADA_KIND_SPAN_BEGIN, id, argument);
    lane_add(lane, end, ADA_KIND_SPAN_END, id, 0);
}

static void put_lane(AdatWriter *writer, uint32_t process, uint32_t thread, const Lane *lane)
{
    sample_put_index(writer, process, thread, 0, lane->events, lane->count, NULL);
}

/* Descriptors with these names, ids from 1 on. */
static void put_names(AdatWriter *writer, uint32_t process, const char *const *names, uint32_t count)
{
    AdatBlockHeader header = {.type = ADAT_BLOCK_EVENTS, .process = process, .record_count = count};
    AdaEventDescriptor *descriptors = calloc(count, sizeof(*descriptors));

    for (uint32_t i = 0; i < count; i++) {
        descriptors[i].id = i + 1;
        strncpy(descriptors[i].name, names[i], sizeof(descriptors[i].name) - 1);
    }
    sample_put(writer, &header, descriptors, count * sizeof(*descriptors));
    free(descriptors);
}

/* The report of a file, as configured but for the set. */
typedef struct Made {
    int fd;
    AdatSet *set;
    Report *report;
} Made;

static Made make_report(int fd, ReportConfig config)
{
    Made made = {.fd = fd};

    CU_ASSERT_EQUAL_FATAL(adat_set_open(sample_path(fd), &made.set), 0);
    config.set = made.set;
    config.cursor.from_ns = INT64_MIN;
    config.cursor.to_ns = INT64_MAX;
    CU_ASSERT_EQUAL_FATAL(report_run(&config, &made.report), 0);
    return made;
}

/* The same again, from so long after the first event of the report before. */
static void look_from(Made *made, ReportConfig config, int64_t after_first)
{
    config.set = made->set;
    config.cursor.from_ns = made->report->first_ns + after_first;
    config.cursor.to_ns = INT64_MAX;
    report_destroy(made->report);
    CU_ASSERT_EQUAL_FATAL(report_run(&config, &made->report), 0);
}

static void unmake(Made *made)
{
    report_destroy(made->report);
    adat_set_close(made->set);
    close(made->fd);
}

static const SpanRow *find_row(const Report *report, const char *name)
{
    const SpanRow *row;

    for (size_t i = 0; (row = span_table_row(report->table, i)); i++)
        if (strcmp(row->name, name) == 0)
            return row;
    return NULL;
}

/* ---- spans ------------------------------------------------------------------------------------ */

static void table__recursion__then_total_counts_the_outermost(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    Lane lane = {0};
    const SpanStat *stat;
    Made made;

    lane_add(&lane, 0, ADA_KIND_FUNCTION_ENTRY, 0x10, 0);
    lane_add(&lane, 10, ADA_KIND_FUNCTION_ENTRY, 0x10, 0);
    lane_add(&lane, 20, ADA_KIND_FUNCTION_EXIT, 0x10, 0);
    lane_add(&lane, 30, ADA_KIND_FUNCTION_EXIT, 0x10, 0);
    put_lane(writer, 1, 1, &lane);
    end_unclosed(writer);
    made = make_report(fd, (ReportConfig){0});
    CU_ASSERT_EQUAL(span_table_count(made.report->table), 1);
    stat = &span_table_row(made.report->table, 0)->stat;
    CU_ASSERT_EQUAL(stat->count, 2);
    CU_ASSERT_EQUAL(stat->total_ns, 30);
    CU_ASSERT_EQUAL(stat->self_ns, 30);
    CU_ASSERT_EQUAL(span_stat_mean(stat), 20);
    CU_ASSERT_EQUAL(stat->max_ns, 30);
    unmake(&made);
}

static void table__same_name_in_two_processes__then_one_row(void)
{
    static const char *const names[] = {"work"};
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    Lane lane = {0};
    Made made;

    sample_put_process(writer, 2, 77, ADA_CLOCK_MONOTONIC);
    sample_put_thread(writer, 2, 2, 77, "two");
    put_names(writer, 1, names, 1);
    put_names(writer, 2, names, 1);
    lane_span(&lane, 0, 5, 1, 0);
    put_lane(writer, 1, 1, &lane);
    lane_span(&lane, 5, 20, 1, 0);
    put_lane(writer, 2, 2, &lane);
    end_unclosed(writer);
    made = make_report(fd, (ReportConfig){0});
    CU_ASSERT_EQUAL(span_table_count(made.report->table), 1);
    CU_ASSERT_EQUAL(span_table_row(made.report->table, 0)->stat.count, 3);
    CU_ASSERT_EQUAL(span_table_row(made.report->table, 0)->stat.total_ns, 25);
    unmake(&made);
}

static void table__incomplete_ones__then_counted_without_mean(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    Lane lane = {0};
    const SpanRow *cut, *unwound;
    Made made;

    lane_add(&lane, 0, ADA_KIND_FUNCTION_ENTRY, 0x10, 0);
    lane_add(&lane, 10, ADA_KIND_FUNCTION_ENTRY, 0x20, 0);
    lane_add(&lane, 20, ADA_KIND_FUNCTION_ENTRY, 0x30, 0);
    lane_add(&lane, 50, ADA_KIND_FUNCTION_EXIT, 0x20, 0);
    put_lane(writer, 1, 1, &lane);
    end_unclosed(writer);
    made = make_report(fd, (ReportConfig){.longest = 10});
    cut = find_row(made.report, "0x10");
    unwound = find_row(made.report, "0x30");
    CU_ASSERT_EQUAL(cut->stat.incomplete, 1);
    CU_ASSERT_EQUAL(cut->stat.complete, 0);
    CU_ASSERT_EQUAL(cut->stat.total_ns, 50);
    CU_ASSERT_EQUAL(unwound->stat.count, 1);
    CU_ASSERT_EQUAL(unwound->stat.total_ns, 0);
    CU_ASSERT_EQUAL(made.report->longest.count, 2);
    unmake(&made);
}

/* What a row is: the kinds part the events between them, and each span is of one thread, process and module. */
static void table__by_each_kind__then_all_spans_once(void)
{
    static const SampleShape shape = {.threads = 3, .events = 70, .block_events = 7, .gathered = true};
    static const SpanTableBy kinds[] = {SPAN_TABLE_FUNCTIONS, SPAN_TABLE_SPANS, SPAN_TABLE_EVENTS};
    uint64_t all = 0, parts = 0;
    const SpanRow *row;
    Made made = make_report(sample_trace(&shape, -1), (ReportConfig){0});
    uint64_t spans = made.report->spans.begins;

    for (size_t i = 0; (row = span_table_row(made.report->table, i)); i++)
        all += row->stat.count;
    CU_ASSERT_EQUAL(made.report->events, 210);
    CU_ASSERT_EQUAL(all + made.report->spans.ends, 210);
    unmake(&made);
    for (size_t kind = 0; kind < 3; kind++) {
        made = make_report(sample_trace(&shape, -1), (ReportConfig){.table = {.by = kinds[kind]}});
        for (size_t i = 0; (row = span_table_row(made.report->table, i)); i++)
            parts += row->stat.count;
        unmake(&made);
    }
    CU_ASSERT_EQUAL(parts, all);
    made = make_report(sample_trace(&shape, -1), (ReportConfig){.table = {.by = SPAN_TABLE_THREADS}});
    CU_ASSERT_EQUAL(span_table_count(made.report->table), 3);
    parts = 0;
    for (size_t i = 0; (row = span_table_row(made.report->table, i)); i++)
        parts += row->stat.count;
    CU_ASSERT_EQUAL(parts, spans);
    unmake(&made);
}

static void longest__more_than_wanted__then_the_longest_in_order(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    uint64_t time = 0;
    Lane lane = {0};
    Made made;

    for (uint32_t i = 0; i < 100; i++) {
        uint64_t duration = 1 + i * 37 % 100;

        lane_span(&lane, time, time + duration, SAMPLE_WORK, 0);
        time += duration;
    }
    put_lane(writer, 1, 1, &lane);
    end_unclosed(writer);
    made = make_report(fd, (ReportConfig){.longest = 7});
    CU_ASSERT_EQUAL(made.report->longest.count, 7);
    for (uint64_t i = 0; i < 7; i++)
        CU_ASSERT_EQUAL(span_duration(&made.report->longest.spans[i]), 100 - i);
    unmake(&made);
}

/* ---- waits ------------------------------------------------------------------------------------ */

enum { LOCK = 1, UNLOCK, WAIT, SIGNAL, JOIN };
static const char *const lock_names[] = {"pthread_mutex_lock", "pthread_mutex_unlock", "pthread_cond_wait",
                                         "pthread_cond_signal", "pthread_join"};
enum { MUTEX = 0x7000, CONDITION = 0x8000 };

/* The wait of a thread (its tid) in an event. */
static const WaitRow *find_wait(const Report *report, uint32_t tid, const char *name)
{
    const WaitRow *wait;

    for (size_t i = 0; (wait = wait_table_row(report->waits, i)); i++) {
        const RoleEntry *entry = wait->event ? role_table_entry(&report->roles, wait->event) : NULL;
        const AdaEventDescriptor *descriptor =
            entry ? adat_reader_descriptor(entry->reader, entry->process->process.process, entry->id) : NULL;

        if (thread_table_numbered(report->threads, wait->thread)->thread->thread.tid == tid &&
            (name ? descriptor && strcmp(descriptor->name, name) == 0 : !descriptor))
            return wait;
    }
    return NULL;
}

static uint32_t whom_of(const Report *report, const WaitRow *wait)
{
    const ThreadRow *row = wait ? thread_table_numbered(report->threads, wait->whom) : NULL;

    return row ? row->thread->thread.tid : 0;
}

static void waits__lock_that_another_holds__then_for_whom(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    Lane one = {0}, two = {0};
    const WaitRow *wait;
    Made made;

    sample_put_thread(writer, 2, 1, 77, "two");
    put_names(writer, 1, lock_names, 5);
    lane_span(&one, 10, 11, LOCK, MUTEX);
    lane_add(&one, 100, ADA_KIND_INSTANT, UNLOCK, MUTEX);
    lane_span(&two, 20, 105, LOCK, MUTEX);
    lane_add(&two, 110, ADA_KIND_INSTANT, UNLOCK, MUTEX);
    lane_span(&one, 120, 121, LOCK, MUTEX);
    put_lane(writer, 1, 1, &one);
    put_lane(writer, 1, 2, &two);
    end_unclosed(writer);
    made = make_report(fd, (ReportConfig){.waits = true});
    wait = find_wait(made.report, 77, "pthread_mutex_lock");
    CU_ASSERT_PTR_NOT_NULL_FATAL(wait);
    CU_ASSERT_EQUAL(whom_of(made.report, wait), SAMPLE_PID);
    CU_ASSERT_EQUAL(wait->total_ns, 85);
    CU_ASSERT_EQUAL(wait->object, MUTEX);
    wait = find_wait(made.report, SAMPLE_PID, "pthread_mutex_lock");
    CU_ASSERT_EQUAL(wait->count, 2);
    CU_ASSERT_EQUAL(wait->whom, 0);

    /* Who waits already, and for whom, counts from there on; what is over does not. */
    look_from(&made, (ReportConfig){.waits = true, .tree = true}, 40);
    CU_ASSERT_EQUAL(made.report->events, 5);
    CU_ASSERT_EQUAL(made.report->spans.early, 1);
    CU_ASSERT_EQUAL(made.report->spans.complete, 1);
    CU_ASSERT_EQUAL(made.report->spans.unmatched_ends, 0);
    CU_ASSERT_EQUAL(find_row(made.report, "pthread_mutex_lock")->stat.count, 2);
    CU_ASSERT_EQUAL(find_row(made.report, "pthread_mutex_lock")->stat.total_ns, 56);
    wait = find_wait(made.report, 77, "pthread_mutex_lock");
    CU_ASSERT_PTR_NOT_NULL_FATAL(wait);
    CU_ASSERT_EQUAL(whom_of(made.report, wait), SAMPLE_PID);
    CU_ASSERT_EQUAL(wait->total_ns, 55);
    wait = find_wait(made.report, SAMPLE_PID, "pthread_mutex_lock");
    CU_ASSERT_EQUAL(wait->count, 1);
    CU_ASSERT_EQUAL(thread_table_row(made.report->threads, 0)->events, 3);
    CU_ASSERT_EQUAL(thread_table_row(made.report->threads, 1)->spans, 1);

    look_from(&made, (ReportConfig){.waits = true, .tree = true}, 98); /* behind the last one */
    CU_ASSERT_EQUAL(made.report->events, 0);
    CU_ASSERT_EQUAL(span_table_count(made.report->table), 0);
    CU_ASSERT_EQUAL(call_tree_first(made.report->tree), CALL_TREE_NONE);
    CU_ASSERT_PTR_NULL(wait_table_row(made.report->waits, 0));
    CU_ASSERT_EQUAL(made.report->longest.count, 0);
    unmake(&made);
}

/* Who waits on a condition has given its mutex back: nobody waits for him. Who signals ends the wait. */
static void waits__condition__then_for_who_signalled(void)
{
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    Lane one = {0}, two = {0};
    Made made;

    sample_put_thread(writer, 2, 1, 77, "two");
    put_names(writer, 1, lock_names, 5);
    lane_span(&one, 10, 11, LOCK, MUTEX);
    lane_add(&one, 12, ADA_KIND_SPAN_BEGIN, WAIT, CONDITION);
    lane_span(&two, 20, 21, LOCK, MUTEX);
    lane_add(&two, 30, ADA_KIND_INSTANT, SIGNAL, CONDITION);
    lane_add(&two, 31, ADA_KIND_INSTANT, UNLOCK, MUTEX);
    lane_add(&one, 40, ADA_KIND_SPAN_END, WAIT, 0);
    lane_span(&two, 41, 90, LOCK, MUTEX);
    put_lane(writer, 1, 1, &one);
    put_lane(writer, 1, 2, &two);
    end_unclosed(writer);
    made = make_report(fd, (ReportConfig){.waits = true});
    CU_ASSERT_EQUAL(whom_of(made.report, find_wait(made.report, SAMPLE_PID, "pthread_cond_wait")), 77);
    CU_ASSERT_EQUAL(find_wait(made.report, SAMPLE_PID, "pthread_cond_wait")->total_ns, 28);
    /* the first lock of two did not wait for one, the second one did */
    CU_ASSERT_EQUAL(whom_of(made.report, wait_table_row(made.report->waits, 0)), SAMPLE_PID);
    CU_ASSERT_EQUAL(wait_table_row(made.report->waits, 0)->total_ns, 49);
    unmake(&made);
}

/* What the kernel saw of a thread: where it slept, and who woke it, in the row of the program's thread. */
static void waits__switches__then_where_it_slept(void)
{
    static const char *const kernel_names[] = {"sched.switch_in", "sched.switch_out", "sched.wakeup",
                                               "syscall.futex"};
    static const char strings[] = "program\0kernel:/bin/app";
    struct {
        AdatProcess process;
        char strings[sizeof(strings)];
    } view = {.process = {.process = 2, .pid = SAMPLE_PID, .clock_kind = ADA_CLOCK_MONOTONIC}};
    const AdatBlockHeader header = {.type = ADAT_BLOCK_PROCESS, .process = 2};
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    Lane program = {0}, kernel = {0};
    const WaitRow *wait;
    const ThreadRow *row;
    Made made;

    memcpy(view.strings, strings, sizeof(strings));
    sample_put(writer, &header, &view, sizeof(view.process) + sizeof(strings));
    sample_put_thread(writer, 2, 2, SAMPLE_PID, "main");
    put_names(writer, 2, kernel_names, 4);
    lane_span(&program, 5, 1000, SAMPLE_WORK, 0);
    lane_add(&kernel, 10, ADA_KIND_SPAN_BEGIN, 4, 0x9000);
    lane_add(&kernel, 20, ADA_KIND_TYPED, 2, 100);
    lane_add(&kernel, 500, ADA_KIND_TYPED, 3, 480);
    lane_add(&kernel, 530, ADA_KIND_TYPED, 1, 30);
    lane_add(&kernel, 540, ADA_KIND_SPAN_END, 4, 0);
    put_lane(writer, 1, 1, &program);
    put_lane(writer, 2, 2, &kernel);
    end_unclosed(writer);
    made = make_report(fd, (ReportConfig){.waits = true});
    row = thread_table_row(made.report->threads, 0);
    CU_ASSERT_PTR_NULL(thread_table_row(made.report->threads, 1));
    CU_ASSERT_EQUAL(row->source, CPU_EVENTS);
    CU_ASSERT_EQUAL(row->run_ns, 100);
    CU_ASSERT_EQUAL(row->sleep_ns, 480);
    CU_ASSERT_EQUAL(row->runnable_ns, 30);
    CU_ASSERT_EQUAL(row->events, 7);
    CU_ASSERT_EQUAL(row->span_ns, 995);
    wait = find_wait(made.report, SAMPLE_PID, "syscall.futex");
    CU_ASSERT_PTR_NOT_NULL_FATAL(wait);
    CU_ASSERT_EQUAL(wait->kind, WAIT_SLEEP);
    CU_ASSERT_EQUAL(wait->total_ns, 480);
    CU_ASSERT_EQUAL(wait->object, 0x9000);
    wait = find_wait(made.report, SAMPLE_PID, NULL);
    CU_ASSERT_EQUAL(wait->kind, WAIT_RUNNABLE);
    CU_ASSERT_EQUAL(wait->total_ns, 30);

    look_from(&made, (ReportConfig){.waits = true}, 295); /* amid its sleep */
    row = thread_table_row(made.report->threads, 0);
    CU_ASSERT_EQUAL(row->run_ns, 0);
    CU_ASSERT_EQUAL(row->sleep_ns, 200);
    CU_ASSERT_EQUAL(row->runnable_ns, 30);
    CU_ASSERT_EQUAL(row->span_ns, 700);
    wait = find_wait(made.report, SAMPLE_PID, "syscall.futex");
    CU_ASSERT_PTR_NOT_NULL_FATAL(wait);
    CU_ASSERT_EQUAL(wait->total_ns, 200);
    CU_ASSERT_EQUAL(wait->object, 0x9000);
    unmake(&made);
}

/* ---- differences ------------------------------------------------------------------------------ */

static uint64_t random_state = 1;

static double uniform(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (double)(random_state >> 11) / 9007199254740992.0;
}

/* Skewed: 1000 and more, many of them little more, `slow` of them 50 times as much. */
static void fill(SpanHistogram *histogram, size_t count, double factor, double slow)
{
    for (size_t i = 0; i < count; i++) {
        double value = 1000 * factor / (0.05 + 0.95 * uniform());

        if (uniform() < slow)
            value *= 50;
        CU_ASSERT_EQUAL(span_histogram_add(histogram, (uint64_t)value), 0);
    }
}

/* Of values of the same distribution a test finds p < 0.05 in one of twenty cases: 400 cases, so 20, give or take 3 deviations. */
static void diff__same_distribution__then_as_seldom_significant_as_it_says(void)
{
    int found = 0;

    for (int i = 0; i < 400; i++) {
        SpanHistogram a = {0}, b = {0};

        fill(&a, 300, 1, 0);
        fill(&b, 200, 1, 0);
        found += span_diff_shift(&a, &b, 1).probability < 0.05;
        span_histogram_fini(&a);
        span_histogram_fini(&b);
    }
    CU_ASSERT(found > 7 && found < 34);
}

static void diff__all_longer__then_shift(void)
{
    SpanHistogram a = {0}, b = {0};
    SpanDiffResult result, back;

    fill(&a, 2000, 1, 0.01);
    fill(&b, 2000, 1.5, 0.01);
    result = span_diff_shift(&a, &b, 1);
    back = span_diff_shift(&b, &a, 1);
    CU_ASSERT(result.known && result.probability < 1e-6);
    CU_ASSERT(result.effect > 0.56);
    CU_ASSERT_DOUBLE_EQUAL(result.effect + back.effect, 1, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(result.probability, back.probability, 1e-12);
    CU_ASSERT(span_diff_shift(&a, &b, 1e6).probability > 0.5);
    span_histogram_fini(&a);
    span_histogram_fini(&b);
}

static void diff__only_the_tail__then_tail_and_no_shift(void)
{
    SpanHistogram a = {0}, b = {0};
    SpanDiffResult shift, tail;

    fill(&a, 20000, 1, 0.002);
    fill(&b, 20000, 1, 0.012);
    shift = span_diff_shift(&a, &b, 1);
    tail = span_diff_tail(&a, &b, 1);
    CU_ASSERT(shift.effect < 0.52 && shift.effect > 0.48);
    CU_ASSERT(tail.known && tail.probability < 1e-6 && tail.effect > SPAN_DIFF_TAIL_RATIO);
    span_histogram_fini(&a);
    span_histogram_fini(&b);
}

static void diff__too_few__then_unknown(void)
{
    SpanHistogram a = {0}, b = {0};

    fill(&a, SPAN_DIFF_LEAST - 1, 1, 0);
    fill(&b, 1000, 9, 0);
    CU_ASSERT_FALSE(span_diff_shift(&a, &b, 1).known);
    CU_ASSERT_FALSE(span_diff_tail(&a, &b, 1).known);
    span_histogram_fini(&a);
    span_histogram_fini(&b);
}

static void diff__windows_that_vary__then_inflated(void)
{
    SpanWindows same = {0}, apart = {0};

    CU_ASSERT_DOUBLE_EQUAL(span_diff_inflation(NULL), 1, 0);
    CU_ASSERT_DOUBLE_EQUAL(span_diff_inflation(&same), 1, 0);
    for (size_t i = 0; i < SPAN_WINDOWS; i++) {
        for (int n = 0; n < 100; n++) {
            double value = uniform();

            same.counts[i]++;
            same.sums[i] += value;
            same.squares += value * value;
            value += (double)(i % 2);
            apart.counts[i]++;
            apart.sums[i] += value;
            apart.squares += value * value;
        }
    }
    CU_ASSERT(span_diff_inflation(&same) < 3);
    CU_ASSERT(span_diff_inflation(&apart) > 100);
}

/* A file in which "old" or "new", "same" and "slow" happen, "slow" taking so long. */
static Made make_side(const char *other, uint64_t slow_ns)
{
    const char *const names[] = {other, "same", "slow"};
    int fd = sample_file();
    AdatWriter *writer = begin_trace(fd);
    uint64_t time = 0;
    Made made;

    put_names(writer, 1, names, 3);
    for (uint64_t block = 0; block < 20; block++) {
        Lane lane = {0};

        for (uint32_t i = 0; i < 20; i++) {
            uint64_t extra = i * 7919 % 13;

            lane_span(&lane, time, time + 100 + extra, 2, 0);
            lane_span(&lane, time + 200, time + 200 + slow_ns + extra, 3, 0);
            time += 1000;
        }
        if (block == 0)
            lane_span(&lane, time, time + 10, 1, 0);
        time += 1000;
        sample_put_index(writer, 1, 1, block == 0 ? 0 : block * 80 + 2, lane.events, lane.count, NULL);
    }
    end_unclosed(writer);
    made = make_report(
        fd, (ReportConfig){.table = {.by = SPAN_TABLE_NAMES, .compared = true, .window_ns = 30000}});
    return made;
}

static void diff__two_traces__then_new_gone_slower_and_no_more(void)
{
    Made a = make_side("old", 100), b = make_side("new", 150);
    size_t significant = 0;
    SpanDiff diff;

    CU_ASSERT_EQUAL_FATAL(span_diff_init(&diff, a.report->table, b.report->table), 0);
    CU_ASSERT_EQUAL(diff.count, 4);
    for (size_t i = 0; i < diff.count; i++) {
        const SpanDiffRow *row = &diff.rows[i];
        const char *name = row->named->name;

        significant += row->significant;
        if (strcmp(name, "same") == 0)
            CU_ASSERT_FALSE(row->significant);
        if (strcmp(name, "slow") == 0) {
            CU_ASSERT(row->tests[SPAN_DIFF_TOTAL].significant && row->tests[SPAN_DIFF_SELF].significant);
            CU_ASSERT_DOUBLE_EQUAL(row->tests[SPAN_DIFF_TOTAL].effect, 1, 1e-9);
            CU_ASSERT_FALSE(row->tests[SPAN_DIFF_COUNT].significant);
            CU_ASSERT_EQUAL(i, 0);
        }
        if (strcmp(name, "old") == 0)
            CU_ASSERT(row->a && !row->b);
        if (strcmp(name, "new") == 0)
            CU_ASSERT(row->b && !row->a);
    }
    CU_ASSERT_EQUAL(significant, 3);
    span_diff_fini(&diff);
    unmake(&a);
    unmake(&b);
}

/* ---- errors ----------------------------------------------------------------------------------- */

static int refuse(uint64_t events, void *context)
{
    *(uint64_t *)context = events;
    return -ECANCELED;
}

static void report__progress_gives_up__then_its_error(void)
{
    int fd = sample_trace(
        &(SampleShape){.threads = 1, .events = REPORT_PROGRESS_EVENTS + 5, .block_events = 1000}, -1);
    ReportConfig config = {.cursor = {.from_ns = INT64_MIN, .to_ns = INT64_MAX}, .progress = refuse};
    AdatSet *set = NULL;
    Report *report = NULL;
    uint64_t seen = 0;

    CU_ASSERT_EQUAL_FATAL(adat_set_open(sample_path(fd), &set), 0);
    config.set = set;
    config.progress_context = &seen;
    CU_ASSERT_EQUAL(report_run(&config, &report), -ECANCELED);
    CU_ASSERT_EQUAL(seen, REPORT_PROGRESS_EVENTS);
    CU_ASSERT_PTR_NULL(report);
    report_destroy(NULL);
    adat_set_close(set);
    close(fd);
}

static const TestCase tests[] = {
    TEST(table__recursion__then_total_counts_the_outermost),
    TEST(table__same_name_in_two_processes__then_one_row),
    TEST(table__incomplete_ones__then_counted_without_mean),
    TEST(table__by_each_kind__then_all_spans_once),
    TEST(longest__more_than_wanted__then_the_longest_in_order),
    TEST(waits__lock_that_another_holds__then_for_whom),
    TEST(waits__condition__then_for_who_signalled),
    TEST(waits__switches__then_where_it_slept),
    TEST(diff__same_distribution__then_as_seldom_significant_as_it_says),
    TEST(diff__all_longer__then_shift),
    TEST(diff__only_the_tail__then_tail_and_no_shift),
    TEST(diff__too_few__then_unknown),
    TEST(diff__windows_that_vary__then_inflated),
    TEST(diff__two_traces__then_new_gone_slower_and_no_more),
    TEST(report__progress_gives_up__then_its_error),
};
TEST_MAIN("report", tests)
