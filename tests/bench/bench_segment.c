/* SPDX-License-Identifier: MIT */
/*
 * Runs a program in a segment that nobody drains: recording is enabled, and there is room for 2 million
 * index events in each of four rings. For counting the instructions of an event, without a collector:
 *
 *     bench_segment valgrind --tool=callgrind bench_event --callgrind N
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/announce_abi.h"
#include "tests/bench/bench_support.h"
#include "user/lane/clock.h"
#include "user/lane/segment.h"

int main(int argc, char **argv)
{
    SegmentConfig config;
    Segment segment;
    struct stat status;
    char name[64];
    int fd;

    if (argc < 2) {
        fprintf(stderr, "usage: bench_segment PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    segment_config_init(&config);
    config.threads = 4;
    config.ring_bytes = ADA_RING_BYTES_MAX;
    config.clock_kind = ada_clock_detect();
    config.enabled = 1;
    bench_check(segment_create(&config, &segment, &fd), "creating a segment");
    bench_check(fstat(fd, &status) == 0 && fcntl(fd, F_SETFD, 0) == 0 ? 0 : -errno, "passing the segment on");
    (void)snprintf(name, sizeof(name), "%d:%ju", fd, (uintmax_t)status.st_ino);
    bench_check(setenv(ADA_ENV_SEGMENT, name, 1) == 0 ? 0 : -errno, "naming the segment");
    (void)execvp(argv[1], argv + 1);
    bench_check(-errno, argv[1]);
    return 1;
}
