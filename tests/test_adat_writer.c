/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memfd_create, file seals */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "adat_sample.h"
#include "test_support.h"
#include "user/file/crc.h"
#include "user/reader/block.h"

/* ---- faults ---------------------------------------------------------------------------------- */

static struct {
    unsigned calls;      /* of pwrite so far */
    unsigned fail_call;  /* this call, from 1, fails; 0 = none */
    int fail_errno;      /* 0: it writes nothing and says so */
    size_t most;         /* bytes a call writes at most; 0 = all */
    size_t full_beyond;  /* calls that write more than that find no space; 0 = none */
    unsigned interrupts; /* each call fails so often with EINTR first */
    unsigned interrupted;
    long allocations; /* array growths that still succeed; -1 = all */
} fault = {.allocations = -1};

static void no_faults(void)
{
    memset(&fault, 0, sizeof(fault));
    fault.allocations = -1;
}

static ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (fault.interrupted < fault.interrupts) {
        fault.interrupted++;
        errno = EINTR;
        return -1;
    }
    fault.interrupted = 0;
    if (++fault.calls == fault.fail_call) {
        errno = fault.fail_errno;
        return fault.fail_errno ? -1 : 0;
    }
    if (fault.full_beyond && size > fault.full_beyond) {
        errno = ENOSPC;
        return -1;
    }
    if (fault.most && size > fault.most)
        size = fault.most;
    return pwrite(fd, data, size, offset);
}

/* Takes the place of libc's for the code under test. */
void *reallocarray(void *memory, size_t count, size_t size)
{
    if (fault.allocations == 0) {
        errno = ENOMEM;
        return NULL;
    }
    if (fault.allocations > 0)
        fault.allocations--;
    return realloc(memory, count * size);
}

/* ---- helpers --------------------------------------------------------------------------------- */

static const AdatWriterConfig faulty = {.pwrite = faulty_pwrite};
static const AdatWriterConfig faulty_small = {.pwrite = faulty_pwrite, .buffer_bytes = 1};

static AdatWriter *open_writer(int fd, const AdatWriterConfig *config)
{
    AdatWriter *writer = NULL;

    CU_ASSERT_EQUAL_FATAL(adat_writer_create(dup(fd), config, &writer), 0);
    return writer;
}

/* A block whose payload follows from `number`: its size, too. */
static int put_numbered(AdatWriter *writer, uint32_t number)
{
    const AdatBlockHeader header = {.type = 100, .process = number, .thread = number + 1};
    uint8_t payload[200];

    memset(payload, (int)(number * 7 + 1), sizeof(payload));
    return adat_writer_put_block(writer, &header, payload, number * 13 % 190);
}

static size_t file_size(int fd)
{
    struct stat st;

    CU_ASSERT_EQUAL_FATAL(fstat(fd, &st), 0);
    return (size_t)st.st_size;
}

static uint8_t *file_content(int fd, size_t *size_out)
{
    size_t size = file_size(fd);
    uint8_t *bytes = malloc(size + 1);

    CU_ASSERT_EQUAL_FATAL(pread(fd, bytes, size, 0), (ssize_t)size);
    *size_out = size;
    return bytes;
}

/* Everything after the file headers, which differ by id and time. */
static bool same_blocks(int a, int b)
{
    size_t size_a, size_b;
    uint8_t *bytes_a = file_content(a, &size_a), *bytes_b = file_content(b, &size_b);
    size_t header = sizeof(AdatFileHeader);
    bool same = size_a == size_b && size_a >= header &&
                memcmp(bytes_a + header, bytes_b + header, size_a - header) == 0;

    free(bytes_a);
    free(bytes_b);
    return same;
}

/* A scan of the whole file, which must be intact; calls `seen` with each block. */
static BlockScan scan_file(int fd, void (*seen)(const Block *block, void *context), void *context)
{
    BlockScan scan;
    Block block;
    int got;

    block_scan_init(&scan, fd, sizeof(AdatFileHeader), file_size(fd));
    while ((got = block_scan_next(&scan, &block)) > 0)
        if (seen)
            seen(&block, context);
    CU_ASSERT_EQUAL(got, 0);
    CU_ASSERT_EQUAL(scan.cut, ADAT_CUT_NONE);
    CU_ASSERT_EQUAL(scan.bad_padding, 0);
    block_scan_fini(&scan);
    return scan;
}

typedef struct Numbers {
    uint32_t list[512];
    size_t count;
} Numbers;

/* Notes which of put_numbered()'s blocks it is, and checks its content. */
static void note_number(const Block *block, void *context)
{
    Numbers *numbers = context;
    uint32_t number = block->header->process;

    if (block->header->type != 100)
        return;
    CU_ASSERT_EQUAL(block->header->thread, number + 1);
    CU_ASSERT_EQUAL(block->header->payload_bytes, number * 13 % 190);
    for (uint32_t i = 0; i < block->header->payload_bytes; i++)
        if (block->payload[i] != (uint8_t)(number * 7 + 1))
            CU_FAIL("payload");
    if (numbers->count < 512)
        numbers->list[numbers->count++] = number;
}

/* The index of a file, as its blocks say that it should be. */
typedef struct Index {
    AdatTrailerEntry since_part[1024];
    size_t count;
    uint64_t last_part;
    size_t last_entries;
    size_t parts;
    size_t blocks; /* that are no parts */
} Index;

/* A part has exactly the blocks since the part before, and knows where that is. */
static void check_part(const Block *block, void *context)
{
    Index *index = context;

    if (block->header->type != ADAT_BLOCK_TRAILER) {
        index->blocks++;
        CU_ASSERT_FATAL(index->count < 1024);
        index->since_part[index->count++] = (AdatTrailerEntry){
            .offset = block->offset,
            .payload_bytes = block->header->payload_bytes,
            .type = block->header->type,
            .process = block->header->process,
            .thread = block->header->thread,
        };
        return;
    }
    CU_ASSERT_EQUAL(block->header->first_record, index->last_part);
    CU_ASSERT_EQUAL(block->header->payload_bytes, index->count * sizeof(AdatTrailerEntry));
    if (block->header->payload_bytes == index->count * sizeof(AdatTrailerEntry))
        CU_ASSERT_EQUAL(memcmp(block->payload, index->since_part, block->header->payload_bytes), 0);
    index->last_part = block->offset;
    index->last_entries = index->count;
    index->count = 0;
    index->parts++;
}

/* A closed file whose parts have all of its blocks, and whose footer names the last one. */
static Index check_index(int fd)
{
    Index index = {.count = 0};
    BlockScan scan = scan_file(fd, check_part, &index);
    AdatFooter footer = {0};

    CU_ASSERT_TRUE(scan.closed);
    CU_ASSERT_EQUAL(index.count, 0);
    CU_ASSERT(index.parts > 0);
    CU_ASSERT_EQUAL(pread(fd, &footer, sizeof(footer), (off_t)(file_size(fd) - sizeof(footer))),
                    sizeof(footer));
    CU_ASSERT_EQUAL(footer.trailer_offset, index.last_part);
    CU_ASSERT_EQUAL(scan.blocks, index.blocks + index.parts);
    return index;
}

/* `blocks` numbered blocks, flushed after each `each`, and closed. */
static int write_reference(uint32_t blocks, uint32_t each)
{
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));

    for (uint32_t i = 0; i < blocks; i++) {
        CU_ASSERT_EQUAL(put_numbered(writer, i), 0);
        if (i % each == each - 1)
            CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    }
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
    return fd;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void crc__known_text__then_zlibs_value(void)
{
    CU_ASSERT_EQUAL(adat_crc32(0, "123456789", 9), 0xcbf43926u);
    CU_ASSERT_EQUAL(adat_crc32(adat_crc32(0, "1234", 4), "56789", 5), 0xcbf43926u);
}

static void writer__created__then_file_has_a_valid_header(void)
{
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));
    AdatFileHeader header;
    uint32_t crc;

    CU_ASSERT_EQUAL(adat_writer_bytes(writer), sizeof(header));
    CU_ASSERT_EQUAL(adat_writer_blocks(writer), 0);
    adat_writer_destroy(writer);
    CU_ASSERT_EQUAL(file_size(fd), sizeof(header));
    CU_ASSERT_EQUAL(pread(fd, &header, sizeof(header), 0), sizeof(header));
    CU_ASSERT_EQUAL(memcmp(header.magic, ADAT_MAGIC, 8), 0);
    CU_ASSERT_EQUAL(header.major, ADAT_MAJOR);
    CU_ASSERT_EQUAL(header.header_bytes, sizeof(header));
    CU_ASSERT_EQUAL(header.chunk, 1);
    CU_ASSERT_EQUAL(header.uuid[6] >> 4, 4);
    CU_ASSERT(header.created_realtime_ns > UINT64_C(1500000000000000000));
    crc = header.crc32;
    header.crc32 = 0;
    CU_ASSERT_EQUAL(crc, adat_crc32(0, &header, sizeof(header)));
    close(fd);
}

static void writer__created_twice__then_ids_differ(void)
{
    int fds[2] = {sample_file(), sample_file()};
    AdatFileHeader headers[2];

    for (int i = 0; i < 2; i++) {
        adat_writer_destroy(sample_writer(dup(fds[i])));
        CU_ASSERT_EQUAL(pread(fds[i], &headers[i], sizeof(headers[i]), 0), sizeof(headers[i]));
        close(fds[i]);
    }
    CU_ASSERT_NOT_EQUAL(memcmp(headers[0].uuid, headers[1].uuid, 16), 0);
}

static void writer__blocks_put__then_file_holds_them_in_order(void)
{
    int fd = write_reference(100, 7);
    Numbers numbers = {.count = 0};
    BlockScan scan = scan_file(fd, note_number, &numbers);

    CU_ASSERT_EQUAL(numbers.count, 100);
    for (uint32_t i = 0; i < numbers.count; i++)
        CU_ASSERT_EQUAL(numbers.list[i], i);
    CU_ASSERT_TRUE(scan.closed);
    CU_ASSERT_EQUAL(scan.blocks, 101);
    close(fd);
}

static void writer__flushed__then_counts_bytes_and_blocks(void)
{
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));

    CU_ASSERT_EQUAL(put_numbered(writer, 1), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(writer), 0);
    CU_ASSERT_EQUAL(file_size(fd), sizeof(AdatFileHeader));
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(writer), 1);
    CU_ASSERT_EQUAL(adat_writer_bytes(writer), sizeof(AdatFileHeader) + sizeof(AdatBlockHeader) + 16);
    CU_ASSERT_EQUAL(file_size(fd), adat_writer_bytes(writer));
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_EQUAL(file_size(fd), adat_writer_bytes(writer));
    adat_writer_destroy(writer);
    close(fd);
}

static void writer__many_blocks_in_buffer__then_one_write(void)
{
    int fd = sample_file();
    AdatWriter *writer;

    no_faults();
    writer = open_writer(fd, &faulty);
    for (uint32_t i = 0; i < 50; i++)
        CU_ASSERT_EQUAL(put_numbered(writer, i), 0);
    CU_ASSERT_EQUAL(fault.calls, 1); /* the file header */
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_EQUAL(fault.calls, 2);
    adat_writer_destroy(writer);
    close(fd);
}

static void writer__block_in_place__then_true_size_counts(void)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_INDEX, .process = 1, .thread = 2};
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));
    BlockScan scan;
    Block block;
    uint8_t *payload;

    CU_ASSERT_PTR_NULL(adat_writer_block_header(writer));
    adat_writer_end_block(writer, 8); /* none was begun: nothing happens */
    payload = adat_writer_begin_block(writer, &header, 1000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
    memset(payload, 0xaa, 1000);
    adat_writer_block_header(writer)->record_count = 5;
    adat_writer_end_block(writer, 13);
    payload = adat_writer_begin_block(writer, &header, 8);
    memset(payload, 0xbb, 8);
    adat_writer_end_block(writer, 100); /* more than was asked for: only that counts */
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    adat_writer_destroy(writer);

    block_scan_init(&scan, fd, sizeof(AdatFileHeader), file_size(fd));
    CU_ASSERT_EQUAL_FATAL(block_scan_next(&scan, &block), 1);
    CU_ASSERT_EQUAL(block.header->payload_bytes, 13);
    CU_ASSERT_EQUAL(block.header->record_count, 5);
    CU_ASSERT_EQUAL(block.header->thread, 2);
    CU_ASSERT_EQUAL(block.payload[12], 0xaa);
    CU_ASSERT_EQUAL(block.payload[13], 0);
    CU_ASSERT_EQUAL_FATAL(block_scan_next(&scan, &block), 1);
    CU_ASSERT_EQUAL(block.header->payload_bytes, 8);
    CU_ASSERT_EQUAL(block.payload[7], 0xbb);
    CU_ASSERT_EQUAL(block_scan_next(&scan, &block), 0);
    CU_ASSERT_EQUAL(scan.bad_padding, 0);
    block_scan_fini(&scan);
    close(fd);
}

static void writer__block_cancelled__then_no_trace_of_it(void)
{
    const AdatBlockHeader header = {.type = ADAT_BLOCK_INDEX};
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));
    Numbers numbers = {.count = 0};

    CU_ASSERT_EQUAL(put_numbered(writer, 0), 0);
    CU_ASSERT_PTR_NOT_NULL(adat_writer_begin_block(writer, &header, 64));
    adat_writer_cancel_block(writer);
    CU_ASSERT_EQUAL(put_numbered(writer, 1), 0);
    CU_ASSERT_PTR_NOT_NULL(adat_writer_begin_block(writer, &header, 64));
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
    CU_ASSERT_EQUAL(scan_file(fd, note_number, &numbers).blocks, 3);
    CU_ASSERT_EQUAL(numbers.count, 2);
    close(fd);
}

static void writer__no_room__then_null_until_flushed(void)
{
    const AdatBlockHeader header = {.type = 100};
    int fd = sample_file();
    AdatWriter *writer;
    size_t room;

    no_faults();
    writer = open_writer(fd, &faulty_small);
    room = adat_writer_room(writer);
    CU_ASSERT_PTR_NOT_NULL(adat_writer_begin_block(writer, &header, room));
    adat_writer_end_block(writer, room);
    CU_ASSERT_EQUAL(adat_writer_room(writer), 0);
    CU_ASSERT_PTR_NULL(adat_writer_begin_block(writer, &header, 1));
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_EQUAL(adat_writer_room(writer), room);
    CU_ASSERT_PTR_NOT_NULL(adat_writer_begin_block(writer, &header, room));
    adat_writer_end_block(writer, room);
    adat_writer_destroy(writer);
    close(fd);
}

static void writer__payload_larger_than_buffer__then_buffer_grows_when_empty(void)
{
    const AdatBlockHeader header = {.type = 100};
    size_t size = 1000003;
    uint8_t *payload = calloc(1, size), *place;
    int fd = sample_file();
    AdatWriter *writer;

    no_faults();
    writer = open_writer(fd, &faulty_small);
    CU_ASSERT_EQUAL(put_numbered(writer, 0), 0);
    CU_ASSERT_PTR_NULL(adat_writer_begin_block(writer, &header, size));
    CU_ASSERT_EQUAL(adat_writer_put_block(writer, &header, payload, size), 0);
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    place = adat_writer_begin_block(writer, &header, 2 * size);
    CU_ASSERT_PTR_NOT_NULL(place);
    memset(place, 1, 2 * size);
    adat_writer_end_block(writer, 2 * size);
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
    CU_ASSERT_EQUAL(scan_file(fd, NULL, NULL).blocks, 4);
    free(payload);
    close(fd);
}

static void writer__payload_beyond_the_format__then_refused(void)
{
    const AdatBlockHeader header = {.type = 100};
    int fd = sample_file();
    AdatWriter *writer = sample_writer(dup(fd));

    CU_ASSERT_PTR_NULL(adat_writer_begin_block(writer, &header, (size_t)ADAT_PAYLOAD_MAX + 1));
    CU_ASSERT_EQUAL(adat_writer_put_block(writer, &header, NULL, (size_t)ADAT_PAYLOAD_MAX + 1), -EMSGSIZE);
    adat_writer_destroy(writer);
    close(fd);
}

static void writer__short_writes_of_every_size__then_file_identical(void)
{
    int reference = write_reference(20, 5);

    for (size_t most = 1; most < 300; most++) {
        int fd = sample_file();
        AdatWriter *writer;

        no_faults();
        fault.most = most;
        writer = open_writer(fd, &faulty);
        for (uint32_t i = 0; i < 20; i++) {
            put_numbered(writer, i);
            if (i % 5 == 4)
                CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
        }
        CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
        adat_writer_destroy(writer);
        CU_ASSERT_TRUE(same_blocks(fd, reference));
        close(fd);
    }
    close(reference);
}

static void writer__interrupted_writes__then_file_identical(void)
{
    int reference = write_reference(20, 5);
    int fd = sample_file();
    AdatWriter *writer;

    no_faults();
    fault.interrupts = 3;
    fault.most = 100;
    writer = open_writer(fd, &faulty);
    for (uint32_t i = 0; i < 20; i++)
        put_numbered(writer, i);
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
    CU_ASSERT_TRUE(same_blocks(fd, reference));
    close(fd);
    close(reference);
}

/*
 * Ten flushes of three blocks; the write that `call` counts fails, after `most` bytes a call. Exactly
 * the blocks of that flush are missing, and the file is intact, its index (in parts of `part`) included.
 */
static void lose_one_flush(unsigned call, size_t most, int error, size_t part)
{
    const AdatWriterConfig config = {.pwrite = faulty_pwrite, .index_part_entries = part};
    int fd = sample_file();
    Numbers numbers = {.count = 0};
    uint32_t lost_flush = UINT32_MAX;
    AdatWriter *writer;

    no_faults();
    fault.most = most;
    writer = open_writer(fd, &config);
    fault.fail_call = call;
    fault.fail_errno = error;
    for (uint32_t flush = 0; flush < 10; flush++) {
        uint64_t before = adat_writer_bytes(writer);
        int err;

        for (uint32_t i = 0; i < 3; i++)
            CU_ASSERT_EQUAL(put_numbered(writer, flush * 3 + i), 0);
        err = adat_writer_flush(writer);
        if (err) {
            CU_ASSERT_EQUAL(err, error ? -error : -EIO);
            CU_ASSERT_EQUAL(lost_flush, UINT32_MAX);
            CU_ASSERT_EQUAL(adat_writer_bytes(writer), before);
            CU_ASSERT_EQUAL(file_size(fd), before);
            lost_flush = flush;
        }
    }
    CU_ASSERT_NOT_EQUAL(lost_flush, UINT32_MAX);
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);

    CU_ASSERT_EQUAL(check_index(fd).blocks, 27);
    scan_file(fd, note_number, &numbers);
    CU_ASSERT_EQUAL(numbers.count, 27);
    for (uint32_t i = 0; i < numbers.count; i++)
        CU_ASSERT_EQUAL(numbers.list[i], i < lost_flush * 3 ? i : i + 3);
    close(fd);
}

static void writer__nth_write_fails__then_only_that_flush_is_lost(void)
{
    for (unsigned call = 2; call <= 11; call++) {
        for (size_t part = 0; part < 12; part++) {
            lose_one_flush(call, 0, ENOSPC, part);
            lose_one_flush(call, 0, 0, part);
        }
    }
}

static void writer__write_fails_half_way__then_cut_back_to_whole_blocks(void)
{
    for (unsigned call = 5; call < 40; call += 3) {
        for (size_t part = 0; part < 12; part += 3) {
            lose_one_flush(call, 96, EDQUOT, part);
            lose_one_flush(call, 96, EIO, part);
        }
    }
}

static void writer__cannot_cut_back__then_rubbish_is_overwritten_later(void)
{
    int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    Numbers numbers = {.count = 0};
    AdatWriter *writer;
    BlockScan scan;
    Block block;

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    no_faults();
    fault.most = 1000;
    writer = open_writer(fd, &faulty);
    fault.fail_call = fault.calls + 3;
    fault.fail_errno = ENOSPC;
    for (uint32_t i = 0; i < 20; i++)
        put_numbered(writer, i);
    CU_ASSERT_EQUAL(adat_writer_flush(writer), -ENOSPC);
    CU_ASSERT_EQUAL(file_size(fd), sizeof(AdatFileHeader) + 2000);
    CU_ASSERT_EQUAL(put_numbered(writer, 7), 0);
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    adat_writer_destroy(writer);

    block_scan_init(&scan, fd, sizeof(AdatFileHeader), file_size(fd));
    while (block_scan_next(&scan, &block) > 0)
        note_number(&block, &numbers);
    CU_ASSERT_EQUAL(numbers.count, 1);
    CU_ASSERT_EQUAL(numbers.list[0], 7);
    CU_ASSERT_NOT_EQUAL(scan.cut, ADAT_CUT_NONE);
    block_scan_fini(&scan);
    close(fd);
}

static void writer__flush_fails_within_put__then_error_and_block_not_put(void)
{
    const AdatBlockHeader header = {.type = 100};
    uint8_t payload[4000] = {0};
    int fd = sample_file();
    AdatWriter *writer;

    no_faults();
    writer = open_writer(fd, &faulty_small);
    CU_ASSERT_EQUAL(adat_writer_put_block(writer, &header, payload, sizeof(payload)), 0);
    fault.fail_call = fault.calls + 1;
    fault.fail_errno = ENOSPC;
    CU_ASSERT_EQUAL(adat_writer_put_block(writer, &header, payload, sizeof(payload)), -ENOSPC);
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(writer), 0);
    adat_writer_destroy(writer);
    close(fd);
}

static void writer__header_cannot_be_written__then_fd_stays_the_callers_and_file_is_empty(void)
{
    int fd = sample_file();
    AdatWriter *writer = NULL;

    no_faults();
    fault.most = 10;
    fault.fail_call = 3;
    fault.fail_errno = ENOSPC;
    CU_ASSERT_EQUAL(adat_writer_create(fd, &faulty, &writer), -ENOSPC);
    CU_ASSERT_PTR_NULL(writer);
    CU_ASSERT_EQUAL(file_size(fd), 0);
    CU_ASSERT_EQUAL(close(fd), 0);
    adat_writer_destroy(NULL);
}

static void writer__finished__then_index_lists_every_block(void)
{
    int fd = write_reference(100, 9);
    Index index = check_index(fd);

    CU_ASSERT_EQUAL(index.parts, 1);
    CU_ASSERT_EQUAL(index.blocks, 100);
    close(fd);
}

static void writer__finished_empty__then_closed_with_an_empty_index(void)
{
    int fd = write_reference(0, 1);

    CU_ASSERT_EQUAL(check_index(fd).parts, 1);
    close(fd);
}

static void writer__enough_blocks_flushed__then_part_precedes_the_next(void)
{
    const AdatWriterConfig config = {.pwrite = faulty_pwrite, .index_part_entries = 5};
    int fd = sample_file();
    AdatWriter *writer;

    no_faults();
    writer = open_writer(fd, &config);
    for (uint32_t i = 0; i < 7; i++)
        CU_ASSERT_EQUAL(put_numbered(writer, i), 0);
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(writer), 7);
    CU_ASSERT_EQUAL(adat_writer_buffered(writer), 0); /* nothing is written for the part alone */
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(writer), 7);
    CU_ASSERT_EQUAL(put_numbered(writer, 7), 0);
    CU_ASSERT_EQUAL(adat_writer_buffered(writer),
                    2 * sizeof(AdatBlockHeader) + 7 * sizeof(AdatTrailerEntry) + ADAT_PADDED(7u * 13u));
    fault.calls = 0;
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_EQUAL(fault.calls, 1);
    CU_ASSERT_EQUAL(adat_writer_blocks(writer), 9);
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
    CU_ASSERT_EQUAL(check_index(fd).parts, 2);
    close(fd);
}

static void writer__parts_and_flushes_of_every_size__then_all_blocks_listed_once(void)
{
    static const size_t dues[] = {1, 2, 3, 7, 10, 50, 5000};

    for (size_t i = 0; i < sizeof(dues) / sizeof(dues[0]); i++) {
        for (uint32_t each = 1; each < 40; each += 3) {
            const AdatWriterConfig config = {.index_part_entries = dues[i], .buffer_bytes = each % 2};
            int fd = sample_file();
            AdatWriter *writer = open_writer(fd, &config);
            Index index;

            for (uint32_t number = 0; number < 300; number++) {
                CU_ASSERT_EQUAL(put_numbered(writer, number), 0);
                if (number % each == each - 1)
                    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
            }
            CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
            adat_writer_destroy(writer);
            index = check_index(fd);
            CU_ASSERT_EQUAL(index.blocks, 300);
            CU_ASSERT(index.parts > 300 / (dues[i] + each));
            CU_ASSERT(index.parts <= 300 / dues[i] + 1);
            close(fd);
        }
    }
}

static void writer__room__then_the_same_whether_a_part_is_due_or_not(void)
{
    const AdatWriterConfig config = {.buffer_bytes = 1, .index_part_entries = 40};
    const AdatBlockHeader header = {.type = 100};
    int fd = sample_file();
    AdatWriter *writer = open_writer(fd, &config);
    size_t room = adat_writer_room(writer);

    for (uint32_t round = 0; round < 50; round++) {
        uint8_t *payload = adat_writer_begin_block(writer, &header, room);

        CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
        memset(payload, 1, room);
        adat_writer_end_block(writer, room);
        CU_ASSERT_EQUAL(adat_writer_room(writer), 0);
        CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
        CU_ASSERT_EQUAL(adat_writer_room(writer), room);
        /* as many small ones as there can be */
        while (adat_writer_begin_block(writer, &header, 0))
            adat_writer_end_block(writer, 0);
        CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    }
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
    CU_ASSERT_EQUAL(check_index(fd).blocks, 50 * (1 + (room + 96) / 96));
    close(fd);
}

static void writer__large_block_when_a_part_is_due__then_buffer_grows_for_both(void)
{
    const AdatWriterConfig config = {.buffer_bytes = 1, .index_part_entries = 3};
    const AdatBlockHeader header = {.type = 100};
    size_t size = 100003;
    uint8_t *payload = calloc(1, size + 30);
    int fd = sample_file();
    AdatWriter *writer = open_writer(fd, &config);

    for (uint32_t i = 0; i < 30; i++) {
        CU_ASSERT_EQUAL(put_numbered(writer, i), 0);
        if (i % 4 == 3) {
            CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
            CU_ASSERT_EQUAL(adat_writer_put_block(writer, &header, payload, size + i), 0);
        }
    }
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
    CU_ASSERT_EQUAL(check_index(fd).blocks, 37);
    free(payload);
    close(fd);
}

static void writer__block_cancelled_when_a_part_is_due__then_part_is_written(void)
{
    const AdatWriterConfig config = {.index_part_entries = 2};
    const AdatBlockHeader header = {.type = 100};
    int fd = sample_file();
    AdatWriter *writer = open_writer(fd, &config);
    Index index;

    put_numbered(writer, 0);
    put_numbered(writer, 1);
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_PTR_NOT_NULL(adat_writer_begin_block(writer, &header, 64));
    adat_writer_cancel_block(writer);
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
    index = check_index(fd);
    CU_ASSERT_EQUAL(index.blocks, 2);
    CU_ASSERT_EQUAL(index.parts, 2);
    CU_ASSERT_EQUAL(index.last_entries, 0);
    close(fd);
}

/* What the index takes does not depend on the number of blocks, nor on how often writing fails. */
static void writer__any_number_of_blocks__then_memory_stays_the_same(void)
{
    const AdatWriterConfig config = {.pwrite = faulty_pwrite, .buffer_bytes = 1, .index_part_entries = 16};
    int fd = sample_file();
    AdatWriter *writer;

    no_faults();
    writer = open_writer(fd, &config);
    fault.allocations = 4; /* 16, 32, 64, 128: of 15 that waited and two buffers of 42 each */
    for (uint32_t i = 0; i < 20000; i++) {
        CU_ASSERT_EQUAL(put_numbered(writer, 15), 0);
        if (i % 5 == 4)
            CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    }
    for (uint32_t i = 0; i < 300; i++) {
        fault.fail_call = fault.calls + (i % 2);
        fault.fail_errno = ENOSPC;
        for (uint32_t block = 0; block < 20; block++)
            CU_ASSERT_EQUAL(put_numbered(writer, 15), 0);
        CU_ASSERT_EQUAL(adat_writer_flush(writer), i % 2 ? -ENOSPC : 0);
    }
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
    CU_ASSERT_EQUAL(check_index(fd).blocks, 20000 + 150 * 20);
    close(fd);
}

static void writer__disk_full_while_a_part_is_due__then_part_comes_with_the_next_blocks(void)
{
    const AdatWriterConfig config = {.pwrite = faulty_pwrite, .index_part_entries = 4};
    int fd = sample_file();
    AdatWriter *writer;

    no_faults();
    writer = open_writer(fd, &config);
    for (uint32_t i = 0; i < 4; i++)
        put_numbered(writer, i);
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    for (uint32_t i = 0; i < 5; i++) {
        fault.fail_call = fault.calls + 1;
        fault.fail_errno = ENOSPC;
        put_numbered(writer, 9);
        CU_ASSERT_EQUAL(adat_writer_flush(writer), -ENOSPC);
        CU_ASSERT_EQUAL(adat_writer_blocks(writer), 4);
        CU_ASSERT_EQUAL(adat_writer_buffered(writer), 0);
    }
    put_numbered(writer, 5);
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
    CU_ASSERT_EQUAL(check_index(fd).blocks, 5);
    CU_ASSERT_EQUAL(check_index(fd).parts, 2);
    close(fd);
}

static void writer__index_longer_than_buffer__then_still_one_part(void)
{
    int fd = sample_file();
    AdatWriter *writer;
    Index index;

    no_faults();
    writer = open_writer(fd, &faulty_small);
    for (uint32_t i = 0; i < 500; i++)
        CU_ASSERT_EQUAL(put_numbered(writer, i), 0);
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    CU_ASSERT_EQUAL(adat_writer_blocks(writer), 501);
    adat_writer_destroy(writer);
    index = check_index(fd);
    CU_ASSERT_EQUAL(index.parts, 1);
    CU_ASSERT_EQUAL(index.last_entries, 500);
    close(fd);
}

static void writer__last_part_cannot_be_written__then_file_ends_before_it(void)
{
    for (unsigned call = 1; call <= 4; call++) {
        int fd = sample_file();
        Numbers numbers = {.count = 0};
        AdatWriter *writer;
        BlockScan scan;

        no_faults();
        writer = open_writer(fd, &faulty_small);
        for (uint32_t i = 0; i < 500; i++)
            CU_ASSERT_EQUAL(put_numbered(writer, i), 0);
        CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
        fault.most = 3500; /* of 12,112 bytes */
        fault.fail_call = fault.calls + call;
        fault.fail_errno = ENOSPC;
        CU_ASSERT_EQUAL(adat_writer_finish(writer), -ENOSPC);
        adat_writer_destroy(writer);
        scan = scan_file(fd, note_number, &numbers);
        CU_ASSERT_FALSE(scan.closed);
        CU_ASSERT_EQUAL(scan.blocks, 500);
        CU_ASSERT_EQUAL(numbers.count, 500);
        close(fd);
    }
}

static void writer__last_flush_fails_on_finish__then_error(void)
{
    int fd = sample_file();
    AdatWriter *writer;

    no_faults();
    writer = open_writer(fd, &faulty);
    put_numbered(writer, 1);
    fault.fail_call = fault.calls + 1;
    fault.fail_errno = EIO;
    CU_ASSERT_EQUAL(adat_writer_finish(writer), -EIO);
    adat_writer_destroy(writer);
    CU_ASSERT_EQUAL(scan_file(fd, NULL, NULL).blocks, 0);
    close(fd);
}

static void writer__no_memory_for_the_index__then_all_blocks_but_no_footer(void)
{
    int fd = sample_file();
    Numbers numbers = {.count = 0};
    AdatWriter *writer;
    BlockScan scan;

    no_faults();
    writer = open_writer(fd, &faulty);
    fault.allocations = 2;
    for (uint32_t i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(put_numbered(writer, i), 0);
    CU_ASSERT_EQUAL(adat_writer_finish(writer), -ENOMEM);
    adat_writer_destroy(writer);
    no_faults();
    scan = scan_file(fd, note_number, &numbers);
    CU_ASSERT_EQUAL(numbers.count, 100);
    CU_ASSERT_FALSE(scan.closed);
    close(fd);
}

static void writer__no_memory_for_the_index_after_a_part__then_all_blocks_but_no_footer(void)
{
    const AdatWriterConfig config = {.pwrite = faulty_pwrite, .index_part_entries = 4};
    int fd = sample_file();
    Index index = {.count = 0};
    AdatWriter *writer;
    BlockScan scan;

    no_faults();
    writer = open_writer(fd, &config);
    fault.allocations = 1;
    for (uint32_t i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(put_numbered(writer, i), 0);
        if (i == 3)
            CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    }
    CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    CU_ASSERT_EQUAL(put_numbered(writer, 100), 0);
    CU_ASSERT_EQUAL(adat_writer_finish(writer), -ENOMEM);
    adat_writer_destroy(writer);
    no_faults();
    scan = scan_file(fd, check_part, &index);
    CU_ASSERT_FALSE(scan.closed);
    CU_ASSERT_EQUAL(index.parts, 1);
    CU_ASSERT_EQUAL(index.blocks, 101);
    close(fd);
}

/* Whether all of the file from `offset` on is zero; it is not longer than a reader expects. */
static bool is_room_for_blocks(int fd, uint64_t offset)
{
    static uint8_t rest[ADAT_AHEAD_BYTES + 1];
    ssize_t bytes = pread(fd, rest, sizeof(rest), (off_t)offset);

    if (bytes < 0 || bytes > (ssize_t)ADAT_AHEAD_BYTES)
        return false;
    for (ssize_t i = 0; i < bytes; i++) {
        if (rest[i] != 0)
            return false;
    }
    return true;
}

/*
 * Blocks and zeros behind the end make writing cheaper; a reader takes what is there for whole at any moment, and none of
 * it is left when the file is closed.
 */
static void writer__large_file__then_reserve_given_back(void)
{
    char path[] = "/tmp/adatrace-test-XXXXXX";
    char payload[20 << 10];
    AdatBlockHeader header = {.type = ADAT_BLOCK_SESSION};
    AdatWriter *writer = NULL;
    struct stat status;
    uint64_t zeroed = 0;
    BlockScan scan;
    uint64_t bytes;
    int fd = mkstemp(path);
    int watch = dup(fd);
    struct statfs system;
    bool reserves = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096) == 0 && fstatfs(fd, &system) == 0 &&
                    system.f_type != TMPFS_MAGIC;

    (void)unlink(path);
    no_faults();
    memset(payload, 'p', sizeof(payload));
    CU_ASSERT_EQUAL_FATAL(adat_writer_create(fd, NULL, &writer), 0);
    for (int i = 0; i < 320; i++) {
        CU_ASSERT_EQUAL(adat_writer_put_block(writer, &header, payload, sizeof(payload)), 0);
        CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
        CU_ASSERT_EQUAL(fstat(watch, &status), 0);
        CU_ASSERT(is_room_for_blocks(watch, adat_writer_bytes(writer)));
        zeroed += (uint64_t)status.st_size > adat_writer_bytes(writer);
    }
    scan = scan_file(watch, NULL, NULL);
    CU_ASSERT_EQUAL(scan.cut, ADAT_CUT_NONE);
    CU_ASSERT_EQUAL(scan.blocks, 320);
    CU_ASSERT_EQUAL(scan.offset, adat_writer_bytes(writer));
    if (reserves) {
        CU_ASSERT((uint64_t)status.st_blocks * 512 > (uint64_t)status.st_size + (1u << 20));
        CU_ASSERT(zeroed > 80);
    }
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    CU_ASSERT_EQUAL(fstat(watch, &status), 0);
    CU_ASSERT_EQUAL((uint64_t)status.st_size, adat_writer_bytes(writer));
    bytes = adat_writer_bytes(writer);
    adat_writer_destroy(writer);
    CU_ASSERT_EQUAL(fstat(watch, &status), 0);
    CU_ASSERT_EQUAL((uint64_t)status.st_size, bytes);
    CU_ASSERT((uint64_t)status.st_blocks * 512 < bytes + (256u << 10));
    close(watch);
}

/* The zeros are a matter of speed alone: no block is lost for them. */
static void writer__disk_full_while_zeros_are_written__then_done_without(void)
{
    const AdatWriterConfig config = {.pwrite = faulty_pwrite};
    char path[] = "/tmp/adatrace-test-XXXXXX";
    char payload[20 << 10];
    AdatBlockHeader header = {.type = ADAT_BLOCK_SESSION};
    AdatWriter *writer = NULL;
    struct stat status;
    int fd = mkstemp(path);
    int watch = dup(fd);

    (void)unlink(path);
    no_faults();
    memset(payload, 'p', sizeof(payload));
    CU_ASSERT_EQUAL_FATAL(adat_writer_create(fd, &config, &writer), 0);
    while (adat_writer_bytes(writer) < 4 << 20) {
        CU_ASSERT_EQUAL(adat_writer_put_block(writer, &header, payload, sizeof(payload)), 0);
        CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
    }
    fault.full_beyond = 100000;
    for (int i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(adat_writer_put_block(writer, &header, payload, sizeof(payload)), 0);
        CU_ASSERT_EQUAL(adat_writer_flush(writer), 0);
        CU_ASSERT_EQUAL(fstat(watch, &status), 0);
        CU_ASSERT_EQUAL((uint64_t)status.st_size, adat_writer_bytes(writer));
    }
    no_faults();
    CU_ASSERT_EQUAL(adat_writer_finish(writer), 0);
    adat_writer_destroy(writer);
    close(watch);
}

static const TestCase tests[] = {
    TEST(crc__known_text__then_zlibs_value),
    TEST(writer__created__then_file_has_a_valid_header),
    TEST(writer__created_twice__then_ids_differ),
    TEST(writer__blocks_put__then_file_holds_them_in_order),
    TEST(writer__flushed__then_counts_bytes_and_blocks),
    TEST(writer__many_blocks_in_buffer__then_one_write),
    TEST(writer__block_in_place__then_true_size_counts),
    TEST(writer__block_cancelled__then_no_trace_of_it),
    TEST(writer__no_room__then_null_until_flushed),
    TEST(writer__payload_larger_than_buffer__then_buffer_grows_when_empty),
    TEST(writer__payload_beyond_the_format__then_refused),
    TEST(writer__short_writes_of_every_size__then_file_identical),
    TEST(writer__interrupted_writes__then_file_identical),
    TEST(writer__nth_write_fails__then_only_that_flush_is_lost),
    TEST(writer__write_fails_half_way__then_cut_back_to_whole_blocks),
    TEST(writer__cannot_cut_back__then_rubbish_is_overwritten_later),
    TEST(writer__flush_fails_within_put__then_error_and_block_not_put),
    TEST(writer__header_cannot_be_written__then_fd_stays_the_callers_and_file_is_empty),
    TEST(writer__finished__then_index_lists_every_block),
    TEST(writer__finished_empty__then_closed_with_an_empty_index),
    TEST(writer__enough_blocks_flushed__then_part_precedes_the_next),
    TEST(writer__parts_and_flushes_of_every_size__then_all_blocks_listed_once),
    TEST(writer__room__then_the_same_whether_a_part_is_due_or_not),
    TEST(writer__large_block_when_a_part_is_due__then_buffer_grows_for_both),
    TEST(writer__block_cancelled_when_a_part_is_due__then_part_is_written),
    TEST(writer__any_number_of_blocks__then_memory_stays_the_same),
    TEST(writer__disk_full_while_a_part_is_due__then_part_comes_with_the_next_blocks),
    TEST(writer__index_longer_than_buffer__then_still_one_part),
    TEST(writer__last_part_cannot_be_written__then_file_ends_before_it),
    TEST(writer__last_flush_fails_on_finish__then_error),
    TEST(writer__no_memory_for_the_index__then_all_blocks_but_no_footer),
    TEST(writer__no_memory_for_the_index_after_a_part__then_all_blocks_but_no_footer),
    TEST(writer__large_file__then_reserve_given_back),
    TEST(writer__disk_full_while_zeros_are_written__then_done_without),
};
TEST_MAIN("adat_writer", tests)
