/* SPDX-License-Identifier: MIT */
/*
 * Loads for the drain: what a recorder has to carry away, so that its summary says how well it did.
 *
 *     adatrace record --json -- bench_drain [--threads N] [--rate EVENTS_PER_S_IN_ALL] [--seconds S] [--skew K]
 *                                           [--burst EVENTS_PER_THREAD | --flat-out] [--idle M] [--floors] [--json]
 *
 *   (paced)     an open loop: when each event comes is fixed before the first one. A thread sleeps until its next
 *               event is due, but wakes at most once in PERIOD_NS, and then records all that are due; one that
 *               wakes late catches up. The threads' periods are staggered, so that they do not all wake at once.
 *   --flat-out  the same events as fast as may be
 *   --burst     so many events of each thread at once; then all keep silent until the S seconds are over
 *   --skew K    the first thread records K times as many events as each of the others
 *   --idle M    M more threads register and then block until the end; with `--threads 0`, nothing else happens
 *   --floors    beside the load two threads wake as often as the drain does and record nothing: one goes to sleep again at
 *               once, one works for 30 us. What CPU time they are charged with is the least that any collector can take
 *               here: waking up has its price, and so have the load's own timers that expire on a CPU that works
 *
 * Nothing is pinned. Prints how many events it has emitted, to be held against the file, and how late the load was:
 * a load that lags behind its own schedule measures the machine and not the recorder.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <adatrace/adatrace.h>

#include "tests/bench/bench_support.h"

#define NS_PER_S 1000000000u
#define PERIOD_NS 1000000u
/* From the last registration to the first event: the threads have gone to sleep, the recorder knows them all. */
#define START_DELAY_NS 50000000u
#define IDLE_STACK_BYTES ((size_t)64 << 10)
#define FLOOR_PERIOD_NS 1600000u
#define FLOOR_WORK_NS 30000u

typedef struct Options {
    bool json;
    bool flat_out;
    bool floors;
    size_t threads;
    size_t idle;
    double rate; /* events per second of all threads together */
    double seconds;
    double skew;
    uint64_t burst; /* events of each thread; 0: none */
} Options;

typedef struct Load {
    const Options *options;
    pthread_barrier_t registered;
    pthread_barrier_t started; /* start_ns is set */
    uint64_t start_ns;
    sem_t never; /* posted by nobody */
} Load;

typedef struct Producer {
    Load *load;
    pthread_t thread;
    uint64_t events;    /* in all */
    double interval_ns; /* from one to the next */
    uint64_t offset_ns; /* of its first event and its periods from the start */
    double *late_us;    /* for each wake */
    size_t late_count;
    size_t late_max;
} Producer;

/* A thread that wakes as often as the drain. */
typedef struct Floor {
    const Load *load;
    pthread_t thread;
    uint64_t work; /* of work() at each wake */
    double cpu;    /* of the time that it ran, in percent */
} Floor;

/* ---- threads ---------------------------------------------------------------------------------- */

static void sleep_until(uint64_t time_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(time_ns / NS_PER_S),
                                   .tv_nsec = (long)(time_ns % NS_PER_S)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

static void emit_event(uint64_t number)
{
    ADA_INSTANT("bench.drain", number);
}

/* How many events' time has come. */
static uint64_t events_due(const Producer *producer, uint64_t since_ns)
{
    double due = (double)since_ns / producer->interval_ns + 1.0;

    return due < (double)producer->events ? (uint64_t)due : producer->events;
}

static void emit_paced(Producer *producer)
{
    uint64_t begin = producer->load->start_ns + producer->offset_ns;
    uint64_t wake = begin;
    uint64_t done = 0;

    while (done < producer->events) {
        sleep_until(wake);
        uint64_t now = bench_now_ns();
        if (producer->late_count < producer->late_max)
            producer->late_us[producer->late_count++] = (double)(now - wake) / 1e3;
        for (uint64_t due = events_due(producer, now - begin); done < due; done++)
            emit_event(done);
        /* What is due was recorded, so periods that have passed meanwhile need no wake of their own. */
        uint64_t period = begin + ((now - begin) / PERIOD_NS + 1) * PERIOD_NS;
        uint64_t next = begin + (uint64_t)((double)done * producer->interval_ns) + 1;
        wake = next > period ? next : period;
    }
}

static void *produce(void *argument)
{
    Producer *producer = argument;
    Load *load = producer->load;

    bench_check(ada_thread_init(), "ada_thread_init(): more --threads for adatrace record?");
    (void)pthread_barrier_wait(&load->registered);
    (void)pthread_barrier_wait(&load->started);
    if (!load->options->flat_out && load->options->burst == 0) {
        emit_paced(producer);
        return NULL;
    }
    sleep_until(load->start_ns);
    for (uint64_t i = 0; i < producer->events; i++)
        emit_event(i);
    return NULL;
}

static void work(uint64_t amount)
{
    for (uint64_t i = 0; i < amount; i++)
        BENCH_KEEP(i);
}

/* How much of work() takes FLOOR_WORK_NS where nothing disturbs it. */
static uint64_t floor_work(void)
{
    const uint64_t amount = 100000;
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < 100; i++) {
        uint64_t begin = bench_now_ns(), took;

        work(amount);
        took = bench_now_ns() - begin;
        if (took < least)
            least = took;
    }
    return amount * FLOOR_WORK_NS / least;
}

static uint64_t cpu_ns(void)
{
    struct timespec time = {0};

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time); /* cannot fail: the clock exists, the pointer is good */
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

static void *keep_pace(void *argument)
{
    Floor *pace = argument;
    uint64_t duration = (uint64_t)(pace->load->options->seconds * 1e9);
    uint64_t begin = pace->load->start_ns;
    uint64_t cpu = cpu_ns();

    for (uint64_t due = begin; due < begin + duration; due += FLOOR_PERIOD_NS) {
        sleep_until(due);
        work(pace->work);
    }
    pace->cpu = (double)(cpu_ns() - cpu) * 100 / (double)duration;
    return NULL;
}

/* Ends with the process. */
static void *idle(void *argument)
{
    Load *load = argument;

    bench_check(ada_thread_init(), "ada_thread_init() of an idle thread: more --threads for adatrace record?");
    (void)pthread_barrier_wait(&load->registered);
    for (;;)
        (void)sem_wait(&load->never);
    return NULL;
}

/* ---- setting up ------------------------------------------------------------------------------- */

static void start_idle_threads(Load *load, size_t count)
{
    pthread_attr_t attributes;
    pthread_t thread;

    bench_check(-pthread_attr_init(&attributes), "making thread attributes");
    bench_check(-pthread_attr_setstacksize(&attributes, IDLE_STACK_BYTES), "setting the size of a stack");
    bench_check(-pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED),
                "setting thread attributes");
    for (size_t i = 0; i < count; i++)
        bench_check(-pthread_create(&thread, &attributes, idle, load), "starting an idle thread");
    (void)pthread_attr_destroy(&attributes);
}

static void plan_producer(Producer *producer, Load *load, size_t index)
{
    const Options *options = load->options;
    double weight = index == 0 ? options->skew : 1.0;
    double share = weight / (options->skew + (double)(options->threads - 1));

    producer->load = load;
    producer->events = options->burst ? options->burst : (uint64_t)(options->rate * options->seconds * share);
    if (producer->events > 0)
        producer->interval_ns = options->seconds * 1e9 / (double)producer->events;
    producer->offset_ns = PERIOD_NS * index / options->threads;
    producer->late_max = (size_t)(options->seconds * 1e9 / PERIOD_NS) + 2;
    producer->late_us = calloc(producer->late_max, sizeof(producer->late_us[0]));
    bench_check(producer->late_us ? 0 : -ENOMEM, "allocating samples");
}

/* Runs the load to its end. Returns how many events were emitted. */
static uint64_t run_load(Load *load, Producer *producers, Floor floors[2])
{
    const Options *options = load->options;
    uint64_t emitted = 0;

    start_idle_threads(load, options->idle);
    for (size_t i = 0; i < options->threads; i++) {
        plan_producer(&producers[i], load, i);
        bench_check(-pthread_create(&producers[i].thread, NULL, produce, &producers[i]), "starting a thread");
        emitted += producers[i].events;
    }
    (void)pthread_barrier_wait(&load->registered);
    load->start_ns = bench_now_ns() + START_DELAY_NS;
    (void)pthread_barrier_wait(&load->started);
    for (size_t i = 0; i < 2 && options->floors; i++) {
        floors[i].load = load;
        bench_check(-pthread_create(&floors[i].thread, NULL, keep_pace, &floors[i]), "starting a thread");
    }

    for (size_t i = 0; i < options->threads; i++)
        (void)pthread_join(producers[i].thread, NULL);
    for (size_t i = 0; i < 2 && options->floors; i++)
        (void)pthread_join(floors[i].thread, NULL);
    if (!options->flat_out)
        sleep_until(load->start_ns + (uint64_t)(options->seconds * 1e9));
    return emitted;
}

/* ---- report ----------------------------------------------------------------------------------- */

static void report_lateness(BenchReport *report, const Producer *producers, size_t count)
{
    size_t total = 0, used = 0;

    for (size_t i = 0; i < count; i++)
        total += producers[i].late_count;
    if (total == 0)
        return;
    double *samples = calloc(total, sizeof(*samples));
    bench_check(samples ? 0 : -ENOMEM, "allocating samples");
    for (size_t i = 0; i < count; i++) {
        for (size_t sample = 0; sample < producers[i].late_count; sample++)
            samples[used++] = producers[i].late_us[sample];
    }
    BenchRow row = {
        .name = "load behind its schedule", .unit = "us", .summary = bench_summarize(samples, total)};
    bench_report_add(report, &row);
    bench_report_add_value(report, "load behind its schedule, P99", "us", samples[(total - 1) * 99 / 100],
                           BENCH_TARGET_NONE, 0);
    free(samples);
}

/* ---- program ---------------------------------------------------------------------------------- */

static void usage_error(const char *program)
{
    fprintf(stderr,
            "usage: %s [--threads N] [--rate EVENTS_PER_S] [--seconds S] [--skew K] [--idle M]\n"
            "       [--burst EVENTS_PER_THREAD | --flat-out] [--floors] [--json]\n",
            program);
    exit(2);
}

/* A number of at least `least`. */
static double parse_number(const char *program, const char *text, double least)
{
    char *end;
    double number = strtod(text, &end);

    if (end == text || *end != '\0' || !(number >= least) || number > 1e12)
        usage_error(program);
    return number;
}

static void parse_options(int argc, char **argv, Options *options)
{
    static const struct option known[] = {
        {"threads", required_argument, NULL, 't'}, {"rate", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 's'}, {"idle", required_argument, NULL, 'i'},
        {"skew", required_argument, NULL, 'k'},    {"burst", required_argument, NULL, 'b'},
        {"flat-out", no_argument, NULL, 'f'},      {"floors", no_argument, NULL, 'F'},
        {"json", no_argument, NULL, 'j'},          {0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 't')
            options->threads = (size_t)parse_number(argv[0], optarg, 0);
        else if (option == 'r')
            options->rate = parse_number(argv[0], optarg, 1);
        else if (option == 's')
            options->seconds = parse_number(argv[0], optarg, 0.001);
        else if (option == 'i')
            options->idle = (size_t)parse_number(argv[0], optarg, 0);
        else if (option == 'k')
            options->skew = parse_number(argv[0], optarg, 1);
        else if (option == 'b')
            options->burst = (uint64_t)parse_number(argv[0], optarg, 1);
        else if (option == 'f')
            options->flat_out = true;
        else if (option == 'F')
            options->floors = true;
        else if (option == 'j')
            options->json = true;
        else
            usage_error(argv[0]);
    }
    if (optind != argc || (options->flat_out && options->burst) || options->threads + options->idle == 0)
        usage_error(argv[0]);
}

int main(int argc, char **argv)
{
    static BenchReport report; /* too large for a stack */
    Options options = {.threads = 64, .rate = 1e6, .seconds = 5, .skew = 1};
    Load load = {.options = &options};

    parse_options(argc, argv, &options);
    bench_check(ada_enabled() ? 0 : -EAGAIN, "run it under adatrace record: nobody records");
    unsigned registering = (unsigned)(options.threads + options.idle) + 1;
    bench_check(-pthread_barrier_init(&load.registered, NULL, registering), "making a barrier");
    bench_check(-pthread_barrier_init(&load.started, NULL, (unsigned)options.threads + 1), "making a barrier");
    bench_check(sem_init(&load.never, 0, 0) == 0 ? 0 : -errno, "making a semaphore");
    Producer *producers = calloc(options.threads ? options.threads : 1, sizeof(*producers));
    bench_check(producers ? 0 : -ENOMEM, "allocating threads");

    Floor floors[2] = {{.work = 0}, {.work = options.floors ? floor_work() : 0}};
    uint64_t emitted = run_load(&load, producers, floors);

    bench_report_init(&report, "drain");
    bench_report_add_value(&report, "events emitted", "events", (double)emitted, BENCH_TARGET_NONE, 0);
    if (options.floors) {
        bench_report_add_value(&report, "floor: a thread that wakes every 1.6 ms", "% of a core",
                               floors[0].cpu, BENCH_TARGET_NONE, 0);
        bench_report_add_value(&report, "floor: the same with 30 us of work (1.9 %)", "% of a core",
                               floors[1].cpu, BENCH_TARGET_NONE, 0);
    }
    report_lateness(&report, producers, options.threads);
    bench_report_print(&report, options.json);
    for (size_t i = 0; i < options.threads; i++)
        free(producers[i].late_us);
    free(producers);
    return 0;
}
