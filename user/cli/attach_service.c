/* SPDX-License-Identifier: MIT */
#include "user/cli/attach_service.h"

#include <string.h>

#include "user/cli/cli.h"
#if ADA_HAVE_CONTROL
#include "user/cli/control_client.h"
#include "user/cli/service_view.h"
#endif

/* Options and their keys. */
static const struct {
    const char *option;
    const char *key;
    const char *value; /* without an argument */
} keys[] = {
    {"output", "output", ""},
    {"rotate-size", "rotate_size", ""},
    {"rotate-time", "rotate_time", ""},
    {"keep", "max_total", ""},
    {"scheduler", "scheduler", ""},
    {"weight", "weight", ""},
    {"mark", "mark", ""},
    {"mark-wakers", "mark_wakers", "yes"},
    {"syscalls", "syscalls", "all"},
    {"uprobe", "uprobe", ""},
    {"sched", "sched", "yes"},
    {"discover", "attach", ""},
};

void attach_service_note(AttachService *service, const char *long_name, const char *argument)
{
    size_t i = 0;

    while (i < sizeof(keys) / sizeof(keys[0]) && strcmp(keys[i].option, long_name) != 0)
        i++;
    if (i == sizeof(keys) / sizeof(keys[0]) || service->count == ATTACH_SERVICE_OPTIONS_MAX) {
        service->unfit = service->unfit ? service->unfit : long_name;
        return;
    }
    service->options[service->count++] =
        (AttachServiceOption){keys[i].key, argument ? argument : keys[i].value};
}

#if ADA_HAVE_CONTROL

static bool is_first_of_key(const AttachService *service, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(service->options[i].key, service->options[index].key) == 0)
            return false;
    }
    return true;
}

/* Each key once, with an array of its values. */
static void put_options(const AttachService *service, JsonWriter *json)
{
    json_begin_object(json, "options");
    for (size_t i = 0; i < service->count; i++) {
        if (!is_first_of_key(service, i))
            continue;
        json_begin_array(json, service->options[i].key);
        for (size_t k = i; k < service->count; k++) {
            if (strcmp(service->options[k].key, service->options[i].key) == 0)
                json_string(json, NULL, service->options[k].value);
        }
        json_end_array(json);
    }
    json_end_object(json);
}

static void put_request(const AttachService *service, const PidList *pids, JsonWriter *json)
{
    if (service->name)
        json_string(json, "name", service->name);
    if (pids->count > 0) {
        json_begin_array(json, "pids");
        for (size_t i = 0; i < pids->count; i++)
            json_i64(json, NULL, pids->items[i]);
        json_end_array(json);
    }
    if (service->count > 0)
        put_options(service, json);
}

static void print_session(const cJSON *session)
{
    fputs("session ", stdout);
    service_view_text(cJSON_GetObjectItemCaseSensitive(session, "name"));
    fputs(", files in ", stdout);
    service_view_text(cJSON_GetObjectItemCaseSensitive(session, "directory"));
    putchar('\n');
}

int attach_service_run(const AttachService *service, const PidList *pids)
{
    const char *path = control_socket_path(service->socket);
    ControlAnswer answer = {0};
    ControlQuestion question;
    int status = CLI_OK;
    int error;

    if (service->unfit)
        return cli_usage_error("attach",
                               "--%s does not go with --service: its sessions are as adatraced.conf(5) says",
                               service->unfit);
    cli_begin_output();
    error = control_question_begin(&question, "attach");
    if (!error) {
        put_request(service, pids, &question.json);
        error = control_ask(path, &question, &answer);
    }
    if (error) {
        control_explain("attach", path, error, &answer);
        status = CLI_FAILURE;
    } else if (!service->json) {
        print_session(cJSON_GetObjectItemCaseSensitive(answer.result, "session"));
    } else if (!service_view_json(answer.result)) {
        cli_error("attach", "out of memory");
        status = CLI_FAILURE;
    }
    control_answer_fini(&answer);
    return cli_end_output("attach", status);
}

#else

int attach_service_run(const AttachService *service, const PidList *pids)
{
    (void)service;
    (void)pids;
    cli_error("attach", "this adatrace was built without libcjson: install that and build it again");
    return CLI_FAILURE;
}

#endif
