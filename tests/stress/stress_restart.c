/* SPDX-License-Identifier: MIT */
/*
 * A process with several threads, and collectors that are killed at random moments, hundreds of them: all their files together have everything
 * once.
 *
 *     stress_restart [SECONDS]      of each of the policies; default: 6
 */
#define _GNU_SOURCE
#include "restart_fixture.h"
#include "test_support.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "user/lane/clock.h"

#define THREADS 4u
#define FILE_BYTES (256u << 10)
#define LIFETIME_MAX_US 30000u /* of a collector */
#define WRITER_TID 1000u

/* CUnit's tests take no arguments. */
static uint64_t seconds_each = 6;

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void pause_us(uint32_t us)
{
    const struct timespec time = {.tv_nsec = (long)us * 1000};

    (void)nanosleep(&time, NULL);
}

/* ---- the traced process ------------------------------------------------------------------------- */

typedef struct Writer {
    pthread_t thread;
    RestartFixture *fixture;
    uint32_t number;
} Writer;

/* Registers, records in bursts, and ends, over and over: as long as nobody collects it only loses. */
static void *write_lives(void *argument)
{
    const Writer *writer = argument;
    uint64_t state = writer->number;
    uint32_t tid = WRITER_TID + writer->number;

    while (!ada_load_acquire(&writer->fixture->shared->stop)) {
        uint32_t bursts = 50 + next_random(&state) % 400;
        RestartThread thread;

        if (!restart_thread_begin(writer->fixture, &thread, tid)) {
            pause_us(1000);
            continue;
        }
        tid += THREADS;
        for (uint32_t i = 0; i < bursts && !ada_load_acquire(&writer->fixture->shared->stop); i++) {
            restart_thread_write(&thread, next_random(&state) % 300);
            pause_us(next_random(&state) % 500);
        }
        if (ada_load_acquire(&writer->fixture->shared->stop))
            break; /* it is killed in its slot */
        restart_thread_end(&thread);
    }
    return NULL;
}

static pid_t start_writers(RestartFixture *fixture)
{
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    CU_ASSERT_TRUE_FATAL(child >= 0);
    if (child == 0) {
        Writer writers[THREADS];

        for (uint32_t i = 0; i < THREADS; i++) {
            writers[i] = (Writer){.fixture = fixture, .number = i};
            if (pthread_create(&writers[i].thread, NULL, write_lives, &writers[i]) != 0)
                abort();
        }
        for (uint32_t i = 0; i < THREADS; i++)
            (void)pthread_join(writers[i].thread, NULL);
        _exit(0);
    }
    return child;
}

static void stop_writers(RestartFixture *fixture, pid_t writers)
{
    int status = 0;

    ada_store_release(&fixture->shared->stop, 1u);
    CU_ASSERT_EQUAL_FATAL(waitpid(writers, &status, 0), writers);
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    restart_note_killed(fixture);
}

/* ---- tests -------------------------------------------------------------------------------------- */

static void kill_collectors(uint32_t policy, uint32_t detail)
{
    uint64_t until = ada_clock_monotonic_ns() + seconds_each * 1000000000u;
    uint64_t state = until, in_file;
    uint32_t collectors = 0;
    RestartFixture fixture;
    pid_t writers, collector;

    restart_init(&fixture, policy, detail, FILE_BYTES);
    writers = start_writers(&fixture);
    while (ada_clock_monotonic_ns() < until) {
        collector = restart_collector(&fixture, NULL, 0, false);
        collectors++;
        pause_us(next_random(&state) % LIFETIME_MAX_US);
        if (next_random(&state) % 16 == 0)
            restart_stop(&fixture, collector, RESTART_STOP_DETACH);
        else
            restart_kill(&fixture, collector);
    }
    stop_writers(&fixture, writers);
    collector = restart_collector(&fixture, NULL, 0, true);
    restart_stop(&fixture, collector, RESTART_STOP_ENDED);
    in_file = restart_check(&fixture);
    printf("  %u collectors, %llu killed; %u threads, %llu records in files\n", collectors,
           (unsigned long long)fixture.shared->deaths, fixture.shared->life_count, (unsigned long long)in_file);
    CU_ASSERT(fixture.shared->deaths > seconds_each);
    CU_ASSERT(in_file > 0);
    restart_fini(&fixture);
}

static void collectors__killed_at_random_under_discard__then_everything_once(void)
{
    kill_collectors(ADA_POLICY_DISCARD, ADA_DETAIL_ALWAYS);
}

static void collectors__killed_at_random_under_overwrite__then_everything_once(void)
{
    kill_collectors(ADA_POLICY_OVERWRITE, ADA_DETAIL_MARKED);
}

static void collectors__killed_at_random_under_block__then_everything_once(void)
{
    kill_collectors(ADA_POLICY_BLOCK, ADA_DETAIL_ALWAYS);
}

static const TestCase tests[] = {
    TEST(collectors__killed_at_random_under_discard__then_everything_once),
    TEST(collectors__killed_at_random_under_overwrite__then_everything_once),
    TEST(collectors__killed_at_random_under_block__then_everything_once),
};

int main(int argc, char **argv)
{
    if (argc > 1)
        seconds_each = strtoull(argv[1], NULL, 10);
    return test_run("stress_restart", tests, sizeof(tests) / sizeof(tests[0]), 0, NULL);
}
