/* SPDX-License-Identifier: MIT */
/*
 * Throughput of single-producer single-consumer queues of 32-bit values between two cores.
 *
 *     bench_spsc [--json] [--rounds N] [--values N] [--capacity N]
 *
 * The queues take turns, one short run each, so that a ratio compares neighbours in time. Every value
 * is checked for its place in the order: a queue that loses one fails the benchmark.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench_support.h"
#include "tests/bench/spsc_subject.h"
#include "user/lane/atomic.h"

static const SpscSubject *const subjects[] = {
#ifdef ADA_BENCH_CK
    &spsc_subject_ck, /* first: the others are compared to it */
#endif
    &spsc_subject_adatrace,
    &spsc_subject_adatrace_in_memory,
#ifdef ADA_BENCH_BOOST
    &spsc_subject_boost,
#endif
};
#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

typedef struct Transfer {
    const SpscSubject *subject; /* NULL: the consumer's thread ends */
    void *queue;
    uint32_t count;
    uint32_t wrong;
    /* Turns. `started`: release by the producer, acquire by the consumer; grants the fields above. */
    _Alignas(128) uint64_t started;
    /* Release by the consumer, acquire by the producer: all values were taken, `wrong` is set. */
    _Alignas(128) uint64_t finished;
} Transfer;

static void await(const uint64_t *word, uint64_t value)
{
    while (ada_load_acquire(word) != value)
        bench_pause();
}

static void *consumer_main(void *argument)
{
    Transfer *transfer = argument;

    bench_pin_thread(BENCH_COLLECTOR_CPU);
    for (uint64_t turn = 1;; turn++) {
        await(&transfer->started, turn);
        if (!transfer->subject)
            return NULL;
        transfer->wrong = transfer->subject->consume(transfer->queue, transfer->count);
        ada_store_release(&transfer->finished, turn);
    }
}

/* One run, in million values per second. */
static double run_subject(Transfer *transfer, const SpscSubject *subject, void *queue, uint64_t turn)
{
    transfer->subject = subject;
    transfer->queue = queue;
    uint64_t start = bench_now_ns();
    ada_store_release(&transfer->started, turn);
    subject->produce(queue, transfer->count);
    await(&transfer->finished, turn);
    double elapsed_ns = (double)(bench_now_ns() - start);
    bench_check(transfer->wrong ? -EPROTO : 0, subject->name);
    return (double)transfer->count * 1e3 / elapsed_ns;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"rounds", required_argument, NULL, 'r'},
        {"values", required_argument, NULL, 'v'},
        {"capacity", required_argument, NULL, 'c'},
        {0},
    };
    Transfer transfer = {.count = 1000000};
    size_t rounds = 51;
    uint32_t capacity = 1024;
    bool json = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'j')
            json = true;
        else if (option == 'r')
            rounds = strtoul(optarg, NULL, 10);
        else if (option == 'v')
            transfer.count = (uint32_t)strtoul(optarg, NULL, 10);
        else if (option == 'c')
            capacity = (uint32_t)strtoul(optarg, NULL, 10);
        else
            return 2;
    }

    pthread_t consumer;
    bench_check(-pthread_create(&consumer, NULL, consumer_main, &transfer), "starting the consumer");
    bench_pin_thread(BENCH_PRODUCER_CPU);

    /* A queue per subject for all of its runs: a fresh one would start with cold and unmapped memory. */
    void *queues[SUBJECTS];
    BenchCase cases[SUBJECTS];
    double *samples = calloc(SUBJECTS * rounds, sizeof(*samples));
    bench_check(samples ? 0 : -ENOMEM, "allocating samples");
    for (size_t i = 0; i < SUBJECTS; i++) {
        queues[i] = subjects[i]->create(capacity);
        bench_check(queues[i] ? 0 : -EINVAL, subjects[i]->name);
        cases[i] = (BenchCase){.name = subjects[i]->name, .samples = samples + i * rounds, .rounds = rounds};
    }

    uint64_t turn = 0;
    for (size_t round = 0; round < rounds + 1; round++)
        for (size_t i = 0; i < SUBJECTS; i++) {
            double rate = run_subject(&transfer, subjects[i], queues[i], ++turn);
            if (round > 0) /* the first one warmed up */
                cases[i].samples[round - 1] = rate;
        }
    transfer.subject = NULL;
    ada_store_release(&transfer.started, turn + 1);
    (void)pthread_join(consumer, NULL);

    BenchReport report;
    bench_report_init(&report, "spsc");
    for (size_t i = 0; i < SUBJECTS; i++) {
        BenchRow row = {.name = cases[i].name, .unit = "M ops/s", .summary = bench_case_summary(&cases[i])};
#ifdef ADA_BENCH_CK
        if (i > 0) {
            row.reference = cases[0].name;
            row.ratio = bench_case_ratio(&cases[i], &cases[0]).median;
        }
        if (subjects[i] == &spsc_subject_adatrace &&
            capacity >= 1024) { /* below, the way between the cores decides */
            row.target = BENCH_TARGET_RATIO_AT_LEAST;
            row.limit = 2.0;
        }
#endif
        bench_report_add(&report, &row);
    }
    bench_report_print(&report, json);

    for (size_t i = 0; i < SUBJECTS; i++)
        subjects[i]->destroy(queues[i]);
    free(samples);
    return 0;
}
