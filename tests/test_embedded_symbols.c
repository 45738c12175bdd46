/* SPDX-License-Identifier: MIT */
/* Names of functions in the trace itself: added to a complete file, whatever happens meanwhile; read back; and blocks that do harm. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "adat_check.h"
#include "set_fixture.h"
#include "test_support.h"
#include "user/file/adat_append.h"
#include "user/file/adat_recover.h"
#include "user/reader/adat_set.h"
#include "user/reader/adat_verify.h"
#include "user/reader/demangle.h"
#include "user/reader/symbols.h"

static const SampleShape whole = {.threads = 2, .events = 14, .block_events = 5, .part_entries = 4};

/* ---- blocks of symbols --------------------------------------------------------------------------- */

#define SYMBOLS_MAX 8u
#define NAMES_SIZE 256u

typedef struct SymbolsBlock {
    AdatModuleSymbols head;
    AdatSymbol symbols[SYMBOLS_MAX];
    char names[NAMES_SIZE];
    uint8_t payload[sizeof(AdatModuleSymbols) + SYMBOLS_MAX * sizeof(AdatSymbol) + NAMES_SIZE];
    AdatAppendedBlock block;
} SymbolsBlock;

/* For the module of sample_trace(). */
static void symbols_init(SymbolsBlock *block)
{
    *block = (SymbolsBlock){
        .head = {.build_id_size = 4, .build_id = {1, 2, 3, 4}, .module_size = 0x10000, .path = "/usr/bin/app"}};
}

static void symbols_add(SymbolsBlock *block, uint64_t start, uint32_t size, uint64_t function, const char *name)
{
    size_t bytes = strlen(name) + 1;

    CU_ASSERT_FATAL(block->head.symbol_count < SYMBOLS_MAX && block->head.names_bytes + bytes <= NAMES_SIZE);
    block->symbols[block->head.symbol_count++] =
        (AdatSymbol){.start = start, .function = function, .size = size, .name = block->head.names_bytes};
    memcpy(block->names + block->head.names_bytes, name, bytes);
    block->head.names_bytes += (uint32_t)bytes;
}

/* As its members are now. */
static const AdatAppendedBlock *symbols_block(SymbolsBlock *block)
{
    size_t at = sizeof(block->head), symbols = block->head.symbol_count * sizeof(AdatSymbol);

    memcpy(block->payload, &block->head, at);
    memcpy(block->payload + at, block->symbols, symbols);
    memcpy(block->payload + at + symbols, block->names, block->head.names_bytes);
    block->block = (AdatAppendedBlock){ADAT_BLOCK_SYMBOLS, block->payload,
                                       (uint32_t)(at + symbols + block->head.names_bytes)};
    return &block->block;
}

static const char mangled[] = "_ZN4shop5Basket3addEi";

static void symbols_fill(SymbolsBlock *block)
{
    symbols_init(block);
    symbols_add(block, 0x1000, 1, 0x1000, "first");
    symbols_add(block, 0x1001, 0x10, 0x1001, mangled);
    symbols_add(block, 0x1020, 0x10, 0x1001, "outer");
}

static int complete_trace(void)
{
    return sample_trace(&whole, -1);
}

static void check_name(const AdatReader *reader, uint64_t place, const char *expected)
{
    const AdatFunction *function;
    AdatSymbols *symbols = NULL;

    CU_ASSERT_EQUAL_FATAL(adat_symbols_create(NULL, &symbols), 0);
    function = adat_symbols_function(symbols, reader, 1, SAMPLE_MODULE_BASE + place);
    CU_ASSERT_PTR_NOT_NULL_FATAL(function);
    CU_ASSERT_STRING_EQUAL(function->name, expected);
    CU_ASSERT_EQUAL(function->resolved, strncmp(expected, "app+", 4) != 0);
    adat_symbols_destroy(symbols);
}

/* Whether it has the names of symbols_fill(): all or none. */
static bool has_names(int fd)
{
    AdatReader *reader = open_trace(fd);
    size_t modules = 7, functions = adat_reader_embedded(reader, &modules);

    CU_ASSERT_TRUE(functions == 0 || functions == 3);
    CU_ASSERT_EQUAL(modules, functions > 0);
    adat_reader_close(reader);
    return functions > 0;
}

/* ---- adding to a file ---------------------------------------------------------------------------- */

static void append__complete_file__then_read_verified_and_complete(void)
{
    int fd = complete_trace();
    SymbolsBlock block, second;
    AdatReader *reader;
    AdatVerdict verdict;
    char text[64];

    symbols_fill(&block);
    CU_ASSERT_EQUAL(adat_append_blocks(fd, NULL, 0, NULL), 0);
    CU_ASSERT_FALSE(has_names(fd));
    CU_ASSERT_EQUAL_FATAL(adat_append_blocks(fd, symbols_block(&block), 1, NULL), 0);
    CU_ASSERT(adat_file_is_closed(fd));
    reader = open_trace(fd);
    CU_ASSERT(adat_reader_info(reader)->closed);
    CU_ASSERT_EQUAL(adat_reader_info(reader)->cut, ADAT_CUT_NONE);
    CU_ASSERT_EQUAL(adat_reader_events(reader).in_file, 28);
    CU_ASSERT_EQUAL(adat_verify(reader, &verdict), 0);
    CU_ASSERT_EQUAL(verdict.problem_count, 0);
    adat_verdict_fini(&verdict);
    check_name(reader, 0x1000, "first");
    check_name(reader, 0x1001, demangle(mangled, text, sizeof(text)) > 0 ? "shop::Basket::add(int)" : mangled);
    check_name(reader, 0x1020, "outer+0x1f");
    check_name(reader, 0x102f, "outer+0x2e");
    check_name(reader, 0x1030, "app+0x1030");
    check_name(reader, 0x1015, "app+0x1015");
    check_name(reader, 0xfff, "app+0xfff");
    adat_reader_close(reader);

    /* and once more; what overlaps with what is there is left out */
    symbols_init(&second);
    symbols_add(&second, 0x1000, 0x18, 0x1000, "other");
    symbols_add(&second, 0x2000, 8, 0x2000, "more");
    CU_ASSERT_EQUAL(adat_append_blocks(fd, symbols_block(&second), 1, NULL), 0);
    reader = open_trace(fd);
    check_name(reader, 0x1000, "first");
    check_name(reader, 0x2001, "more+0x1");
    adat_reader_close(reader);
    expect_verdict(fd, NULL);
}

/* What append writes to. */
static long writes_left;
static bool writes_kill;

static ssize_t failing_write(int fd, const void *data, size_t size, off_t offset)
{
    if (writes_left-- > 0)
        return pwrite(fd, data, size > 100 ? 100 : size, offset); /* short ones, as of a full disk */
    if (writes_kill)
        _exit(9);
    writes_left = 1000000; /* what is taken back gets through */
    errno = ENOSPC;
    return -1;
}

static void append__a_write_fails__then_as_before(void)
{
    SymbolsBlock block;
    unsigned failures = 0;
    int error = -1;

    symbols_fill(&block);
    for (long at = 0; error; at++) {
        int fd = complete_trace();
        size_t size, size_after;
        uint8_t *before = file_content(fd, &size), *after;

        writes_left = at;
        error = adat_append_blocks(fd, symbols_block(&block), 1, failing_write);
        after = file_content(fd, &size_after);
        if (error) {
            CU_ASSERT_EQUAL(error, -ENOSPC);
            CU_ASSERT_EQUAL_FATAL(size_after, size);
            CU_ASSERT_EQUAL(memcmp(before, after, size), 0);
            failures++;
        } else {
            CU_ASSERT(has_names(fd));
        }
        free(before);
        free(after);
        expect_verdict(fd, NULL);
    }
    CU_ASSERT(failures > 8); /* the steps there are */
}

static void append__killed_at_any_write__then_all_that_was_there_is_read(void)
{
    SymbolsBlock block;
    bool killed = true;
    unsigned kills = 0;

    symbols_fill(&block);
    for (long at = 0; killed; at++) {
        int fd = complete_trace(), status = 0;
        const AdatFileInfo *info;
        AdatReader *reader;
        pid_t child;

        fflush(NULL);
        child = fork();
        if (child == 0) {
            writes_left = at;
            writes_kill = true;
            _exit(adat_append_blocks(fd, symbols_block(&block), 1, failing_write) == 0 ? 0 : 1);
        }
        CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
        CU_ASSERT_FATAL(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9));
        killed = WEXITSTATUS(status) == 9;
        kills += killed;
        reader = open_trace(fd);
        info = adat_reader_info(reader);
        CU_ASSERT(info->closed && info->has_ledger);
        CU_ASSERT_EQUAL(adat_reader_events(reader).in_file, 28);
        CU_ASSERT_EQUAL(read_everything(reader), 28);
        CU_ASSERT(info->cut == ADAT_CUT_NONE || (killed && info->cut == ADAT_CUT_AFTER));
        adat_reader_close(reader);
        CU_ASSERT_EQUAL(has_names(fd), !killed);
        close(fd);
    }
    CU_ASSERT(kills > 8);
}

static void append__no_complete_file__then_refused_and_untouched(void)
{
    static const SampleShape killed = {.threads = 1, .events = 4, .block_events = 4, .unclosed = true};
    int fd = sample_trace(&killed, -1), empty = sample_file();
    SymbolsBlock block;
    AdatFooter footer;
    AdatAppendedBlock huge = {ADAT_BLOCK_SYMBOLS, &block, ADAT_PAYLOAD_MAX + 1};
    size_t size, size_after;
    uint8_t *bytes = file_content(fd, &size), *after;

    symbols_fill(&block);
    CU_ASSERT_EQUAL(adat_append_blocks(fd, symbols_block(&block), 1, NULL), -ENODATA);
    CU_ASSERT_EQUAL(adat_append_blocks(empty, symbols_block(&block), 1, NULL), -ENODATA);
    after = file_content(fd, &size_after);
    CU_ASSERT_EQUAL(size, size_after);
    CU_ASSERT_EQUAL(memcmp(bytes, after, size), 0);
    free(bytes);
    free(after);
    close(fd);
    close(empty);

    /* any byte of the last part of the index is another one */
    fd = complete_trace();
    CU_ASSERT_EQUAL(adat_append_blocks(fd, &huge, 1, NULL), -EMSGSIZE);
    bytes = file_content(fd, &size);
    memcpy(&footer, bytes + size - sizeof(footer), sizeof(footer));
    for (size_t back = 1; back <= size - footer.trailer_offset; back++) {
        int error;

        bytes[size - back] ^= 4;
        set_content(fd, bytes, size);
        error = adat_append_blocks(fd, symbols_block(&block), 1, NULL);
        CU_ASSERT(error == -ENODATA || error == -EBADMSG);
        bytes[size - back] ^= 4;
    }
    free(bytes);
    close(fd);
}

/* ---- files together ------------------------------------------------------------------------------ */

static void set__files_with_the_same_functions__then_each_once(void)
{
    SymbolsBlock block;
    AdatSet *set = NULL;
    size_t modules;

    begin_directory();
    for (uint32_t number = 1; number <= 40; number++) {
        const FileShape shape = {.recording = FIRST_ID,
                                 .number = number,
                                 .boot_ns = SAMPLE_REALTIME,
                                 .parts = {{.thread = 1, .first = (number - 1) * 4, .count = 4}}};
        char name[32], function[32];
        FILE *file;

        (void)snprintf(name, sizeof(name), "trace-%06u.adat", number);
        make_file(name, &shape);
        symbols_fill(&block);
        (void)snprintf(function, sizeof(function), "own%u", number);
        symbols_add(&block, 0x2000 + number * 16, 16, 0x2000 + number * 16, function);
        file = fopen(path_of(name), "r+");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        CU_ASSERT_EQUAL(adat_append_blocks(fileno(file), symbols_block(&block), 1, NULL), 0);
        CU_ASSERT_EQUAL(fclose(file), 0);
    }
    CU_ASSERT_EQUAL_FATAL(adat_set_open(set_directory, &set), 0);
    CU_ASSERT_EQUAL_FATAL(adat_set_recording_count(set), 1);
    CU_ASSERT_EQUAL(adat_reader_embedded(adat_set_reader(set, 0), &modules), 3 + 40);
    CU_ASSERT_EQUAL(modules, 1);
    adat_set_close(set);
    end_directory();
}

/* ---- blocks that do harm ------------------------------------------------------------------------- */

/* The file with this block reads all the same, without its names, and verify says what is wrong. */
static void expect_refused(SymbolsBlock *block, const char *text)
{
    int fd = complete_trace();
    AdatReader *reader;
    size_t modules;

    CU_ASSERT_EQUAL_FATAL(adat_append_blocks(fd, symbols_block(block), 1, NULL), 0);
    reader = open_trace(fd);
    CU_ASSERT_EQUAL(adat_reader_embedded(reader, &modules), 0);
    CU_ASSERT_EQUAL(read_everything(reader), 28);
    adat_reader_close(reader);
    expect_verdict(fd, text);
}

static void block__something_wrong__then_left_out_and_reported(void)
{
    SymbolsBlock block;

    symbols_fill(&block);
    block.symbols[1].start = 0xfff;
    expect_refused(&block, "do not ascend");
    symbols_fill(&block);
    block.symbols[0].size = 2; /* overlaps */
    expect_refused(&block, "do not ascend");
    symbols_fill(&block);
    block.symbols[2].size = 0;
    expect_refused(&block, "impossible range");
    symbols_fill(&block);
    block.symbols[2].start = UINT64_MAX - 3;
    expect_refused(&block, "impossible range");
    symbols_fill(&block);
    block.symbols[2].size = 0xf000;
    expect_refused(&block, "outside of its module");
    symbols_fill(&block);
    block.symbols[1].function = 0x1002;
    expect_refused(&block, "begins behind itself");
    symbols_fill(&block);
    block.symbols[1].name = block.head.names_bytes;
    expect_refused(&block, "outside of the block");
    symbols_fill(&block);
    block.symbols[1].name = UINT32_MAX;
    expect_refused(&block, "outside of the block");
    symbols_fill(&block);
    block.symbols[1].name = block.head.names_bytes - 1;
    expect_refused(&block, "is empty");
    symbols_fill(&block);
    block.names[block.head.names_bytes - 1] = 'x';
    expect_refused(&block, "does not end");
    symbols_fill(&block);
    block.head.build_id_size = ADA_BUILD_ID_MAX + 1;
    expect_refused(&block, "build-id");
    symbols_fill(&block);
    memset(block.head.path, '/', sizeof(block.head.path));
    expect_refused(&block, "path does not end");
    symbols_fill(&block);
    block.head.build_id[0] = 9;
    {
        int fd = complete_trace();

        CU_ASSERT_EQUAL_FATAL(adat_append_blocks(fd, symbols_block(&block), 1, NULL), 0);
        expect_verdict(fd, "symbols of a module that is not in the file");
    }
}

static void block__lengths_that_lie__then_left_out_and_reported(void)
{
    static const uint32_t counts[] = {0, 1, 2, 4, 1u << 20, (1u << 20) + 1, UINT32_MAX};
    SymbolsBlock block;

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        int fd = complete_trace();

        symbols_fill(&block);
        (void)symbols_block(&block);
        memcpy(block.payload + offsetof(AdatModuleSymbols, symbol_count), &counts[i], sizeof(counts[i]));
        CU_ASSERT_EQUAL_FATAL(adat_append_blocks(fd, &block.block, 1, NULL), 0);
        CU_ASSERT_FALSE(has_names(fd));
        expect_verdict(fd, counts[i] > ADAT_EMBEDDED_MAX ? "too many" : "does not fit the block's length");

        fd = complete_trace();
        symbols_fill(&block);
        (void)symbols_block(&block);
        memcpy(block.payload + offsetof(AdatModuleSymbols, names_bytes), &counts[i], sizeof(counts[i]));
        CU_ASSERT_EQUAL_FATAL(adat_append_blocks(fd, &block.block, 1, NULL), 0);
        CU_ASSERT_FALSE(has_names(fd));
        expect_verdict(fd, "does not fit the block's length");
    }
    for (uint32_t size = 0; size < sizeof(AdatModuleSymbols) + 16; size += 8) {
        int fd = complete_trace();

        symbols_fill(&block);
        (void)symbols_block(&block);
        block.block.payload_bytes = size;
        CU_ASSERT_EQUAL_FATAL(adat_append_blocks(fd, &block.block, 1, NULL), 0);
        CU_ASSERT_FALSE(has_names(fd));
        expect_verdict(fd, size < sizeof(AdatModuleSymbols) ? "too short" : "does not fit");
    }
}

/* Names of up to ADAT_EMBEDDED_NAME_MAX bytes are taken; none is shown longer than others are. */
static void block__longest_name__then_cut_for_people(void)
{
    static const size_t lengths[] = {400, ADAT_EMBEDDED_NAME_MAX - 1, ADAT_EMBEDDED_NAME_MAX};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t size = sizeof(AdatModuleSymbols) + sizeof(AdatSymbol) + lengths[i] + 1;
        const AdatSymbol symbol = {.start = 0x1000, .function = 0x1000, .size = 4};
        AdatAppendedBlock appended = {ADAT_BLOCK_SYMBOLS, NULL, (uint32_t)size};
        uint8_t *payload = calloc(1, size);
        SymbolsBlock block;
        int fd = complete_trace();

        CU_ASSERT_PTR_NOT_NULL_FATAL(payload);
        symbols_init(&block);
        block.head.symbol_count = 1;
        block.head.names_bytes = (uint32_t)lengths[i] + 1;
        memcpy(payload, &block.head, sizeof(block.head));
        memcpy(payload + sizeof(block.head), &symbol, sizeof(symbol));
        memset(payload + sizeof(block.head) + sizeof(symbol), 'n', lengths[i]);
        appended.payload = payload;
        CU_ASSERT_EQUAL_FATAL(adat_append_blocks(fd, &appended, 1, NULL), 0);
        if (lengths[i] < ADAT_EMBEDDED_NAME_MAX) {
            AdatReader *reader = open_trace(fd);
            char expected[ADAT_NAME_MAX];

            memset(expected, 'n', sizeof(expected));
            memcpy(expected + sizeof(expected) - 4, "...", 4);
            check_name(reader, 0x1000, expected);
            adat_reader_close(reader);
            expect_verdict(fd, NULL);
        } else {
            expect_verdict(fd, "does not end");
        }
        free(payload);
    }
}

static const TestCase tests[] = {
    TEST(append__complete_file__then_read_verified_and_complete),
    TEST(append__a_write_fails__then_as_before),
    TEST(append__killed_at_any_write__then_all_that_was_there_is_read),
    TEST(append__no_complete_file__then_refused_and_untouched),
    TEST(set__files_with_the_same_functions__then_each_once),
    TEST(block__something_wrong__then_left_out_and_reported),
    TEST(block__lengths_that_lie__then_left_out_and_reported),
    TEST(block__longest_name__then_cut_for_people),
};
TEST_MAIN("embedded_symbols", tests)
