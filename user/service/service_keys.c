/* SPDX-License-Identifier: MIT */
/* The keys of [service]. */
#include "user/service/service_keys.h"

#include <limits.h>
#include <string.h>

static int take_metrics_listen(void *section, const char *text, ConfigReason *reason)
{
    ServiceConfig *config = section;

    config->metrics_served = strcmp(text, "off") != 0;
    if (config->metrics_served && metrics_address_parse(text, &config->metrics_address) != 0)
        return config_reason(reason, "not an address");
    return 0;
}

static void put_metrics_listen(const void *section, FILE *out)
{
    const ServiceConfig *config = section;
    char address[METRICS_ADDRESS_TEXT] = "off";

    if (config->metrics_served)
        metrics_address_format(&config->metrics_address, address);
    (void)fprintf(out, "metrics_listen = %s\n", address);
}

#define AT(member) .offset = offsetof(ServiceConfig, member)

const ConfigKey service_keys[] = {
    {.name = "control_socket",
     .kind = CONFIG_PATH,
     AT(control_socket),
     .max = SERVICE_SOCKET_PATH_MAX,
     .initial = "/run/adatrace/control.sock",
     .allowed = "an absolute path of up to 107 characters"},
    {.name = "control_group",
     .kind = CONFIG_NAME,
     AT(control_group),
     .initial = "adatrace",
     .allowed = "the name of a group"},
    {.name = "control_clients",
     .kind = CONFIG_NUMBER,
     AT(control_clients),
     .min = 1,
     .max = 1024,
     .initial = "64",
     .allowed = "a number from 1 to 1024"},
    {.name = "announce_socket",
     .kind = CONFIG_PATH,
     AT(announce_socket),
     .max = SERVICE_SOCKET_PATH_MAX,
     .initial = "/run/adatrace/announce.sock",
     .allowed = "an absolute path of up to 107 characters"},
    {.name = "announce_rate",
     .kind = CONFIG_NUMBER,
     AT(announce_rate),
     .min = 1,
     .max = 1000000,
     .initial = "1000",
     .allowed = "a number from 1 to 1000000"},
    {.name = "log_directory",
     .kind = CONFIG_PATH,
     AT(log_directory),
     .max = PATH_MAX - 1,
     .initial = "/var/log/adatrace",
     .allowed = "an absolute path"},
    {.name = "state_directory",
     .kind = CONFIG_PATH,
     AT(state_directory),
     .max = PATH_MAX - 1,
     .initial = "/var/lib/adatrace",
     .allowed = "an absolute path"},
    {.name = "metrics_listen",
     .kind = CONFIG_OWN,
     .take = take_metrics_listen,
     .put = put_metrics_listen,
     .initial = "off",
     .allowed = "off, PORT, ADDRESS:PORT or [ADDRESS]:PORT, in numbers"},
    {.name = "metrics_interval",
     .kind = CONFIG_TIME,
     AT(metrics_interval),
     .min = 100000000u,
     .max = 60000000000u,
     .initial = "1s",
     .allowed = "a time from 100ms to 60s"},
    {.name = "run_user",
     .kind = CONFIG_NAME,
     AT(run_user),
     .initial = "nobody",
     .allowed = "the name of a user other than root"},
};

const size_t service_key_count = sizeof(service_keys) / sizeof(service_keys[0]);
_Static_assert(sizeof(service_keys) / sizeof(service_keys[0]) <= CONFIG_KEYS_MAX, "room for each");
