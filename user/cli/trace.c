/* SPDX-License-Identifier: MIT */
#include "user/cli/trace.h"

#include <inttypes.h>
#include <stdio.h>

#include "user/base/utf8.h"
#include "user/cli/cli.h"

int trace_open(const char *command, const char *path, AdatReader **reader_out)
{
    int err = adat_reader_open(path, reader_out);

    if (!err)
        return CLI_OK;
    cli_error(command, "cannot read '%s': %s", path, adat_reader_error_text(err));
    return CLI_FAILURE;
}

int trace_report_cut(const char *command, const char *path, const AdatReader *reader)
{
    const AdatFileInfo *info = adat_reader_info(reader);

    if (info->cut == ADAT_CUT_NONE)
        return CLI_OK;
    cli_error(command,
              "%s'%s' is %s: %s, so its last %" PRIu64 " bytes of %" PRIu64
              " are left out; see 'adatrace verify'",
              info->cut == ADAT_CUT_SHORT ? "warning: " : "", path,
              info->cut == ADAT_CUT_SHORT ? "cut off" : "damaged", adat_cut_text(info->cut),
              info->file_bytes - info->valid_bytes, info->file_bytes);
    return info->cut == ADAT_CUT_SHORT ? CLI_OK : CLI_FAILURE;
}

void trace_json_account(JsonWriter *json, const char *key, const AdatAccount *account)
{
    json_begin_object(json, key);
    json_u64(json, "attempted", account->attempted);
    json_u64(json, "in_file", account->in_file);
    json_u64(json, "dropped_full", account->dropped_full);
    json_u64(json, "dropped_nested", account->dropped_nested);
    json_u64(json, "dropped_io", account->dropped_io);
    json_u64(json, "recycled_unmarked", account->recycled_unmarked);
    json_u64(json, "torn", account->torn);
    json_u64(json, "pending", account->pending);
    json_end_object(json);
}

int trace_exit_status(const AdatProcessInfo *process)
{
    if (!process->died)
        return -1;
    if (process->death.kind == ADAT_DEATH_EXIT)
        return process->death.code;
    if (process->death.kind == ADAT_DEATH_SIGNAL)
        return 128 + process->death.code;
    return -1;
}

/* Bytes of `text` that may go to a terminal as they are, or 0. C1 controls are UTF-8, but no good. */
static size_t harmless_length(const uint8_t *text, size_t size)
{
    if (text[0] < 0x20 || text[0] == 0x7f || text[0] == '\\' || text[0] == '"')
        return 0;
    if (text[0] == 0xc2 && size > 1 && text[1] < 0xa0)
        return 0;
    return utf8_length(text, size);
}

void trace_put_text(FILE *out, const char *text, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t plain = 0, i = 0;

    while (i < size) {
        size_t length = harmless_length(bytes + i, size - i);

        if (length > 0) {
            i += length;
            continue;
        }
        fwrite_unlocked(text + plain, 1, i - plain, out);
        if (text[i] == '\\' || text[i] == '"')
            fprintf(out, "\\%c", text[i]);
        else if (text[i] == '\n')
            fputs("\\n", out);
        else
            fprintf(out, "\\x%02x", bytes[i]);
        plain = ++i;
    }
    fwrite_unlocked(text + plain, 1, size - plain, out);
}
