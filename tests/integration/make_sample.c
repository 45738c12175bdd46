/* SPDX-License-Identifier: MIT */
/*
 * Writes a sample trace:
 *   make_sample FILE THREADS EVENTS BLOCK_EVENTS [WORD...]  see sample_trace(); a WORD is tsc, unclosed,
 *                                                           ended, marked, or parts: of the index, of 4 entries
 *   make_sample FILE odd                                    names and values that could do harm
 *   make_sample FILE deaths                                 processes that ended in every way there is
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "adat_sample.h"
#include "user/base/parse.h"

static void write_odd(int fd)
{
    AdatWriter *writer = sample_writer(fd);
    const AdatBlockHeader header = {.type = ADAT_BLOCK_EVENTS, .process = 1};
    AdaEventDescriptor descriptor = {.id = 9, .field_count = 2, .name = "bad\033[31m\"name\\"};
    AdaIndexEvent events[4] = {
        {SAMPLE_MONOTONIC + 1, 9, 1, ADA_WORD(ADA_KIND_TYPED, ADA_FLAG_DETAIL, 0), 0},
        {SAMPLE_MONOTONIC + 2, 9, 2, ADA_WORD(ADA_KIND_TYPED, ADA_FLAG_DETAIL_LOST, 0), 0},
        {SAMPLE_MONOTONIC + 3, 77, 3, ADA_WORD(ADA_KIND_INSTANT, 0, 65535), 0},
        {SAMPLE_MONOTONIC + 4, 9, 4, ADA_WORD(200, 0, 0), 0},
    };
    AdatMark mark = {.process = 1, .thread = 1, .timestamp = SAMPLE_MONOTONIC + 5, .reason = "a\033b\"c"};
    static const uint8_t payload[32] = "\x07\0\0\0a\n\xff\xc3\xa9\"\x01";
    const double nan = __builtin_nan("");
    uint8_t fields[24];

    memcpy(fields, payload, 16);
    memcpy(fields + 16, &nan, 8);
    descriptor.fields[0] = (AdaFieldDescriptor){"te\txt", ADA_TYPE_STRING};
    descriptor.fields[1] = (AdaFieldDescriptor){"ms", ADA_TYPE_F64};
    sample_put_process(writer, 1, SAMPLE_PID, ADA_CLOCK_MONOTONIC);
    sample_put_clock(writer, 0, SAMPLE_MONOTONIC + 2, SAMPLE_REALTIME);
    sample_put_thread(writer, 1, 1, 7, "a\nb");
    sample_put(writer, &header, &descriptor, sizeof(descriptor));
    sample_put_detail(writer, 1, 1, 0, &events[0], fields, sizeof(fields));
    sample_put_index(writer, 1, 1, 0, events, 4, NULL);
    sample_put_mark(writer, &mark);
    sample_put_death(writer, 1, ADAT_DEATH_SIGNAL, 9);
    (void)adat_writer_flush(writer);
    adat_writer_destroy(writer);
}

static void write_deaths(int fd)
{
    AdatWriter *writer = sample_writer(fd);
    AdatLedgerEntry unregistered = {.process = 1, .attempted = 12, .dropped_full = 12};
    AdatDrainSummary drain = {.scheduler = "round\033robin"};
    AdatDeath death = {.process = 6, .kind = ADAT_DEATH_EXIT};
    AdatKernelSummary kernel = {.reason = "no\033BTF"};

    sample_put_clock(writer, 0, SAMPLE_MONOTONIC, SAMPLE_REALTIME);
    for (uint32_t kind = ADAT_DEATH_EXIT; kind <= ADAT_DEATH_DETACHED; kind++) {
        sample_put_process(writer, kind, 100 + kind, ADA_CLOCK_MONOTONIC);
        sample_put_death(writer, kind, kind, 7);
    }
    sample_put_process(writer, death.process, 106, ADA_CLOCK_TSC);
    sample_put(writer, &(AdatBlockHeader){.type = ADAT_BLOCK_DEATH, .process = death.process}, &death,
               sizeof(death));
    sample_put(writer, &(AdatBlockHeader){.type = ADAT_BLOCK_KERNEL}, &kernel, sizeof(kernel));
    sample_put_ledger(writer, ADAT_FLAG_FINAL, &drain, &unregistered, 1);
    (void)adat_writer_flush(writer);
    adat_writer_destroy(writer);
}

int main(int argc, char **argv)
{
    SampleShape shape = {0};
    uint64_t numbers[3];
    int fd;

    if (argc < 3)
        return 2;
    fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        perror(argv[1]);
        return 1;
    }
    if (strcmp(argv[2], "odd") == 0) {
        write_odd(fd);
        return 0;
    }
    if (strcmp(argv[2], "deaths") == 0) {
        write_deaths(fd);
        return 0;
    }
    if (argc < 5)
        return 2;
    for (int i = 0; i < 3; i++)
        if (parse_u64(argv[2 + i], 1, UINT32_MAX, &numbers[i]))
            return 2;
    shape.threads = (uint32_t)numbers[0];
    shape.events = (uint32_t)numbers[1];
    shape.block_events = (uint32_t)numbers[2];
    for (int i = 5; i < argc; i++) {
        if (strcmp(argv[i], "tsc") == 0)
            shape.tsc = true;
        else if (strcmp(argv[i], "unclosed") == 0)
            shape.unclosed = true;
        else if (strcmp(argv[i], "ended") == 0)
            shape.ended = true;
        else if (strcmp(argv[i], "marked") == 0)
            shape.marked = true;
        else if (strcmp(argv[i], "parts") == 0)
            shape.part_entries = 4;
        else
            return 2;
    }
    close(sample_trace(&shape, fd));
    return 0;
}
