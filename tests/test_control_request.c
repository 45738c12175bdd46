/* SPDX-License-Identifier: MIT */
/* What is a request on the control socket, and what is not. */
#define _GNU_SOURCE
#include "test_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/service/control_request.h"

/* From memory that ends with the text, so that reading behind it is noticed. */
static int parse_bytes_of(const void *text, size_t size, ControlRequest *request, ControlRefusal *refusal)
{
    char *copy = malloc(size + 1);
    int result;

    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    memcpy(copy + 1, text, size);
    *refusal = (ControlRefusal){0};
    result = control_request_parse(copy + 1, size, request, refusal);
    free(copy);
    return result;
}

static int parse(const char *text, ControlRequest *request, ControlRefusal *refusal)
{
    return parse_bytes_of(text, strlen(text), request, refusal);
}

static void control_request__every_command__then_its_fields(void)
{
    static const char *const fields[] = {
        [CONTROL_LIST] = "",
        [CONTROL_STATUS] = "",
        [CONTROL_START] = ",\"session\":\"a\"",
        [CONTROL_STOP] = ",\"session\":\"a\"",
        [CONTROL_ATTACH] = ",\"pids\":[1]",
        [CONTROL_DETACH] = ",\"pid\":5",
        [CONTROL_MARK] = ",\"session\":\"a\"",
        [CONTROL_SNAPSHOT] = ",\"session\":\"a\"",
        [CONTROL_ROTATE] = ",\"session\":\"a\"",
        [CONTROL_RELOAD] = "",
        [CONTROL_VERSION] = "",
    };

    for (enum control_command command = 0; command < CONTROL_COMMANDS; command++) {
        ControlRequest request;
        ControlRefusal refusal;
        char text[256];

        (void)snprintf(text, sizeof(text), "{\"version\":1,\"id\":%d,\"command\":\"%s\"%s}", (int)command,
                       control_command_name(command), fields[command]);
        CU_ASSERT_EQUAL(parse(text, &request, &refusal), 0);
        CU_ASSERT_EQUAL(request.command, command);
        CU_ASSERT(request.has_id && request.id == (uint64_t)command);
        CU_ASSERT_EQUAL(request.session != NULL, strstr(fields[command], "session") != NULL);
        CU_ASSERT_EQUAL(request.pid, command == CONTROL_DETACH ? 5 : 0);
        control_request_fini(&request);
    }
}

static void control_request__attach__then_pids_and_options_in_order(void)
{
    ControlRequest request;
    ControlRefusal refusal;

    CU_ASSERT_EQUAL_FATAL(
        parse(" {\"id\":9007199254740991,\"version\":1,\"command\":\"attach\",\"name\":\"my-1\",\"pids\":[30,2,11],"
              "\"options\":{\"sched\":\"yes\",\"mark\":[\"offcpu>10ms\",\"event=\\u00fc\"]}}\n",
              &request, &refusal),
        0);
    CU_ASSERT(request.id == CONTROL_ID_MAX);
    CU_ASSERT_STRING_EQUAL(request.name, "my-1");
    CU_ASSERT_EQUAL_FATAL(request.pid_count, 3);
    CU_ASSERT(request.pids[0] == 30 && request.pids[1] == 2 && request.pids[2] == 11);
    CU_ASSERT_EQUAL_FATAL(request.option_count, 3);
    CU_ASSERT_STRING_EQUAL(request.options[0].key, "sched");
    CU_ASSERT_STRING_EQUAL(request.options[0].value, "yes");
    CU_ASSERT_STRING_EQUAL(request.options[1].key, "mark");
    CU_ASSERT_STRING_EQUAL(request.options[1].value, "offcpu>10ms");
    CU_ASSERT_STRING_EQUAL(request.options[2].value, "event=\xc3\xbc");
    control_request_fini(&request);
}

#define HEAD "{\"version\":1,\"id\":7,"

static void control_request__wrong__then_one_clear_line(void)
{
    static const struct {
        const char *text;
        const char *code;
        const char *part; /* of the message */
        int id;           /* that the answer names; -1: none */
    } wrong[] = {
        {"", "bad-json", "not a JSON object", -1},
        {"x", "bad-json", "not a JSON object", -1},
        {"[]", "bad-json", "not a JSON object", -1},
        {"7", "bad-json", "not a JSON object", -1},
        {HEAD "\"command\":\"li", "bad-json", "cut off", -1},
        {HEAD "\"command\":\"list\"", "bad-json", "cut off", -1},
        {HEAD "\"command\":\"list\"} {}", "bad-json", "something follows", -1},
        {HEAD "\"command\":\"l\tst\"}", "bad-json", "control character 9", -1},
        {HEAD "\"command\":\"list\\u0000\"}", "bad-json", "NUL", -1},
        {HEAD "\"command\":\"\xff\"}", "bad-json", "not UTF-8", -1},
        {HEAD "\"command\":\"\\ud800\"}", "bad-json", "not a JSON object", -1},
        {HEAD "\"options\":{\"a\":[[1]]}}", "bad-json", "nested deeper than 3", -1},
        {"{}", "bad-version", "'version' is missing", -1},
        {"{\"id\":7}", "bad-version", "'version' is missing", 7},
        {"{\"version\":\"1\",\"id\":7,\"command\":\"list\"}", "bad-version", "no number", 7},
        {"{\"version\":2,\"id\":7,\"command\":\"list\",\"new\":1}", "bad-version", "version 2 is not spoken", 7},
        {"{\"version\":1,\"command\":\"list\"}", "bad-request", "'id' is missing", -1},
        {"{\"version\":1,\"id\":-1,\"command\":\"list\"}", "bad-request", "'id' is missing", -1},
        {"{\"version\":1,\"id\":1.5,\"command\":\"list\"}", "bad-request", "'id' is missing", -1},
        {"{\"version\":1,\"id\":9007199254740992,\"command\":\"list\"}", "bad-request", "'id' is missing", -1},
        {"{\"version\":1,\"id\":1e999,\"command\":\"list\"}", "bad-request", "'id' is missing", -1},
        {HEAD "\"x\":1}", "bad-request", "'command' is missing", 7},
        {HEAD "\"command\":[]}", "bad-request", "'command' is missing", 7},
        {HEAD "\"command\":\"dance\"}", "unknown-command", "'dance'", 7},
        {HEAD "\"command\":\"LIST\"}", "unknown-command", "'LIST'", 7},
        {HEAD "\"command\":\"list\",\"command\":\"stop\"}", "bad-request", "'command' is there twice", 7},
        {HEAD "\"command\":\"list\",\"ID\":1}", "bad-request", "unknown field 'ID'", 7},
        {HEAD "\"command\":\"list\",\"session\":\"a\"}", "bad-request", "'list' has no field 'session'", 7},
        {HEAD "\"command\":\"stop\"}", "bad-request", "'stop' needs field 'session'", 7},
        {HEAD "\"command\":\"mark\"}", "bad-request", "needs field 'session' or 'pid'", 7},
        {HEAD "\"command\":\"mark\",\"pid\":1,\"session\":\"a\"}", "bad-request", "not both", 7},
        {HEAD "\"command\":\"mark\",\"pid\":0}", "bad-request", "number of a process", 7},
        {HEAD "\"command\":\"mark\",\"pid\":\"1\"}", "bad-request", "number of a process", 7},
        {HEAD "\"command\":\"mark\",\"pid\":2147483648}", "bad-request", "number of a process", 7},
        {HEAD "\"command\":\"stop\",\"session\":\"\"}", "bad-request", "name of a session", 7},
        {HEAD "\"command\":\"stop\",\"session\":\"../a\"}", "bad-request", "name of a session", 7},
        {HEAD "\"command\":\"stop\",\"session\":null}", "bad-request", "name of a session", 7},
        {HEAD "\"command\":\"attach\"}", "bad-request", "needs field 'pids' or 'options'", 7},
        {HEAD "\"command\":\"attach\",\"pids\":[]}", "bad-request", "1 to 1024", 7},
        {HEAD "\"command\":\"attach\",\"pids\":{\"a\":1}}", "bad-request", "1 to 1024", 7},
        {HEAD "\"command\":\"attach\",\"pids\":[1,2,1]}", "bad-request", "twice", 7},
        {HEAD "\"command\":\"attach\",\"pids\":[1,true]}", "bad-request", "number of a process", 7},
        {HEAD "\"command\":\"attach\",\"options\":{}}", "bad-request", "names no process", 7},
        {HEAD "\"command\":\"attach\",\"options\":[]}", "bad-request", "not an object", 7},
        {HEAD "\"command\":\"attach\",\"pids\":[1],\"options\":{\"sched\":true}}", "bad-request", "'sched'", 7},
        {HEAD "\"command\":\"attach\",\"pids\":[1],\"options\":{\"mark\":[]}}", "bad-request", "no value", 7},
        {HEAD "\"command\":\"attach\",\"pids\":[1],\"options\":{\"a\":\"\\n\"}}", "bad-request",
         "control char", 7},
        {HEAD "\"command\":\"attach\",\"pids\":[1],\"options\":{\"a\":\"1\",\"a\":\"2\"}}", "bad-request",
         "twice", 7},
        {HEAD "\"command\":\"a\\n\\u001b[2J\"}", "unknown-command", "'a??[2J'", 7},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ControlRequest request;
        ControlRefusal refusal;
        int result = parse(wrong[i].text, &request, &refusal);

        CU_ASSERT_EQUAL(result, -EINVAL);
        CU_ASSERT_STRING_EQUAL(refusal.code ? refusal.code : "", wrong[i].code);
        if (!strstr(refusal.text, wrong[i].part))
            printf("%s: %s\n", wrong[i].text, refusal.text);
        CU_ASSERT_PTR_NOT_NULL(strstr(refusal.text, wrong[i].part));
        CU_ASSERT_EQUAL(request.has_id ? (int)request.id : -1, wrong[i].id);
        control_request_fini(&request);
    }
}

/* Each prefix of a request is none, and so is one with any byte made NUL. */
static void control_request__cut_off_or_with_nul__then_refused(void)
{
    static const char whole[] =
        HEAD "\"command\":\"attach\",\"pids\":[12,13],\"options\":{\"mark\":[\"a\\\"b\"]}}";
    size_t size = sizeof(whole) - 1;
    ControlRequest request;
    ControlRefusal refusal;

    CU_ASSERT_EQUAL(parse(whole, &request, &refusal), 0);
    control_request_fini(&request);
    for (size_t i = 0; i < size; i++) {
        char changed[sizeof(whole)];

        CU_ASSERT_EQUAL(parse_bytes_of(whole, i, &request, &refusal), -EINVAL);
        control_request_fini(&request);
        memcpy(changed, whole, sizeof(whole));
        changed[i] = '\0';
        CU_ASSERT_EQUAL(parse_bytes_of(changed, size, &request, &refusal), -EINVAL);
        CU_ASSERT_STRING_EQUAL(refusal.code, "bad-json");
        control_request_fini(&request);
    }
}

/* As long as may be: deep, wide, many keys, many options. None takes long, none overflows a stack. */
static void control_request__as_much_as_fits__then_refused_in_time(void)
{
    static const char *const items[] = {"[", "{\"a\":", "\"a\":1,", "\"\\\\\","};
    char *text = malloc(ADA_CONTROL_PACKET_MAX + 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
        size_t length = strlen(items[i]), size = 1;
        ControlRequest request;
        ControlRefusal refusal;

        for (text[0] = i < 2 ? ' ' : '{'; size + length <= ADA_CONTROL_PACKET_MAX; size += length)
            memcpy(text + size, items[i], length);
        CU_ASSERT_EQUAL(parse_bytes_of(text, size, &request, &refusal), -EINVAL);
        CU_ASSERT_STRING_EQUAL(refusal.code, "bad-json");
        control_request_fini(&request);
    }
    memset(text, ' ', ADA_CONTROL_PACKET_MAX + 1);
    memcpy(text, HEAD "\"command\":\"list\"}", sizeof(HEAD "\"command\":\"list\"}") - 1);
    for (size_t more = 0; more < 2; more++) {
        ControlRequest request;
        ControlRefusal refusal;

        CU_ASSERT_EQUAL(parse_bytes_of(text, ADA_CONTROL_PACKET_MAX + more, &request, &refusal),
                        more ? -EINVAL : 0);
        control_request_fini(&request);
    }
    free(text);
}

static void control_request__many_options__then_as_many_as_allowed(void)
{
    for (unsigned count = CONTROL_OPTIONS_MAX; count <= CONTROL_OPTIONS_MAX + 1; count++) {
        ControlRequest request;
        ControlRefusal refusal;
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);

        CU_ASSERT_PTR_NOT_NULL_FATAL(out);
        fputs(HEAD "\"command\":\"attach\",\"pids\":[1],\"options\":{", out);
        for (unsigned i = 0; i < count; i++)
            fprintf(out, "%s\"key%u\":\"%u\"", i ? "," : "", i, i);
        fputs("}}", out);
        CU_ASSERT_EQUAL(fclose(out), 0);
        CU_ASSERT_EQUAL(parse(text, &request, &refusal), count > CONTROL_OPTIONS_MAX ? -EINVAL : 0);
        CU_ASSERT_EQUAL(request.option_count, CONTROL_OPTIONS_MAX);
        CU_ASSERT_EQUAL(strstr(refusal.text, "more than 512") != NULL, count > CONTROL_OPTIONS_MAX);
        control_request_fini(&request);
        free(text);
    }
}

static void control_request__session_names__then_as_in_the_configuration(void)
{
    char longest[66];

    memset(longest, 'a', sizeof(longest));
    longest[65] = '\0';
    CU_ASSERT_FALSE(control_session_name_is_valid(longest));
    longest[64] = '\0';
    CU_ASSERT_TRUE(control_session_name_is_valid(longest));
    CU_ASSERT_TRUE(control_session_name_is_valid("A.z_0-9"));
    CU_ASSERT_FALSE(control_session_name_is_valid(".a"));
    CU_ASSERT_FALSE(control_session_name_is_valid("a b"));
    CU_ASSERT_FALSE(control_session_name_is_valid("a/b"));
}

static const TestCase tests[] = {
    TEST(control_request__every_command__then_its_fields),
    TEST(control_request__attach__then_pids_and_options_in_order),
    TEST(control_request__wrong__then_one_clear_line),
    TEST(control_request__cut_off_or_with_nul__then_refused),
    TEST(control_request__as_much_as_fits__then_refused_in_time),
    TEST(control_request__many_options__then_as_many_as_allowed),
    TEST(control_request__session_names__then_as_in_the_configuration),
};
TEST_MAIN("control_request", tests)
