/* SPDX-License-Identifier: MIT */
/*
 * Spans of a known shape: prog_spans ROUNDS [killed]
 *
 * Each of two threads records a span "whole" around ROUNDS spans "round", each with three spans "inner" in it; every tenth round is left by
 * longjmp(3) out of a span "jump", which never ends. Begin and end of a span have the same number, which no other span of
 * that name in that thread has. With `killed` the main thread has a span "open" with one "open.inner" in it, waits until the recorder has
 * everything, and is killed.
 */
#include <adatrace/adatrace.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_TIMEOUT_MS 60000u

static uint64_t rounds;

__attribute__((noinline, noreturn)) static void jump(jmp_buf *place, uint64_t number)
{
    ADA_SPAN_BEGIN("jump", number);
    longjmp(*place, 1);
}

__attribute__((noinline)) static void run_round(uint64_t number)
{
    jmp_buf place;

    ADA_SPAN_BEGIN("round", number);
    for (uint64_t i = 0; i < 3; i++) {
        ADA_SPAN_BEGIN("inner", 3 * number + i);
        ADA_SPAN_END("inner", 3 * number + i);
    }
    if (number % 10 == 0 && setjmp(place) == 0)
        jump(&place, number);
    ADA_SPAN_END("round", number);
}

static void *run(void *argument)
{
    ADA_SPAN_BEGIN("whole", 0);
    for (uint64_t i = 0; i < rounds; i++)
        run_round(i);
    ADA_SPAN_END("whole", 0);
    return argument;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];

    if (argc < 2)
        return 2;
    rounds = strtoull(argv[1], NULL, 10);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, run, NULL) != 0)
            return 1;
    for (int i = 0; i < 2; i++)
        if (pthread_join(threads[i], NULL) != 0)
            return 1;
    if (argc > 2 && strcmp(argv[2], "killed") == 0) {
        ADA_SPAN_BEGIN("open", 0);
        ADA_SPAN_BEGIN("open.inner", 0);
        if (ada_flush(FLUSH_TIMEOUT_MS) != 0)
            return 1;
        (void)raise(SIGKILL);
    }
    return 0;
}
