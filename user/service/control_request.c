/* SPDX-License-Identifier: MIT */
#include "user/service/control_request.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/utf8.h"
#include "user/service/service_config.h"

#define DEPTH_MAX 3u /* {"options":{"mark":[...]}} */

enum request_field {
    FIELD_VERSION,
    FIELD_ID,
    FIELD_COMMAND,
    FIELD_SESSION,
    FIELD_PID,
    FIELD_NAME,
    FIELD_PIDS,
    FIELD_OPTIONS,
    FIELDS,
};

static const char *const field_names[] = {
    [FIELD_VERSION] = "version", [FIELD_ID] = "id",           [FIELD_COMMAND] = "command",
    [FIELD_SESSION] = "session", [FIELD_PID] = "pid",         [FIELD_NAME] = "name",
    [FIELD_PIDS] = "pids",       [FIELD_OPTIONS] = "options",
};
_Static_assert(sizeof(field_names) / sizeof(field_names[0]) == FIELDS, "a name for each");

#define BIT(field) (1u << (field))
#define ALWAYS (BIT(FIELD_VERSION) | BIT(FIELD_ID) | BIT(FIELD_COMMAND))

/* What a command takes besides version, id and command. */
static const struct {
    const char *name;
    uint32_t may;     /* fields that may be there */
    uint32_t one_of;  /* of these at least one must be */
    bool exclusively; /* and not more than one */
} commands[] = {
    [CONTROL_LIST] = {"list", 0, 0, false},
    [CONTROL_STATUS] = {"status", BIT(FIELD_SESSION) | BIT(FIELD_PID), 0, true},
    [CONTROL_START] = {"start", BIT(FIELD_SESSION), BIT(FIELD_SESSION), false},
    [CONTROL_STOP] = {"stop", BIT(FIELD_SESSION), BIT(FIELD_SESSION), false},
    [CONTROL_ATTACH] = {"attach", BIT(FIELD_PIDS) | BIT(FIELD_NAME) | BIT(FIELD_OPTIONS),
                        BIT(FIELD_PIDS) | BIT(FIELD_OPTIONS), false},
    [CONTROL_DETACH] = {"detach", BIT(FIELD_SESSION) | BIT(FIELD_PID), BIT(FIELD_SESSION) | BIT(FIELD_PID),
                        true},
    [CONTROL_MARK] = {"mark", BIT(FIELD_SESSION) | BIT(FIELD_PID), BIT(FIELD_SESSION) | BIT(FIELD_PID), true},
    [CONTROL_SNAPSHOT] = {"snapshot", BIT(FIELD_SESSION), BIT(FIELD_SESSION), false},
    [CONTROL_ROTATE] = {"rotate", BIT(FIELD_SESSION), BIT(FIELD_SESSION), false},
    [CONTROL_RELOAD] = {"reload", 0, 0, false},
    [CONTROL_VERSION] = {"version", 0, 0, false},
};
_Static_assert(sizeof(commands) / sizeof(commands[0]) == CONTROL_COMMANDS, "a row for each");

void control_refuse_v(ControlRefusal *refusal, const char *code, const char *format, va_list args)
{
    refusal->code = code;
    (void)vsnprintf(refusal->text, sizeof(refusal->text), format, args);
    for (char *c = refusal->text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
}

int control_refuse(ControlRefusal *refusal, const char *code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    control_refuse_v(refusal, code, format, args);
    va_end(args);
    return -EINVAL;
}

const char *control_command_name(enum control_command command)
{
    return commands[command].name;
}

bool control_session_name_is_valid(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t length = strlen(name);

    return length > 0 && length <= SERVICE_SESSION_NAME_MAX && name[0] != '.' &&
           strspn(name, allowed) == length;
}

/* ---- text ------------------------------------------------------------------------------------- */

/* Where a text stands while it is looked through. */
typedef struct Scan {
    bool in_string;
    uint32_t depth;
} Scan;

/* How many bytes were looked at from `at` on; 0: refused. */
static size_t scan_string(Scan *scan, const uint8_t *at, size_t left, ControlRefusal *refusal)
{
    size_t length = utf8_length(at, left);

    if (length == 0) {
        control_refuse(refusal, ADA_CONTROL_BAD_JSON, "the request is not UTF-8: send JSON text");
        return 0;
    }
    if (*at == '"')
        scan->in_string = false;
    if (*at != '\\')
        return length;
    if (left >= 6 && memcmp(at, "\\u0000", 6) == 0) { /* would end the text before its end */
        control_refuse(refusal, ADA_CONTROL_BAD_JSON,
                       "the request has a text with a NUL character: leave it out");
        return 0;
    }
    return left > 1 ? 2 : 1;
}

/*
 * Refuses what the parser would take in a way that surprises: it cuts texts off at NUL characters, takes any bytes for
 * text, and goes a thousand levels deep.
 */
static int check_text(const char *text, size_t size, ControlRefusal *refusal)
{
    const uint8_t *bytes = (const uint8_t *)text;
    Scan scan = {0};

    for (size_t i = 0; i < size;) {
        uint8_t c = bytes[i];

        if (c == 0 || (c < 0x20 && (scan.in_string || !strchr("\t\n\r", c))))
            return control_refuse(refusal, ADA_CONTROL_BAD_JSON,
                                  "the request has control character %u at byte %zu: write \\u%04x in texts",
                                  (unsigned)c, i, (unsigned)c);
        if (scan.in_string) {
            size_t length = scan_string(&scan, bytes + i, size - i, refusal);

            if (length == 0)
                return -EINVAL;
            i += length;
            continue;
        }
        if (c == '"')
            scan.in_string = true;
        else if (c == '{' || c == '[')
            scan.depth++;
        else if ((c == '}' || c == ']') && scan.depth > 0)
            scan.depth--;
        if (scan.depth > DEPTH_MAX)
            return control_refuse(
                refusal, ADA_CONTROL_BAD_JSON,
                "the request is nested deeper than %u levels at byte %zu: no command needs that", DEPTH_MAX, i);
        i++;
    }
    return 0;
}

/* Texts of users go to logs and terminals. */
static bool has_control_characters(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    }
    return false;
}

/* ---- fields ----------------------------------------------------------------------------------- */

static enum request_field field_of(const char *name)
{
    enum request_field field = 0;

    while (field < FIELDS && strcmp(field_names[field], name) != 0)
        field++;
    return field;
}

/* Finds each field of the object, and the first that is not known. Of a field that is there twice the first counts; *twice_out. */
static const cJSON *find_fields(const cJSON *root, const cJSON *fields[FIELDS], const char **twice_out)
{
    const cJSON *unknown = NULL;
    const cJSON *item;

    cJSON_ArrayForEach(item, root)
    {
        enum request_field field = field_of(item->string);

        if (field == FIELDS) {
            unknown = unknown ? unknown : item;
            continue;
        }
        if (fields[field])
            *twice_out = field_names[field];
        else
            fields[field] = item;
    }
    return unknown;
}

/* Whole numbers alone: 1.5, -1 and 1e300 are none. */
static bool take_number(const cJSON *item, uint64_t min, uint64_t max, uint64_t *value)
{
    double number = item && cJSON_IsNumber(item) ? item->valuedouble : -1;

    if (!(number >= (double)min && number <= (double)max) || number != (double)(uint64_t)number)
        return false;
    *value = (uint64_t)number;
    return true;
}

/* The id first: what is refused later is answered under it. */
static int take_head(const cJSON *const fields[FIELDS], ControlRequest *request, ControlRefusal *refusal)
{
    const char *name = cJSON_GetStringValue(fields[FIELD_COMMAND]);
    enum control_command command = 0;
    uint64_t version;

    request->has_id = take_number(fields[FIELD_ID], 0, CONTROL_ID_MAX, &request->id);
    if (!take_number(fields[FIELD_VERSION], 0, UINT32_MAX, &version))
        return control_refuse(refusal, ADA_CONTROL_BAD_VERSION,
                              "field 'version' is missing or no number: this service speaks version %u",
                              ADA_CONTROL_VERSION);
    if (version != ADA_CONTROL_VERSION)
        return control_refuse(
            refusal, ADA_CONTROL_BAD_VERSION,
            "version %llu is not spoken here, but %u: use the adatrace that came with the service",
            (unsigned long long)version, ADA_CONTROL_VERSION);
    if (!request->has_id)
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                              "field 'id' is missing or no whole number from 0 to 2^53 - 1");
    if (!name)
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST, "field 'command' is missing or no text");
    while (command < CONTROL_COMMANDS && strcmp(commands[command].name, name) != 0)
        command++;
    if (command == CONTROL_COMMANDS)
        return control_refuse(refusal, ADA_CONTROL_UNKNOWN_COMMAND,
                              "unknown command '%.64s': see docs/control-protocol.md for those that there are",
                              name);
    request->command = command;
    return 0;
}

/* Whether the command has the fields that it needs, and no others. */
static int check_fields(const cJSON *const fields[FIELDS], enum control_command command, ControlRefusal *refusal)
{
    const char *name = commands[command].name;
    uint32_t given = 0;

    for (enum request_field field = 0; field < FIELDS; field++) {
        if (!fields[field])
            continue;
        if (!(BIT(field) & (ALWAYS | commands[command].may)))
            return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST, "'%s' has no field '%s': leave it out",
                                  name, field_names[field]);
        given |= BIT(field) & commands[command].may;
    }
    if (commands[command].one_of && !(given & commands[command].one_of)) {
        enum request_field first = (enum request_field)__builtin_ctz(commands[command].one_of);
        uint32_t rest = commands[command].one_of & ~BIT(first);

        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST, "'%s' needs field '%s'%s%s%s", name,
                              field_names[first], rest ? " or '" : "",
                              rest ? field_names[__builtin_ctz(rest)] : "", rest ? "'" : "");
    }
    if (commands[command].exclusively && (given & (given - 1)))
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                              "'%s' takes one of 'session' and 'pid', not both", name);
    return 0;
}

/* NULL stays NULL. */
static int take_session_name(const cJSON *item, const char *field, const char **name_out,
                             ControlRefusal *refusal)
{
    const char *name = cJSON_GetStringValue(item);

    if (!item)
        return 0;
    if (!name || !control_session_name_is_valid(name))
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                              "field '%s' is not the name of a session: 1 to %u of A-Z a-z 0-9 _ . -, the first not "
                              "a dot",
                              field, SERVICE_SESSION_NAME_MAX);
    *name_out = name;
    return 0;
}

static int take_pid(const cJSON *item, pid_t *pid_out, ControlRefusal *refusal)
{
    uint64_t pid;

    if (!take_number(item, 1, INT32_MAX, &pid))
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                              "a pid is not the number of a process: give a whole number from 1 on");
    *pid_out = (pid_t)pid;
    return 0;
}

static int compare_pids(const void *a, const void *b)
{
    const pid_t *left = a, *right = b;

    return (*left > *right) - (*left < *right);
}

/* Whether one is there twice. `scratch` has room for them. */
static bool has_double(const pid_t *pids, size_t count, pid_t *scratch)
{
    memcpy(scratch, pids, count * sizeof(*pids));
    qsort(scratch, count, sizeof(*scratch), compare_pids);
    for (size_t i = 1; i < count; i++) {
        if (scratch[i] == scratch[i - 1])
            return true;
    }
    return false;
}

static int take_pids(const cJSON *array, ControlRequest *request, ControlRefusal *refusal)
{
    int count = cJSON_GetArraySize(array);
    const cJSON *item;

    if (!array)
        return 0;
    if (!cJSON_IsArray(array) || count == 0 || (unsigned)count > CONTROL_PIDS_MAX)
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                              "field 'pids' is not an array of 1 to %u processes", CONTROL_PIDS_MAX);
    request->pids = calloc(2 * (size_t)count, sizeof(*request->pids)); /* half of it to sort in */
    if (!request->pids)
        return -ENOMEM;
    cJSON_ArrayForEach(item, array)
    {
        int error = take_pid(item, &request->pids[request->pid_count], refusal);

        if (error)
            return error;
        request->pid_count++;
    }
    if (has_double(request->pids, request->pid_count, request->pids + count))
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                              "field 'pids' has a process twice: give it once");
    return 0;
}

static int add_option(ControlRequest *request, const char *key, const cJSON *item, ControlRefusal *refusal)
{
    const char *value = cJSON_GetStringValue(item);

    if (!value || has_control_characters(value))
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                              "option '%.64s' is not a text, or an array of texts, without control characters",
                              key);
    if (request->option_count == CONTROL_OPTIONS_MAX)
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST, "there are more than %u options",
                              CONTROL_OPTIONS_MAX);
    request->options[request->option_count++] = (ControlOption){key, value};
    return 0;
}

static bool has_option(const ControlRequest *request, const char *key)
{
    for (size_t i = 0; i < request->option_count; i++) {
        const char *other = request->options[i].key;

        if (other && strcmp(other, key) == 0)
            return true;
    }
    return false;
}

static int take_options(const cJSON *map, ControlRequest *request, ControlRefusal *refusal)
{
    const cJSON *option, *item;
    int error = 0;

    if (!map)
        return 0;
    if (!cJSON_IsObject(map))
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                              "field 'options' is not an object of keys of adatraced.conf(5)");
    request->options = calloc(CONTROL_OPTIONS_MAX, sizeof(*request->options));
    if (!request->options)
        return -ENOMEM;
    cJSON_ArrayForEach(option, map)
    {
        if (has_option(request, option->string))
            return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                                  "option '%.64s' is there twice: give an array of its values", option->string);
        if (!cJSON_IsArray(option)) {
            error = add_option(request, option->string, option, refusal);
        } else if (cJSON_GetArraySize(option) == 0) {
            error = control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                                   "option '%.64s' has no value: leave it out", option->string);
        } else {
            cJSON_ArrayForEach(item, option)
            {
                if (!error)
                    error = add_option(request, option->string, item, refusal);
            }
        }
        if (error)
            return error;
    }
    return 0;
}

/* Once the version is known to be this one: another may have other fields. */
static int check_names(const cJSON *unknown, const char *twice, ControlRefusal *refusal)
{
    if (twice)
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST, "field '%s' is there twice: give it once",
                              twice);
    if (unknown)
        return control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                              "unknown field '%.64s': this service knows version, id, command, session, pid, name, "
                              "pids, options",
                              unknown->string);
    return 0;
}

static int take_fields(const cJSON *const fields[FIELDS], ControlRequest *request, ControlRefusal *refusal)
{
    int error = take_session_name(fields[FIELD_SESSION], "session", &request->session, refusal);

    if (!error)
        error = take_session_name(fields[FIELD_NAME], "name", &request->name, refusal);
    if (!error && fields[FIELD_PID])
        error = take_pid(fields[FIELD_PID], &request->pid, refusal);
    if (!error)
        error = take_pids(fields[FIELD_PIDS], request, refusal);
    if (!error)
        error = take_options(fields[FIELD_OPTIONS], request, refusal);
    if (!error && request->command == CONTROL_ATTACH && request->pid_count == 0 &&
        !has_option(request, "attach"))
        error = control_refuse(refusal, ADA_CONTROL_BAD_REQUEST,
                               "'attach' names no process: give 'pids', or the option 'attach'");
    return error;
}

/* 0, and the object; -EINVAL. */
static int parse_object(const char *text, size_t size, cJSON **root_out, ControlRefusal *refusal)
{
    const char *end = NULL;
    int error = check_text(text, size, refusal);

    if (error)
        return error;
    *root_out = cJSON_ParseWithLengthOpts(text, size, &end, 0);
    if (!cJSON_IsObject(*root_out))
        return control_refuse(refusal, ADA_CONTROL_BAD_JSON,
                              "the request is not a JSON object, or is cut off: send one whole object a packet");
    for (; end < text + size; end++) {
        if (!strchr(" \t\r\n", *end))
            return control_refuse(refusal, ADA_CONTROL_BAD_JSON,
                                  "something follows the request at byte %zu: send one JSON object a packet",
                                  (size_t)(end - text));
    }
    return 0;
}

int control_request_parse(const char *text, size_t size, ControlRequest *request_out,
                          ControlRefusal *refusal_out)
{
    const cJSON *fields[FIELDS] = {NULL};
    const cJSON *unknown;
    const char *twice = NULL;
    cJSON *root = NULL;
    int error;

    *request_out = (ControlRequest){0};
    if (size > ADA_CONTROL_PACKET_MAX)
        return control_refuse(refusal_out, ADA_CONTROL_TOO_LARGE, "the request has more than %u bytes",
                              ADA_CONTROL_PACKET_MAX);
    error = parse_object(text, size, &root, refusal_out);
    request_out->root = root;
    if (error)
        return error;
    unknown = find_fields(root, fields, &twice);
    error = take_head(fields, request_out, refusal_out);
    if (!error)
        error = check_names(unknown, twice, refusal_out);
    if (!error)
        error = check_fields(fields, request_out->command, refusal_out);
    if (!error)
        error = take_fields(fields, request_out, refusal_out);
    return error;
}

void control_request_fini(ControlRequest *request)
{
    cJSON_Delete(request->root);
    free(request->pids);
    free(request->options);
    *request = (ControlRequest){0};
}
