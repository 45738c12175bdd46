/* SPDX-License-Identifier: MIT */
/*
 * Feeds bytes to the reader as a directory of files. An input is a list of files: one byte that says how its name ends and whether
 * checksums are set right, two of its length, and its bytes; the last one takes what is left. So the fuzzer reaches files of one
 * recording, copies, and what is called compressed, whole or not.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "adat_seal.h"
#include "user/reader/adat_cursor.h"
#include "user/reader/adat_verify_set.h"

#define FILES_MAX 8u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const suffixes[] = {"adat", "adat.partial", "adat.gz", "txt"};
static char directory[64];

static void remove_directory(void)
{
    (void)rmdir(directory);
}

static void name_file(char *path, size_t size, uint32_t number, uint8_t kind)
{
    (void)snprintf(path, size, "%s/%u.%s", directory, number, suffixes[kind & 3]);
}

static void write_plain(const char *path, const uint8_t *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    close(fd);
}

static void write_compressed(const char *path, const uint8_t *bytes, size_t size)
{
    gzFile out = gzopen(path, "wb1");

    if (!out || (size > 0 && gzwrite(out, bytes, (unsigned)size) != (int)size))
        abort();
    gzclose(out);
}

/* 0x80: checksums are set right; 0x40: it is compressed, whatever it is called. */
static void write_file(const char *path, uint8_t kind, const uint8_t *data, size_t size)
{
    uint8_t *bytes = malloc(size + 1);

    if (!bytes)
        abort();
    memcpy(bytes, data, size);
    if (kind & 0x80)
        adat_seal(bytes, size);
    if (kind & 0x40)
        write_compressed(path, bytes, size);
    else
        write_plain(path, bytes, size);
    free(bytes);
}

/* Returns how many; their kinds are noted. */
static uint32_t write_files(const uint8_t *data, size_t size, uint8_t *kinds)
{
    uint32_t count = 0;

    while (size >= 3 && count < FILES_MAX) {
        size_t length = (size_t)data[1] << 8 | data[2];
        char path[128];

        kinds[count] = data[0];
        data += 3;
        size -= 3;
        if (length > size || count + 1 == FILES_MAX)
            length = size;
        name_file(path, sizeof(path), count, kinds[count]);
        write_file(path, kinds[count], data, length);
        data += length;
        size -= length;
        count++;
    }
    return count;
}

static void read_all(const AdatSet *set)
{
    int64_t last = INT64_MIN;
    AdatCursor *cursor;
    AdatEvent event;

    if (adat_cursor_create_set(set, NULL, &cursor))
        return;
    while (adat_cursor_next(cursor, &event) > 0) {
        AdatDetail detail;

        (void)adat_cursor_detail(cursor, &detail);
        adat_reader_realtime(event.reader, event.time_ns);
        last = event.time_ns;
    }
    (void)last;
    adat_cursor_destroy(cursor);
}

static void read_set(void)
{
    AdatSetVerdict verdict;
    AdatSet *set;

    if (adat_set_open(directory, &set) == 0) {
        read_all(set);
        adat_set_events(set);
        adat_set_duration(set);
        adat_set_close(set);
    }
    if (adat_verify_set(directory, &verdict) == 0)
        adat_set_verdict_fini(&verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t kinds[FILES_MAX];
    uint32_t count;

    if (!directory[0]) {
        strcpy(directory, "/tmp/fuzz_adat_set.XXXXXX");
        if (!mkdtemp(directory) || atexit(remove_directory) != 0)
            abort();
    }
    count = write_files(data, size, kinds);
    read_set();
    for (uint32_t i = 0; i < count; i++) {
        char path[128];

        name_file(path, sizeof(path), i, kinds[i]);
        (void)unlink(path);
    }
    return 0;
}
