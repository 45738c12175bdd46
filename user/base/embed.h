/* SPDX-License-Identifier: MIT */
/* Files that are part of the command: text of pages, as it is in the source. */
#ifndef ADA_BASE_EMBED_H
#define ADA_BASE_EMBED_H

/*
 * Defines `extern const char NAME_begin[], NAME_end[]`, which a header declares: the bytes of the file at PATH, a string literal, and a NUL at
 * NAME_end. The file is read when it is assembled, so the build must know that the object depends on it.
 */
#define EMBED_FILE(name, path)                         \
    __asm__(".pushsection .rodata\n"                   \
            ".hidden " #name "_begin\n"                \
            ".hidden " #name "_end\n"                  \
            ".globl " #name "_begin\n"                 \
            ".globl " #name "_end\n" #name "_begin:\n" \
            ".incbin \"" path "\"\n" #name "_end:\n"   \
            ".byte 0\n"                                \
            ".popsection\n")

#endif
