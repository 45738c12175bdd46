/* SPDX-License-Identifier: MIT */
/* Names of this machine's system calls, as its headers have them. */
#ifndef ADA_BASE_SYSCALL_NAMES_H
#define ADA_BASE_SYSCALL_NAMES_H

#include <stddef.h>
#include <stdint.h>

#define SYSCALLS_MAX 1024u /* numbers are below this */
#define SYSCALL_WORDS (SYSCALLS_MAX / 64u)

/* A set of system calls, by number. */
typedef struct SyscallSet {
    uint64_t bits[SYSCALL_WORDS];
} SyscallSet;

/* "read", or NULL for a number that has no name here. */
const char *syscall_name(uint32_t number);

/*
 * Adds the names of a list, separated by commas; a name may have wildcards, as the shell's. NULL: all. 0, or -EINVAL with the part that is no
 * name of any in *bad_out and its length in *length_out.
 */
int syscall_set_add(SyscallSet *set, const char *list, const char **bad_out, size_t *length_out);

#endif
