/* SPDX-License-Identifier: MIT */
/* Who is drained when, and how much at a time; and who is near. */
#define _GNU_SOURCE
#include "drain_fixture.h"
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS 6u

/* States without lanes that hold anything: what a scheduler looks at is set by the test. */
typedef struct Bench {
    DrainScheduler scheduler;
    Lane lanes[THREADS];
    ThreadDrainState states[THREADS];
    ThreadDrainState *list[THREADS];
    ThreadDrainState *scratch[THREADS];
} Bench;

static Bench *make_bench(enum drain_scheduler_kind kind, const DrainSchedulerConfig *preset)
{
    DrainSchedulerConfig config = preset ? *preset : (DrainSchedulerConfig){0};
    Bench *bench = calloc(1, sizeof(*bench));

    CU_ASSERT_PTR_NOT_NULL_FATAL(bench);
    config.kind = kind;
    CU_ASSERT_EQUAL_FATAL(drain_scheduler_init(&bench->scheduler, &config), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        bench->states[i].thread = i;
        bench->states[i].weight = 1;
        bench->states[i].index.reader.lane = &bench->lanes[i];
        bench->states[i].index.reader.ring_count = 4;
    }
    return bench;
}

static void plan(Bench *bench, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        bench->list[i] = &bench->states[i];
    bench->scheduler.ops->plan(&bench->scheduler, bench->list, count);
}

static void visited(Bench *bench, uint32_t thread, uint64_t bytes, bool more)
{
    DrainVisit visit = {.bytes = bytes, .more = more};

    if (bench->scheduler.ops->visited)
        bench->scheduler.ops->visited(&bench->scheduler, &bench->states[thread], &visit);
}

static void drain_scheduler__names__then_each_finds_its_kind(void)
{
    for (uint32_t kind = 0; kind < DRAIN_SCHEDULER_KINDS; kind++) {
        const char *name = drain_scheduler_name((enum drain_scheduler_kind)kind);

        CU_ASSERT_PTR_NOT_NULL_FATAL(name);
        CU_ASSERT_EQUAL(drain_scheduler_kind_of(name), kind);
    }
    CU_ASSERT_PTR_NULL(drain_scheduler_name(DRAIN_SCHEDULER_KINDS));
    CU_ASSERT_EQUAL(drain_scheduler_kind_of("fifo"), DRAIN_SCHEDULER_KINDS);
}

static void drain_scheduler__bad_config__then_refused(void)
{
    DrainScheduler scheduler;
    DrainSchedulerConfig config = {.kind = DRAIN_SCHEDULER_KINDS};

    CU_ASSERT_EQUAL(drain_scheduler_init(&scheduler, &config), -EINVAL);
    config = (DrainSchedulerConfig){.quantum_min = 4096, .quantum_max = 4095};
    CU_ASSERT_EQUAL(drain_scheduler_init(&scheduler, &config), -EINVAL);
}

static void round_robin_scheduler__iterations__then_each_thread_is_first_in_turn(void)
{
    Bench *bench = make_bench(DRAIN_SCHEDULER_ROUND_ROBIN, NULL);
    uint32_t first[THREADS] = {0};

    for (uint32_t i = 0; i < 5 * THREADS; i++) {
        uint32_t seen = 0;

        plan(bench, THREADS);
        first[bench->list[0]->thread]++;
        for (uint32_t t = 0; t < THREADS; t++) {
            seen |= 1u << bench->list[t]->thread;
            /* the order is a turn of the list */
            CU_ASSERT_EQUAL(bench->list[t]->thread, (bench->list[0]->thread + t) % THREADS);
        }
        CU_ASSERT_EQUAL(seen, (1u << THREADS) - 1);
    }
    for (uint32_t t = 0; t < THREADS; t++)
        CU_ASSERT_EQUAL(first[t], 5);
    plan(bench, 0);
    free(bench);
}

static void drain_scheduler__many_threads__then_budgets_between_the_bounds(void)
{
    DrainSchedulerConfig config = {.iteration_bytes = 1u << 20, .quantum_max = 256u << 10, .quantum_min = 8192};
    Bench *bench = make_bench(DRAIN_SCHEDULER_ROUND_ROBIN, &config);

    plan(bench, 2);
    CU_ASSERT_EQUAL(bench->states[0].budget, 256u << 10);
    plan(bench, 5);
    CU_ASSERT_EQUAL(bench->states[4].budget, (1u << 20) / 5);
    CU_ASSERT_EQUAL(drain_scheduler_share(&bench->scheduler, 0), 256u << 10);
    CU_ASSERT_EQUAL(drain_scheduler_share(&bench->scheduler, 4096), 8192);
    free(bench);
}

/* Always backlogged, everybody takes all that is granted: service follows the weights. */
static void weighted_scheduler__weights_1_2_4__then_service_1_2_4(void)
{
    DrainSchedulerConfig config = {.iteration_bytes = 30000, .quantum_max = 10000};
    Bench *bench = make_bench(DRAIN_SCHEDULER_WEIGHTED, &config);
    uint64_t served[3] = {0};

    for (uint32_t t = 0; t < 3; t++)
        bench->states[t].weight = 1u << t;
    for (uint32_t i = 0; i < 1000; i++) {
        plan(bench, 3);
        for (uint32_t t = 0; t < 3; t++) {
            /* whole records of 4,128 bytes, so a visit takes more than its budget, or leaves some of it */
            uint64_t bytes = (bench->states[t].budget + 4127) / 4128 * 4128;

            if (bench->states[t].budget == 0)
                bytes = 0;
            served[t] += bytes;
            visited(bench, t, bytes, true);
        }
    }
    CU_ASSERT_DOUBLE_EQUAL((double)served[1] / (double)served[0], 2, 0.02);
    CU_ASSERT_DOUBLE_EQUAL((double)served[2] / (double)served[0], 4, 0.04);
    free(bench);
}

static void weighted_scheduler__credit__then_saved_while_work_lasts_and_capped(void)
{
    DrainSchedulerConfig config = {.iteration_bytes = 10000, .quantum_max = 10000};
    Bench *bench = make_bench(DRAIN_SCHEDULER_WEIGHTED, &config);

    for (uint32_t i = 0; i < 5; i++) {
        plan(bench, 1);
        visited(bench, 0, 0, true); /* nothing taken: the grants add up, to two of them */
    }
    CU_ASSERT_EQUAL(bench->states[0].credit, 20000);
    visited(bench, 0, 25000, true);
    CU_ASSERT_EQUAL(bench->states[0].credit, -5000);
    plan(bench, 1);
    CU_ASSERT_EQUAL(bench->states[0].budget, 5000); /* the debt is paid first */
    visited(bench, 0, 1000, false);                 /* drained: nothing is saved for later */
    CU_ASSERT_EQUAL(bench->states[0].credit, 0);
    bench->states[0].credit = -15000;
    plan(bench, 1);
    CU_ASSERT_EQUAL(bench->states[0].budget, 0);
    free(bench);
}

static void priority_scheduler__final_waiting_and_full_lanes__then_in_this_order(void)
{
    Bench *bench = make_bench(DRAIN_SCHEDULER_PRIORITY, NULL);

    bench->states[1].phase = THREAD_DRAIN_FINAL;
    bench->states[2].stats.wait = 1;
    bench->states[3].stats.wait = 2;
    bench->lanes[4].submit_queue.tail = 3;
    bench->lanes[5].submit_queue.tail = 1;
    for (uint32_t i = 0; i < 7; i++) { /* whoever's turn it is */
        static const uint32_t order[] = {1, 3, 2, 4, 5, 0};

        plan(bench, THREADS);
        for (uint32_t t = 0; t < THREADS; t++)
            CU_ASSERT_EQUAL(bench->list[t]->thread, order[t]);
    }
    free(bench);
}

static void priority_scheduler__equal_threads__then_each_is_first_in_turn(void)
{
    Bench *bench = make_bench(DRAIN_SCHEDULER_PRIORITY, NULL);
    uint32_t first[THREADS] = {0};

    for (uint32_t i = 0; i < 3 * THREADS; i++) {
        plan(bench, THREADS);
        first[bench->list[0]->thread]++;
    }
    for (uint32_t t = 0; t < THREADS; t++)
        CU_ASSERT_EQUAL(first[t], 3);
    free(bench);
}

/* In no order at all, and with few moves: a list of thousands does not hold the drain up. */
static void priority_scheduler__thousands_in_any_order__then_sorted_and_in_turn(void)
{
    enum { MANY = 4096 };
    Bench *bench = make_bench(DRAIN_SCHEDULER_PRIORITY, NULL);
    ThreadDrainState *states = calloc(MANY, sizeof(*states));
    ThreadDrainState **list = calloc(MANY, sizeof(list[0]));
    uint32_t random = 1;

    CU_ASSERT_PTR_NOT_NULL_FATAL(states);
    CU_ASSERT_PTR_NOT_NULL_FATAL(list);
    for (uint32_t i = 0; i < MANY; i++) {
        states[i] = bench->states[0];
        states[i].thread = i;
        random = random * 1664525u + 1013904223u;
        states[i].stats.wait = random >> 24;
        list[i] = &states[i];
    }
    bench->scheduler.ops->plan(&bench->scheduler, list, MANY);
    for (uint32_t i = 1; i < MANY; i++) {
        CU_ASSERT(list[i - 1]->priority >= list[i]->priority);
        CU_ASSERT(list[i - 1]->priority > list[i]->priority || list[i - 1]->turn < list[i]->turn);
    }
    for (uint32_t i = 0; i < MANY; i++) /* each is there once */
        list[i]->thread = MANY;
    for (uint32_t i = 0; i < MANY; i++)
        CU_ASSERT_EQUAL(states[i].thread, MANY);
    free(list);
    free(states);
    free(bench);
}

static void adaptive_scheduler__load__then_quantum_and_tick_follow(void)
{
    DrainSchedulerConfig config = {.iteration_bytes = 1u << 20, .quantum_max = 512u << 10, .tick_ns = 1000000};
    Bench *bench = make_bench(DRAIN_SCHEDULER_ADAPTIVE, &config);
    const DrainLoad calm = {.bytes = 1000, .visited = 64, .fullest = 25};
    const DrainLoad crowded = {.bytes = 2u << 20, .visited = 64, .fullest = 100};

    plan(bench, 2);
    CU_ASSERT_EQUAL(bench->states[0].budget, 512u << 10);
    for (uint32_t i = 0; i < 10; i++)
        bench->scheduler.ops->ended(&bench->scheduler, &crowded);
    CU_ASSERT_EQUAL(bench->scheduler.tick_ns, 250000);
    plan(bench, 2);
    CU_ASSERT_EQUAL(bench->states[1].budget, (1u << 20) / 64);
    for (uint32_t i = 0; i < 1000; i++)
        bench->scheduler.ops->ended(&bench->scheduler, &calm);
    CU_ASSERT_EQUAL(bench->scheduler.tick_ns, 2000000);
    plan(bench, 2);
    CU_ASSERT_EQUAL(bench->states[1].budget, 512u << 10);
    free(bench);
}

static uint64_t tick_after(Bench *bench, uint32_t iterations, const DrainLoad *load)
{
    for (uint32_t i = 0; i < iterations; i++)
        bench->scheduler.ops->ended(&bench->scheduler, load);
    return bench->scheduler.tick_ns;
}

static void adaptive_scheduler__events_late_or_in_time__then_tick_follows(void)
{
    const DrainSchedulerConfig config = {.tick_ns = 1000000};
    Bench *bench = make_bench(DRAIN_SCHEDULER_ADAPTIVE, &config);
    const DrainLoad in_time = {.timed = 100};
    const DrainLoad balanced = {.timed = 100, .late = 50};
    const DrainLoad rather_late = {.timed = 100, .late = 75};
    const DrainLoad late = {.timed = 100, .late = 100};
    const DrainLoad crowded = {.timed = 100, .late = 100, .fullest = 50};
    uint64_t tick;

    CU_ASSERT_EQUAL(drain_scheduler_latency_goal(&bench->scheduler), 937500);
    CU_ASSERT_EQUAL(tick_after(bench, 1, &in_time), 1000000 + 1000000 / 32);
    CU_ASSERT_EQUAL(tick_after(bench, 1000, &in_time), 2000000);
    CU_ASSERT_EQUAL(tick_after(bench, 1, &rather_late), 2000000 - 2000000 / 64);
    tick = tick_after(bench, 1, &late);
    CU_ASSERT_EQUAL(tick, 1968750 - 1968750 / 32);
    CU_ASSERT_EQUAL(tick_after(bench, 1000, &balanced), tick);
    /* No shorter than the base by more than a step, however late all are. */
    for (uint32_t i = 0; i < 1000; i++)
        CU_ASSERT(tick_after(bench, 1, &late) >= 1000000 - 1000000 / 32);
    CU_ASSERT(bench->scheduler.tick_ns <= 1000000 + 1000000 / 32);
    /* But where rings fill up, and back from there although all are late yet. */
    CU_ASSERT_EQUAL(tick_after(bench, 10, &crowded), 250000);
    CU_ASSERT(tick_after(bench, 60, &late) >= 1000000 - 1000000 / 32);
    free(bench);
}

/* ---- nodes ------------------------------------------------------------------------------------ */

static uint32_t faked_here;

static uint32_t faked_node_of(void *context, const void *address)
{
    (void)context;
    return (uint32_t)(uintptr_t)address;
}

static uint32_t faked_current(void *context)
{
    (void)context;
    return faked_here;
}

static void drain_topology__faked_nodes__then_own_first_and_order_kept(void)
{
    Bench *bench = make_bench(DRAIN_SCHEDULER_ROUND_ROBIN, NULL);
    DrainTopology topology = {.nodes = 3, .node_of_memory = faked_node_of, .current_node = faked_current};
    static const uint32_t nodes[THREADS] = {2, 0, 1, 2, 0, 4};
    static const uint32_t order[THREADS] = {2, 5, 0, 3, 1, 4}; /* node 1, then 2, then 0 */

    for (uint32_t i = 0; i < THREADS; i++) {
        bench->states[i].index.reader.rings = (const char *)(uintptr_t)nodes[i];
        drain_topology_place(&topology, &bench->states[i]);
        CU_ASSERT_EQUAL(bench->states[i].node, nodes[i] % 3);
        bench->list[i] = &bench->states[i];
    }
    faked_here = 1;
    drain_topology_order(&topology, bench->list, THREADS, bench->scratch);
    for (uint32_t t = 0; t < THREADS; t++)
        CU_ASSERT_EQUAL(bench->list[t]->thread, order[t]);
    free(bench);
}

static void drain_topology__one_node__then_nothing_asked_or_changed(void)
{
    Bench *bench = make_bench(DRAIN_SCHEDULER_ROUND_ROBIN, NULL);
    DrainTopology topology = {.nodes = 1}; /* calling one of its functions would crash */

    bench->states[0].node = 7;
    drain_topology_place(&topology, &bench->states[0]);
    CU_ASSERT_EQUAL(bench->states[0].node, 0);
    for (uint32_t i = 0; i < THREADS; i++)
        bench->list[i] = &bench->states[THREADS - 1 - i];
    drain_topology_order(&topology, bench->list, THREADS, bench->scratch);
    for (uint32_t t = 0; t < THREADS; t++)
        CU_ASSERT_EQUAL(bench->list[t]->thread, THREADS - 1 - t);
    free(bench);
}

static void write_list(const char *directory, const char *text)
{
    char path[256];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/devices/system/node/online", directory);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void drain_topology__detected__then_as_the_machine_says(void)
{
    static const struct {
        const char *list;
        uint32_t nodes;
    } cases[] = {{"0\n", 1}, {"0-1\n", 2}, {"0-1,4\n", 5}, {"0,2-3\n", 4}, {"0-4095\n", DRAIN_NODES_MAX},
                 {"", 1}};
    char directory[] = "/tmp/adatrace-test-XXXXXX";
    char path[256];
    DrainTopology topology;
    int here = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    drain_topology_detect(&topology, directory);
    CU_ASSERT_EQUAL(topology.nodes, 1);
    (void)snprintf(path, sizeof(path), "mkdir -p %s/devices/system/node", directory);
    CU_ASSERT_EQUAL(system(path), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_list(directory, cases[i].list);
        drain_topology_detect(&topology, directory);
        CU_ASSERT_EQUAL(topology.nodes, cases[i].nodes);
    }
    (void)snprintf(path, sizeof(path), "rm -r %s", directory);
    CU_ASSERT_EQUAL(system(path), 0);

    drain_topology_detect(&topology, "/sys"); /* the real one answers for what is there */
    CU_ASSERT(topology.nodes >= 1);
    CU_ASSERT(topology.node_of_memory(NULL, &here) < DRAIN_NODES_MAX);
    CU_ASSERT_EQUAL(topology.node_of_memory(NULL, (const void *)8), 0);
    CU_ASSERT(topology.current_node(NULL) < DRAIN_NODES_MAX);
}

/* ---- phases ----------------------------------------------------------------------------------- */

static void thread_drain_state__steps__then_only_along_the_arrows(void)
{
    static const char arrows[THREAD_DRAIN_PHASES][THREAD_DRAIN_PHASES + 1] = {
        /*                   RAPDIEFX */
        [THREAD_DRAIN_REGISTERED] = "..p..e..", [THREAD_DRAIN_ACTIVE] = "..p.ie..",
        [THREAD_DRAIN_PENDING] = "...d.e..",    [THREAD_DRAIN_DRAINING] = ".ap.....",
        [THREAD_DRAIN_IDLE] = ".ap..e..",       [THREAD_DRAIN_DEREGISTERING] = "......f.",
        [THREAD_DRAIN_FINAL] = ".......x",      [THREAD_DRAIN_DRAINED] = "........",
    };
    ThreadDrainState state;

    for (uint32_t from = 0; from < THREAD_DRAIN_PHASES; from++) {
        for (uint32_t to = 0; to < THREAD_DRAIN_PHASES; to++) {
            bool allowed = arrows[from][to] != '.';

            state.phase = (enum thread_drain_phase)from;
            CU_ASSERT_EQUAL(thread_drain_move(&state, (enum thread_drain_phase)to), allowed);
            CU_ASSERT_EQUAL(state.phase, allowed ? to : from);
        }
        CU_ASSERT_FALSE(thread_drain_move(&state, THREAD_DRAIN_PHASES));
    }
    CU_ASSERT_STRING_EQUAL(thread_drain_phase_name(THREAD_DRAIN_FINAL), "final drain");
    CU_ASSERT_STRING_EQUAL(thread_drain_phase_name(THREAD_DRAIN_PHASES), "invalid");
}

static void thread_drain_state__waits__then_longest_and_sum(void)
{
    ThreadDrainState state = {0};

    thread_drain_waited(&state);
    thread_drain_waited(&state);
    thread_drain_visited(&state);
    thread_drain_waited(&state);
    CU_ASSERT_EQUAL(state.stats.wait_max, 2);
    CU_ASSERT_EQUAL(state.stats.wait_total, 3);
    CU_ASSERT_EQUAL(state.stats.wait, 1);
    CU_ASSERT_EQUAL(state.stats.visits, 1);
}

static const TestCase tests[] = {
    TEST(drain_scheduler__names__then_each_finds_its_kind),
    TEST(drain_scheduler__bad_config__then_refused),
    TEST(round_robin_scheduler__iterations__then_each_thread_is_first_in_turn),
    TEST(drain_scheduler__many_threads__then_budgets_between_the_bounds),
    TEST(weighted_scheduler__weights_1_2_4__then_service_1_2_4),
    TEST(weighted_scheduler__credit__then_saved_while_work_lasts_and_capped),
    TEST(priority_scheduler__final_waiting_and_full_lanes__then_in_this_order),
    TEST(priority_scheduler__equal_threads__then_each_is_first_in_turn),
    TEST(priority_scheduler__thousands_in_any_order__then_sorted_and_in_turn),
    TEST(adaptive_scheduler__load__then_quantum_and_tick_follow),
    TEST(adaptive_scheduler__events_late_or_in_time__then_tick_follows),
    TEST(drain_topology__faked_nodes__then_own_first_and_order_kept),
    TEST(drain_topology__one_node__then_nothing_asked_or_changed),
    TEST(drain_topology__detected__then_as_the_machine_says),
    TEST(thread_drain_state__steps__then_only_along_the_arrows),
    TEST(thread_drain_state__waits__then_longest_and_sum),
};
TEST_MAIN("drain_scheduler", tests)
