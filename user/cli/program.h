/* SPDX-License-Identifier: MIT */
/* What can be told of a program before it runs: whether it can be traced, and how. */
#ifndef ADA_CLI_PROGRAM_H
#define ADA_CLI_PROGRAM_H

#include <stdbool.h>

typedef struct ProgramKind {
    bool elf;            /* else a script, or something else that the kernel knows how to run */
    bool dynamic;        /* has a dynamic linker: LD_PRELOAD works */
    bool links_adatrace; /* needs libadatrace itself */
    bool changes_user;   /* set-user-ID or set-group-ID: the dynamic linker ignores LD_PRELOAD */
} ProgramKind;

/* Looks at the file that execvp(3) would run. 0; -ENOENT: not found; -errno of open(2); -ENOEXEC: an ELF file that libelf can't read. */
int program_inspect(const char *name, ProgramKind *kind);

#endif
