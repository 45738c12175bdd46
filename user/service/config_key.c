/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/service/config_key.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/parse.h"

#define USER_NAME_MAX 32u /* useradd's */

int config_reason(ConfigReason *reason, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason->text, sizeof(reason->text), format, args);
    va_end(args);
    return -EINVAL;
}

int config_replace_text(char **text_out, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        return -ENOMEM;
    free(*text_out);
    *text_out = copy;
    return 0;
}

/* ---- values ----------------------------------------------------------------------------------- */

static int take_switch(bool *value, const char *text, ConfigReason *reason)
{
    bool yes = strcmp(text, "yes") == 0;

    if (!yes && strcmp(text, "no") != 0)
        return config_reason(reason, "neither yes nor no");
    *value = yes;
    return 0;
}

static int take_choice(const ConfigKey *key, uint32_t *value, const char *text, ConfigReason *reason)
{
    for (uint32_t i = 0; i < key->choice_count; i++) {
        if (strcmp(text, key->choices[i]) == 0) {
            *value = i;
            return 0;
        }
    }
    return config_reason(reason, "unknown");
}

static int take_amount(const ConfigKey *key, uint64_t *value, const char *text, ConfigReason *reason)
{
    uint64_t amount = 0;
    int error;

    if (key->kind == CONFIG_BYTES)
        error = parse_bytes(text, key->min, key->max, &amount);
    else if (key->kind == CONFIG_TIME)
        error = parse_long_duration(text, key->min, key->max, &amount);
    else
        error = parse_u64(text, key->min, key->max, &amount);
    if (error == -ERANGE)
        return config_reason(reason, "too small or too large");
    if (error)
        return config_reason(reason, "%s",
                             key->kind == CONFIG_BYTES  ? "not a size"
                             : key->kind == CONFIG_TIME ? "not a time"
                                                        : "not a number");
    if (key->multiple && amount % key->multiple != 0)
        return config_reason(reason, "not a multiple of %" PRIu64, key->multiple);
    *value = amount;
    return 0;
}

bool config_path_is_clean(const char *path, bool relative)
{
    const char *at = path;

    if (!relative && *at++ != '/')
        return false;
    for (;;) {
        size_t length = strcspn(at, "/");

        if (length == 0 || length > NAME_MAX || (length == 1 && at[0] == '.') ||
            (length == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        at += length;
        if (*at++ == '\0')
            return true;
    }
}

static int take_path(const ConfigKey *key, char **value, const char *text, ConfigReason *reason)
{
    if (!config_path_is_clean(text, false))
        return config_reason(reason, "not an absolute path without . and .. and needless slashes");
    if (strlen(text) > key->max)
        return config_reason(reason, "the path is longer than %" PRIu64 " characters", key->max);
    return config_replace_text(value, text);
}

static int take_name(char **value, const char *text, ConfigReason *reason)
{
    static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strlen(text);

    if (length > USER_NAME_MAX || strspn(text, characters) != length || *text == '-' || *text == '.')
        return config_reason(reason, "not a name");
    return config_replace_text(value, text);
}

/* What `offset` says is of the kind's type. */
static void *field_of(const ConfigKey *key, void *section)
{
    return (char *)section + key->offset;
}

/* Of keys that may be off. */
static void take_off(const ConfigKey *key, void *field)
{
    if (key->kind == CONFIG_PATH) {
        char **path = field;

        free(*path);
        *path = NULL;
    } else {
        *(uint64_t *)field = 0;
    }
}

int config_key_take(const ConfigKey *key, void *section, const char *text, ConfigReason *reason)
{
    void *field = field_of(key, section);

    if (key->may_be_off && strcmp(text, "off") == 0) {
        take_off(key, field);
        return 0;
    }
    switch (key->kind) {
    case CONFIG_SWITCH:
        return take_switch(field, text, reason);
    case CONFIG_CHOICE:
        return take_choice(key, field, text, reason);
    case CONFIG_PATH:
        return take_path(key, field, text, reason);
    case CONFIG_NAME:
        return take_name(field, text, reason);
    case CONFIG_OWN:
        return key->take(section, text, reason);
    case CONFIG_NUMBER:
    case CONFIG_BYTES:
    case CONFIG_TIME:
        break;
    }
    return take_amount(key, field, text, reason);
}

/* ---- writing ---------------------------------------------------------------------------------- */

typedef struct Unit {
    const char *suffix;
    uint64_t size;
} Unit;

/* In the largest unit of which it is a multiple; the last of `units` is 1. */
static void put_amount(FILE *out, uint64_t value, const Unit *units)
{
    while (value % units->size != 0)
        units++;
    (void)fprintf(out, "%" PRIu64 "%s", value / units->size, units->suffix);
}

static void put_value(const ConfigKey *key, const void *field, FILE *out)
{
    static const Unit sizes[] = {{"G", 1u << 30}, {"M", 1u << 20}, {"K", 1u << 10}, {"", 1}};
    static const Unit times[] = {
        {"d", 86400000000000ull},
        {"h", 3600000000000ull},
        {"m", 60000000000ull},
        {"s", 1000000000ull},
        {"ms", 1000000ull},
        {"us", 1000ull},
        {"ns", 1},
    };

    switch (key->kind) {
    case CONFIG_SWITCH:
        (void)fputs(*(const bool *)field ? "yes" : "no", out);
        break;
    case CONFIG_CHOICE:
        (void)fputs(key->choices[*(const uint32_t *)field], out);
        break;
    case CONFIG_NUMBER:
        (void)fprintf(out, "%" PRIu64, *(const uint64_t *)field);
        break;
    case CONFIG_BYTES:
        put_amount(out, *(const uint64_t *)field, sizes);
        break;
    case CONFIG_TIME: {
        uint64_t time = *(const uint64_t *)field;

        put_amount(out, time, time ? times : times + 3); /* 0s reads better than 0d */
        break;
    }
    case CONFIG_PATH:
    case CONFIG_NAME:
        (void)fputs(*(char *const *)field, out);
        break;
    case CONFIG_OWN:
        break;
    }
}

static bool is_off(const ConfigKey *key, const void *field)
{
    if (!key->may_be_off)
        return false;
    return key->kind == CONFIG_PATH ? *(char *const *)field == NULL : *(const uint64_t *)field == 0;
}

void config_key_put(const ConfigKey *key, const void *section, FILE *out)
{
    const void *field = (const char *)section + key->offset;

    if (key->kind == CONFIG_OWN) {
        key->put(section, out);
        return;
    }
    (void)fprintf(out, "%s = ", key->name);
    if (is_off(key, field))
        (void)fputs("off", out);
    else
        put_value(key, field, out);
    (void)fputc('\n', out);
}

/* ---- tables ----------------------------------------------------------------------------------- */

const ConfigKey *config_key_find(const ConfigKey *keys, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

int config_keys_init(const ConfigKey *keys, size_t count, void *section)
{
    ConfigReason reason;

    for (size_t i = 0; i < count; i++) {
        int error = keys[i].initial ? config_key_take(&keys[i], section, keys[i].initial, &reason) : 0;

        if (error)
            return error;
    }
    return 0;
}
