/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "user/cli/service_view.h"

#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "user/cli/format.h"

#define TEXT_MAX 512u

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* What is missing, or no number, is 0. */
static double number(const cJSON *object, const char *name)
{
    const cJSON *item = member(object, name);

    return cJSON_IsNumber(item) && item->valuedouble == item->valuedouble ? item->valuedouble : 0;
}

static uint64_t count(const cJSON *object, const char *name)
{
    double value = number(object, name);

    if (value <= 0)
        return 0;
    return value < 18446744073709549568.0 ? (uint64_t)value : UINT64_MAX;
}

static const char *clean(const cJSON *item, char text[TEXT_MAX])
{
    const char *value = cJSON_GetStringValue(item);

    (void)snprintf(text, TEXT_MAX, "%s", value ? value : "-");
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    return text;
}

void service_view_text(const cJSON *item)
{
    char text[TEXT_MAX];

    fputs(clean(item, text), stdout);
}

static const char *bytes_of(const cJSON *object, const char *name, char text[32])
{
    format_bytes(count(object, name), text, 32);
    return text;
}

static const char *owner_of(const cJSON *session, char text[32])
{
    const struct passwd *user = getpwuid((uid_t)count(session, "owner"));

    if (user)
        (void)snprintf(text, 32, "%s", user->pw_name);
    else
        (void)snprintf(text, 32, "%llu", (unsigned long long)count(session, "owner"));
    return text;
}

/* Of the account: what will never be in a file, though it should be. */
static uint64_t lost(const cJSON *session)
{
    const cJSON *events = member(session, "events");

    return count(events, "dropped_full") + count(events, "dropped_nested") + count(events, "dropped_io") +
           count(events, "torn");
}

/* The texts of `attach`, with semicolons. */
static void put_attach(const cJSON *session)
{
    const char *between = "";
    const cJSON *item;

    cJSON_ArrayForEach(item, member(session, "attach"))
    {
        fputs(between, stdout);
        service_view_text(item);
        between = "; ";
    }
}

void service_view_service(const cJSON *service)
{
    char version[TEXT_MAX], config[TEXT_MAX];

    printf("service adatraced %s, process %llu, up %.0f s, %llu of %llu sessions running, %s\n",
           clean(member(service, "version"), version), (unsigned long long)count(service, "pid"),
           number(service, "uptime_s"), (unsigned long long)count(service, "sessions_running"),
           (unsigned long long)count(service, "sessions"), clean(member(service, "config"), config));
}

void service_view_list(const cJSON *sessions)
{
    const cJSON *session;

    printf("%-20s %-9s %-10s %9s %7s %12s %10s %9s  %s\n", "SESSION", "STATE", "OWNER", "PROCESSES",
           "THREADS", "EVENTS", "LOST", "FILES", "ATTACH");
    cJSON_ArrayForEach(session, sessions)
    {
        char name[TEXT_MAX], state[TEXT_MAX], owner[32], bytes[32];

        printf("%-20s %-9s %-10s %9llu %7llu %12llu %10llu %9s  ", clean(member(session, "name"), name),
               clean(member(session, "state"), state), owner_of(session, owner),
               (unsigned long long)count(session, "processes_alive"),
               (unsigned long long)count(session, "threads_alive"),
               (unsigned long long)count(member(session, "events"), "attempted"),
               (unsigned long long)lost(session), bytes_of(session, "file_bytes", bytes));
        put_attach(session);
        putchar('\n');
    }
}

static void print_events(const cJSON *session)
{
    const cJSON *events = member(session, "events");
    const cJSON *latency = member(session, "latency_recent_us");
    char rate[32];

    format_rate(number(session, "events_per_s"), rate, sizeof(rate));
    printf("  %llu processes, %llu threads; %llu events (%s/s): %llu in files, %llu lost, %llu pending\n",
           (unsigned long long)count(session, "processes_alive"),
           (unsigned long long)count(session, "threads_alive"),
           (unsigned long long)count(events, "attempted"), rate, (unsigned long long)count(events, "in_file"),
           (unsigned long long)lost(session), (unsigned long long)count(events, "pending"));
    if (count(latency, "count") > 0)
        printf("  latency: p50 %.0f us, p90 %.0f us, p99 %.0f us, max %.0f us\n", number(latency, "p50"),
               number(latency, "p90"), number(latency, "p99"), number(latency, "max"));
}

static void print_files(const cJSON *session)
{
    const cJSON *flight = member(session, "flight_recorder");
    const char *state = cJSON_GetStringValue(member(flight, "state"));
    char text[TEXT_MAX], bytes[32];

    printf("  files: %llu, %s", (unsigned long long)count(session, "files"),
           bytes_of(session, "file_bytes", bytes));
    printf(", %s free, in %s\n", bytes_of(session, "disk_free", bytes),
           clean(member(session, "directory"), text));
    if (number(session, "write_error") < 0)
        printf("  cannot write at the moment: %s\n", strerror((int)-number(session, "write_error")));
    if (state && strcmp(state, "off") != 0)
        printf("  flight recorder: %s, %s in memory, %llu snapshots\n", clean(member(flight, "state"), text),
               bytes_of(flight, "memory_bytes", bytes), (unsigned long long)count(flight, "snapshots"));
}

static void print_problems(const cJSON *problems)
{
    const cJSON *problem;

    cJSON_ArrayForEach(problem, problems)
    {
        time_t when = (time_t)number(problem, "time_s");
        char stamp[32] = "-", text[TEXT_MAX];
        struct tm local;

        if (localtime_r(&when, &local))
            (void)strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &local);
        printf("  problem at %s: %s\n", stamp, clean(member(problem, "text"), text));
    }
}

void service_view_session(const cJSON *session)
{
    const cJSON *kernel = member(session, "kernel");
    char name[TEXT_MAX], state[TEXT_MAX], text[TEXT_MAX], owner[32];

    printf("session %s: %s", clean(member(session, "name"), name), clean(member(session, "state"), state));
    if (cJSON_IsString(member(session, "failure")))
        printf(": %s", clean(member(session, "failure"), text));
    printf("\n  of user %s, for %.0f s; attach: ", owner_of(session, owner), number(session, "duration_s"));
    put_attach(session);
    putchar('\n');
    print_events(session);
    print_files(session);
    if (cJSON_IsTrue(member(kernel, "enabled")))
        puts("  kernel assistance: on");
    else
        printf("  kernel assistance: off: %s\n", clean(member(kernel, "reason"), text));
    print_problems(member(session, "problems"));
}

bool service_view_json(const cJSON *result)
{
    char *text = cJSON_PrintUnformatted(result);

    if (!text)
        return false;
    puts(text);
    cJSON_free(text);
    return true;
}
