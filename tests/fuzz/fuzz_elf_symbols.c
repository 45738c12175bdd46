/* SPDX-License-Identifier: MIT */
/*
 * Feeds bytes to the reader of symbols as an ELF file, and looks at what its functions are called. The build-id that is asked for is that of the seeds
 * (elf_seed.c); an input without one is known by its size in memory, which is taken from its own program headers.
 */
#define _GNU_SOURCE /* memfd_create */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/reader/adat_reader.h"
#include "user/reader/demangle.h"
#include "user/reader/elf_symbols.h"

#define BYTES_MAX ((size_t)16 << 20)
#define LOOKS 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As take_segments() in elf_symbols.c finds it. */
static uint64_t memory_size(const uint8_t *data, size_t size)
{
    uint64_t end = 0;
    Elf64_Ehdr header;
    Elf64_Phdr segment;

    if (size < sizeof(header))
        return 0;
    memcpy(&header, data, sizeof(header));
    for (size_t i = 0; i < header.e_phnum; i++) {
        if (header.e_phoff > size || size - header.e_phoff < (i + 1) * sizeof(segment))
            break;
        memcpy(&segment, data + header.e_phoff + i * sizeof(segment), sizeof(segment));
        if (segment.p_type == PT_LOAD && segment.p_memsz <= UINT64_MAX - segment.p_vaddr &&
            segment.p_vaddr + segment.p_memsz > end)
            end = segment.p_vaddr + segment.p_memsz;
    }
    return end;
}

static void look(const ElfSymbols *symbols, uint64_t address)
{
    char name[ADAT_NAME_MAX];
    ElfRange range;
    const char *found = elf_symbols_find(symbols, address, &range);

    if (!found)
        return;
    if (range.function > range.start || range.start > address || range.end <= address)
        abort();
    if (demangle(found, name, sizeof(name)) >= sizeof(name))
        abort();
    if (demangle_copy(found, name, sizeof(name)) >= sizeof(name))
        abort();
}

static void try_identity(const char *path, const ElfIdentity *identity)
{
    ElfSymbols *symbols = NULL;

    if (elf_symbols_open(path, identity, BYTES_MAX, &symbols) != 0)
        return;
    if (elf_symbols_bytes(symbols) > BYTES_MAX)
        abort();
    for (uint64_t i = 0; i < LOOKS; i++)
        look(symbols, i * 16);
    for (unsigned bit = 16; bit < 64; bit++)
        look(symbols, (uint64_t)1 << bit);
    look(symbols, UINT64_MAX);
    elf_symbols_destroy(symbols);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ElfIdentity seed = {.build_id_size = ADA_BUILD_ID_MAX, .build_id = {0xad, 0xa7}};
    const ElfIdentity nameless = {.memory_size = memory_size(data, size)};
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    char path[64];

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    try_identity(path, &seed);
    try_identity(path, &nameless);
    close(fd);
    return 0;
}
