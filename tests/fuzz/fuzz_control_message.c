/* SPDX-License-Identifier: MIT */
/*
 * Reads the input as a request of the control socket. One that is refused has a code and one line that says why; one that is
 * taken is written anew from what was understood, and must be understood the same. Seeds are in corpus/control_message.
 */
#define _GNU_SOURCE /* open_memstream */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/json.h"
#include "user/service/control_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_fields(JsonWriter *json, const ControlRequest *request)
{
    if (request->session)
        json_string(json, "session", request->session);
    if (request->pid)
        json_i64(json, "pid", request->pid);
    if (request->name)
        json_string(json, "name", request->name);
    if (request->pid_count > 0) {
        json_begin_array(json, "pids");
        for (size_t i = 0; i < request->pid_count; i++)
            json_i64(json, NULL, request->pids[i]);
        json_end_array(json);
    }
}

/* Values of a key follow each other. */
static void put_options(JsonWriter *json, const ControlRequest *request)
{
    json_begin_object(json, "options");
    for (size_t i = 0; i < request->option_count; i++) {
        const char *key = request->options[i].key;

        if (i == 0 || strcmp(key, request->options[i - 1].key) != 0)
            json_begin_array(json, key);
        json_string(json, NULL, request->options[i].value);
        if (i + 1 == request->option_count || strcmp(key, request->options[i + 1].key) != 0)
            json_end_array(json);
    }
    json_end_object(json);
}

static char *print(const ControlRequest *request)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    JsonWriter json;

    if (!out)
        abort();
    json_init(&json, out);
    json_begin_object(&json, NULL);
    json_u64(&json, "version", 1);
    json_u64(&json, "id", request->id);
    json_string(&json, "command", control_command_name(request->command));
    put_fields(&json, request);
    if (request->option_count > 0)
        put_options(&json, request);
    json_end_object(&json);
    if (fclose(out) != 0)
        abort();
    return text;
}

static void check_refusal(const ControlRefusal *refusal)
{
    if (!refusal->code || refusal->text[0] == '\0')
        abort();
    for (const char *c = refusal->text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            abort();
    }
}

/* What is longer than a packet when written anew (texts with characters that must be escaped) is refused for that. */
static void check_again(const ControlRequest *request)
{
    ControlRequest again;
    ControlRefusal refusal = {0};
    char *text = print(request), *text_again;

    if (strlen(text) <= ADA_CONTROL_PACKET_MAX) {
        if (control_request_parse(text, strlen(text), &again, &refusal) != 0)
            abort();
        text_again = print(&again);
        if (strcmp(text, text_again) != 0)
            abort();
        free(text_again);
        control_request_fini(&again);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1); /* so that reading behind it is noticed */
    ControlRefusal refusal = {0};
    ControlRequest request;
    int error;

    if (!copy)
        abort();
    if (size > 0)
        memcpy(copy + 1, data, size);
    error = control_request_parse(copy + 1, size, &request, &refusal);
    free(copy);
    if (error)
        check_refusal(&refusal);
    else
        check_again(&request);
    control_request_fini(&request);
    return 0;
}
