/* SPDX-License-Identifier: MIT */
/*
 * Keys of the configuration: what a value may be, where it goes, and how it is written back. A section is a table of
 * them (service_keys, session_keys); defaults are texts in it, read as those of files are.
 */
#ifndef ADA_SERVICE_CONFIG_KEY_H
#define ADA_SERVICE_CONFIG_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_kind {
    CONFIG_SWITCH, /* bool: yes or no */
    CONFIG_CHOICE, /* uint32_t: one of `choices`, by its number */
    CONFIG_NUMBER, /* uint64_t; these three from `min` to `max`, */
    CONFIG_BYTES,  /* 4096, 64K, 1M, 2G; a multiple of `multiple`, */
    CONFIG_TIME,   /* in ns: 10ns, 10us, 1.5ms, 2s, 2m, 1h, 7d */
    CONFIG_PATH, /* char *, allocated: absolute, without . and .. and double or last slashes, of `max` bytes at most */
    CONFIG_NAME, /* char *, allocated: of a user or group */
    CONFIG_OWN,  /* by `take` and `put` */
};

/* Why a value is none, for the user. */
typedef struct ConfigReason {
    char text[256];
} ConfigReason;

typedef struct ConfigKey {
    const char *name;
    enum config_kind kind;
    bool repeats;    /* may stand in a section several times */
    bool may_be_off; /* of CONFIG_BYTES, CONFIG_TIME: 0; of CONFIG_PATH: NULL */
    size_t offset;   /* in the section's struct */
    uint64_t min, max, multiple;
    const char *const *choices;
    uint32_t choice_count;
    const char *initial; /* the default; NULL: none */
    const char *allowed; /* for the user */
    /* As config_key_take(). */
    int (*take)(void *section, const char *text, ConfigReason *reason);
    /* Writes the lines "NAME = VALUE" that give what is there. */
    void (*put)(const void *section, FILE *out);
} ConfigKey;

/*
 * Takes a value; a value before is replaced, of a key that repeats it is joined. 0; -EINVAL: it is none, and *reason says why;
 * -ENOMEM.
 */
int config_key_take(const ConfigKey *key, void *section, const char *text, ConfigReason *reason);

/* Writes the key's lines, such that they are read as what is there. */
void config_key_put(const ConfigKey *key, const void *section, FILE *out);

/* The key of that name, or NULL. */
const ConfigKey *config_key_find(const ConfigKey *keys, size_t count, const char *name);

/* Gives all keys their defaults. 0, -ENOMEM. */
int config_keys_init(const ConfigKey *keys, size_t count, void *section);

/* Whether it is one that CONFIG_PATH takes, or, with `relative`, the same without a slash at its start. */
bool config_path_is_clean(const char *path, bool relative);

int config_reason(ConfigReason *reason, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Replaces a text that `text_out` points to by a copy. 0, -ENOMEM. */
int config_replace_text(char **text_out, const char *text);

#endif
