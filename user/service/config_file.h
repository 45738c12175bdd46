/* SPDX-License-Identifier: MIT */
/*
 * One configuration file: from the disk to its sections and keys.
 *
 *     # comment            ; comment
 *     [section]
 *     key = value          ; a comment behind a value begins with a blank and a semicolon
 *
 * inih takes the key lines apart. It would cut long lines and names of sections, take an indented line for more of
 * the value before, end a text at a NUL, and tell nothing of sections without keys; so it gets one line at a time, and
 * only what it reads right. Indented lines are lines like others. A byte order mark at the start, and carriage returns
 * at the ends of lines, are passed over.
 */
#ifndef ADA_SERVICE_CONFIG_FILE_H
#define ADA_SERVICE_CONFIG_FILE_H

#include "user/service/config_mistakes.h"

#define CONFIG_FILE_BYTES_MAX (1u << 20)
/* Characters of a line, without what ends it; an inih whose own limit is fixed (200, as a rule) allows 3 less than that. */
#define CONFIG_LINE_MAX 4093u

/* Who is told of the lines, in their order. The texts are theirs for the call only. */
typedef struct ConfigListener {
    const char *file; /* for mistakes */
    ConfigMistakes *mistakes;
    void (*on_section)(void *context, const char *name, uint32_t line); /* without blanks around it */
    void (*on_key)(void *context, const char *key, const char *value, uint32_t line); /* `value` is not empty */
    void *context;
} ConfigListener;

/*
 * Reads a whole file, which must be a regular file of root or of the caller's effective user that nobody else may
 * write, of CONFIG_FILE_BYTES_MAX at most. 0, and *text_out is the caller's to free; -EINVAL: it cannot be, and the mistake
 * was added; -ENOMEM.
 */
int config_file_read(const char *path, ConfigMistakes *mistakes, char **text_out, size_t *size_out);

/* Whether only root, or the caller's effective user, may change what `fd` is; else the mistake was added. */
bool config_file_is_safe(int fd, const char *path, ConfigMistakes *mistakes);

/* Takes a text apart. Mistakes are added; what is right in it is told all the same. */
void config_file_parse(const char *text, size_t size, const ConfigListener *listener);

#endif
