/* SPDX-License-Identifier: MIT */
/*
 * The functions of one ELF file, by address: of .symtab; or of .dynsym and of what is compressed in .gnu_debugdata (debugdata.h).
 *
 *   elf_symbols_open()     opens the file, makes sure that it is the one that is meant, takes its functions in
 *   elf_symbols_find()     which of them an address belongs to
 *   elf_symbols_destroy()
 *
 * Addresses are those of the file: what stands in its symbols and program headers. An address in memory is that plus the load bias,
 * which is 0 for a program that is not position-independent; so one subtraction serves programs, shared objects and files of debugging
 * information alike, and offsets in the file never matter.
 *
 * A file is never trusted. It is read and not mapped, so it may shrink meanwhile; every size and count is checked against the file and against a limit
 * before memory is taken for it; a name or a range that leads outside costs that symbol alone. Memory is at most about four times the two tables in the file.
 *
 * Constant after opening, so threads may share it.
 */
#ifndef ADA_READER_ELF_SYMBOLS_H
#define ADA_READER_ELF_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/event_abi.h"

typedef struct ElfSymbols ElfSymbols;

/* Which file is meant. */
typedef struct ElfIdentity {
    uint32_t build_id_size; /* 0: it has none, and is known by memory_size; at most ADA_BUILD_ID_MAX, to which longer ones are cut */
    uint8_t build_id[ADA_BUILD_ID_MAX];
    uint64_t memory_size; /* bytes from address 0 to the end of its last segment */
} ElfIdentity;

/*
 * `bytes_max` limits what is read of the table of symbols and their names together. -ENOTSUP: not a regular file; -ENOEXEC: not a 64-bit ELF program or
 * shared object of this byte order; -ESTALE: not the file that is meant; -ENODATA: it has no functions; -EFBIG: more than bytes_max;
 * -EBADMSG: damaged; -ENOMEM; those of open(2) and read(2).
 */
int elf_symbols_open(const char *path, const ElfIdentity *identity, size_t bytes_max, ElfSymbols **symbols_out);

/* NULL is allowed. */
void elf_symbols_destroy(ElfSymbols *symbols);

/* Where a function is the innermost: [start, end). It may begin before, with others within it. */
typedef struct ElfRange {
    uint64_t start;
    uint64_t end;
    uint64_t function; /* where it begins */
} ElfRange;

/*
 * The name of the function that `address` is in, as it stands in the file, and the range around it; NULL if it is in none.
 * Of functions within others it is the innermost. Of names for one place it is one with a size, then global before local before weak, then the one
 * with fewer underscores in front, then the first of the alphabet. A function without a size reaches to the next one in its section.
 */
const char *elf_symbols_find(const ElfSymbols *symbols, uint64_t address, ElfRange *range_out);

/* Are all functions in it, and not only those that it exports? */
bool elf_symbols_are_complete(const ElfSymbols *symbols);

/* Bytes of the file's tables: what was counted against bytes_max. */
size_t elf_symbols_bytes(const ElfSymbols *symbols);

#endif
