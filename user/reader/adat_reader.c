/* SPDX-License-Identifier: MIT */
#include "user/reader/adat_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/base/array.h"
#include "user/reader/reader.h"

/* What a held descriptor of a compressed file counts, against 1 of others. */
#define COMPRESSED_PRICE 32u

/* ---- opening --------------------------------------------------------------------------------- */

static int check_regular(int fd, uint64_t *bytes_out)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -ENOTSUP;
    *bytes_out = (uint64_t)st.st_size;
    return 0;
}

static int scan_blocks(AdatReader *reader, int fd)
{
    AdatFileInfo *info = &reader->info;
    BlockScan scan;
    Block block;
    int got;

    if (info->header.header_bytes > info->file_bytes)
        return -ENODATA;
    block_scan_init(&scan, fd, info->header.header_bytes, info->file_bytes);
    while ((got = block_scan_next(&scan, &block)) > 0) {
        got = collect_block(reader, &block);
        if (got < 0)
            break;
    }
    info->valid_bytes = scan.offset;
    info->blocks = scan.blocks;
    info->cut = scan.cut;
    info->closed = scan.closed;
    info->bad_padding = scan.bad_padding;
    block_scan_fini(&scan);
    return got;
}

/* Takes in a file behind those that were read before; the descriptor stays the caller's. Its errors are in the entry, too. */
static int read_file(AdatReader *reader, size_t place, int fd)
{
    size_t first_block = reader->blocks.count;
    ReaderFile *file;
    int error;

    if (reader->files.count == UINT32_MAX ||
        array_reserve_one(&reader->files.items, &reader->files.capacity, reader->files.count, sizeof(*file)))
        return -ENOMEM;
    file = &reader->files.items[reader->files.count++];
    *file = (ReaderFile){.place = place, .fd = -1, .error = fd < 0 ? fd : 0};
    if (fd < 0)
        return fd;
    reader->info = (AdatFileInfo){0};
    error = check_regular(fd, &reader->info.file_bytes);
    if (!error)
        error = file_header_read(fd, &reader->info.header);
    if (!error)
        error = scan_blocks(reader, fd);
    if (!error)
        error = accounts_settle_file(reader, file, first_block);
    if (error) { /* nothing of it is wanted */
        reader->blocks.count = first_block;
        reader->ledger.count = reader->looks.count = 0;
    }
    file->info = reader->info;
    file->error = error;
    reader->base += reader->info.file_bytes;
    return error;
}

static AdatReader *create_reader(void)
{
    AdatReader *reader = calloc(1, sizeof(*reader));

    if (!reader)
        return NULL;
    reader->first_time = INT64_MAX;
    reader->last_time = INT64_MIN;
    return reader;
}

int adat_reader_open_fd(int fd, AdatReader **reader_out)
{
    AdatReader *reader = create_reader();
    int err;

    if (!reader)
        return -ENOMEM;
    err = read_file(reader, 0, fd);
    if (!err)
        err = connect_tables(reader, NULL);
    if (err) {
        adat_reader_close(reader);
        return err;
    }
    reader->files.items[0].fd = fd;
    *reader_out = reader;
    return 0;
}

/* The recording's: sums, and what is true of all its files; the header is the first one's. */
static void sum_infos(AdatReader *reader)
{
    AdatFileInfo total = {0};
    bool first = true;

    for (size_t i = 0; i < reader->files.count; i++) {
        const AdatFileInfo *info = &reader->files.items[i].info;

        if (reader->files.items[i].error)
            continue;
        if (first) {
            total = *info;
            first = false;
            continue;
        }
        total.file_bytes += info->file_bytes;
        total.valid_bytes += info->valid_bytes;
        total.blocks += info->blocks;
        total.closed = total.closed && info->closed;
        total.has_ledger = total.has_ledger && info->has_ledger;
        if (total.cut == ADAT_CUT_NONE)
            total.cut = info->cut;
    }
    reader->info = total;
}

/* Whether the descriptor may stay open; one of a compressed file counts more, as all that it holds takes room meanwhile. */
static bool take_hold(const TraceFile *source, size_t *may_hold)
{
    size_t price = source->compressed ? COMPRESSED_PRICE : 1;

    if (*may_hold < price)
        return false;
    *may_hold -= price;
    return true;
}

static int read_files(AdatReader *reader, size_t first, size_t end, size_t *may_hold)
{
    size_t good = 0;

    for (size_t i = first; i < end; i++) {
        int fd = trace_files_open_file(reader->sources, i);
        int error = read_file(reader, i, fd);

        if (!error && take_hold(&reader->sources->items[i], may_hold))
            reader->files.items[reader->files.count - 1].fd = fd;
        else if (fd >= 0)
            close(fd);
        if (error == -ENOMEM || pack_tables(reader))
            return -ENOMEM;
        good += error == 0;
    }
    return good > 0 ? 0 : -ENOENT;
}

int reader_open_files(const TraceFiles *sources, size_t first, size_t end, const AdatReader *before,
                      size_t *may_hold, AdatReader **reader_out)
{
    AdatReader *reader = create_reader();
    int error;

    if (!reader)
        return -ENOMEM;
    reader->sources = sources;
    error = read_files(reader, first, end, may_hold);
    if (error == -ENOENT) {
        *reader_out = reader; /* its files say why */
        return error;
    }
    if (!error) {
        sum_infos(reader);
        error = connect_tables(reader, before);
    }
    if (error) {
        adat_reader_close(reader);
        return error;
    }
    *reader_out = reader;
    return 0;
}

int adat_reader_open(const char *path, AdatReader **reader_out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not stop us: it is refused later */
    int err;

    if (fd < 0)
        return -errno;
    err = adat_reader_open_fd(fd, reader_out);
    if (err)
        close(fd);
    return err;
}

void adat_reader_close(AdatReader *reader)
{
    if (!reader)
        return;
    for (size_t i = 0; i < reader->files.count; i++)
        if (reader->files.items[i].fd >= 0)
            close(reader->files.items[i].fd);
    free(reader->files.items);
    collect_free(reader);
    free(reader);
}

const char *adat_reader_error_text(int err)
{
    switch (err) {
    case -EINVAL:
        return "not an adatrace file; give a file that 'adatrace record' has written";
    case -ENODATA:
        return "the file ends before its first block; nothing in it can be read";
    case -EBADMSG:
        return "the file header is damaged (checksum mismatch); restore the file from a copy";
    case -EPROTONOSUPPORT:
        return "written in a format that this adatrace does not read; use the adatrace that wrote it, or a newer one";
    case -EISDIR:
        return "a directory, and no trace is in it; give a .adat file, or the directory of a recording";
    case -EFBIG:
        return "it holds far more than a compressed trace does; if it is one, decompress it first: gunzip FILE";
    case -ENOTSUP:
        return "not a regular file; copy the trace to a file first";
    case -ENOENT:
        return "no such file; check the path";
    case -EACCES:
        return "permission denied; check who may read the file";
    default:
        return strerror(-err);
    }
}

const char *adat_cut_text(AdatCut cut)
{
    static const char *const texts[] = {
        [ADAT_CUT_NONE] = "nothing is cut",
        [ADAT_CUT_SHORT] = "the file ends within a block",
        [ADAT_CUT_MAGIC] = "no block starts where one should",
        [ADAT_CUT_LENGTH] = "a block claims an impossible length",
        [ADAT_CUT_CRC] = "a block's checksum does not match",
        [ADAT_CUT_SEQUENCE] = "a block has the wrong sequence number",
        [ADAT_CUT_FOOTER] = "a part of the index is not followed by a block or its footer",
        [ADAT_CUT_AFTER] = "something follows the footer",
        [ADAT_CUT_LANES] = "a block's list of what is in it makes no sense",
    };
    _Static_assert(sizeof(texts) / sizeof(texts[0]) == ADAT_CUT_COUNT, "a text for each");

    return (unsigned)cut < ADAT_CUT_COUNT ? texts[cut] : "unknown";
}

void adat_id_format(const uint8_t *uuid, char text[ADAT_ID_SIZE])
{
    for (int i = 0; i < 16; i++)
        text += sprintf(text, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

/* ---- what is in the file --------------------------------------------------------------------- */

const AdatFileInfo *adat_reader_info(const AdatReader *reader)
{
    return &reader->info;
}

AdatStrings adat_reader_session(const AdatReader *reader)
{
    return (AdatStrings){reader->session.items, reader->session.count};
}

const char *adat_strings_find(AdatStrings strings, const char *key)
{
    for (size_t i = 0; i < strings.count; i++)
        if (strcmp(strings.items[i].key, key) == 0)
            return strings.items[i].value;
    return NULL;
}

const AdatProcessInfo *adat_reader_process(const AdatReader *reader, size_t index)
{
    return index < reader->processes.count ? &reader->processes.items[index].info : NULL;
}

const AdatThreadInfo *adat_reader_thread(const AdatReader *reader, size_t index)
{
    return index < reader->threads.count ? &reader->threads.items[index].info : NULL;
}

bool adat_reader_drain(const AdatReader *reader, AdatDrainSummary *out)
{
    if (reader->has_drain)
        *out = reader->drain;
    return reader->has_drain;
}

bool adat_reader_kernel(const AdatReader *reader, AdatKernelSummary *out)
{
    if (reader->has_kernel)
        *out = reader->kernel;
    return reader->has_kernel;
}

const AdatMarkInfo *adat_reader_mark(const AdatReader *reader, size_t index)
{
    return index < reader->marks.count ? &reader->marks.items[index].info : NULL;
}

size_t adat_reader_mark_count(const AdatReader *reader)
{
    return reader->marks.count;
}

ptrdiff_t reader_find_process(const AdatReader *reader, uint32_t number)
{
    size_t low = 0, high = reader->processes.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t found = reader->processes.items[middle].info.process.process;

        if (found == number)
            return (ptrdiff_t)middle;
        if (found < number)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

ThreadEntry *reader_find_thread(const AdatReader *reader, uint32_t number)
{
    size_t low = 0, high = reader->threads.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint32_t found = reader->threads.items[middle].info.thread.thread;

        if (found == number)
            return &reader->threads.items[middle];
        if (found < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* ---- accounts -------------------------------------------------------------------------------- */

AdatAccount adat_reader_events(const AdatReader *reader)
{
    AdatAccount total = {0};

    for (size_t i = 0; i < reader->threads.count; i++)
        adat_account_add(&total, &reader->threads.items[i].info.events);
    for (size_t i = 0; i < reader->processes.count; i++)
        adat_account_add(&total, &reader->processes.items[i].info.unregistered);
    return total;
}

AdatAccount adat_reader_detail(const AdatReader *reader)
{
    AdatAccount total = {0};

    for (size_t i = 0; i < reader->threads.count; i++)
        adat_account_add(&total, &reader->threads.items[i].info.detail);
    return total;
}

/* ---- time ------------------------------------------------------------------------------------ */

uint32_t reader_clock_kind(const AdatReader *reader, size_t process)
{
    const AdatProcessInfo *info = adat_reader_process(reader, process);

    if (info && info->process.clock_kind == ADA_CLOCK_MONOTONIC)
        return ADA_CLOCK_MONOTONIC;
    return ADA_CLOCK_TSC;
}

uint64_t adat_reader_clock_error(const AdatReader *reader)
{
    return clock_line_error(&reader->clock);
}

AdatClockQuality adat_reader_clock_quality(const AdatReader *reader)
{
    if (clock_line_has_tsc(&reader->clock))
        return ADAT_CLOCK_ANCHORED;
    for (size_t i = 0; i < reader->processes.count; i++)
        if (reader_clock_kind(reader, i) == ADA_CLOCK_TSC)
            return ADAT_CLOCK_GUESSED;
    return ADAT_CLOCK_ANCHORED;
}

int64_t adat_reader_time(const AdatReader *reader, size_t process, uint64_t ticks)
{
    size_t hint = 0;

    return clock_line_convert(&reader->clock, reader_clock_kind(reader, process), ticks, &hint);
}

int64_t adat_reader_monotonic_time(const AdatReader *reader, uint64_t monotonic_ns)
{
    size_t hint = 0;

    return clock_line_convert(&reader->clock, ADA_CLOCK_MONOTONIC, monotonic_ns, &hint);
}

uint64_t adat_reader_realtime(const AdatReader *reader, int64_t time_ns)
{
    return clock_line_realtime(&reader->clock, time_ns);
}

uint64_t adat_reader_duration(const AdatReader *reader)
{
    if (reader->last_time <= reader->first_time)
        return 0;
    return (uint64_t)reader->last_time - (uint64_t)reader->first_time;
}
