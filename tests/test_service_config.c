/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "user/service/config_file.h"
#include "user/service/service_keys.h"

/* ---- allocations that fail -------------------------------------------------------------------- */

static long allocations_left = -1; /* until one fails; -1: none does */

static bool may_allocate(void)
{
    if (allocations_left == 0)
        return false;
    if (allocations_left > 0)
        allocations_left--;
    return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
char *__wrap_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return may_allocate() ? __real_reallocarray(old, count, size) : NULL;
}

char *__wrap_strdup(const char *text)
{
    return may_allocate() ? __real_strdup(text) : NULL;
}

char *__wrap_strndup(const char *text, size_t size)
{
    return may_allocate() ? __real_strndup(text, size) : NULL;
}

/* ---- texts ------------------------------------------------------------------------------------ */

static ServiceConfig *parse_bytes_as_config(const char *text, size_t size)
{
    ConfigMistakes mistakes = {0};
    ServiceConfig *config = NULL;
    int error = service_config_parse("test.conf", text, size, &config, &mistakes);

    CU_ASSERT_EQUAL_FATAL(error, mistakes.total ? -EINVAL : 0);
    for (size_t i = 0; i < mistakes.lines.count; i++)
        printf("  %s\n", mistakes.lines.items[i]);
    CU_ASSERT_EQUAL_FATAL(mistakes.total, 0);
    config_mistakes_fini(&mistakes);
    return config;
}

/* The configuration that it is, without mistakes. */
static ServiceConfig *parse(const char *text)
{
    return parse_bytes_as_config(text, strlen(text));
}

/* The same of one session with these lines. */
static ServiceConfig *parse_session(const char *lines)
{
    char text[8192];

    (void)snprintf(text, sizeof(text), "[session s]\nattach = all\n%s", lines);
    return parse(text);
}

static void expect_same(const ConfigMistakes *mistakes, va_list expected)
{
    size_t count = 0;
    const char *line;

    for (; (line = va_arg(expected, const char *)); count++) {
        if (count >= mistakes->lines.count) {
            CU_FAIL("a mistake was not found");
            printf("  expected '%s'\n", line);
            continue;
        }
        if (!strstr(mistakes->lines.items[count], line)) {
            CU_FAIL("another mistake was found");
            printf("  expected '%s'\n  instead of '%s'\n", line, mistakes->lines.items[count]);
        }
        CU_ASSERT_PTR_NOT_NULL(strstr(mistakes->lines.items[count], ": "));
    }
    CU_ASSERT_EQUAL(mistakes->lines.count, count);
    for (; count < mistakes->lines.count; count++)
        printf("  not expected: '%s'\n", mistakes->lines.items[count]);
}

/* The mistakes of a text contain these, in that order, and there are no others. A NULL ends them. */
static void expect_mistakes_of_bytes(const char *text, size_t size, ...)
{
    ConfigMistakes mistakes = {0};
    ServiceConfig *config = NULL;
    va_list expected;

    CU_ASSERT_EQUAL(service_config_parse("test.conf", text, size, &config, &mistakes), -EINVAL);
    CU_ASSERT_PTR_NULL(config);
    va_start(expected, size);
    expect_same(&mistakes, expected);
    va_end(expected);
    config_mistakes_fini(&mistakes);
}
#define expect_mistakes(text, ...) expect_mistakes_of_bytes(text, strlen(text), __VA_ARGS__, NULL)

/* The one mistake of a session that has this line, its third. */
static void expect_bad_line(const char *line, const char *mistake)
{
    char text[8192], expected[512];

    (void)snprintf(text, sizeof(text), "[session s]\nattach = all\n%s\n", line);
    (void)snprintf(expected, sizeof(expected), "test.conf:3: %s", mistake);
    expect_mistakes(text, expected);
}

static char *print(const ServiceConfig *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    service_config_print(config, out);
    CU_ASSERT_EQUAL_FATAL(fclose(out), 0);
    return text;
}

/* What is printed is read as the same. */
static void expect_round_trip(const ServiceConfig *config)
{
    char *text = print(config);
    ServiceConfig *again = parse(text);
    char *text_again = print(again);

    CU_ASSERT_STRING_EQUAL(text, text_again);
    free(text_again);
    service_config_destroy(again);
    free(text);
}

/* ---- what is right ---------------------------------------------------------------------------- */

static void service_config__one_line__then_defaults(void)
{
    ServiceConfig *config = parse("[session web-1]\nattach = all\n");
    const ServiceSession *session = &config->sessions[0];

    CU_ASSERT_STRING_EQUAL(config->control_socket, "/run/adatrace/control.sock");
    CU_ASSERT_STRING_EQUAL(config->control_group, "adatrace");
    CU_ASSERT_EQUAL(config->control_clients, 64);
    CU_ASSERT_STRING_EQUAL(config->announce_socket, "/run/adatrace/announce.sock");
    CU_ASSERT_EQUAL(config->announce_rate, 1000);
    CU_ASSERT_STRING_EQUAL(config->log_directory, "/var/log/adatrace");
    CU_ASSERT_STRING_EQUAL(config->state_directory, "/var/lib/adatrace");
    CU_ASSERT_FALSE(config->metrics_served);
    CU_ASSERT_EQUAL(config->metrics_interval, 1000000000u);
    CU_ASSERT_STRING_EQUAL(config->run_user, "nobody");
    CU_ASSERT_EQUAL_FATAL(config->session_count, 1);
    CU_ASSERT_STRING_EQUAL(session->name, "web-1");
    CU_ASSERT(session->enabled);
    CU_ASSERT(discover_rules_have_all(&session->attach.rules));
    CU_ASSERT_EQUAL(session->index, 0);
    CU_ASSERT_EQUAL(session->detail, ADA_DETAIL_MARKED);
    CU_ASSERT_EQUAL(session->marks.count, 0);
    CU_ASSERT_FALSE(session->mark_wakers || session->sched || session->traces_syscalls);
    CU_ASSERT_EQUAL(session->uprobe_count, 0);
    CU_ASSERT_EQUAL(session->scheduler, DRAIN_SCHEDULER_ADAPTIVE);
    CU_ASSERT_EQUAL(session->weights.count, 0);
    CU_ASSERT_EQUAL(session->policy, ADA_POLICY_DISCARD);
    CU_ASSERT_EQUAL(session->threads, 256);
    CU_ASSERT_EQUAL(session->ring_size, 65536);
    CU_ASSERT_STRING_EQUAL(session->output, "/var/log/adatrace/web-1");
    CU_ASSERT_EQUAL(session->rotate_size, 256u << 20);
    CU_ASSERT_EQUAL(session->rotate_time, UINT64_C(3600000000000));
    CU_ASSERT_EQUAL(session->max_total, UINT64_C(10) << 30);
    CU_ASSERT_EQUAL(session->max_age, UINT64_C(7) * 86400000000000);
    CU_ASSERT_EQUAL(session->min_free, 1u << 30);
    CU_ASSERT_FALSE(session->compress || session->flight_recorder);
    CU_ASSERT_PTR_NULL(session->hook);
    CU_ASSERT_EQUAL(session->hook_timeout, UINT64_C(60000000000));
    CU_ASSERT_EQUAL(session->pre_roll, UINT64_C(10000000000));
    CU_ASSERT_EQUAL(session->post_roll, UINT64_C(5000000000));
    CU_ASSERT_EQUAL(session->flight_memory, 256u << 20);
    expect_round_trip(config);
    service_config_destroy(config);
}

static const char everything[] = "# every key\n"
                                 "[service]\n"
                                 "control_socket = /run/x/control.sock\n"
                                 "control_group = tracers\n"
                                 "control_clients = 8\n"
                                 "announce_socket = /run/x/announce.sock\n"
                                 "announce_rate = 50\n"
                                 "log_directory = /srv/traces\n"
                                 "state_directory = /srv/state\n"
                                 "metrics_listen = [::1]:9900\n"
                                 "metrics_interval = 250ms\n"
                                 "run_user = daemon\n"
                                 "\n"
                                 "[session shop]\n"
                                 "enabled = no\n"
                                 "attach = unit=shop.service,user=root\n"
                                 "attach = pid=17,18\n"
                                 "attach = pid=19\n"
                                 "index = always\n"
                                 "detail = always\n"
                                 "mark = span=request>10ms\n"
                                 "mark = offcpu > 5ms   ; a comment\n"
                                 "mark_wakers = yes\n"
                                 "sched = yes\n"
                                 "syscalls = read,epoll*\n"
                                 "uprobe = libc.so.6:malloc,ret\n"
                                 "uprobe = /usr/bin/a:b:main\n"
                                 "scheduler = weighted\n"
                                 "weight = pool-*=4\n"
                                 "weight = pool-a=16\n"
                                 "policy = block\n"
                                 "threads = 4096\n"
                                 "ring_size = 1M\n"
                                 "output = /srv/shop\n"
                                 "rotate_size = 16M\n"
                                 "rotate_time = 90s\n"
                                 "max_total = 2G\n"
                                 "max_age = 36h\n"
                                 "min_free = 500M\n"
                                 "compress = yes\n"
                                 "hook = /usr/local/bin/ship\n"
                                 "hook_timeout = 5m\n"
                                 "flight_recorder = yes\n"
                                 "pre_roll = 1.5s\n"
                                 "post_roll = 0\n"
                                 "flight_memory = 2M\n"
                                 "[session second]\n"
                                 "attach = name=work*\n"
                                 "output = teams/a\n"
                                 "max_age = off\n"
                                 "max_total = off\n"
                                 "min_free = off\n"
                                 "rotate_time = off\n"
                                 "syscalls = all\n"
                                 "scheduler = round-robin\n"
                                 "policy = overwrite\n"
                                 "detail = off\n";

static void service_config__every_key__then_taken(void)
{
    ServiceConfig *config = parse(everything);
    const ServiceSession *session = &config->sessions[0];
    char address[METRICS_ADDRESS_TEXT];

    CU_ASSERT_STRING_EQUAL(config->control_socket, "/run/x/control.sock");
    CU_ASSERT_STRING_EQUAL(config->control_group, "tracers");
    CU_ASSERT_EQUAL(config->control_clients, 8);
    CU_ASSERT_STRING_EQUAL(config->announce_socket, "/run/x/announce.sock");
    CU_ASSERT_EQUAL(config->announce_rate, 50);
    CU_ASSERT_STRING_EQUAL(config->log_directory, "/srv/traces");
    CU_ASSERT_STRING_EQUAL(config->state_directory, "/srv/state");
    CU_ASSERT(config->metrics_served);
    metrics_address_format(&config->metrics_address, address);
    CU_ASSERT_STRING_EQUAL(address, "[::1]:9900");
    CU_ASSERT_EQUAL(config->metrics_interval, 250000000u);
    CU_ASSERT_STRING_EQUAL(config->run_user, "daemon");
    CU_ASSERT_EQUAL_FATAL(config->session_count, 2);
    CU_ASSERT_FALSE(session->enabled || discover_rules_have_all(&session->attach.rules));
    CU_ASSERT_EQUAL(session->attach.texts.count, 3);
    CU_ASSERT_EQUAL(session->attach.pids.count, 3);
    CU_ASSERT_EQUAL(session->detail, ADA_DETAIL_ALWAYS);
    CU_ASSERT_EQUAL_FATAL(session->marks.count, 2);
    CU_ASSERT_STRING_EQUAL(session->marks.items[1].text, "offcpu > 5ms");
    CU_ASSERT(session->mark_wakers && session->sched && session->traces_syscalls);
    CU_ASSERT_STRING_EQUAL(session->syscalls_text, "read,epoll*");
    CU_ASSERT_EQUAL_FATAL(session->uprobe_count, 2);
    CU_ASSERT_STRING_EQUAL(session->uprobes[0].binary, "libc.so.6");
    CU_ASSERT_STRING_EQUAL(session->uprobes[0].symbol, "malloc");
    CU_ASSERT(session->uprobes[0].returns);
    CU_ASSERT_STRING_EQUAL(session->uprobes[1].binary, "/usr/bin/a:b");
    CU_ASSERT_STRING_EQUAL(session->uprobes[1].symbol, "main");
    CU_ASSERT_FALSE(session->uprobes[1].returns);
    CU_ASSERT_EQUAL(session->scheduler, DRAIN_SCHEDULER_WEIGHTED);
    CU_ASSERT_EQUAL(weight_rules_find(&session->weights, "pool-a"), 16);
    CU_ASSERT_EQUAL(session->policy, ADA_POLICY_BLOCK);
    CU_ASSERT_EQUAL(session->threads, 4096);
    CU_ASSERT_EQUAL(session->ring_size, 1u << 20);
    CU_ASSERT_STRING_EQUAL(session->output, "/srv/shop");
    CU_ASSERT_EQUAL(session->rotate_size, 16u << 20);
    CU_ASSERT_EQUAL(session->rotate_time, UINT64_C(90000000000));
    CU_ASSERT_EQUAL(session->max_total, UINT64_C(2) << 30);
    CU_ASSERT_EQUAL(session->max_age, UINT64_C(36) * 3600000000000);
    CU_ASSERT_EQUAL(session->min_free, 500u << 20);
    CU_ASSERT(session->compress && session->flight_recorder);
    CU_ASSERT_STRING_EQUAL(session->hook, "/usr/local/bin/ship");
    CU_ASSERT_EQUAL(session->hook_timeout, UINT64_C(300000000000));
    CU_ASSERT_EQUAL(session->pre_roll, 1500000000u);
    CU_ASSERT_EQUAL(session->post_roll, 0);
    CU_ASSERT_EQUAL(session->flight_memory, 2u << 20);
    session = &config->sessions[1];
    CU_ASSERT_STRING_EQUAL(session->output, "/srv/traces/teams/a");
    CU_ASSERT(session->max_age == 0 && session->max_total == 0 && session->min_free == 0 &&
              session->rotate_time == 0);
    CU_ASSERT_EQUAL(session->detail, ADA_DETAIL_OFF);
    CU_ASSERT_EQUAL(session->policy, ADA_POLICY_OVERWRITE);
    expect_round_trip(config);
    service_config_destroy(config);
}

/* Neither table has a key that the text above leaves out. */
static void service_config__tables__then_all_keys_tested_and_printed(void)
{
    ServiceConfig *config = parse(everything);
    char *printed = print(config);
    char line[64];

    for (size_t i = 0; i < service_key_count + session_key_count; i++) {
        const ConfigKey *key = i < service_key_count ? &service_keys[i] : &session_keys[i - service_key_count];

        (void)snprintf(line, sizeof(line), "\n%s = ", key->name);
        CU_ASSERT_PTR_NOT_NULL(strstr(everything, line));
        CU_ASSERT_PTR_NOT_NULL(strstr(printed, line));
        CU_ASSERT_PTR_NOT_NULL(key->allowed);
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(printed, "max_age = 36h\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(printed, "post_roll = 0s\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(printed, "pre_roll = 1500ms\n"));
    free(printed);
    service_config_destroy(config);
}

static void service_config__blanks_comments_marks__then_passed_over(void)
{
    ServiceConfig *config =
        parse("\xef\xbb\xbf; first\r\n\r\n  [ session \t a.b_C-9 ]  # there\r\n\tattach=all ;x\r\n"
              "   sched: yes\r\n\thook = /bin/a;b");

    CU_ASSERT_STRING_EQUAL(config->sessions[0].name, "a.b_C-9");
    CU_ASSERT(config->sessions[0].sched);
    CU_ASSERT_STRING_EQUAL(config->sessions[0].hook, "/bin/a;b");
    expect_round_trip(config);
    service_config_destroy(config);
}

static bool has_cgroup(const ServiceSession *session, size_t rule, const char *pattern)
{
    return rule < session->attach.rules.count && session->attach.rules.items[rule].cgroup &&
           strcmp(session->attach.rules.items[rule].cgroup, pattern) == 0;
}

static void session_attach__unit__then_its_control_group_and_below(void)
{
    ServiceConfig *config = parse_session("attach = name=w*,unit=a\\x2db@1,user=0\n"
                                          "attach = unit=user.slice\n"
                                          "attach = cgroup=/x*\n");
    const ServiceSession *session = &config->sessions[0];

    CU_ASSERT_EQUAL_FATAL(session->attach.rules.count, 6); /* the first is `all` */
    CU_ASSERT(has_cgroup(session, 1, "*/a\\\\x2db@1.service"));
    CU_ASSERT(has_cgroup(session, 2, "*/a\\\\x2db@1.service/*"));
    CU_ASSERT_STRING_EQUAL(session->attach.rules.items[2].name, "w*");
    CU_ASSERT(session->attach.rules.items[2].has_user);
    CU_ASSERT(has_cgroup(session, 3, "*/user.slice"));
    CU_ASSERT(has_cgroup(session, 4, "*/user.slice/*"));
    CU_ASSERT(has_cgroup(session, 5, "/x*"));
    CU_ASSERT(discover_rules_have_all(&session->attach.rules));
    expect_round_trip(config);
    service_config_destroy(config);
}

static void service_config__long_values__then_whole(void)
{
    char line[3000], name[2800];
    ServiceConfig *config;

    if (!ADA_HAVE_INI_MAX_LINE)
        TEST_SKIP("this inih has a limit of its own");
    memset(name, 'f', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    (void)snprintf(line, sizeof(line), "uprobe = /bin/x:%s\n", name);
    config = parse_session(line);
    CU_ASSERT_STRING_EQUAL(config->sessions[0].uprobes[0].symbol, name);
    expect_round_trip(config);
    service_config_destroy(config);
}

/* ---- mistakes --------------------------------------------------------------------------------- */

static void service_config__bad_values__then_said_where_and_why(void)
{
    static const char *const bad[][2] = {
        {"enabled = true", "enabled: 'true': neither yes nor no; allowed: yes, no"},
        {"attach = pid=", "attach: 'pid=': that is not the number of a process; allowed: all, pid=N,..."},
        {"attach = pid=1,x", "attach: 'pid=1,x': that is not the number"},
        {"attach = pid=0", "attach: "},
        {"attach = name=a,name=b", "attach: 'name=a,name=b': the same condition stands there twice"},
        {"attach = unit=a,cgroup=b", "attach: 'unit=a,cgroup=b': a unit is a control group"},
        {"attach = unit=a/b", "attach: 'unit=a/b': that is not the name of a unit"},
        {"attach = unit=", "attach: 'unit=': that is not the name of a unit"},
        {"attach = name=a,all", "attach: 'name=a,all': all and pid=N do not go together"},
        {"attach = user=root,pid=3", "attach: 'user=root,pid=3': all and pid=N do not go together"},
        {"attach = size=3", "attach: 'size=3': that is no condition"},
        {"attach = unit=a,name=", "attach: 'unit=a,name=': a condition is"},
        {"attach = user=nobody_of_that_name", "attach: 'user=nobody_of_that_name': there is no such user"},
        {"index = never", "index: 'never': unknown; allowed: always"},
        {"detail = some", "detail: 'some': unknown; allowed: marked, always, off"},
        {"mark = span=x", "mark: 'span=x': expected > or >= and a time at character 7; allowed: event=NAME"},
        {"mark_wakers = 1", "mark_wakers: '1': neither"},
        {"sched = on", "sched: 'on': neither"},
        {"syscalls = read,fly",
         "syscalls: 'read,fly': 'fly' is no system call of this machine; allowed: off, all"},
        {"uprobe = malloc", "uprobe: 'malloc': a program or a function is missing; allowed: BINARY:FUNCTION"},
        {"uprobe = :malloc", "uprobe: ':malloc': a program or a function is missing"},
        {"uprobe = libc:,ret", "uprobe: 'libc:,ret': a program or a function is missing"},
        {"uprobe = libc:a,run", "uprobe: 'libc:a,run': after the function there is only ',ret'"},
        {"scheduler = fair", "scheduler: 'fair': unknown; allowed: adaptive, round-robin, weighted, priority"},
        {"weight = a", "weight: 'a': expected NAME=N; allowed: NAME=N"},
        {"policy = drop", "policy: 'drop': unknown; allowed: discard, block, overwrite"},
        {"threads = 0", "threads: '0': too small or too large; allowed: a number from 1 to 4096"},
        {"threads = 4097", "threads: '4097': too small or too large"},
        {"threads = many", "threads: 'many': not a number"},
        {"ring_size = 5K", "ring_size: '5K': not a multiple of 4096; allowed: a multiple of 4K from 4K to 64M"},
        {"ring_size = 128M", "ring_size: '128M': too small or too large"},
        {"ring_size = big", "ring_size: 'big': not a size"},
        {"output = a/../b", "output: 'a/../b': not a path without"},
        {"output = /a//b", "output: '/a//b': not a path without"},
        {"output = ./a", "output: './a': not a path without"},
        {"output = a/", "output: 'a/': not a path without"},
        {"rotate_size = off", "rotate_size: 'off': not a size; allowed: a size from 1M to 1024G"},
        {"rotate_time = 1ms",
         "rotate_time: '1ms': too small or too large; allowed: off, or a time from 1s to 365d"},
        {"rotate_time = 1w", "rotate_time: '1w': not a time"},
        {"max_total = 1M", "max_total: '1M': too small or too large"},
        {"max_age = 3651d", "max_age: '3651d': too small or too large"},
        {"min_free = 1%", "min_free: '1%': not a size"},
        {"compress = zlib", "compress: 'zlib': neither"},
        {"hook = ship", "hook: 'ship': not an absolute path"},
        {"hook_timeout = 2h", "hook_timeout: '2h': too small or too large; allowed: a time from 1s to 1h"},
        {"flight_recorder = maybe", "flight_recorder: 'maybe': neither"},
        {"pre_roll = -1s", "pre_roll: '-1s': not a time"},
        {"post_roll = 61m", "post_roll: '61m': too small or too large"},
        {"flight_memory = 4K", "flight_memory: '4K': too small or too large"},
        {"colour = red", "colour: unknown key; allowed: those of adatraced.conf(5)"},
        {"log_directory = /x", "log_directory: unknown key"},
        {"sched =", "sched: has no value; allowed: KEY = VALUE"},
        {"sched = ; nothing", "sched: has no value"},
        {"sched =;nothing", "sched: has no value"},
        {"sched", "is neither a key nor a section nor a comment; allowed: KEY = VALUE"},
        {"[session t", "a ] is missing; allowed: [service], [session NAME]"},
        {"[session t] x", "something stands behind the section"},
        {"[sessions]", "unknown section [sessions]; allowed: [service], [session NAME]"},
        {"[]", "unknown section []"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect_bad_line(bad[i][0], bad[i][1]);
}

static void service_config__bad_values_of_service__then_said_where_and_why(void)
{
    expect_mistakes(
        "[session s]\nattach = all\n[service]\n"
        "control_socket = run.sock\n"
        "control_group = -x\n"
        "control_clients = 0\n"
        "announce_socket = /0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789"
        "/0123456789/0123456789/0123456789\n"
        "announce_rate = fast\n"
        "log_directory = /\n"
        "state_directory = /a/./b\n"
        "metrics_listen = localhost\n"
        "metrics_interval = 1m1s\n"
        "run_user = a b\n"
        "attach = all\n",
        "test.conf:4: control_socket: 'run.sock': not an absolute path without",
        "test.conf:5: control_group: '-x': not a name; allowed: the name of a group",
        "test.conf:6: control_clients: '0': too small or too large; allowed: a number from 1 to 1024",
        "the path is longer than 107 characters; allowed: an absolute path of up to 107 characters",
        "test.conf:8: announce_rate: 'fast': not a number",
        "test.conf:9: log_directory: '/': not an absolute path",
        "test.conf:10: state_directory: '/a/./b': not an absolute path",
        "test.conf:11: metrics_listen: 'localhost': not an address; allowed: off, PORT",
        "test.conf:12: metrics_interval: '1m1s': not a time; allowed: a time from 100ms to 60s",
        "test.conf:13: run_user: 'a b': not a name", "test.conf:14: attach: unknown key");
}

static void service_config__bad_names_of_sessions__then_said_and_keys_checked(void)
{
    expect_mistakes(
        "[session]\nattach = all\n[session .a]\nattach = all\nsched = x\n[session a b]\nattach = all\n"
        "[session 0123456789012345678901234567890123456789012345678901234567890123x]\nattach = all\n"
        "[session /]\nattach = all\n",
        "test.conf:1: '' is no name of a session; allowed: up to 64 of A-Z a-z 0-9 _ . -",
        "test.conf:3: '.a' is no name", "test.conf:5: sched: 'x': neither", "test.conf:6: 'a b' is no name",
        "test.conf:8: '01234", "test.conf:10: '/' is no name");
}

static void service_config__same_thing_twice__then_said_where_first(void)
{
    expect_mistakes("[service]\nannounce_rate = 1\n[session a]\nattach = all\nsched = yes\nsched = no\n"
                    "[service]\nannounce_rate = 2\n[session a]\nattach = all\noutput = b\n",
                    "test.conf:6: sched: stands in line 5 already; allowed: once",
                    "test.conf:8: announce_rate: stands in line 2 already; allowed: once",
                    "test.conf:9: session 'a' is defined in test.conf:3 already; allowed: once");
}

static void service_config__key_outside_a_section__then_said(void)
{
    expect_mistakes("sched = yes\n[session a]\nattach = all\n",
                    "test.conf:1: sched: stands in no section; allowed: below [service] or [session NAME]");
}

static void service_config__no_session_to_run__then_right(void)
{
    static const char *const texts[] = {"", "[session a]\nattach = all\nenabled = no\n"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ConfigMistakes mistakes = {0};
        ServiceConfig *config = NULL;

        CU_ASSERT_EQUAL(service_config_parse("test.conf", texts[i], strlen(texts[i]), &config, &mistakes), 0);
        CU_ASSERT_EQUAL(mistakes.total, 0);
        CU_ASSERT_TRUE(config && config->session_count == i);
        service_config_destroy(config);
        config_mistakes_fini(&mistakes);
    }
}

static void service_config__keys_that_do_not_go_together__then_said(void)
{
    expect_mistakes("[session a]\n", "test.conf:1: attach: is missing; allowed: at least one line");
    expect_bad_line("mark = event=x\ndetail = off", "mark: keeps payloads, and detail = off records none");
    expect_bad_line("mark_wakers = yes\nmark = event=x",
                    "mark_wakers: needs a rule that tells when it matters");
    expect_bad_line("weight = a=2",
                    "weight: means nothing to the scheduler adaptive; allowed: with scheduler = weighted");
    expect_bad_line("max_total = 500M", "max_total: has no room for a finished file beside the one that grows");
    expect_bad_line("max_age = 10m", "max_age: files would be removed as they are finished");
    expect_mistakes("[session s]\nattach = all\n[session t]\nattach = all\noutput = s\n",
                    "test.conf:5: output: is the directory of session s, too; allowed: one of its own");
    expect_mistakes("[session s]\nattach = all\nhook = /bin/true\n[service]\nrun_user = root\n",
                    "test.conf:3: hook: run_user is 'root', who may do everything");
    expect_mistakes("[session s]\nattach = all\nhook = /bin/true\n[service]\nrun_user = nobody_of_that_name\n",
                    "test.conf:3: hook: there is no user 'nobody_of_that_name' to run it");
    service_config_destroy(parse_session("mark = event=x\ndetail = off\nflight_recorder = yes\n"));
}

/* `count` lines of that text behind a session. */
static char *repeat(const char *line, size_t count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    (void)fputs("[session s]\nattach = all\n", out);
    for (size_t i = 0; i < count; i++)
        (void)fprintf(out, line, (unsigned)i + 1);
    CU_ASSERT_EQUAL_FATAL(fclose(out), 0);
    return text;
}

static void expect_limit(const char *line, size_t count, const char *mistake)
{
    char *text = repeat(line, count), *more = repeat(line, count + 1);

    service_config_destroy(parse(text));
    expect_mistakes(more, mistake);
    free(text);
    free(more);
}

static void service_config__too_many__then_said(void)
{
    expect_limit("mark = event=e%u\n", 64, "test.conf:67: mark: 'event=e65': more than 64 rules");
    expect_limit("uprobe = a:b%u\n", 64, "test.conf:67: uprobe: 'a:b65': more than 64 functions");
    expect_limit("attach = name=b%u\n", 255, "test.conf:258: attach: 'name=b256': more than 256 lines");
    expect_limit("[session s%u]\nattach = all\n", 63,
                 "test.conf:129: there are too many sessions; allowed: up to 64");
}

static void service_config__too_many_weights_and_pids__then_said(void)
{
    char text[8192], *at = text;

    at += sprintf(at, "[session s]\nattach = pid=1");
    for (int i = 2; i < 600; i++)
        at += sprintf(at, ",%d", i);
    at += sprintf(at, "\nattach = pid=600");
    for (int i = 601; i <= 1025; i++)
        at += sprintf(at, ",%d", i);
    at += sprintf(at, "\nscheduler = weighted\n");
    for (int i = 0; i < 65; i++)
        at += sprintf(at, "weight = a%d=2\n", i);
    expect_mistakes(text, "more than 1024 processes", "test.conf:69: weight: 'a64=2': more than 64 lines");
}

static void service_config__thousands_of_mistakes__then_first_hundred_and_their_number(void)
{
    char *text = repeat("x%u = y\n", 5000);
    ConfigMistakes mistakes = {0};
    ServiceConfig *config = NULL;

    CU_ASSERT_EQUAL(service_config_parse("test.conf", text, strlen(text), &config, &mistakes), -EINVAL);
    CU_ASSERT_EQUAL(mistakes.lines.count, CONFIG_MISTAKES_MAX);
    CU_ASSERT_EQUAL(mistakes.total, 5000);
    CU_ASSERT_STRING_EQUAL(mistakes.lines.items[99],
                           "test.conf:102: x100: unknown key; allowed: those of adatraced.conf(5)");
    config_mistakes_fini(&mistakes);
    free(text);
}

static void service_config__lines_that_are_no_text__then_said_and_rest_taken(void)
{
    static const char nul[] = "[session s]\nattach = a\0ll\nattach = all\nsched = \x1b[2J\nx = y\n";
    char line[CONFIG_LINE_MAX + 100];

    expect_mistakes_of_bytes(nul, sizeof(nul) - 1, "test.conf:2: has a NUL byte; allowed: text",
                             "test.conf:4: has a control character; allowed: text",
                             "test.conf:5: x: unknown key", NULL);
    if (!ADA_HAVE_INI_MAX_LINE)
        return;
    memset(line, 'x', sizeof(line));
    memcpy(line, "hook = /", 8);
    line[CONFIG_LINE_MAX + 1] = '\0';
    expect_bad_line(line, "is too long: 4094 characters; allowed: up to 4093");
    line[CONFIG_LINE_MAX] = '\0';
    expect_bad_line(line, "hook: '/xxxxxxxx");
}

/* ---- files ------------------------------------------------------------------------------------ */

static char directory[64];

static const char *path_of(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void put_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "we");

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    (void)fputs(text, file);
    CU_ASSERT_EQUAL_FATAL(fclose(file), 0);
    CU_ASSERT_EQUAL_FATAL(chmod(path_of(name), 0644), 0);
}

static void begin_files(void)
{
    (void)snprintf(directory, sizeof(directory), "/tmp/test_service_config.XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    CU_ASSERT_EQUAL_FATAL(mkdir(path_of("conf.d"), 0755), 0);
    CU_ASSERT_EQUAL_FATAL(chmod(path_of("conf.d"), 0755), 0);
    put_file("main.conf", "[service]\nannounce_rate = 1\ncontrol_clients = 1\n[session a]\nattach = all\n");
}

static void end_files(void)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "rm -r %s", directory);
    CU_ASSERT_EQUAL(system(command), 0);
}

/* The mistakes of main.conf and conf.d; none: it loads. */
static void expect_loaded(const char *first, ...)
{
    ConfigMistakes mistakes = {0};
    ServiceConfig *config = NULL;
    va_list expected;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s", path_of("main.conf"));
    CU_ASSERT_EQUAL(service_config_load(path, &config, &mistakes), first ? -EINVAL : 0);
    if (first && mistakes.lines.count > 0)
        CU_ASSERT_PTR_NOT_NULL(strstr(mistakes.lines.items[0], first));
    if (first && !(mistakes.lines.count > 0 && strstr(mistakes.lines.items[0], first)))
        printf("  '%s' instead of '%s'\n", mistakes.lines.count ? mistakes.lines.items[0] : "nothing", first);
    if (first && mistakes.lines.count > 0) {
        ConfigMistakes rest = {.lines = {.items = mistakes.lines.items + 1, .count = mistakes.lines.count - 1}};

        va_start(expected, first);
        expect_same(&rest, expected);
        va_end(expected);
    }
    service_config_destroy(config);
    config_mistakes_fini(&mistakes);
}

static void service_config_load__files_of_directory__then_in_byte_order_and_last_one_counts(void)
{
    ConfigMistakes mistakes = {0};
    ServiceConfig *config = NULL;
    char path[128];

    begin_files();
    put_file("conf.d/b.conf", "[service]\nannounce_rate = 3\n[session c]\nattach = all\n");
    put_file("conf.d/a.conf", "[session b]\nattach = all\n[service]\nannounce_rate = 4\nlog_directory = /l\n");
    put_file("conf.d/B.conf", "[service]\nannounce_rate = 2\n");
    put_file("conf.d/.hidden.conf", "nonsense\n");
    put_file("conf.d/a.conf~", "nonsense\n");
    put_file("conf.d/.conf", "nonsense\n");
    (void)snprintf(path, sizeof(path), "%s", path_of("main.conf"));
    CU_ASSERT_EQUAL_FATAL(service_config_load(path, &config, &mistakes), 0);
    CU_ASSERT_EQUAL(config->announce_rate, 3);
    CU_ASSERT_EQUAL(config->control_clients, 1);
    CU_ASSERT_EQUAL_FATAL(config->session_count, 3);
    CU_ASSERT_STRING_EQUAL(config->sessions[0].name, "a");
    CU_ASSERT_STRING_EQUAL(config->sessions[0].output, "/l/a");
    CU_ASSERT_STRING_EQUAL(config->sessions[1].name, "b");
    CU_ASSERT_STRING_EQUAL(config->sessions[2].name, "c");
    service_config_destroy(config);
    config_mistakes_fini(&mistakes);
    end_files();
}

static void service_config_load__mistakes_in_several_files__then_all_said(void)
{
    begin_files();
    put_file("conf.d/1.conf", "x = 1\n");
    put_file("conf.d/2.conf", "[session a]\nattach = all\noutput = b\n[service]\nannounce_rate = 0\n");
    put_file("conf.d/3.conf", "[session d]\n");
    expect_loaded("/conf.d/1.conf:1: x: stands in no section", "/conf.d/2.conf:1: session 'a' is defined in ",
                  "/conf.d/2.conf:5: announce_rate: '0': too small", "/conf.d/3.conf:1: attach: is missing",
                  NULL);
    end_files();
}

static void service_config_load__directory_missing_or_not_one__then_taken_or_said(void)
{
    begin_files();
    CU_ASSERT_EQUAL(rmdir(path_of("conf.d")), 0);
    expect_loaded(NULL);
    put_file("conf.d", "");
    expect_loaded("/conf.d: cannot be opened: Not a directory; allowed: a directory that can be read, or none",
                  NULL);
    end_files();
}

static void service_config_load__no_file__then_said(void)
{
    begin_files();
    CU_ASSERT_EQUAL(unlink(path_of("main.conf")), 0);
    expect_loaded("/main.conf: cannot be opened: No such file or directory; allowed: a file that can be read",
                  NULL);
    CU_ASSERT_EQUAL(mkfifo(path_of("main.conf"), 0644), 0);
    expect_loaded("/main.conf: is not a regular file", NULL);
    end_files();
}

static void service_config_load__others_may_write_it__then_refused(void)
{
    begin_files();
    CU_ASSERT_EQUAL(chmod(path_of("main.conf"), 0664), 0);
    expect_loaded(
        "/main.conf: its group may write it; allowed: files that only their owner may write (chmod go-w)",
        NULL);
    CU_ASSERT_EQUAL(chmod(path_of("main.conf"), 0646), 0);
    expect_loaded("/main.conf: everybody may write it", NULL);
    CU_ASSERT_EQUAL(chmod(path_of("main.conf"), 0644), 0);
    CU_ASSERT_EQUAL(chmod(path_of("conf.d"), 0777), 0);
    expect_loaded("/conf.d: everybody may write it", NULL);
    CU_ASSERT_EQUAL(chmod(path_of("conf.d"), 0755), 0);
    expect_loaded(NULL);
    end_files();
}

static void service_config_load__file_of_another_user__then_refused(void)
{
    if (geteuid() != 0)
        TEST_SKIP("only root can give files away");
    begin_files();
    CU_ASSERT_EQUAL(chown(path_of("main.conf"), 12345, (gid_t)-1), 0);
    expect_loaded(
        "/main.conf: belongs to user 12345, who could change it; allowed: files of root (chown root)", NULL);
    end_files();
}

static void service_config_load__file_that_may_not_be_read__then_said(void)
{
    if (geteuid() != 0)
        TEST_SKIP("it becomes another user, which takes root");
    begin_files();
    CU_ASSERT_EQUAL(chmod(path_of("main.conf"), 0600), 0);
    CU_ASSERT_EQUAL(chmod(directory, 0755), 0);
    CU_ASSERT_EQUAL_FATAL(seteuid(65534), 0);
    expect_loaded("/main.conf: cannot be opened: Permission denied", NULL);
    CU_ASSERT_EQUAL_FATAL(seteuid(0), 0);
    end_files();
}

static void service_config_load__file_too_large__then_said(void)
{
    begin_files();
    CU_ASSERT_EQUAL(truncate(path_of("main.conf"), CONFIG_FILE_BYTES_MAX + 1), 0);
    expect_loaded("/main.conf: is too large; allowed: up to 1024 KiB", NULL);
    end_files();
}

static void service_config_load__too_many_files__then_said(void)
{
    begin_files();
    for (unsigned i = 0; i <= SERVICE_CONFIG_FILES_MAX; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "conf.d/%u.conf", i);
        put_file(name, "");
    }
    expect_loaded("/conf.d: has too many files; allowed: up to 256", NULL);
    end_files();
}

static void service_config_load__name_that_a_terminal_would_obey__then_shown_without(void)
{
    begin_files();
    put_file("conf.d/\x1b[2J.conf", "x = y\n");
    expect_loaded("/conf.d/?[2J.conf:1: x: stands in no section", NULL);
    end_files();
}

/* ---- memory ----------------------------------------------------------------------------------- */

static void service_config__memory_runs_out_anywhere__then_enomem_and_nothing_leaks(void)
{
    char path[128];
    int error = -ENOMEM;

    begin_files();
    put_file("conf.d/a.conf", everything);
    put_file("conf.d/b.conf", "[session x]\nattach = unit=x\nsched = maybe\n");
    (void)snprintf(path, sizeof(path), "%s", path_of("main.conf"));
    for (long n = 0; error == -ENOMEM && n < 10000; n++) {
        ConfigMistakes mistakes = {0};
        ServiceConfig *config = NULL;

        allocations_left = n;
        error = service_config_load(path, &config, &mistakes);
        allocations_left = -1;
        CU_ASSERT_PTR_NULL(config);
        config_mistakes_fini(&mistakes);
    }
    CU_ASSERT_EQUAL(error, -EINVAL);
    end_files();
}

static const TestCase tests[] = {
    TEST(service_config__one_line__then_defaults),
    TEST(service_config__every_key__then_taken),
    TEST(service_config__tables__then_all_keys_tested_and_printed),
    TEST(service_config__blanks_comments_marks__then_passed_over),
    TEST(session_attach__unit__then_its_control_group_and_below),
    TEST(service_config__long_values__then_whole),
    TEST(service_config__bad_values__then_said_where_and_why),
    TEST(service_config__bad_values_of_service__then_said_where_and_why),
    TEST(service_config__bad_names_of_sessions__then_said_and_keys_checked),
    TEST(service_config__same_thing_twice__then_said_where_first),
    TEST(service_config__key_outside_a_section__then_said),
    TEST(service_config__no_session_to_run__then_right),
    TEST(service_config__keys_that_do_not_go_together__then_said),
    TEST(service_config__too_many__then_said),
    TEST(service_config__too_many_weights_and_pids__then_said),
    TEST(service_config__thousands_of_mistakes__then_first_hundred_and_their_number),
    TEST(service_config__lines_that_are_no_text__then_said_and_rest_taken),
    TEST(service_config_load__files_of_directory__then_in_byte_order_and_last_one_counts),
    TEST(service_config_load__mistakes_in_several_files__then_all_said),
    TEST(service_config_load__directory_missing_or_not_one__then_taken_or_said),
    TEST(service_config_load__no_file__then_said),
    TEST(service_config_load__others_may_write_it__then_refused),
    TEST(service_config_load__file_of_another_user__then_refused),
    TEST(service_config_load__file_that_may_not_be_read__then_said),
    TEST(service_config_load__file_too_large__then_said),
    TEST(service_config_load__too_many_files__then_said),
    TEST(service_config_load__name_that_a_terminal_would_obey__then_shown_without),
    TEST(service_config__memory_runs_out_anywhere__then_enomem_and_nothing_leaks),
};
TEST_MAIN("service_config", tests)
