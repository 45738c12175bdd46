/* SPDX-License-Identifier: MIT */
/*
 * Feeds bytes to all that is made of a trace: every format of export, a report, a page. The trace has its checksums set right first
 * (adat_seal.h), so that the fuzzer reaches what lies behind them.
 */
#define _GNU_SOURCE /* memfd_create */
#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adat_seal.h"
#include "user/convert/convert.h"
#include "user/report/report.h"
#include "user/view/view_page.h"

#define ITEMS_MAX 4096u /* of a page: few, so that it gets coarser */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A directory in memory would need a mount; this one is emptied after each input. */
static char directory[] = "/tmp/adatrace-fuzz-XXXXXX";

static void remove_directory(void)
{
    (void)rmdir(directory);
}

/* What the format of several files has made. */
static void empty_directory(int place)
{
    DIR *files = fdopendir(dup(place));
    const struct dirent *entry;

    if (!files)
        abort();
    rewinddir(files); /* the position is that of `place` */
    while ((entry = readdir(files))) {
        if (entry->d_name[0] != '.' && unlinkat(place, entry->d_name, 0) < 0)
            abort();
    }
    (void)closedir(files);
}

static void convert_all(const AdatSet *set, OutBuffer *out)
{
    const ConvertFormat *format;
    ConvertTotals totals;
    bool reading;
    int place = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (place < 0)
        abort();
    for (size_t i = 0; (format = convert_format(i)); i++) {
        const ConvertConfig config = {
            .format = format,
            .walk = {.cursor = {.from_ns = INT64_MIN, .to_ns = INT64_MAX}},
            .out = format->directory ? NULL : out,
            .directory = format->directory ? place : -1,
        };

        (void)convert_run(set, &config, &totals, &reading);
    }
    empty_directory(place);
    close(place);
}

static void report_all(const AdatSet *set)
{
    for (int by = 0; by <= (int)SPAN_TABLE_PROCESSES; by++) {
        const ReportConfig config = {
            .set = set,
            .cursor = {.from_ns = INT64_MIN, .to_ns = INT64_MAX},
            .table = {.by = (SpanTableBy)by},
            .longest = 8,
            .waits = true,
            .tree = true,
        };
        Report *report;

        if (report_run(&config, &report) == 0)
            report_destroy(report);
    }
}

static void view(const AdatSet *set, FILE *out)
{
    const ViewPageConfig config = {
        .collect = {.from_ns = INT64_MIN, .to_ns = INT64_MAX},
        .title = "fuzz",
        .version = "0",
        .items_max = ITEMS_MAX,
    };
    ViewPageSummary summary;

    (void)view_page_write(set, &config, out, &summary);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static OutBuffer out;
    static FILE *nothing;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    uint8_t *bytes = malloc(size + 1);
    char path[48];
    AdatSet *set;

    if (!nothing) {
        nothing = fopen("/dev/null", "we");
        if (!nothing || !mkdtemp(directory))
            abort();
        (void)atexit(remove_directory);
        out_init(&out, nothing);
    }
    if (fd < 0 || !bytes)
        abort();
    memcpy(bytes, data, size);
    adat_seal(bytes, size);
    if (write(fd, bytes, size) != (ssize_t)size)
        abort();
    free(bytes);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (adat_set_open(path, &set) == 0) {
        convert_all(set, &out);
        report_all(set);
        view(set, nothing);
        adat_set_close(set);
    }
    close(fd);
    return 0;
}
